package main

import (
	"errors"
	"io"
	"os"
)

// files are those that results go to, nil for none. They are created before a run: an hour is long to
// find out that a directory is missing.
type files []*os.File

// createFiles creates the files with these names; an empty name is no file.
func createFiles(names ...string) (files, error) {
	f := make(files, len(names))
	for i, name := range names {
		if name == "" {
			continue
		}
		var err error
		if f[i], err = os.Create(name); err != nil {
			f[i] = nil
			return nil, errors.Join(err, f.remove())
		}
	}
	return f, nil
}

// write writes each file by its own function and closes it.
func (f files) write(by ...func(to io.Writer) error) error {
	var errs []error
	for i, file := range f {
		if file != nil {
			errs = append(errs, by[i](file), file.Close())
		}
	}
	return errors.Join(errs...)
}

// remove takes the files away of a run that came to nothing.
func (f files) remove() error {
	var errs []error
	for _, file := range f {
		if file != nil {
			errs = append(errs, file.Close(), os.Remove(file.Name()))
		}
	}
	return errors.Join(errs...)
}

func (f files) names() []string {
	var out []string
	for _, file := range f {
		if file != nil {
			out = append(out, file.Name())
		}
	}
	return out
}

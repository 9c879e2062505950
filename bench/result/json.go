package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxBytes bounds a document that is read: the largest run is 20 MB.
const maxBytes = 64 << 20

// ErrSchema is a document of another form, or no such document at all.
var ErrSchema = errors.New("not a result of schema " + Schema)

// Write writes the document as JSON with one line for each field and each element of its lists, so that
// it can be read, and compared by line.
func (r Result) Write(w io.Writer) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	if _, err := w.Write(lines(b.Bytes())); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	return nil
}

// lines breaks compact JSON after the commas of the outermost object and of the lists in it.
func lines(in []byte) []byte {
	out := make([]byte, 0, len(in)+len(in)/16)
	var open []byte
	text, escaped := false, false
	for _, c := range in {
		end := c == '}' || c == ']'
		if !text && end {
			open = open[:len(open)-1]
			if len(open) == 0 {
				out = append(out, '\n')
			}
		}
		out = append(out, c)
		switch {
		case escaped:
			escaped = false
		case text:
			escaped, text = c == '\\', c != '"'
		case c == '"':
			text = true
		case c == '{' || c == '[':
			open = append(open, c)
			if len(open) == 1 {
				out = append(out, '\n')
			}
		case c == ',' && (len(open) == 1 || len(open) == 2 && open[1] == '['):
			out = append(out, '\n')
		}
	}
	return out
}

// Read reads a document. One of another schema is ErrSchema; unknown fields are not looked at.
func Read(from io.Reader) (Result, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxBytes+1))
	if err != nil {
		return Result{}, fmt.Errorf("result: %w", err)
	}
	if len(b) > maxBytes {
		return Result{}, fmt.Errorf("result: larger than %d MB", maxBytes>>20)
	}
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Result{}, fmt.Errorf("result: %w: %w", ErrSchema, err)
	}
	if head.Schema != Schema {
		return Result{}, fmt.Errorf("result: %w, but of %q", ErrSchema, head.Schema)
	}
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return Result{}, fmt.Errorf("result: %w", err)
	}
	return r, nil
}

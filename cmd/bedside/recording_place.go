package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/recording"
)

// kept is one recording, wherever it is.
type kept interface {
	recording.Source
	PutKey(wrapped []byte) error
	ForgetKeys() error
	Shred(reason string) error
	Close() error
}

// place is where recordings are: a directory or a server.
type place interface {
	IDs() ([]string, error)
	open(id string) (kept, error)
	Close() error
}

// shelf says which recordings, and with which keys.
type shelf struct {
	dir, dataDir, server, keyFile string
	identities                    []string // files
}

// lastRecording stands for the newest.
const lastRecording = "last"

// keyVariable holds the API key: an argument would be seen by everybody on the machine.
const keyVariable = "BEDSIDE_API_KEY"

func (p *shelf) flags(c *cobra.Command, keys bool) {
	c.Flags().StringVar(&p.dir, "dir", "", "a directory of recordings, such as a copy of the server's")
	c.Flags().StringVar(&p.dataDir, "data-dir", "", "the data_dir of a server on this machine")
	c.Flags().StringVar(&p.server, "server", "", "the `URL` of a server, with an API key of the scope recordings; it writes down who reads what")
	c.Flags().StringVar(&p.keyFile, "api-key-file", "", "a `file` with the API key (default: the environment's "+keyVariable+")")
	c.MarkFlagsMutuallyExclusive("dir", "data-dir", "server")
	c.MarkFlagsOneRequired("dir", "data-dir", "server")
	if keys {
		c.Flags().StringSliceVarP(&p.identities, "identity", "i", nil, "a `file` with a secret key of the hospital (AGE-SECRET-KEY-…)")
	}
}

func (p *shelf) place(ctx context.Context) (place, error) {
	if p.server != "" {
		return p.remote(ctx)
	}
	dir := p.dir
	if p.dataDir != "" {
		dir = filepath.Join(p.dataDir, recordingsDir)
	}
	a, err := recording.OpenArchive(dir)
	if err != nil {
		return nil, err
	}
	return localPlace{a}, nil
}

// with opens one recording and does something with it.
func (p *shelf) with(ctx context.Context, id string, f func(kept) error) error {
	at, err := p.place(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = at.Close() }() // nothing is written through it
	if id == lastRecording {
		ids, err := at.IDs()
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return recording.ErrNotFound
		}
		id = ids[len(ids)-1]
	}
	r, err := at.open(id)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	return errors.Join(f(r), r.Close())
}

// keys reads the identity files.
func (p *shelf) keys() ([]age.Identity, error) {
	var all []age.Identity
	for _, name := range p.identities {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		ids, err := age.ParseIdentities(f)
		if err = errors.Join(err, f.Close()); err != nil {
			// The library's error may quote the line, which may be a secret with a typing error.
			return nil, fmt.Errorf("identity: %s is no file of secret keys as age-keygen and bedside keys new-recipient write them", name)
		}
		all = append(all, ids...)
	}
	return all, nil
}

type localPlace struct{ *recording.Archive }

func (p localPlace) open(id string) (kept, error) { return p.Recording(id) }

// remotePlace is a server's API.
type remotePlace struct {
	ctx    func() context.Context // of the command: a Source has no other way to end with it
	client *http.Client
	base   *url.URL
	key    string
}

func (p *shelf) remote(ctx context.Context) (place, error) {
	base, err := url.Parse(p.server)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil {
		return nil, errors.New("--server: must look like https://video.hospital.example")
	}
	if host := base.Hostname(); base.Scheme == "http" && host != "localhost" && host != "127.0.0.1" && host != "::1" {
		return nil, errors.New("--server: without TLS the API key would be read on the way")
	}
	key := os.Getenv(keyVariable)
	if p.keyFile != "" {
		b, err := os.ReadFile(p.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--api-key-file: %w", err)
		}
		key = strings.TrimSpace(string(b))
	}
	if key == "" {
		return nil, fmt.Errorf("an API key is needed: --api-key-file, or %s in the environment", keyVariable)
	}
	return &remotePlace{
		ctx: func() context.Context { return ctx }, base: base, key: key,
		// The key goes nowhere else.
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

func (p *remotePlace) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// ask sends a request; the answer's body, from a byte on, is the caller's to close.
func (p *remotePlace) ask(method, path string, body []byte, from int64) (io.ReadCloser, error) {
	u := *p.base
	u.Path = strings.TrimSuffix(u.Path, "/") + "/v1/recordings" + path
	r, err := http.NewRequestWithContext(p.ctx(), method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.key)
	if from > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 == 2 && (from == 0 || answer.StatusCode == http.StatusPartialContent) {
		return answer.Body, nil
	}
	defer func() { _ = answer.Body.Close() }() // only read
	switch answer.StatusCode {
	case http.StatusNotFound:
		return nil, recording.ErrNotFound
	case http.StatusGone:
		return nil, recording.ErrErased
	}
	var problem struct{ Detail string }
	_ = json.NewDecoder(io.LimitReader(answer.Body, 1<<16)).Decode(&problem) // the status says it, too
	return nil, fmt.Errorf("the server answers %s: %s", answer.Status, problem.Detail)
}

// get returns a whole answer of at most so many bytes.
func (p *remotePlace) get(path string, most int64) ([]byte, error) {
	body, err := p.ask(http.MethodGet, path, nil, 0)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(body, most+1))
	if int64(len(b)) > most {
		err = fmt.Errorf("the server's answer is larger than %d bytes", most)
	}
	return b, errors.Join(err, body.Close())
}

// maxAnswer bounds what is read into memory of a server.
const maxAnswer = 16 << 20

func (p *remotePlace) IDs() ([]string, error) {
	b, err := p.get("", maxAnswer)
	if err != nil {
		return nil, err
	}
	var list struct {
		Recordings []struct{ ID string }
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("the server's list: %w", err)
	}
	var ids []string
	for _, r := range list.Recordings {
		ids = append([]string{r.ID}, ids...) // the server tells the newest first
	}
	return ids, nil
}

func (p *remotePlace) open(id string) (kept, error) {
	if !regexp.MustCompile(`^[0-9A-Z]{26}$`).MatchString(id) {
		return nil, recording.ErrNotFound
	}
	return remoteRecording{p, id}, nil
}

// remoteRecording is one of a server's.
type remoteRecording struct {
	p  *remotePlace
	id string
}

// Manifest implements recording.Source, and so on.
func (r remoteRecording) Manifest() ([]byte, error) { return r.p.get("/"+r.id+"/manifest", maxAnswer) }

// Key asks for the sealed key.
func (r remoteRecording) Key() ([]byte, error) { return r.p.get("/"+r.id+"/key", 1<<20) }

// Part asks for a sealed part.
func (r remoteRecording) Part(n int) (io.ReadCloser, error) {
	d := &download{p: r.p, path: "/" + r.id + "/parts/" + strconv.Itoa(n)}
	var err error
	if d.body, err = r.p.ask(http.MethodGet, d.path, nil, 0); errors.Is(err, recording.ErrNotFound) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// maxResumes is how often the rest of a part is asked for: a server gives 15 minutes at a time.
const maxResumes = 50

// download is a part that is asked for again where it broke off.
type download struct {
	p       *remotePlace
	path    string
	body    io.ReadCloser
	at      int64
	resumes int
}

func (d *download) Read(b []byte) (int, error) {
	for {
		n, err := d.body.Read(b)
		d.at += int64(n)
		if n > 0 || err == nil || errors.Is(err, io.EOF) || d.resumes == maxResumes || d.p.ctx().Err() != nil {
			if n > 0 && !errors.Is(err, io.EOF) {
				err = nil // told by the next call
			}
			return n, err
		}
		d.resumes++
		body, again := d.p.ask(http.MethodGet, d.path, nil, d.at)
		if again != nil {
			return 0, errors.Join(err, again)
		}
		_ = d.body.Close() // broken already
		d.body = body
	}
}

func (d *download) Close() error { return d.body.Close() }

// FormerKey asks for a sealed key that was replaced.
func (r remoteRecording) FormerKey(n int) ([]byte, error) {
	return r.p.get("/"+r.id+"/keys/"+strconv.Itoa(n), 1<<20)
}

// ForgetKeys has the keys destroyed that were replaced.
func (r remoteRecording) ForgetKeys() error {
	body, err := r.p.ask(http.MethodDelete, "/"+r.id+"/keys", nil, 0)
	if err != nil {
		return err
	}
	return body.Close()
}

// PutKey replaces the sealed key.
func (r remoteRecording) PutKey(wrapped []byte) error {
	body, err := r.p.ask(http.MethodPut, "/"+r.id+"/key", wrapped, 0)
	if err != nil {
		return err
	}
	return body.Close()
}

// Shred erases the recording on the server, whose audit log knows the reason that there is an API key.
func (r remoteRecording) Shred(string) error {
	body, err := r.p.ask(http.MethodDelete, "/"+r.id, nil, 0)
	if err != nil {
		return err
	}
	return body.Close()
}

func (r remoteRecording) Close() error { return nil }

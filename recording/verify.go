package recording

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"filippo.io/age"

	"github.com/bedside-video/bedside/recording/seal"
)

// Finding is something that is wrong with a recording.
type Finding struct {
	Part int // -1: of the whole
	What string
}

func (f Finding) String() string {
	if f.Part < 0 {
		return f.What
	}
	return fmt.Sprintf("part %d: %s", f.Part, f.What)
}

// Check says what to verify a recording against.
type Check struct {
	NodeKey ed25519.PublicKey // of the server; nil: whatever the manifest says
	// With the hospital's identities the content is checked, too: which chunk is not as it was written.
	Identities []age.Identity
	Read       func(n int) // told of bytes as they are read; may be nil
}

// Verify checks a recording and lists what is wrong: nothing, if it is as it was written. The error is
// about reading it at all; seal.ErrWrongKey tells that no identity fits.
func Verify(ctx context.Context, src Source, c Check) (Manifest, []Finding, error) {
	m, err := manifestOf(src)
	if err != nil {
		return m, nil, err
	}
	var found []Finding
	whole := func(format string, args ...any) {
		found = append(found, Finding{-1, fmt.Sprintf(format, args...)})
	}
	switch {
	case m.State == Open:
		whole("the recording goes on, or its server has not been started since it was interrupted: there are no hashes yet")
	case m.Verify(c.NodeKey) != nil:
		whole("%v", m.Verify(c.NodeKey))
	}
	if m.State == Erased {
		return m, found, nil
	}
	key, wrong, err := unlock(src, &m, c.Identities)
	if err != nil {
		return m, found, err
	}
	found = append(found, wrong...)
	for _, p := range m.Parts {
		if p.SHA256 == "" && m.State != Open {
			continue // announced, and the server died before its first byte
		}
		what, err := c.part(ctx, src, &m, p, key)
		if err != nil {
			return m, found, fmt.Errorf("part %d: %w", p.N, err)
		}
		for _, w := range what {
			found = append(found, Finding{p.N, w})
		}
	}
	return m, found, nil
}

// part checks one part.
func (c *Check) part(ctx context.Context, src Source, m *Manifest, p Part, key *age.HybridIdentity) (what []string, err error) {
	f, err := src.Part(p.N)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) {
		return []string{"missing"}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	in := &meter{ctx: ctx, r: f, read: c.Read}
	sum := sha256.New()
	all := io.TeeReader(in, sum)
	if key != nil {
		rep, err := seal.Inspect(all, io.Discard, key)
		switch {
		case errors.Is(err, seal.ErrWrongKey):
			what = append(what, "sealed to another recording's key")
		case err != nil && ctx.Err() != nil:
			return nil, err
		case err != nil:
			what = append(what, err.Error())
		case rep.Damage == seal.Truncated && p.Cut:
		case rep.Damage == seal.Torn && p.Cut:
		case rep.Damage != seal.Intact:
			what = append(what, rep.String())
		}
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return nil, err
	}
	if p.SHA256 == "" {
		return what, nil
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if got == p.SHA256 {
		return what, nil
	}
	for _, other := range m.Parts {
		if other.SHA256 == got {
			return append(what, fmt.Sprintf("is the file of part %d", other.N)), nil
		}
	}
	if in.n != p.Size {
		return append(what, fmt.Sprintf("has %d bytes, the manifest says %d", in.n, p.Size)), nil
	}
	return append(what, "its SHA-256 is not that of the manifest"), nil
}

// meter counts what is read, and ends with its context.
type meter struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	read func(n int)
}

func (m *meter) Read(b []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(b)
	m.n += int64(n)
	if m.read != nil {
		m.read(n)
	}
	return n, err
}

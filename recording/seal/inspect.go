package seal

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

// Damage is what is wrong with a sealed part.
type Damage uint8

// The kinds of damage.
const (
	Intact     Damage = iota
	Truncated         // ends behind a whole chunk that is not the last
	Torn              // the last piece does not authenticate: it was cut short, or changed
	Changed           // a chunk does not authenticate
	Dropped           // chunks are missing before this one
	Swapped           // a later chunk stands here, and this one behind it
	Duplicated        // an earlier chunk stands here again
	Trailing          // something follows the last chunk
)

func (d Damage) String() string {
	return [...]string{"intact", "truncated", "torn", "changed", "dropped", "swapped", "duplicated", "trailing"}[d]
}

// Report says how far a sealed part can be trusted: everything before Chunk is as it was written.
type Report struct {
	Damage Damage
	Chunk  int64 // the number of the first chunk that is not as it should be, from 0
	Bytes  int64 // of plaintext before it
}

func (r Report) String() string {
	switch r.Damage {
	case Intact:
		return fmt.Sprintf("intact, %d chunks", r.Chunk)
	case Truncated:
		return fmt.Sprintf("truncated after %d whole chunks", r.Chunk)
	case Torn:
		return fmt.Sprintf("torn: what follows chunk %d was cut short or changed", r.Chunk)
	}
	return fmt.Sprintf("%s at chunk %d", r.Damage, r.Chunk)
}

// reach is how many chunks to either side are tried to tell what happened to one: 4 MiB.
const reach = 64

// Inspect opens a sealed part, writes what it can trust to w, and says what is wrong with the rest.
// The error is about the header (ErrWrongKey: sealed to somebody else), the reader or the writer.
// Unlike age it also says what was done to the chunks, which it tries at other places than their own.
func Inspect(r io.Reader, w io.Writer, with ...age.Identity) (Report, error) {
	in := bufio.NewReaderSize(r, chunkSize+overhead)
	stream, err := openStream(in, with)
	if err != nil {
		return Report{}, err
	}
	var rep Report
	piece, err := nextPiece(in)
	for {
		if err != nil {
			return rep, err
		}
		if piece == nil {
			// age closes an empty file with an empty chunk, so there is always a last one.
			rep.Damage = Truncated
			return rep, nil
		}
		next, readErr := nextPiece(in)
		plain, last := stream.open(piece, rep.Chunk)
		if plain == nil || last && len(plain) == 0 && rep.Chunk > 0 {
			rep.Damage, err = stream.diagnose(piece, next, in, rep.Chunk)
			return rep, errors.Join(readErr, err)
		}
		if _, err := w.Write(plain); err != nil {
			return rep, fmt.Errorf("inspect: %w", err)
		}
		rep.Chunk++
		rep.Bytes += int64(len(plain))
		if last {
			if next != nil {
				rep.Damage = Trailing
			}
			return rep, readErr
		}
		piece, err = next, readErr
	}
}

// nextPiece reads a whole sealed chunk or what is left; nil at the end.
func nextPiece(r io.Reader) ([]byte, error) {
	piece := make([]byte, chunkSize+overhead)
	n, err := io.ReadFull(r, piece)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return piece[:n], nil
	case err != nil:
		return nil, fmt.Errorf("inspect: %w", err)
	}
	return piece, nil
}

// stream opens chunks (C2SP age, section "Payload": the STREAM construction).
type stream struct{ aead cipher.AEAD }

const nonceSize = 16 // of the payload, behind the header

// maxHeader bounds a header: one of two thousand recipients has 4 MB, and no part has more than one.
const maxHeader = 1 << 20

// openStream reads header and nonce and leaves r at the first chunk.
func openStream(r *bufio.Reader, with []age.Identity) (stream, error) {
	header, err := readHeader(r)
	if err != nil {
		return stream{}, err
	}
	fileKey, err := age.DecryptHeader(header, with...)
	if err != nil {
		if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
			return stream{}, fmt.Errorf("inspect: %w", ErrWrongKey)
		}
		return stream{}, fmt.Errorf("inspect: %w", err)
	}
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(r, nonce); err != nil {
		return stream{}, errors.New("inspect: nothing behind the header")
	}
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", chacha20poly1305.KeySize)
	if err != nil {
		return stream{}, fmt.Errorf("inspect: %w", err)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return stream{}, fmt.Errorf("inspect: %w", err)
	}
	return stream{aead}, nil
}

// readHeader takes the header off r: it ends with the line that starts with "---".
func readHeader(r *bufio.Reader) ([]byte, error) {
	var header []byte
	for {
		line, err := r.ReadSlice('\n')
		header = append(header, line...)
		if err != nil || len(header) > maxHeader {
			return nil, errors.New("inspect: not a file of age")
		}
		if bytes.HasPrefix(line, []byte("--- ")) {
			return header, nil
		}
	}
}

// open returns the plaintext of a piece at its place; nil if it does not authenticate there. An empty
// plaintext is not nil.
func (s stream) open(piece []byte, at int64) (plain []byte, last bool) {
	for _, last := range []bool{false, true} {
		if !last && len(piece) < chunkSize+overhead {
			continue // only the last chunk can be short
		}
		nonce := make([]byte, 0, chacha20poly1305.NonceSize)
		nonce = binary.BigEndian.AppendUint64(append(nonce, 0, 0, 0), uint64(at))
		nonce = append(nonce, 0)
		if last {
			nonce[len(nonce)-1] = 1
		}
		if plain, err := s.aead.Open(make([]byte, 0, len(piece)), nonce, piece, nil); err == nil {
			return plain, last
		}
	}
	return nil, false
}

// place finds the chunk that a piece really is; -1 if it is none near.
func (s stream) place(piece []byte, near int64) int64 {
	for d := int64(0); d <= reach; d++ {
		for _, at := range []int64{near + d, near - d} {
			if at < 0 {
				continue
			}
			if plain, _ := s.open(piece, at); plain != nil {
				return at
			}
		}
	}
	return -1
}

// diagnose says what happened to the piece at a place where it does not authenticate; next is what
// follows it, and r what follows that.
func (s stream) diagnose(piece, next []byte, r io.Reader, at int64) (Damage, error) {
	is := s.place(piece, at)
	switch {
	case is < 0 && next == nil && len(piece) < chunkSize+overhead:
		return Torn, nil
	case is < 0:
		return Changed, nil
	case is == at:
		return Changed, nil // an empty chunk where none may be
	case is < at:
		return Duplicated, nil
	}
	// A later chunk: either this one is gone, or it stands behind.
	for i := 0; i < reach && next != nil; i++ {
		if plain, _ := s.open(next, at); plain != nil {
			return Swapped, nil
		}
		var err error
		if next, err = nextPiece(r); err != nil {
			return Dropped, err
		}
	}
	return Dropped, nil
}

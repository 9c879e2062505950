package seal_test

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"strings"
	"testing"

	vectors "c2sp.org/CCTV/age"
	"filippo.io/age"

	"github.com/bedside-video/bedside/recording/seal"
)

// TestVectors reads the community's test vectors of the format with our reader, which beside age's
// tells what is wrong with a payload.
func TestVectors(t *testing.T) {
	files, err := fs.ReadDir(vectors.Vectors, ".")
	if err != nil {
		t.Fatal(err)
	}
	read, skipped := 0, map[string]int{} // a line for each would hide what else is skipped
	for _, f := range files {
		t.Run(f.Name(), func(t *testing.T) {
			b, err := fs.ReadFile(vectors.Vectors, f.Name())
			if err != nil {
				t.Fatal(err)
			}
			v := parseVector(t, b)
			if v.skip != "" {
				skipped[v.skip]++
				return
			}
			read++
			v.check(t)
		})
	}
	t.Logf("figure: %d of %d vectors of the age format read; not for us: %v", read, len(files), skipped)
	if read < 80 {
		t.Errorf("only %d vectors were read", read)
	}
}

type vector struct {
	expect, payload, skip string
	identities            []age.Identity
	file                  []byte
}

func parseVector(t *testing.T, b []byte) vector {
	t.Helper()
	v := vector{}
	compressed := false
	for {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			t.Fatal("no payload")
		}
		b = rest
		if len(line) == 0 {
			break
		}
		key, value, _ := strings.Cut(string(line), ": ")
		switch key {
		case "expect":
			v.expect = value
		case "payload":
			v.payload = value
		case "identity":
			v.identities = append(v.identities, parseIdentity(t, value))
		case "passphrase":
			v.skip = "recordings are not sealed with passphrases"
		case "armored":
			v.skip = "recordings are not armored"
		case "compressed":
			compressed = true
		}
	}
	v.file = b
	if compressed {
		r, err := zlib.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if v.file, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func parseIdentity(t *testing.T, s string) age.Identity {
	t.Helper()
	if id, err := age.ParseX25519Identity(s); err == nil {
		return id
	}
	id, err := age.ParseHybridIdentity(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (v *vector) check(t *testing.T) {
	t.Helper()
	var out bytes.Buffer
	rep, err := seal.Inspect(bytes.NewReader(v.file), &out, v.identities...)
	switch intact := err == nil && rep.Damage == seal.Intact; v.expect {
	case "success":
		if !intact {
			t.Fatalf("%v, %v", rep, err)
		}
	case "payload failure":
		if intact {
			t.Fatalf("read as intact: %+v", rep)
		}
	default:
		if err == nil {
			t.Fatalf("%s expected, and the header was read", v.expect)
		}
		return
	}
	if sum := sha256.Sum256(out.Bytes()); v.payload != "" && hex.EncodeToString(sum[:]) != v.payload {
		t.Errorf("released %d bytes that are not the vector's", out.Len())
	}
}

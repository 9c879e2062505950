package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// head is the size of a log and the root of its tree.
type head struct {
	size uint64
	root tlog.Hash
}

// text is what is signed: that of a checkpoint (C2SP tlog-checkpoint) if title is the log's origin.
func (h head) text(title string) string {
	return fmt.Sprintf("%s\n%d\n%s\n", title, h.size, h.root)
}

// sign returns the signed note.
func (h head) sign(k Key, title string) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: h.text(title)}, k.signer)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return signed, nil
}

// open verifies a checkpoint: of the log itself (strict: not a byte but what sign returns) or brought
// from elsewhere, where signatures of witnesses may have been added.
func (v verifier) open(signed []byte, strict bool) (head, error) {
	n, err := note.Open(signed, v.keys)
	if err != nil {
		return head{}, fmt.Errorf("checkpoint: %w", err)
	}
	h, err := v.parse(n.Text)
	if err != nil {
		return head{}, fmt.Errorf("checkpoint: %w", err)
	}
	if strict && !bytes.Equal(signed, restored(n.Text, n.Sigs[0])) {
		return head{}, errors.New("checkpoint: not in the form in which it was written")
	}
	return h, nil
}

func (v verifier) parse(text string) (head, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] != v.origin {
		return head{}, fmt.Errorf("not of the log %q", v.origin)
	}
	h, err := parseHead(lines[1], lines[2])
	if err != nil {
		return head{}, err
	}
	return h, nil
}

func parseHead(size, root string) (head, error) {
	var h head
	var err error
	if h.size, err = strconv.ParseUint(size, 10, 63); err != nil || strconv.FormatUint(h.size, 10) != size {
		return head{}, errors.New("no size")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(root)
	if err != nil || len(b) != tlog.HashSize {
		return head{}, errors.New("no root")
	}
	copy(h.root[:], b)
	return h, nil
}

// restored returns the note that has one signature. note.Open accepts base64 whose unused bits are
// set; this does not return them.
func restored(text string, s note.Signature) []byte {
	raw, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil {
		return nil
	}
	return []byte(text + "\n— " + s.Name + " " + base64.StdEncoding.EncodeToString(raw) + "\n")
}

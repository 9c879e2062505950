package recording

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
)

// format names the layout of manifests.
const format = "bedside-recording/1"

// State of a recording.
type State string

// The states. A recording is open until it was stopped; after a crash the next start makes it
// recovered, with all that reached the disk.
const (
	Open      State = "open"
	Complete  State = "complete"
	Recovered State = "recovered"
	Erased    State = "erased"
)

// Manifest says what a recording consists of. It holds no name of a person. It is signed by the node
// once the recording is over.
type Manifest struct {
	Format       string     `json:"format"`
	ID           string     `json:"id"`
	Tenant       string     `json:"tenant"`
	Consultation string     `json:"consultation"`
	Node         string     `json:"node"`
	State        State      `json:"state"`
	Created      time.Time  `json:"created"` // the first Tap: time 0 of every part
	Ended        time.Time  `json:"ended,omitzero"`
	Reason       string     `json:"reason,omitempty"` // why it ended
	RetainUntil  time.Time  `json:"retain_until,omitzero"`
	Key          KeyInfo    `json:"key"`
	Parts        []Part     `json:"parts"`
	Consent      []Consent  `json:"consent,omitempty"`
	Marks        []Mark     `json:"marks,omitempty"`
	Gaps         []Gap      `json:"gaps,omitempty"`
	MoreGaps     int        `json:"more_gaps,omitempty"` // that are not listed
	Bytes        int64      `json:"bytes"`               // of all parts
	Signature    *Signature `json:"signature,omitempty"`
}

// KeyInfo says to whom a recording is sealed.
type KeyInfo struct {
	Public      string   `json:"public"`     // what the parts are sealed to
	Recipients  []string `json:"recipients"` // SHA-256 of those to whom the key was sealed at first
	PostQuantum bool     `json:"post_quantum"`
}

// Part is one file: one participant for some time.
type Part struct {
	N           int         `json:"n"`
	Participant string      `json:"participant"`
	Tracks      []PartTrack `json:"tracks"`
	Started     time.Time   `json:"started"`
	Ended       time.Time   `json:"ended,omitzero"`
	Size        int64       `json:"size"`
	SHA256      string      `json:"sha256,omitempty"`
	// Cut tells that it has no end: the server died, or the disk failed. What is there can be read.
	Cut bool `json:"cut,omitempty"`
}

// PartTrack is one track of a part.
type PartTrack struct {
	Source codec.Source `json:"source"`
	Codec  string       `json:"codec"`
}

// Consent is what a participant decided, or somebody for them.
type Consent struct {
	At          time.Time `json:"at"`
	Participant string    `json:"participant"`
	By          string    `json:"by,omitempty"` // a proxy
	Decision    string    `json:"decision"`     // granted, denied, withdrawn
	Notice      string    `json:"notice,omitempty"`
	Event       string    `json:"event,omitempty"` // in the audit log
}

// Mark is something that happened to the recording: paused, resumed, failed, recovered.
type Mark struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Reason string    `json:"reason,omitempty"`
}

// Gap is media that is not there.
type Gap struct {
	At          time.Time    `json:"at"`
	Participant string       `json:"participant"`
	Source      codec.Source `json:"source"`
	Packets     int          `json:"packets"`          // lost on the way here
	Frames      int          `json:"frames,omitempty"` // of pictures that are useless without them
}

// Bounds of a manifest's lists, so that nobody fills the disk with them.
const (
	maxParts   = 1000
	maxGaps    = 500
	maxEvents  = 2000
	maxEncoded = 4 << 20
)

// Signature of a manifest: Ed25519 over its canonical JSON (RFC 8785) without this field.
type Signature struct {
	Key   string `json:"key"` // public, base64
	Value string `json:"value"`
}

// ErrSignature tells that a manifest is not as it was signed.
var ErrSignature = errors.New("signature does not fit")

// canonical is the JSON that is signed: sorted keys, no spaces. All our keys and values are strings,
// booleans and integers, for which that is RFC 8785.
func canonical(m Manifest) ([]byte, error) {
	m.Signature = nil
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// sign makes the manifest the node's.
func (m *Manifest) sign(key ed25519.PrivateKey) error {
	b, err := canonical(*m)
	if err != nil {
		return fmt.Errorf("sign manifest: %w", err)
	}
	m.Signature = &Signature{
		Key:   base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey)),
		Value: base64.StdEncoding.EncodeToString(ed25519.Sign(key, b)),
	}
	return nil
}

// Verify checks the signature by a key that is known from elsewhere, or, if there is none, by the
// manifest's own, which only shows that nobody changed it who could not sign anew.
func (m *Manifest) Verify(key ed25519.PublicKey) error {
	if m.Signature == nil {
		return fmt.Errorf("manifest: not signed: %w", ErrSignature)
	}
	own, err := base64.StdEncoding.DecodeString(m.Signature.Key)
	if err != nil || len(own) != ed25519.PublicKeySize {
		return fmt.Errorf("manifest: malformed key: %w", ErrSignature)
	}
	if key == nil {
		key = own
	}
	value, err := base64.StdEncoding.DecodeString(m.Signature.Value)
	if err != nil {
		return fmt.Errorf("manifest: malformed signature: %w", ErrSignature)
	}
	b, err := canonical(*m)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if !key.Equal(ed25519.PublicKey(own)) || !ed25519.Verify(key, b, value) {
		return fmt.Errorf("manifest: %w", ErrSignature)
	}
	return nil
}

// ParseManifest reads a manifest without checking its signature.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	if len(b) > maxEncoded {
		return m, fmt.Errorf("manifest: larger than %d bytes", maxEncoded)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // what we do not know would not be covered by the signature
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	if d.More() {
		return m, errors.New("manifest: something follows it")
	}
	if m.Format != format || !validID(m.ID) {
		return m, fmt.Errorf("manifest: not of the format %s", format)
	}
	for i, p := range m.Parts {
		if p.N != i {
			return m, fmt.Errorf("manifest: part %d is numbered %d", i, p.N)
		}
	}
	return m, nil
}

func (m *Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return append(b, '\n'), nil
}

// Expired tells whether a recording was to be kept until now at most, and is there to be erased.
func (m *Manifest) Expired(now time.Time) bool {
	return !m.RetainUntil.IsZero() && !now.Before(m.RetainUntil) && m.State != Open && m.State != Erased
}

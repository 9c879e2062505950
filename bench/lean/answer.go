package lean

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// ErrAnswer is wrapped by every error that says what is wrong with an answer.
var ErrAnswer = errors.New("bad answer")

const (
	maxAnswerBytes = 256 << 10
	maxCandidates  = 16
)

// Answer is what a connection needs to know of an answer.
type Answer struct {
	ufrag, password string
	fingerprint     string // as RFC 8122 writes it, upper case
	active          bool   // the answerer is the DTLS client
	candidates      []netip.AddrPort
	Lines           []AnswerLine // in the order of the m-lines
}

// AnswerLine is what was settled for one m-line.
type AnswerLine struct {
	Mid       string
	Rejected  bool
	PT, RTXPT uint8 // of VP8 or Opus; 0 where there is none
	RED       uint8 // of RED over Opus; 0 where there is none
	IDs       Extensions
	// What the answerer sends on the line, if it says so.
	SSRC, RTX     uint32
	Stream, Track string
}

// Extensions are the ids of header extensions, 0 where not negotiated.
type Extensions struct{ MID, RID, RepairedRID, TransportCC, AudioLevel uint8 }

// ParseAnswer reads an answer.
func ParseAnswer(text string) (*Answer, error) {
	if len(text) > maxAnswerBytes {
		return nil, fmt.Errorf("lean: %w: larger than %d bytes", ErrAnswer, maxAnswerBytes)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("lean: %w: not valid SDP", ErrAnswer)
	}
	a := &Answer{}
	a.transport(d.Attributes)
	for _, m := range d.MediaDescriptions {
		a.transport(m.Attributes)
		a.Lines = append(a.Lines, readLine(m))
	}
	if a.ufrag == "" || a.password == "" || a.fingerprint == "" {
		return nil, fmt.Errorf("lean: %w: no ICE credentials or no fingerprint", ErrAnswer)
	}
	return a, nil
}

// transport takes what is said of the one transport of the bundle; what is said first holds.
func (a *Answer) transport(attributes []sdp.Attribute) {
	for _, x := range attributes {
		switch x.Key {
		case "ice-ufrag":
			first(&a.ufrag, x.Value)
		case "ice-pwd":
			first(&a.password, x.Value)
		case "fingerprint":
			if algorithm, digest, ok := strings.Cut(x.Value, " "); ok && strings.EqualFold(algorithm, "sha-256") {
				first(&a.fingerprint, "sha-256 "+strings.ToUpper(digest))
			}
		case "setup":
			a.active = a.active || x.Value == "active"
		case "candidate":
			if at, ok := readCandidate(x.Value); ok && len(a.candidates) < maxCandidates {
				a.candidates = append(a.candidates, at)
			}
		}
	}
}

func first(to *string, value string) {
	if *to == "" {
		*to = value
	}
}

// readCandidate reads a=candidate (RFC 8839 section 5.1) as far as it is about RTP over UDP at an
// address; names (mDNS) are nobody's whom a load generator calls.
func readCandidate(value string) (netip.AddrPort, bool) {
	f := strings.Fields(value)
	if len(f) < 6 || f[1] != "1" || !strings.EqualFold(f[2], "udp") {
		return netip.AddrPort{}, false
	}
	addr, err := netip.ParseAddr(f[4])
	port, err2 := strconv.ParseUint(f[5], 10, 16)
	if err != nil || err2 != nil || port == 0 || addr.Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), true
}

func readLine(m *sdp.MediaDescription) AnswerLine {
	l := AnswerLine{Rejected: m.MediaName.Port.Value == 0}
	for _, a := range m.Attributes {
		switch a.Key {
		case "mid":
			first(&l.Mid, a.Value)
		case "msid":
			l.Stream, l.Track, _ = strings.Cut(a.Value, " ")
		case "inactive":
			l.Rejected = true
		case "rtpmap", "fmtp":
			l.payload(a)
		case "extmap":
			l.IDs.read(a.Value)
		case "ssrc-group":
			f := strings.Fields(a.Value)
			if len(f) == 3 && f[0] == "FID" {
				l.SSRC, l.RTX = number(f[1]), number(f[2])
			}
		case "ssrc":
			if id, _, _ := strings.Cut(a.Value, " "); l.SSRC == 0 {
				l.SSRC = number(id)
			}
		}
	}
	return l
}

// number reads an SSRC; 0 for what is none.
func number(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// payload finds the payload types of the codecs that were offered, and of the RTX of the first.
func (l *AnswerLine) payload(a sdp.Attribute) {
	id, rest, _ := strings.Cut(a.Value, " ")
	pt, err := strconv.ParseUint(id, 10, 7)
	if err != nil {
		return
	}
	if a.Key == "fmtp" {
		if apt, ok := strings.CutPrefix(rest, "apt="); ok && l.PT != 0 && apt == strconv.Itoa(int(l.PT)) {
			l.RTXPT = uint8(pt)
		}
		return
	}
	name, _, _ := strings.Cut(rest, "/")
	if strings.EqualFold(name, "red") {
		l.RED = uint8(pt)
	}
	if l.PT == 0 && (strings.EqualFold(name, "VP8") || strings.EqualFold(name, "opus")) {
		l.PT = uint8(pt)
	}
}

func (x *Extensions) read(value string) {
	f := strings.Fields(value)
	if len(f) < 2 {
		return
	}
	id, _, _ := strings.Cut(f[0], "/")
	n, err := strconv.ParseUint(id, 10, 8)
	if err != nil || n == 0 || n > 14 { // one-byte headers (RFC 8285 section 4.2)
		return
	}
	switch f[1] {
	case sdp.SDESMidURI:
		x.MID = uint8(n)
	case sdp.SDESRTPStreamIDURI:
		x.RID = uint8(n)
	case sdp.SDESRepairRTPStreamIDURI:
		x.RepairedRID = uint8(n)
	case sdp.TransportCCURI:
		x.TransportCC = uint8(n)
	case sdp.AudioLevelURI:
		x.AudioLevel = uint8(n)
	}
}

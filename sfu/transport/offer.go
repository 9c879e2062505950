package transport

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Limits of an offer. Real ones: Chromium's for four audio and eight video slots, untrimmed, has
// 48 kB, 14 m-lines and 45 formats a video line (measured 2026-11-22). Parsers are the classic way
// into a media server (Janus CVE-2020-13898 to -13901), so what is larger is not parsed at all.
const (
	maxOfferBytes = 128 << 10
	maxLineBytes  = 4 << 10
	maxMLines     = 40
	maxFormats    = 64
	maxSSRCLines  = 128
	maxMidBytes   = 32
	// maxFingerprints: a bundle has one certificate; browsers name it once.
	maxFingerprints = 4
)

// ErrOffer is wrapped by every error that says what is wrong with an offer. The text names SDP
// attributes and m-line numbers but repeats nothing of the offer.
var ErrOffer = errors.New("bad offer")

// ErrCodec tells that an m-line of an offer lacks the codec that everybody in the room can take.
var ErrCodec = errors.New("no codec in common")

// MLine is one m-line of an offer.
type MLine struct {
	Mid   string
	Kind  codec.Kind
	Sends bool // the client sends on it; otherwise it is a slot, or rejected
	Slot  bool // the client receives on it
	// Repeats: audio in which the client asks for what is lost, or sends it again when it is asked.
	Repeats bool
	// Bounded: video that the client sends, which takes a limit of everything that it sends (REMB).
	Bounded bool
}

// offer is what the server needs to know of an offer.
type offer struct {
	lines        []offeredLine
	ufrag        string
	fingerprints []string // "sha-256 AB:CD…", of the whole bundle
	allowMixed   bool     // RFC 8285 section 6
	ids          extensionIDs
	ssrcs        map[uint32]int // SSRCs declared with a=ssrc -> index in lines
}

func offerError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrOffer}, args...)...)
}

// parseOffer checks an offer against the rules of the protocol. Of each kind it wants the first codec
// that preferred names.
func parseOffer(text string, preferred func(codec.Kind) []codec.Name) (*offer, error) {
	if err := checkSize(text); err != nil {
		return nil, err
	}
	// Candidates of the client are ignored: it is the client that checks, against ours. Parsing
	// them would let an offer name thousands of addresses (ICE flooding, RFC 8445 section 19.5.1).
	var d sdp.SessionDescription
	if err := d.UnmarshalString(withoutCandidates(text)); err != nil {
		return nil, offerError("not valid SDP")
	}
	o := &offer{ssrcs: map[uint32]int{}}
	_, o.allowMixed = d.Attribute("extmap-allow-mixed")
	bundled, err := bundleOf(&d)
	if err != nil {
		return nil, err
	}
	for i, m := range d.MediaDescriptions {
		if err := o.addLine(i, &d, m, bundled, preferred); err != nil {
			return nil, err
		}
	}
	if len(o.lines) == 0 {
		return nil, offerError("no m-lines")
	}
	return o, nil
}

func checkSize(text string) error {
	if len(text) > maxOfferBytes {
		return offerError("larger than %d bytes", maxOfferBytes)
	}
	lines, ssrcs := 0, 0
	for line := range strings.Lines(text) {
		if len(line) > maxLineBytes {
			return offerError("a line is longer than %d bytes", maxLineBytes)
		}
		switch {
		case strings.HasPrefix(line, "m="):
			lines++
			if strings.Count(line, " ") > maxFormats+2 {
				return offerError("an m-line has more than %d formats", maxFormats)
			}
		case strings.HasPrefix(line, "a=ssrc"):
			ssrcs++
		}
	}
	if lines > maxMLines {
		return offerError("more than %d m-lines", maxMLines)
	}
	if ssrcs > maxSSRCLines {
		return offerError("more than %d a=ssrc lines", maxSSRCLines)
	}
	return nil
}

func withoutCandidates(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "a=candidate") && !strings.HasPrefix(line, "a=end-of-candidates") &&
			!strings.HasPrefix(line, "a=remote-candidates") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// bundleOf returns the mids of the one BUNDLE group (RFC 9143).
func bundleOf(d *sdp.SessionDescription) (map[string]bool, error) {
	mids := map[string]bool{}
	for _, a := range d.Attributes {
		fields := strings.Fields(a.Value)
		if a.Key != "group" || len(fields) == 0 || fields[0] != "BUNDLE" {
			continue
		}
		if len(mids) > 0 {
			return nil, offerError("more than one BUNDLE group")
		}
		for _, mid := range fields[1:] {
			mids[mid] = true
		}
	}
	if len(mids) == 0 {
		return nil, offerError("no BUNDLE group (bundlePolicy must be max-bundle)")
	}
	return mids, nil
}

// addLine checks m-line i and takes over what it says.
func (o *offer) addLine(
	i int, d *sdp.SessionDescription, m *sdp.MediaDescription, bundled map[string]bool, preferred func(codec.Kind) []codec.Name,
) error {
	n := i + 1
	line := offeredLine{}
	switch m.MediaName.Media {
	case "audio":
		line.Kind = codec.Audio
	case "video":
		line.Kind = codec.Video
	case "application":
		return offerError("m-line %d: data channels are not used", n)
	default:
		return offerError("m-line %d: neither audio nor video", n)
	}
	if got := strings.Join(m.MediaName.Protos, "/"); got != "UDP/TLS/RTP/SAVPF" {
		return offerError("m-line %d: the protocol must be UDP/TLS/RTP/SAVPF", n)
	}
	mid, ok := m.Attribute("mid")
	if !ok || mid == "" || len(mid) > maxMidBytes {
		return offerError("m-line %d: needs a=mid of at most %d characters", n, maxMidBytes)
	}
	for _, other := range o.lines {
		if other.Mid == mid {
			return offerError("m-line %d: a=mid of another m-line", n)
		}
	}
	if !bundled[mid] {
		return offerError("m-line %d: not in the BUNDLE group", n)
	}
	line.Mid = mid
	if err := o.checkTransport(n, d, m); err != nil {
		return err
	}
	if err := direction(n, m, &line.MLine); err != nil {
		return err
	}
	wanted := preferred(line.Kind)
	line.read(m, wanted)
	if line.takes(wanted[0]) == nil {
		// The codec of the room on every line, so that whoever is in it can be shown to everybody else.
		return fmt.Errorf("%w: m-line %d must offer %s", ErrCodec, n, wanted[0])
	}
	o.ids.read(m)
	o.addSSRCs(i, m)
	o.lines = append(o.lines, line)
	return nil
}

// checkTransport wants what ICE and DTLS need, on the m-line or for the session.
func (o *offer) checkTransport(n int, d *sdp.SessionDescription, m *sdp.MediaDescription) error {
	get := func(key string) string {
		if v, ok := m.Attribute(key); ok {
			return v
		}
		v, _ := d.Attribute(key)
		return v
	}
	if get("fingerprint") == "" {
		return offerError("m-line %d: needs a=fingerprint", n)
	}
	ufrag, password := get("ice-ufrag"), get("ice-pwd")
	if len(ufrag) < 4 || len(ufrag) > 256 || len(password) < 22 || len(password) > 256 {
		return offerError("m-line %d: needs a=ice-ufrag and a=ice-pwd as of RFC 8839 section 5.4", n)
	}
	if o.ufrag == "" {
		o.ufrag = ufrag
	}
	for _, from := range [][]sdp.Attribute{d.Attributes, m.Attributes} {
		for _, a := range from {
			if a.Key == "fingerprint" && len(o.fingerprints) < maxFingerprints && !slices.Contains(o.fingerprints, a.Value) {
				o.fingerprints = append(o.fingerprints, a.Value)
			}
		}
	}
	if _, ok := m.Attribute("rtcp-mux"); !ok {
		return offerError("m-line %d: needs a=rtcp-mux", n)
	}
	if setup := get("setup"); setup != "actpass" && setup != "active" {
		return offerError("m-line %d: a=setup must be actpass or active", n)
	}
	return nil
}

func direction(n int, m *sdp.MediaDescription, line *MLine) error {
	for _, a := range m.Attributes {
		switch a.Key {
		case "sendonly":
			line.Sends = true
		case "recvonly":
			line.Slot = true
		case "sendrecv":
			return offerError("m-line %d: must be sendonly or recvonly", n)
		}
	}
	return nil
}

// addSSRCs takes over declared SSRCs, for clients that send no MID extension.
func (o *offer) addSSRCs(i int, m *sdp.MediaDescription) {
	for _, a := range m.Attributes {
		if a.Key != "ssrc" {
			continue
		}
		id, _, _ := strings.Cut(a.Value, " ")
		if ssrc, err := strconv.ParseUint(id, 10, 32); err == nil {
			o.ssrcs[uint32(ssrc)] = i
		}
	}
}

package transport

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Header extensions that the server uses, by URI.
const (
	extMID         = sdp.SDESMidURI
	extRID         = sdp.SDESRTPStreamIDURI
	extRepairRID   = sdp.SDESRepairRTPStreamIDURI
	extTransportCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	extAudioLevel  = sdp.AudioLevelURI
	extSendTime    = sdp.ABSSendTimeURI

	feedbackNACK = "nack"      // RFC 4585 section 4.2
	feedbackREMB = "goog-remb" // draft-alvestrand-rmcat-remb-03

	maxPayloadTypes = 128
	maxEncodings    = 3  // of simulcast
	maxRIDBytes     = 16 // RFC 8852 section 3.1 sets no limit; the header extension's is 16
)

// offeredLine is an m-line with what the server can do with it.
type offeredLine struct {
	MLine
	formats    []format    // in the order of our preference
	extensions []extension // that we know, in the order of the offer
	rids       []string    // of simulcast, as the client sends it
}

// format is a payload type that both sides can use.
type format struct {
	codec    codec.Name
	pt, rtx  uint8  // rtx 0: not offered
	red      uint8  // of RED over pt (RFC 2198); 0: not offered
	redFirst bool   // the client would rather send RED
	fmtp     string // ours, "" for none
	feedback []string
}

type extension struct {
	id  uint8
	uri string
}

// extensionIDs are the header extension ids of the bundle; 0 where not negotiated. One id means
// one URI in the whole bundle (RFC 9143 section 12).
type extensionIDs struct{ mid, rid, repairRID, transportCC, audioLevel, sendTime uint8 }

func (ids *extensionIDs) of(uri string) *uint8 {
	switch uri {
	case extMID:
		return &ids.mid
	case extRID:
		return &ids.rid
	case extRepairRID:
		return &ids.repairRID
	case extTransportCC:
		return &ids.transportCC
	case extAudioLevel:
		return &ids.audioLevel
	case extSendTime:
		return &ids.sendTime
	}
	return nil
}

func (ids *extensionIDs) read(m *sdp.MediaDescription) {
	for _, x := range extensionsOf(m) {
		if id := ids.of(x.uri); *id == 0 {
			*id = x.id
		}
	}
}

// extensionsOf returns the header extensions of an m-line that the server knows. Ids are those of
// one-byte headers (RFC 8285 section 4.2): what we write has them.
func extensionsOf(m *sdp.MediaDescription) []extension {
	var out []extension
	for _, a := range m.Attributes {
		if a.Key != "extmap" {
			continue
		}
		number, uri, _ := strings.Cut(a.Value, " ")
		number, _, _ = strings.Cut(number, "/")
		uri, _, _ = strings.Cut(uri, " ")
		id, err := strconv.ParseUint(number, 10, 8)
		known := new(extensionIDs).of(uri) != nil
		taken := slices.ContainsFunc(out, func(x extension) bool { return x.uri == uri || uint64(x.id) == id })
		if err == nil && id >= 1 && id <= 14 && known && !taken {
			out = append(out, extension{id: uint8(id), uri: uri})
		}
	}
	return out
}

// takes returns the format of a codec, nil when the line has none.
func (l *offeredLine) takes(name codec.Name) *format {
	for i := range l.formats {
		if l.formats[i].codec == name {
			return &l.formats[i]
		}
	}
	return nil
}

// read takes over what an m-line offers of the codecs in wanted.
func (l *offeredLine) read(m *sdp.MediaDescription, wanted []codec.Name) {
	t := tableOf(m)
	for _, name := range wanted {
		if f, ok := t.choose(l.Kind, name, m.MediaName.Formats); ok {
			if l.Sends && l.Kind == codec.Video && t.knows(uint64(f.pt), feedbackREMB) {
				f.feedback = append(f.feedback, feedbackREMB)
				l.Bounded = true
			}
			l.formats = append(l.formats, f)
			l.Repeats = l.Repeats || f.repeats()
		}
	}
	l.extensions = extensionsOf(m)
	if !l.Sends || l.Kind == codec.Video { // only a voice's is looked at, and a packet has four bytes for it
		l.extensions = slices.DeleteFunc(l.extensions, func(x extension) bool { return x.uri == extSendTime })
	}
	if l.Sends {
		l.rids = simulcastOf(m)
	}
}

// formatTable is what an m-line says of its payload types.
type formatTable struct {
	rtpmap, fmtp [maxPayloadTypes]string
	feedback     [maxPayloadTypes][]string
	forAll       []string // a=rtcp-fb:*
}

func tableOf(m *sdp.MediaDescription) *formatTable {
	t := &formatTable{}
	for _, a := range m.Attributes {
		number, rest, ok := strings.Cut(a.Value, " ")
		if !ok {
			continue
		}
		if a.Key == "rtcp-fb" && number == "*" {
			t.forAll = append(t.forAll, rest)
			continue
		}
		pt, err := strconv.ParseUint(number, 10, 8)
		if err != nil || pt >= maxPayloadTypes {
			continue
		}
		switch a.Key {
		case "rtpmap":
			t.rtpmap[pt] = rest
		case "fmtp":
			t.fmtp[pt] = rest
		case "rtcp-fb":
			t.feedback[pt] = append(t.feedback[pt], rest)
		}
	}
	return t
}

// rtpmapOf is how SDP calls a codec (RFC 7587, RFC 7741, RFC 6184).
func rtpmapOf(name codec.Name) string {
	switch name {
	case codec.Opus:
		return "opus/48000/2"
	case codec.H264:
		return "H264/90000"
	}
	return "VP8/90000"
}

// rtpmapRED is how SDP calls RED over Opus: with the clock and the channels of what it carries.
const rtpmapRED = "red/48000/2"

// repeats tells whether what is lost of the format is asked for, and sent again as it was: of audio no
// browser has RTX.
func (f *format) repeats() bool {
	return f.codec == codec.Opus && slices.Contains(f.feedback, feedbackNACK)
}

// payloadTypes lists those of the format, the client's preferred first, as an answer does (RFC 3264
// section 6.1): what is first is what the client sends.
func (f *format) payloadTypes() []uint8 {
	types := []uint8{f.pt}
	if f.rtx != 0 {
		types = append(types, f.rtx)
	}
	switch {
	case f.red != 0 && f.redFirst:
		types = slices.Insert(types, 0, f.red)
	case f.red != 0:
		types = append(types, f.red)
	}
	return types
}

// choose finds the first payload type of a codec that the server can forward.
func (t *formatTable) choose(kind codec.Kind, name codec.Name, order []string) (format, bool) {
	for _, number := range order {
		pt, err := strconv.ParseUint(number, 10, 8)
		if err != nil || pt >= maxPayloadTypes {
			continue
		}
		if !strings.EqualFold(t.rtpmap[pt], rtpmapOf(name)) {
			continue
		}
		f := format{codec: name, pt: uint8(pt)}
		switch name {
		case codec.Opus:
			f.fmtp = "minptime=10;useinbandfec=1"
			f.red, f.redFirst = t.redOf(number, order)
		case codec.H264:
			if f.fmtp = answerH264(t.fmtp[pt]); f.fmtp == "" {
				continue
			}
		}
		f.feedback = t.feedbackOf(pt, kind)
		if kind == codec.Video {
			f.rtx = t.rtxOf(number, order)
		}
		return f, true
	}
	return format{}, false
}

// feedbackOf returns the kinds of feedback that both sides know.
func (t *formatTable) feedbackOf(pt uint64, kind codec.Kind) []string {
	ours := []string{"transport-cc", feedbackNACK}
	if kind == codec.Video {
		ours = []string{"transport-cc", "ccm fir", feedbackNACK, "nack pli"}
	}
	return slices.DeleteFunc(ours, func(f string) bool { return !t.knows(pt, f) })
}

// knows tells whether the client offers a kind of feedback.
func (t *formatTable) knows(pt uint64, feedback string) bool {
	return slices.Contains(t.feedback[pt], feedback) || slices.Contains(t.forAll, feedback)
}

// rtxOf finds the payload type of the retransmissions of another (RFC 4588 section 8.1).
func (t *formatTable) rtxOf(media string, order []string) uint8 {
	for _, number := range order {
		pt, err := strconv.ParseUint(number, 10, 8)
		if err != nil || pt >= maxPayloadTypes {
			continue
		}
		name, _, _ := strings.Cut(t.rtpmap[pt], "/")
		apt, _, _ := strings.Cut(t.fmtp[pt], ";")
		if strings.EqualFold(name, "rtx") && strings.TrimSpace(apt) == "apt="+media {
			return uint8(pt)
		}
	}
	return 0
}

// redOf finds the payload type of RED over another, whose every block is of that one (RFC 2198 section
// 5), and tells whether the client prefers it.
func (t *formatTable) redOf(media string, order []string) (red uint8, first bool) {
	for i, number := range order {
		pt, err := strconv.ParseUint(number, 10, 8)
		if err != nil || pt >= maxPayloadTypes || !strings.EqualFold(t.rtpmap[pt], rtpmapRED) {
			continue
		}
		types := strings.Split(t.fmtp[pt], "/")
		if len(types) > 1 && !slices.ContainsFunc(types, func(s string) bool { return s != media }) {
			return uint8(pt), i < slices.Index(order, media)
		}
	}
	return 0, false
}

// answerH264 returns the format parameters that the server answers to those of an offer, "" when they
// are of an H.264 that not everybody decodes: other than baseline, or without packetization mode 1
// (RFC 6184 section 8.2.2). An offer without a profile means baseline.
func answerH264(fmtp string) string {
	mode, profile := "", "42e01f"
	for p := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		switch strings.ToLower(key) {
		case "packetization-mode":
			mode = value
		case "profile-level-id":
			profile = strings.ToLower(value)
		}
	}
	if mode != "1" || len(profile) != 6 || !strings.HasPrefix(profile, "42") {
		return ""
	}
	if _, err := strconv.ParseUint(profile, 16, 32); err != nil {
		return ""
	}
	return "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + profile
}

// simulcastOf returns the RIDs that a client sends, of alternatives the first (RFC 8853).
func simulcastOf(m *sdp.MediaDescription) []string {
	value, _ := m.Attribute("simulcast")
	direction, streams, _ := strings.Cut(value, " ")
	if direction != "send" {
		return nil
	}
	var out []string
	for stream := range strings.SplitSeq(streams, ";") {
		rid, _, _ := strings.Cut(stream, ",")
		rid = strings.TrimPrefix(strings.TrimSpace(rid), "~") // paused at first
		if len(out) < maxEncodings && isRID(rid) && !slices.Contains(out, rid) {
			out = append(out, rid)
		}
	}
	return out
}

// isRID tells whether an identifier is one (RFC 8851 section 10, RFC 8852).
func isRID(s string) bool {
	if s == "" || len(s) > maxRIDBytes {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

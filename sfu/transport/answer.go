package transport

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/sfu/codec"
)

// Header extensions that the server uses, by URI.
const (
	extMID           = sdp.SDESMidURI
	extRID           = sdp.SDESRTPStreamIDURI
	extRepairRID     = sdp.SDESRepairRTPStreamIDURI
	extTransportCC   = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
	extAudioLevel    = sdp.AudioLevelURI
	rtxMime          = "rtx"
	maxPayloadTypes  = 128
	candidateTypePri = 126 // host, RFC 8445 section 5.1.2.2
)

// negotiated is what an answer settled, in the form that the packet path needs. Immutable.
type negotiated struct {
	ids   extensionIDs
	lines map[string]*receiveLine // the client's own m-lines by mid
	// declared maps SSRCs that the offer declared; repair maps RTX SSRCs to media SSRCs.
	declared map[uint32]string
	repair   map[uint32]uint32
}

// extensionIDs are the header extension ids of the bundle; 0 where not negotiated. One id means
// one URI in the whole bundle (RFC 9143 section 12).
type extensionIDs struct{ mid, rid, repairRID, transportCC, audioLevel uint8 }

// receiveLine is one m-line that the client sends on.
type receiveLine struct {
	mid    string
	codecs [maxPayloadTypes]codec.Name // 0 where the payload type is not a codec of ours
	repair [maxPayloadTypes]uint8      // RTX payload type -> payload type it repairs; 0: no RTX
	// simulcast: several encodings share the m-line, so a stream without RID is nobody's yet.
	simulcast bool
}

// readAnswer extracts from our own answer what was agreed.
func readAnswer(text string, o *offer) (*negotiated, iceCredentials, error) {
	var d sdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		return nil, iceCredentials{}, fmt.Errorf("transport: own answer: %w", err)
	}
	n := &negotiated{lines: map[string]*receiveLine{}, declared: map[uint32]string{}, repair: o.repair}
	var ice iceCredentials
	for i, m := range d.MediaDescriptions {
		if ice.ufrag == "" {
			ice.ufrag, _ = m.Attribute("ice-ufrag")
			ice.password, _ = m.Attribute("ice-pwd")
		}
		n.ids.read(m)
		if i < len(o.lines) && o.lines[i].Sends {
			n.lines[o.lines[i].Mid] = readLine(o.lines[i].Mid, o.lines[i].Kind.String(), m)
		}
	}
	for ssrc, i := range o.ssrcs {
		if o.lines[i].Sends {
			n.declared[ssrc] = o.lines[i].Mid
		}
	}
	return n, ice, nil
}

type iceCredentials struct{ ufrag, password string }

func (ids *extensionIDs) read(m *sdp.MediaDescription) {
	for _, a := range m.Attributes {
		if a.Key != "extmap" {
			continue
		}
		number, uri, _ := strings.Cut(a.Value, " ")
		number, _, _ = strings.Cut(number, "/")
		id, err := strconv.ParseUint(number, 10, 8)
		if err != nil {
			continue
		}
		uri, _, _ = strings.Cut(uri, " ")
		switch uri {
		case extMID:
			ids.mid = uint8(id)
		case extRID:
			ids.rid = uint8(id)
		case extRepairRID:
			ids.repairRID = uint8(id)
		case extTransportCC:
			ids.transportCC = uint8(id)
		case extAudioLevel:
			ids.audioLevel = uint8(id)
		}
	}
}

func readLine(mid, kind string, m *sdp.MediaDescription) *receiveLine {
	l := &receiveLine{mid: mid}
	_, l.simulcast = m.Attribute("simulcast")
	for _, a := range m.Attributes {
		pt, rest, ok := strings.Cut(a.Value, " ")
		number, err := strconv.ParseUint(pt, 10, 8)
		if !ok || err != nil || number >= maxPayloadTypes {
			continue
		}
		switch a.Key {
		case "rtpmap":
			name, _, _ := strings.Cut(rest, "/")
			if !strings.EqualFold(name, rtxMime) {
				l.codecs[number], _ = codec.ParseName(kind + "/" + name)
			}
		case "fmtp":
			if apt, found := strings.CutPrefix(rest, "apt="); found {
				if media, err := strconv.ParseUint(apt, 10, 8); err == nil && media < maxPayloadTypes {
					l.repair[number] = uint8(media)
				}
			}
		}
	}
	return l
}

// withCandidates replaces pion's candidates by ours: one host candidate for each address under
// which the port can be reached, on the first m-line (RFC 9143 section 9.4: a bundle has one
// transport), and the end of candidates, as no more follow.
func withCandidates(answer string, advertise []netip.AddrPort) string {
	var b strings.Builder
	b.Grow(len(answer) + 96*len(advertise))
	mLines := 0
	flush := func() {
		if mLines != 1 {
			return
		}
		for i, a := range advertise {
			// RFC 8445 section 5.1.2: type preference, local preference, component 1.
			priority := candidateTypePri<<24 | (65535-i)<<8 | 255
			fmt.Fprintf(&b, "a=candidate:%d 1 udp %d %s %d typ host\r\n", i+1, priority, a.Addr(), a.Port())
		}
		b.WriteString("a=end-of-candidates\r\n")
	}
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "m=") {
			flush()
			mLines++
		}
		if !strings.HasPrefix(line, "a=candidate") && !strings.HasPrefix(line, "a=end-of-candidates") {
			b.WriteString(line)
		}
	}
	flush()
	return b.String()
}

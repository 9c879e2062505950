package floor

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/bedside-video/bedside/bench/yardstick"
)

// mediaLimit bounds the m-lines of an offer.
const mediaLimit = 1000

// offer is what the floor needs of an SDP offer.
type offer struct {
	ufrag       string
	fingerprint string // sha-256, upper case, with colons
	media       []media
}

// media is one m-line.
type media struct {
	kind     string // audio, video, or what else was offered
	mid      string
	protocol []string
	payload  uint8  // of Opus or VP8
	usable   bool   // audio with Opus, or video with VP8
	stream   string // of its msid
	track    string
}

// parseOffer reads an offer. All m-lines must be in one bundle.
func parseOffer(text string) (offer, error) {
	var s sdp.SessionDescription
	if err := s.UnmarshalString(text); err != nil {
		return offer{}, fmt.Errorf("%w: %w", yardstick.ErrOffer, err)
	}
	if len(s.MediaDescriptions) == 0 || len(s.MediaDescriptions) > mediaLimit {
		return offer{}, fmt.Errorf("%w: %d m-lines", yardstick.ErrOffer, len(s.MediaDescriptions))
	}
	var o offer
	for _, m := range s.MediaDescriptions {
		attribute := func(key string) string {
			if v, ok := m.Attribute(key); ok {
				return v
			}
			v, _ := s.Attribute(key)
			return v
		}
		if o.ufrag == "" {
			o.ufrag = attribute("ice-ufrag")
		}
		if hash, value, ok := strings.Cut(attribute("fingerprint"), " "); ok && o.fingerprint == "" && strings.EqualFold(hash, "sha-256") {
			o.fingerprint = strings.ToUpper(value)
		}
		o.media = append(o.media, parseMedia(m))
	}
	if o.ufrag == "" || o.fingerprint == "" {
		return offer{}, fmt.Errorf("%w: no ice-ufrag or no sha-256 fingerprint", yardstick.ErrOffer)
	}
	return o, nil
}

func parseMedia(m *sdp.MediaDescription) media {
	out := media{kind: m.MediaName.Media, protocol: m.MediaName.Protos}
	out.mid, _ = m.Attribute("mid")
	msid, _ := m.Attribute("msid")
	out.stream, out.track, _ = strings.Cut(msid, " ")
	want := map[string]string{"audio": "opus/48000", "video": "vp8/90000"}[out.kind]
	for _, a := range m.Attributes {
		number, codec, _ := strings.Cut(a.Value, " ")
		if a.Key != "rtpmap" || want == "" || out.usable || !strings.HasPrefix(strings.ToLower(codec), want) {
			continue
		}
		if pt, err := strconv.ParseUint(number, 10, 7); err == nil {
			out.payload, out.usable = uint8(pt), true
		}
	}
	return out
}

// answerer writes an answer.
type answerer struct {
	ufrag, password string
	fingerprint     string
	address         netip.AddrPort
}

// write answers an offer; seats are the tracks sent on its m-lines, nil for a publisher's answer.
func (a answerer) write(o offer, seats []*seat, receives bool) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=msid-semantic:WMS *")
	bundle := "a=group:BUNDLE"
	for _, m := range o.media {
		if m.usable {
			bundle += " " + m.mid
		}
	}
	line("%s", bundle)
	for i, m := range o.media {
		port := 9
		if !m.usable {
			port = 0
		}
		line("m=%s %d %s %d\r\nc=IN IP4 0.0.0.0", m.kind, port, strings.Join(m.protocol, "/"), m.payload)
		if m.mid != "" {
			line("a=mid:%s", m.mid)
		}
		if !m.usable {
			continue
		}
		line("a=rtpmap:%d %s", m.payload, map[string]string{"audio": "opus/48000/2", "video": "VP8/90000"}[m.kind])
		if m.kind == "video" {
			line("a=rtcp-fb:%d nack pli", m.payload)
		}
		line("a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:sha-256 %s\r\na=setup:passive", a.ufrag, a.password, a.fingerprint)
		line("a=rtcp-mux\r\na=rtcp-rsize")
		line("a=candidate:1 1 udp 2130706431 %s %d typ host\r\na=end-of-candidates", a.address.Addr(), a.address.Port())
		switch {
		case receives:
			line("a=recvonly")
		case seats[i] != nil:
			s := seats[i]
			line("a=sendonly\r\na=msid:%s %s\r\na=ssrc:%d cname:%s", s.feed.stream, s.feed.track, s.ssrc, s.feed.stream)
		default:
			line("a=inactive")
		}
	}
	return b.String()
}

package lean

import (
	"fmt"
	"strings"

	"github.com/pion/sdp/v3"
)

// The payload types are Chromium's.
const (
	payloadOpus   = 111
	payloadRED    = 63 // of Opus (RFC 2198)
	payloadVP8    = 96
	payloadVP8RTX = 97
)

// Line is one m-line of an offer: a track that is sent, or a slot that is received.
type Line struct {
	Mid           string
	Video         bool
	Sends         bool
	Stream, Track string   // of a track, what a=msid says
	RIDs          []string // of a track with simulcast
	SSRC, RTX     uint32   // of a track without; RTX of video alone
	Redundant     bool     // of an audio track: it would rather send RED than Opus
	Repeat        bool     // of audio: it is asked for, or sent again
}

// credentials are those of ICE, and who we are to DTLS.
type credentials struct{ ufrag, password, fingerprint string }

// writeOffer writes an offer with the lines that Chromium 156 writes (seen 2026-11-22), trimmed to one
// codec of each kind as bedside.js trims them.
func writeOffer(session, version uint64, c credentials, lines []Line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- %d %d IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE", session>>1, version)
	for _, l := range lines {
		b.WriteString(" " + l.Mid)
	}
	b.WriteString("\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n")
	for _, l := range lines {
		l.write(&b, c)
	}
	return b.String()
}

func (l Line) write(b *strings.Builder, c credentials) {
	kind, payloads := "audio", fmt.Sprint(payloadOpus, " ", payloadRED)
	if l.Redundant {
		payloads = fmt.Sprint(payloadRED, " ", payloadOpus)
	}
	if l.Video {
		kind, payloads = "video", fmt.Sprint(payloadVP8, " ", payloadVP8RTX)
	}
	fmt.Fprintf(b, "m=%s 9 UDP/TLS/RTP/SAVPF %s\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n", kind, payloads)
	fmt.Fprintf(b, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=ice-options:trickle\r\n", c.ufrag, c.password)
	fmt.Fprintf(b, "a=fingerprint:%s\r\na=setup:actpass\r\na=mid:%s\r\n", c.fingerprint, l.Mid)
	for i, uri := range l.extensions() {
		if uri != "" {
			fmt.Fprintf(b, "a=extmap:%d %s\r\n", i+1, uri)
		}
	}
	if l.Sends {
		fmt.Fprintf(b, "a=sendonly\r\na=msid:%s %s\r\n", l.Stream, l.Track)
	} else {
		b.WriteString("a=recvonly\r\n")
	}
	b.WriteString("a=rtcp-mux\r\na=rtcp-rsize\r\n")
	if l.Video {
		fmt.Fprintf(b, "a=rtpmap:%d VP8/90000\r\n", payloadVP8)
		for _, f := range []string{"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"} {
			fmt.Fprintf(b, "a=rtcp-fb:%d %s\r\n", payloadVP8, f)
		}
		fmt.Fprintf(b, "a=rtpmap:%d rtx/90000\r\na=fmtp:%d apt=%d\r\n", payloadVP8RTX, payloadVP8RTX, payloadVP8)
	} else {
		fmt.Fprintf(b, "a=rtpmap:%d opus/48000/2\r\na=rtcp-fb:%d transport-cc\r\na=fmtp:%d minptime=10;useinbandfec=1\r\n",
			payloadOpus, payloadOpus, payloadOpus)
		if l.Repeat {
			fmt.Fprintf(b, "a=rtcp-fb:%d nack\r\n", payloadOpus)
		}
		fmt.Fprintf(b, "a=rtpmap:%d red/48000/2\r\na=fmtp:%d %d/%d\r\n", payloadRED, payloadRED, payloadOpus, payloadOpus)
	}
	l.writeStreams(b)
}

// writeStreams tells how the packets of a track are known: by RID, or by SSRC.
func (l Line) writeStreams(b *strings.Builder) {
	switch {
	case !l.Sends:
	case len(l.RIDs) > 0:
		for _, rid := range l.RIDs {
			fmt.Fprintf(b, "a=rid:%s send\r\n", rid)
		}
		fmt.Fprintf(b, "a=simulcast:send %s\r\n", strings.Join(l.RIDs, ";"))
	default:
		if l.RTX != 0 {
			fmt.Fprintf(b, "a=ssrc-group:FID %d %d\r\n", l.SSRC, l.RTX)
		}
		for _, ssrc := range []uint32{l.SSRC, l.RTX} {
			if ssrc != 0 {
				fmt.Fprintf(b, "a=ssrc:%d cname:%s\r\na=ssrc:%d msid:%s %s\r\n", ssrc, l.Stream, ssrc, l.Stream, l.Track)
			}
		}
	}
}

// extensions lists the header extensions by id - 1. One id means one URI in the whole bundle.
func (l Line) extensions() [5]string {
	out := [5]string{sdp.AudioLevelURI, sdp.TransportCCURI, sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI}
	if l.Video {
		out[0] = ""
	} else {
		out[3], out[4] = "", ""
	}
	return out
}

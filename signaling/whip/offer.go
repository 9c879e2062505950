// Package whip reads what the WebRTC-HTTP Ingestion Protocol (RFC 9725) and the Egress Protocol
// (draft-ietf-wish-whep) need of SDP and of the fragments of it that PATCH carries. It looks at lines only:
// the media plane checks offers in full.
package whip

import (
	"errors"
	"fmt"
	"strings"
)

// Sizes of what clients send. OBS, GStreamer and Chromium offer two m-lines in 3 to 9 kB; a fragment with
// every candidate of a laptop has 2 kB.
const (
	MaxOfferBytes    = 64 << 10
	MaxFragmentBytes = 16 << 10
)

var (
	// ErrSyntax tells that the text is not SDP, or not a fragment of it.
	ErrSyntax = errors.New("not valid SDP")
	// ErrUnsupported tells that an offer asks for what cannot be had.
	ErrUnsupported = errors.New("cannot be had")
)

// Protocol is one of the two: the same but for the direction of the media.
type Protocol uint8

// The protocols.
const (
	WHIP Protocol = 1 + iota // the client sends: at most one audio and one video line
	WHEP                     // the client receives, on as many lines as MaxLines says
)

// MaxLines bounds the lines of each kind of a client that receives: what a room of nine has (sfu.SlotsFor).
const MaxLines = 9

// limit of lines of one kind, and the direction that each line is given.
func (p Protocol) limit() int {
	if p == WHEP {
		return MaxLines
	}
	return 1
}

func (p Protocol) direction() string {
	if p == WHEP {
		return "a=recvonly"
	}
	return "a=sendonly"
}

// Line is one m-line of an offer.
type Line struct {
	Mid   string
	Video bool
	Sends bool // to the server; otherwise it receives
}

// Offer is the offer of a client: every line sends, or every line receives.
type Offer struct {
	Lines []Line
	ice   Credentials
	lines []string
}

// ReadOffer reads an offer of p. A line that sends and receives is taken as one that does what p is for,
// which is how it is answered (RFC 9725 section 4.2; section 4.2 of the draft). Errors wrap ErrSyntax or
// ErrUnsupported and repeat nothing of the text.
func ReadOffer(p Protocol, text string) (Offer, error) {
	r := offerReader{protocol: p, direction: "a=sendrecv"}
	for line := range strings.Lines(text) {
		if err := r.read(strings.TrimRight(line, "\r\n")); err != nil {
			return Offer{}, err
		}
	}
	if err := r.endSection(); err != nil {
		return Offer{}, err
	}
	if len(r.offer.Lines) == 0 {
		return Offer{}, fmt.Errorf("%w: no m-line", ErrSyntax)
	}
	return r.offer, nil
}

// SDP returns the offer in full, without candidates.
func (o Offer) SDP() string { return join(o.lines) }

// Restarts reports whether credentials ask for an ICE restart: they are others than the offer's.
func (o Offer) Restarts(c Credentials) bool { return c != Credentials{} && c != o.ice }

// Restarted returns the same offer with other credentials.
func (o Offer) Restarted(c Credentials) Offer {
	lines := make([]string, len(o.lines))
	for i, line := range o.lines {
		switch {
		case strings.HasPrefix(line, ufragPrefix):
			line = ufragPrefix + c.Ufrag
		case strings.HasPrefix(line, passwordPrefix):
			line = passwordPrefix + c.Password
		}
		lines[i] = line
	}
	return Offer{Lines: o.Lines, ice: c, lines: lines}
}

// offerReader reads line by line.
type offerReader struct {
	protocol  Protocol
	offer     Offer
	direction string // of the session, which holds for m-lines without their own (RFC 8866 section 6.7)
	own       string // of the m-line being read
}

func (r *offerReader) read(line string) error {
	o := &r.offer
	if len(o.lines) == 0 && line != "v=0" {
		return fmt.Errorf("%w: it does not begin with v=0", ErrSyntax)
	}
	if len(line) < 2 || line[1] != '=' {
		return fmt.Errorf("%w: a line is not <type>=<value>", ErrSyntax)
	}
	inSection := len(o.Lines) > 0
	switch {
	case strings.HasPrefix(line, "m="):
		if err := r.endSection(); err != nil {
			return err
		}
		if err := r.beginSection(line); err != nil {
			return err
		}
	case line == "a=sendonly", line == "a=sendrecv", line == "a=recvonly", line == "a=inactive":
		if inSection {
			r.own = line
		} else {
			r.direction = line
		}
		return nil
	case strings.HasPrefix(line, "a=candidate:"), line == "a=end-of-candidates":
		return nil // it is the client that checks, against the server's
	case strings.HasPrefix(line, "a=mid:") && inSection:
		o.Lines[len(o.Lines)-1].Mid = strings.TrimPrefix(line, "a=mid:")
	default:
		o.ice.take(line)
	}
	o.lines = append(o.lines, line)
	return nil
}

func (r *offerReader) beginSection(line string) error {
	o := &r.offer
	kind, _, _ := strings.Cut(strings.TrimPrefix(line, "m="), " ")
	if kind != "audio" && kind != "video" {
		return fmt.Errorf("%w: m-line %d is neither audio nor video", ErrUnsupported, len(o.Lines)+1)
	}
	section := Line{Video: kind == "video", Sends: r.protocol == WHIP}
	same := 0
	for _, l := range o.Lines {
		if l.Video == section.Video {
			same++
		}
	}
	if same == r.protocol.limit() {
		return fmt.Errorf("%w: more than %d m-lines of %s", ErrUnsupported, same, kind)
	}
	o.Lines = append(o.Lines, section)
	return nil
}

// endSection makes explicit which way the m-line that was read goes.
func (r *offerReader) endSection() error {
	o := &r.offer
	if len(o.Lines) == 0 {
		return nil
	}
	if o.Lines[len(o.Lines)-1].Mid == "" {
		return fmt.Errorf("%w: m-line %d has no a=mid", ErrSyntax, len(o.Lines))
	}
	direction := r.own
	if direction == "" {
		direction = r.direction
	}
	want := r.protocol.direction()
	if direction != want && direction != "a=sendrecv" {
		return fmt.Errorf("%w: m-line %d is not %s", ErrUnsupported, len(o.Lines), strings.TrimPrefix(want, "a="))
	}
	o.lines = append(o.lines, want)
	r.own = ""
	return nil
}

func join(lines []string) string { return strings.Join(lines, "\r\n") + "\r\n" }

package transport

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/bedside-video/bedside/sfu/twcc"
)

// reader notes what comes, feedback by what it says.
type reader struct{ recorder }

func (r *reader) Feedback(_ time.Time, f *twcc.Feedback) {
	var fate strings.Builder
	for _, p := range f.Packets {
		fate.WriteByte(map[bool]byte{true: '.', false: 'x'}[p.Came])
	}
	r.packets = append(r.packets, fate.String())
}

// The packets of a compound come one by one, as far as they can be read.
func TestCompound(t *testing.T) {
	var told twcc.Recorder
	told.Record(1, 1, 0)
	told.Record(1, 3, time.Second)
	feedback, _ := told.Append(nil, 1)
	whole := func(p rtcp.Packet) []byte {
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	report, picture := whole(&rtcp.ReceiverReport{SSRC: 1}), whole(&rtcp.PictureLossIndication{MediaSSRC: 2})
	broken := slices.Clone(feedback)
	broken[20] = 0xf0 // a vector that begins with the reserved symbol
	for name, c := range map[string]struct {
		parts [][]byte
		want  []string
	}{
		"all":                  {[][]byte{report, feedback, picture}, []string{"rtcp", ".x.", "rtcp"}},
		"twice":                {[][]byte{feedback, feedback}, []string{".x.", ".x."}},
		"broken feedback":      {[][]byte{report, broken, picture}, []string{"rtcp"}},
		"broken packet":        {[][]byte{feedback, {0x81, 201, 0, 0}, picture}, []string{".x."}},
		"shorter than it says": {[][]byte{report, picture[:8]}, []string{"rtcp"}},
		"half a header":        {[][]byte{report, {0x80, 201}}, []string{"rtcp"}},
		"nothing":              {nil, nil},
	} {
		r := &reader{}
		conn, _ := openConn(t, r)
		conn.in.compound(time.Now(), slices.Concat(c.parts...))
		if !slices.Equal(r.packets, c.want) {
			t.Errorf("%s: %q, want %q", name, r.packets, c.want)
		}
	}
}

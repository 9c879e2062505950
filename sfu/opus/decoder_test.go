package opus_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/opus"
)

// A decoder hears the very same, whatever the frames are joined to.
func TestJoinedIsDecodedAlike(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("needs ffmpeg")
	}
	for _, tt := range []struct{ name, args string }{
		{"12 kbit/s, voice", "-ac 1 -b:a 12k -application voip"},
		{"24 kbit/s, voice", "-ac 1 -b:a 24k -application voip"},
		{"24 kbit/s, constant", "-ac 1 -b:a 24k -application voip -vbr off"},
		{"64 kbit/s, stereo", "-ac 2 -b:a 64k -application audio"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Two tones that come and go, with noise: frames of many sizes.
			source := []string{"-f", "lavfi", "-i", "aevalsrc=0.3*sin(2*PI*(200+90*sin(3*t))*t)*sin(2*t)+0.02*(random(0)-0.5):s=48000:d=6"}
			stream := run(t, ffmpeg, nil, append(append(source, "-c:a", "libopus"), append(strings.Fields(tt.args), "-frame_duration", "20", "-f", "ogg", "-")...)...)
			head, packets := demux(t, stream)
			if len(packets) < 290 {
				t.Fatalf("%d packets", len(packets))
			}
			want := decode(t, ffmpeg, mux(head, packets))
			for n := 2; n <= 6; n++ {
				joined := join(packets, n)
				if most := len(packets)/n + 20; len(joined) > most {
					t.Errorf("%d packets are %d in %ds", len(packets), len(joined), n)
				}
				if got := decode(t, ffmpeg, mux(head, joined)); !bytes.Equal(got, want) {
					t.Errorf("joined in %ds, %d bytes of samples are not the %d of before", n, len(got), len(want))
				}
			}
		})
	}
}

// join joins packets of 20 ms in ns, as far as they go together.
func join(packets [][]byte, n int) (out [][]byte) {
	var j opus.Joiner
	flush := func() {
		if !j.Empty() {
			p, _ := j.Packet()
			out = append(out, bytes.Clone(p.Payload))
			j.Clear()
		}
	}
	for i, payload := range packets {
		p := &codec.Packet{Seq: uint16(i), Timestamp: uint32(i * 960), Payload: payload}
		if !j.Take(p) {
			flush()
			if !j.Take(p) {
				out = append(out, payload)
			}
		}
		if int(j.Duration().Milliseconds()) >= n*20 {
			flush()
		}
	}
	flush()
	return out
}

func run(t *testing.T, program string, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program, append([]string{"-hide_banner", "-loglevel", "error"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.Bytes())
	}
	return out.Bytes()
}

func decode(t *testing.T, ffmpeg string, stream []byte) []byte {
	t.Helper()
	return run(t, ffmpeg, stream, "-c:a", "libopus", "-f", "ogg", "-i", "-", "-f", "s16le", "-")
}

// demux takes Ogg (RFC 3533) apart: the two packets of headers of RFC 7845, and those of sound.
func demux(t *testing.T, b []byte) (head, packets [][]byte) {
	t.Helper()
	var all [][]byte
	var packet []byte
	for len(b) >= 27 && string(b[:4]) == "OggS" {
		n := int(b[26])
		lacing, body := b[27:27+n], b[27+n:]
		for _, size := range lacing {
			packet = append(packet, body[:size]...)
			body = body[size:]
			if size < 255 {
				all = append(all, packet)
				packet = nil
			}
		}
		b = body
	}
	if len(b) > 0 || len(all) < 3 {
		t.Fatalf("%d packets, and %d bytes after", len(all), len(b))
	}
	return all[:2], all[2:]
}

// mux writes Ogg, a page for each packet.
func mux(head, packets [][]byte) []byte {
	var out []byte
	granule := uint64(0)
	for i, p := range append(append([][]byte{}, head...), packets...) {
		page := []byte("OggS\x00\x00")
		if i == 0 {
			page[5] = 2
		}
		if i == len(head)+len(packets)-1 {
			page[5] = 4
		}
		if i >= len(head) {
			granule += uint64(opus.Duration(p).Microseconds()) * 48 / 1000
		}
		page = binary.LittleEndian.AppendUint64(page, granule)
		page = binary.LittleEndian.AppendUint32(page, 1)
		page = binary.LittleEndian.AppendUint32(page, uint32(i))
		page = append(page, 0, 0, 0, 0, byte(len(p)/255+1))
		page = append(page, bytes.Repeat([]byte{255}, len(p)/255)...)
		page = append(append(page, byte(len(p)%255)), p...)
		binary.LittleEndian.PutUint32(page[22:], checksum(page))
		out = append(out, page...)
	}
	return out
}

// checksum of RFC 3533 section 6: no bits turned round, no start value.
func checksum(b []byte) (sum uint32) {
	for _, x := range b {
		sum ^= uint32(x) << 24
		for range 8 {
			carry := sum >> 31
			sum = sum<<1 ^ carry*0x04c11db7
		}
	}
	return sum
}

func ExampleJoiner() {
	var j opus.Joiner
	for i := range 3 {
		j.Take(&codec.Packet{Seq: uint16(i), Timestamp: uint32(i) * 960, Payload: []byte{0x78, 'a', 'b'}})
	}
	p, n := j.Packet()
	fmt.Printf("%d packets, %v: %q\n", n, opus.Duration(p.Payload), p.Payload)
	// Output: 3 packets, 60ms: "{\x03ababab"
}

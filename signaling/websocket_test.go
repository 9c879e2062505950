package signaling_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/signaling/wire"
)

// The first byte of a frame (RFC 6455 section 5.2).
const (
	fin                 = 0x80
	opContinue          = 0x0
	opText              = 0x1
	opBinary            = 0x2
	opClose             = 0x8
	opPing              = 0x9
	opPong              = 0xa
	stillOpen           = 0 // instead of a close code
	gone                = -1
	closeProtocol       = 1002
	closeNoStatus       = 1005
	closeNotUTF8        = 1007
	closePolicy         = 1008
	closeTooBig         = 1009
	maxMessage          = wire.MaxMessageBytes
	chat                = `{"type":"message","kind":"chat","body":"x","id":77}`
	handshakeWithoutEnd = "GET /v1/connect HTTP/1.1\r\nHost: bedside.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: bedside.v1\r\n"
)

// frame returns a frame as a client sends it, with the mask 0 that changes nothing.
func frame(first byte, payload string) []byte {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 0x80|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 0x80|127), uint64(n))
	}
	return append(append(head, 0, 0, 0, 0), payload...)
}

// announced returns a frame whose length is written in 2 or 8 bytes, whatever its payload has.
func announced(first byte, size int, length uint64, payload string) []byte {
	head := []byte{first, 0x80 | 126}
	if size == 8 {
		head = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length)
	} else {
		head = binary.BigEndian.AppendUint16(head, uint16(length))
	}
	return append(append(head, 0, 0, 0, 0), payload...)
}

func unmasked(first byte, payload string) []byte {
	return append([]byte{first, byte(len(payload))}, payload...)
}

func closing(code int, reason string) []byte {
	return frame(fin|opClose, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

func frames(list ...[]byte) []byte { return slices.Concat(list...) }

// padded returns a good message of exactly n bytes.
func padded(n int) string { return chat + strings.Repeat(" ", n-len(chat)) }

// fragments returns a text message of n fragments with the same payload.
func fragments(n int, payload string) []byte {
	list := [][]byte{frame(opText, payload)}
	for range n - 2 {
		list = append(list, frame(opContinue, payload))
	}
	return slices.Concat(append(list, frame(fin|opContinue, payload))...)
}

// rawClient is a WebSocket that sends bytes and keeps the frames that come back.
type rawClient struct {
	world   *world
	conn    net.Conn
	running sync.WaitGroup

	mu     sync.Mutex
	frames []rawFrame
	over   bool
}

type rawFrame struct {
	first   byte
	payload string
}

// dialRaw opens a WebSocket with these additional header lines.
func (w *world) dialRaw(header string) (*rawClient, *http.Response) {
	w.Helper()
	conn, err := w.listener.dial(w.Context(), "", "")
	if err != nil {
		w.Fatal(err)
	}
	c := &rawClient{world: w, conn: conn}
	if _, err := conn.Write([]byte(handshakeWithoutEnd + header + "\r\n")); err != nil {
		w.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		w.Fatalf("%v %v", resp, err)
	}
	runReader := func() { c.read(r) }
	c.running.Go(runReader)
	return c, resp
}

func (c *rawClient) read(r io.Reader) {
	for {
		var head [2]byte
		_, err := io.ReadFull(r, head[:])
		length := uint64(head[1] & 0x7f)
		if err == nil && length == 126 {
			var n [2]byte
			_, err = io.ReadFull(r, n[:])
			length = uint64(binary.BigEndian.Uint16(n[:]))
		}
		if length == 127 {
			c.world.Error("the server sends more than 65,535 bytes")
			err = io.ErrUnexpectedEOF
		}
		payload := make([]byte, length)
		if err == nil {
			_, err = io.ReadFull(r, payload)
		}
		c.mu.Lock()
		if err != nil {
			c.over = true
			c.mu.Unlock()
			return
		}
		c.frames = append(c.frames, rawFrame{head[0], string(payload)})
		c.mu.Unlock()
	}
}

// write sends bytes without waiting for all of them to be read: the server may hang up in their middle.
func (c *rawClient) write(data []byte) {
	runWrite := func() { _, _ = c.conn.Write(data) }
	c.running.Go(runWrite)
	synctest.Wait()
}

func (c *rawClient) drop() {
	_ = c.conn.Close()
	c.running.Wait()
}

// closed returns the close code that the server sent, closeNoStatus for none in the frame, gone for a
// connection that it closed without a word, stillOpen otherwise.
func (c *rawClient) closed() int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.frames {
		switch {
		case f.first != fin|opClose:
		case len(f.payload) < 2:
			return closeNoStatus
		default:
			return int(binary.BigEndian.Uint16([]byte(f.payload)))
		}
	}
	if c.over {
		return gone
	}
	return stillOpen
}

// got returns the payloads of the frames with this first byte.
func (c *rawClient) got(first byte) []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, f := range c.frames {
		if f.first == first {
			list = append(list, f.payload)
		}
	}
	return list
}

// frameRow is what a participant sends and how it ends.
type frameRow struct {
	name string
	data []byte
	want int
}

func goodFrames() []frameRow {
	return []frameRow{
		{"a text frame", frame(fin|opText, chat), stillOpen},
		{"its length in 2 bytes", announced(fin|opText, 2, uint64(len(chat)), chat), stillOpen}, // must be in 1; nothing comes of it
		{"its length in 8 bytes", announced(fin|opText, 8, uint64(len(chat)), chat), stillOpen},
		{"in two fragments", frames(frame(opText, chat[:9]), frame(fin|opContinue, chat[9:])), stillOpen},
		{"with empty fragments", frames(frame(opText, ""), frame(opContinue, ""), frame(opContinue, chat), frame(fin|opContinue, "")), stillOpen},
		{"with a ping between", frames(frame(opText, chat[:9]), frame(fin|opPing, "p"), frame(fin|opContinue, chat[9:])), stillOpen},
		{"with a pong between", frames(frame(opText, chat[:9]), frame(fin|opPong, "p"), frame(fin|opContinue, chat[9:])), stillOpen},
		{"a letter over two fragments", frames(frame(opText, "{\"\xc3"), frame(fin|opContinue, "\xbc\":1}"), frame(fin|opText, chat)), stillOpen},
		{"a ping of 125 bytes", frames(frame(fin|opPing, strings.Repeat("p", 125)), frame(fin|opText, chat)), stillOpen},
		{"131,072 bytes", frame(fin|opText, padded(maxMessage)), stillOpen},
		{"an empty message", frames(frame(fin|opText, ""), frame(fin|opText, chat)), stillOpen},
		{"close", frame(fin|opClose, ""), closeNoStatus},
		{"close with one byte", frame(fin|opClose, "\x03"), closeNoStatus}, // has no code either
		{"close 1000", closing(1000, ""), 1000},
		{"close 1001 with a reason", closing(1001, strings.Repeat("r", 123)), 1001},
		{"close 1012", closing(1012, ""), 1012},
		{"close 3000", closing(3000, ""), 3000},
		{"close 4999", closing(4999, ""), 4999},
	}
}

func badFrames() []frameRow {
	rows := []frameRow{
		{"text without mask", unmasked(fin|opText, chat), closeProtocol},
		{"ping without mask", unmasked(fin|opPing, ""), closeProtocol},
		{"close without mask", unmasked(fin|opClose, "\x03\xe8"), closeProtocol},
		{"the first reserved bit, of compression", frame(fin|0x40|opText, chat), closeProtocol},
		{"the second reserved bit", frame(fin|0x20|opText, chat), closeProtocol},
		{"the third reserved bit", frame(fin|0x10|opText, chat), closeProtocol},
		{"a reserved bit of a ping", frame(fin|0x40|opPing, ""), closeProtocol},
		{"a reserved bit of a continuation", frames(frame(opText, "{"), frame(fin|0x40|opContinue, "}")), closeProtocol},
		{"a ping in fragments", frame(opPing, "p"), closeProtocol},
		{"a pong in fragments", frame(opPong, "p"), closeProtocol},
		{"close in fragments", frame(opClose, "\x03\xe8"), closeProtocol},
		{"a ping of 126 bytes", frame(fin|opPing, strings.Repeat("p", 126)), closeProtocol},
		{"a pong of 126 bytes", frame(fin|opPong, strings.Repeat("p", 126)), closeProtocol},
		{"close of 126 bytes", closing(1000, strings.Repeat("r", 124)), closeProtocol},
		{"a ping of 2^63-1 bytes", announced(fin|opPing, 8, 1<<63-1, ""), closeProtocol},
		{"a continuation of nothing", frame(fin|opContinue, chat), closeProtocol},
		{"a continuation after a whole message", frames(frame(fin|opText, chat), frame(opContinue, "x")), closeProtocol},
		{"a message within another", frames(frame(opText, "{"), frame(fin|opText, chat)), closeProtocol},
		{"a binary message within another", frames(frame(opText, "{"), frame(fin|opBinary, chat)), closeProtocol},
		{"a binary message", frame(fin|opBinary, chat), closePolicy},
		{"a byte that is not UTF-8", frame(fin|opText, "{\"\xff\":1}"), closeNotUTF8},
		{"NUL in two bytes", frame(fin|opText, "{\"\xc0\x80\":1}"), closeNotUTF8},
		{"half of a surrogate pair", frame(fin|opText, "{\"\xed\xa0\x80\":1}"), closeNotUTF8},
		{"above U+10FFFF", frame(fin|opText, "{\"\xf4\x90\x80\x80\":1}"), closeNotUTF8},
		{"half a letter", frame(fin|opText, `{"type":"message","kind":"chat","body":"`+"\xc3"), closeNotUTF8},
		{"a reason that is not UTF-8", closing(1000, "\xff"), closeProtocol}, // RFC 6455 section 8.1 only wants it to fail
		{"2^63 bytes", announced(fin|opText, 8, 1<<63, chat), gone},
		{"2^64-1 bytes", announced(fin|opText, 8, 1<<64-1, chat), gone},
		{"2^63-1 bytes, of which 200 kB come", announced(fin|opText, 8, 1<<63-1, strings.Repeat(" ", 200_000)), closeTooBig},
		{"2^63-1 bytes after a fragment", frames(frame(opText, "{"), announced(fin|opContinue, 8, 1<<63-1, "")), gone},
		{"131,073 bytes", frame(fin|opText, padded(maxMessage+1)), closeTooBig},
		{"131,073 bytes in fragments", fragments(33, strings.Repeat(" ", 4096)), closeTooBig},
		{"an HTTP request", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), closeProtocol},
		{"a TLS handshake", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), closeProtocol},
		{"zeros", make([]byte, 64), closeProtocol},
		{"ones", bytes.Repeat([]byte{0xff}, 64), closeProtocol},
	}
	for _, opcode := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		rows = append(rows, frameRow{fmt.Sprint("opcode ", opcode), frame(fin|opcode, ""), closeProtocol})
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		rows = append(rows, frameRow{fmt.Sprint("close ", code), closing(code, ""), closeProtocol})
	}
	return rows
}

// TestFrames sends each row in a session that is in a consultation: it ends as RFC 6455 says, nobody
// else notices, and nothing is left of it.
func TestFrames(t *testing.T) {
	rows := append(goodFrames(), badFrames()...)
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				v := w.open(threePeople)
				doctor, _, _ := v.three()
				c, _ := w.dialRaw("")
				defer c.drop()
				join, err := wire.EncodeClient(&wire.Join{Token: v.token(1)}, 1)
				if err != nil {
					t.Fatal(err)
				}
				c.write(frame(fin|opText, string(join)))
				doctor.send(&wire.Admit{Participant: v.Participants[1].ID}, 9)
				w.settle()
				c.write(tt.data)
				if got := c.closed(); got != tt.want {
					t.Errorf("the session ended with %d, want %d; got %d messages", got, tt.want, len(c.got(fin|opText)))
				}
				if tt.want == stillOpen && !slices.ContainsFunc(c.got(fin|opText), func(s string) bool { return strings.Contains(s, `"re":77`) }) {
					t.Errorf("the message in it was not carried out: %q", c.got(fin|opText))
				}
				// The server sends frames without mask, and only those that a client without extensions knows.
				for _, f := range c.frames {
					if !slices.Contains([]byte{fin | opText, fin | opClose, fin | opPing, fin | opPong}, f.first) {
						t.Errorf("the server sent a frame %#x", f.first)
					}
				}
				w.advance(2 * time.Second)
				if tt.want != stillOpen {
					doctor.wantSee("clinician:admitted patient~:admitted interpreter:admitted")
				}
				doctor.wantAlive()
			})
		})
	}
	t.Logf("figure: %d rows of WebSocket frames", len(rows))
}

// TestFramesBeforeJoin: nothing that is not a message buys a stranger more than 3 s.
func TestFramesBeforeJoin(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first []byte
		then  []byte // each second
		want  int
	}{
		{"nothing", nil, nil, closePolicy},
		{"pongs", nil, frame(fin|opPong, ""), closePolicy},
		{"pings", nil, frame(fin|opPing, ""), closePolicy},
		{"half a header", []byte{fin | opText}, nil, closePolicy},
		{"half a frame", frame(fin|opText, chat)[:20], []byte(" "), closePolicy},
		{"fragments", frame(opText, "{"), frame(opContinue, " "), closePolicy},
		{"fragments and pongs", frame(opText, "{"), frames(frame(opContinue, ""), frame(fin|opPong, "")), closePolicy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				doctor := w.open(threePeople).enter(0)
				c, _ := w.dialRaw("")
				defer c.drop()
				c.write(tt.first)
				for second := range 10 {
					if got := c.closed(); got != stillOpen {
						if got != tt.want || second != 3 {
							t.Errorf("ended after %d s with %d, want 3 s and %d", second, got, tt.want)
						}
						doctor.wantAlive()
						return
					}
					w.advance(time.Second)
					c.write(tt.then)
				}
				t.Error("open after 10 s")
			})
		})
	}
}

// TestSilence is a client that has joined and then stops, each in another place: 45 s later it is gone.
func TestSilence(t *testing.T) {
	for _, tt := range []struct {
		name string
		last []byte
	}{
		{"between messages", nil},
		{"in a header", []byte{fin | opText, 0x80 | 126}},
		{"in a mask", frame(fin|opText, chat)[:4]},
		{"in a message", frame(fin|opText, chat)[:30]},
		{"between fragments", frame(opText, "{")},
		{"in a ping", frame(fin|opPing, "pppp")[:7]},
		{"after announcing 100 kB", announced(fin|opText, 8, 100_000, "{")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				v := w.open(threePeople)
				doctor := v.enter(0)
				c, _ := w.dialRaw("")
				defer c.drop()
				join, err := wire.EncodeClient(&wire.Join{Token: v.token(1)}, 1)
				if err != nil {
					t.Fatal(err)
				}
				c.write(frame(fin|opText, string(join)))
				doctor.wantSee("clinician:admitted patient:waiting")
				c.write(tt.last)
				w.advance(45*time.Second - time.Nanosecond)
				if got := c.closed(); got != stillOpen {
					t.Errorf("ended too early, with %d", got)
				}
				w.advance(time.Nanosecond)
				if got := c.closed(); got != gone {
					t.Errorf("ended with %d, want no close frame: the client may resume", got)
				}
				doctor.wantSee("clinician:admitted")
				doctor.wantAlive()
			})
		})
	}
}

// TestFloodOfControlFrames: pongs are work like pings, and like messages.
func TestFloodOfControlFrames(t *testing.T) {
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"pings", frame(fin|opPing, "")}, {"pongs", frame(fin|opPong, "")}, {"empty messages", frame(fin|opText, "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				v := w.open(threePeople)
				doctor, _, _ := v.three()
				c, _ := w.dialRaw("")
				defer c.drop()
				join, err := wire.EncodeClient(&wire.Join{Token: v.token(1)}, 1)
				if err != nil {
					t.Fatal(err)
				}
				c.write(frame(fin|opText, string(join)))
				c.write(bytes.Repeat(tt.data, 160)) // 60 and 100 refused ones
				if got := c.closed(); got != stillOpen {
					t.Errorf("160 end the session with %d", got)
				}
				c.write(bytes.Repeat(tt.data, 2))
				if got := c.closed(); got != closePolicy {
					t.Errorf("162 end the session with %d, want %d", got, closePolicy)
				}
				doctor.wantAlive()
			})
		})
	}
}

// TestCompressionIsRefused: what is offered is not taken, by any name.
func TestCompressionIsRefused(t *testing.T) {
	for _, offer := range []string{
		"permessage-deflate", "permessage-deflate; client_max_window_bits; server_no_context_takeover", "x-webkit-deflate-frame", "permessage-bzip2, permessage-deflate",
	} {
		t.Run(offer, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				c, resp := w.dialRaw("Sec-WebSocket-Extensions: " + offer + "\r\n")
				defer c.drop()
				if got := resp.Header.Values("Sec-WebSocket-Extensions"); len(got) != 0 {
					t.Errorf("the server takes %q", got)
				}
				c.write(frame(fin|0x40|opText, "\x02\x00"))
				if got := c.closed(); got != closeProtocol {
					t.Errorf("a compressed message ends the session with %d, want %d", got, closeProtocol)
				}
			})
		})
	}
}

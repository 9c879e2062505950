package link_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want link.Shape
	}{
		{"", link.Shape{}},
		{" ", link.Shape{}},
		{"rate=1mbit,delay=40ms,jitter=8ms,loss=2%,burst=4", link.Shape{
			Rate: link.Constant(link.Mbit), Delay: 40 * ms, Jitter: 8 * ms, Loss: 0.02, Burst: 4,
		}},
		{"rate=1.5mbit, queue=150ms, dup=0.5, jitter=1ms, reorder", link.Shape{
			Rate: link.Constant(1_500_000), Queue: 150 * ms, Duplicate: 0.5, Jitter: ms, Reorder: true,
		}},
		{"rate=2gbit:10s/300kbit:5s/0bit:1s", link.Shape{
			Rate: link.Trace{{2 * link.Gbit, 10 * time.Second}, {300 * link.Kbit, 5 * time.Second}, {0, time.Second}},
		}},
		{"loss=100%,burst=2", link.Shape{Loss: 1, Burst: 2}},
	} {
		got, err := link.Parse(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"speed=1mbit", `"speed=1mbit": unknown setting: there are rate`},
		{"delay=1ms,", `"": unknown setting`},
		{"delay=1ms,delay=2ms", `"delay=2ms": delay is given twice`},
		{"rate=300", `rate "300": no unit: write bit`},
		{"rate=xmbit", `rate "xmbit": "x" is not a number`},
		{"rate=-1mbit", `not between 0 and 100gbit`},
		{"rate=nanbit", `not between 0 and 100gbit`},
		{"rate=999gbit", `not between 0 and 100gbit`},
		{"rate=10bit", `rate 10bit: neither 0 nor between 1kbit and 100gbit`},
		{"rate=0bit", `use loss=100%`},
		{"rate=0bit:1s/0bit:1s", `use loss=100%`},
		{"rate=1mbit:1s", `a constant rate has no length`},
		{"rate=1mbit:1s/2mbit", `segment "2mbit": a constant rate has no length, segments of a trace all have one`},
		{"rate=1mbit:1s/2mbit:x", `"x" is not a time with its unit`},
		{"rate=1mbit:1s/2mbit:1us", `segment 2 lasts 1µs, not between 1ms and 1h0m0s`},
		{"rate=1mbit:1h/2mbit:1s", `the segments last 1h0m1s together, at most 1h0m0s`},
		{"rate=" + strings.Repeat("1mbit:1ms/", 4096) + "1mbit:1ms", `4097 segments, at most 4096`},
		{"delay=5", `"5" is not a time with its unit, as 40ms`},
		{"delay=-5ms", `delay -5ms: not between 0 and 1m0s`},
		{"delay=5h", `delay 5h0m0s: not between 0 and 1m0s`},
		{"queue=0s", `a queue of 0 would mean the usual one, 200ms`},
		{"loss=2", `loss 2: not a probability`},
		{"loss=-1%", `loss -0.01: not a probability`},
		{"loss=NaN", `loss NaN: not a probability`},
		{"loss=many", `"many" is not a probability, as 2% or 0.02`},
		{"dup=101%", `dup 1.01: not a probability`},
		{"burst=4", `burst: needs loss`},
		{"loss=1%,burst=0", `a burst of 0 packets: leave it out`},
		{"loss=1%,burst=0.5", `burst 0.5: not between 1 and 1e+06 packets`},
		{"loss=1%,burst=x", `not a number of packets`},
		{"loss=90%,burst=2", `bursts of this length lose at most 66.67% of all packets, not 90%`},
		{"reorder", `reorder: needs jitter`},
		{"reorder=yes", `reorder takes no value`},
	} {
		_, err := link.Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: %v; want %q in it", c.text, err, c.want)
		}
	}
}

// FuzzParse: what is accepted reads back as itself, and a link made of it carries a packet or loses
// it, in finite time and without a panic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "rate=1mbit,delay=40ms,jitter=8ms,loss=2%,burst=4", "rate=1.5mbit,queue=150ms,jitter=1ns,reorder,dup=0.1%",
		"rate=2mbit:10s/300kbit:5s/0bit:1s", "rate=1kbit:1ms/0bit:1h", "rate=100gbit", "loss=-0,burst=1", "rate=", "=,=", "loss=1e-300,burst=1e6",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := link.Parse(text)
		if err != nil {
			if !reflect.DeepEqual(s, link.Shape{}) {
				t.Errorf("%q: a shape beside the error", text)
			}
			return
		}
		again, err := link.Parse(s.String())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Fatalf("%q: %+v, written %q, reads %+v, %v", text, s, s, again, err)
		}
		start := time.Unix(0, 0)
		l, err := link.New(start, s, 1)
		if err != nil {
			t.Fatalf("%q: parsed, but %v", text, err)
		}
		l.Push(start, link.Packet{Data: make([]byte, link.MaxPacket)})
		for now, ok := l.Next(); ok; now, ok = l.Next() {
			if now.Before(start) {
				t.Fatalf("%q: next at %v", text, now)
			}
			l.Pop(now)
		}
		if c := l.Counters(); c.Held != 0 || c.In+c.Duplicated != c.Out+c.Lost+c.Dropped {
			t.Fatalf("%q: %+v", text, c)
		}
	})
}

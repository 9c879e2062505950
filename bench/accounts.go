package bench

import (
	"slices"
	"strconv"

	"github.com/bedside-video/bedside/bench/hist"
	"github.com/bedside-video/bedside/bench/result"
	"github.com/bedside-video/bedside/signaling/wire"
)

// Report returns the accounts of all the Client's connections since the last Mark.
func (c *Client) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Report{
		Participant: c.self, State: c.state, Ended: c.ended, EpochGaps: c.past.EpochGaps,
		Sent: slices.Clone(c.past.Sent), Slots: slices.Clone(c.past.Slots),
	}
	if c.conn != nil {
		c.conn.addTo(&r)
	}
	return r
}

// Mark makes Report forget what was counted so far. What the Client knows stays: a frame lost before is
// still missing, and a video that stands still goes on doing so.
func (c *Client) Mark() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.past = Report{}
	if c.conn != nil {
		c.conn.mark()
	}
}

func (c *connection) mark() {
	now := c.cfg.Clock.Now()
	for _, p := range c.pubs {
		for _, e := range p.encodings {
			e.mark()
		}
	}
	for _, s := range c.slots {
		s.mu.Lock()
		s.receiver.Mark(now)
		s.mu.Unlock()
	}
}

// end tells the slots that the connection is over.
func (c *connection) end() {
	now := c.cfg.Clock.Now()
	for _, s := range c.slots {
		s.mu.Lock()
		s.receiver.End(now)
		s.mu.Unlock()
	}
}

// addTo appends a connection's accounts.
func (c *connection) addTo(r *Report) {
	now := c.cfg.Clock.Now()
	for _, p := range c.pubs {
		for _, e := range p.encodings {
			r.Sent = append(r.Sent, e.snapshot())
		}
	}
	for _, s := range c.slots {
		s.mu.Lock()
		one := s.receiver.Report(now)
		s.mu.Unlock()
		one.Mid = s.mid
		r.Slots = append(r.Slots, one)
	}
}

// Showing is what one video slot of a Client shows now.
type Showing struct {
	Sender uint64 // SenderHash
	Source wire.Source
	Layer  int // 0 is the lowest
}

// Recent adds the delays of the packets that have arrived since it was last called to delays, and
// returns how many packets were given up since the connection began, and what the video slots show. It
// is cheap enough to be called each second.
func (c *Client) Recent(delays *hist.Histogram) (lost uint64, showing []Showing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return 0, nil
	}
	return c.conn.recent(delays)
}

func (c *connection) recent(delays *hist.Histogram) (lost uint64, showing []Showing) {
	for _, s := range c.slots {
		s.mu.Lock()
		r := s.receiver
		lost += r.progress.lost
		delays.Merge(&r.progress.delays)
		r.progress.delays.Reset()
		if a := r.current(); r.video && a.State == wire.SlotLive && !r.viewing.last.IsZero() {
			showing = append(showing, Showing{Sender: a.sender, Source: a.Source, Layer: int(r.viewing.layer)})
		}
		s.mu.Unlock()
	}
	return lost, showing
}

// Receptions sums up what one person received of each track, on all the connections and machines that
// they had. refs names the senders by SenderHash; others get their hash in hexadecimal.
func Receptions(refs map[uint64]string, reports ...Report) []result.Received {
	var flows []Flow
	for _, r := range reports {
		for _, s := range r.Slots {
			for _, f := range s.Flows {
				i := slices.IndexFunc(flows, func(o Flow) bool { return o.Sender == f.Sender && o.Source == f.Source })
				if i < 0 {
					flows = append(flows, Flow{Sender: f.Sender, Source: f.Source})
					i = len(flows) - 1
				}
				flows[i].add(f)
			}
		}
	}
	out := make([]result.Received, 0, len(flows))
	for _, f := range flows {
		of, known := refs[f.Sender]
		if !known {
			of = strconv.FormatUint(f.Sender, 16)
		}
		v := f.Viewed
		out = append(out, result.Received{
			Of: of, Source: f.Source, Packets: f.Packets, Bytes: f.Bytes, Lost: f.Lost, Repaired: f.Repaired, Wrong: f.Wrong, Delay: f.Delay,
			Watched: v.Watched, LongestGap: v.LongestGap, Frames: v.Frames, Freezes: v.Freezes, Frozen: v.Frozen,
			Switches: v.Switches, Layers: v.Layers[:],
		})
	}
	return out
}

// Broken names the promises to one person that their Reports show broken, beside packets of others,
// which Receptions tells.
func Broken(ref string, reports ...Report) []string {
	var out []string
	for _, r := range reports {
		if r.EpochGaps > 0 {
			out = append(out, ref+": "+strconv.FormatUint(r.EpochGaps, 10)+" slots messages were not in order")
		}
		for _, s := range r.Slots {
			if c := s.Continuity; c != (Continuity{}) {
				out = append(out, ref+": slot "+s.Mid+" was not numbered as a decoder needs it: "+c.String())
			}
		}
	}
	return out
}

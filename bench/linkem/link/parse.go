package link

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var errNoUnit = errors.New("no unit: write bit, kbit, mbit or gbit")

// Parse reads the description of one direction: settings with commas between them, in any order,
// none of which need be there.
//
//	rate=1.5mbit              what the bottleneck carries (bit, kbit, mbit, gbit)
//	rate=2mbit:10s/300kbit:5s a rate that changes, again and again; 0bit is an outage
//	queue=150ms               the drop-tail queue, as time at the highest rate (200ms)
//	delay=40ms                one way
//	jitter=8ms                standard deviation of the delay
//	reorder                   jitter may let packets overtake
//	loss=2%                   or 0.02
//	burst=4                   mean length of a run of losses, in packets
//	dup=0.1%                  duplicates
func Parse(text string) (Shape, error) {
	var s Shape
	if strings.TrimSpace(text) == "" {
		return s, nil
	}
	seen := make(map[string]bool) // at most the nine names
	for field := range strings.SplitSeq(text, ",") {
		field = strings.TrimSpace(field)
		name, value, hasValue := strings.Cut(field, "=")
		if seen[name] {
			return Shape{}, fmt.Errorf("link: %q: %s is given twice", field, name)
		}
		if err := s.setting(name, value, hasValue); err != nil {
			return Shape{}, fmt.Errorf("link: %q: %w", field, err)
		}
		seen[name] = true
	}
	if err := s.Validate(); err != nil {
		return Shape{}, fmt.Errorf("link: %q: %w", text, err)
	}
	return s, nil
}

// setting carries out one setting of a description.
func (s *Shape) setting(name, value string, hasValue bool) (err error) {
	if name == "reorder" {
		if hasValue {
			return errors.New("reorder takes no value")
		}
		s.Reorder = true
		return nil
	}
	switch name {
	case "rate":
		s.Rate, err = parseTrace(value)
	case "queue":
		s.Queue, err = parseTime(value)
		if err == nil && s.Queue == 0 {
			err = fmt.Errorf("a queue of 0 would mean the usual one, %v; for hardly any write 1ns", DefaultQueue)
		}
	case "delay":
		s.Delay, err = parseTime(value)
	case "jitter":
		s.Jitter, err = parseTime(value)
	case "loss":
		s.Loss, err = parseProbability(value)
	case "dup":
		s.Duplicate, err = parseProbability(value)
	case "burst":
		s.Burst, err = strconv.ParseFloat(value, 64)
		if err != nil {
			err = errors.New("not a number of packets")
		} else if s.Burst == 0 {
			err = errors.New("a burst of 0 packets: leave it out for independent losses")
		}
	default:
		return errors.New("unknown setting: there are rate, queue, delay, jitter, reorder, loss, burst, dup")
	}
	return err
}

func parseTrace(text string) (Trace, error) {
	var t Trace
	parts := strings.Split(text, "/")
	for _, part := range parts {
		rate, length, isSegment := strings.Cut(part, ":")
		r, err := parseRate(rate)
		if err != nil {
			return nil, fmt.Errorf("rate %q: %w", rate, err)
		}
		seg := Segment{Rate: r}
		if isSegment != (len(parts) > 1) {
			return nil, fmt.Errorf("segment %q: a constant rate has no length, segments of a trace all have one, as 2mbit:10s/300kbit:5s", part)
		}
		if isSegment {
			if seg.For, err = parseTime(length); err != nil {
				return nil, err
			}
		}
		t = append(t, seg)
	}
	return t, nil
}

func parseRate(text string) (Bitrate, error) {
	number, ok := strings.CutSuffix(text, "bit")
	if !ok {
		return 0, errNoUnit
	}
	unit := Bitrate(1)
	for _, u := range []struct {
		suffix string
		v      Bitrate
	}{{"k", Kbit}, {"m", Mbit}, {"g", Gbit}} {
		if n, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = n, u.v
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", number)
	}
	v = math.Round(v * float64(unit))
	if !(v >= 0 && v <= float64(maxRate)) {
		return 0, fmt.Errorf("not between 0 and %v", maxRate)
	}
	return Bitrate(v), nil
}

func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time with its unit, as 40ms", text)
	}
	return d, nil
}

func parseProbability(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a probability, as 2%% or 0.02", text)
	}
	if percent {
		v /= 100
	}
	return v, nil
}

// String writes a Shape as Parse reads it.
func (s Shape) String() string {
	var out []string
	add := func(format string, v any, isSet bool) {
		if isSet {
			out = append(out, fmt.Sprintf(format, v))
		}
	}
	add("rate=%v", s.Rate, s.Rate != nil)
	add("queue=%v", s.Queue, s.Queue != 0)
	add("delay=%v", s.Delay, s.Delay != 0)
	add("jitter=%v", s.Jitter, s.Jitter != 0)
	add("%s", "reorder", s.Reorder)
	add("loss=%v", s.Loss, s.Loss != 0)
	add("burst=%v", s.Burst, s.Burst != 0)
	add("dup=%v", s.Duplicate, s.Duplicate != 0)
	return strings.Join(out, ",")
}

// String writes a Trace as Parse reads it.
func (t Trace) String() string {
	out := make([]string, len(t))
	for i, s := range t {
		out[i] = s.Rate.String()
		if len(t) > 1 {
			out[i] += ":" + s.For.String()
		}
	}
	return strings.Join(out, "/")
}

// String writes a rate in the largest unit in which it is whole.
func (r Bitrate) String() string {
	switch {
	case r != 0 && r%Gbit == 0:
		return strconv.FormatInt(int64(r/Gbit), 10) + "gbit"
	case r != 0 && r%Mbit == 0:
		return strconv.FormatInt(int64(r/Mbit), 10) + "mbit"
	case r != 0 && r%Kbit == 0:
		return strconv.FormatInt(int64(r/Kbit), 10) + "kbit"
	}
	return strconv.FormatInt(int64(r), 10) + "bit"
}

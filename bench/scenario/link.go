package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Link is one direction of somebody's network. The zero value changes nothing.
type Link struct {
	Rate    int           // bit/s; 0 is unlimited
	Queue   time.Duration // of the bottleneck, in time at Rate
	Delay   time.Duration // one way
	Jitter  time.Duration // standard deviation of Delay
	Reorder bool          // jitter may overtake
	Loss    float64       // 0 to 1
	Burst   float64       // mean length of a loss in packets; 0 and 1 are independent losses
	Dup     float64       // 0 to 1
}

// ParseLink reads a link such as "rate=1mbit,delay=40ms,jitter=8ms,loss=2%,burst=4". The empty text
// is the link that changes nothing.
func ParseLink(text string) (Link, error) {
	var l Link
	seen := make(map[string]bool)
	if text == "" {
		return l, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		key, value, hasValue := strings.Cut(strings.TrimSpace(part), "=")
		if seen[key] {
			return l, fmt.Errorf("link: %s is there twice: leave one out", key)
		}
		seen[key] = true
		if err := l.set(key, value, hasValue); err != nil {
			return l, err
		}
	}
	switch {
	case l.Queue > 0 && l.Rate == 0:
		return l, fmt.Errorf("link: queue without rate: a queue only builds up before a bottleneck, add rate=")
	case l.Reorder && l.Jitter == 0:
		return l, fmt.Errorf("link: reorder without jitter: packets of constant delay cannot overtake, add jitter=")
	case l.Burst > 1 && l.Loss == 0:
		return l, fmt.Errorf("link: burst without loss: add loss=")
	}
	return l, nil
}

func (l *Link) set(key, value string, hasValue bool) (err error) {
	switch key {
	case "rate":
		l.Rate, err = parseBitrate(value)
	case "queue":
		l.Queue, err = parseDuration(value)
	case "delay":
		l.Delay, err = parseDuration(value)
	case "jitter":
		l.Jitter, err = parseDuration(value)
	case "loss":
		l.Loss, err = parsePercent(value)
	case "dup":
		l.Dup, err = parsePercent(value)
	case "burst":
		if l.Burst, err = number(value); err != nil || l.Burst < 1 || l.Burst > 1000 {
			err = fmt.Errorf("%s is not a burst: write the mean number of packets lost together, 1 to 1000", quote(value))
		}
	case "reorder":
		if l.Reorder = true; hasValue {
			err = fmt.Errorf("it takes no value: write it alone")
		}
	default:
		return fmt.Errorf("link: unknown part %s: the parts are %s, with commas between them", quote(key), strings.Join(linkParts(), ", "))
	}
	if err != nil {
		return fmt.Errorf("link: %s: %w", key, err)
	}
	return nil
}

// linkParts are the parts of a link, in the order of String.
func linkParts() []string {
	return []string{"rate", "queue", "delay", "jitter", "reorder", "loss", "burst", "dup"}
}

// String writes a link so that ParseLink reads the same again.
func (l Link) String() string {
	var parts []string
	add := func(there bool, key, value string) {
		if there {
			parts = append(parts, key+value)
		}
	}
	percent := func(share float64) string { return strconv.FormatFloat(share*100, 'f', -1, 64) + "%" }
	add(l.Rate > 0, "rate=", strconv.FormatFloat(float64(l.Rate)/1000, 'f', -1, 64)+"kbit")
	add(l.Queue > 0, "queue=", l.Queue.String())
	add(l.Delay > 0, "delay=", l.Delay.String())
	add(l.Jitter > 0, "jitter=", l.Jitter.String())
	add(l.Reorder, "reorder", "")
	add(l.Loss > 0, "loss=", percent(l.Loss))
	add(l.Burst > 0, "burst=", strconv.FormatFloat(l.Burst, 'f', -1, 64))
	add(l.Dup > 0, "dup=", percent(l.Dup))
	return strings.Join(parts, ",")
}

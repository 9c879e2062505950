package link

import (
	"fmt"
	"strconv"
	"time"
)

// Counters say what happened on one direction of a link:
//
//	In + Duplicated = Out + Lost + Dropped + Held
type Counters struct {
	In         uint64       `json:"in"`
	InBytes    uint64       `json:"in_bytes"`
	Out        uint64       `json:"out"`
	OutBytes   uint64       `json:"out_bytes"`
	Lost       uint64       `json:"lost"`         // by chance
	Dropped    uint64       `json:"dropped"`      // for want of room in the queue
	Duplicated uint64       `json:"duplicated"`   // copies made
	Held       uint64       `json:"held"`         // waiting or travelling
	QueueMax   Milliseconds `json:"queue_max_ms"` // the longest anybody waited and was sent
}

// Milliseconds is a duration that JSON shows as a number.
type Milliseconds time.Duration

// Float returns it as a number of milliseconds.
func (m Milliseconds) Float() float64 { return float64(m) / float64(time.Millisecond) }

// MarshalJSON implements json.Marshaler.
func (m Milliseconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, m.Float(), 'f', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Milliseconds) UnmarshalJSON(b []byte) error {
	ms, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("link: milliseconds: %w", err)
	}
	*m = Milliseconds(ms * float64(time.Millisecond))
	return nil
}

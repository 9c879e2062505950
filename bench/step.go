package bench

import (
	"sync/atomic"
	"time"
)

// Step is a milestone of a Join or Reconnect, in the order in which they are reached. StepPacket and
// StepFrame come only to who is in the room, and when somebody sends.
type Step uint8

// The steps.
const (
	StepToken     Step = iota // POST /v1/join is answered; not of a Reconnect
	StepSession               // the WebSocket is open
	StepJoined                // the server has joined the session to the consultation
	StepAnswered              // the offer is answered
	StepConnected             // ICE and DTLS are done
	StepPacket                // the first media packet has arrived
	StepFrame                 // the first video frame that a decoder could show is whole
)

// milestones tells an Observer of each Step once. It belongs to one Join or Reconnect.
type milestones struct {
	tell    func(now time.Time, s Step)
	reached atomic.Uint32 // a bit for each Step
}

// reach notes that a step is done at now. It costs next to nothing when it was before.
func (m *milestones) reach(now time.Time, s Step) {
	bit := uint32(1) << s
	if m.reached.Load()&bit == 0 && m.reached.Or(bit)&bit == 0 {
		m.tell(now, s)
	}
}

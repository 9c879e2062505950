package load

import (
	"context"
	"errors"
	"time"

	"github.com/bedside-video/bedside/bench"
	"github.com/bedside-video/bedside/bench/result"
)

// attempt is one attempt to come in, as it goes on.
type attempt struct {
	begun     time.Time
	reconnect bool
	steps     [bench.StepFrame + 1]time.Time // zero for not reached
	admitted  time.Time                      // into the room; zero for not yet
	err       error
	over      bool // it has come to a connection or to an error, and was not cut off
}

// result turns an attempt into what is reported. A phase is counted from the end of the one before;
// the first packet and the first frame from when they could come, for who had to wait in the lobby.
func (a attempt) result(start time.Time) result.Join {
	out := result.Join{At: result.Duration(a.begun.Sub(start)), Reconnect: a.reconnect, Phases: []result.Phase{}}
	if a.err != nil {
		out.Error = code(a.err)
	}
	last := a.begun
	add := func(name string, s bench.Step) {
		at := a.steps[s]
		if at.IsZero() {
			return
		}
		out.Phases = append(out.Phases, result.Phase{Name: name, Took: result.Duration(max(0, at.Sub(last)))})
		last = at
	}
	add("http", bench.StepToken)
	add("websocket", bench.StepSession)
	add("joined", bench.StepJoined)
	add("answer", bench.StepAnswered)
	add("connected", bench.StepConnected)
	if connected := a.steps[bench.StepConnected]; !connected.IsZero() {
		out.Took = result.Duration(connected.Sub(a.begun))
		if a.admitted.After(last) {
			last = a.admitted
		}
		add("first packet", bench.StepPacket)
		add("first frame", bench.StepFrame)
	}
	return out
}

// code names an error in a word that is the same for the same cause.
func code(err error) string {
	var refused *bench.RemoteError
	switch {
	case errors.As(err, &refused) && refused.Code != "":
		return refused.Code
	case errors.As(err, &refused):
		return "refused"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, bench.ErrEnded), errors.Is(err, bench.ErrClosed):
		return "session_ended"
	case errors.Is(err, errNobodyThere):
		return "nobody_there"
	}
	return "network"
}

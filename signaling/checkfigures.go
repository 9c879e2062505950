package signaling

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/signaling/wire"
)

// figures are of the checks that run, as many as mediaChecks, by names that nobody can guess.
type figures struct {
	rand io.Reader

	mu sync.Mutex
	of map[string]*told
}

func newFigures(rand io.Reader) figures { return figures{rand: rand, of: map[string]*told{}} }

// told is what a check has told, for the one who reads it.
type told struct {
	lines chan sfu.CheckFigures // more than there are
	ended chan struct{}
}

// add takes figures. What were too many are dropped.
func (t *told) add(f sfu.CheckFigures) {
	select {
	case t.lines <- f:
	default:
	}
}

// open names a check.
func (f *figures) open() (id string, t *told, err error) {
	var b [16]byte
	if _, err := io.ReadFull(f.rand, b[:]); err != nil {
		return "", nil, fmt.Errorf("signaling: random numbers: %w", err)
	}
	id, t = base64.RawURLEncoding.EncodeToString(b[:]), &told{lines: make(chan sfu.CheckFigures, 16), ended: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.of[id] = t
	return id, t, nil
}

// end forgets a check; who reads its figures has had all of them.
func (f *figures) end(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.of[id]; t != nil {
		close(t.ended)
		delete(f.of, id)
	}
}

func (f *figures) find(id string) *told {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.of[id]
}

// figuresLine is what a line of the answer says. Bits a second; what is not known is left out. Full: there is no more.
type figuresLine struct {
	Over     bool     `json:"over"`
	Down     int      `json:"down,omitempty"`
	DownFull bool     `json:"down_full,omitempty"`
	Up       int      `json:"up,omitempty"`
	UpFull   bool     `json:"up_full,omitempty"`
	LossDown *float64 `json:"loss_down,omitempty"`
	LossUp   *float64 `json:"loss_up,omitempty"`
}

func lineOf(f sfu.CheckFigures) figuresLine {
	share := func(s sfu.Share) *float64 {
		if s.Of == 0 {
			return nil
		}
		lost := float64(s.Lost) / float64(s.Of)
		return &lost
	}
	return figuresLine{
		Over: f.Over, Down: f.Down.Bitrate, DownFull: f.Down.Full, Up: f.Up.Bitrate, UpFull: f.Up.Full,
		LossDown: share(f.LossDown), LossUp: share(f.LossUp),
	}
}

// checkFigures tells what a check finds when it has found it, a line of JSON each time. It comes over the way down,
// which nothing fills by then: a request after the way up has been filled would have to wait behind that.
func (s *Server) checkFigures(w http.ResponseWriter, r *http.Request) error {
	t := s.checks.figures.find(r.PathValue("id"))
	if t == nil {
		return refusal(wire.CodeNotFound, "there is no such check, or it is over")
	}
	out := http.NewResponseController(w)
	_ = out.SetWriteDeadline(s.deps.Clock().Add(sfu.CheckTime + time.Second))
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy that waited for more would tell nothing
	w.WriteHeader(http.StatusOK)
	_ = out.Flush()
	for {
		select {
		case f := <-t.lines:
			if json.NewEncoder(w).Encode(lineOf(f)) != nil || out.Flush() != nil || f.Over {
				return nil
			}
			continue
		case <-t.ended:
		case <-r.Context().Done():
		case <-s.stop:
		}
		return nil
	}
}

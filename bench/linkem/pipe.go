package linkem

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

// pipe is one direction between two devices, one packet a read or write. Its owner runs run and waits
// for it after closing the devices.
type pipe struct {
	src, dst *os.File
	beat     *Beat

	mu   sync.Mutex
	link *link.Link
}

// run moves packets until the source is closed or fails.
func (p *pipe) run() error {
	buf := make([]byte, link.MaxPacket)
	for {
		if err := p.arm(); err != nil {
			return err
		}
		n, err := p.src.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.link.Push(time.Now(), link.Packet{Data: append([]byte(nil), buf[:n]...)})
		p.mu.Unlock()
	}
}

// arm delivers what is due and lets the source wake run when the next is.
func (p *pipe) arm() error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if due, ok := p.link.Next(); ok && !due.After(now) {
		p.beat.note(now.Sub(due))
	}
	for k, ok := p.link.Pop(now); ok; k, ok = p.link.Pop(now) {
		// A full or closed device drops the packet, as a wire would.
		_, _ = p.dst.Write(k.Data)
	}
	next, ok := p.link.Next()
	if least := now.Add(leastWait); ok && next.Before(least) {
		next = least
	}
	return p.src.SetReadDeadline(next) // zero: none
}

// set changes the link and lets run look at it.
func (p *pipe) set(s link.Shape) error {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.link.Set(now, s); err != nil {
		return err
	}
	return p.src.SetReadDeadline(now)
}

func (p *pipe) counters() link.Counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link.Counters()
}

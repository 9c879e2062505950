package port

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bedside-video/bedside/sfu/port/plan"
)

// sender takes parcels to the kernel: on runSender's goroutine, or on the receiver's at the end of a
// burst. It keeps its place, so that one can go on where the other stopped.
type sender struct {
	mu      sync.Mutex // what follows is its holder's
	batch   *batch
	parcel  parcel
	plan    plan.Plan
	rest    []plan.Message // of the plan, not in a volley yet
	volley  *volley
	next    int     // message of the volley
	failed  bool    // it has, once
	lone    *volley // for what was refused as part of a message
	offload offload

	// Arguments and results of write, which is made once so that it is not allocated for each call.
	write   func(fd uintptr) bool
	wait    bool // for room in the socket's buffer
	headers []mmsghdr
	sent    int
	errno   syscall.Errno
}

// drain sends until nothing waits. Unless it may wait for room in the socket's buffer, it stops when
// there is none and reports false.
func (s *sender) drain(wait bool) bool {
	for {
		for s.next < len(s.volley.headers) || len(s.rest) > 0 {
			if s.next == len(s.volley.headers) {
				s.rest, s.next = s.volley.load(&s.parcel, &s.plan, s.rest), 0
			}
			if !s.fire(wait) {
				return false
			}
		}
		if !s.batch.out.take(&s.parcel) {
			return true
		}
		s.plan.Make(s.parcel.datagrams, s.offload.on.Load())
		s.rest = s.plan.Messages
	}
}

// fire sends what is left of the volley. The kernel stops at the first message that it does not take.
func (s *sender) fire(wait bool) bool {
	for s.next < len(s.volley.headers) {
		n, errno := s.call(s.volley.headers[s.next:], wait)
		if errno == 0 {
			s.count(s.volley.messages[s.next : s.next+n])
			s.next, s.failed = s.next+n, false
			continue
		}
		m := &s.volley.messages[s.next]
		switch {
		case errno == unix.EAGAIN:
			return false
		case m.Count > 1 && refusesSegments(errno):
			s.offload.refuse(errno)
			s.batch.stats.gsoRefused.Add(1)
			s.singly(m)
		case !s.failed && !final(errno): // it may be the error of an earlier datagram (ICMP): udp(7)
			s.failed = true
			continue
		default:
			s.batch.stats.writeErrors.Add(uint64(m.Count))
		}
		s.next, s.failed = s.next+1, false
	}
	return true
}

// singly sends the datagrams of a message that the kernel would not cut.
func (s *sender) singly(m *plan.Message) {
	for i := m.First; i >= 0; i = s.plan.Next(i) {
		s.lone.single(&s.parcel, i)
		_, errno := s.call(s.lone.headers, true)
		if errno != 0 && !final(errno) {
			_, errno = s.call(s.lone.headers, true)
		}
		if errno != 0 {
			s.batch.stats.writeErrors.Add(1)
			continue
		}
		s.batch.stats.sent.Add(1)
		s.batch.stats.segments.Observe(1)
	}
}

// count notes what the kernel has taken with one call.
func (s *sender) count(messages []plan.Message) {
	datagrams := 0
	for i := range messages {
		n := messages[i].Count
		datagrams += n
		s.batch.stats.segments.Observe(float64(n))
		if n > 1 {
			s.offload.worked()
		}
	}
	s.batch.stats.sent.Add(uint64(datagrams))
	s.batch.stats.sendBatch.Observe(float64(datagrams))
}

// call sends messages and returns how many were taken. EAGAIN tells that there is no room for one, if
// it is not to wait for that.
func (s *sender) call(headers []mmsghdr, wait bool) (int, syscall.Errno) {
	s.headers, s.wait = headers, wait
	if err := s.batch.raw.Write(s.write); err != nil {
		return 0, unix.ESHUTDOWN // closed, or closing and without room
	}
	return s.sent, s.errno
}

// writeVolley is called by the runtime when there may be room; false makes it wait.
func (s *sender) writeVolley(fd uintptr) bool {
	for {
		s.sent, s.errno = s.batch.k.send(fd, s.headers)
		switch s.errno {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return !s.wait
		default:
			return true
		}
	}
}

// final tells that trying again cannot help.
func final(errno syscall.Errno) bool { return errno == unix.ESHUTDOWN || errno == unix.EMSGSIZE }

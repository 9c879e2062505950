package port

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bedside-video/bedside/sfu/port/plan"
)

// sender takes parcels to the kernel. It is runSender's.
type sender struct {
	batch   *batch
	parcel  parcel
	plan    plan.Plan
	volley  *volley
	lone    *volley // for what was refused as part of a message
	offload offload

	// Arguments and results of write, which is made once so that it is not allocated for each call.
	write   func(fd uintptr) bool
	headers []mmsghdr
	sent    int
	errno   syscall.Errno
}

// send sends the parcel.
func (s *sender) send() {
	s.plan.Make(s.parcel.datagrams, s.offload.on.Load())
	for rest := s.plan.Messages; len(rest) > 0; {
		rest = s.volley.load(&s.parcel, &s.plan, rest)
		s.fire()
	}
}

// fire sends the messages of the volley. The kernel stops at the first that it does not take.
func (s *sender) fire() {
	failed := false // the message at i, once
	for i := 0; i < len(s.volley.headers); {
		n, errno := s.call(s.volley.headers[i:])
		if errno == 0 {
			s.count(s.volley.messages[i : i+n])
			i, failed = i+n, false
			continue
		}
		m := &s.volley.messages[i]
		switch {
		case m.Count > 1 && refusesSegments(errno):
			s.offload.refuse(errno)
			s.batch.stats.gsoRefused.Add(1)
			s.singly(m)
		case !failed && !final(errno): // it may be the error of an earlier datagram (ICMP): udp(7)
			failed = true
			continue
		default:
			s.batch.stats.writeErrors.Add(uint64(m.Count))
		}
		i, failed = i+1, false
	}
}

// singly sends the datagrams of a message that the kernel would not cut.
func (s *sender) singly(m *plan.Message) {
	for i := m.First; i >= 0; i = s.plan.Next(i) {
		s.lone.single(&s.parcel, i)
		_, errno := s.call(s.lone.headers)
		if errno != 0 && !final(errno) {
			_, errno = s.call(s.lone.headers)
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

// call sends messages, waiting for room in the socket's buffer. It returns how many were taken.
func (s *sender) call(headers []mmsghdr) (int, syscall.Errno) {
	s.headers = headers
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
			return false
		default:
			return true
		}
	}
}

// final tells that trying again cannot help.
func final(errno syscall.Errno) bool { return errno == unix.ESHUTDOWN || errno == unix.EMSGSIZE }

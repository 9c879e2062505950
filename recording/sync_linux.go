package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxSyncs is how many files may be under way at once, more or less (the kernel takes some more): what it does not
// take waits in a thread.
const maxSyncs = 64

// syncer makes what was written durable without a thread that waits for the disk: the kernel does it, and
// tells (io_submit(2), IOCB_CMD_FDSYNC, Linux 4.18). A thread in fdatasync(2) keeps one of Go's processors
// until sysmon takes it away, which looks every 20 us to 10 ms (runtime/proc.go), and on a server with one
// processor nobody reads the socket meanwhile.
type syncer struct {
	context uintptr // aio_context_t; 0: the kernel has none for us, and threads wait

	mu      sync.Mutex
	next    uint64
	results map[uint64]int64 // that nobody has taken yet: of as many as are under way
	idle    []*waiter        // that nobody uses: at most as many as there were recordings at once
}

// controlBlock is struct iocb of linux/aio_abi.h.
type controlBlock struct {
	data   uint64
	_      [2]uint32 // key and flags of reading and writing
	opcode uint16
	_      int16 // priority
	file   uint32
	_      [4]uint64 // buffer, length, offset; reserved
	flags  uint32
	event  uint32
}

// completion is struct io_event.
type completion struct {
	data   uint64
	_      uint64 // the block
	result int64
	_      int64
}

const (
	opDatasync = 3 // IOCB_CMD_FDSYNC
	flagEvent  = 1 // IOCB_FLAG_RESFD
)

func newSyncer() *syncer {
	s := &syncer{results: map[uint64]int64{}}
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, maxSyncs, uintptr(unsafe.Pointer(&s.context)), 0); errno != 0 {
		s.context = 0 // seccomp, or fs.aio-max-nr
	}
	return s
}

// sync makes the content of files durable, and of their metadata only the length. All of them are given to the
// kernel at once, so that its journal is written once and the caller is woken once. The caller owns the files:
// nobody closes them meanwhile. It may be called from any goroutine.
func (s *syncer) sync(files []*os.File) error {
	var err error
	for len(files) > 0 {
		n := min(len(files), maxSyncs)
		err = errors.Join(err, s.batch(files[:n]))
		files = files[n:]
	}
	return err
}

// batch is sync of at most maxSyncs files.
func (s *syncer) batch(files []*os.File) error {
	w := s.waiter()
	taken := 0
	if w != nil {
		var err error
		if taken, err = w.submit(s, files); err != nil {
			s.keep(w)
			return err
		}
	}
	var err error
	for _, f := range files[taken:] { // the kernel has enough under way, or the file's system cannot
		err = errors.Join(err, datasync(f))
	}
	if w == nil {
		return err
	}
	if e := w.wait(taken); e != nil {
		return errors.Join(err, e, w.event.Close())
	}
	for _, b := range w.blocks[:taken] {
		err = errors.Join(err, s.result(b.data))
	}
	s.keep(w)
	return err
}

// waiter is who waits for a batch: what tells, and what the kernel reads. It is on the heap, where nothing moves.
type waiter struct {
	event  *os.File // non-blocking: who reads it waits in the runtime's poller
	fd     uint32
	blocks [maxSyncs]controlBlock
	list   [maxSyncs]*controlBlock
}

// waiter returns one that nobody uses; nil: threads have to wait.
func (s *syncer) waiter() *waiter {
	if s.context == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		w := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return w
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil
	}
	return &waiter{event: os.NewFile(uintptr(fd), "eventfd"), fd: uint32(fd)}
}

func (s *syncer) keep(w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, w)
}

// number is what the first of n completions is called; the others follow.
func (s *syncer) number(n int) (first uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = s.next
	s.next += uint64(n)
	return first
}

// submit gives the kernel files to make durable, and returns how many of them it took.
func (w *waiter) submit(s *syncer, files []*os.File) (taken int, err error) {
	first := s.number(len(files))
	for i, f := range files {
		fd := f.Fd()
		if fd == ^uintptr(0) {
			return 0, fmt.Errorf("sync: %w", os.ErrClosed)
		}
		w.blocks[i] = controlBlock{data: first + uint64(i), opcode: opDatasync, file: uint32(fd), flags: flagEvent, event: w.fd}
		w.list[i] = &w.blocks[i]
	}
	n, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, s.context, uintptr(len(files)), uintptr(unsafe.Pointer(&w.list[0])))
	if errno != 0 {
		return 0, nil
	}
	return int(n), nil
}

// wait waits until the kernel has told of so many.
func (w *waiter) wait(taken int) error {
	for taken > 0 {
		var count [8]byte
		if _, err := w.event.Read(count[:]); err != nil {
			return fmt.Errorf("sync: %w", err)
		}
		taken -= int(binary.NativeEndian.Uint64(count[:]))
	}
	return nil
}

// result takes that of a sync that the kernel has told of. Whoever asks takes those of others out of the
// kernel, too.
func (s *syncer) result(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if result, ok := s.results[id]; ok {
			delete(s.results, id)
			if result != 0 {
				return os.NewSyscallError("fdatasync", syscall.Errno(-result))
			}
			return nil
		}
		if err := s.harvest(); err != nil {
			return err
		}
	}
}

// harvest takes results out of the kernel, which may have more of them than fit; mu is held.
func (s *syncer) harvest() error {
	var done [maxSyncs]completion
	var now unix.Timespec
	n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, s.context, 0, maxSyncs, uintptr(unsafe.Pointer(&done[0])), uintptr(unsafe.Pointer(&now)), 0)
	switch {
	case errno == syscall.EINTR:
		return nil
	case errno != 0:
		return os.NewSyscallError("io_getevents", errno)
	case n == 0:
		return errors.New("sync: the kernel tells of a result and has none")
	}
	for _, c := range done[:n] {
		s.results[c.data] = c.result
	}
	return nil
}

// close gives the kernel's part back. Nothing may be under way.
func (s *syncer) close() {
	for _, w := range s.idle {
		_ = w.event.Close() // nothing is in it
	}
	if s.context != 0 {
		_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, s.context, 0, 0) // only an invalid one fails
	}
}

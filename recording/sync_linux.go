package recording

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxSyncs is how many may be under way at once, more or less (the kernel takes some more): what it does not take
// waits in a thread.
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

// sync makes a file's content durable, and of its metadata only the length. It may be called from any goroutine.
func (s *syncer) sync(f *os.File) error {
	if s.context == 0 {
		return datasync(f)
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return datasync(f)
	}
	event := os.NewFile(uintptr(fd), "eventfd") // non-blocking: who reads it waits in the runtime's poller
	defer func() { _ = event.Close() }()
	id, errno, err := s.submit(f, fd)
	switch {
	case err != nil:
		return fmt.Errorf("sync: %w", err)
	case errno != 0: // too many are under way, or the file's system cannot
		return datasync(f)
	}
	var count [8]byte
	if _, err := event.Read(count[:]); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return s.result(id)
}

// submit gives the kernel a file to make durable, and returns what its completion is called; errno if it does
// not take it, err if the file is closed.
func (s *syncer) submit(f *os.File, event int) (id uint64, errno syscall.Errno, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	s.mu.Lock()
	s.next++
	id = s.next
	s.mu.Unlock()
	err = raw.Control(func(fd uintptr) {
		block := &controlBlock{data: id, opcode: opDatasync, file: uint32(fd), flags: flagEvent, event: uint32(event)}
		_, _, errno = unix.Syscall(unix.SYS_IO_SUBMIT, s.context, 1, uintptr(unsafe.Pointer(&block)))
	})
	return id, errno, err
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
	if s.context != 0 {
		_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, s.context, 0, 0) // only an invalid one fails
	}
}

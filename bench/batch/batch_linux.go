package batch

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// readMessages is how many a recvmmsg takes. Each may hold a whole run of datagrams, so that a
	// few are a whole burst; their buffers are touched only as far as they are filled.
	readMessages = 4
	// The kernel takes 64 segments a call (UDP_MAX_SEGMENTS), and no more than one datagram's bytes.
	maxSegments = 64
	controlSize = 64
)

// fast is a socket with batches.
type fast struct {
	udp      *net.UDPConn
	batch    *ipv4.PacketConn // whatever the family: it is only read
	messages []ipv4.Message
	noGSO    atomic.Bool // the kernel, or a device, refused it once
}

func newFast(udp *net.UDPConn) *fast {
	f := &fast{udp: udp, batch: ipv4.NewPacketConn(udp), messages: make([]ipv4.Message, readMessages)}
	for i := range f.messages {
		f.messages[i].Buffers = [][]byte{make([]byte, maxDatagram)}
		f.messages[i].OOB = make([]byte, controlSize)
	}
	if raw, err := udp.SyscallConn(); err == nil {
		// Where the kernel has no GRO it hands over one datagram at a time, as before.
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) })
	}
	return f
}

func (f *fast) read(each func([]byte, netip.AddrPort)) error {
	n, err := f.batch.ReadBatch(f.messages, 0)
	if err != nil {
		return err
	}
	for i := range f.messages[:n] {
		m := &f.messages[i]
		b, from := m.Buffers[0][:m.N], addrPort(m.Addr)
		size := segmentSize(m.OOB[:m.NN])
		if size <= 0 || size >= len(b) {
			each(b, from)
			continue
		}
		for len(b) > 0 {
			cut := min(size, len(b))
			each(b[:cut:cut], from)
			b = b[cut:]
		}
	}
	return nil
}

// segmentSize finds in the control messages how long the datagrams are that GRO put together; 0 if it
// did not.
func segmentSize(oob []byte) int {
	for len(oob) >= unix.SizeofCmsghdr {
		length := int(binary.NativeEndian.Uint32(oob)) // the low half, where it has 64 bits
		if unix.SizeofCmsghdr == 16 {
			length = int(binary.NativeEndian.Uint64(oob))
		}
		if length < unix.SizeofCmsghdr || length > len(oob) {
			return 0
		}
		level := binary.NativeEndian.Uint32(oob[unix.SizeofCmsghdr-8:])
		kind := binary.NativeEndian.Uint32(oob[unix.SizeofCmsghdr-4:])
		if level == unix.SOL_UDP && kind == unix.UDP_GRO && length >= unix.SizeofCmsghdr+4 {
			return int(int32(binary.NativeEndian.Uint32(oob[unix.SizeofCmsghdr:])))
		}
		oob = oob[min(len(oob), unix.CmsgSpace(length-unix.SizeofCmsghdr)):]
	}
	return 0
}

func (f *fast) write(b []byte, to netip.AddrPort) error {
	_, err := f.udp.WriteToUDPAddrPort(b, to)
	return err
}

// writeRun sends as many segments a call as the kernel takes. It returns false, with nothing sent,
// where GSO is not to be had.
func (f *fast) writeRun(b []byte, size int, to netip.AddrPort) (bool, error) {
	if f.noGSO.Load() {
		return false, nil
	}
	var control [controlSize]byte
	oob := putSegmentSize(control[:0], size)
	most := min(maxSegments, 65000/size) * size
	for first := true; len(b) > 0; first = false {
		n := min(most, len(b))
		extra := oob
		if n <= size {
			extra = nil
		}
		if _, _, err := f.udp.WriteMsgUDPAddrPort(b[:n], extra, to); err != nil {
			if first && refused(err) {
				f.noGSO.Store(true)
				return false, nil
			}
			return true, err
		}
		b = b[n:]
	}
	return true, nil
}

// putSegmentSize appends the control message UDP_SEGMENT.
func putSegmentSize(oob []byte, size int) []byte {
	oob = oob[:unix.CmsgSpace(2)]
	if unix.SizeofCmsghdr == 16 {
		binary.NativeEndian.PutUint64(oob, uint64(unix.CmsgLen(2)))
	} else {
		binary.NativeEndian.PutUint32(oob, uint32(unix.CmsgLen(2)))
	}
	binary.NativeEndian.PutUint32(oob[unix.SizeofCmsghdr-8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(oob[unix.SizeofCmsghdr-4:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(oob[unix.SizeofCmsghdr:], uint16(size))
	return oob
}

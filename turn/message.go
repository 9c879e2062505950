package turn

import (
	"encoding/binary"
	"net/netip"

	"github.com/pion/stun/v4"
)

const (
	channelHeader = 4
	// The channels of RFC 5766, which clients of before RFC 8656 use, too; that one ends them at 0x4fff.
	minChannel = 0x4000
	maxChannel = 0x7ffe
	// maxMessage bounds a STUN message and what is relayed: a datagram of an Ethernet, and what a relay
	// puts around it.
	maxMessage = 2048
	// maxAttributes bounds the attributes of a request; the longest that a browser sends has 9.
	maxAttributes = 32
)

// isChannelData tells a ChannelData message from a STUN message by its first two bits.
func isChannelData(b []byte) bool { return len(b) > 0 && b[0]>>6 == 1 }

// splitChannelData returns what b carries. Padding may follow: a client must not, but may, send it in a
// datagram (RFC 8656 section 12.5).
func splitChannelData(b []byte) (number uint16, data []byte, ok bool) {
	if len(b) < channelHeader {
		return 0, nil, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if len(b) < channelHeader+n {
		return 0, nil, false
	}
	return binary.BigEndian.Uint16(b), b[channelHeader : channelHeader+n], true
}

// parse reads a message into m, which keeps a copy of b. Attributes after MESSAGE-INTEGRITY, which
// nobody has vouched for, are not among those of m: pion/stun drops them (RFC 8489 section 14.5).
func parse(m *stun.Message, b []byte) bool {
	if len(b) > maxMessage {
		return false
	}
	m.Raw = append(m.Raw[:0], b...)
	return m.Decode() == nil && len(m.Attributes) <= maxAttributes
}

// number reads an attribute of four bytes, or of fewer with zeros behind them.
func number(m *stun.Message, t stun.AttrType) (value uint32, there, ok bool) {
	v, err := m.Get(t)
	if err != nil {
		return 0, false, true
	}
	if len(v) != 4 {
		return 0, true, false
	}
	return binary.BigEndian.Uint32(v), true, true
}

// addresses reads all attributes of one type as XOR addresses (RFC 8489 section 14.2). It is false if
// one of them is none, or if there are none.
func addresses(m *stun.Message, t stun.AttrType) (list []netip.AddrPort, ok bool) {
	for i := range m.Attributes {
		if m.Attributes[i].Type != t {
			continue
		}
		a, ok := xorAddress(m.Attributes[i].Value, m.TransactionID)
		if !ok {
			return nil, false
		}
		list = append(list, a)
	}
	return list, len(list) > 0
}

func xorAddress(v []byte, transaction [stun.TransactionIDSize]byte) (netip.AddrPort, bool) {
	const familyIPv4, familyIPv6 = 1, 2
	var key [16]byte
	binary.BigEndian.PutUint32(key[:], stunCookie)
	copy(key[4:], transaction[:])
	if len(v) < 4 {
		return netip.AddrPort{}, false
	}
	port := binary.BigEndian.Uint16(v[2:]) ^ binary.BigEndian.Uint16(key[:])
	ip := append([]byte(nil), v[4:]...)
	for i := range min(len(ip), len(key)) {
		ip[i] ^= key[i]
	}
	switch {
	case v[1] == familyIPv4 && len(ip) == 4, v[1] == familyIPv6 && len(ip) == 16:
		a, _ := netip.AddrFromSlice(ip)
		return netip.AddrPortFrom(a, port), true
	}
	return netip.AddrPort{}, false
}

const stunCookie = 0x2112A442

// xor is an attribute with an address.
type xor struct {
	t  stun.AttrType
	at netip.AddrPort
}

// AddTo implements stun.Setter.
func (x xor) AddTo(m *stun.Message) error {
	a := stun.XORMappedAddress{IP: x.at.Addr().AsSlice(), Port: int(x.at.Port())}
	return a.AddToAs(m, x.t)
}

// plain is any other attribute.
type plain struct {
	t stun.AttrType
	v []byte
}

// AddTo implements stun.Setter.
func (p plain) AddTo(m *stun.Message) error { m.Add(p.t, p.v); return nil }

func lifetime(seconds uint32) plain {
	return plain{stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, seconds)}
}

// answer builds a response to m. There is no SOFTWARE attribute: a stranger need not know.
func answer(m *stun.Message, class stun.MessageClass, what ...stun.Setter) []byte {
	setters := append([]stun.Setter{stun.NewTransactionIDSetter(m.TransactionID), stun.NewType(m.Type.Method, class)}, what...)
	out, err := stun.Build(setters...)
	if err != nil {
		return nil // one of what we say does not fit an attribute: it would be a mistake of ours
	}
	return out.Raw
}

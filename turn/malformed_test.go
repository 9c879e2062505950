package turn_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// insert puts bytes between two attributes of a message, and makes its length right.
func insert(m []byte, at int, attribute []byte) []byte {
	out := slices.Concat(m[:at], attribute, m[at:])
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)-20))
	return out
}

// boundaries are the offsets at which an attribute of a message may begin.
func boundaries(t testing.TB, m []byte) (all []int, integrity int) {
	t.Helper()
	for at := 20; at < len(m); {
		all = append(all, at)
		if binary.BigEndian.Uint16(m[at:]) == uint16(stun.AttrMessageIntegrity) {
			integrity = at
		}
		at += 4 + (int(binary.BigEndian.Uint16(m[at+2:]))+3)&^3
	}
	return append(all, len(m)), integrity
}

// everyRequest is one of each that the relay knows, signed by somebody with an allocation.
func (u *user) everyRequest() map[string]*stun.Message {
	return map[string]*stun.Message{
		"Allocate":         u.sign(stun.MethodAllocate, transport(17), family(1), lifetimeOf(600e9)),
		"Refresh":          u.sign(stun.MethodRefresh, lifetimeOf(600e9)),
		"CreatePermission": u.sign(stun.MethodCreatePermission, peerAddress(media)),
		"ChannelBind":      u.sign(stun.MethodChannelBind, channelNumber(0x4001), peerAddress(media)),
		"Send": stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
			peerAddress(media), raw{stun.AttrData, []byte("x")}),
	}
}

// Attributes that are empty, cut or longer than the message, of every type and in every position, those
// after MESSAGE-INTEGRITY included, which made a relay on pion/stun panic (CVE-2026-54909).
func TestMalformedAttributes(t *testing.T) {
	s := newTable(t, limits())
	u := s.user(alice, "session")
	l := u.bound(0x4001)
	shapes := 0
	for name, m := range u.everyRequest() {
		all, integrity := boundaries(t, m.Raw)
		for _, kind := range attributes() {
			for _, length := range []int{0, 1, 3, 4, 20} {
				for _, at := range all {
					for _, there := range []int{length &^ 3, (length + 3) &^ 3} { // cut, and whole
						attribute := append(binary.BigEndian.AppendUint32(nil, uint32(kind)<<16|uint32(length)), make([]byte, there)...)
						before := len(l.got)
						b := insert(m.Raw, at, attribute)
						back := u.say(b)
						shapes++
						// Before MESSAGE-INTEGRITY it breaks the signature.
						if integrity != 0 && at <= integrity && len(back) > 0 && stunClass(back[0]) == stun.ClassSuccessResponse {
							t.Fatalf("%s with %v of %d bytes at %d: granted", name, kind, length, at)
						}
						if len(l.got) > before+1 {
							t.Fatalf("%s: emitted %v", name, l.got)
						}
						if len(s.lines) != 1 || s.value("bedside_turn_allocations") != 1 { // it may have been refreshed away
							t.Fatalf("%s with %v of %d bytes at %d: another allocation", name, kind, length, at)
						}
					}
				}
			}
		}
		for n := range len(m.Raw) { // cut anywhere, with the length as it was and made to fit
			u.say(m.Raw[:n])
			if n >= 20 {
				cut := slices.Clone(m.Raw[:n])
				binary.BigEndian.PutUint16(cut[2:], uint16(n-20))
				u.say(cut)
			}
		}
	}
	s.now = s.now.Add(time.Second)
	if a := u.fresh().ask(stun.MethodRefresh); a.code != 0 {
		t.Errorf("Refresh after all that: %d", a.code)
	}
	t.Logf("figure: %d malformed requests of a signed client: the relay lives and grants none", shapes)
}

// fresh fetches a new nonce.
func (u *user) fresh() *user {
	u.nonce = ""
	return u
}

func stunClass(b []byte) stun.MessageClass {
	m := &stun.Message{Raw: b}
	if m.Decode() != nil {
		return stun.ClassIndication
	}
	return m.Type.Class
}

func attributes() []stun.AttrType {
	return []stun.AttrType{
		stun.AttrUsername, stun.AttrMessageIntegrity, stun.AttrRealm, stun.AttrNonce, stun.AttrXORMappedAddress, stun.AttrXORPeerAddress,
		stun.AttrXORRelayedAddress, stun.AttrChannelNumber, stun.AttrLifetime, stun.AttrData, stun.AttrRequestedTransport,
		stun.AttrRequestedAddressFamily, stun.AttrEvenPort, stun.AttrDontFragment, stun.AttrReservationToken, stun.AttrErrorCode,
		stun.AttrUnknownAttributes, stun.AttrMessageIntegritySHA256, stun.AttrFingerprint, stun.AttrSoftware, stun.AttrType(0x7fff),
	}
}

// FuzzRelay lets a client that has a password say anything: the input is cut into messages, each of
// which begins with a byte that says what is done with it. Nothing but the media server is ever reached.
func FuzzRelay(f *testing.F) {
	f.Add([]byte{0, 4, 0x40, 1, 0, 0})
	f.Add([]byte{1, 0})                                                                       // a signed Allocate
	f.Add([]byte{1, 0, 2, 12, 0, 0x12, 0, 8, 0, 1, 0x31, 0xe9, 0xea, 0x12, 0xd5, 0x48})       // and a permission
	f.Add([]byte{1, 0, 3, 8, 0, 0x0c, 0, 4, 0x40, 1, 0, 0, 4, 12, 0, 0x12, 0, 8, 0, 1, 0, 0}) // and channels
	f.Add([]byte{1, 0, 5, 4, 0, 0x16, 0, 0, 2, 6, 0, 0x0d, 0, 4, 0, 0, 0, 0})                 // zero-length attributes
	f.Fuzz(func(t *testing.T, in []byte) {
		s := newTable(t, limits())
		u := s.user(alice, "session")
		u.challenge()
		for n := 0; len(in) >= 2 && n < 64; n++ {
			what, size := in[0], min(int(in[1]), len(in)-2)
			b := in[2 : 2+size]
			in = in[2+size:]
			switch what % 8 {
			case 0:
				u.say(b)
			case 1:
				u.say(u.sign(stun.MethodAllocate, transport(17), rest(b)).Raw)
			case 2:
				u.say(u.sign(stun.MethodCreatePermission, rest(b)).Raw)
			case 3:
				u.say(u.sign(stun.MethodChannelBind, rest(b)).Raw)
			case 4:
				u.say(u.sign(stun.MethodChannelBind, channelNumber(0x4001), peerAddress(media), rest(b)).Raw)
			case 5:
				m := u.sign(stun.MethodRefresh).Raw
				u.say(insert(m, len(m), b)) // after MESSAGE-INTEGRITY
			case 6:
				u.say(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), rest(b)).Raw)
			case 7:
				for _, l := range s.lines {
					l.receive(b, 0)
				}
			}
		}
		for _, l := range s.lines {
			for _, p := range l.got {
				if p.peer != 0 {
					t.Fatalf("a peer that is none: %d", p.peer)
				}
			}
		}
		if n := len(s.lines); float64(n) < s.value("bedside_turn_allocations") {
			t.Fatalf("%d lines", n)
		}
	})
}

// rest is attributes as they come.
type rest []byte

func (r rest) AddTo(m *stun.Message) error {
	for b := []byte(r); len(b) >= 4; {
		n := min(int(b[3]), len(b)-4)
		m.Add(stun.AttrType(binary.BigEndian.Uint16(b)), b[4:4+n])
		b = b[4+n:]
	}
	return nil
}

// A million strangers who ask for allocations cost nothing that stays.
func TestFloodOfStrangers(t *testing.T) {
	strangers := 5_000
	if soak() {
		strangers = 1_000_000
	}
	s := newTable(t, limits())
	m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transport(17)).Raw
	answers := 0
	count := &counting{table: s, answers: &answers}
	s.relay.ServePort(count)
	flood := func() {
		for n := range strangers {
			count.take(m, from(n))
		}
	}
	flood()
	before := heapInUse()
	flood()
	if grown := int64(heapInUse()) - int64(before); grown > 1<<20 {
		t.Errorf("the heap has grown by %d bytes with the second %d strangers", grown, strangers)
	}
	if got := int(s.value("bedside_turn_silenced_total")) + answers; got != 2*strangers {
		t.Errorf("%d answered or silenced of %d", got, 2*strangers)
	}
	if s.value("bedside_turn_allocations") != 0 {
		t.Error("a stranger has an allocation")
	}
	t.Logf("figure: %d strangers a second: %d answers", 2*strangers, answers)
}

// counting is a port that only counts what is sent.
type counting struct {
	*table
	answers *int
	take    func(b []byte, from netip.AddrPort)
}

func (c *counting) Write([]byte, netip.AddrPort) error                { *c.answers++; return nil }
func (c *counting) ServeTURN(relay func([]byte, netip.AddrPort))      { c.take = relay }
func (c *counting) WriteChannel(uint16, []byte, netip.AddrPort) error { return nil }

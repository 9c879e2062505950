package turn_test

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bedside-video/bedside/turn"
	"github.com/bedside-video/bedside/turn/policy"
)

const realm = "bedside.example"

var (
	alice = netip.MustParseAddrPort("192.0.2.1:5000")
	media = netip.MustParseAddrPort("203.0.113.10:8443") // the media server's
	start = time.Unix(1_800_000_000, 0)
)

// table is a relay without sockets: what it is given, it works off before it returns.
type table struct {
	t           testing.TB
	now         time.Time
	relay       *turn.Relay
	credentials *turn.Credentials
	metrics     *prometheus.Registry
	take        func(b []byte, from netip.AddrPort)
	sent        map[netip.AddrPort][][]byte // to clients
	lines       []*line
}

// Write implements turn.Datagrams.
func (s *table) Write(b []byte, to netip.AddrPort) error {
	s.sent[to] = append(s.sent[to], slices.Clone(b))
	return nil
}

// WriteChannel implements turn.Datagrams.
func (s *table) WriteChannel(number uint16, b []byte, to netip.AddrPort) error {
	return s.Write(channelData(number, b), to)
}

// ServeTURN implements turn.Datagrams.
func (s *table) ServeTURN(relay func([]byte, netip.AddrPort)) { s.take = relay }

// line is the other end of an allocation: it notes what peers are sent.
type line struct {
	at      netip.AddrPort
	receive func([]byte, int) bool
	got     []packet
	closed  bool
}

type packet struct {
	data string
	peer int
}

func (l *line) Address() netip.AddrPort { return l.at }
func (l *line) Send(b []byte, peer int) { l.got = append(l.got, packet{string(b), peer}) }
func (l *line) Close()                  { l.closed = true }

// Open implements turn.Host.
func (s *table) Open(ipv6 bool, receive func([]byte, int) bool) (turn.Line, error) {
	ip := "203.0.113.10"
	if ipv6 {
		ip = "2001:db8::10"
	}
	l := &line{at: netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(50000+len(s.lines))), receive: receive}
	s.lines = append(s.lines, l)
	return l, nil
}

// limits that no test but those of limits reaches.
func limits() turn.Limits {
	return turn.Limits{
		Limits:  policy.Limits{PerCredential: 4, PerOwner: 12, PerSource: 1000, Total: 2000},
		Bitrate: 1e9, Connections: 100,
	}
}

func secrets(t testing.TB, current, previous string) policy.Secrets {
	t.Helper()
	pad := func(s string) []byte {
		if s == "" {
			return nil
		}
		return append([]byte(s), make([]byte, policy.SecretBytes)...)
	}
	out, err := policy.NewSecrets(pad(current), pad(previous))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newTable(t testing.TB, l turn.Limits, peers ...netip.AddrPort) *table {
	t.Helper()
	if peers == nil {
		peers = []netip.AddrPort{media}
	}
	allowed, err := policy.NewPeers(peers)
	if err != nil {
		t.Fatal(err)
	}
	s := &table{t: t, now: start, sent: map[netip.AddrPort][][]byte{}, metrics: prometheus.NewRegistry()}
	s.credentials = turn.NewCredentials(secrets(t, "one", ""), s.clock, rand.Reader)
	s.relay, err = turn.New(turn.Options{
		Realm: realm, Peers: allowed, Host: s, Authority: s.credentials, Limits: l,
		Clock: s.clock, Rand: rand.Reader, Metrics: s.metrics,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.relay.Close() })
	s.relay.ServePort(s)
	return s
}

func (s *table) clock() time.Time { return s.now }

// user is a client with a credential.
type user struct {
	*table
	at         netip.AddrPort
	credential policy.Credential
	nonce      string
}

// user makes a client of a session.
func (s *table) user(at netip.AddrPort, session string) *user {
	s.t.Helper()
	c, err := s.credentials.Issue(session)
	if err != nil {
		s.t.Fatal(err)
	}
	return &user{table: s, at: at, credential: c}
}

// say sends b and returns what comes back.
func (u *user) say(b []byte) [][]byte {
	delete(u.sent, u.at)
	u.take(slices.Clone(b), u.at)
	return u.sent[u.at]
}

// answer is what a request came to: 0 for success, the code of the error, or -1 if nothing came back.
type answer struct {
	code int
	m    *stun.Message
}

func (u *user) exchange(m *stun.Message) answer {
	u.t.Helper()
	back := u.say(m.Raw)
	if len(back) == 0 {
		return answer{code: -1}
	}
	if len(back) > 1 {
		u.t.Fatalf("%d answers to one request", len(back))
	}
	out := &stun.Message{Raw: back[0]}
	if err := out.Decode(); err != nil {
		u.t.Fatal(err)
	}
	if out.TransactionID != m.TransactionID {
		u.t.Fatal("an answer to another request")
	}
	if out.Contains(stun.AttrSoftware) {
		u.t.Error("the answer has a SOFTWARE attribute")
	}
	if out.Type.Class == stun.ClassSuccessResponse {
		return answer{m: out}
	}
	var code stun.ErrorCodeAttribute
	if err := code.GetFrom(out); err != nil {
		u.t.Fatal(err)
	}
	return answer{code: int(code.Code), m: out}
}

// sign builds a request with the user's credential.
func (u *user) sign(method stun.Method, what ...stun.Setter) *stun.Message {
	u.t.Helper()
	all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, what...)
	all = append(all, stun.NewUsername(u.credential.Username), stun.NewRealm(realm), stun.NewNonce(u.nonce),
		stun.NewLongTermIntegrity(u.credential.Username, realm, u.credential.Password))
	m, err := stun.Build(all...)
	if err != nil {
		u.t.Fatal(err)
	}
	return m
}

// ask sends a signed request. It fetches a nonce first, if it has none.
func (u *user) ask(method stun.Method, what ...stun.Setter) answer {
	u.t.Helper()
	if u.nonce == "" {
		u.challenge()
	}
	return u.exchange(u.sign(method, what...))
}

// challenge takes the nonce that a stranger is given.
func (u *user) challenge() {
	u.t.Helper()
	a := u.exchange(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), transport(17)))
	if a.code != 401 {
		u.t.Fatalf("a stranger is answered %d", a.code)
	}
	var nonce stun.Nonce
	var r stun.Realm
	if nonce.GetFrom(a.m) != nil || r.GetFrom(a.m) != nil || r.String() != realm {
		u.t.Fatal("the challenge has no nonce, or another realm")
	}
	u.nonce = nonce.String()
}

// allocated makes an allocation.
func (u *user) allocated() *line {
	u.t.Helper()
	if a := u.ask(stun.MethodAllocate, transport(17)); a.code != 0 {
		u.t.Fatalf("Allocate: %d", a.code)
	}
	return u.lines[len(u.lines)-1]
}

// bound makes an allocation with a channel to the media server.
func (u *user) bound(channel uint16) *line {
	u.t.Helper()
	l := u.allocated()
	if a := u.ask(stun.MethodChannelBind, channelNumber(channel), peerAddress(media)); a.code != 0 {
		u.t.Fatalf("ChannelBind: %d", a.code)
	}
	return l
}

func (u *user) indication(to netip.AddrPort, data string) {
	u.say(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication), peerAddress(to), raw{stun.AttrData, []byte(data)}).Raw)
}

// raw is an attribute as it is.
type raw struct {
	t stun.AttrType
	v []byte
}

func (r raw) AddTo(m *stun.Message) error { m.Add(r.t, r.v); return nil }

func transport(protocol byte) raw {
	return raw{stun.AttrRequestedTransport, []byte{protocol, 0, 0, 0}}
}

func family(f byte) raw { return raw{stun.AttrRequestedAddressFamily, []byte{f, 0, 0, 0}} }

func channelNumber(n uint16) raw {
	return raw{stun.AttrChannelNumber, binary.BigEndian.AppendUint32(nil, uint32(n)<<16)}
}

func lifetimeOf(d time.Duration) raw {
	return raw{stun.AttrLifetime, binary.BigEndian.AppendUint32(nil, uint32(d/time.Second))}
}

// peer is XOR-PEER-ADDRESS. pion would write a mapped address as one of IPv4; this writes what it is.
type peer struct{ at netip.AddrPort }

func peerAddress(at netip.AddrPort) peer { return peer{at} }

// AddTo implements stun.Setter.
func (p peer) AddTo(m *stun.Message) error {
	key := binary.BigEndian.AppendUint32(nil, 0x2112A442)
	key = append(key, m.TransactionID[:]...)
	ip := p.at.Addr().WithZone("").AsSlice()
	for i := range ip {
		ip[i] ^= key[i]
	}
	f := byte(1)
	if len(ip) == 16 {
		f = 2
	}
	v := binary.BigEndian.AppendUint16([]byte{0, f}, p.at.Port()^0x2112)
	m.Add(stun.AttrXORPeerAddress, append(v, ip...))
	return nil
}

func channelData(number uint16, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(number)<<16|uint32(len(b))), b...)
}

// value of a metric, of all label values together.
func (s *table) value(name string, labels ...string) float64 {
	s.t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			has := 0
			for _, l := range m.Label {
				if slices.Contains(labels, l.GetValue()) {
					has++
				}
			}
			if has == len(labels) {
				sum += m.Counter.GetValue() + m.Gauge.GetValue()
			}
		}
	}
	return sum
}

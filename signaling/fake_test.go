package signaling_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/bedside-video/bedside/sfu"
	"github.com/bedside-video/bedside/sfu/quality"
	"github.com/bedside-video/bedside/signaling"
)

// pipeListener is a network of net.Pipe.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// safeBuffer is a log that goroutines share.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// fakeMedia does nothing but remember between whom media flows, and tell everybody concerned, as
// the media plane does: a slots message to everybody in the roster naming everybody else in it.
type fakeMedia struct {
	mu     sync.Mutex
	rooms  map[string]*fakeRoom
	opened int
	checks []sfu.CheckHandler
	// What the next calls return.
	openErr, joinErr, rosterErr, measureErr error
	samples                                 map[string]quality.Sample // by participant: what Measure returns
}

func newFakeMedia() *fakeMedia {
	return &fakeMedia{rooms: make(map[string]*fakeRoom), samples: make(map[string]quality.Sample)}
}

func (m *fakeMedia) OpenRoom(id string, _ sfu.RoomOptions) (signaling.MediaRoom, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.openErr != nil {
		return nil, m.openErr
	}
	if m.rooms[id] != nil {
		return nil, fmt.Errorf("room %s is open already", id)
	}
	m.opened++
	m.rooms[id] = &fakeRoom{media: m, id: id}
	return m.rooms[id], nil
}

// Check is over when the test says so.
func (m *fakeMedia) Check(_ context.Context, sdp string, to sfu.CheckHandler) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if sdp != "an offer" {
		return "", fmt.Errorf("%w: not the one of these tests", sfu.ErrBadOffer)
	}
	m.checks = append(m.checks, to)
	return "an answer", nil
}

// tellCheck tells what the oldest check has found.
func (m *fakeMedia) tellCheck(f sfu.CheckFigures) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.checks[0].Found(f)
}

// endCheck ends the oldest check.
func (m *fakeMedia) endCheck() {
	m.mu.Lock()
	first := m.checks[0]
	m.checks = m.checks[1:]
	m.mu.Unlock()
	first.Ended()
}

// open counts what has not been closed.
func (m *fakeMedia) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.rooms)
	for _, r := range m.rooms {
		n += len(r.peers)
	}
	return n
}

// fail sets what the next calls return.
func (m *fakeMedia) fail(open, join, roster error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.openErr, m.joinErr, m.rosterErr = open, join, roster
}

// events returns those of a participant.
func (m *fakeMedia) events(participant string) sfu.Events {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rooms {
		for _, p := range r.peers {
			if p.o.ID == participant {
				return p.o.Events
			}
		}
	}
	return nil
}

// published returns what a participant publishes, and whether they receive anything.
func (m *fakeMedia) published(participant string) (tracks []sfu.Track, subscribes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rooms {
		for _, p := range r.peers {
			if p.o.ID == participant {
				return p.tracks, p.o.Subscribe
			}
		}
	}
	return nil, false
}

// flowing returns between whom media flows in a room.
func (m *fakeMedia) flowing(id string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rooms[id]; r != nil {
		return slices.Clone(r.admitted)
	}
	return nil
}

// history returns between whom media has flowed in a room, one line for each change.
func (m *fakeMedia) history(id string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rooms[id]; r != nil {
		return slices.Clone(r.history)
	}
	return nil
}

type fakeRoom struct {
	media    *fakeMedia
	id       string
	peers    []*fakePeer
	admitted []string
	history  []string // every SetRoster, and every SetCapture with a mark in front
	captured []string
	open     func(sfu.Captured) sfu.Tap
}

func (r *fakeRoom) Join(_ context.Context, o sfu.PeerOptions) (signaling.MediaPeer, error) {
	r.media.mu.Lock()
	defer r.media.mu.Unlock()
	if r.media.joinErr != nil {
		return nil, r.media.joinErr
	}
	if slices.ContainsFunc(r.peers, func(p *fakePeer) bool { return p.o.ID == o.ID }) {
		return nil, sfu.ErrDuplicatePeer
	}
	if slices.Contains(r.admitted, o.ID) {
		return nil, fmt.Errorf("%s joins while the roster names it already", o.ID)
	}
	p := &fakePeer{room: r, o: o}
	r.peers = append(r.peers, p)
	return p, nil
}

func (r *fakeRoom) SetRoster(_ context.Context, admitted []string) error {
	r.media.mu.Lock()
	defer r.media.mu.Unlock()
	if r.media.rosterErr != nil {
		return r.media.rosterErr
	}
	r.admitted = slices.Clone(admitted)
	r.history = append(r.history, strings.Join(admitted, " "))
	for _, p := range r.peers {
		if !slices.Contains(admitted, p.o.ID) {
			continue
		}
		var changed []sfu.Assignment
		for _, id := range admitted {
			if id != p.o.ID {
				changed = append(changed, sfu.Assignment{Mid: "9", Peer: id, Source: "camera"})
			}
		}
		p.epoch++
		p.o.Events.Slots(p.epoch, changed)
	}
	return nil
}

// captureMark is in front of a SetCapture in a fakeRoom's history.
const captureMark = "● "

func (r *fakeRoom) SetCapture(_ context.Context, c sfu.Capture) error {
	r.media.mu.Lock()
	defer r.media.mu.Unlock()
	r.captured, r.open = slices.Clone(c.Peers), c.Open
	r.history = append(r.history, captureMark+strings.Join(c.Peers, " "))
	return nil
}

// Measure returns what the test has set.
func (r *fakeRoom) Measure(context.Context) ([]sfu.Measure, error) {
	r.media.mu.Lock()
	defer r.media.mu.Unlock()
	if r.media.measureErr != nil {
		return nil, r.media.measureErr
	}
	all := make([]sfu.Measure, 0, len(r.peers))
	for _, p := range r.peers {
		all = append(all, sfu.Measure{Peer: p.o.ID, Sample: r.media.samples[p.o.ID]})
	}
	return all, nil
}

func (r *fakeRoom) Close() error {
	r.media.mu.Lock()
	defer r.media.mu.Unlock()
	delete(r.media.rooms, r.id)
	return nil
}

type fakePeer struct {
	room  *fakeRoom
	o     sfu.PeerOptions
	epoch uint64
	// Of the last offer of a publisher.
	tracks []sfu.Track
	offers int
}

func (p *fakePeer) Answer(_ context.Context, sdp string, tracks []sfu.Track) (string, error) {
	if strings.HasPrefix(sdp, "crash") {
		return "", errors.New("cannot parse " + sdp)
	}
	if strings.Contains(sdp, "H265") {
		return "", fmt.Errorf("%w: m-line 1 must offer VP8", sfu.ErrCodecMismatch)
	}
	if strings.Contains(sdp, "secretpasswordofclient") && !strings.Contains(sdp, "mutilated") { // the tests' publisher
		p.room.media.mu.Lock()
		defer p.room.media.mu.Unlock()
		p.tracks = tracks
		p.offers++
		return fmt.Sprintf("v=0\r\na=ice-ufrag:server%d\r\na=ice-pwd:%022d\r\n", p.offers, p.offers), nil
	}
	if sdp != "good" {
		return "", fmt.Errorf("%w: m-line 3 has no fingerprint", sfu.ErrBadOffer)
	}
	return "fine", nil
}

func (p *fakePeer) Mute(context.Context, string, bool) error { return nil }

func (p *fakePeer) SetLayout(context.Context, []sfu.Tile) error { return nil }

func (p *fakePeer) Close() error {
	p.room.media.mu.Lock()
	defer p.room.media.mu.Unlock()
	p.room.peers = slices.DeleteFunc(p.room.peers, func(x *fakePeer) bool { return x == p })
	return nil
}

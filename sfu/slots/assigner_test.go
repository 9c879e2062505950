package slots_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/sfu/codec"
	"github.com/bedside-video/bedside/sfu/slots"
)

var epoch = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// room is one receiver's view: what is published, in the order of joining.
type room struct {
	t    *testing.T
	a    *slots.Assigner
	pubs []slots.Publication
	next uint64
}

func newRoom(t *testing.T, audio, video int) *room {
	t.Helper()
	return &room{t: t, a: slots.New(audio, video)}
}

func (r *room) publish(peer string, sources ...codec.Source) *room {
	r.next++
	for _, s := range sources {
		r.pubs = append(r.pubs, slots.Publication{Occupant: slots.Occupant{Peer: peer, Source: s}, Since: r.next})
	}
	return r
}

// join publishes microphone and camera of each.
func (r *room) join(peers ...string) *room {
	for _, p := range peers {
		r.publish(p, codec.Mic, codec.Camera)
	}
	return r
}

func (r *room) unpublish(peer string, sources ...codec.Source) *room {
	r.pubs = slices.DeleteFunc(r.pubs, func(p slots.Publication) bool {
		return p.Peer == peer && (len(sources) == 0 || slices.Contains(sources, p.Source))
	})
	return r
}

// set changes what is known of one publication.
func (r *room) set(peer string, source codec.Source, change func(*slots.Publication)) *room {
	r.t.Helper()
	for i := range r.pubs {
		if p := &r.pubs[i]; p.Peer == peer && p.Source == source {
			change(p)
			return r
		}
	}
	r.t.Fatalf("%s does not publish %s", peer, source)
	return r
}

func (r *room) loud(peer string, loudness int) *room {
	r.t.Helper()
	return r.set(peer, codec.Mic, func(p *slots.Publication) { p.Loudness = loudness })
}

func (r *room) pin(peer string, source codec.Source) *room {
	r.t.Helper()
	return r.set(peer, source, func(p *slots.Publication) { p.Pinned = true })
}

func (r *room) assign(ms int) []slots.Change {
	return r.a.Assign(epoch.Add(time.Duration(ms)*time.Millisecond), r.pubs)
}

// want assigns and compares all slots with the drawing: the audio slots, a bar, the video slots; a
// person's own microphone or camera by the name alone.
func (r *room) want(ms int, drawing string) {
	r.t.Helper()
	r.assign(ms)
	if got := r.draw(); got != drawing {
		r.t.Fatalf("at %d ms: %s, want %s", ms, got, drawing)
	}
}

func (r *room) draw() string { return draw(r.a, codec.Audio) + " | " + draw(r.a, codec.Video) }

func draw(a *slots.Assigner, kind codec.Kind) string {
	var names []string
	for i := range a.Len(kind) {
		switch o := a.Occupant(kind, i); o.Source {
		case "":
			names = append(names, "-")
		case codec.Mic, codec.Camera:
			names = append(names, o.Peer)
		default:
			names = append(names, o.Peer+"."+string(o.Source))
		}
	}
	return strings.Join(names, " ")
}

// Lip sync: slots of one index share a stream id.
func TestPersonTakesOneIndex(t *testing.T) {
	r := newRoom(t, 4, 5).join("ann")
	r.want(0, "ann - - - | ann - - - -")
	r.publish("bob", codec.Camera)
	r.want(0, "ann - - - | ann bob - - -")
	r.publish("cat", codec.Mic)
	r.want(0, "ann - cat - | ann bob - - -")
	r.publish("bob", codec.Mic)
	r.want(0, "ann bob cat - | ann bob - - -")
	r.join("dan")
	r.want(0, "ann bob cat dan | ann bob - dan -")
	r.publish("cat", codec.Camera)
	r.want(0, "ann bob cat dan | ann bob cat dan -")
}

func TestSlotKeepsItsOccupant(t *testing.T) {
	r := newRoom(t, 4, 5).join("ann", "bob", "cat")
	r.want(0, "ann bob cat - | ann bob cat - -")
	r.unpublish("ann")
	r.want(0, "- bob cat - | - bob cat - -")
	r.unpublish("bob", codec.Camera).loud("cat", 100)
	r.want(0, "- bob cat - | - - cat - -")
	r.join("dan")
	r.want(0, "dan bob cat - | dan - cat - -")
	r.publish("bob", codec.Camera)
	r.want(0, "dan bob cat - | dan bob cat - -")
}

func TestChanges(t *testing.T) {
	r := newRoom(t, 2, 3).join("ann")
	occupant := func(source codec.Source) slots.Occupant { return slots.Occupant{Peer: "ann", Source: source} }
	want := []slots.Change{{codec.Audio, 0, occupant(codec.Mic)}, {codec.Video, 0, occupant(codec.Camera)}}
	if got := r.assign(0); !slices.Equal(got, want) {
		t.Errorf("joining: %v, want %v", got, want)
	}
	if got := r.assign(0); len(got) != 0 {
		t.Errorf("nothing new: %v", got)
	}
	r.unpublish("ann", codec.Camera).publish("ann", codec.Screen)
	want = []slots.Change{{Kind: codec.Video, Index: 0}, {codec.Video, 2, occupant(codec.Screen)}}
	if got := r.assign(0); !slices.Equal(got, want) {
		t.Errorf("from camera to screen: %v, want %v", got, want)
	}
	r.unpublish("ann")
	want = []slots.Change{{Kind: codec.Audio, Index: 0}, {Kind: codec.Video, Index: 2}}
	if got := r.assign(0); !slices.Equal(got, want) {
		t.Errorf("leaving: %v, want %v", got, want)
	}
}

func TestScreenSlot(t *testing.T) {
	r := newRoom(t, 2, 3).publish("ann", codec.Camera).publish("bob", codec.Camera).publish("cat", codec.Camera)
	r.want(0, "- - | ann bob -") // a camera never takes the screen's
	if n := r.a.Unplaced(codec.Video); n != 1 {
		t.Errorf("%d unplaced, want 1", n)
	}
	r.publish("ann", codec.Screen)
	r.want(0, "- - | ann bob ann.screen")
	r.unpublish("bob").unpublish("cat").publish("bob", codec.Screen)
	r.want(0, "- - | ann bob.screen ann.screen")
	r.unpublish("ann", codec.Screen)
	r.want(0, "- - | ann bob.screen -")
}

func TestExamAndAuscultationTakeTheTopEnd(t *testing.T) {
	r := newRoom(t, 4, 5).join("ann").publish("ann", codec.Exam, codec.Auscultation)
	r.want(0, "ann - - ann.auscultation | ann - - ann.exam -")
	r.publish("bob", codec.Exam, codec.Auscultation)
	r.want(0, "ann - bob.auscultation ann.auscultation | ann - bob.exam ann.exam -")
}

// Two people have one slot each, and a screen's. An exam camera takes that rather than nothing,
// and keeps it; the screen needs one more.
func TestExamInASmallRoom(t *testing.T) {
	r := newRoom(t, 1, 2).join("ann").publish("ann", codec.Exam)
	r.want(0, "ann | ann ann.exam")
	r.publish("ann", codec.Screen)
	r.want(0, "ann | ann ann.exam")
	if n := r.a.Unplaced(codec.Video); n != 1 {
		t.Errorf("%d unplaced, want 1", n)
	}
	r.a.Grow(0, 1)
	r.want(0, "ann | ann ann.exam ann.screen")
	if n := r.a.Unplaced(codec.Video); n != 0 {
		t.Errorf("%d unplaced, want 0", n)
	}
}

func TestLoudestAreHeard(t *testing.T) {
	r := newRoom(t, 2, 3).join("ann", "bob", "cat").loud("ann", 60).loud("bob", 50).loud("cat", 59)
	r.assign(0)
	// The first slots go to the loudest; from now on it takes more.
	r.want(0, "ann cat | ann cat -")
	r.loud("bob", 68)
	r.want(100, "ann cat | ann cat -") // not by 10
	r.loud("bob", 69)
	r.want(200, "ann cat | ann cat -") // for 1 s
	r.want(1199, "ann cat | ann cat -")
	r.want(1200, "ann bob | ann bob -") // the quietest, and the camera follows
	r.loud("cat", 90)
	r.want(1300, "ann bob | ann bob -")
	r.loud("cat", 69)
	r.want(2000, "ann bob | ann bob -") // not by 10 any more
	r.loud("cat", 90)
	r.want(2301, "ann bob | ann bob -") // so it starts again
	r.want(3300, "ann bob | ann bob -")
	r.want(3301, "cat bob | cat bob -")
}

// Two that are louder than the quietest replace one, if only one is quiet.
func TestEachMustBeLouder(t *testing.T) {
	r := newRoom(t, 2, 3).join("ann", "bob").loud("bob", 45)
	r.want(0, "bob ann | bob ann -")
	r.join("dan", "eve").loud("dan", 50).loud("eve", 52)
	r.assign(0)
	r.want(1000, "bob eve | bob eve -")
	r.want(9000, "bob eve | bob eve -")
}

// Of the equally quiet the last to join goes first, and one voice replaces one.
func TestTies(t *testing.T) {
	r := newRoom(t, 3, 4).join("ann", "bob", "cat")
	r.want(0, "ann bob cat | ann bob cat -")
	r.join("dan", "eve").loud("dan", 40).loud("eve", 50)
	r.want(0, "ann bob cat | ann bob cat -")
	r.want(1000, "ann dan eve | ann dan eve -")
}

func TestNeverEvicted(t *testing.T) {
	r := newRoom(t, 2, 3).join("ann").publish("bob", codec.Auscultation)
	r.set("ann", codec.Mic, func(p *slots.Publication) { p.NeverEvict = true })
	r.want(0, "ann bob.auscultation | ann - -")
	r.join("cat").loud("cat", 127)
	r.want(0, "ann bob.auscultation | ann cat -")
	r.want(5000, "ann bob.auscultation | ann cat -")
}

// What must be heard takes a voice's slot, but waits for more slots first.
func TestMustBeHeard(t *testing.T) {
	r := newRoom(t, 2, 3).join("ann", "bob").loud("ann", 20).loud("bob", 90)
	r.want(0, "bob ann | bob ann -")
	r.publish("cat", codec.Auscultation)
	r.want(100, "bob ann | bob ann -")
	r.want(1099, "bob ann | bob ann -")
	r.want(1100, "bob cat.auscultation | bob ann -")
	r.join("int").set("int", codec.Mic, func(p *slots.Publication) { p.NeverEvict = true })
	r.assign(1200)
	r.want(2200, "int cat.auscultation | int ann -")
	r.publish("dan", codec.Auscultation)
	r.assign(2300)
	r.want(9999, "int cat.auscultation | int ann -")
	if n := r.a.Unplaced(codec.Audio); n != 3 {
		t.Errorf("%d voices unplaced, want ann, bob and dan", n)
	}
}

// The video slots may be more than the audio slots, so that the camera of a voice that comes up
// changes places with the one that it replaces.
func TestCamerasChangePlaces(t *testing.T) {
	r := newRoom(t, 2, 3)
	r.a.Grow(0, 1)
	r.join("ann", "bob", "cat")
	r.want(0, "ann bob | ann bob - cat")
	r.loud("cat", 50)
	r.assign(0)
	r.want(1000, "ann cat | ann cat - bob")
}

func TestPinnedCameraStays(t *testing.T) {
	r := newRoom(t, 2, 3).join("ann", "bob", "cat").pin("bob", codec.Camera)
	r.want(0, "ann bob | ann bob -")
	r.loud("cat", 50).loud("ann", 20)
	r.assign(0)
	r.want(1000, "ann cat | ann bob -")
}

func TestPinnedTakesTheSlotOfTheUnpinned(t *testing.T) {
	r := newRoom(t, 2, 3).join("ann", "bob").loud("ann", 30)
	r.want(0, "ann bob | ann bob -")
	r.publish("cat", codec.Camera).pin("cat", codec.Camera)
	r.want(100, "ann bob | ann cat -")
	r.publish("dan", codec.Exam).pin("dan", codec.Exam)
	r.want(200, "ann bob | ann cat dan.exam")
	r.publish("eve", codec.Screen).pin("eve", codec.Screen)
	r.want(300, "ann bob | eve.screen cat dan.exam")
	r.publish("fay", codec.Camera).pin("fay", codec.Camera)
	r.want(400, "ann bob | eve.screen cat dan.exam") // all are pinned
}

func TestGrow(t *testing.T) {
	r := newRoom(t, 1, 2).join("ann", "bob", "cat")
	r.want(0, "ann | ann -")
	r.a.Grow(2, 2)
	r.want(0, "ann bob cat | ann - bob cat")
	for _, tt := range []struct {
		kind        codec.Kind
		index, want int // -1: alone
	}{
		{codec.Audio, 0, 0}, {codec.Audio, 1, 2}, {codec.Audio, 2, 3},
		{codec.Video, 0, 0}, {codec.Video, 1, -1}, {codec.Video, 2, 1}, {codec.Video, 3, 2},
	} {
		got, ok := r.a.Pair(tt.kind, tt.index)
		if ok != (tt.want >= 0) || ok && got != tt.want {
			t.Errorf("pair of %v slot %d: %d, %t, want %d", tt.kind, tt.index, got, ok, tt.want)
		}
	}
}

// Whatever number of slots a client offers, nothing breaks: WHEP clients come with one of each.
func TestOddNumbersOfSlots(t *testing.T) {
	tests := []struct {
		audio, video int
		want         string
	}{
		{0, 0, " | "},
		{0, 1, " | bob.screen"},
		{1, 0, "ann | "},
		{1, 1, "ann | bob.screen"},
		{3, 1, "ann bob - | bob.screen"},
		{0, 2, " | ann bob.screen"},
		{1, 4, "ann | ann bob - bob.screen"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.audio, tt.video), func(t *testing.T) {
			r := newRoom(t, tt.audio, tt.video).join("ann", "bob").publish("bob", codec.Screen)
			r.want(0, tt.want)
			r.want(5000, tt.want)
		})
	}
}

// A screen's slot is kept only by those who offer one more than for cameras.
func TestNoScreenSlot(t *testing.T) {
	newRoom(t, 0, 1).join("ann").want(0, " | ann")
	newRoom(t, 3, 3).join("ann", "bob", "cat").want(0, "ann bob cat | ann bob cat")
}

func TestOrderOfFreeSlots(t *testing.T) {
	newRoom(t, 3, 4).join("zed", "ann").want(0, "zed ann - | zed ann - -")
	newRoom(t, 1, 2).join("ann").loud("ann", 99).publish("bob", codec.Auscultation).want(0, "bob.auscultation | ann -")

	// Who came at the same time comes by name, so that every receiver and every run agree.
	r := newRoom(t, 1, 2).join("bob", "ann")
	for i := range r.pubs {
		r.pubs[i].Since = 1
	}
	r.want(0, "ann | ann -")
}

// What is displaced takes what it may.
func TestDisplacedIsPlacedAgain(t *testing.T) {
	r := newRoom(t, 1, 2).publish("ann", codec.Exam)
	r.want(0, "- | ann.exam -")
	r.publish("bob", codec.Camera).pin("bob", codec.Camera)
	r.want(0, "- | bob ann.exam")
}

// A camera whose person has no microphone is not in the way: it stays.
func TestVoicelessCameraStays(t *testing.T) {
	r := newRoom(t, 2, 3).publish("cam", codec.Camera)
	r.want(0, "- - | cam - -")
	r.join("ann")
	r.want(0, "- ann | cam ann -")
	r.join("bob")
	r.want(0, "bob ann | cam ann -")
}

// A camera without a voice does not take the place beside somebody's.
func TestVoicelessCameraStandsBack(t *testing.T) {
	r := newRoom(t, 2, 3).publish("cam", codec.Camera).join("ann", "bob")
	r.want(0, "ann bob | ann bob -")
}

func TestUnknownSourceAndDoubles(t *testing.T) {
	r := newRoom(t, 2, 3).publish("ann", "smell", codec.Mic, codec.Mic)
	r.want(0, "ann - | - - -")
	if n := r.a.Unplaced(codec.Audio); n != 0 {
		t.Errorf("%d unplaced", n)
	}
	r = newRoom(t, 0, 0).publish("ann", codec.Mic, codec.Mic)
	r.want(0, " | ")
	if n := r.a.Unplaced(codec.Audio); n != 1 {
		t.Errorf("%d unplaced, want 1", n)
	}
}

// What a player sees that offers one audio and one video line: who speaks, or a screen that was first.
func TestOneSlotOfEach(t *testing.T) {
	r := newRoom(t, 1, 1).join("ann", "bob").loud("ann", 40)
	r.want(0, "ann | ann")
	r.loud("bob", 60)
	r.want(1000, "ann | ann")
	r.want(2000, "bob | bob")
	r.publish("ann", codec.Screen)
	r.want(2100, "bob | bob")
	r.unpublish("bob")
	r.want(2200, "ann | ann.screen")
	r.join("cat").loud("cat", 90)
	r.want(2300, "ann | ann.screen")
	r.want(3300, "cat | ann.screen")
}

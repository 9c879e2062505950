package uplink

// Below pictureOff there is room for a voice and no picture beside it; from pictureOn on it is tried again. A camera's
// smallest picture has 30 kbit/s in libwebrtc whatever it may send, and a voice with one copy 74.
const (
	pictureOff = 100_000
	pictureOn  = 130_000
)

// Below smallOff a voice is to be small: 12 kbit/s in packets of 60 ms are 33 with a copy and headers. From smallOn on
// it may be as it likes.
const (
	smallOff = 75_000
	smallOn  = 90_000
)

// Verdict is what may be sent on the way up, in bit/s as IP packets of RTP. 0: nothing is known against anything.
type Verdict struct {
	Limit int // now
	Room  int // when the queue is gone
	// Doubtful: it is being found out by that. What protects from loss has to stay.
	Doubtful bool
}

// Alone tells whether the path is to be the voice's alone, who was so or not.
func Alone(was bool, v Verdict) bool { return below(was, v.Room, pictureOff, pictureOn) }

// Small tells whether the voice is to be small.
func Small(was bool, v Verdict) bool { return below(was, v.Room, smallOff, smallOn) }

// A voice takes twice its bitrate on the way, with one copy, and headers.
const (
	smallVoice   = 12_000
	smallMost    = 32_000
	plainVoice   = 24_000
	plainMost    = 44_000
	voiceStep    = 4_000
	smallHeaders = 9_200 // of packets of 60 ms
	plainHeaders = 27_600
	beside       = 10_000 // reports, feedback and what is sent again
)

// Voice is the bitrate of a voice that has the path to itself. More of it is what the path is tried with before anything else: it
// costs no key frame, and what is too much is seen by the voice's own delay within a second.
func Voice(small bool, v Verdict) int {
	least, most, headers := plainVoice, plainMost, plainHeaders
	if small {
		least, most, headers = smallVoice, smallMost, smallHeaders
	}
	rate := (v.Limit - beside - headers) / 2
	return min(max(rate-rate%voiceStep, least), most)
}

func below(was bool, room, off, on int) bool {
	if was {
		off = on
	}
	return room > 0 && room < off
}

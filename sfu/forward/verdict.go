package forward

// Verdict is what Rewriter decided about one packet, and why. Its String is a metric label.
type Verdict uint8

// The verdicts.
const (
	Forwarded        Verdict = iota
	DropPadding              // nothing but padding; its place is closed
	DropOld                  // from before the switch, or later than anything is kept for
	DropDuplicate            // its sequence number has left the slot already
	DropNotCurrent           // of an encoding that is not in the slot
	DropWaitKeyFrame         // of the encoding that will be, once a key frame comes
	DropLayer                // of a frame that is left out, such as one of a higher temporal layer
)

func (v Verdict) String() string {
	switch v {
	case Forwarded:
		return "forwarded"
	case DropPadding:
		return "padding"
	case DropOld:
		return "old"
	case DropDuplicate:
		return "duplicate"
	case DropNotCurrent:
		return "not_current"
	case DropWaitKeyFrame:
		return "wait_key_frame"
	case DropLayer:
		return "layer"
	}
	return "unknown"
}

package sfu

// Budget is what may be sent to a peer.
type Budget struct {
	Bitrate int // bit/s for everything; 0: no estimate yet
	State   string
	Reason  string
}

// budget of the peer; any goroutine may ask.
func (p *Peer) budget() Budget { return Budget{} }

// want tells what all of the peer's video and audio would take.
func (p *Peer) want(int) {}

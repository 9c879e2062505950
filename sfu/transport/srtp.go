package transport

import (
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"github.com/bedside-video/bedside/sfu/bwe"
	"github.com/bedside-video/bedside/sfu/pace"
	"github.com/bedside-video/bedside/sfu/twcc"
)

const (
	// srtpReplayWindow covers the reordering and retransmission of one second of video; pion's
	// default of 64 drops RTX that arrives behind a key frame.
	srtpReplayWindow  = onceWindow
	srtcpReplayWindow = 64
	// maxPacket is an Ethernet's. What clients send is 1,200 bytes at most, with some for SRTP.
	maxPacket = 1500
	// maxOverhead is what SRTP adds: GCM's tag of 16 bytes; SRTCP's index is another 4.
	maxOverhead = gcmTagBytes
	// ipOverhead is what a datagram has in front of it on its way: IPv4 and UDP.
	ipOverhead = 28
)

// takeKeys derives both SRTP contexts from a finished handshake (RFC 5764).
func (c *Conn) takeKeys(conn *dtls.Conn) error {
	chosen, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return errNoProfile
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return errNoProfile
	}
	config := srtp.Config{Profile: srtp.ProtectionProfile(chosen)} // both are the registry of RFC 5764
	if err := config.ExtractSessionKeysFromDTLS(&state, false); err != nil {
		return err
	}
	remote, err := srtp.CreateContext(config.Keys.RemoteMasterKey, config.Keys.RemoteMasterSalt, config.Profile,
		srtp.SRTPReplayProtection(srtpReplayWindow), srtp.SRTCPReplayProtection(srtcpReplayWindow))
	if err != nil {
		return err
	}
	local, err := srtp.CreateContext(config.Keys.LocalMasterKey, config.Keys.LocalMasterSalt, config.Profile)
	if err != nil {
		return err
	}
	var opener, controls, sealer, reporter *gcm
	if chosen == dtls.SRTP_AEAD_AES_128_GCM {
		if opener, err = newGCM(config.Keys.RemoteMasterKey, config.Keys.RemoteMasterSalt); err != nil {
			return err
		}
		if controls, err = newControlGCM(config.Keys.RemoteMasterKey, config.Keys.RemoteMasterSalt); err != nil {
			return err
		}
		if sealer, err = newGCM(config.Keys.LocalMasterKey, config.Keys.LocalMasterSalt); err != nil {
			return err
		}
		if reporter, err = newControlGCM(config.Keys.LocalMasterKey, config.Keys.LocalMasterSalt); err != nil {
			return err
		}
	}
	c.in.setContext(remote, opener, controls)
	c.out.mu.Lock()
	c.out.context, c.out.gcm, c.out.controls = local, sealer, reporter
	c.out.mu.Unlock()
	return nil
}

// outbound protects what is sent. Every SSRC of it belongs to one slot, which sends no sequence number
// twice (once), and one context holds the keys: so no nonce is used twice (RFC 7714 section 8.1).
type outbound struct {
	mu       sync.Mutex
	context  *srtp.Context // nil before the handshake; of RTCP, and of RTP without gcm
	gcm      *gcm          // of RTP; nil if another profile was chosen
	controls *gcm          // of RTCP, likewise
	index    uint32        // of the next compound of RTCP: of all SSRCs, which none minds (RFC 3711 section 3.4)
	header   rtp.Header    // pion's view, re-used
	sequence uint16        // transport-wide
	history  bwe.History   // of what had such a number
	probe    uint8         // the cluster of what is sent now
	bytes    uint64        // sent, as IP packets
	pacer    pace.Pacer[waiting]
	estimate int // what it goes by in bit/s; 0: nothing waits
	probing  int // bit/s of the probe that runs
	waiter   Waiter
	buf      [maxPacket + maxOverhead]byte
}

// send protects and sends one RTP packet, now or when its time has come. What cannot be sent yet, or is too large,
// is dropped. What is sent is copied to keep, unless that is nil.
func (c *Conn) send(now time.Time, s *Slot, k kind, h *header, index uint64, payload []byte, keep *keptPacket) error {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.context == nil || c.path.Load() == nil {
		return nil
	}
	if len(payload) > maxPacket-headerBytes-extensionBytes {
		return errTooLarge
	}
	if now.IsZero() {
		now = c.engine.o.Clock()
	}
	return c.paced(now, s, k, h, index, payload, keep)
}

// leave protects and sends a packet now, and completes h with the next transport-wide number if it is to have one;
// mu is held.
func (c *Conn) leave(now time.Time, s *Slot, h *header, index uint64, payload []byte, keep *keptPacket) error {
	o, to := &c.out, c.path.Load()
	if h.transportCC != 0 {
		o.sequence++
		h.transport = o.sequence
	}
	n := h.put(o.buf[:])
	sealed, err := o.seal(o.buf[:n+copy(o.buf[n:], payload)], n, h.ssrc, index)
	if err != nil {
		return err
	}
	size := len(sealed) + ipOverhead
	o.bytes += uint64(size)
	if h.ssrc == s.ssrc {
		s.packets++
		s.octets += uint32(len(payload))
	}
	if h.transportCC != 0 {
		o.history.Sent(now, o.sequence, size, o.probe)
	}
	if keep != nil {
		keep.take(now, sealed, o.sequence)
	}
	return c.engine.o.Port.Write(sealed, *to)
}

// Acknowledge tells what transport-wide feedback says that was not known, appended to acks.
func (c *Conn) Acknowledge(x *twcc.Feedback, acks []bwe.Ack) []bwe.Ack {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.history.Acknowledge(x, acks)
}

// Outbound is what there is to know of what has been sent.
type Outbound struct {
	Bytes   uint64    // as IP packets, without RTCP
	Waiting time.Time // when the oldest packet was sent of which no feedback tells; zero: there is none
	Tracked bool      // packets have transport-wide numbers
}

// Outbound returns what has been sent so far.
func (c *Conn) Outbound() Outbound {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	waiting, _ := c.out.history.Waiting()
	return Outbound{Bytes: c.out.bytes, Waiting: waiting, Tracked: c.out.history.Used()}
}

// MarkProbe makes what is sent from now on packets of a probe of a rate in bit/s; id 0 of none.
func (c *Conn) MarkProbe(id uint8, bitrate int) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.probe, c.out.probing = id, bitrate
	c.out.setRate()
}

// seal seals the packet in buf, of which the first header bytes are its header; mu is held.
func (o *outbound) seal(b []byte, header int, ssrc uint32, index uint64) ([]byte, error) {
	if o.gcm != nil {
		return o.gcm.seal(b, header, ssrc, index), nil
	}
	return o.context.EncryptRTP(b[:0], b, &o.header)
}

// WriteRTCP sends RTCP to the client in one compound. Before the connection is up it is dropped.
func (c *Conn) WriteRTCP(packets ...rtcp.Packet) error {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	to := c.path.Load()
	if o.context == nil || to == nil || len(packets) == 0 {
		return nil
	}
	plain := o.buf[:0]
	for _, p := range packets {
		b, err := p.Marshal()
		if err != nil {
			return err
		}
		if len(plain)+len(b) > maxPacket-controlIndexBytes {
			return errTooLarge
		}
		plain = append(plain, b...)
	}
	sealed, err := o.sealControl(plain)
	if err != nil {
		return err
	}
	return c.engine.o.Port.Write(sealed, *to)
}

// sealControl seals the compound at the beginning of buf; mu is held.
func (o *outbound) sealControl(plain []byte) ([]byte, error) {
	switch {
	case o.controls == nil:
		return o.context.EncryptRTCP(nil, plain, nil)
	case len(plain) < controlHeaderBytes:
		return nil, errNotSRTCP
	case o.index > lastControlIndex:
		return nil, errExhausted
	}
	sealed := o.controls.sealControl(plain, o.index)
	o.index++
	return sealed, nil
}

// receive opens one packet and hands on what is in it. What cannot be opened is a stranger's, or a
// replay: nobody is told.
func (c *Conn) receive(b []byte) {
	now := c.engine.o.Clock()
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.in.context == nil || c.in.closed {
		return
	}
	if isRTCP(b) {
		c.in.control(now, b)
		return
	}
	c.in.media(now, b)
}

// isRTCP tells SRTCP from SRTP (RFC 5761 section 4).
func isRTCP(b []byte) bool { return len(b) > 1 && b[1] >= 192 && b[1] <= 223 }

// stamp notes that the client is there.
func (c *Conn) stamp(now time.Time) { c.heard.Store(now.UnixNano()) }

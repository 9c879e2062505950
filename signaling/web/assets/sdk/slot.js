// Without requestVideoFrameCallback, or without RTP timestamps in it, nothing says whose frame is on
// the screen. A switch was visible after 23-74 ms (2026-11-22, Chromium 156 and Firefox 153), so
// after 300 ms the old picture is gone.
const BLIND_MS = 300;

// A camera sends 30 frames a second, under the worst conditions one. Twice in a row without any for
// so long is a picture that stands still, and must not pass for a person who does.
const STILL_MS = 1000;
// Nor must a slide show: where the network takes no more, the server sends a frame every two seconds.
const SLOW_FRAMES = 3;
const SLOW_MS = 3000; // for so many

/**
 * One receive-only m-line. The server decides whose media flows through it and says from which RTP
 * timestamp on. Browsers fire no event when that changes and would show the last picture for ever,
 * so a video slot is `shown` only from the first frame that belongs to its present occupant.
 */
export class Slot {
  participant = '';
  source = '';
  state = 'empty'; // empty, live, muted
  shown = false;
  /** A camera whose frames have stopped coming, or come one by one. */
  stalled = false;
  /** The element that plays the slot: put `<video>`s where they are to be seen. */
  element;
  #onchange;
  #rtp = 0;
  #since = 0;
  #last = null; // RTP timestamp of the newest presented frame
  #lastAt = 0;
  #lately = []; // when the last SLOW_FRAMES frames were presented
  #still = 0; // times in a row that watchdog() saw no new frame
  #onblocked;

  /** @param {RTCRtpTransceiver} transceiver @param {(s: Slot) => void} onchange @param {() => void} onblocked */
  constructor(transceiver, onchange, onblocked) {
    this.transceiver = transceiver;
    this.track = transceiver.receiver.track;
    this.kind = this.track.kind;
    this.#onchange = onchange;
    // Sound has its own element: where autoplay with sound is blocked, the picture still plays.
    // Lip sync does not depend on the element but on the stream ids that were negotiated.
    this.element = document.createElement(this.kind);
    this.element.autoplay = true;
    if (this.kind === 'video') {
      this.element.muted = true;
      this.element.playsInline = true;
    }
    this.element.srcObject = new MediaStream([this.track]);
    this.#onblocked = onblocked;
    if (this.kind === 'video') this.#watch();
  }

  get mid() { return this.transceiver.mid; }

  /** Calls onblocked when autoplay rules forbid it: which is only of interest when there is something to play. */
  play() {
    if (this.state === 'empty') return;
    this.element.play().catch((e) => { if (e.name === 'NotAllowedError') this.#onblocked(); });
  }

  /** @param {{participant?: string, source?: string, state: string, rtp: number}} a */
  assign(a) {
    const same = a.participant === this.participant && a.source === this.source && a.state === this.state;
    if (same && this.shown) return;
    this.participant = a.participant ?? '';
    this.source = a.source ?? '';
    this.state = a.state;
    this.#rtp = a.rtp >>> 0;
    this.#since = performance.now();
    this.#still = 0;
    this.#lately = [];
    this.stalled = false;
    // The signalling may be slower than the media: the frame may be on the screen already. A still
    // screen share may not send a second one.
    this.shown = this.state === 'live' && (this.kind === 'audio' || this.#isTheirs());
    this.play();
    this.#onchange(this);
    if (!this.shown && this.state === 'live' && !this.element.requestVideoFrameCallback) {
      const since = this.#since; // of this assignment, not of one that follows
      setTimeout(() => { if (since === this.#since) this.#show(); }, BLIND_MS);
    }
  }

  /** To be called once a second. Hidden pages present no frames, and nobody sees them. */
  watchdog(now) {
    const watched = this.source === 'camera' && this.shown && this.element.requestVideoFrameCallback;
    const slow = now - (this.#lately.length < SLOW_FRAMES ? this.#since : this.#lately[0]) > SLOW_MS;
    const still = watched && !document.hidden && (slow || now - Math.max(this.#lastAt, this.#since) > STILL_MS);
    this.#still = still ? this.#still + 1 : 0;
    if (this.stalled === this.#still > 1) return;
    this.stalled = !this.stalled;
    this.#onchange(this);
  }

  close() {
    this.element.srcObject = null;
    this.element.remove();
  }

  #watch() {
    if (!this.element.requestVideoFrameCallback) return;
    const look = (now, { rtpTimestamp }) => {
      this.#last = rtpTimestamp ?? null;
      this.#lastAt = performance.now();
      this.#lately = [...this.#lately.slice(1 - SLOW_FRAMES), this.#lastAt];
      if (this.stalled) this.watchdog(this.#lastAt);
      if (this.#isTheirs() || (rtpTimestamp === undefined && now - this.#since > BLIND_MS)) this.#show();
      if (this.element.srcObject) this.element.requestVideoFrameCallback(look);
    };
    this.element.requestVideoFrameCallback(look);
  }

  // RTP timestamps wrap (RFC 3550 section 5.1), and the compositor skips frames: the very one named
  // is missed in about 1 of 25 switches. Hence "not before", modulo 2^32.
  #isTheirs() {
    return this.#last !== null && ((this.#last - this.#rtp) | 0) >= 0;
  }

  #show() {
    if (this.shown || this.state !== 'live') return;
    this.shown = true;
    this.#onchange(this);
  }
}

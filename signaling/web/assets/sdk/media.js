import { Slot } from './slot.js';

// How long the very first connection may take before the network is to blame; how long a picture may
// stand still before the path is looked for anew (RFC 8445 checks give up only after half a minute).
const FIRST_CONNECT_MS = 10_000;
// Chromium says "disconnected" after 2.5 s without anything, Firefox after some 5.
const DISCONNECTED_MS = 500;
const RESTART_EVERY_MS = 4_000;

const AUDIO_SOURCES = ['mic', 'auscultation'];
export const kindOf = (source) => (AUDIO_SOURCES.includes(source) ? 'audio' : 'video');

// Low to high: Chromium drops layers from the end of the list when the picture is small.
const LADDER = [
  { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 100_000 },
  { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 260_000 },
  { rid: 'f', maxBitrate: 1_500_000 },
];
const ENCODINGS = {
  mic: [{ maxBitrate: 24_000 }],
  // Chromium's estimate of the uplink does not go below what all active streams need, and of sound that is all they
  // may have: some 80 kbit/s for one that nobody sends (156, 2026-11-23).
  auscultation: [{ maxBitrate: 64_000, active: false }],
  camera: LADDER,
  exam: LADDER,
  screen: [{ maxBitrate: 1_500_000, maxFramerate: 15 }],
};

// Untrimmed offers cost the server 24-36 ms and 26 MB for 12 slots, trimmed ones 5 ms (2026-11-22).
// RED carries earlier packets of a voice in later ones. What comes first is what is sent: a voice is
// sent as RED with one earlier packet, 24 kbit/s more, so that the loss of one is not heard.
function codecs(kind, first) {
  const all = RTCRtpReceiver.getCapabilities?.(kind)?.codecs ?? [];
  const pick = (mime, fmtp = /(?:)/) => all.filter(
    (c) => c.mimeType.toLowerCase() === mime && fmtp.test(c.sdpFmtpLine ?? ''));
  if (kind === 'audio') {
    const audio = [...pick('audio/opus'), ...pick('audio/red')];
    return first === 'RED' ? audio.reverse() : audio;
  }
  const h264 = pick('video/h264', /packetization-mode=1/).filter((c) => /profile-level-id=42e01f/i.test(c.sdpFmtpLine));
  const video = [...pick('video/vp8'), ...h264]; // what comes first is what is sent
  if (first === 'H264') video.reverse();
  return [...video, ...pick('video/rtx')];
}

function trim(transceiver, kind, first) {
  const list = codecs(kind, first);
  if (list.length && transceiver.setCodecPreferences) transceiver.setCodecPreferences(list);
}

// What voices need behind a bad network. It comes behind the page, which does not name it (a template is not
// followed), and before the first connection.
let voice;
const loaded = import(`./voice.js`).then((m) => { voice = m; return m.ready; }).catch(() => {});
const VOICE_MS = 300; // a connection does not wait longer for it

/** An answer without the server's UDP addresses; as it is where there would be none left. */
export function withoutUDP(sdp) {
  const lines = sdp.split('\r\n');
  if (!lines.some((l) => /^a=candidate:\S+ \d+ tcp /i.test(l))) return sdp;
  return lines.filter((l) => !/^a=candidate:\S+ \d+ udp /i.test(l)).join('\r\n');
}

/** One RTCPeerConnection: the participant's senders first, then the slots, negotiated by one offer. */
export class Media {
  senders = new Map(); // source -> RTCRtpTransceiver
  slots = []; // in m-line order
  #audio = { maxBitrate: 0, carry: [], delay: 0, ptime: 0 };
  #layers = new Map(); // source -> RIDs that somebody receives, all of them before the server has said; and bit/s by RID
  #fitting = Promise.resolve(); // setParameters refuses parameters that were read before another call
  ready = false; // an answer has been applied
  avoidUDP = false; // from the next answer on
  hasTCP = false; // the server takes media by TCP
  #pc;
  #on;
  #codec;
  #epoch = 0;
  #connected = false; // ever
  #timer = 0;

  /**
   * @param {{iceServers: RTCIceServer[], publish: string[], codec?: string,
   *   slots: {audio: number, video: number}}} o
   * @param {{slot: (s: Slot) => void, blocked: () => void, connected: () => void,
   *   stalled: () => void, unreachable: () => void}} on
   */
  constructor(o, on) {
    this.#on = on;
    this.#codec = o.codec;
    this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: o.iceServers ?? [] });
    this.#pc.oniceconnectionstatechange = () => this.#iceChanged();
    this.#pc.onconnectionstatechange = () => {
      if (this.#pc.connectionState === 'failed') this.#stall(); // DTLS gave up, or ICE did
    };
    for (const source of o.publish) this.#addSender(source);
    this.addSlots(o.slots);
  }

  // All senders are made up front and empty: what a person may send later needs no renegotiation,
  // and in the lobby there is no track that could send.
  #addSender(source) {
    if (!ENCODINGS[source]) return;
    const kind = kindOf(source);
    const sendEncodings = ENCODINGS[source].map((e) => ({ ...e }));
    const transceiver = this.#pc.addTransceiver(kind, { direction: 'sendonly', sendEncodings });
    trim(transceiver, kind, source === 'mic' ? 'RED' : this.#codec);
    this.senders.set(source, transceiver);
  }

  addSlots({ audio = 0, video = 0 }) {
    for (const [kind, count] of [['audio', audio], ['video', video]]) {
      for (let i = 0; i < count; i++) {
        const transceiver = this.#pc.addTransceiver(kind, { direction: 'recvonly' });
        trim(transceiver, kind, this.#codec);
        this.slots.push(new Slot(transceiver, this.#on.slot, this.#on.blocked));
      }
    }
    this.#hold();
  }

  /** The offer to send, complete: the server needs no candidates of ours. */
  async offer(restart) {
    if (restart) this.#pc.restartIce();
    if (!this.ready) await Promise.race([loaded, new Promise((done) => { setTimeout(done, VOICE_MS); })]);
    voice?.work(this.senders.get('mic')?.sender);
    await this.#pc.setLocalDescription();
    const tracks = [...this.senders].map(([source, t]) => ({ mid: t.mid, source }));
    const { sdp } = this.#pc.localDescription;
    return { sdp: voice?.repeating(sdp) ?? sdp, tracks };
  }

  async answer(sdp) {
    this.hasTCP = withoutUDP(sdp) !== sdp;
    await this.#accept(this.avoidUDP ? withoutUDP(sdp) : sdp);
    this.ready = true;
    if (!this.#connected) this.#after(FIRST_CONNECT_MS, () => this.#unreachable());
  }

  #accept(sdp) {
    const mid = this.senders.get('mic')?.mid;
    return this.#pc.setRemoteDescription({ type: 'answer', sdp: mid && voice ? voice.packed(sdp, mid, this.#audio.ptime) : sdp });
  }

  /** Applies the last answer to an offer that the server need not see: nothing that concerns it has changed. */
  async reapply() {
    if (!this.ready || this.#pc.signalingState !== 'stable') return;
    const { sdp } = this.#pc.currentRemoteDescription;
    await this.#pc.setLocalDescription();
    await this.#accept(sdp);
    // It makes all encodings active that the answer does not pause (libwebrtc, UpdateSimulcastLayerStatusInSender).
    for (const source of this.senders.keys()) this.#fit(source).catch(() => {}); // the connection has been closed meanwhile
  }

  /** Puts a track on a sender, or takes it off. */
  async setTrack(source, track) {
    const sender = this.senders.get(source)?.sender;
    if (!sender || this.#pc.signalingState === 'closed') return;
    await sender.replaceTrack(track);
    if (track || source === 'auscultation') await this.#fit(source);
  }

  /**
   * The `layers` message: what nobody receives is not sent, which saves uplink and battery; and with a lower rate what
   * somebody receives behind a bad network. A rate alone makes no key frame (Chromium 156, docs/bandwidth.md).
   */
  setLayers({ mid, active = [], max_bitrate: maxBitrate = {} }) {
    const [source] = [...this.senders].find(([, t]) => t.mid === mid) ?? [];
    if (!source) return;
    this.#layers.set(source, { active, maxBitrate });
    this.#fit(source).catch(() => {}); // the connection has been closed meanwhile
  }

  /**
   * The `audio` message: how to send one's voice and play others', behind a bad network. True: the answer is to be
   * applied anew by reapply().
   */
  setAudio({ max_bitrate: maxBitrate = 0, carry = [], delay = 0, ptime = 0 }) {
    const packed = ptime !== this.#audio.ptime;
    this.#audio = { maxBitrate, carry, delay, ptime };
    this.#hold();
    this.#fit('mic').catch(() => {}); // the connection has been closed meanwhile
    voice?.carry(this.senders.get('mic')?.sender, carry);
    return packed;
  }

  // Voices of which lost parts come late, in later packets, are played that much later.
  #hold() {
    for (const receiver of this.#pc.getReceivers()) {
      if (receiver.track.kind === 'audio' && 'jitterBufferTarget' in receiver) receiver.jitterBufferTarget = this.#audio.delay || null;
    }
  }

  /** The `slots` message. */
  assign({ epoch, assignments }) {
    if (epoch <= this.#epoch) return;
    this.#epoch = epoch;
    for (const a of assignments) this.slots.find((s) => s.mid === a.mid)?.assign(a);
  }

  setICEServers(iceServers) {
    this.#pc.setConfiguration({ ...this.#pc.getConfiguration(), iceServers });
  }

  /** Whether packets come and go, as far as the browser knows. */
  get up() { return ['connected', 'completed'].includes(this.#pc.iceConnectionState); }

  getStats() { return this.#pc.getStats(); }

  close() {
    clearTimeout(this.#timer);
    this.#pc.oniceconnectionstatechange = null;
    this.#pc.onconnectionstatechange = null;
    this.#pc.close();
    for (const s of this.slots) s.close();
  }

  // Chromium sends three layers from 960x540 up and two below, the lowest ones: at 640x360 `f` did
  // not start within 16 s (2026-11-22), and a quarter and a half of the picture was all that went
  // out. A small picture is therefore sent whole as `h`.
  async #fitLadder(source) {
    if (ENCODINGS[source] !== LADDER) return;
    const sender = this.senders.get(source).sender;
    const p = sender.getParameters();
    if (p.encodings?.length !== LADDER.length) return;
    const { width = 1280, height = 720 } = sender.track?.getSettings() ?? {};
    const small = Math.max(width, height) < 960;
    const wanted = this.#layers.get(source);
    const before = JSON.stringify(p.encodings);
    p.encodings.forEach((e, i) => {
      e.scaleResolutionDownBy = Math.max(1, (LADDER[i].scaleResolutionDownBy ?? 1) / (small ? 2 : 1));
      e.active = !(small && i === LADDER.length - 1) && (wanted?.active.includes(LADDER[i].rid) ?? true);
      e.maxBitrate = Math.min(LADDER[i].maxBitrate, wanted?.maxBitrate[LADDER[i].rid] || Infinity);
    });
    if (JSON.stringify(p.encodings) !== before) await sender.setParameters(p);
  }

  async #fitVoice() {
    const sender = this.senders.get('mic')?.sender;
    const p = sender?.getParameters();
    const maxBitrate = this.#audio.maxBitrate || ENCODINGS.mic[0].maxBitrate;
    if (!p?.encodings?.length || p.encodings[0].maxBitrate === maxBitrate) return;
    p.encodings[0].maxBitrate = maxBitrate;
    await sender.setParameters(p);
  }

  async #fitHeart() {
    const { sender } = this.senders.get('auscultation');
    const p = sender.getParameters();
    const active = Boolean(sender.track);
    if (!p.encodings?.length || p.encodings[0].active === active) return;
    p.encodings[0].active = active;
    await sender.setParameters(p);
  }

  #fit(source) {
    const fits = { mic: () => this.#fitVoice(), auscultation: () => this.#fitHeart() };
    const next = this.#fitting.catch(() => {}).then(fits[source] ?? (() => this.#fitLadder(source)));
    this.#fitting = next.catch(() => {});
    return next;
  }

  #iceChanged() {
    const state = this.#pc.iceConnectionState;
    if (state === 'connected' || state === 'completed') {
      clearTimeout(this.#timer);
      this.#connected = true;
      this.#on.connected();
    } else if (!this.#connected) {
      return; // the deadline of the first connection runs
    } else if (state === 'disconnected') {
      this.#after(DISCONNECTED_MS, () => this.#stall());
    } else if (state === 'failed') {
      this.#stall();
    }
  }

  #stall() {
    if (!this.#connected) return;
    this.#on.stalled();
    this.#after(RESTART_EVERY_MS, () => this.#stall());
  }

  #unreachable() {
    this.#on.unreachable();
    this.#after(RESTART_EVERY_MS, () => this.#unreachable());
  }

  #after(ms, f) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(f, ms);
  }
}

import { BedsideError } from './error.js';
import { path } from './stats.js';

// Ten seconds at most, with what the page itself takes.
const TOTAL_MS = 9_300;
const CONNECT_MS = 4000;
const SOUND_MS = 2500; // of sound alone: 125 packets, one lost is 0.8 %
const LATEST_SOUND_MS = 5400;
// How long the server is waited for: it takes 3.5 s for the way down, and 2 to 3 for the way up.
const FIGURES_MS = 7500;
// Bytes over HTTPS, where media does not get through or nothing is known from it.
const TRANSFER_MS = 1700;
const UPLOAD_MS = 2200;
const UPLOAD_LIMIT_MS = 3200;
const UPLOAD_LEAST_MS = 1500;
// What the line carries beside the bytes that are counted: of 1500, IP, TCP and TLS take some 54.
const HEADERS = 1500 / 1446;
const SMALLEST_UPLOAD = 16 << 10; // a second at 130 kbit/s
const LARGEST_UPLOAD = 256 << 10;
const TALL_BPS = 3_500_000; // as fast as the server lets one measure
// Pictures of noise, which no encoder makes small: the way up is filled with them.
const LOAD = { width: 320, height: 240, frameRate: 20 };
const LOAD_BPS = 1_800_000;
const START_KBPS = 600;

// What a picture and a voice need: the two lower layers of the camera's ladder, and the lowest.
const GOOD_BPS = 330_000;
const AUDIO_BPS = 180_000;
// ITU-T G.114: above 400 ms one way talking becomes hard. Above 5 % lost retransmission does not hide it.
const LATE_MS = 500;
const LOSSY = 0.05;

/**
 * Tries the way to the server as a consultation uses it: ICE and DTLS to its media port, sound that comes back, padding
 * that fills the way down and pictures of noise that fill the way up. Takes no invitation and sends nobody's voice or
 * picture.
 */
export async function checkConnection(server, { audio, signal, onstep = () => {} } = {}) {
  const base = new URL(server || import.meta.url);
  const began = performance.now();
  const all = within(TOTAL_MS, signal);
  onstep('media');
  const result = await media(base, audio, all, onstep);
  if (result.down === undefined) {
    onstep('down');
    result.down = await download(base, all);
    result.downMore = result.down > TALL_BPS;
  }
  // A browser whose encoder is slow to fill the line: what bytes show is the least.
  const short = result.up < GOOD_BPS && result.upMore && TOTAL_MS - (performance.now() - began) > UPLOAD_LEAST_MS;
  if (result.up === undefined || short) {
    onstep('up');
    const bytes = await upload(base, result.roundTrip ?? 0, all);
    if (!(result.up > bytes)) Object.assign(result, { up: bytes, upMore: bytes > TALL_BPS });
  }
  signal?.throwIfAborted();
  return { verdict: verdictOf(result), ...result };
}

// AbortSignal.any came to Safari in 2024.
function within(ms, signal) {
  const both = new AbortController();
  const stop = () => both.abort();
  setTimeout(stop, ms);
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { signal: both.signal });
  return both.signal;
}

/** ok; detour: by TCP only; warn: expect a poor picture; audio: voices only; blocked: no media. */
export function verdictOf({ udp, tcp = false, down, up, lossDown = 0, lossUp = 0, roundTrip = 0 }) {
  const slowest = Math.min(down, up);
  if (!udp && !tcp) return 'blocked';
  if (slowest < AUDIO_BPS) return 'audio';
  if (slowest < GOOD_BPS || Math.max(lossDown, lossUp) > LOSSY || roundTrip > LATE_MS) return 'warn';
  return udp ? 'ok' : 'detour';
}

async function ask(base, path, init, signal) {
  let response;
  try {
    response = await fetch(new URL(path, base), { cache: 'no-store', credentials: 'omit', referrerPolicy: 'no-referrer', signal, ...init });
  } catch (e) {
    throw signal.aborted ? e : new BedsideError('network', 'the server cannot be reached');
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new BedsideError(problem.code ?? 'internal', problem.detail, problem);
}

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Tries media alone: a second or two of sound, there and back. */
export const checkMedia = (server, options = {}) => media(new URL(server || import.meta.url), options.audio, within(TOTAL_MS, options.signal));

async function media(base, audio, signal, onstep) {
  const began = performance.now();
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const tone = hum(audio);
  const load = onstep && new Load(pc);
  try {
    pc.addTransceiver(tone.track, { direction: 'sendonly', sendEncodings: [{ maxBitrate: 24_000 }] });
    pc.addTransceiver('audio', { direction: 'recvonly' });
    load?.offer();
    prefer(pc);
    await pc.setLocalDescription();
    const headers = { 'Content-Type': 'application/sdp' };
    const response = await ask(base, '/v1/check', { method: 'POST', headers, body: short(pc.localDescription.sdp) }, signal);
    await pc.setRemoteDescription({ type: 'answer', sdp: load ? filling(await response.text()) : await response.text() });
    const told = load && figuresOf(base, response.headers.get('Location'), signal);
    if (!await connected(pc)) return { udp: false, tcp: false };
    const before = seen(await pc.getStats()).roundTrip; // while nothing waits on the line
    const found = load ? await load.run(told, signal, onstep) : {};
    if (!load) await wait(Math.min(SOUND_MS, began + LATEST_SOUND_MS - performance.now()));
    const stats = await pc.getStats();
    const tcp = path(stats).protocol === 'tcp';
    const figures = seen(stats);
    const roundTrip = Math.min(before ?? Infinity, figures.roundTrip ?? Infinity);
    return { udp: !tcp, tcp, ...figures, ...found, roundTrip: Number.isFinite(roundTrip) ? roundTrip : undefined };
  } finally {
    tone.close();
    load?.close();
    pc.close();
  }
}

// Header extensions that the server does not know are a third of an offer, and that is a part of a second on a slow line.
const short = (offer) => offer.replace(/^a=(extmap:\d+ .*(toffset|3gpp|experiments).*|rtcp-xr.*|rtcp:.*)\r\n/gm, '');

// What libwebrtc reads from an answer. A browser that is told when its packets came leaves a full line within a quarter
// of a second, and takes many to come back to it. So for what is sent it is not told (but by REMB how much may be sent),
// and begins with more than the 300 kbit/s of its own.
function filling(answer) {
  return answer.split(/(?=^m=)/m).map((part) => (!/^a=recvonly/m.test(part) ? part : part
    .replace(/^a=(rtcp-fb|extmap):.*transport-.*cc.*\r\n/gm, '')
    .replace(/^a=rtpmap:(\d+) VP8.*\r\n/m, (line, type) => `${line}a=fmtp:${type} x-google-start-bitrate=${START_KBPS}\r\n`))).join('');
}

// Plain Opus: redundancy would hide the loss that is to be measured. VP8: it is what consultations have.
function prefer(pc) {
  for (const t of pc.getTransceivers()) {
    const all = RTCRtpReceiver.getCapabilities?.(t.receiver.track.kind)?.codecs ?? [];
    const some = all.filter((c) => /opus|vp8|rtx/i.test(c.mimeType));
    if (some.length) t.setCodecPreferences?.(some);
  }
}

/** Fills the way up when the server has measured the way down. */
class Load {
  #pc;
  #sender;
  #canvas = Object.assign(document.createElement('canvas'), LOAD);
  #timer = 0;
  #track = null;

  constructor(pc) { this.#pc = pc; }

  offer() {
    this.#sender = this.#pc.addTransceiver('video', { direction: 'sendonly', sendEncodings: [{ maxBitrate: LOAD_BPS }] }).sender;
    this.#pc.addTransceiver('video', { direction: 'recvonly' });
  }

  /** Resolves with what the server has told when it is over, or takes too long. */
  async run(told, signal, onstep) {
    onstep('down');
    const late = wait(FIGURES_MS).then(() => ({ done: true }));
    let found = {};
    for (let next; !found.over; found = next.value) {
      next = await Promise.race([told.next(), late]).catch(() => ({ done: true }));
      if (next.done || signal.aborted) break;
      if (!next.value.over && !this.#track) {
        onstep('up');
        await this.#begin();
      }
    }
    const { down, down_full: downFull, up, up_full: upFull, loss_down: lossDown, loss_up: lossUp } = found;
    const known = { downMore: down && !downFull, upMore: up && !upFull, down, up, lossDown, lossUp };
    return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
  }

  async #begin() {
    const noise = Object.assign(document.createElement('canvas'), { width: 512, height: 512 });
    const dots = new ImageData(512, 512);
    for (let at = 0; at < dots.data.length; at += 65_536) crypto.getRandomValues(dots.data.subarray(at, at + 65_536)); // its limit
    for (let at = 3; at < dots.data.length; at += 4) dots.data[at] = 255;
    noise.getContext('2d').putImageData(dots, 0, 0);
    const paint = this.#canvas.getContext('2d');
    const draw = () => paint.drawImage(noise, -Math.random() * (512 - LOAD.width), -Math.random() * (512 - LOAD.height));
    draw();
    this.#timer = setInterval(draw, 1000 / LOAD.frameRate);
    [this.#track] = this.#canvas.captureStream(LOAD.frameRate).getVideoTracks();
    await this.#sender.replaceTrack(this.#track);
  }

  close() {
    clearInterval(this.#timer);
    this.#track?.stop();
  }
}

// What the server tells, a line each time.
async function* figuresOf(base, path, signal) {
  if (!path) return;
  const response = await ask(base, path, {}, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (text + value).split('\n');
      text = lines.pop();
      for (const line of lines) yield JSON.parse(line);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function connected(pc) {
  return new Promise((resolve) => {
    const look = () => {
      if (pc.connectionState === 'connected') resolve(true);
      if (pc.connectionState === 'failed') resolve(false);
    };
    pc.onconnectionstatechange = look;
    setTimeout(() => resolve(false), CONNECT_MS);
    look();
  });
}

// A quiet tone instead of the microphone: the check is nobody's to hear, and some have none.
function hum(audio) {
  const context = audio ?? new AudioContext();
  const tone = new OscillatorNode(context, { frequency: 220 });
  const gain = new GainNode(context, { gain: 0.05 });
  const out = new MediaStreamAudioDestinationNode(context);
  tone.connect(gain).connect(out);
  tone.start();
  return {
    track: out.stream.getAudioTracks()[0],
    close() { tone.stop(); if (!audio) context.close(); },
  };
}

function seen(stats) {
  const of = (type) => [...stats.values()].find((s) => s.type === type && s.kind !== 'video') ?? {};
  const [sent, back, far] = [of('outbound-rtp'), of('inbound-rtp'), of('remote-inbound-rtp')];
  const pair = stats.get(of('transport').selectedCandidatePairId) ?? [...stats.values()].find((s) => s.type === 'candidate-pair' && s.nominated) ?? {};
  const share = (lost = 0, of_ = 0) => (of_ > 0 ? Math.min(1, Math.max(0, lost) / of_) : undefined);
  const seconds = far.roundTripTime ?? pair.currentRoundTripTime;
  return {
    roundTrip: seconds === undefined ? undefined : Math.round(seconds * 1000),
    lossUp: share(far.packetsLost, sent.packetsSent),
    lossDown: share(back.packetsLost, (back.packetsReceived ?? 0) + Math.max(0, back.packetsLost ?? 0)),
  };
}

async function download(base, signal) {
  const limit = within(TRANSFER_MS + 300, signal);
  const asked = performance.now();
  let [first, bytes, began, now] = [0, 0, 0, asked];
  try {
    const response = await ask(base, '/v1/check/download', {}, limit);
    const reader = response.body.getReader();
    for (let end = false; !end;) {
      const { done, value } = await reader.read();
      if (done) break;
      now = performance.now();
      bytes += value.length;
      if (!began) [began, first] = [now, value.length];
      end = now - began > TRANSFER_MS;
    }
    reader.cancel().catch(() => {});
  } catch (e) {
    if (!limit.aborted) throw e;
    now = performance.now(); // slower than one read in this time
  }
  // The first bytes have waited for the answer; on a fast line they are all.
  const rate = (n, ms) => (ms > 0 ? Math.round(n * 8000 / ms * HEADERS) : 0);
  return Math.max(rate(bytes, now - asked), rate(bytes - first, now - began));
}

// Requests of growing size: a page does not see how far one has come. The server says how long a body took.
async function upload(base, roundTrip, signal) {
  const limit = within(UPLOAD_LIMIT_MS, signal);
  const began = performance.now();
  let best = 0;
  let size = SMALLEST_UPLOAD;
  try {
    for (let i = 0; i < 6 && performance.now() - began < UPLOAD_MS; i++) {
      const from = performance.now();
      const response = await ask(base, '/v1/check/upload', { method: 'POST', body: new Blob([noise(size)]) }, limit);
      const told = /\bbody;dur=([\d.]+)/.exec(response.headers.get('Server-Timing') ?? '');
      const here = performance.now() - from;
      // A server that was busy has the beginning in its buffers: half of what passed here is the least.
      const took = told ? Math.max(Number(told[1]), here / 2) : here - Math.min(roundTrip, 300);
      best = Math.max(best, size * 8000 / Math.max(1, took));
      size = Math.round(Math.min(LARGEST_UPLOAD, Math.max(SMALLEST_UPLOAD, best / 8 * 0.75)));
    }
  } catch (e) {
    if (!limit.aborted) throw e; // else what has been measured counts
  }
  return Math.round(best * HEADERS);
}

function noise(size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536)); // its limit
  return bytes;
}

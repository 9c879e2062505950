import { BedsideError } from './error.js';
import { path } from './stats.js';

// Ten seconds at most, with what the page itself takes: the connection first, while nothing else fills the line,
// then down, then up.
const TOTAL_MS = 9_300;
const CONNECT_MS = 4000;
const SOUND_MS = 2500; // 125 packets: one lost is 0.8 %
const LATEST_SOUND_MS = 5400;
const TRANSFER_MS = 1700;
// Time for three requests on a slow line: the burst that the first begins with is more than short queues hold, and
// what it loses is not the line's speed.
const UPLOAD_MS = 2200;
const UPLOAD_LIMIT_MS = 3200;
// What the line carries beside the bytes that are counted: of 1500, IP, TCP and TLS take some 54.
const HEADERS = 1500 / 1446;
const SMALLEST_UPLOAD = 16 << 10; // a second at 130 kbit/s
const LARGEST_UPLOAD = 256 << 10;

// What a picture and a voice need: the two lower layers of the camera's ladder, and the lowest.
const GOOD_BPS = 330_000;
const AUDIO_BPS = 180_000;
// ITU-T G.114: above 400 ms one way talking becomes hard. Above 5 % lost retransmission does not hide it.
const LATE_MS = 500;
const LOSSY = 0.05;

/**
 * Tries the way to the server as a consultation uses it: ICE and DTLS to its media port, sound that comes
 * back, and bytes over HTTPS in either direction, which measure TCP's speed, not an estimator's. Takes
 * no invitation and sends nobody's voice.
 */
export async function checkConnection(server, { audio, signal, onstep = () => {} } = {}) {
  const base = new URL(server || import.meta.url);
  const all = within(TOTAL_MS, signal);
  onstep('media');
  const sound = await media(base, audio, all);
  onstep('down');
  const down = await download(base, all);
  onstep('up');
  const up = await upload(base, sound.roundTrip ?? 0, all);
  signal?.throwIfAborted();
  const result = { ...sound, down, up };
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

async function media(base, audio, signal) {
  const began = performance.now();
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const tone = hum(audio);
  try {
    pc.addTransceiver(tone.track, { direction: 'sendonly', sendEncodings: [{ maxBitrate: 24_000 }] });
    pc.addTransceiver('audio', { direction: 'recvonly' });
    // Plain Opus: redundancy would hide the loss that is to be measured.
    const opus = RTCRtpReceiver.getCapabilities?.('audio')?.codecs.filter((c) => /opus/i.test(c.mimeType)) ?? [];
    if (opus.length) for (const t of pc.getTransceivers()) t.setCodecPreferences?.(opus);
    await pc.setLocalDescription();
    const headers = { 'Content-Type': 'application/sdp' };
    const body = pc.localDescription.sdp;
    const response = await ask(base, '/v1/check', { method: 'POST', headers, body }, signal);
    await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    if (!await connected(pc)) return { udp: false, tcp: false };
    await wait(Math.min(SOUND_MS, began + LATEST_SOUND_MS - performance.now()));
    const stats = await pc.getStats();
    const tcp = path(stats).protocol === 'tcp';
    return { udp: !tcp, tcp, ...figures(stats) };
  } finally {
    tone.close();
    pc.close();
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

function figures(stats) {
  const of = (type) => [...stats.values()].find((s) => s.type === type) ?? {};
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

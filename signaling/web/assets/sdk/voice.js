// What voices need behind a bad network, as far as the browser can do it.

const hasRED = RTCRtpReceiver.getCapabilities?.('audio')?.codecs.some((c) => c.mimeType.toLowerCase() === 'audio/red');

// Browsers ask for audio that is lost, and send it again when they are asked, once the description that they
// are given has nack for it; their own never has. Firefox 153 does the second alone: it has no RED either.
export function repeating(sdp) {
  return sdp.split(/^(?=m=)/m).map((section) => {
    if (!section.startsWith('m=audio') || !(hasRED || section.includes('\r\na=sendonly\r\n'))) return section;
    return section.replace(/^a=rtpmap:(\d+) opus\/48000\/2\r\n/im, (line, type) => `${line}a=rtcp-fb:${type} nack\r\n`);
  }).join('');
}

// How much is in a packet, in ms, as the answer wishes for it (RFC 8866 section 6.4): three frames are 9 kbit/s of headers
// instead of 26. 0: as the browser likes.
export function packed(sdp, mid, ptime) {
  const plain = sdp.replace(/^a=ptime:.*\r\n/gm, '');
  return ptime > 0 ? plain.replace(`a=mid:${mid}\r\n`, (line) => `${line}a=ptime:${ptime}\r\n`) : plain;
}

// The worker that carry.js is, once it runs: a sender given to one that does not come would be mute.
let worker;
export const ready = new Promise((done) => {
  const { href, origin } = new URL('./carry.js', import.meta.url);
  // Workers are of the page's site.
  if (!hasRED || !globalThis.RTCRtpScriptTransform || origin !== location.origin) return done();
  // A policy of Trusted Types that returns one URL whatever it is asked.
  const policy = globalThis.trustedTypes?.createPolicy('bedside', { createScriptURL: () => href });
  const loading = new Worker(policy?.createScriptURL('') ?? href, { type: 'module' });
  loading.onmessage = () => done(worker = loading);
  loading.onerror = () => done();
  return undefined;
}).catch(() => {}); // the page forbids it

// Chromium takes a transform only of a sender that is not negotiated yet (156, 2026-11-22), so all voices go
// through it.
export function work(sender) {
  if (worker && sender && !sender.transform) sender.transform = new RTCRtpScriptTransform(worker);
}

// A browser carries the packet before in each; what else is to be, the worker puts in.
export function carry(sender, back) {
  const agreed = sender?.getParameters().codecs ?? [];
  const typeOf = (mime) => agreed.find((c) => c.mimeType.toLowerCase() === mime)?.payloadType;
  worker?.postMessage({ back, red: typeOf('audio/red'), opus: typeOf('audio/opus') });
}

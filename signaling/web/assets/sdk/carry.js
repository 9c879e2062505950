// The worker of a voice's sender. It makes each packet carry the earlier ones that the server asks for (RED,
// RFC 2198) in place of the one that the browser has put in: those in a row are lost together.

const KEPT = 16; // packets; the server asks for none that is farther back
const MOST_OFFSET = 0x3fff; // of the fields of a block's header
const MOST_LENGTH = 0x3ff;
const MOST_BYTES = 1000; // with all headers below the 1,200 bytes that browsers keep to

let carry = []; // how many packets back, the farthest first
let red; // payload types
let opus;
addEventListener('message', ({ data }) => {
  carry = [...data.back].sort((a, b) => b - a);
  ({ red, opus } = data);
});

/** A packet's own payload in RED; null for what cannot be read. */
function ownOf(data) {
  let at = 0;
  let others = 0;
  while (data[at] & 0x80) {
    if (at + 4 > data.length) return null;
    others += ((data[at + 2] & 3) << 8) | data[at + 3];
    at += 4;
  }
  return data[at] === opus && at + 1 + others <= data.length ? data.subarray(at + 1 + others) : null;
}

/** RED with the packets that are to be carried, as far as they are known. */
function redundant(own, timestamp, kept) {
  const blocks = [];
  let size = 1 + own.length;
  for (const back of carry) {
    const earlier = kept[kept.length - back];
    const offset = earlier ? (timestamp - earlier.timestamp) >>> 0 : 0;
    const bytes = earlier ? 4 + earlier.own.length : 0;
    if (!offset || offset > MOST_OFFSET || !earlier.own.length || earlier.own.length > MOST_LENGTH || size + bytes > MOST_BYTES) continue;
    size += bytes;
    blocks.push({ offset, own: earlier.own });
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const b of blocks) {
    out.set([0x80 | opus, b.offset >> 6, ((b.offset << 2) & 0xfc) | (b.own.length >> 8), b.own.length & 0xff], at);
    at += 4;
  }
  out[at++] = opus;
  for (const b of [...blocks, { own }]) {
    out.set(b.own, at);
    at += b.own.length;
  }
  return out.buffer;
}

addEventListener('rtctransform', ({ transformer }) => {
  carry = []; // of another connection
  const kept = [];
  const change = (frame) => {
    const { payloadType, rtpTimestamp: timestamp } = frame.getMetadata();
    if (payloadType !== red || timestamp === undefined) return;
    const own = ownOf(new Uint8Array(frame.data))?.slice();
    if (!own) return;
    if (carry.length) frame.data = redundant(own, timestamp, kept);
    kept.push({ timestamp, own });
    if (kept.length > KEPT) kept.shift();
  };
  const transform = (frame, out) => {
    try {
      change(frame);
    } catch {} // the voice goes on as it is
    out.enqueue(frame);
  };
  transformer.readable.pipeThrough(new TransformStream({ transform })).pipeTo(transformer.writable);
});

postMessage('ready');

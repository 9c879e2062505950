// What getStats says, per slot and per encoding: a plain object for tests, support and the connection
// line. Times are in milliseconds, sizes in pixels, counters since the slot was made.

const ms = (seconds) => (seconds === undefined ? undefined : Math.round(seconds * 1000));

function inbound(r, slot, byId) {
  return {
    mid: slot.mid, kind: slot.kind, participant: slot.participant, source: slot.source, state: slot.state,
    shown: slot.shown, codec: byId.get(r.codecId)?.mimeType, ssrc: r.ssrc,
    packetsReceived: r.packetsReceived, packetsLost: r.packetsLost, bytesReceived: r.bytesReceived,
    jitter: ms(r.jitter), framesReceived: r.framesReceived, framesDecoded: r.framesDecoded,
    framesDropped: r.framesDropped, framesPerSecond: r.framesPerSecond, width: r.frameWidth,
    height: r.frameHeight, freezes: r.freezeCount, frozen: ms(r.totalFreezesDuration), retransmitted: r.retransmittedPacketsReceived,
    nacks: r.nackCount, plis: r.pliCount, audioLevel: r.audioLevel, audioEnergy: r.totalAudioEnergy,
    samplesReceived: r.totalSamplesReceived, // silence that nobody sent is no gap
    samplesConcealed: r.concealedSamples === undefined ? undefined : r.concealedSamples - (r.silentConcealedSamples ?? 0),
  };
}

function outbound(r, source, byId) {
  const remote = byId.get(r.remoteId);
  return {
    mid: r.mid, source, rid: r.rid, codec: byId.get(r.codecId)?.mimeType, ssrc: r.ssrc,
    packetsSent: r.packetsSent, bytesSent: r.bytesSent, retransmitted: r.retransmittedPacketsSent,
    framesEncoded: r.framesEncoded, framesPerSecond: r.framesPerSecond, width: r.frameWidth,
    height: r.frameHeight, limitedBy: r.qualityLimitationReason, active: r.active,
    roundTrip: ms(remote?.roundTripTime), lossFraction: remote?.fractionLost,
  };
}

/** The way that media goes, of what getStats says. Not every browser names it on the transport. */
export function path(byId) {
  const all = [...byId.values()];
  const t = all.find((s) => s.type === 'transport');
  const pair = byId.get(t?.selectedCandidatePairId) ?? all.find((s) => s.type === 'candidate-pair' && s.selected);
  const local = byId.get(pair?.localCandidateId);
  if (!t && !pair) return {};
  const relayed = local?.candidateType === 'relay';
  return {
    dtls: t?.dtlsState, cipher: t?.srtpCipher, roundTrip: ms(pair?.currentRoundTripTime),
    received: pair?.bytesReceived ?? t?.bytesReceived,
    available: pair?.availableOutgoingBitrate, protocol: (relayed && local.relayProtocol) || local?.protocol, relayed,
  };
}

/** @param {import('./media.js').Media} media */
export async function summarize(media) {
  const byId = await media.getStats();
  const slots = [];
  const senders = [];
  for (const r of byId.values()) {
    if (r.type === 'inbound-rtp') {
      const slot = media.slots.find((s) => s.mid === r.mid);
      if (slot) slots.push(inbound(r, slot, byId));
    } else if (r.type === 'outbound-rtp') {
      const source = [...media.senders].find(([, t]) => t.mid === r.mid)?.[0];
      if (source) senders.push(outbound(r, source, byId));
    }
  }
  return { path: path(byId), slots, senders };
}

/**
 * How this end's connection was during one interval, and what came from each of the others, from the
 * summaries at its two ends. How the others' own connections are, this end cannot know.
 */
export function quality(before, now) {
  const live = now.slots.map((s) => [s, before.slots.find((o) => o.ssrc === s.ssrc)])
    .filter(([s, b]) => b && s.state === 'live'); // emptied slots lose nothing
  const upLoss = Math.max(0, ...now.senders.map((s) => s.lossFraction ?? 0));
  const roundTrip = now.path.roundTrip ?? 0;
  const downLoss = loss(live);
  const people = [...new Set(live.map(([s]) => s.participant))];
  return {
    level: level(Math.max(downLoss, upLoss), roundTrip), downLoss, upLoss, roundTrip,
    path: {
      protocol: now.path.protocol, relayed: now.path.relayed ?? false,
      silent: now.path.received === before.path.received && now.path.received !== undefined,
    },
    received: people.map((p) => from(p, live.filter(([s, b]) => s.participant === p && b.participant === p))),
  };
}

function loss(slots) {
  let received = 0;
  let lost = 0;
  for (const [s, b] of slots) {
    received += s.packetsReceived - b.packetsReceived;
    lost += Math.max(0, s.packetsLost - b.packetsLost);
  }
  return received + lost ? lost / (received + lost) : 0;
}

/** What was played between two summaries, for the `stats` message. Browsers without a figure say 0. */
export function played(before, now) {
  const sum = { samples: 0, concealed: 0, freezes: 0, frozen: 0 };
  for (const s of now.slots) {
    const b = before.slots.find((o) => o.ssrc === s.ssrc);
    if (!b || s.state !== 'live') continue;
    const more = (name) => Math.max(0, Math.round((s[name] ?? 0) - (b[name] ?? 0)));
    sum.samples += more('samplesReceived');
    sum.concealed += more('samplesConcealed');
    sum.freezes += more('freezes');
    sum.frozen = Math.max(sum.frozen, more('frozen'));
  }
  sum.concealed = Math.min(sum.concealed, sum.samples);
  return sum;
}

// Speech concealed in more than 3 % of the time is heard; below 12 pictures a second lips no
// longer fit the words, below 5 it is a row of stills (limits chosen here, not taken from a standard).
function from(participant, slots) {
  const voice = slots.find(([s]) => s.source === 'mic');
  const picture = slots.find(([s]) => s.source === 'camera')?.[0];
  const heard = voice && voice[0].samplesReceived - voice[1].samplesReceived;
  const concealed = heard > 0 ? Math.max(0, voice[0].samplesConcealed - voice[1].samplesConcealed) / heard : 0;
  const lost = loss(slots);
  const frames = picture?.framesPerSecond ?? (picture ? 0 : 30);
  const levels = [level(Math.max(lost, concealed), 0), frames < 5 ? 'poor' : frames < 12 ? 'fair' : 'good'];
  return {
    participant, level: ['poor', 'fair', 'good'].find((l) => levels.includes(l)), loss: lost, concealed,
    sound: Boolean(voice && voice[0].packetsReceived > voice[1].packetsReceived),
    jitter: Math.max(0, ...slots.map(([s]) => s.jitter ?? 0)),
    width: picture?.width, height: picture?.height, framesPerSecond: picture?.framesPerSecond,
  };
}

// ITU-T G.114: talking stays natural below 150 ms one way and becomes hard above 400 ms. Above 3 %
// loss retransmission begins to be seen, above 10 % speech suffers.
function level(lost, roundTrip) {
  if (lost > 0.1 || roundTrip > 800) return 'poor';
  if (lost > 0.03 || roundTrip > 300) return 'fair';
  return 'good';
}

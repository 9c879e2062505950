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
    height: r.frameHeight, freezes: r.freezeCount, retransmitted: r.retransmittedPacketsReceived,
    nacks: r.nackCount, plis: r.pliCount, audioLevel: r.audioLevel, audioEnergy: r.totalAudioEnergy,
    samplesReceived: r.totalSamplesReceived, samplesConcealed: r.concealedSamples,
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

function path(byId) {
  for (const t of byId.values()) {
    if (t.type !== 'transport') continue;
    const pair = byId.get(t.selectedCandidatePairId);
    const local = byId.get(pair?.localCandidateId);
    return {
      dtls: t.dtlsState, cipher: t.srtpCipher, roundTrip: ms(pair?.currentRoundTripTime),
      available: pair?.availableOutgoingBitrate, protocol: local?.relayProtocol ?? local?.protocol,
      relayed: local?.candidateType === 'relay',
    };
  }
  return {};
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

/** How this end's connection was during one interval, from the summaries at its two ends. */
export function quality(before, now) {
  let received = 0;
  let lost = 0;
  for (const s of now.slots) {
    const b = before.slots.find((o) => o.ssrc === s.ssrc);
    if (!b || s.state !== 'live') continue; // emptied slots lose nothing
    received += s.packetsReceived - b.packetsReceived;
    lost += Math.max(0, s.packetsLost - b.packetsLost);
  }
  const downLoss = received + lost ? lost / (received + lost) : 0;
  const upLoss = Math.max(0, ...now.senders.map((s) => s.lossFraction ?? 0));
  const roundTrip = now.path.roundTrip ?? 0;
  return { level: level(Math.max(downLoss, upLoss), roundTrip), downLoss, upLoss, roundTrip };
}

// ITU-T G.114: talking stays natural below 150 ms one way and becomes hard above 400 ms. Above 3 %
// loss retransmission begins to be seen, above 10 % speech suffers.
function level(loss, roundTrip) {
  if (loss > 0.1 || roundTrip > 800) return 'poor';
  if (loss > 0.03 || roundTrip > 300) return 'fair';
  return 'good';
}

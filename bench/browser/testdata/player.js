async (token, lines) => {
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const player = { pc, frames: 0 };
  const eye = Object.assign(document.createElement('canvas'), { width: 32, height: 18 }).getContext('2d', { willReadFrequently: true });
  for (let i = 0; i < lines; i++) for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
  const video = Object.assign(document.createElement('video'), { autoplay: true });
  document.body.append(video);
  video.srcObject = new MediaStream(pc.getTransceivers().slice(0, 2).map((t) => t.receiver.track)); // the first of each
  const next = () => { player.frames++; video.requestVideoFrameCallback(next); };
  video.requestVideoFrameCallback(next);
  // shows says whose four quadrants are in the picture; the colours are those of page.js.
  player.shows = () => {
    if (!video.videoWidth) return '';
    eye.drawImage(video, 0, 0, 32, 18);
    const close = ([x, y], colour) => {
      const pixel = eye.getImageData(x, y, 1, 1).data;
      return colour.every((v, i) => Math.abs(v - pixel[i]) < 60);
    };
    const colours = [[220, 40, 40], [40, 170, 60], [50, 70, 220], [230, 210, 40]];
    return [[8, 4], [24, 4], [8, 13], [24, 13]].every((at, i) => close(at, colours[i])) ? 'clinician' : '';
  };
  player.heard = async () => [...(await pc.getStats()).values()]
    .filter((s) => s.type === 'inbound-rtp' && s.kind === 'audio').reduce((sum, s) => sum + (s.totalAudioEnergy ?? 0), 0);
  await pc.setLocalDescription();
  const ask = (method, url, body) => fetch(url, { method, body, headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/sdp' } });
  player.bytes = pc.localDescription.sdp.length;
  const answer = await ask('POST', '/v1/whep', pc.localDescription.sdp);
  player.status = answer.status;
  const text = await answer.text();
  if (answer.status !== 201) throw new Error(text);
  await pc.setRemoteDescription({ type: 'answer', sdp: text });
  player.leave = async () => { const { status } = await ask('DELETE', answer.headers.get('Location')); pc.close(); return status; };
  return player;
}

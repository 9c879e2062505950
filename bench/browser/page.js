// Injected into every page before its own scripts. It gives each person a picture and a voice of
// their own, watches what the page shows, and records what passes between page and server.
//
// The camera is real as far as the page can tell: getUserMedia asks for permission and opens the
// fake device. Its picture (one file for all of Chromium, a flat colour that changes in Firefox) is
// shown in the middle of four quadrants, the order of whose colours says who it is, in every frame,
// at any size.
((person, names, portraits, claps) => {
  if (!isSecureContext) return; // the empty page before the first
  const COLOURS = { R: [220, 40, 40], G: [40, 170, 60], B: [50, 70, 220], Y: [230, 210, 40], M: [200, 40, 200], C: [40, 200, 200] };
  const PEOPLE = { // every quadrant tells all of them apart
    clinician: { quadrants: 'RGBY', tone: 440 },
    patient: { quadrants: 'GBYR', tone: 700 },
    interpreter: { quadrants: 'BYRG', tone: 1100 },
    carer: { quadrants: 'YRGB', tone: 1700 },
    screen: { quadrants: 'MMMM' },
    device: { quadrants: 'CCCC' }, // what webrtcbin.py sends
  };
  // Without a sound card Firefox never starts an AudioContext (153). Its fake microphone is a tone of
  // its own, and what it hears is known by its energy only.
  const deaf = navigator.userAgent.includes('Firefox/');
  const test = window.bedsideTest = {
    names, // participant id -> key of PEOPLE
    connections: [], messages: [], clicks: [],
    frames: {}, // 'name/source' -> { shown, firstShown, firstReceived, colours of the middle }, times in ms since 1970
    blocked: [], // by the page's policy: directive and address
    textured: false, // whether the picture has some
    flashes: [], tones: [], // of the clapper: when each left the page, in ms since 1970
    wrong: [], // shown frames of somebody else than their tile says
  };
  test.now = () => since1970(performance.now());
  const since1970 = (t) => performance.timeOrigin + t;

  // ---- the person's picture and voice ----

  // portrait is what the pictures in the documentation show instead: somebody in a room.
  const portrait = (g, quadrants, n) => {
    const [wall, floor, shirt, hair, skin] = {
      RGBY: ['#dfe7ea', '#b8c8cf', '#f4f6f7', '#4a3b32', '#c98f6b'],
      GBYR: ['#efe6da', '#d3c0a6', '#5b7c99', '#8d8d8d', '#e2b594'],
      BYRG: ['#e3e6df', '#bcc6b4', '#7d5a6e', '#2b2320', '#8a5a3c'],
      YRGB: ['#e6e1ea', '#c5b9d0', '#3f6f5f', '#a8682f', '#f0c9ab'],
    }[quadrants] ?? ['#fff', '#fff', '#fff', '#fff', '#fff'];
    const sway = Math.sin(n / 25) * 3;
    const light = g.createLinearGradient(0, 0, 640, 360);
    light.addColorStop(0, wall);
    light.addColorStop(1, floor);
    g.fillStyle = light;
    g.fillRect(0, 0, 640, 360);
    const oval = (colour, x, y, w, h) => {
      g.fillStyle = colour;
      g.beginPath();
      g.ellipse(x + sway, y, w, h, 0, 0, 7);
      g.fill();
    };
    oval(shirt, 320, 390, 150, 130);
    oval(skin, 320, 265, 30, 40);
    oval(hair, 320, 165, 72, 92);
    oval(skin, 320, 185, 58, 76);
  };

  // texturing is what makes a key frame as large as a camera's: 2 to 8 kB instead of one packet.
  const texturing = () => {
    const [fine, large] = [new OffscreenCanvas(160, 90), new OffscreenCanvas(1280, 720)];
    const pixels = new ImageData(160, 90);
    for (let i = 0; i < pixels.data.length; i += 4) pixels.data.set([...Array(3).fill(Math.random() < 0.5 ? 0 : 255), Math.random() * 90], i);
    fine.getContext('2d').putImageData(pixels, 0, 0);
    large.getContext('2d').drawImage(fine, 0, 0, 1280, 720);
    return large;
  };

  // ---- the clapper: each second the picture flashes and a second tone sounds, at the same instant ----

  // A canvas that is captured dates its pictures by some 100 ms too early on a busy machine (Chromium 156: what
  // came late once moves all that follows). With claps, pictures are dated when they are painted.
  const captured = (canvas) => {
    if (!claps) return { track: canvas.captureStream(30).getVideoTracks()[0], painted() {} };
    const track = new MediaStreamTrackGenerator({ kind: 'video' });
    const writer = track.writable.getWriter();
    const painted = () => {
      if (writer.desiredSize > 0) writer.write(new VideoFrame(canvas, { timestamp: performance.now() * 1000 })).catch(() => {});
    };
    return { track, painted };
  };

  let clap = () => {};
  let flash = false;
  let clapper; // the canvas that flashes: the last
  const flicker = (g) => {
    if (g !== clapper) return;
    if (flash !== performance.now() % 1000 < 200) {
      flash = !flash;
      clap(flash);
      if (flash) test.flashes.push(test.now());
    }
    g.fillStyle = flash ? '#fff' : '#000';
    g.fillRect(260, 20, 120, 60);
  };

  // listen notes when tones come out of Web Audio, where the browser's media engine takes them over: some of
  // it waits in there, and more once the machine had no time. The clock of what comes out is set by what
  // comes quickest.
  const listen = async (track) => {
    const reader = new MediaStreamTrackProcessor({ track: track.clone() }).readable.getReader();
    const found = [];
    let [quickest, quiet] = [Infinity, 0];
    const onset = (data) => {
      const samples = new Float32Array(data.numberOfFrames);
      data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      const n = Math.round(data.sampleRate / 1000); // three waves of the second tone
      for (let at = 0; at + n <= samples.length; at += n) {
        let [re, im] = [0, 0];
        for (let i = 0; i < n; i++) {
          re += samples[at + i] * Math.cos((6 * Math.PI * i) / n);
          im += samples[at + i] * Math.sin((6 * Math.PI * i) / n);
        }
        quiet += n;
        if (Math.hypot(re, im) / n < 0.08) continue;
        const before = quiet;
        quiet = 0;
        if (before > 0.3 * data.sampleRate) return ((samples.length - at) / data.sampleRate) * 1000; // before its end
      }
      return null;
    };
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      quickest = Math.min(quickest, test.now() - value.timestamp / 1000);
      const ago = onset(value);
      if (ago !== null) found.push(value.timestamp / 1000 - ago);
      test.tones = found.map((at) => at + quickest);
      value.close();
    }
  };

  const draw = (quadrants, source) => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [640, 360];
    const g = canvas.getContext('2d');
    const video = document.createElement('video');
    video.muted = true;
    if (source) {
      video.srcObject = new MediaStream([source]);
      video.play().catch(() => {});
    }
    let n = 0;
    let texture;
    const paint = portraits ? () => portrait(g, quadrants, n++) : () => {
      [...quadrants].forEach((c, i) => {
        g.fillStyle = `rgb(${COLOURS[c]})`;
        g.fillRect((i % 2) * 320, (i >> 1) * 180, 320, 180);
      });
      g.fillStyle = '#444'; // moves, so that no frame is like the one before
      g.fillRect((n++ * 7) % 640, 176, 40, 8);
      if (video.readyState >= 2) g.drawImage(video, 220, 120, 200, 120);
      if (test.textured) g.drawImage(texture ??= texturing(), Math.round(60 * Math.sin(n / 60)) - 300, -150);
      if (claps && source) flicker(g);
    };
    paint();
    const { track, painted } = captured(canvas);
    if (source) clapper = g;
    const timer = setInterval(() => { paint(); painted(); }, 33);
    const stop = track.stop.bind(track);
    track.stop = () => { clearInterval(timer); source?.stop(); stop(); };
    if (source) track.getSettings = () => ({ ...source.getSettings(), width: 640, height: 360 });
    return track;
  };

  const sing = (hertz, source) => {
    const context = new AudioContext();
    const out = context.createMediaStreamDestination();
    const tone = new OscillatorNode(context, { frequency: hertz });
    tone.connect(new GainNode(context, { gain: portraits && person !== 'patient' ? 0 : 0.3 })).connect(out);
    tone.start();
    const [track] = out.stream.getAudioTracks();
    if (claps) {
      const second = new OscillatorNode(context, { frequency: 3000 });
      const gate = new GainNode(context, { gain: 0 });
      second.connect(gate).connect(out);
      second.start();
      clap = (on) => gate.gain.setValueAtTime(on ? 0.3 : 0, context.currentTime);
      listen(track);
    }
    const stop = track.stop.bind(track);
    track.stop = () => { source.stop(); stop(); context.close(); };
    track.getSettings = () => source.getSettings();
    return track;
  };

  // A plain page sends the camera as it is, and nobody looks at what it shows: that takes a third of the time.
  const plain = Boolean(window.bedsidePlain);
  const devices = navigator.mediaDevices;
  const getUserMedia = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (constraints) => {
    const real = await getUserMedia(constraints);
    const me = PEOPLE[person];
    return new MediaStream([
      ...real.getVideoTracks().map((t) => (plain ? t : draw(me.quadrants, t))),
      ...real.getAudioTracks().map((t) => (deaf ? t : sing(me.tone, t))),
    ]);
  };
  devices.getDisplayMedia = async () => new MediaStream([draw(PEOPLE.screen.quadrants)]);

  // ---- what passes between page and server ----

  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) { super(...args); test.connections.push(this); }
  };
  window.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener('message', (e) => {
        test.messages.push({ at: since1970(e.timeStamp), from: 'server', ...JSON.parse(e.data) });
      });
    }

    send(data) {
      test.messages.push({ at: since1970(performance.now()), from: 'client', ...JSON.parse(data) });
      super.send(data);
    }
  };
  document.addEventListener('click', (e) => {
    const action = e.composedPath().find((n) => n.dataset?.action)?.dataset.action;
    if (action) test.clicks.push({ at: since1970(e.timeStamp), action });
  }, true);

  document.addEventListener('securitypolicyviolation', (e) => test.blocked.push(`${e.effectiveDirective} ${e.blockedURI}`));

  // ---- what the page shows ----

  // all finds elements in the document and in every open shadow root.
  const all = (selector, root = document) => [
    ...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].filter((e) => e.shadowRoot).flatMap((e) => all(selector, e.shadowRoot)),
  ];
  const visible = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.getBoundingClientRect().width > 0;
  test.all = (selector) => all(selector).filter(visible);
  test.one = (selector) => test.all(selector)[0];
  test.state = () => all('[data-bedside-state]')[0]?.dataset.bedsideState;
  test.problem = () => all('[data-bedside-problem]')[0]?.dataset.bedsideProblem;

  const eye = Object.assign(document.createElement('canvas'), { width: 32, height: 18 }).getContext('2d', { willReadFrequently: true });
  // who names the person whose picture a video shows, or the letters of what it shows instead.
  const who = (video) => {
    eye.drawImage(video, 0, 0, 32, 18);
    const letters = [[8, 4], [24, 4], [8, 13], [24, 13]].map(([x, y]) => {
      const [r, g, b] = eye.getImageData(x, y, 1, 1).data;
      const distance = ([R, G, B]) => Math.hypot(r - R, g - G, b - B);
      const [letter, colour] = Object.entries(COLOURS).sort((a, c) => distance(a[1]) - distance(c[1]))[0];
      if (distance(colour) < 70) return letter;
      return Math.max(r, g, b) < 24 ? 'k' : '-'; // black, as CMYK calls it
    }).join('');
    return Object.keys(PEOPLE).find((name) => PEOPLE[name].quadrants === letters) ?? letters;
  };

  const tileOf = (video) => video.closest('.tile[data-participant]');
  const look = (video, receiveTime) => {
    const tile = tileOf(video);
    const { participant, source, shown } = tile?.dataset ?? {};
    if (!participant || participant === window.bedside?.self || shown !== 'true' || !visible(video) || !video.videoWidth) return;
    const name = test.names[participant] ?? participant;
    const want = source === 'screen' ? 'screen' : name;
    const got = who(video);
    const key = `${name}/${source}`;
    if (got !== want) {
      if (test.wrong.length < 20) test.wrong.push({ tile: key, got, at: since1970(performance.now()) });
      return;
    }
    const f = test.frames[key] ??= { shown: 0, firstShown: since1970(performance.now()), firstReceived: Infinity, colours: [] };
    f.shown++;
    const colour = eye.getImageData(16, 9, 1, 1).data.slice(0, 3).map((v) => v >> 5).join();
    if (f.colours.length < 20 && !f.colours.includes(colour)) f.colours.push(colour);
    if (receiveTime) f.firstReceived = Math.min(f.firstReceived, since1970(receiveTime));
  };
  // A frame is judged in the animation frame that paints it, after the page's own frame callback has
  // decided whether the tile is shown. A tile that changes is judged, too: its slot's element plays
  // on while it moves from one person's tile to another's.
  const watched = new WeakSet();
  const watch = (video) => {
    if (plain || watched.has(video)) return;
    watched.add(video);
    const next = (_, { receiveTime }) => {
      requestAnimationFrame(() => look(video, receiveTime));
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  };
  new MutationObserver(() => {
    const videos = all('.tile[data-participant] video');
    videos.forEach(watch);
    if (!plain) requestAnimationFrame(() => videos.forEach((v) => look(v)));
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-participant', 'data-source', 'data-shown'] });

  // ---- what the test asks ----

  test.until = async (what, ms, condition) => {
    const end = performance.now() + ms;
    for (;;) {
      const value = await condition();
      if (value) return value;
      if (performance.now() > end) throw new Error(`no ${what} within ${ms} ms; the page is in state ${test.state()} ${test.problem() ?? ''}`);
      await new Promise((r) => { setTimeout(r, 20); });
    }
  };

  // middle says where to click, and refuses when somebody could not: covered, disabled, off screen.
  test.middle = (selector) => {
    const e = test.one(selector);
    if (!e || e.disabled) return null;
    e.scrollIntoView({ block: 'nearest' });
    const box = e.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    let top = document.elementFromPoint(x, y);
    while (top?.shadowRoot?.elementFromPoint(x, y) && top.shadowRoot.elementFromPoint(x, y) !== top) top = top.shadowRoot.elementFromPoint(x, y);
    return e === top || e.contains(top) ? { x, y } : null;
  };

  // still is middle, once it has stayed where it is: a page that has just opened still moves.
  let moved = { selector: '', x: 0, y: 0, at: 0 };
  test.still = (selector) => {
    const at = test.middle(selector);
    const now = performance.now();
    if (!at || selector !== moved.selector || at.x !== moved.x || at.y !== moved.y) {
      moved = { selector, x: at?.x, y: at?.y, at: now };
      return null;
    }
    return now - moved.at > 150 ? at : null;
  };

  // keepSize makes the encoders of the camera keep the sizes that they are given. Those of Chromium 156 take three
  // quarters or half of them for seconds when they have left frames out, H.264's above all (docs/performance.md):
  // then the size of a picture does not say which encoding it is. False: it is to be asked again.
  test.keepSize = async () => {
    const sender = test.connections.at(-1).getSenders().find((s) => s.track?.kind === 'video');
    const p = sender.getParameters();
    p.degradationPreference = 'maintain-framerate-and-resolution';
    await sender.setParameters(p).catch(() => {}); // the page has set others meanwhile
    return sender.getParameters().degradationPreference === p.degradationPreference;
  };

  // sent is what becomes of each encoding that is sent, and what there is room for, for reading.
  test.sent = async () => [...(await test.connections.at(-1).getStats()).values()].map((s) => {
    if (s.type === 'candidate-pair' && s.availableOutgoingBitrate) return `room for ${s.availableOutgoingBitrate} bit/s`;
    if (s.type !== 'outbound-rtp' || !s.framesEncoded) return '';
    return `${s.rid}: ${s.frameWidth}x${s.frameHeight}, ${s.framesPerSecond ?? 0} frames/s, limited by ${s.qualityLimitationReason}`;
  }).filter(Boolean).join('; ');

  // sending notes when each encoding of the camera has another frame encoded, each 50 ms, and when packets were held
  // for want of room on the way.
  test.sending = () => {
    const seen = { q: [], h: [], held: [] };
    const before = {};
    const pc = test.connections.at(-1);
    const { mid } = pc.getTransceivers().find((t) => t.sender.track?.kind === 'video'); // a screen would have encodings, too
    const look = async () => {
      for (const s of (await pc.getStats()).values()) {
        if (s.type !== 'outbound-rtp' || s.mid !== mid || !['q', 'h'].includes(s.rid)) continue;
        const now = since1970(performance.now());
        const was = before[s.rid] ?? s;
        before[s.rid] = s;
        if (was === s || s.framesEncoded !== was.framesEncoded) seen[s.rid].push(now);
        const held = 1000 * (s.totalPacketSendDelay - was.totalPacketSendDelay) / (s.packetsSent - was.packetsSent);
        if (held > 60) seen.held.push([now - held, now]);
      }
    };
    const beat = setInterval(look, 50);
    return () => { clearInterval(beat); return seen; };
  };

  // follow notes when each frame of a person's camera is shown, in ms since 1970, how many frames have been
  // shown with it, and when the page itself had no time. It returns a function that stops and tells.
  test.follow = (name) => {
    const id = Object.keys(names).find((k) => names[k] === name);
    const video = test.all(`.tile[data-participant="${id}"] video`)[0];
    const seen = { frames: [], count: [], stalls: [], width: 0 };
    let last = performance.now();
    const beat = setInterval(() => {
      const now = performance.now();
      if (now - last > 60) seen.stalls.push([since1970(last), since1970(now)]);
      last = now;
    }, 20);
    const look = (now, { expectedDisplayTime, presentedFrames, width }) => {
      seen.frames.push(since1970(expectedDisplayTime));
      seen.count.push(presentedFrames);
      seen.width = width;
      handle = video.requestVideoFrameCallback(look);
    };
    let handle = video.requestVideoFrameCallback(look);
    test.following = seen;
    return () => {
      clearInterval(beat);
      video.cancelVideoFrameCallback(handle);
      return seen;
    };
  };

  // totals sums up the statistics of every connection of this page.
  test.totals = async () => {
    const t = { connected: 0, sent: 0, received: 0, decoded: 0, cipher: '', streams: [] };
    for (const pc of test.connections) {
      if (pc.connectionState === 'connected') t.connected++;
      for (const s of (await pc.getStats()).values()) {
        if (s.type === 'outbound-rtp') t.sent += s.packetsSent;
        // Padding, with which the server looks at the path, has no payload.
        if (s.type === 'inbound-rtp' && s.bytesReceived > 0) t.received += s.packetsReceived;
        if (s.type === 'inbound-rtp' && s.kind === 'video') {
          t.decoded += s.framesDecoded ?? 0;
          t.streams.push({ mid: s.mid, decoded: s.framesDecoded ?? 0, lost: s.packetsLost, freezes: s.freezeCount });
        }
        if (s.type === 'transport') t.cipher = s.srtpCipher ?? '';
      }
    }
    return t;
  };

  // seat is the m-line that the server last assigned to a participant's source.
  test.seat = (name, source) => {
    let mid = null;
    for (const m of test.messages) {
      for (const a of (m.type === 'slots' && m.assignments) || []) {
        if (test.names[a.participant] === name && a.source === source) mid = a.mid;
        else if (a.mid === mid) mid = null;
      }
    }
    return mid;
  };

  const ears = new Map(); // track -> analyser
  let hearing;
  // hear returns the loudest frequency in a person's voice, in Hz, and 0 for silence.
  test.hear = (name) => {
    const mid = test.seat(name, 'mic');
    const track = test.connections.at(-1).getTransceivers().find((t) => t.mid === mid)?.receiver.track;
    if (!track) return 0;
    hearing ??= new AudioContext();
    if (!ears.has(track)) {
      const analyser = new AnalyserNode(hearing, { fftSize: 8192, smoothingTimeConstant: 0 });
      hearing.createMediaStreamSource(new MediaStream([track])).connect(analyser);
      ears.set(track, analyser);
    }
    const analyser = ears.get(track);
    const spectrum = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(spectrum);
    const peak = spectrum.reduce((best, v, i) => (v > spectrum[best] ? i : best), 0);
    return spectrum[peak] > -60 ? (peak * hearing.sampleRate) / analyser.fftSize : 0;
  };
  // louder tells whether a person's voice was more than silence for 300 ms: the tone has 0.02 of energy.
  const louder = async (name) => {
    const energy = async () => {
      for (const s of (await test.connections.at(-1).getStats()).values()) {
        if (s.type === 'inbound-rtp' && s.mid === test.seat(name, 'mic')) return s.totalAudioEnergy;
      }
      return 0;
    };
    const before = await energy();
    await new Promise((r) => { setTimeout(r, 300); });
    return await energy() - before > 0.002;
  };
  test.hears = async (name) => (deaf ? louder(name) : Math.abs(test.hear(name) - PEOPLE[name].tone) < 12);
  test.silent = async (name) => (deaf ? !await louder(name) : test.hear(name) === 0);

  // rosterWith is when the server first told this page that somebody is in the room.
  test.rosterWith = (name) => test.messages.find((m) => m.from === 'server'
    && (m.participants ?? m.roster ?? []).some((p) => test.names[p.id] === name && p.state === 'admitted'))?.at;

  // texts is everything that may not hold a name: session descriptions, and messages but rosters.
  test.texts = () => [
    ...test.connections.flatMap((pc) => [pc.localDescription?.sdp, pc.remoteDescription?.sdp]),
    ...test.messages.filter((m) => !['roster', 'joined'].includes(m.type)).map((m) => JSON.stringify(m)),
  ].join('\n');

  // cheat puts a picture on the camera's sender, as a page would that does not care for the lobby.
  test.cheat = () => test.connections.at(-1).getTransceivers().find((t) => t.direction === 'sendonly' && t.sender.dtmf === null)
    .sender.replaceTrack(draw(PEOPLE[person].quadrants));
})(PERSON);

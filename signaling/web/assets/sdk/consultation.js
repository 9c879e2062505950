import { BedsideError } from './error.js';
import { Link } from './link.js';
import { Media, kindOf } from './media.js';
import { played, quality, summarize } from './stats.js';

const CLIENT = 'bedside.js/1';
const TOKEN_MARGIN_MS = 15_000; // a session token lives 60 s, but the exchange may have been slow
// After an outage of a few seconds nobody is to wait: what is tried during it must not delay what comes
// after. TCP sends the first packet of a connection again after 1 s, then after 2 more (RFC 6298), so
// two seconds' patience with the first attempts leaves no gap of more than 1.5 s.
const BACKOFF_MS = [200, 500, 500, 500, 1000, 2000, 4000];
const PATIENCE_MS = [2000, 2000, 2000, 3000, 5000, 10_000];
// An offer that restarts ICE crosses the same network. While nothing comes by either way the
// WebSocket is not waited for as long as for other replies.
const RESTART_REPLY_MS = 4000;
const GIVE_UP_MS = 60_000; // as long as the server keeps the place of who has gone
const GIVE_UP_INVITED_MS = 300_000; // with the invitation one can still come in anew: an upgrade takes minutes
const SAMPLE_MS = 1000;
const STATS_SAMPLES = 5; // between two messages that tell the server what was played

// After these the resume token is worthless, but the invitation may still be good.
const TOKEN_CODES = ['token_invalid', 'token_expired', 'token_used'];
// After these trying again is no use. Any other failure may pass.
const FINAL_CODES = ['invitation_unknown', 'invitation_revoked', 'not_yet_open', 'window_closed',
  'consultation_ended', 'consultation_full', 'forbidden', 'pin_required', 'pin_wrong', 'pin_locked'];
// Ends of a connection, not of the consultation: the protocol says "resume".
const PASSING_REASONS = ['server_draining', 'too_slow', 'media_failed'];

/** One participant's part in one consultation. The types and events are in bedside.d.ts. */
export class Consultation extends EventTarget {
  self = '';
  role = '';
  display = '';
  state = 'new'; // new, waiting, admitted, held, ended
  roster = [];
  policy = { recording: 'never', profile: 'general', max_participants: 2, publish: [], can: [] };
  facts = { clinician_present: false };
  recording = { state: 'off', notice: '', missing: [] };
  connection = { state: 'connecting' };
  preview = {};
  #server;
  #invitation = '';
  #pin;
  #token = '';
  #tokenAt = 0;
  #resume = ''; // in memory only: storage outlives the person at a shared computer
  #connect = '';
  #link = null;
  #media = null;
  #negotiation = Promise.resolve();
  #tracks = new Map(); // source -> MediaStreamTrack the page wants to send
  #muted = new Set(); // sources the person has muted
  #told = new Map(); // source -> what the server knows of its muting
  #sampler = 0;
  #paths; // detour.js, loaded when the call is up
  #detour;
  #before = null;
  #reported = { summary: null, samples: 0 }; // the summary that the server was last told of
  #blocked = false;
  #passedAt = -Infinity; // when a connection last ended for a passing reason
  #wake = () => {};
  #off = new AbortController(); // ends what listens to the network

  /** Exchanges an invitation for a session token. Rejects with a BedsideError. */
  static async exchange(server, invitation, { pin, signal } = {}) {
    const c = new Consultation({ server });
    c.#invitation = invitation;
    c.#pin = pin;
    await c.#exchange(signal);
    return c;
  }

  /** For pages whose own back end has exchanged the invitation: they know `connect` and `token`. */
  constructor({ server, connect = '', token = '' } = {}) {
    super();
    this.#server = new URL(server || import.meta.url);
    this.#connect = connect;
    this.#token = token;
    this.#tokenAt = performance.now();
  }

  /** Resolves when the server has let the participant in: into the lobby or into the room. */
  async join() {
    // Reading the first pages takes some people minutes.
    const expires = this.#tokenAt + (this.preview.expires_in ?? 60) * 1000;
    if (this.#invitation && performance.now() > expires - TOKEN_MARGIN_MS) await this.#exchange();
    this.#watchNetwork();
    this.#setConnection({ state: 'connecting' });
    await this.#open({ token: this.#token });
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_MS);
    // Without it media stays where ICE has put it. Not named by the page (asset.go): nobody waits for it.
    import(`./detour.js`).then((m) => { this.#paths = m; this.#detour = new m.Detour(); }, () => {});
  }

  admit(participant) { return this.#ask('admit', { participant }); }
  refuse(participant) { return this.#ask('refuse', { participant }); }
  remove(participant) { return this.#ask('remove', { participant }); }
  hold(participant) { return this.#ask('hold', { participant }); }
  unhold(participant) { return this.#ask('unhold', { participant }); }
  end() { return this.#askToGo('end'); }

  async leave({ to } = {}) {
    if (to) { // whoever hands over wants to know that it was taken
      await this.#askToGo('leave', { to });
      return this.#finish('left');
    }
    const asked = this.#ask('leave').catch(() => {});
    // Nobody waits to leave: where the server cannot be asked, its timeout does the rest.
    await Promise.race([asked, new Promise((r) => setTimeout(r, 1000))]);
    return this.#finish('left');
  }

  /** Asks everybody for their consent; it begins when all have agreed. */
  requestRecording() { return this.#ask('record', { action: 'request' }); }
  stopRecording() { return this.#ask('record', { action: 'stop' }); }

  /** Says whether this participant agrees to being recorded, to the notice that is valid now. */
  consent(recording) { return this.#ask('consent', { recording, notice: this.recording.notice || this.policy.notice || '' }); }

  send(kind, body, to) { return this.#ask('message', to ? { to, kind, body } : { kind, body }); }
  layout(tiles) { return this.#ask('layout', { tiles }).catch(() => {}); } // a hint; the next one follows

  setCamera(track) { return this.setTrack('camera', track); }
  setMicrophone(track) { return this.setTrack('mic', track); }

  /** Sends `track` as `source` from admission on, or nothing when it is null. Stopping it stays the caller's. */
  setTrack(source, track) {
    const before = this.#tracks.get(source);
    if (before) before.onended = null;
    this.#tracks.set(source, track);
    // Fires when the device is gone or taken away, not when the page itself stops the track.
    if (track) track.onended = () => this.#lostTrack(source, track);
    return this.#publish(source);
  }

  mute(source, muted) {
    if (muted) this.#muted.add(source); else this.#muted.delete(source);
    return this.#publish(source);
  }

  isMuted(source) { return this.#muted.has(source) || !this.#tracks.get(source); }

  share(stream) { return this.setTrack('screen', stream.getVideoTracks()[0] ?? null); }

  stopShare() {
    this.#tracks.get('screen')?.stop();
    return this.setTrack('screen', null);
  }

  /** Plays the sound that autoplay rules had blocked: call it from a click. */
  resumeAudio() {
    this.#blocked = false;
    for (const s of this.#media?.slots ?? []) if (s.kind === 'audio') s.play();
  }

  /** The video slots as they are now. */
  get tiles() { return (this.#media?.slots ?? []).filter((s) => s.kind === 'video').map(tile); }

  async stats() { return this.#media ? summarize(this.#media) : { path: {}, slots: [], senders: [] }; }

  // ---- the session ----

  async #exchange(signal) {
    const body = JSON.stringify({ invitation: this.#invitation, ...(this.#pin && { pin: this.#pin }) });
    let response;
    try {
      response = await fetch(new URL('/v1/join', this.#server), {
        method: 'POST', body, signal, headers: { 'Content-Type': 'application/json' },
        credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer',
      });
    } catch (e) {
      throw signal?.aborted ? e : await this.#unreachable();
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) { // RFC 9457
      const wait = Number(response.headers.get('Retry-After')) || undefined;
      throw new BedsideError(answer.code ?? 'internal', answer.detail, { retry_after: wait, ...answer });
    }
    this.#token = answer.token;
    this.#tokenAt = performance.now();
    this.#connect = answer.connect;
    this.preview = answer;
    Object.assign(this, { role: answer.role ?? '', display: answer.display ?? '', facts: answer.facts ?? this.facts });
  }

  // A browser does not say why a request failed. When another that nobody may read the answer of gets
  // through, the server is there and does not know the page's origin: a mistake of who set it up.
  async #unreachable() {
    const probe = { mode: 'no-cors', credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer' };
    const there = this.#server.origin !== location.origin
      && await fetch(new URL('/healthz', this.#server), probe).then(() => true, () => false);
    if (!there) return new BedsideError('network', 'the server cannot be reached');
    const e = new BedsideError('origin_not_allowed', `${location.origin} is not among the signaling.origins of ${this.#server.origin}`);
    console.error(`bedside: ${e.message}`);
    return e;
  }

  async #open(credential, patience) {
    const url = new URL(this.#connect || '/v1/connect', this.#server);
    url.protocol = url.protocol.replace('http', 'ws');
    let refusal = null; // what the server says before it closes, instead of a reply
    const link = new Link(url, {
      onmessage: (m) => {
        if (this.#link === link) this.#receive(m);
        else if (m.type === 'error') refusal = new BedsideError(m.code, m.detail, m);
        else if (m.type === 'ended') refusal = new BedsideError(m.reason);
      },
      onclose: () => { if (this.#link === link) this.#reconnect(); },
      media: () => this.#link === link && Boolean(this.#media?.up),
    }, patience);
    let joined;
    try {
      await link.opened;
      joined = await link.request('join', { ...credential, client: CLIENT });
    } catch (e) {
      link.close();
      throw refusal ?? e;
    }
    if (this.state === 'ended') return link.close();
    this.#link = link;
    this.#joined(joined, credential);
  }

  #joined(m, credential) {
    this.#media?.close(); // until now it kept the last picture and sound
    Object.assign(this, {
      self: m.self, role: m.role, display: m.display ?? '', state: m.state, policy: m.policy, facts: m.facts,
    });
    this.#resume = m.resume;
    this.#told.clear();
    const media = new Media({ iceServers: m.ice_servers, publish: m.policy.publish ?? [], codec: m.policy.video_codec, slots: m.slots }, {
      slot: (s) => { if (s.kind === 'video') this.#emit('tile', tile(s)); },
      blocked: () => this.#audioBlocked(),
      connected: () => this.#setConnection({ state: 'connected' }),
      stalled: () => this.#restart({ state: 'reconnecting', detail: 'media' }),
      unreachable: () => this.#restart({ state: 'failed', detail: 'udp_blocked' }),
    });
    media.avoidUDP = this.#media?.avoidUDP ?? false;
    this.#media = media;
    const resumed = 'resume' in credential;
    const before = resumed ? this.roster : [];
    this.roster = m.roster ?? [];
    this.#emit('joined', { resumed });
    this.#setRoster(this.roster, before);
    this.#negotiate(false);
  }

  #receive(m) {
    switch (m.type) {
      case 'state': return this.#setState(m);
      case 'roster':
        this.facts = m.facts ?? this.facts;
        return this.#setRoster(m.participants ?? []);
      case 'slots': return this.#media?.assign({ epoch: m.epoch, assignments: m.assignments ?? [] });
      case 'layers': return this.#media?.setLayers(m);
      case 'audio': return this.#setAudio(m);
      case 'quality':
        return this.#emit('link', { participant: m.participant, uplink: m.uplink, downlink: m.downlink, figures: m.figures });
      case 'recording':
        this.recording = { ...m, missing: m.missing ?? [] };
        return this.#emit('recording', this.recording);
      case 'speakers': return this.#emit('speakers', { levels: m.levels ?? [] });
      case 'message': return this.#emit('message', { from: m.from, to: m.to, kind: m.kind, body: m.body });
      case 'resume': this.#resume = m.token; return undefined;
      case 'restart': return this.#negotiate(true);
      case 'more_slots':
        this.#media?.addSlots(m);
        return this.#negotiate(false);
      case 'ice_servers': return this.#media?.setICEServers(m.ice_servers ?? []);
      case 'ended': return this.#ended(m.reason);
      case 'error': return this.#fail(new BedsideError(m.code, m.detail, m));
      default: return undefined; // from a newer server
    }
  }

  #setAudio(m) {
    const media = this.#media;
    if (!media?.setAudio(m)) return;
    this.#negotiation = this.#negotiation.then(() => media.reapply()).catch(() => {}); // closed meanwhile
  }

  #setState({ state, facts }) {
    this.state = state;
    this.facts = facts ?? this.facts;
    for (const source of this.#media?.senders.keys() ?? []) this.#publish(source);
    this.#emit('state', { state });
  }

  #setRoster(roster, before = this.roster) {
    const known = (...states) => [before, roster].map((l) => l.filter((p) => states.includes(p.state)));
    const [was, is] = known('admitted', 'held');
    const [wasHeld, isHeld] = known('held');
    // Whoever was in the room before oneself has not arrived, and who is on hold sees nobody go.
    const together = [before, roster].every((l) => l.some((p) => p.id === this.self && p.state === 'admitted'));
    const both = (a, b, same) => (together ? a.filter((p) => b.some((o) => o.id === p.id) === same) : []);
    this.roster = roster;
    this.#emit('roster', {
      roster, arrived: both(is, was, false), gone: both(was, is, false),
      held: both(both(isHeld, wasHeld, false), was, true), back: both(both(wasHeld, isHeld, false), is, true),
    });
  }

  // Twice within a minute is no accident: then the reason is told.
  #ended(reason) {
    const again = performance.now() - this.#passedAt < GIVE_UP_MS;
    if (!PASSING_REASONS.includes(reason) || (again && reason !== 'server_draining')) return this.#finish(reason);
    this.#passedAt = performance.now();
    const link = this.#link;
    this.#reconnect(reason === 'server_draining' ? 'restarting' : 'signaling');
    return link.close();
  }

  // One offer at a time; each is a round trip.
  #negotiate(restart) {
    const media = this.#media;
    this.#negotiation = this.#negotiation.then(async () => {
      if (media !== this.#media || this.state === 'ended') return;
      const link = this.#link;
      if (!link) return; // the next connection offers anew
      const timer = restart && setTimeout(() => { if (!media.up) link.lose(); }, RESTART_REPLY_MS);
      const asked = link.request('offer', await media.offer(restart)).finally(() => clearTimeout(timer));
      const { sdp } = await asked;
      if (media !== this.#media) return;
      await media.answer(sdp);
      if (restart && media.up && this.connection.state !== 'connected') this.#setConnection({ state: 'connected' });
      for (const source of media.senders.keys()) this.#publish(source);
    }).catch((e) => {
      if (e.code === 'connection_lost' || media !== this.#media) return; // the next connection offers anew
      this.#fail(e, !media.ready); // without a first answer there is no call to save
    });
  }

  #restart(connection) {
    this.#setConnection(connection);
    this.#negotiate(true);
  }

  async #reconnect(detail = 'signaling') {
    const since = Date.now();
    this.#link = null;
    for (let attempt = 0; this.state !== 'ended'; attempt++) {
      this.#setConnection({ state: 'reconnecting', detail, since, attempt });
      await this.#pause(BACKOFF_MS[Math.min(attempt, BACKOFF_MS.length - 1)]);
      if (this.state === 'ended') return;
      try {
        if (!this.#resume) await this.#exchange();
        const patience = PATIENCE_MS[Math.min(attempt, PATIENCE_MS.length - 1)];
        return await this.#open(this.#resume ? { resume: this.#resume } : { token: this.#token }, patience);
      } catch (e) {
        if (TOKEN_CODES.includes(e.code) && this.#invitation) this.#resume = '';
        else if (TOKEN_CODES.includes(e.code) || FINAL_CODES.includes(e.code)) return this.#fail(e, true);
      }
      if (Date.now() - since > (this.#invitation ? GIVE_UP_INVITED_MS : GIVE_UP_MS)) break;
    }
    if (this.state === 'ended') return;
    this.#setConnection({ state: 'failed', detail: 'signaling' });
    this.#fail(new BedsideError('connection_lost'), true);
  }

  // The network's return ends the wait.
  #pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => { clearTimeout(timer); resolve(); };
    });
  }

  // What the browser knows of its network. Where nothing changed for this server a restart of ICE is
  // one round trip that nobody sees.
  #watchNetwork() {
    const { signal } = this.#off;
    addEventListener('online', this.#online, { signal });
    addEventListener('offline', this.#offline, { signal });
    let type = navigator.connection?.type; // Chromium on phones alone
    navigator.connection?.addEventListener?.('change', () => { // it fires for new estimates, too
      if (type !== navigator.connection.type) this.#online();
      type = navigator.connection.type;
    }, { signal });
  }

  #online = () => {
    this.#wake();
    this.#detour?.reset();
    if (this.#media) this.#media.avoidUDP = false;
    if (this.#link && this.#media?.ready) this.#negotiate(true);
  };

  #offline = () => {
    if (this.#link && this.state !== 'ended') this.#setConnection({ state: 'reconnecting', detail: 'media', since: Date.now() });
  };

  // ---- the participant's own media ----

  // The one place that decides what is on a sender: nothing in the lobby, nothing while muted. To
  // mute, the track goes first, whatever the server does. To unmute, the server is told first: it
  // drops what is muted, and with a first packet the key frame that everybody waits for.
  async #publish(source) {
    const media = this.#media;
    if (!media?.ready || !media.senders.has(source)) return;
    const wanted = () => (this.#muted.has(source) ? null : this.#tracks.get(source) ?? null);
    const put = () => media.setTrack(source, this.state === 'admitted' ? wanted() : null).catch((e) => {
      if (media === this.#media) this.#fail(e);
    });
    const muted = !wanted();
    if (muted) {
      await put();
      if (wanted()) return; // it came back meanwhile: whoever brought it has told the server
    }
    // A new m-line counts as not muted. A screen that nobody shares is a muted one.
    if ((this.#told.get(source) ?? false) !== muted) {
      this.#told.set(source, muted);
      const mid = media.senders.get(source).mid;
      await this.#ask('mute', { mid, muted }).catch(() => this.#told.delete(source)); // told again on admission
    }
    if (!muted) await put();
  }

  #lostTrack(source, track) {
    if (this.#tracks.get(source) !== track) return;
    this.setTrack(source, null);
    this.#emit('device', { source, kind: kindOf(source), problem: 'ended', label: track.label });
  }

  #audioBlocked() {
    if (this.#blocked) return; // eight slots are one problem
    this.#blocked = true;
    this.#emit('device', { source: 'speaker', kind: 'audio', problem: 'blocked', label: '' });
  }

  // ---- telling the page ----

  // `ended` may come instead of a reply.
  #askToGo(type, fields) {
    return this.#ask(type, fields).then(() => {}, (e) => { if (this.state !== 'ended') throw e; });
  }

  #ask(type, fields) {
    return this.#link ? this.#link.request(type, fields) : Promise.reject(new BedsideError('connection_lost'));
  }

  async #sample() {
    for (const slot of this.#media?.slots ?? []) slot.watchdog(performance.now());
    if (this.connection.state !== 'connected') { this.#before = this.#reported.summary = null; return; }
    const now = await this.stats().catch(() => null); // closed meanwhile
    if (now && this.#before) {
      const figures = quality(this.#before, now);
      this.#emit('quality', figures);
      this.#choosePath(this.#detour?.sample(figures, performance.now()));
    }
    this.#before = now;
    if (now) this.#report(now);
  }

  // To UDP media moves by a restart of ICE, which keeps the old path until there is a new one. Away from it
  // the session is resumed with a new connection: Chromium prunes TCP beside a UDP that answers at all,
  // restart or not (156, 2026-11-22).
  async #choosePath(what) {
    const media = this.#media;
    if (what === 'try') {
      // Beside the call, so that a UDP that is still bad disturbs nobody.
      const check = import(`./check.js`).then((m) => m.checkMedia(this.#server, { signal: this.#off.signal }));
      const found = await check.catch(() => null);
      if (!found || !this.#paths.worthReturning(found) || media !== this.#media) return;
    }
    if (!what || !media?.hasTCP) return;
    media.avoidUDP = what === 'leave';
    if (what === 'try') return this.#negotiate(true);
    const link = this.#link;
    this.#reconnect('media');
    link?.close();
  }

  // What the network loses the server counts itself; what was heard and seen of it only this end knows.
  #report(now) {
    const last = this.#reported;
    if (last.summary && ++last.samples < STATS_SAMPLES) return;
    if (last.summary && this.state === 'admitted') this.#ask('stats', played(last.summary, now)).catch(() => {}); // the next one follows
    this.#reported = { summary: now, samples: 0 };
  }

  #setConnection(connection) {
    this.connection = connection;
    this.#emit('connection', connection);
  }

  #fail(e, final = false) {
    const error = e instanceof BedsideError ? e : new BedsideError('internal', String(e)); // the browser's own
    this.#emit('error', { error, final });
    if (final) this.#finish(error.code);
  }

  #finish(reason) {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.#off.abort();
    clearInterval(this.#sampler);
    this.#wake();
    this.#media?.close();
    this.#link?.close();
    this.#link = null;
    for (const track of this.#tracks.values()) if (track) track.onended = null;
    this.#emit('ended', { reason });
  }

  #emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
}

function tile(s) {
  return {
    mid: s.mid, participant: s.participant, source: s.source, state: s.state, shown: s.shown, stalled: s.stalled,
    element: s.element, track: s.track,
  };
}

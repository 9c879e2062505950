import { Consultation } from '../consultation.js';
import { Context, unsupported } from './context.js';
import { askingScreen, devicesScreen, joinButtons } from './devices.js';
import { page } from './dom.js';
import { choose, switcher } from './languages.js';
import { Lobby } from './lobby.js';
import { pinScreen } from './pin.js';
import { Room } from './room.js';
import { endedScreen, problemScreen, welcomeScreen } from './screens.js';

const LONGEST_TIMEOUT_MS = 2 ** 31 - 1; // setTimeout fires at once beyond it
const AGAIN_MS = 15_000;

// After these the link itself is of no more use.
const HOPELESS = ['no_invitation', 'invitation_unknown', 'invitation_revoked', 'revoked', 'window_closed',
  'consultation_ended', 'cancelled', 'refused', 'removed', 'browser_too_old', 'insecure', 'codec_mismatch'];
// These pass, and the page tries again by itself.
const PASSING = ['network', 'unavailable', 'audit_unavailable', 'server_draining'];
const PLACES = { waiting: 'waiting', held: 'held', admitted: 'room' };

/** Shows the way from an invitation to the end of the call inside `root`. Returns how to undo it. */
export async function mount(root, options) {
  const ctx = new Context(root);
  await ctx.use(choose(options.language));
  const app = new App(ctx, options);
  app.start();
  return () => app.close();
}

class App {
  #ctx;
  #options;
  #consultation = null;
  #screen = null;
  #make = null; // makes the screen again, in another language
  #awake = null;
  #timer = 0;
  #closed = false;
  #pin = ''; // in memory only
  #came = null; // when they came into the lobby
  #introduced = false; // has passed the first page: whoever tries again need not read it again

  constructor(ctx, options) {
    this.#ctx = ctx;
    this.#options = options;
    document.addEventListener('visibilitychange', this.#visible);
    addEventListener('online', this.#online);
    ctx.root.addEventListener('click', this.#firstClick, { once: true });
  }

  async start() {
    clearTimeout(this.#timer);
    if (!this.#screen) this.#show('loading', () => ({ node: page(this.#ctx.t.loading), close() {} }));
    const lacking = unsupported();
    if (lacking) return this.#problem(lacking);
    if (!this.#options.invitation) return this.#problem('no_invitation');
    let consultation;
    try {
      consultation = await Consultation.exchange(this.#options.server, this.#options.invitation, { pin: this.#pin });
      // Most consultations may not be recorded, and need none of it.
      if ((consultation.preview.recording ?? 'never') !== 'never') this.#ctx.recording = await import('./recording.js');
    } catch (e) {
      return this.#closed ? undefined : this.#refused(e);
    }
    if (this.#closed) return undefined;
    this.#consultation = consultation;
    this.#listen(consultation);
    if (consultation.role === 'clinician') return this.#enter();
    const go = () => (consultation.role === 'observer' ? this.#join() : this.#devices({ camera: true, mic: true }));
    if (this.#introduced) return go();
    return this.#show('welcome', () => welcomeScreen(this.#ctx, { consultation, go }));
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#visible);
    removeEventListener('online', this.#online);
    if (this.#consultation?.self) this.#consultation.leave();
    this.#screen?.close();
    this.#awake?.release();
    this.#ctx.close();
    this.#ctx.root.replaceChildren();
  }

  // ---- the way in ----

  #refused(e) {
    if (e.code === 'pin_required' || e.code === 'pin_wrong') return this.#askPin(Boolean(this.#pin));
    this.#pin = e.code === 'pin_locked' ? '' : this.#pin;
    const until = e.code === 'pin_locked' && e.retryAfter && new Date(Date.now() + e.retryAfter * 1000);
    return this.#problem(e.code ?? 'internal', until ? { until } : e);
  }

  #askPin(wrong) {
    this.#pin = '';
    const go = (pin) => {
      this.#pin = pin;
      this.start();
    };
    this.#show('pin', () => pinScreen(this.#ctx, { wrong, go }));
  }

  async #devices(wanted) {
    const { capture } = this.#ctx;
    this.#ctx.audio(); // in the click
    this.#introduced = true;
    this.#show('devices', () => askingScreen(this.#ctx));
    const wrong = await capture.open(wanted);
    if (this.#closed) return capture.closeAll();
    if (wrong.camera) return this.#deviceProblem('camera', wrong.camera, wanted);
    if (wrong.mic) return this.#deviceProblem('mic', wrong.mic, wanted);
    return this.#check();
  }

  #check() {
    const withoutCamera = () => {
      this.#ctx.capture.close('camera');
      this.#join();
    };
    this.#show('devices', () => devicesScreen(this.#ctx, {
      list: joinButtons(this.#ctx, { join: () => this.#join(), withoutCamera }),
    }));
  }

  #deviceProblem(source, wrong, wanted) {
    const without = { ...wanted, [source]: false };
    const leaveOut = () => (without.camera || without.mic ? this.#devices(without) : this.#join());
    const name = source === 'camera' ? 'camera' : 'microphone';
    this.#problem(`${name}_${wrong}`, {}, { retry: () => this.#devices(wanted), [`without-${name}`]: leaveOut });
  }

  // The clinician goes straight to the room: the camera is asked for while it connects.
  async #enter() {
    const opened = this.#ctx.capture.open({ camera: true, mic: true });
    await this.#join();
    const wrong = await opened;
    if (this.#closed || this.#consultation.state === 'ended') return this.#ctx.capture.closeAll();
    await this.#publish();
    this.#screen?.devicesChanged?.();
    for (const [source, what] of Object.entries(wrong)) this.#screen?.deviceProblem?.(source, what);
    return undefined;
  }

  async #join() {
    this.#show('loading', () => ({ node: page(this.#ctx.t.devices.joining), close() {} }));
    await this.#publish();
    try {
      await this.#consultation.join();
    } catch (e) {
      if (!this.#closed) this.#refused(e);
    }
  }

  // The SDK puts the tracks on senders at admission and not before.
  #publish() {
    const { capture } = this.#ctx;
    return Promise.all([this.#consultation.setCamera(capture.camera), this.#consultation.setMicrophone(capture.mic)]);
  }

  // ---- what the server and the network say ----

  #listen(c) {
    const { root } = this.#ctx;
    root.consultation = c;
    root.dispatchEvent(new CustomEvent('consultation', { detail: c }));
    const on = (type, f) => c.addEventListener(type, ({ detail }) => { if (c === this.#consultation && !this.#closed) f(detail); });
    on('joined', () => { if (PLACES[c.state] !== root.dataset.bedsideState) this.#place(); });
    on('state', ({ state }) => {
      if (state === 'admitted') this.#ctx.chime('admitted');
      this.#place();
    });
    on('message', (m) => this.#message(m));
    on('connection', (detail) => this.#connection(detail));
    on('ended', ({ reason }) => this.#ended(reason));
  }

  #inSession() { return Object.values(PLACES).includes(this.#ctx.root.dataset.bedsideState); }

  #place() {
    const consultation = this.#consultation;
    this.#stayAwake();
    if (consultation.state === 'admitted') {
      const room = new Room(this.#ctx, consultation);
      this.#show('room', () => room);
      return room.start();
    }
    this.#came ??= new Date();
    const leave = () => consultation.leave();
    return this.#show(PLACES[consultation.state], () => new Lobby(this.#ctx, { consultation, since: this.#came, server: this.#options.server, leave }));
  }

  // What is said in the lobby and on hold stays in the chat afterwards.
  #message({ from, to, kind, body }) {
    const { t } = this.#ctx;
    const p = this.#consultation.roster.find((o) => o.id === from);
    if (kind === 'handed_over' && p) this.#screen?.handedOver?.(this.#ctx.who(p));
    if (kind !== 'chat' || from === this.#consultation.self) return;
    const who = p ? this.#ctx.who(p) : t.lobby.messages;
    const lobby = this.#consultation.state !== 'admitted';
    const message = { who: to && p ? t.chat.onlyYou(who) : who, body, own: false, lobby };
    this.#ctx.keep(message);
    this.#screen?.receive?.(message);
    if (lobby) this.#ctx.chime('message');
  }

  #connection({ state, detail }) {
    const shown = this.#ctx.root.dataset.bedsideProblem;
    if (state === 'failed' && detail === 'udp_blocked' && shown !== detail) {
      const server = new URL(this.#options.server);
      const port = server.port || (server.protocol === 'https:' ? '443' : '80');
      this.#problem(detail, { host: server.hostname, port });
    } else if (state === 'connected' && shown === 'udp_blocked') {
      this.#place();
    }
  }

  #ended(reason) {
    this.#awake?.release();
    this.#awake = null;
    this.#came = null;
    this.#ctx.capture.closeAll();
    if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
    if (!(reason in this.#ctx.t.ended) || reason === 'help') return this.#refused({ code: reason });
    const rejoin = reason === 'left' ? () => this.start() : null;
    return this.#show('ended', () => endedScreen(this.#ctx, { reason, rejoin }));
  }

  // ---- the page ----

  /** @param {string} code @param {object} [about] a BedsideError, or what the text needs */
  #problem(code, about = {}, actions = null) {
    let again = { retry: () => this.start() };
    if (code === 'replaced') again = { 'use-here': () => this.start() };
    if (HOPELESS.includes(code) || ['udp_blocked', 'pin_locked'].includes(code)) again = {};
    // Who tries again by itself and fails again has nothing new to say.
    if (this.#ctx.root.dataset.bedsideProblem !== code || !PASSING.includes(code)) {
      this.#show('problem', () => problemScreen(this.#ctx, { code, about, actions: actions ?? again }), code);
    }
    if (about.opensAt ?? about.until) this.#startAt(about.opensAt ?? about.until);
    else if (PASSING.includes(code)) this.#startAt(new Date(Date.now() + AGAIN_MS));
  }

  // Phones stop timers while they sleep: #visible looks again when the page is seen.
  #startAt(time) {
    const wait = time.getTime() - Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), Math.min(Math.max(wait, 1000), LONGEST_TIMEOUT_MS));
  }

  #show(state, make, problem = '') {
    const { root, t } = this.#ctx;
    clearTimeout(this.#timer);
    this.#make = make;
    this.#draw();
    root.dataset.bedsideState = state;
    if (problem) root.dataset.bedsideProblem = problem; else delete root.dataset.bedsideProblem;
    if (['welcome', 'pin', 'problem'].includes(state) && !this.#options.fixed) this.#offerLanguages();
    const heading = this.#screen.node.querySelector('h1');
    if (this.#options.owns) {
      document.title = `${heading?.textContent || t.title} \u2013 ${t.title}`;
      document.documentElement.lang = this.#ctx.language;
    }
    (this.#screen.focus ?? heading)?.focus(); // a new page: screen readers begin at its heading
    root.dispatchEvent(new CustomEvent('page', { detail: { page: state, problem } }));
  }

  #draw() {
    this.#screen?.close();
    this.#screen = this.#make();
    this.#ctx.root.replaceChildren(this.#screen.node, this.#ctx.live);
  }

  #offerLanguages() {
    this.#screen.node.querySelector('.card').append(switcher(this.#ctx, async (language) => {
      await this.#ctx.use(language);
      if (this.#options.owns) history.replaceState(null, '', `?lang=${language}${location.hash}`);
      const { bedsideState, bedsideProblem } = this.#ctx.root.dataset;
      this.#show(bedsideState, this.#make, bedsideProblem);
    }));
  }

  // A phone must not go to sleep in the waiting room. The lock is lost whenever the page is hidden.
  async #stayAwake() {
    try { this.#awake = await navigator.wakeLock?.request('screen'); } catch { /* low battery: never mind */ }
  }

  #visible = () => {
    if (document.visibilityState !== 'visible') return;
    if (this.#inSession()) this.#stayAwake();
    if (['not_yet_open', ...PASSING].includes(this.#ctx.root.dataset.bedsideProblem)) this.start();
  };

  #online = () => { if (this.#ctx.root.dataset.bedsideProblem === 'network') this.start(); };

  #firstClick = () => { if (this.#inSession()) this.#ctx.audio(); };
}

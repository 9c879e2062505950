import { Consultation } from '../consultation.js';
import { Context, loadStrings, unsupported } from './context.js';
import { askingScreen, devicesScreen, joinButtons } from './devices.js';
import { page } from './dom.js';
import { chime } from './meter.js';
import { Room } from './room.js';
import { endedScreen, problemScreen, waitingScreen, welcomeScreen } from './screens.js';

const LONGEST_TIMEOUT_MS = 2 ** 31 - 1; // setTimeout fires at once beyond it

// After these the link itself is of no more use.
const HOPELESS = ['no_invitation', 'invitation_unknown', 'invitation_revoked', 'revoked', 'window_closed',
  'consultation_ended', 'cancelled', 'refused', 'removed', 'browser_too_old', 'insecure', 'codec_mismatch'];

/** Shows the way from an invitation to the end of the call inside `root`. Returns how to undo it. */
export async function mount(root, options) {
  const app = new App(new Context(root, await loadStrings()), options);
  app.start();
  return () => app.close();
}

class App {
  #ctx;
  #t;
  #options;
  #consultation = null;
  #screen = null;
  #awake = null;
  #timer = 0;
  #closed = false;
  #introduced = false; // has passed the first page: whoever tries again need not read it again

  constructor(ctx, options) {
    this.#ctx = ctx;
    this.#t = ctx.t;
    this.#options = options;
    document.addEventListener('visibilitychange', this.#visible);
    ctx.root.addEventListener('click', this.#firstClick, { once: true });
  }

  async start() {
    const lacking = unsupported();
    if (lacking) return this.#problem(lacking);
    if (!this.#options.invitation) return this.#problem('no_invitation');
    try {
      this.#consultation = await Consultation.exchange(this.#options.server, this.#options.invitation);
    } catch (e) {
      return this.#problem(e.code ?? 'internal', e);
    }
    if (this.#closed) return undefined;
    this.#listen(this.#consultation);
    if (this.#consultation.role === 'clinician') return this.#enter();
    const go = () => (this.#consultation.role === 'observer' ? this.#join() : this.#devices({ camera: true, mic: true }));
    if (this.#introduced) return go();
    return this.#show('welcome', welcomeScreen(this.#ctx, { consultation: this.#consultation, go }));
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#visible);
    if (this.#consultation?.self) this.#consultation.leave();
    this.#screen?.close();
    this.#awake?.release();
    this.#ctx.close();
    this.#ctx.root.replaceChildren();
  }

  // ---- the way in ----

  async #devices(wanted) {
    const { capture } = this.#ctx;
    this.#ctx.audio(); // in the click
    this.#introduced = true;
    this.#show('devices', askingScreen(this.#ctx));
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
    this.#show('devices', devicesScreen(this.#ctx, {
      buttons: joinButtons(this.#ctx, { join: () => this.#join(), withoutCamera }),
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
    await this.#publish();
    this.#screen?.devicesChanged?.();
    for (const [source, what] of Object.entries(wrong)) this.#screen?.deviceProblem?.(source, what);
  }

  async #join() {
    this.#show('loading', { node: page(this.#t.devices.joining), close() {} });
    await this.#publish();
    try {
      await this.#consultation.join();
    } catch (e) {
      this.#problem(e.code ?? 'internal', e);
    }
  }

  // The SDK puts the tracks on senders at admission and not before.
  #publish() {
    const { capture } = this.#ctx;
    return Promise.all([this.#consultation.setCamera(capture.camera), this.#consultation.setMicrophone(capture.mic)]);
  }

  // ---- what the server and the network say ----

  #listen(c) {
    this.#ctx.root.consultation = c;
    this.#ctx.root.dispatchEvent(new CustomEvent('consultation', { detail: c }));
    c.addEventListener('joined', ({ detail }) => { if (!detail.resumed || !this.#inSession()) this.#place(); });
    c.addEventListener('state', ({ detail }) => {
      if (detail.state === 'admitted') chime(this.#ctx.audio());
      this.#place();
    });
    c.addEventListener('connection', ({ detail }) => this.#connection(detail));
    c.addEventListener('ended', ({ detail }) => this.#ended(detail.reason));
  }

  #inSession() { return ['waiting', 'room'].includes(this.#ctx.root.dataset.bedsideState); }

  #place() {
    const consultation = this.#consultation;
    this.#stayAwake();
    if (consultation.state === 'waiting') {
      this.#show('waiting', waitingScreen(this.#ctx, { consultation, leave: () => consultation.leave() }));
    } else {
      const room = new Room(this.#ctx, consultation);
      this.#show('room', room);
      room.start();
    }
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
    this.#ctx.capture.closeAll();
    if (!(reason in this.#t.ended) || reason === 'help') return this.#problem(reason);
    const rejoin = reason === 'left' ? () => this.start() : null;
    return this.#show('ended', endedScreen(this.#ctx, { reason, rejoin }));
  }

  // ---- the page ----

  /** @param {string} code @param {object} [about] a BedsideError, or what the text needs */
  #problem(code, about = {}, actions = null) {
    let again = { retry: () => this.start() };
    if (code === 'replaced') again = { 'use-here': () => this.start() };
    if (HOPELESS.includes(code) || code === 'udp_blocked') again = {};
    this.#show('problem', problemScreen(this.#ctx, { code, about, actions: actions ?? again }), code);
    if (code === 'not_yet_open' && about.opensAt) this.#startAt(about.opensAt);
  }

  // Phones stop timers while they sleep: #visible looks again when the page is seen.
  #startAt(time) {
    const wait = time.getTime() - Date.now();
    this.#timer = setTimeout(() => this.start(), Math.min(Math.max(wait, 1000), LONGEST_TIMEOUT_MS));
  }

  #show(state, screen, problem = '') {
    const { root, live } = this.#ctx;
    clearTimeout(this.#timer);
    this.#screen?.close();
    this.#screen = screen;
    root.dataset.bedsideState = state;
    if (problem) root.dataset.bedsideProblem = problem; else delete root.dataset.bedsideProblem;
    root.replaceChildren(screen.node, live);
    const heading = screen.node.querySelector('h1');
    if (this.#options.ownsPage) document.title = `${heading?.textContent || this.#t.title} \u2013 ${this.#t.title}`;
    heading?.focus({ preventScroll: false }); // a new page: screen readers begin at its heading
  }

  // A phone must not go to sleep in the waiting room. The lock is lost whenever the page is hidden.
  async #stayAwake() {
    try { this.#awake = await navigator.wakeLock?.request('screen'); } catch { /* low battery: never mind */ }
  }

  #visible = () => {
    if (document.visibilityState !== 'visible') return;
    if (this.#inSession()) this.#stayAwake();
    if (this.#ctx.root.dataset.bedsideProblem === 'not_yet_open') this.start();
  };

  #firstClick = () => { if (this.#inSession()) this.#ctx.audio(); };
}

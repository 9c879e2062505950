import { Capture } from './capture.js';
import { el } from './dom.js';
import { load } from './languages.js';
import { chime } from './meter.js';

const SAID_MS = 4000; // then nobody comes across old news while reading the page
const KEPT = 500; // messages of one call; older ones go, a long call must not grow without end

/** What this browser lacks: '', browser_too_old or insecure. */
export function unsupported() {
  if (!globalThis.isSecureContext) return 'insecure';
  const has = globalThis.RTCPeerConnection && navigator.mediaDevices?.getUserMedia && globalThis.WebSocket
    && RTCPeerConnection.prototype.addTransceiver && RTCPeerConnection.prototype.restartIce
    && globalThis.AudioContext && globalThis.HTMLDialogElement && globalThis.ResizeObserver;
  return has ? '' : 'browser_too_old';
}

/** What all screens share. The audio context is made late: before a click it would stay silent. */
export class Context {
  capture = new Capture();
  language = '';
  t = null;
  /** Said in the lobby, on hold and in the room. @type {{who: string, body: string, own: boolean, lobby?: boolean}[]} */
  messages = [];
  recording = null; // the module, where the consultation may be recorded
  shortcuts = true; // can be switched off (WCAG 2.1.4): speech input types letters
  #audio = null;

  constructor(root) {
    this.root = root;
    this.live = el('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
  }

  async use(language) {
    this.t = await load(language);
    this.language = language;
    this.root.lang = language;
  }

  audio() {
    this.#audio ??= new AudioContext();
    if (this.#audio.state === 'suspended') this.#audio.resume().catch(() => {});
    return this.#audio;
  }

  /** A short sound, where the browser lets the page make one: after a click, or while it listens. */
  chime(what) {
    const { userActivation } = navigator;
    if (userActivation?.hasBeenActive === false && !this.capture.mic && !this.capture.camera) return;
    chime(this.audio(), what);
  }

  /** Says something to screen readers. */
  say(text) {
    const line = el('p', {}, text); // a new element: the same words twice are said twice
    this.live.append(line);
    setTimeout(() => line.remove(), SAID_MS);
  }

  keep(message) {
    this.messages.push(message);
    if (this.messages.length > KEPT) this.messages.shift();
  }

  /** A participant's name and role as they stand on tiles and in lists. */
  who(p) { return this.t.nameAndRole(p.display ?? '', this.roleOf(p)); }

  roleOf({ role, proxy, watch }) { return this.t.roles[proxy ? 'guardian' : watch ? 'watcher' : role] ?? role ?? ''; }

  close() {
    this.capture.closeAll();
    this.#audio?.close();
  }
}

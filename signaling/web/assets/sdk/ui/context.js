import { Capture } from './capture.js';
import { el } from './dom.js';

const LANGUAGES = ['en'];

export async function loadStrings() {
  const wanted = navigator.languages.map((l) => l.split('-')[0]);
  const language = wanted.find((l) => LANGUAGES.includes(l)) ?? LANGUAGES[0];
  return (await import(`./strings.${language}.js`)).strings;
}

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
  #audio = null;

  constructor(root, t) {
    this.root = root;
    this.t = t;
    this.live = el('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
  }

  audio() {
    this.#audio ??= new AudioContext();
    if (this.#audio.state === 'suspended') this.#audio.resume().catch(() => {});
    return this.#audio;
  }

  /** Says something to screen readers. */
  say(text) { this.live.textContent = text; }

  close() {
    this.capture.closeAll();
    this.#audio?.close();
  }
}

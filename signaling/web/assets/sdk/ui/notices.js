import { button, el } from './dom.js';
import { icon } from './icons.js';

const SPOKEN_MS = 5000; // "Ana has joined." goes away by itself

/** Lines above the picture: what happened, and what to press if there is something to press. */
export class Notices {
  #t;
  #byCode = new Map();
  #ctx;

  /** @param {string} [label] where they are a part of the page of their own */
  constructor(ctx, label) {
    this.#ctx = ctx;
    this.#t = ctx.t;
    this.node = el(label ? 'section' : 'div', { class: 'notices', part: 'notices', 'aria-label': label });
  }

  /**
   * Shows or replaces the line of this code.
   * @param {{code: string, text: string, actions?: {action: string, text: string, onclick: () => void}[], closable?: boolean}} o
   */
  show({ code, text, actions = [], closable = false }) {
    const old = this.#byCode.get(code);
    if (old && actions.length === 0 && !closable) { // a count that goes up: only the words change
      old.firstChild.textContent = text;
      return;
    }
    const list = actions.map((a) => button({ kind: 'small', ...a, onclick: () => { this.hide(code); a.onclick(); } }));
    if (closable) list.push(button({ action: 'dismiss', kind: 'small', icon: icon('close'), 'aria-label': this.#t.notices.dismiss, onclick: () => this.hide(code) }));
    const line = el('div', { class: 'notice', part: 'notice', 'data-bedside-problem': code }, el('p', {}, text), ...list);
    const focused = old?.contains(document.activeElement);
    if (old) old.replaceWith(line); else this.node.append(line);
    this.#byCode.set(code, line);
    if (focused) line.querySelector('button')?.focus();
    if (!old) this.#ctx.say(text);
  }

  hide(code) {
    const line = this.#byCode.get(code);
    const focused = line?.contains(document.activeElement);
    line?.remove();
    this.#byCode.delete(code);
    if (focused) this.onlost?.(); // the keyboard must be somewhere
  }

  /** A count that goes up while the connection is being restored. */
  reconnecting({ since, detail }) {
    const { reconnecting, restarting } = this.#t.notices;
    const seconds = Math.round((Date.now() - since) / 1000);
    this.show({ code: 'reconnecting', text: (detail === 'restarting' ? restarting : reconnecting)(seconds) });
  }

  /** What could not be done, in the words of its code where there are any. */
  failed(error) {
    const words = this.#t.notices;
    const known = ['audit_unavailable', 'consent_required', 'recording_failed'].find((code) => code === error?.code);
    this.show({ code: 'failed', text: words[known ?? 'failed'], closable: true });
  }

  /** A line that needs nothing: said, shown, and gone after a while or when the next one comes. */
  say(text) {
    this.#ctx.say(text);
    this.node.querySelector('.quiet')?.remove();
    const line = el('div', { class: 'notice quiet', part: 'notice' }, el('p', {}, text));
    this.node.append(line);
    setTimeout(() => line.remove(), SPOKEN_MS);
  }

  has(code) { return this.#byCode.has(code); }
}

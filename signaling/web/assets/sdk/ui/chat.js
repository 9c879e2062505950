import { button, el } from './dom.js';
import { icon } from './icons.js';

const KEPT = 500; // messages on the page; older ones go, a long call must not grow without end
const LONGEST = 1000; // characters; the server takes 4 kB, and 1000 characters have at most 4000 bytes

/** The chat. Messages are relayed, never stored: they live as long as this page. */
export class Chat {
  unread = 0;
  #t;
  #c;
  #onunread;

  constructor(ctx, consultation, { close, onunread }) {
    this.#t = ctx.t;
    this.#c = consultation;
    this.#onunread = onunread;
    const { chat } = this.#t;
    this.log = el('div', { class: 'messages', role: 'log', 'aria-live': 'polite', tabindex: '0', 'aria-label': chat.title });
    this.input = el('input', { type: 'text', maxlength: LONGEST, 'aria-label': chat.write, placeholder: chat.write, autocomplete: 'off' });
    this.failed = el('p', { class: 'error', role: 'alert', hidden: true }, chat.failed);
    const form = el('form', { class: 'chat-form', onsubmit: (e) => this.#submit(e) }, this.input,
      el('button', { type: 'submit', class: 'button primary', 'data-action': 'send' }, icon('send'), el('span', {}, chat.send)));
    this.node = el('section', { class: 'panel', part: 'chat', 'aria-label': chat.title },
      el('div', { class: 'panel-head' }, el('h2', {}, chat.title), button({ action: 'close-chat', kind: 'small', icon: icon('close'), text: chat.close, onclick: close })),
      el('p', { class: 'note' }, chat.empty), this.log, this.failed, form);
  }

  /** The panel has been opened. */
  open() {
    this.#setUnread(0);
    this.input.focus();
  }

  receive({ from, kind, body }) {
    if (kind !== 'chat' || from === this.#c.self) return;
    const p = this.#c.roster.find((o) => o.id === from);
    this.#add(this.#t.nameAndRole(p?.display, p?.role ?? ''), body, '');
    if (this.node.hidden) this.#setUnread(this.unread + 1);
  }

  async #submit(e) {
    e.preventDefault();
    const body = this.input.value.trim();
    if (!body) return;
    try {
      await this.#c.send('chat', body);
      this.failed.hidden = true;
      this.input.value = '';
      this.#add(this.#t.you, body, 'own');
    } catch {
      this.failed.hidden = false; // what was written stays in the field
    }
  }

  #add(who, body, kind) {
    this.log.append(el('p', { class: `message ${kind}`.trim() }, el('strong', {}, who), el('span', {}, body)));
    if (this.log.children.length > KEPT) this.log.firstChild.remove();
    this.log.scrollTop = this.log.scrollHeight;
  }

  #setUnread(n) {
    this.unread = n;
    this.#onunread(n);
  }
}

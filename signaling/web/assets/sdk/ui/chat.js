import { button, el } from './dom.js';
import { icon } from './icons.js';

const LONGEST = 1000; // characters; the server takes 4 kB, and 1000 characters have at most 4000 bytes

/** The chat. Messages are relayed, never stored: they live as long as this page. */
export class Chat {
  unread = 0;
  #ctx;
  #t;
  #c;
  #onunread;

  constructor(ctx, consultation, { close, onunread }) {
    this.#ctx = ctx;
    this.#t = ctx.t;
    this.#c = consultation;
    this.#onunread = onunread;
    const { chat } = this.#t;
    this.log = el('div', { class: 'messages', role: 'log', 'aria-live': 'polite', tabindex: '0', 'aria-label': chat.title });
    this.input = el('input', { type: 'text', maxlength: LONGEST, 'aria-label': chat.write, placeholder: chat.write, autocomplete: 'off' });
    this.failed = el('p', { class: 'error', role: 'alert', hidden: true }, chat.failed);
    const form = el('form', { class: 'chat-form', onsubmit: (e) => this.#submit(e) }, this.input,
      button({ action: 'send', kind: 'primary', type: 'submit', icon: icon('send'), text: chat.send }));
    this.node = el('section', { class: 'panel', part: 'chat', 'aria-label': chat.title },
      el('div', { class: 'panel-head' }, el('h2', {}, chat.title), button({ action: 'close-chat', kind: 'small', icon: icon('close'), text: chat.close, onclick: close })),
      el('p', { class: 'note' }, chat.empty), this.log, this.failed, form);
    for (const m of ctx.messages) this.#draw(m); // of the lobby, and of before a hold
  }

  /** The panel has been opened. */
  open() {
    this.#setUnread(0);
    this.input.focus();
  }

  /** What somebody has said; the caller keeps it. */
  receive(message) {
    this.#draw(message);
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
      this.said(this.#t.you, body);
    } catch {
      this.failed.hidden = false; // what was written stays in the field
    }
  }

  /** What this person has said, to all or to one. */
  said(who, body) {
    const message = { who, body, own: true };
    this.#ctx.keep(message);
    this.#draw(message);
  }

  #draw({ who, body, own }) {
    this.log.append(el('p', { class: own ? 'message own' : 'message' }, el('strong', {}, who), el('span', {}, body)));
    if (this.log.children.length > this.#ctx.messages.length) this.log.firstChild.remove();
    this.log.scrollTop = this.log.scrollHeight;
  }

  #setUnread(n) {
    this.unread = n;
    this.#onunread(n);
  }
}

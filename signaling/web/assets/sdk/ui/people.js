import { button, confirm, el } from './dom.js';
import { icon } from './icons.js';

const MINUTE_MS = 60_000;

/** Who waits and who is here, with roles; for those who may, Admit, Do not admit and Remove. */
export class People {
  #t;
  #c;
  #rows = new Map(); // participant -> {node, key}
  #timer;
  #failed;

  /** @param {(error: Error) => void} failed when the server would not do it */
  constructor(ctx, consultation, { close, failed }) {
    this.#t = ctx.t;
    this.#c = consultation;
    this.#failed = failed;
    const { people } = this.#t;
    this.heading = el('h2', { tabindex: '-1' }, people.title);
    this.waiting = el('ul', { class: 'people' });
    this.here = el('ul', { class: 'people' });
    this.queue = el('div', { class: 'queue' }, el('h3', {}, people.waiting), this.waiting, el('p', { class: 'note' }, people.nobodyWaiting));
    this.node = el('section', { class: 'panel', part: 'people', 'aria-label': people.title },
      el('div', { class: 'panel-head' }, this.heading, button({ action: 'close-people', kind: 'small', icon: icon('close'), text: people.close, onclick: close })),
      this.queue, el('h3', {}, people.here), this.here);
    this.#timer = setInterval(() => this.update(), MINUTE_MS / 2); // "waiting for 3 min"
  }

  close() { clearInterval(this.#timer); }

  #may(what) { return this.#c.policy.can?.includes(what) ?? false; }

  update() {
    const { roster } = this.#c;
    this.queue.hidden = !this.#may('admit');
    const lost = this.node.contains(document.activeElement) && document.activeElement;
    for (const [id, row] of this.#rows) {
      if (roster.some((p) => p.id === id)) continue;
      row.node.remove();
      this.#rows.delete(id);
    }
    for (const p of roster) this.#draw(p);
    this.queue.querySelector('.note').hidden = this.waiting.children.length > 0;
    // The button that was just pressed is gone: the keyboard goes on with the next one, or the heading.
    if (lost && !lost.isConnected) (this.waiting.querySelector('button') ?? this.heading).focus();
  }

  // A row is made anew only when what it says has changed: focus and screen readers stay where they are.
  #draw(p) {
    const minutes = p.state === 'waiting' && p.waiting ? Math.floor((Date.now() - p.waiting) / MINUTE_MS) : 0;
    const key = JSON.stringify([p, minutes]);
    const old = this.#rows.get(p.id);
    const list = p.state === 'waiting' ? this.waiting : this.here;
    if (old?.key === key && old.node.parentNode === list) return;
    const node = this.#row(p, minutes);
    if (old?.node.parentNode === list) old.node.replaceWith(node);
    else {
      old?.node.remove();
      list.append(node);
    }
    this.#rows.set(p.id, { node, key });
  }

  #row(p, minutes) {
    const { people, nameAndRole } = this.#t;
    const who = nameAndRole(p.display, p.role);
    const about = [
      p.id === this.#c.self && people.self,
      p.state === 'waiting' && people.since(minutes),
      p.connected === false && people.away,
    ].filter(Boolean).join(', ');
    const ask = (what) => () => this.#c[what](p.id).catch(this.#failed);
    const named = (text) => ({ text, 'aria-label': `${text}: ${who}` });
    const buttons = [];
    if (p.state === 'waiting' && this.#may('admit')) {
      buttons.push(button({ action: 'admit', kind: 'primary', ...named(people.admit), onclick: ask('admit') }));
      if (this.#may('refuse')) buttons.push(button({ action: 'refuse', ...named(people.refuse), onclick: ask('refuse') }));
    } else if (p.id !== this.#c.self && this.#may('remove')) {
      buttons.push(button({ action: 'remove', kind: 'small', ...named(people.remove), onclick: () => this.#remove(p, who) }));
    }
    return el('li', { 'data-roster': p.id, 'data-state': p.state, part: 'person' },
      el('div', { class: 'person' }, el('strong', {}, who), about && el('span', { class: 'about' }, about)),
      buttons.length > 0 && el('div', { class: 'buttons' }, ...buttons));
  }

  async #remove(p, who) {
    const { confirm: words } = this.#t;
    const sure = await confirm({ title: words.remove(p.display || who), text: words.removeText, yes: words.removeYes, no: words.no, action: 'confirm-remove' }, this.node);
    if (sure) this.#c.remove(p.id).catch(this.#failed);
  }
}

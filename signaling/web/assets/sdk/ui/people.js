import { askMessage, percent } from './dialogs.js';
import { button, confirm, el } from './dom.js';
import { icon } from './icons.js';

const MINUTE_MS = 60_000;
const TICK_MS = 10_000; // "waiting for 3 min"

/** Who waits, who is on hold and who is here, with roles; and for those who may, what can be done. */
export class People {
  #ctx;
  #t;
  #c;
  #on;
  #rows = new Map(); // participant -> {node, key, reception}
  #links = new Map(); // participant -> the latest `link` event's detail
  #timer;

  /** @param {{close: () => void, failed: (e: Error) => void, said: (p: object, body: string) => void}} on */
  constructor(ctx, consultation, on) {
    this.#ctx = ctx;
    this.#t = ctx.t;
    this.#c = consultation;
    this.#on = on;
    const { people } = this.#t;
    const section = (name) => {
      const list = el('ul', { class: 'people' });
      return { list, node: el('div', { class: `people-${name}` }, el('h3', {}, people[name]), list) };
    };
    this.heading = el('h2', { tabindex: '-1' }, people.title);
    this.sections = { waiting: section('waiting'), held: section('held'), admitted: section('here') };
    this.nobody = el('p', { class: 'note' }, people.nobodyWaiting);
    this.sections.waiting.node.append(this.nobody);
    this.node = el('section', { class: 'panel', part: 'people', 'aria-label': people.title },
      el('div', { class: 'panel-head' }, this.heading, button({ action: 'close-people', kind: 'small', icon: icon('close'), text: people.close, onclick: on.close })),
      ...Object.values(this.sections).map((s) => s.node));
    this.#timer = setInterval(() => this.update(), TICK_MS);
  }

  close() { clearInterval(this.#timer); }

  /** How the others are received, once a second. @param {object[]} received */
  quality(received) {
    for (const [id, row] of this.#rows) this.#drawReception(row, id, received.find((r) => r.participant === id));
  }

  /** How somebody's own connection is, as the server sees it. */
  link(detail) {
    this.#links.set(detail.participant, detail);
    const row = this.#rows.get(detail.participant);
    if (row) this.#drawLink(row, detail.participant, detail);
  }

  /** A new session: who is not named anew has a good connection. */
  reset() {
    this.#links.clear();
    for (const [id, row] of this.#rows) this.#drawLink(row, id);
  }

  #may(what) { return this.#c.policy.can?.includes(what) ?? false; }

  update() {
    const { roster } = this.#c;
    const active = this.node.contains(document.activeElement) ? document.activeElement : null;
    const was = active && { action: active.dataset.action, row: active.closest('li')?.dataset.roster };
    for (const [id, row] of this.#rows) {
      if (roster.some((p) => p.id === id)) continue;
      row.node.remove();
      this.#rows.delete(id);
      this.#links.delete(id);
    }
    for (const p of roster) this.#draw(p);
    this.#sort(roster);
    this.sections.waiting.node.hidden = !this.#may('admit');
    this.sections.held.node.hidden = this.sections.held.list.children.length === 0;
    this.nobody.hidden = this.sections.waiting.list.children.length > 0;
    if (was && !this.node.contains(document.activeElement)) this.#refocus(was);
  }

  // In the order of the roster, which is that of arrival. Rows that stand right stay in place.
  #sort(roster) {
    for (const { list } of Object.values(this.sections)) {
      roster.map((p) => this.#rows.get(p.id).node).filter((n) => n.parentNode === list).forEach((node, i) => {
        if (list.children[i] !== node) list.insertBefore(node, list.children[i]);
      });
    }
  }

  // The button that was just pressed is gone: the keyboard goes on where it was in a row that was
  // only drawn anew, else with the next who waits, else at the heading.
  #refocus({ action, row }) {
    const next = this.#rows.get(row)?.node.querySelector(`[data-action="${action}"]`)
      ?? this.sections.waiting.list.querySelector('button');
    (next ?? this.heading).focus();
  }

  // A row is made anew only when what it says has changed: focus and screen readers stay where they are.
  #draw(p) {
    const { list } = this.sections[p.state] ?? this.sections.admitted;
    const minutes = p.state === 'waiting' && p.waiting ? Math.max(0, Math.floor((Date.now() - p.waiting) / MINUTE_MS)) : 0;
    const key = JSON.stringify([p, minutes]);
    const old = this.#rows.get(p.id);
    if (old?.key === key && old.node.parentNode === list) return;
    const row = this.#row(p, minutes, key);
    if (old?.node.parentNode === list) old.node.replaceWith(row.node);
    else {
      old?.node.remove();
      list.append(row.node);
    }
    this.#rows.set(p.id, row);
    if (old?.received) this.#drawReception(row, p.id, old.received);
    row.link.node.open = old?.link.node.open ?? false;
    this.#drawLink(row, p.id, p.state === 'admitted' ? this.#links.get(p.id) : undefined);
  }

  #row(p, minutes, key) {
    const { people } = this.#t;
    const about = [
      p.id === this.#c.self && people.self,
      p.state === 'waiting' && people.since(minutes),
      p.connected === false && people.away,
    ].filter(Boolean).join(', ');
    const buttons = this.#actions(p);
    const summary = el('summary', {});
    const figures = el('p', {});
    const reception = el('details', { class: 'reception', part: 'reception', hidden: true }, summary, figures);
    const link = { summary: el('summary', {}), figures: el('p', {}), about: el('p', {}, people.linkAbout) };
    link.node = el('details', { class: 'reception', part: 'link', hidden: true }, link.summary, link.figures, link.about);
    const node = el('li', { 'data-roster': p.id, 'data-state': p.state, part: 'person' },
      el('div', { class: 'person' }, el('strong', {}, this.#ctx.who(p)), about && el('span', { class: 'about' }, about)),
      reception, link.node, buttons.length > 0 && el('div', { class: 'buttons' }, ...buttons));
    return { node, key, reception, summary, figures, link, received: null };
  }

  #actions(p) {
    const { people } = this.#t;
    const who = this.#ctx.who(p);
    const out = [];
    const add = (action, kind, onclick) => out.push(button(
      { action, kind: `small ${kind}`, text: people[action], 'aria-label': people.actionFor(people[action], who), onclick }));
    const ask = (what) => () => this.#c[what](p.id).catch(this.#on.failed);
    if (p.id === this.#c.self) return out;
    if (p.state === 'waiting' && this.#may('admit')) {
      add('admit', 'primary', ask('admit'));
      if (this.#may('refuse')) add('refuse', '', ask('refuse'));
    }
    if (p.state === 'held' && this.#may('hold')) add('unhold', 'primary', ask('unhold'));
    if (p.state !== 'admitted' && this.#may('admit') && p.role !== 'device') add('message', '', () => this.#message(p));
    if (p.state === 'admitted' && this.#may('hold') && p.role !== 'clinician') add('hold', '', ask('hold'));
    if (p.state !== 'waiting' && this.#may('remove')) add('remove', '', () => this.#remove(p, who));
    return out;
  }

  // Of what arrives here, and why it is no more.
  #drawReception(row, id, received) {
    const { people } = this.#t;
    row.received = received ?? null;
    row.reception.hidden = !received;
    if (!received) return;
    row.reception.dataset.level = received.level;
    const text = people.reception[received.level];
    if (row.summary.textContent !== text) row.summary.textContent = text;
    if (!row.reception.open) return;
    const { width, height, framesPerSecond: frames = 0, loss, concealed, jitter } = received;
    row.figures.textContent = [
      width && people.picture({ width, height, frames: Math.round(frames) }),
      people.figures({ loss: percent(loss), concealed: percent(concealed), jitter }),
      people.because[this.#because(id)],
    ].filter(Boolean).join(' ');
  }

  // Whose connection lets no more of somebody through: ours, if it does not, comes first.
  #because(id) {
    const lacks = (who, way) => ['fair', 'poor'].includes(this.#links.get(who)?.[way]);
    if (lacks(this.#c.self, 'downlink')) return 'here';
    return lacks(id, 'uplink') ? 'there' : '';
  }

  // A good connection is worth a line only to those who get figures: clinicians.
  #drawLink(row, id, link) {
    const { people } = this.#t;
    const { node, summary, figures } = row.link;
    const bad = link && ['poor', 'fair'].find((l) => link.uplink === l || link.downlink === l);
    node.hidden = !bad && !link?.figures;
    if (node.hidden) return;
    node.dataset.level = bad ?? 'good';
    const whose = people.whose[id === this.#c.self ? 'self' : 'other'];
    const text = `${whose} ${people.sends[link.uplink]}, ${people.receives[link.downlink]}`;
    if (summary.textContent !== text) summary.textContent = text;
    const { uplink_loss: up, downlink_loss: down, round_trip: roundTrip } = link.figures ?? {};
    figures.textContent = link.figures ? people.linkFigures({ up: percent(up), down: percent(down), roundTrip }) : '';
  }

  async #message(p) {
    const body = await askMessage(this.#ctx, p.display || this.#ctx.who(p));
    if (!body) return;
    try {
      await this.#c.send('chat', body, p.id);
      this.#on.said(p, body);
    } catch (e) {
      this.#on.failed(e);
    }
  }

  async #remove(p, who) {
    const { confirm: words } = this.#t;
    const sure = await confirm({ title: words.remove(p.display || who), text: words.removeText, yes: words.removeYes, no: words.no, action: 'confirm-remove' }, this.#ctx.root);
    if (sure) this.#c.remove(p.id).catch(this.#on.failed);
  }
}

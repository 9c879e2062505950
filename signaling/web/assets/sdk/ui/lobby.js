import { ConnectionCheck } from './connection.js';
import { ask, button, buttons, el } from './dom.js';
import { Notices } from './notices.js';

const TICK_MS = 1000;
const SLOW_SAMPLES = 5; // seconds in a row

/** The waiting room, and the page of who is on hold: calm, nothing to do, and it goes on by itself. */
export class Lobby {
  #ctx;
  #c;
  #words;
  #since;
  #server;
  #video = null;
  #slow = 0;
  #lost = null; // {since, detail} while reconnecting
  #timer = 0;
  #off = new AbortController();

  /** @param {{consultation: object, since: Date, server: string, leave: () => void}} o since: when they came */
  constructor(ctx, { consultation, since, server, leave }) {
    const { t, capture } = ctx;
    this.#ctx = ctx;
    this.#c = consultation;
    this.#since = since;
    this.#server = server;
    this.held = consultation.state === 'held';
    this.#words = this.held ? t.held : t.waiting;
    this.notices = new Notices(ctx);
    this.title = el('h1', { tabindex: '-1' });
    this.text = el('p', { class: 'lead' });
    this.start = el('p', {});
    this.messages = el('div', { class: 'messages', role: 'log', 'aria-live': 'polite', 'aria-label': t.lobby.messages });
    this.consent = ctx.recording?.lobbyConsent(ctx, consultation, (e) => this.notices.failed(e));
    const own = el('div', { class: 'preview small', hidden: this.held || !capture.camera });
    if (!own.hidden) {
      this.#video = el('video', { class: 'mirror', autoplay: true, playsinline: true, 'aria-label': t.devices.selfview });
      this.#video.muted = true;
      this.#video.srcObject = new MediaStream([capture.camera]);
      own.append(this.#video);
    }
    this.node = el('main', { class: 'page', part: 'page' }, el('div', { class: 'card', part: 'card' },
      this.title, this.notices.node, this.text, this.consent?.node, this.messages, this.start, el('p', {}, this.#words.nothing), own,
      el('p', { class: 'note' }, this.#words.private, ' ', !this.held && since && t.waiting.since(since)),
      buttons(button({ action: 'check', text: t.connection.check, onclick: () => this.#check() }), button({ action: 'leave', text: t.waiting.leave, onclick: leave }))));
    for (const m of ctx.messages) if (m.lobby) this.#draw(m);
    this.#listen();
    this.#update();
  }

  close() {
    this.#off.abort();
    clearInterval(this.#timer);
    if (this.#video) this.#video.srcObject = null;
  }

  async #check() {
    const { t, root } = this.#ctx;
    const tried = new ConnectionCheck(this.#ctx, this.#server);
    tried.run();
    this.#off.signal.addEventListener('abort', () => tried.close());
    await ask({ title: t.connection.check, content: [tried.node], choices: [{ action: 'close', kind: 'primary', text: t.connection.close, value: '' }] }, root);
    tried.close();
  }

  /** A message from the clinic, which cannot be answered. */
  receive(message) {
    this.#draw(message);
    this.messages.lastChild.scrollIntoView?.({ block: 'nearest' });
  }

  #draw({ body }) {
    this.messages.append(el('p', { class: 'message' }, el('strong', {}, this.#ctx.t.lobby.messages), el('span', {}, body)));
  }

  #listen() {
    const on = (type, f) => this.#c.addEventListener(type, f, { signal: this.#off.signal });
    on('recording', () => this.consent?.update());
    on('roster', () => this.#update());
    on('state', () => this.#update());
    on('quality', ({ detail }) => this.#quality(detail));
    on('connection', ({ detail }) => this.#connection(detail));
    this.#connection(this.#c.connection);
    this.#timer = setInterval(() => this.#drawLost(), TICK_MS);
  }

  #update() {
    const { t } = this.#ctx;
    const { facts } = this.#c;
    const here = facts.clinician_present;
    const { title, text } = this.held
      ? { title: t.held.title, text: here ? t.held.here : t.held.gone }
      : { title: here ? t.waiting.here : t.waiting.notHere, text: here ? t.waiting.hereText : t.waiting.notHereText };
    const changed = this.title.textContent && (this.title.textContent !== title || this.text.textContent !== text);
    this.title.textContent = title;
    this.text.textContent = text;
    if (changed) this.#ctx.say(`${title}. ${text}`);
    this.start.hidden = this.held || !facts.start;
    this.start.textContent = facts.start ? t.waiting.start(new Date(facts.start)) : '';
  }

  // The check of the connection speaks up only when it has something to say.
  #quality({ level }) {
    this.#slow = level === 'good' ? 0 : this.#slow + 1;
    if (this.#slow === SLOW_SAMPLES) this.notices.show({ code: 'slow', text: this.#ctx.t.lobby.slow });
    if (this.#slow === 0) this.notices.hide('slow');
  }

  #connection({ state, detail, since }) {
    const was = this.#lost;
    this.#lost = state === 'reconnecting' ? { since: was?.since ?? since ?? Date.now(), detail } : null;
    this.#drawLost();
    if (!this.#lost && was) {
      this.notices.hide('reconnecting');
      if (state === 'connected') this.#ctx.say(this.#ctx.t.room.spoken.connected);
    }
  }

  #drawLost() {
    if (this.#lost) this.notices.reconnecting(this.#lost);
  }
}

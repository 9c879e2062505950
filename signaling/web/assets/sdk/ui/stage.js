import { button, el } from './dom.js';
import { icon } from './icons.js';

const RATIO = 16 / 9;
const GAP_PX = 8;
const OWN_PX = 230; // the widest that one's own picture gets in a cell
const LAYOUT_DELAY_MS = 150; // a dragged window edge is one message, not sixty
const SPEAKING = 30; // of 127; the server already lists only who speaks, this leaves out whispers

/** One participant's camera, screen or exam picture, with name and role always visible. */
class Tile {
  slot = null; // the detail of the latest `tile` event
  constructor(t, participant, source, onpin) {
    this.participant = participant;
    this.source = source;
    this.video = el('div', { class: 'tile-video' });
    this.cover = el('p', {});
    this.name = el('span', { class: 'name' });
    this.mutedMark = el('span', { class: 'muted-mark', hidden: true }, icon('micOff'), el('span', { class: 'visually-hidden' }, t.room.muted));
    this.poorMark = el('span', { class: 'poor-mark', hidden: true }, t.room.poor);
    this.pin = button({ action: 'pin', kind: 'small', icon: icon('pin'), text: t.room.pin, onclick: onpin });
    this.node = el('div', { class: 'tile', part: 'tile', 'data-participant': participant, 'data-source': source, 'data-shown': 'false', role: 'group' },
      this.video, el('div', { class: 'cover', part: 'cover' }, icon('person'), this.cover),
      el('div', { class: 'label', part: 'label' }, this.name, this.poorMark, this.mutedMark), this.pin);
  }

  /** The element of a slot plays on while it is moved within one task; a cover hides what is not theirs. */
  place(slot) {
    this.slot = slot;
    this.node.dataset.shown = String(Boolean(slot?.shown));
    if (!slot) return this.video.replaceChildren();
    if (slot.element.parentNode !== this.video) {
      this.video.replaceChildren(slot.element);
      slot.element.play().catch(() => {}); // muted pictures may always play
    }
    return undefined;
  }
}

const POOR_SAMPLES = 5; // seconds in a row

/**
 * The tiles of everybody else. They keep the order in which people came, so that nobody jumps; a
 * tile goes when its person goes, and its slot's picture is hidden the moment the server says so.
 */
export class Stage {
  #ctx;
  #t;
  #c;
  #selfview;
  #received = []; // what came from each of the others in the last second
  #links = new Map(); // participant -> whether their own connection is poor, as the server sees it
  #tiles = new Map(); // participant/source -> Tile
  #slots = new Map(); // mid -> detail of its latest `tile` event
  #pinned = ''; // key of the large tile
  #resize;
  #timer = 0;
  #sent = '';

  constructor(ctx, consultation, selfview) {
    this.#ctx = ctx;
    this.#t = ctx.t;
    this.#c = consultation;
    this.#selfview = selfview;
    this.empty = el('div', { class: 'alone' }, el('h2', {}), el('p', {}));
    this.also = el('p', { class: 'also', hidden: true });
    this.grid = el('div', { class: 'grid' });
    this.node = el('main', { class: 'stage', part: 'stage', 'aria-label': this.#t.room.stage },
      this.also, this.grid, this.empty, selfview.node);
    this.#resize = new ResizeObserver(() => this.#arrange());
    this.#resize.observe(this.grid);
  }

  close() {
    this.#resize.disconnect();
    clearTimeout(this.#timer);
  }

  /** A new connection: all slots are new. */
  reset() {
    this.#slots.clear();
    this.#links.clear(); // who is not named anew has a good one
    for (const s of this.#c.tiles) this.#slots.set(s.mid, s);
    this.#sent = '';
    this.update();
  }

  slot(detail) {
    this.#slots.set(detail.mid, detail);
    this.update();
  }

  speakers(levels) {
    const loud = new Set(levels.filter((l) => l.level >= SPEAKING).map((l) => l.participant));
    for (const tile of this.#tiles.values()) {
      tile.node.classList.toggle('speaking', tile.source === 'camera' && loud.has(tile.participant));
    }
  }

  /** Whose picture or sound comes badly. Where all do (`own`), it is one's own connection. */
  quality(received, own) {
    this.#received = received;
    for (const tile of this.#tiles.values()) {
      const poor = !own && received.find((r) => r.participant === tile.participant)?.level === 'poor';
      tile.poor = poor ? (tile.poor ?? 0) + 1 : 0;
      this.#mark(tile);
    }
    if ([...this.#slots.values()].some((s) => s.stalled)) this.update(); // whether they are still heard
  }

  /** Somebody's own connection, whichever way it is poor, explains more than how they are received. */
  link({ participant, uplink, downlink }) {
    this.#links.set(participant, [uplink, downlink].includes('poor'));
    for (const tile of this.#tiles.values()) this.#mark(tile);
  }

  #mark(tile) {
    const own = this.#links.get(tile.participant);
    tile.poorMark.hidden = tile.source !== 'camera' || !(own || tile.poor >= POOR_SAMPLES);
    const text = own ? this.#t.room.poorLink : this.#t.room.poor;
    if (tile.poorMark.textContent !== text) tile.poorMark.textContent = text;
  }

  update() {
    const others = this.#c.roster.filter((p) => p.state === 'admitted' && p.id !== this.#c.self);
    const wanted = new Map();
    for (const p of others) if (!['observer', 'device'].includes(p.role)) wanted.set(`${p.id}/camera`, p);
    for (const s of this.#slots.values()) {
      const p = others.find((o) => o.id === s.participant);
      if (p && (s.source !== 'camera' || p.role === 'device') && s.state === 'live') wanted.set(`${p.id}/${s.source}`, p);
    }
    for (const [key, tile] of this.#tiles) if (!wanted.has(key)) this.#drop(key, tile);
    for (const [key, p] of wanted) this.#draw(this.#tiles.get(key) ?? this.#make(key, p), p);
    this.#drawAlso(others);
    this.#drawEmpty();
    this.#arrange();
  }

  // Everybody who is here and has no tile is named all the same: who is here is a matter of safety.
  #drawAlso(others) {
    const { room } = this.#t;
    const names = (list) => list.map((p) => this.#ctx.who(p)).join(', ');
    const line = (list, words) => (list.length ? words(names(list)) : '');
    const held = this.#c.roster.filter((p) => p.state === 'held' && p.id !== this.#c.self);
    const text = [
      line(others.filter((p) => p.role === 'observer' || p.watch), room.watching),
      line(others.filter((p) => p.role === 'device' && !p.watch), room.devices),
      line(held, room.onHold),
    ].filter(Boolean).join(' \u00b7 ');
    this.also.hidden = !text;
    this.also.textContent = text;
  }

  #make(key, p) {
    const source = key.slice(p.id.length + 1);
    const tile = new Tile(this.#t, p.id, source, () => this.#pin(this.#pinned === key ? '' : key));
    this.#tiles.set(key, tile);
    this.#mark(tile);
    this.grid.append(tile.node);
    if (source !== 'camera' && !this.#pinned) this.#pinned = key; // what is shown on purpose is large
    return tile;
  }

  #drop(key, tile) {
    const focused = tile.node.contains(document.activeElement);
    this.#tiles.delete(key);
    tile.place(null);
    tile.node.remove();
    if (this.#pinned === key) this.#pinned = '';
    if (focused) (this.grid.querySelector('.tile > button:not([hidden])') ?? this.#ctx.root.querySelector('[data-action="more"]'))?.focus();
  }

  #draw(tile, p) {
    const { room } = this.#t;
    const who = this.#ctx.who(p);
    const names = { screen: room.screenOf(p.display || who), exam: room.examOf(p.display || who) };
    const name = names[tile.source] ?? who;
    if (tile.name.textContent !== name) {
      tile.name.textContent = name;
      tile.node.setAttribute('aria-label', name);
    }
    const slot = [...this.#slots.values()].find((s) => s.participant === tile.participant && s.source === tile.source && s.state !== 'empty');
    tile.place(slot ?? null);
    const off = slot?.state === 'muted' || (!slot && p.muted?.includes('camera'));
    tile.node.classList.toggle('stalled', Boolean(slot?.stalled) && p.connected !== false);
    const heard = this.#received.find((r) => r.participant === p.id)?.sound;
    const words = { away: p.connected === false && room.coverAway, off: off && room.coverCameraOff, stalled: slot?.stalled && (heard ? room.coverStalledSound : room.coverStalled) };
    tile.cover.textContent = words.away || words.off || words.stalled || room.coverComing;
    tile.node.classList.toggle('away', p.connected === false);
    tile.mutedMark.hidden = tile.source !== 'camera' || !p.muted?.includes('mic');
  }

  #drawEmpty() {
    const { room } = this.#t;
    const [heading, text] = this.empty.children;
    const may = this.#c.policy.can?.includes('admit');
    const some = (state) => may && this.#c.roster.some((p) => p.state === state && p.id !== this.#c.self);
    const words = some('waiting') ? [room.aloneWaiting, room.aloneWaitingText]
      : some('held') ? [room.aloneHeld, room.aloneHeldText] : [room.alone, room.aloneText];
    this.empty.hidden = this.#tiles.size > 0;
    [heading.textContent, text.textContent] = words;
  }

  #pin(key) {
    this.#pinned = key;
    this.#arrange();
  }

  // From two others on, one's own picture has a cell of its own where in the corner it would cover
  // somebody. Its size does not depend on who sends what: nothing jumps when somebody turns a phone.
  #arrange() {
    const n = this.#tiles.size;
    const { clientWidth: w, clientHeight: h } = this.grid;
    const pinned = n > 1 && this.#tiles.has(this.#pinned);
    const alone = best(n, w, h);
    const own = n > 1 && !pinned && !this.#selfview.node.hidden && !fitsBelow(alone, w, h);
    const grid = own ? best(n + 1, w, h) : alone;
    this.grid.style.setProperty('--columns', grid.columns);
    this.grid.style.setProperty('--rows', grid.rows);
    this.grid.style.setProperty('--others', n - 1);
    this.grid.classList.toggle('even', n % 2 === 1); // of the others beside a large tile
    this.grid.classList.toggle('pinned', pinned);
    this.#selfview.place(own ? this.#cell(n, grid, w, h) : null);
    for (const [key, tile] of this.#tiles) {
      const large = pinned && key === this.#pinned;
      tile.node.classList.toggle('large', large);
      tile.pin.hidden = n < 2;
      const text = large ? this.#t.room.unpin : this.#t.room.pin;
      tile.pin.querySelector('span').textContent = text;
      tile.pin.setAttribute('aria-label', this.#t.people.actionFor(text, tile.name.textContent));
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), LAYOUT_DELAY_MS);
  }

  // In the middle of the cell, and small.
  #cell(i, { columns, rows }, w, h) {
    const [cw, ch] = [share(w, columns), share(h, rows)];
    const width = Math.min(cw, ch * RATIO, OWN_PX);
    const height = width / RATIO;
    return {
      width, height, 'inset-inline-start': (i % columns) * (cw + GAP_PX) + (cw - width) / 2,
      'inset-block-start': this.grid.offsetTop + Math.floor(i / columns) * (ch + GAP_PX) + (ch - height) / 2,
    };
  }

  // The server chooses what to send by what is seen, and how large.
  #tell() {
    if (this.#c.state !== 'admitted') return;
    const tiles = [...this.#tiles].map(([key, tile]) => {
      const { width, height } = tile.video.getBoundingClientRect();
      const px = (v) => Math.round(v * devicePixelRatio);
      return { participant: tile.participant, source: tile.source, width: px(width), height: px(height), pinned: key === this.#pinned };
    });
    const now = JSON.stringify(tiles);
    if (now === this.#sent) return;
    this.#sent = now;
    this.#c.layout(tiles);
  }
}

// One of `n` equal parts of a length with gaps between them.
const share = (length, n) => (length - GAP_PX * (n - 1)) / n;

// The grid with the largest 16:9 pictures for n cells in this shape of window.
function best(n, w, h) {
  let found = { columns: 1, rows: 1, width: 0 };
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    const width = Math.min(share(w, columns), share(h, rows) * RATIO);
    if (width > found.width) found = { columns, rows, width };
  }
  return found;
}

// Whether one's own picture in its corner (style.css: 22 % of the width, 6 to 13 rem) lies in the band
// below the 16:9 picture of a tile, where nobody is.
function fitsBelow({ columns, rows }, w, h) {
  const band = (share(h, rows) - share(w, columns) / RATIO) / 2;
  return band > Math.min(13 * 18, Math.max(6 * 18, w * 0.22)) / RATIO + 2 * GAP_PX;
}

import { Chat } from './chat.js';
import { askToLeave, showMore } from './dialogs.js';
import { button, confirm, el, label } from './dom.js';
import { icon } from './icons.js';
import { Meter } from './meter.js';
import { Notices } from './notices.js';
import { People } from './people.js';
import { SelfView } from './selfview.js';
import { Stage } from './stage.js';

const TICK_MS = 200;
const TALKING = 0.45; // of the meter
const TALKING_TICKS = 4; // a cough is shorter than 0.8 s
const POOR_SAMPLES = 5; // seconds in a row
const WIDE = '(min-width: 60rem)'; // where the list of people fits beside the picture

/** The call: stage, bar of controls, people, chat. */
export class Room {
  #ctx;
  #t;
  #c;
  #capture;
  #meter = null;
  #timers = [];
  #listeners = [];
  #talking = 0;
  #lost = null; // {since, detail} while reconnecting
  #quality = null;
  #poor = 0;
  #waiting; // ids of who waited at the last roster

  constructor(ctx, consultation) {
    this.#ctx = ctx;
    this.#t = ctx.t;
    this.#c = consultation;
    this.#capture = ctx.capture;
    this.selfview = new SelfView(ctx);
    this.selfview.node.hidden = !this.#publishes('camera');
    this.stage = new Stage(ctx, consultation, this.selfview);
    this.notices = new Notices(ctx, ctx.t.room.news);
    this.notices.onlost = () => (this.controls.mic || this.controls.more).focus();
    this.recording = ctx.recording && new ctx.recording.RecordingMark(ctx, consultation, this.#failed);
    this.#waiting = new Set(this.#queue().map((p) => p.id));
    this.people = new People(ctx, consultation, {
      close: () => this.#toggle('people', false), failed: this.#failed, said: (p, body) => this.#said(p, body),
    });
    this.chat = new Chat(ctx, consultation, { close: () => this.#toggle('chat', false), onunread: (n) => this.#drawUnread(n) });
    this.chat.node.hidden = true;
    this.people.node.hidden = !(this.#may('admit') && matchMedia(WIDE).matches);
    this.#build();
  }

  start() {
    const on = (target, type, f) => {
      target.addEventListener(type, f);
      this.#listeners.push(() => target.removeEventListener(type, f));
    };
    on(this.#c, 'joined', () => { this.stage.reset(); this.people.reset(); });
    on(this.#c, 'link', ({ detail }) => { this.stage.link(detail); this.people.link(detail); });
    on(this.#c, 'tile', ({ detail }) => this.stage.slot(detail));
    on(this.#c, 'roster', ({ detail }) => this.#roster(detail));
    on(this.#c, 'recording', () => this.#recorded());
    on(this.#c, 'speakers', ({ detail }) => this.#speakers(detail.levels));
    on(this.#c, 'connection', ({ detail }) => this.#connection(detail));
    on(this.#c, 'quality', ({ detail }) => this.#measured(detail));
    on(this.#c, 'device', ({ detail }) => this.#device(detail));
    on(document, 'keydown', (e) => this.#key(e));
    on(document, 'click', () => this.#hear());
    on(navigator.mediaDevices, 'devicechange', () => this.#offerDevices());
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS));
    this.stage.reset();
    this.people.update();
    this.#drawWaiting();
    this.#drawControls();
    this.#connection(this.#c.connection);
    this.#drawUnread(0);
    this.#recorded();
  }

  /** A message that the app keeps. */
  receive(message) { this.chat.receive(message); }

  close() {
    for (const off of this.#listeners) off();
    for (const timer of this.#timers) clearInterval(timer);
    this.#meter?.listen(null);
    this.recording?.close();
    this.stage.close();
    this.people.close();
  }

  /** The camera and microphone were opened while the room was on the page already. */
  devicesChanged() { this.#drawControls(); }

  /** A device could not be had on the way in. */
  deviceProblem(source, wrong) {
    const name = source === 'camera' ? 'camera' : 'microphone';
    const { title, text } = this.#t.problems[`${name}_${wrong}`];
    const actions = [{ action: 'retry', text: this.#t.notices.tryAgain, onclick: () => this.#open(source) }];
    this.notices.show({ code: `${name}_${wrong}`, text: `${title}. ${text[0]}`, actions, closable: true });
    this.#drawControls();
  }

  #may(what) { return this.#c.policy.can?.includes(what) ?? false; }
  #publishes(source) { return this.#c.policy.publish?.includes(source) ?? false; }

  #failed = (e) => this.notices.failed(e);

  #queue() { return this.#may('admit') ? this.#c.roster.filter((p) => p.state === 'waiting') : []; }

  #build() {
    const { room } = this.#t;
    const control = (action, words, onclick, extra = {}) => button(
      { action, kind: 'control', icon: icon(action), text: words[0], short: words[1], onclick, ...extra });
    const canShare = this.#publishes('screen') && navigator.mediaDevices.getDisplayMedia;
    this.controls = {
      mic: this.#publishes('mic') && control('mic', [room.mic, room.micShort], () => this.#toggleMic(), { 'aria-keyshortcuts': 'm' }),
      camera: this.#publishes('camera') && control('camera', [room.camera], () => this.#toggleCamera(), { 'aria-keyshortcuts': 'v' }),
      share: canShare && control('share', [room.share], () => this.#toggleShare()),
      chat: this.#may('message') && control('chat', [room.chat], () => this.#toggle('chat'), { 'aria-expanded': 'false' }),
      more: control('more', [room.more], () => this.#more(), { 'aria-haspopup': 'dialog' }),
      leave: control('leave', [room.leave, room.leaveShort], () => this.#leave()),
    };
    this.controls.leave.classList.add('leave');
    this.badge = el('span', { class: 'badge', hidden: true });
    if (this.controls.chat) this.controls.chat.append(this.badge);
    this.status = button({ action: 'connection', kind: 'small plain connection', onclick: () => this.#more(), 'aria-haspopup': 'dialog' });
    this.peopleButton = button({ action: 'people', kind: 'small', icon: icon('people'), text: room.people, onclick: () => this.#toggle('people'), 'aria-expanded': String(!this.people.node.hidden) });
    const top = el('header', { class: 'top', part: 'top' }, el('h1', { tabindex: '-1' }, room.title), this.status, this.peopleButton,
      this.#may('end') && button({ action: 'end', kind: 'small danger-outline', text: room.end, onclick: () => this.#end() }));
    // Whoever captions the call puts the words here; empty, it takes no room.
    const captions = el('div', { class: 'captions', part: 'captions', role: 'log', 'aria-label': room.captions });
    this.node = el('div', { class: 'room', part: 'room' }, top, el('div', {}, this.recording?.node, this.notices.node),
      el('div', { class: 'middle' }, this.stage.node, this.people.node, this.chat.node), captions,
      el('nav', { class: 'bar', part: 'bar', 'aria-label': room.controls }, ...Object.values(this.controls)));
  }

  // ---- what happens ----

  #roster({ arrived, gone, held, back }) {
    const { spoken } = this.#t.room;
    const news = Object.entries({ arrived, gone, held, back }).flatMap(([what, list]) => list.map((p) => spoken[what](this.#ctx.who(p))));
    if (news.length) this.notices.say(news.join(' '));
    this.stage.update();
    this.people.update();
    this.#recorded();
    this.#knock();
    this.#drawWaiting();
  }

  handedOver(name) {
    this.notices.show({ code: 'handed_over', text: this.#t.room.handedOver(name), closable: true });
  }

  // Somebody has come to wait: said and heard once, wherever the list is.
  #knock() {
    const queue = this.#queue();
    const fresh = queue.filter((p) => !this.#waiting.has(p.id));
    this.#waiting = new Set(queue.map((p) => p.id));
    for (const p of fresh) this.#ctx.say(this.#t.room.spoken.waiting(this.#ctx.who(p)));
    if (fresh.length) this.#ctx.chime('waiting');
  }

  #speakers(levels) {
    this.stage.speakers(levels);
    this.selfview.speaking(levels.some((l) => l.participant === this.#c.self));
  }

  #connection({ state, detail, since }) {
    const lost = state === 'reconnecting' || state === 'failed';
    this.node.classList.toggle('reconnecting', lost);
    this.#lost = lost ? { since: this.#lost?.since ?? since ?? Date.now(), detail } : null;
    if (lost) {
      this.#draw('');
      this.notices.reconnecting(this.#lost);
    } else if (this.notices.has('reconnecting')) {
      this.notices.hide('reconnecting');
      if (state === 'connected') this.#ctx.say(this.#t.room.spoken.connected);
    }
    if (state === 'connecting') this.#draw(this.#t.room.connecting);
    else if (state === 'connected') this.#drawQuality(this.#quality ?? { level: 'good', roundTrip: 0, downLoss: 0, upLoss: 0 });
  }

  #measured(quality) {
    const poor = quality.level === 'poor';
    this.#drawQuality(quality);
    this.people.quality(quality.received);
    this.stage.quality(quality.received, poor);
    this.#poor = poor ? this.#poor + 1 : 0;
    if (this.#poor === POOR_SAMPLES) {
      const { poor: text, cameraOff } = this.#t.notices;
      const actions = this.#capture.camera ? [{ action: 'camera-off', text: cameraOff, onclick: () => this.#toggleCamera() }] : [];
      this.notices.show({ code: 'poor_connection', text, actions, closable: true });
    }
    if (quality.level === 'good') this.notices.hide('poor_connection');
  }

  #device({ source, problem, label: name }) {
    const { notices } = this.#t;
    if (problem === 'blocked') {
      const actions = [{ action: 'hear', text: notices.hear, onclick: () => this.#hear() }];
      this.notices.show({ code: 'sound_blocked', text: notices.blockedSound, actions });
    } else if (source === 'screen') {
      this.#drawControls();
    } else if (source === 'camera' || source === 'mic') {
      this.#capture.close(source);
      this.#unplugged = { source, name };
      this.#offerDevices();
      this.#changed(source);
    }
  }

  // Any click will do for the browser, not only one on "Tap to hear".
  #hear() {
    this.notices.hide('sound_blocked');
    this.#c.resumeAudio();
  }

  #unplugged = null; // what has stopped and is not replaced yet

  async #offerDevices() {
    if (!this.#unplugged) return;
    const { source, name } = this.#unplugged;
    const { notices } = this.#t;
    const others = await this.#capture.devices(source).catch(() => []);
    const actions = others.map((d) => ({ action: 'use-device', text: notices.use(d.label), onclick: () => this.#open(source, d.deviceId) }));
    if (actions.length === 0) actions.push({ action: 'retry', text: notices.tryAgain, onclick: () => this.#open(source) });
    const text = notices.unplugged[source](name) + (others.length ? '' : ` ${notices.noOther}`);
    this.notices.show({ code: source === 'camera' ? 'camera_unplugged' : 'microphone_unplugged', text, actions, closable: true });
  }

  // ---- own devices ----

  async #open(source, deviceId) {
    try {
      if (deviceId) await this.#capture.use(source, deviceId);
      else {
        const wrong = await this.#capture.open({ [source]: true });
        if (wrong[source]) return this.deviceProblem(source, wrong[source]);
      }
      this.#unplugged = null;
      return this.#changed(source);
    } catch {
      return this.deviceProblem(source, 'in_use');
    }
  }

  // The capture has another track: send it, show it, listen to it.
  async #changed(source) {
    await this.#c.setTrack(source, this.#capture[source]);
    this.#drawControls();
  }

  async #toggleMic() {
    if (!this.#capture.mic) return this.#open('mic');
    const muted = !this.#c.isMuted('mic');
    const done = this.#c.mute('mic', muted);
    this.#ctx.say(muted ? this.#t.room.spoken.micOff : this.#t.room.spoken.micOn);
    this.#drawControls();
    return done;
  }

  // Off means that the camera's light is off.
  async #toggleCamera() {
    if (this.#capture.camera) {
      this.#capture.close('camera');
      this.#ctx.say(this.#t.room.spoken.cameraOff);
      return this.#changed('camera');
    }
    await this.#open('camera');
    if (this.#capture.camera) this.#ctx.say(this.#t.room.spoken.cameraOn);
    return undefined;
  }

  async #toggleShare() {
    const { spoken } = this.#t.room;
    if (!this.#c.isMuted('screen')) {
      await this.#c.stopShare();
      this.notices.say(spoken.notSharing);
    } else {
      try {
        await this.#c.share(await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } } }));
        this.notices.say(spoken.sharing);
      } catch { /* the person changed their mind */ }
    }
    this.#drawControls();
  }

  #drawControls() {
    const { room } = this.#t;
    const { mic, camera, share } = this.controls;
    const draw = (b, off, name, words) => {
      if (!b) return;
      b.classList.toggle('off', off);
      b.replaceChildren(icon(name), ...label(...words));
    };
    const silent = this.#c.isMuted('mic');
    draw(mic, silent, silent ? 'micOff' : 'mic', silent ? [room.micOff, room.micOffShort] : [room.mic, room.micShort]);
    const dark = !this.#capture.camera;
    draw(camera, dark, dark ? 'cameraOff' : 'camera', dark ? [room.cameraOff, room.cameraOffShort] : [room.camera]);
    const sharing = !this.#c.isMuted('screen');
    if (share) {
      share.classList.toggle('on', sharing);
      share.replaceChildren(icon('share'), ...(sharing ? label(room.shareOff, room.shareOffShort) : label(room.share)));
    }
    this.selfview.show(this.#capture.camera);
    this.#listenTo(silent && this.#capture.mic ? this.#capture.mic : null);
  }

  // The meter listens only while muted: that is when it has something to say.
  #listenTo(track) {
    this.#talking = 0;
    this.notices.hide('talking_muted');
    if (!track && !this.#meter) return;
    this.#meter ??= new Meter(this.#ctx.audio());
    this.#meter.listen(track);
  }

  #tick() {
    if (this.#lost) this.notices.reconnecting(this.#lost);
    if (!this.#meter) return;
    this.#talking = this.#meter.level() > TALKING ? this.#talking + 1 : 0;
    if (this.#talking === TALKING_TICKS && this.#c.isMuted('mic')) {
      const { talking, unmute } = this.#t.notices;
      this.notices.show({ code: 'talking_muted', text: talking, actions: [{ action: 'unmute', text: unmute, onclick: () => this.#toggleMic() }], closable: true });
    }
  }

  // ---- panels and dialogs ----

  #toggle(name, open = this[name].node.hidden) {
    const panel = this[name];
    const opener = name === 'chat' ? this.controls.chat : this.peopleButton;
    const [other, otherOpener] = name === 'chat' ? [this.people, this.peopleButton] : [this.chat, this.controls.chat];
    panel.node.hidden = !open;
    opener.setAttribute('aria-expanded', String(open));
    queueMicrotask(() => this.#drawWaiting()); // the queue may be out of sight now, or in sight again
    if (!open) return opener.focus();
    other.node.hidden = true; // one at a time: the picture is what matters
    otherOpener?.setAttribute('aria-expanded', 'false');
    return name === 'chat' ? this.chat.open() : this.people.heading.focus();
  }

  async #end() {
    const words = this.#t.confirm;
    if (await confirm({ title: words.end, text: words.endText, yes: words.endYes, no: words.no, action: 'confirm-end' }, this.#ctx.root)) {
      this.#c.end().catch(this.#failed);
    }
  }

  async #leave() {
    const how = await askToLeave(this.#ctx, this.#c);
    if (!how) return;
    try {
      await this.#c.leave(how);
    } catch (e) {
      if (e.code !== 'no_such_participant') return this.#failed(e);
      this.notices.show({ code: 'hand_over', text: this.#t.confirm.handOverFailed, closable: true });
    }
  }

  // Who asked for it hears why it came to nothing.
  #recorded() {
    const over = this.recording?.update();
    if (over) this.notices.show({ code: 'recording_over', text: over, closable: true });
  }

  #more() {
    const may = this.#may('record') && this.#c.recording.state === 'off';
    const record = may && (() => this.#c.requestRecording().catch(this.#failed));
    return showMore(this.#ctx, { quality: this.#quality, changed: (source) => this.#changed(source), record });
  }

  #said(p, body) {
    this.chat.said(this.#t.chat.onlyTo(p.display || this.#ctx.who(p)), body);
    this.notices.say(this.#t.room.spoken.sent(p.display || this.#ctx.who(p)));
  }

  #key(e) {
    if (!this.#ctx.shortcuts || e.ctrlKey || e.metaKey || e.altKey || e.repeat) return;
    if (e.target.closest?.('input, textarea, select, dialog')) return;
    if (e.key === 'm' && this.controls.mic) this.#toggleMic();
    if (e.key === 'v' && this.controls.camera) this.#toggleCamera();
  }

  #drawQuality(quality) {
    this.#quality = quality;
    const { quality: words, qualityShort } = this.#t.room;
    this.#draw(words[quality.level], quality.level, qualityShort[quality.level]);
  }

  #draw(text, level = '', short = text) {
    this.status.hidden = !text;
    if (this.status.ariaLabel === text) return;
    this.status.dataset.level = level;
    this.status.ariaLabel = text;
    this.status.replaceChildren(...label(text, short));
  }

  #drawUnread(n) {
    this.badge.hidden = n === 0;
    this.badge.textContent = n;
    if (n > 0) this.controls.chat?.setAttribute('aria-description', this.#t.chat.unread(n));
    else this.controls.chat?.removeAttribute('aria-description');
  }

  // Where the list is not in sight, the next who waits is in a line of their own.
  #drawWaiting() {
    const [next, ...more] = this.#queue();
    const { notices, people } = this.#t;
    if (!next || !this.people.node.hidden) return this.notices.hide('waiting');
    const key = `${next.id} ${more.length}`;
    const line = () => this.notices.node.querySelector('[data-bedside-problem="waiting"]');
    if (line()?.dataset.key === key) return undefined;
    const who = this.#ctx.who(next);
    this.notices.show({
      code: 'waiting', text: more.length ? notices.andMore(who, more.length) : notices.waiting(who),
      actions: [
        { action: 'admit-next', kind: 'small primary', text: people.admit, 'aria-label': people.actionFor(people.admit, who), onclick: () => this.#c.admit(next.id).catch(this.#failed) },
        { action: 'show-waiting', text: notices.show, onclick: () => this.#toggle('people', true) },
      ],
    });
    line().dataset.key = key;
    return undefined;
  }
}

import { deviceChoices } from './devices.js';
import { ask, button, el, paragraphs } from './dom.js';
import { icon } from './icons.js';

/** What the person chose who pressed Leave: null to stay, else what Consultation.leave takes. */
export async function askToLeave(ctx, c) {
  const words = ctx.t.confirm;
  const others = c.roster.filter((p) => p.id !== c.self);
  if (!c.policy.can?.includes('hand_over') || others.length === 0) return {};
  const heirs = others.filter((p) => p.role === 'clinician' && p.state === 'admitted' && p.connected !== false);
  const stay = { action: 'stay', text: words.stay, value: '', autofocus: true };
  const choices = heirs.map((p, i) => ({ action: 'hand-over', kind: i === 0 ? 'primary' : '', text: words.handOverTo(p.display || ctx.who(p)), value: p.id }));
  const leave = { action: 'confirm-leave', kind: heirs.length ? '' : 'danger', text: heirs.length ? words.leaveAnyway : words.leaveYes, value: 'leave' };
  const text = heirs.length ? words.handOver : words.leaveAlone;
  const answer = await ask({ title: words.leave, content: paragraphs([text]), choices: [...choices, leave, stay] }, ctx.root);
  if (answer === '') return null;
  return answer === 'leave' ? {} : { to: answer };
}

/** A line to somebody who waits or is on hold and cannot answer. Resolves with '' when there is none. */
export async function askMessage({ t, root }, name) {
  const input = el('input', { type: 'text', id: 'bedside-message', maxlength: 1000, autocomplete: 'off', autofocus: true });
  const content = [el('p', { id: 'bedside-one-way' }, t.chat.oneWay),
    el('label', { class: 'field', for: input.id }, el('span', {}, t.chat.write), input)];
  input.setAttribute('aria-describedby', 'bedside-one-way');
  const answer = await ask({
    title: t.chat.to(name), content,
    choices: [{ action: 'send-message', kind: 'primary', text: t.chat.send, value: 'send' }, { action: 'cancel', text: t.confirm.no, value: '' }],
  }, root);
  return answer === 'send' ? input.value.trim() : '';
}

// What media may go by, as the texts know it: directly or through the relay.
const WAYS = ['udp', 'tcp', 'relay_udp', 'relay_tcp', 'relay_tls'];

/** Recording, devices, shortcuts, full screen and the figures of one's own connection. */
export async function showMore(ctx, { quality, changed, record }) {
  const { more } = ctx.t;
  const keys = el('input', { type: 'checkbox', id: 'bedside-keys' });
  keys.checked = ctx.shortcuts;
  keys.addEventListener('change', () => { ctx.shortcuts = keys.checked; });
  const figures = quality && { roundTrip: quality.roundTrip, down: percent(quality.downLoss), up: percent(quality.upLoss) };
  const way = WAYS.find((w) => w === `${quality?.path?.relayed ? 'relay_' : ''}${quality?.path?.protocol}`);
  const choices = await deviceChoices(ctx, changed);
  await ask({
    title: more.title,
    content: [record && recordButton(ctx.t.recording, record), ...choices,
      el('label', { class: 'check', for: keys.id }, keys, el('span', {}, more.shortcuts)),
      document.fullscreenEnabled && fullScreen(more, ctx.root),
      el('h3', {}, more.connection), el('p', {}, figures ? more.details(figures) : more.noDetails),
      way && el('p', { 'data-path': way }, more.path[way])].filter(Boolean),
    choices: [{ action: 'close-more', kind: 'primary', text: more.close, value: '' }],
  }, ctx.root);
}

function recordButton(words, record) {
  const onclick = (e) => {
    e.currentTarget.closest('dialog').close();
    record();
  };
  return el('div', { class: 'field' }, el('p', {}, words.aboutRequest), button({ action: 'request-recording', icon: icon('record'), text: words.request, onclick }));
}

function fullScreen(more, root) {
  const on = Boolean(document.fullscreenElement);
  const onclick = async (e) => {
    e.currentTarget.closest('dialog').close();
    await (on ? document.exitFullscreen() : root.requestFullscreen()).catch(() => {});
  };
  return button({ action: 'full-screen', icon: icon('full'), text: on ? more.window : more.fullScreen, onclick });
}

export const percent = (fraction) => Math.round(fraction * 1000) / 10;

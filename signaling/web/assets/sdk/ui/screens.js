import { button, el, page, paragraphs } from './dom.js';

const still = (node) => ({ node, close() {} });

/** Who is asked in, and when. */
export function welcomeScreen({ t }, { consultation, go }) {
  const { facts, role, display } = consultation;
  const observer = role === 'observer';
  return still(page(t.welcome.title,
    facts.start && el('p', { class: 'lead when' }, t.welcome.when(new Date(facts.start))),
    role && el('p', {}, t.welcome.as(t.roleWithArticle(role), display)),
    el('p', {}, observer ? t.welcome.nextObserver : t.welcome.next),
    el('p', {}, t.welcome.notRecorded),
    el('div', { class: 'buttons' }, button({ action: 'continue', kind: 'primary', text: t.welcome.go, onclick: go }))));
}

/** The lobby: whether the clinician has arrived, and that nothing needs to be done. */
export function waitingScreen(ctx, { consultation, leave }) {
  const { t, capture } = ctx;
  const title = el('h1', { tabindex: '-1', 'aria-live': 'polite' });
  const text = el('p', { class: 'lead' });
  const start = el('p', {});
  const chat = el('div', { class: 'messages', role: 'log', 'aria-live': 'polite' });
  const video = el('video', { class: 'mirror', autoplay: true, playsinline: true, 'aria-label': t.devices.selfview });
  video.muted = true;
  if (capture.camera) video.srcObject = new MediaStream([capture.camera]);
  const update = () => {
    const { facts } = consultation;
    const name = consultation.roster.find((p) => p.role === 'clinician')?.display ?? '';
    const heading = facts.clinician_present ? t.waiting.here(name) : t.waiting.notHere;
    if (title.textContent !== heading) title.textContent = heading; // a live region: say it once
    text.textContent = facts.clinician_present ? t.waiting.hereText(name) : t.waiting.notHereText;
    start.textContent = facts.start ? t.waiting.start(new Date(facts.start)) : '';
    start.hidden = !facts.start;
  };
  const onMessage = ({ detail }) => chat.append(el('p', { class: 'message' }, detail.body));
  consultation.addEventListener('roster', update);
  consultation.addEventListener('state', update);
  consultation.addEventListener('message', onMessage);
  update();
  const node = el('main', { class: 'page', part: 'page' }, el('div', { class: 'card', part: 'card' },
    title, text, start, el('p', {}, t.waiting.nothing), chat,
    el('div', { class: 'preview small', hidden: !capture.camera }, video),
    el('p', { class: 'note' }, t.waiting.private),
    el('div', { class: 'buttons' }, button({ action: 'leave', text: t.waiting.leave, onclick: leave }))));
  return {
    node,
    close() {
      video.srcObject = null;
      consultation.removeEventListener('roster', update);
      consultation.removeEventListener('state', update);
      consultation.removeEventListener('message', onMessage);
    },
  };
}

export function endedScreen({ t }, { reason, rejoin }) {
  const words = t.ended[reason];
  return still(page(words.title, ...paragraphs(words.text), el('p', {}, t.ended.help),
    rejoin && el('div', { class: 'buttons' }, button({ action: 'rejoin', text: t.actions.rejoin, onclick: rejoin }))));
}

/**
 * What happened and the one thing to do next.
 * @param {{code: string, about?: object, actions?: Record<string, () => void>}} o
 */
export function problemScreen({ t }, { code, about = {}, actions = {} }) {
  const words = t.problems[code] ?? t.problems.internal;
  const texts = typeof words.text === 'function' ? words.text(about) : words.text;
  const buttons = Object.entries(actions).map(([action, onclick], i) => button(
    { action, kind: i === 0 ? 'primary' : '', text: t.actions[action], onclick }));
  return still(page(words.title, ...paragraphs(texts),
    buttons.length > 0 && el('div', { class: 'buttons' }, ...buttons),
    el('p', { class: 'code' }, t.code(code))));
}

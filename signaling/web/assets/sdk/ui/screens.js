import { button, buttons, el, page, paragraphs } from './dom.js';

const still = (node) => ({ node, close() {} });

/** Who is asked in, and when. */
export function welcomeScreen(ctx, { consultation, go }) {
  const { t } = ctx;
  const { facts, role, display, preview } = consultation;
  return still(page(t.welcome.title,
    facts.start && el('p', { class: 'lead when' }, t.welcome.when(new Date(facts.start))),
    role && el('p', {}, t.welcome.as(display, ctx.roleOf({ role, proxy: preview.proxy }))),
    facts.clinician_present && el('p', {}, t.welcome.here),
    el('p', {}, role === 'observer' ? t.welcome.nextObserver : t.welcome.next),
    el('p', {}, t.recording[{ ask: 'mayBe', required: 'isRequired' }[preview.recording]] ?? t.welcome.notRecorded),
    buttons(button({ action: 'continue', kind: 'primary', text: t.welcome.go, onclick: go }))));
}

export function endedScreen({ t }, { reason, rejoin }) {
  const words = t.ended[reason];
  return still(page(words.title, ...paragraphs(words.text), el('p', {}, t.ended.help),
    rejoin && buttons(button({ action: 'rejoin', text: t.actions.rejoin, onclick: rejoin }))));
}

/**
 * What happened and the one thing to do next.
 * @param {{code: string, about?: object, actions?: Record<string, () => void>}} o
 */
export function problemScreen({ t }, { code, about = {}, actions = {} }) {
  const words = t.problems[code] ?? t.problems.internal;
  const texts = typeof words.text === 'function' ? words.text(about) : words.text;
  const list = Object.entries(actions).map(([action, onclick], i) => button(
    { action, kind: i === 0 ? 'primary' : '', text: t.actions[action], onclick }));
  return still(page(words.title, ...paragraphs(texts), list.length > 0 && buttons(...list), el('p', { class: 'code' }, t.code(code))));
}

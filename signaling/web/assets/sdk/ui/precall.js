// The page /precall: camera and microphone checked without an invitation. Nothing is sent.
import { Context, loadStrings, unsupported } from './context.js';
import { askingScreen, devicesScreen } from './devices.js';
import { button, el, page, paragraphs } from './dom.js';
import { problemScreen } from './screens.js';

const root = el('div', { 'data-bedside-state': 'loading' });
document.getElementById('loading').replaceWith(root);
document.getElementById('too-old')?.remove();
const ctx = new Context(root, await loadStrings());
const { t, capture } = ctx;
let screen = null;

function show(state, next, problem = '') {
  screen?.close();
  screen = next;
  root.dataset.bedsideState = state;
  if (problem) root.dataset.bedsideProblem = problem; else delete root.dataset.bedsideProblem;
  root.replaceChildren(next.node);
  document.title = next.node.querySelector('h1').textContent;
  next.node.querySelector('h1').focus();
}

function start(title, texts, go) {
  const buttons = el('div', { class: 'buttons' }, button({ action: 'continue', kind: 'primary', text: go, onclick: () => check({ camera: true, mic: true }) }));
  show('welcome', { node: page(title, ...paragraphs(texts), buttons), close() {} });
}

async function check(wanted) {
  ctx.audio();
  show('devices', askingScreen(ctx));
  const wrong = await capture.open(wanted);
  for (const [source, name] of [['camera', 'camera'], ['mic', 'microphone']]) {
    if (!wrong[source]) continue;
    const code = `${name}_${wrong[source]}`;
    const actions = { retry: () => check(wanted), [`without-${name}`]: () => check({ ...wanted, [source]: false }) };
    if (!(wanted.camera && wanted.mic)) delete actions[`without-${name}`]; // nothing would be left to check
    return show('problem', problemScreen(ctx, { code, actions }), code);
  }
  const finish = () => {
    capture.closeAll();
    start(t.precall.finished, [t.precall.good], t.precall.again);
  };
  return show('devices', devicesScreen(ctx, {
    note: t.precall.text[0], buttons: [button({ action: 'done', kind: 'primary', text: t.precall.done, onclick: finish })],
  }));
}

const lacking = unsupported();
if (lacking) show('problem', problemScreen(ctx, { code: lacking }), lacking);
else start(t.precall.title, t.precall.text, t.precall.go);

// The page /precall: camera, microphone and connection checked without an invitation.
import { ConnectionCheck } from './connection.js';
import { Context, unsupported } from './context.js';
import { askingScreen, devicesScreen } from './devices.js';
import { button, buttons, el, page } from './dom.js';
import { choose, switcher } from './languages.js';
import { problemScreen } from './screens.js';

const root = el('div', { 'data-bedside-state': 'loading' });
document.getElementById('loading').replaceWith(root);
document.getElementById('too-old')?.remove();
const ctx = new Context(root);
const { capture } = ctx;
await ctx.use(choose(new URLSearchParams(location.search).get('lang')));
let screen = null;

function show(state, next, problem = '') {
  screen?.close();
  screen = next;
  root.dataset.bedsideState = state;
  if (problem) root.dataset.bedsideProblem = problem; else delete root.dataset.bedsideProblem;
  root.replaceChildren(next.node);
  document.documentElement.lang = ctx.language;
  document.title = next.node.querySelector('h1').textContent;
  next.node.querySelector('h1').focus();
}

function start() {
  const words = ctx.t.precall;
  const node = page(words.title, el('p', {}, words.text),
    buttons(button({ action: 'continue', kind: 'primary', text: words.go, onclick: () => check({ camera: true, mic: true }) })));
  node.querySelector('.card').append(switcher(ctx, async (language) => {
    await ctx.use(language);
    start();
  }));
  show('welcome', { node, close() {} });
}

// The last page. Its heading is what was found.
async function connection() {
  const { precall } = ctx.t;
  const tried = new ConnectionCheck(ctx, location.origin);
  const again = button({ action: 'again', text: precall.again, hidden: true, onclick: () => connection() });
  const node = page(ctx.t.connection.title, tried.node, buttons(again));
  show('connection', { node, close: () => tried.close() });
  const verdict = await tried.run();
  if (!verdict) return;
  const found = tried.node.querySelector('h2');
  const heading = node.querySelector('h1');
  heading.textContent = found.textContent;
  document.title = found.textContent;
  if (verdict === 'ok') found.nextSibling.after(el('p', {}, precall.good));
  found.remove();
  again.hidden = false;
  heading.focus();
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
    connection();
  };
  return show('devices', devicesScreen(ctx, {
    note: ctx.t.precall.text, list: [button({ action: 'done', kind: 'primary', text: ctx.t.precall.done, onclick: finish })],
  }));
}

const lacking = unsupported();
// The check is there before it is wanted: over a slow line, a second of the ten that it may take.
if (!lacking) import(`../check.js`).catch(() => {});
if (lacking) show('problem', problemScreen(ctx, { code: lacking }), lacking);
else start();

import { BedsideError } from '../error.js';
import { el, label } from './dom.js';

const STEPS = ['media', 'down', 'up'];

/** The check of the connection: what it does, then what it found, in a box of its own. */
export class ConnectionCheck {
  #ctx;
  #server;
  #off = new AbortController();

  constructor(ctx, server) {
    this.#ctx = ctx;
    this.#server = server;
    this.node = el('div', { class: 'connection-check' });
  }

  close() { this.#off.abort(); }

  /** Runs it, and resolves with the verdict; '' when it was closed. */
  async run() {
    const { connection } = this.#ctx.t;
    const doing = el('p', { role: 'status' }, connection.doing.media);
    const bar = el('progress', { max: STEPS.length, value: 0, 'aria-label': connection.title });
    this.node.dataset.verdict = 'running';
    this.node.replaceChildren(doing, bar);
    const onstep = (step) => {
      doing.textContent = connection.doing[step];
      bar.value = STEPS.indexOf(step);
    };
    let result;
    try {
      const { checkConnection } = await import(`../check.js`); // not named by the page (asset.go): most people never ask for it
      result = await checkConnection(this.#server, { audio: this.#ctx.audio(), signal: this.#off.signal, onstep });
    } catch (e) {
      if (this.#off.signal.aborted) return '';
      const busy = e instanceof BedsideError && ['rate_limited', 'unavailable'].includes(e.code);
      result = { verdict: busy ? 'busy' : 'offline' };
    }
    this.#draw(result);
    return result.verdict;
  }

  #draw(result) {
    const { connection } = this.#ctx.t;
    const words = connection[result.verdict];
    this.node.dataset.verdict = result.verdict;
    this.node.replaceChildren(el('h2', { tabindex: '-1' }, words.title), ...this.#texts(words).map((text) => el('p', {}, text)), this.#figures(result));
    this.#ctx.say(words.title);
  }

  #texts({ text }) {
    const { hostname, port, protocol } = new URL(this.#server || location.href);
    const about = { host: hostname, port: port || (protocol === 'https:' ? '443' : '80') };
    return typeof text === 'function' ? text(about) : text;
  }

  // For whoever helps on the telephone.
  #figures({ udp, tcp, down, up, downMore, upMore, lossDown, lossUp, roundTrip }) {
    const { language, t: { connection } } = this.#ctx;
    if (udp === undefined) return '';
    const speed = (bps, more) => (more ? connection.more((Math.floor(bps / 1e5) / 10).toLocaleString(language)) : connection.about(Math.round(bps / 1000)));
    const percent = (share) => (share === undefined ? '' : connection.lost((share * 100).toFixed(1)));
    const line = (name, ...values) => el('li', {}, ...label(`${name}: ${values.filter(Boolean).join(', ')}`));
    return el('details', {}, el('summary', {}, connection.figures), el('ul', {},
      line(connection.udp, udp ? connection.yes : connection.no), !udp && line(connection.tcp, tcp ? connection.yes : connection.no),
      line(connection.down, speed(down, downMore), percent(lossDown)), line(connection.up, speed(up, upMore), percent(lossUp)),
      roundTrip !== undefined && line(connection.delay, connection.ms(roundTrip))));
  }
}

import { BedsideError } from './error.js';

const SUBPROTOCOL = 'bedside.v1';

// An answer to the largest offer took 36 ms at the server; after 10 s without a reply the path is
// dead in one direction, and only a new WebSocket finds out (browsers cannot send pings).
const REPLY_TIMEOUT_MS = 10_000;
// Media that comes by shows that the network is there, and TCP behind it only slow, as it is at 60 kbit/s with a tenth
// lost (docs/bandwidth.md, Q4). The server waits as long.
const BESIDE_MEDIA_MS = 45_000;

/** One WebSocket: requests with replies matched by `re`, everything else handed to `onmessage`. */
export class Link {
  #ws;
  #id = 0;
  #waiting = new Map(); // id -> {resolve, reject, timer}
  #onmessage;
  #onclose;
  #media;
  #closed = false;

  /**
   * @param {string} url of /v1/connect, without any token: proxies log URLs
   * @param {number} [patience] ms until it must be open
   * @param {{onmessage: (m: object) => void, onclose: () => void, media: () => boolean}} handlers; `onclose` is
   *   called once, when the link is lost, and never after close(); `media` tells whether the call's comes by
   */
  constructor(url, { onmessage, onclose, media }, patience = REPLY_TIMEOUT_MS) {
    this.#onmessage = onmessage;
    this.#onclose = onclose;
    this.#media = media;
    this.#ws = new WebSocket(url, [SUBPROTOCOL]);
    this.opened = new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.lose(), patience);
      this.#ws.onopen = () => { clearTimeout(timer); resolve(); };
      this.#ws.onclose = () => {
        clearTimeout(timer);
        reject(new BedsideError('connection_lost'));
        this.lose();
      };
    });
    this.opened.catch(() => {}); // whoever awaits it gets the error; nobody has to
    this.#ws.onmessage = (e) => this.#receive(e.data);
  }

  /** Sends a message and resolves with the reply; an `error` reply rejects with its code. */
  request(type, fields = {}) {
    if (this.#closed) return Promise.reject(new BedsideError('connection_lost'));
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      const asked = { resolve, reject };
      const wait = (ms, over) => { asked.timer = setTimeout(over, ms); };
      const late = () => (this.#media() ? wait(BESIDE_MEDIA_MS - REPLY_TIMEOUT_MS, () => this.lose()) : this.lose());
      wait(REPLY_TIMEOUT_MS, late);
      this.#waiting.set(id, asked);
      this.#ws.send(JSON.stringify({ type, id, ...fields }));
    });
  }

  /** Closes without calling onclose; requests under way are rejected. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#ws.close(1000);
    this.#rejectAll();
  }

  /** Gives the link up, as if the network had. */
  lose() {
    if (this.#closed) return;
    this.close();
    this.#onclose();
  }

  #rejectAll() {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new BedsideError('connection_lost'));
    }
    this.#waiting.clear();
  }

  #receive(data) {
    let m;
    try { m = JSON.parse(data); } catch { return; } // servers may be newer; never die of a message
    const asked = m.re && this.#waiting.get(m.re);
    if (!asked) {
      if (!this.#closed) this.#onmessage(m);
      return;
    }
    this.#waiting.delete(m.re);
    clearTimeout(asked.timer);
    if (m.type === 'error') asked.reject(new BedsideError(m.code, m.detail, m));
    else asked.resolve(m);
  }
}

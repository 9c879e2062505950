// UDP that loses so much for so long is no better than blocked: some firewalls let the first packets of
// a conversation pass and then drop most. Congestion does not look like that: the server sends less within
// a second or two. Nor is a second without a single byte UDP's fault: then there is no network, and TCP, whose
// pauses between attempts double, is back up to 4 s later than UDP (Chromium, holes of 5 s).
const LOSSY = 0.3;
const LOSSY_SAMPLES = 10; // one a second
const CLEAN = 0.05;
// Until UDP is tried again, by a check beside the call.
const FIRST_TRY_MS = 120_000;
const LONGEST_TRY_MS = 1_800_000;

/** Decides when media leaves UDP for TCP, and when it is time to see whether UDP works again. */
export class Detour {
  #lossy = 0;
  #wait = FIRST_TRY_MS;
  #next = 0; // when to try UDP; 0 while media goes by it

  /**
   * What the last second was like. `leave`: go by TCP from now on; `try`: see whether UDP works.
   * @param {{path: {protocol?: string, relayed?: boolean, silent?: boolean}, downLoss: number, upLoss: number}} quality
   */
  sample({ path, downLoss, upLoss }, now) {
    if (!path.protocol) return '';
    if (path.protocol !== 'udp' || path.relayed) return this.#away(now);
    this.#next = 0;
    this.#lossy = Math.max(downLoss, upLoss) > LOSSY && !path.silent ? this.#lossy + 1 : 0;
    if (this.#lossy < LOSSY_SAMPLES) return '';
    this.#lossy = 0;
    return 'leave';
  }

  #away(now) {
    this.#lossy = 0;
    this.#next ||= now + this.#wait;
    if (now < this.#next) return '';
    this.#wait = Math.min(2 * this.#wait, LONGEST_TRY_MS);
    this.#next = now + this.#wait;
    return 'try';
  }

  /** Another network: nothing of what was known holds. */
  reset() {
    this.#lossy = 0;
    this.#next = 0;
    this.#wait = FIRST_TRY_MS;
  }
}

/** Whether a check of the way to the server says that media can go by UDP. */
export const worthReturning = ({ udp, lossUp = 0, lossDown = 0 }) => udp && Math.max(lossUp, lossDown) <= CLEAN;

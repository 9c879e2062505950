/** Types of check.js: whether a consultation will work from here. See docs/embedding.md. */

export interface ConnectionCheck {
  /** `ok`; `detour`: by TCP only, which stutters when the network is busy; `warn`: a poor picture; `audio`: voices
   * only; `blocked`: neither UDP nor TCP lets media through without the relay, which only a consultation may use. */
  verdict: 'ok' | 'detour' | 'warn' | 'audio' | 'blocked';
  /** Whether media went by UDP, or by TCP. */
  udp: boolean;
  tcp: boolean;
  /** Milliseconds there and back, where the browser knows. */
  roundTrip?: number;
  /** Of the packets that the line lost of itself, 0 to 1; not where media is blocked. */
  lossUp?: number;
  lossDown?: number;
  /** Bits a second, as IP packets: of media, or over HTTPS where media is blocked or told less. */
  up: number;
  down: number;
  /** Whether the line carries more than that: it was not full. */
  upMore: boolean;
  downMore: boolean;
}

/**
 * Takes ten seconds at most. Rejects with a BedsideError: `network`, `rate_limited`, `unavailable`. Call it
 * from a click, or hand in an AudioContext that runs: browsers let nobody else make the test tone.
 */
export function checkConnection(server: string, options?: {
  audio?: AudioContext;
  signal?: AbortSignal;
  onstep?: (step: 'media' | 'down' | 'up') => void;
}): Promise<ConnectionCheck>;

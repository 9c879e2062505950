/** Types of check.js: whether a consultation will work from here. See docs/embedding.md. */

export interface ConnectionCheck {
  /** `ok`; `warn`: a poor picture; `audio`: voices only; `blocked`: no UDP, so no call. */
  verdict: 'ok' | 'warn' | 'audio' | 'blocked';
  udp: boolean;
  /** Milliseconds there and back, where the browser knows. */
  roundTrip?: number;
  /** Of the sound that went up and came down again, 0 to 1; not where UDP is blocked. */
  lossUp?: number;
  lossDown?: number;
  /** Bits a second over HTTPS, up to 4 million. */
  up: number;
  down: number;
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

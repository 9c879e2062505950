/** An error with a stable `code` to branch on. Its message is for developers, never for patients. */
export class BedsideError extends Error {
  /** @param {string} code @param {string} [detail] @param {{opens_at?: string, closed_at?: string, retry_after?: number}} [times] */
  constructor(code, detail = '', times = {}) {
    super(detail ? `${code}: ${detail}` : code);
    this.name = 'BedsideError';
    this.code = code;
    this.detail = detail;
    this.opensAt = times.opens_at ? new Date(times.opens_at) : null;
    this.closedAt = times.closed_at ? new Date(times.closed_at) : null;
    this.retryAfter = times.retry_after ?? null; // seconds
  }
}

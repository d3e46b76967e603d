/** How far the requests of a session are. */
export interface Progress {
  /** `done` counts rows that are answered or permanently failed, of earlier sessions as well. */
  rows: { total: number; done: number; refused: number; failed: number };
  /** Of this session. */
  requests: { sent: number; in_flight: number; throttled: number; retried: number };
  /** Of all sessions. */
  tokens: { prompt: number; completion: number };
  /** US dollars, of all sessions; null where no price is known. */
  cost_usd: number | null;
  rows_per_second: number;
  /** Null where it is not known yet. */
  seconds_left: number | null;
}

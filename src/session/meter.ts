/** The progress of asking: how far, how fast, what it costs and when it is done; and what needs attention. */

import type { Processor } from '../requests/processor.js';
import type { RateLimiter } from '../requests/rate-limiter.js';
import type { Totals } from '../run/totals.js';
import { count, dollars, duration } from '../lib/text.js';

/** Rates are those of so long a time. */
const WINDOW_MS = 30_000;
/** Less says nothing of a rate a minute, or of the time that is left. */
const SHORTEST_WINDOW_MS = 2000;
/** The time left follows new rates this slowly, so that it settles. */
const SETTLING_MS = 8000;
/** Answers that tell what all will cost. */
const ANSWERS_FOR_COST = 20;
/** A pause or a silence is told from here on. */
const TOLD_FROM_MS = 1000;
const SEPARATOR = ' · ';

interface Sample {
  time: number;
  done: number;
  tokens: number;
  /** What the limiter has let through. */
  granted: { requests: number; tokens: number };
}

/** A part of the line; of parts that do not fit, those with the highest number go first. */
interface Part {
  text: string;
  expendable: number;
}

type Limits = Pick<RateLimiter, 'gateMilliseconds' | 'requestsPerMinute' | 'tokensPerMinute'>;

export class Meter {
  readonly #started: number;
  readonly #samples: Sample[] = [];
  #left: { milliseconds: number; at: number } | null = null;

  /**
   * @param before rows that were done with before this session
   * @param rows all rows of the run
   */
  constructor(
    private readonly processor: Pick<Processor, 'counts' | 'inFlight' | 'trouble'>,
    private readonly limiter: Pick<RateLimiter, 'granted' | keyof Limits>,
    private readonly totals: Pick<Totals, 'tokens' | 'cost' | 'isCostEstimated'>,
    private readonly before: number,
    private readonly rows: number,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#started = now();
  }

  /** The line, not wider than `columns`, and a second one while something needs attention. */
  render(columns: number): string[] {
    const { answered, failed } = this.processor.counts;
    const session = answered + failed;
    const done = this.before + session;
    const { first, now } = this.#sample(session);
    const rate = rateOf(now.done - first.done, now.time - first.time);
    const parts: Part[] = [
      {
        text: `${count(done)}/${count(this.rows)} (${Math.floor((done / this.rows) * 100)} %)`,
        expendable: 0,
      },
      { text: `${rate < 10 ? rate.toFixed(1) : count(Math.round(rate))}/s`, expendable: 3 },
      ...this.#throughput(first, now),
      { text: `${count(this.processor.inFlight)} in flight`, expendable: 7 },
    ];
    if (failed > 0) parts.push({ text: `${count(failed)} failed`, expendable: 2 });
    parts.push(...this.#cost(done, answered), ...this.#timeLeft(session, rate, now.time));
    const attention = this.#attention();
    return attention === null ? [fitted(parts, columns)] : [fitted(parts, columns), attention];
  }

  #sample(session: number): { first: Sample; now: Sample } {
    const { prompt, completion } = this.totals.tokens;
    const granted = { ...this.limiter.granted };
    const now = { time: this.now(), done: session, tokens: prompt + completion, granted };
    if (this.#samples.length === 0) {
      // Nothing of this session was done when it began.
      this.#samples.push({ ...now, time: this.#started, done: 0, granted: { requests: 0, tokens: 0 } });
    }
    this.#samples.push(now);
    while (this.#samples.length > 2 && now.time - (this.#samples[0]?.time ?? 0) > WINDOW_MS)
      this.#samples.shift();
    return { first: this.#samples[0] ?? now, now };
  }

  /** Tokens a minute, and the share of the limit that binds. */
  #throughput(first: Sample, now: Sample): Part[] {
    const span = now.time - first.time;
    if (span < SHORTEST_WINDOW_MS) return [];
    const tokens = perMinute(now.tokens - first.tokens, span);
    const parts = tokens === 0 ? [] : [{ text: `${short(tokens)} tokens/min`, expendable: 6 }];
    const { requestsPerMinute, tokensPerMinute } = this.limiter;
    const shares = [
      { name: 'RPM', granted: now.granted.requests - first.granted.requests, limit: requestsPerMinute },
      { name: 'TPM', granted: now.granted.tokens - first.granted.tokens, limit: tokensPerMinute },
    ].flatMap(({ name, granted, limit }) =>
      limit === null ? [] : [{ name, share: Math.min(1, perMinute(granted, span) / limit) }],
    );
    const binding = shares.sort((a, b) => b.share - a.share)[0];
    if (binding === undefined) return parts;
    return [...parts, { text: `${binding.name} ${Math.round(binding.share * 100)} %`, expendable: 4 }];
  }

  /** What was spent, and what all will have cost. */
  #cost(done: number, answered: number): Part[] {
    const spent = this.totals.cost;
    if (spent === null) return [];
    const about = this.totals.isCostEstimated ? '≈' : '';
    const parts = [{ text: `${about}${dollars(spent)}`, expendable: 4 }];
    if (answered < ANSWERS_FOR_COST || done >= this.rows || spent === 0) return parts;
    const expected = Number(((spent / done) * this.rows).toPrecision(2));
    return [
      { text: `${about}${dollars(spent)} of about ${dollars(Math.max(spent, expected))}`, expendable: 5 },
    ];
  }

  #timeLeft(session: number, rate: number, now: number): Part[] {
    const elapsed = now - this.#started;
    const average = rateOf(session, elapsed);
    if (elapsed < SHORTEST_WINDOW_MS || rate === 0 || average === 0) return [];
    const left = this.rows - this.before - session;
    const target = (left / ((rate + average) / 2)) * 1000;
    if (this.#left === null) this.#left = { milliseconds: target, at: now };
    const passed = now - this.#left.at;
    const expected = Math.max(0, this.#left.milliseconds - passed);
    const milliseconds = expected + (target - expected) * (1 - Math.exp(-passed / SETTLING_MS));
    this.#left = { milliseconds, at: now };
    return [{ text: `${timeLeft(milliseconds)} left`, expendable: 1 }];
  }

  /** Why nothing happens for a while; null where all goes well. */
  #attention(): string | null {
    const { trouble } = this.processor;
    const why = trouble === null ? '' : `: ${trouble.message}`;
    const pause = this.limiter.gateMilliseconds;
    if (pause > TOLD_FROM_MS) return `Cooling down for ${timeLeft(pause)}${why}`;
    if (trouble === null || trouble.silence < TOLD_FROM_MS) return null;
    return `No answer for ${timeLeft(trouble.silence)}${why}`;
  }
}

/** A second. */
function rateOf(amount: number, milliseconds: number): number {
  return amount / Math.max(0.5, milliseconds / 1000);
}

function perMinute(amount: number, milliseconds: number): number {
  return (amount / milliseconds) * 60_000;
}

/** `950`, `12k`, `1.9M`. */
function short(amount: number): string {
  if (amount < 1000) return String(Math.round(amount));
  if (amount < 1e6) return `${Math.round(amount / 1000)}k`;
  return `${(amount / 1e6).toFixed(amount < 1e7 ? 1 : 0)}M`;
}

/** No finer than anybody wants to know: `8 s`, `3 min 20 s`, `37 min`, `2 h 5 min`. */
function timeLeft(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  return seconds < 600 || seconds >= 3600 ? duration(seconds * 1000) : `${Math.round(seconds / 60)} min`;
}

function fitted(parts: readonly Part[], columns: number): string {
  const kept = [...parts];
  const line = (): string => kept.map(({ text }) => text).join(SEPARATOR);
  while (kept.length > 1 && line().length > columns) {
    const most = Math.max(...kept.map(({ expendable }) => expendable));
    kept.splice(
      kept.findIndex(({ expendable }) => expendable === most),
      1,
    );
  }
  return line();
}

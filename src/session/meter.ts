/** The progress of asking: how far, how fast, what it costs and when it is done; and what needs attention. */

import type { Processor } from '../requests/processor.js';
import type { ServerStanding } from '../requests/fleet.js';
import type { RateLimiter } from '../requests/rate-limiter.js';
import type { Totals } from '../run/totals.js';
import { count, dollars, duration, spent } from '../lib/text.js';
import { fitted, type Part } from './fitted-line.js';
import type { Progress } from './progress.js';
import type { SendingHours } from './off-peak.js';
import { serversLine } from './servers-line.js';
import type { TimeLeft } from './time-left.js';

/** The rates of tokens and of limits are measured over this time. */
const WINDOW_MS = 30_000;
/** Less says nothing of a rate a minute, or of the time that is left. */
const SHORTEST_WINDOW_MS = 2000;
/** Answers after which the cost of all rows is estimated. */
const ANSWERS_FOR_COST = 20;
const DAY_S = 24 * 3600;
/** Until this share of a session's rows is done, the time that is left is only known roughly. */
const ROUGH_SHARE = 0.1;
/** A pause or a silence is reported from here on. */
const REPORTED_FROM_MS = 1000;

interface Sample {
  time: number;
  tokens: number;
  /** What the limiter has let through. */
  granted: { requests: number; tokens: number };
}

/** Rows of this session that ended without an annotation. */
export interface Misses {
  /** Refused by the model, or filtered by the provider. */
  refused: number;
  failed: number;
}

type Limits = Pick<RateLimiter, 'gateMilliseconds' | 'requestsPerMinute' | 'tokensPerMinute'>;

/** What a meter shows. */
export interface MeterOptions {
  processor: Pick<Processor, 'counts' | 'inFlight' | 'ramp' | 'trouble'>;
  limiter: Pick<RateLimiter, 'granted' | keyof Limits>;
  totals: Pick<Totals, 'tokens' | 'cost' | 'isCostEstimated'>;
  /** Is given each answer elsewhere, as it comes. */
  timeLeft: TimeLeft;
  /** Counted elsewhere, as answers come. */
  misses: Readonly<Misses>;
  /** How many of the rows were done with before this session. */
  before: number;
  /** All rows of the run, or all of their parts where they take several requests. */
  rows: number;
  /** What each of several servers does; null where there is one. */
  standings?: (() => readonly ServerStanding[]) | null;
  /** The hours at which requests are sent; null for all. */
  hours?: Pick<SendingHours, 'notice'> | null;
  now?: () => number;
  /** How many of the rows, or of their parts, this session has dealt with. */
  done?: () => number;
}

export class Meter {
  private readonly processor: MeterOptions['processor'];
  private readonly limiter: MeterOptions['limiter'];
  private readonly totals: MeterOptions['totals'];
  private readonly misses: Readonly<Misses>;
  private readonly before: number;
  private readonly rows: number;
  private readonly standings: (() => readonly ServerStanding[]) | null;
  private readonly hours: NonNullable<MeterOptions['hours']> | null;
  private readonly now: () => number;
  private readonly done: () => number;
  readonly #started: number;
  readonly #samples: Sample[] = [];
  readonly #timeLeft: TimeLeft;

  constructor(options: MeterOptions) {
    const { processor, standings = null, hours = null, now = (): number => performance.now() } = options;
    this.processor = processor;
    this.limiter = options.limiter;
    this.totals = options.totals;
    this.misses = options.misses;
    this.before = options.before;
    this.rows = options.rows;
    this.standings = standings;
    this.hours = hours;
    this.#timeLeft = options.timeLeft;
    this.now = now;
    this.done = options.done ?? ((): number => processor.counts.answered + processor.counts.failed);
    this.#started = now();
    this.sample();
  }

  /** The line, not wider than `columns`, and a second one while something needs attention. */
  render(columns: number): string[] {
    const { first, now } = this.sample();
    const parts = [
      ...this.#essentials(),
      ...this.#costOfAll(),
      ...this.#remaining(now.time),
      ...this.#throughput(first, now),
      { text: `${count(this.processor.inFlight)} in flight`, rank: 5 },
    ];
    const servers = this.standings === null ? [] : [serversLine(this.standings(), columns)];
    const attention = this.#attention();
    return [fitted(parts, columns), ...servers, ...(attention === null ? [] : [attention])];
  }

  /** Looks at how far the run is; to be called every second where nobody looks at the line. */
  sample(): { first: Sample; now: Sample } {
    const { prompt, completion } = this.totals.tokens;
    const now = { time: this.now(), tokens: prompt + completion, granted: { ...this.limiter.granted } };
    this.#samples.push(now);
    while (this.#samples.length > 2 && now.time - (this.#samples[0]?.time ?? 0) > WINDOW_MS)
      this.#samples.shift();
    this.#timeLeft.add({
      time: now.time - this.#started,
      done: this.#session,
      left: this.rows - this.before - this.#session,
      inFlight: this.processor.inFlight,
      ramp: this.processor.ramp,
      allowed: allowedRate(this.limiter),
      pause: this.limiter.gateMilliseconds,
    });
    return { first: this.#samples[0] ?? now, now };
  }

  /** The same as values. */
  progress(): Progress {
    const { sent, throttled, retried } = this.processor.counts;
    const { refused, failed } = this.misses;
    const { prompt, completion } = this.totals.tokens;
    const left = this.#timeLeft.estimate;
    return {
      rows: { total: this.rows, done: this.before + this.#session, refused, failed },
      requests: { sent, in_flight: this.processor.inFlight, throttled, retried },
      tokens: { prompt, completion },
      cost_usd: this.totals.cost,
      rows_per_second: this.#timeLeft.rate * 1000,
      seconds_left: left === null ? null : left / 1000,
    };
  }

  get #session(): number {
    return this.done();
  }

  /** What is shown at any width: how far, how fast, what it cost, and what has no annotation. */
  #essentials(): Part[] {
    const done = this.before + this.#session;
    const share = `${Math.floor((done / this.rows) * 100)} %`;
    const rate = this.#timeLeft.rate * 1000;
    const { refused, failed } = this.misses;
    const spentSoFar = this.#spent;
    return [
      {
        text: `${count(done)}/${count(this.rows)} (${share})`,
        shorter: `${count(done)}/${count(this.rows)}`,
        short: share,
      },
      { text: `${rate < 9.95 ? rate.toFixed(1) : count(Math.round(rate))}/s` },
      ...(spentSoFar === null ? [] : [{ text: spentSoFar }]),
      { text: `${count(refused)} refused`, shortest: `${count(refused)}r` },
      { text: `${count(failed)} failed`, shortest: `${count(failed)}f` },
    ];
  }

  get #spent(): string | null {
    const { cost, isCostEstimated } = this.totals;
    return cost === null ? null : spent(cost, isCostEstimated);
  }

  /** Tokens a minute, and the share of the limit that binds. */
  #throughput(first: Sample, now: Sample): Part[] {
    const span = now.time - first.time;
    if (span < SHORTEST_WINDOW_MS) return [];
    const tokens = perMinute(now.tokens - first.tokens, span);
    const parts = tokens === 0 ? [] : [{ text: `${short(tokens)} tokens/min`, rank: 4 }];
    const { requestsPerMinute, tokensPerMinute } = this.limiter;
    const shares = [
      { name: 'RPM', granted: now.granted.requests - first.granted.requests, limit: requestsPerMinute },
      { name: 'TPM', granted: now.granted.tokens - first.granted.tokens, limit: tokensPerMinute },
    ].flatMap(({ name, granted, limit }) =>
      limit === null ? [] : [{ name, share: Math.min(1, perMinute(granted, span) / limit) }],
    );
    const binding = shares.sort((a, b) => b.share - a.share)[0];
    if (binding === undefined) return parts;
    return [...parts, { text: `${binding.name} ${Math.round(binding.share * 100)} %`, rank: 3 }];
  }

  /** What all rows will have cost, once there are enough answers to estimate it. */
  #costOfAll(): Part[] {
    const { cost } = this.totals;
    const done = this.before + this.#session;
    const isTold = this.processor.counts.answered >= ANSWERS_FOR_COST && done < this.rows;
    if (cost === null || cost === 0 || !isTold) return [];
    const expected = Number(((cost / done) * this.rows).toPrecision(2));
    return [{ text: `about ${dollars(Math.max(cost, expected))} in total`, rank: 2 }];
  }

  #remaining(now: number): Part[] {
    const milliseconds = this.#timeLeft.estimate;
    if (now - this.#started < SHORTEST_WINDOW_MS || milliseconds === null) return [];
    const text = timeLeft(milliseconds);
    const compact = text.replaceAll(/ (s|min|h|d)\b/g, (_, unit: string) => unit.charAt(0));
    const isRough = this.#session < ROUGH_SHARE * (this.rows - this.before);
    return [
      {
        text: `${isRough ? 'about ' : ''}${text} left`,
        shorter: `${text} left`,
        short: `${compact} left`,
        shortest: compact.replaceAll(' ', ''),
        rank: 1,
      },
    ];
  }

  /** Why nothing happens for a while; null where all goes well. */
  #attention(): string | null {
    const notice = this.hours?.notice ?? null;
    if (notice !== null) return notice;
    const { trouble } = this.processor;
    const why = trouble === null ? '' : `: ${trouble.message}`;
    const pause = this.limiter.gateMilliseconds;
    if (pause > REPORTED_FROM_MS) return `Cooling down for ${timeLeft(pause)}${why}`;
    if (trouble === null || trouble.silence < REPORTED_FROM_MS) return null;
    return `No answer for ${timeLeft(trouble.silence)}${why}`;
  }
}

/** Rows a millisecond that the limits let through, at what requests were charged so far; Infinity where there are none. */
export function allowedRate({
  granted,
  requestsPerMinute,
  tokensPerMinute,
}: Pick<RateLimiter, 'granted' | 'requestsPerMinute' | 'tokensPerMinute'>): number {
  const tokensEach = granted.requests === 0 ? 0 : granted.tokens / granted.requests;
  const byTokens = tokensPerMinute === null || tokensEach <= 0 ? Infinity : tokensPerMinute / tokensEach;
  return Math.min(requestsPerMinute ?? Infinity, byTokens) / 60_000;
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

/** No finer than anybody wants to know: `8 s`, `3 min 20 s`, `37 min`, `2 h 5 min`, `3 d 4 h`. */
function timeLeft(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds >= 2 * DAY_S)
    return `${Math.floor(seconds / DAY_S)} d ${Math.floor((seconds % DAY_S) / 3600)} h`;
  return seconds < 600 || seconds >= 3600 ? duration(seconds * 1000) : `${Math.round(seconds / 60)} min`;
}

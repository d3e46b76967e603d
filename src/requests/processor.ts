/**
 * The request processor: a lazy stream of jobs through a rate-limited, concurrency-adapting pool of requests.
 *
 * Memory holds what is in flight and nothing else. Retries stay in the row's place, a failed row is a value, and
 * every wait can be aborted. One real row goes first: a wrong key, model or parameter costs one request.
 */

import { backOff } from '../http/retry.js';
import { messageOf, TemporaryError, unhandled } from '../lib/errors.js';
import { setMaxListeners } from 'node:events';
import type { Completion } from '../models/completion.js';
import type { AnswerRules } from '../models/answer-rules.js';
import type { ServiceTier } from '../models/service-tiers.js';
import type { TokenCounts, Usage } from '../models/usage.js';
import type { Redactor } from '../secrets/redactor.js';
import { sanitize, plural } from '../lib/text.js';
import type { Reporter } from '../types.js';
import { Adaptation, newRow, type Refused, type RowAdaptation, type SentRequest } from './adaptation.js';
import type { Exchanged, Ramp } from './concurrency.js';
import type { ParameterChange, ParameterFit } from './parameters.js';
import { isAboutConcurrency, type RateLimiter } from './rate-limiter.js';
import { CHARACTERS_PER_TOKEN } from './tokens.js';
import type { Clock } from '../lib/clock.js';
import type { Charged } from './limits/token-charge.js';
import { RefusalStreak } from './refusal-streak.js';
import type { Server, Servers } from './servers.js';
import { Streaming } from './streaming.js';
import { UnusableAnswers, type Reaction } from './unusable-answers.js';
import { classifyFailure, classifyResponse, usageOf, type Verdict } from './verdict.js';
import type { ChatResponse } from '../http/chat-client.js';

/** Verdicts that say something of the server, so that its name belongs to them where there are several. */
const IS_OF_THE_SERVER: Readonly<Record<Verdict['kind'], boolean>> = {
  ...{ run: true, throttle: true, transient: true, unreadable: true },
  ...{ answer: false, partial: false, unfit: false, row: false },
  ...{ parameter: false, value: false, stream: false, responses: false },
};
const BACKOFF_MAXIMUM_MS = 30_000;
/** How often the schedule is checked during a pause: the computer may sleep, or its clock be set. */
const SCHEDULE_MS = 30_000;
/** Where a server asks for more, the run ends and says when to resume it. */
const LONGEST_WAIT_MS = 60 * 60_000;
/** A server that asks to wait before the next attempt is obeyed up to this long. */
const LONGEST_ATTEMPT_WAIT_MS = 10 * 60_000;
/** While a server loads its model it is asked this often. */
const LOADING_WAIT_MS = 5_000;
/** Rows that, refused for their own reasons, show that key, model and parameters are right. */
const EXPLAINED_AT_START = 20;
/** Rows that may use up their attempts one after the other before the server is taken to be at fault. */
const EXHAUSTED_AT_START = 2;
const EXHAUSTED_IN_ROW = 10;
/** A server that answered another row so recently and refuses this one for overload is not down: it is full. */
const FULL_MS = 30_000;
/** Refusals for overload that cost a row no attempt, at most: some servers call any failure an overload. */
const MOST_FREE_REFUSALS = 20;
/**
 * A row that is refused because others are awaited is sent again after such a pause, which grows, or after this share of an
 * answer's time. A limit of requests a minute, which spaces them out, takes it then.
 */
const CROWDED_PAUSE_MS = 100;
const CROWDED_PAUSE_SHARE = 0.5;
const CROWDED_PAUSE_MAXIMUM_MS = 5000;
/** A row that was refused so often shows that no pause helps. */
const REFUSALS_THAT_TELL = 3;
/** Failures one after the other, over all rows, that make everybody wait. */
const OUTAGE_FAILURES = 10;
const OUTAGE_MINIMUM_MS = 60_000;
const OUTAGE_MAXIMUM_MS = 15 * 60_000;
const OUTAGE_GATE_MAXIMUM_MS = 10_000;

export interface Job extends Charged {
  requestIdx: number;
  /** The request body as JSON, without metadata. */
  body: Buffer;
  /** Which of its row's requests it is, where a row takes several; of no meaning here. */
  part?: JobPart;
  /** When it was sent last, by the processor's clock; absent until then. */
  sentAt?: number;
  /** When it was sent for the first time. */
  startedAt?: number;
}

/** One of several requests of a row. */
export interface JobPart {
  /** An answer beside others to the same prompt, or one turn of a chat. */
  kind: 'choice' | 'turn';
  /** From 0 on. */
  number: number;
}

/** Jobs that answers lead to: they are sent before any others, and the run continues until there are none. */
export interface FollowUps {
  /** The next one; null where there is none now. Called again after every answer. */
  next(): Job | null;
}

const NO_FOLLOW_UPS: FollowUps = { next: () => null };

/** What the processor reports as it happens; each call returns at once. */
export interface ProcessorEvents {
  answered(job: Job, sent: Buffer, json: Buffer, completion: Completion): void;
  /**
   * An answer that may be incomplete, or breaks the schema: kept, since it is paid for and a later run may accept its
   * finish reason, and requested again.
   */
  partial(job: Job, sent: Buffer, json: Buffer, billed: { usage: Usage | null; tier: ServiceTier }): void;
  failed(job: Job, sent: Buffer, errors: string[], filtered: boolean): void;
  /** An exchange ended. @param latency milliseconds that it took */
  exchanged(latency: number, kind: Verdict['kind']): void;
  /** Tokens of an answer that could not be used and is asked for again. */
  wasted(usage: Usage, job: Job): void;
  /** Nothing is sent until the schedule allows it. */
  paused?(): void;
  /** Requests are sent again. */
  resumed?(): void;
  parameterChanged(change: ParameterChange, message: string): void;
  /** A row is sent again with fewer tokens for its answer, because its prompt leaves no more. */
  shortened(job: Job, tokens: number, message: string): void;
  /** From here on all requests are streamed: the model answers no others. */
  streamed(message: string): void;
  /** From here on all requests go to the Responses API: the model answers on no other. */
  movedToResponses(message: string): void;
}

/** Times at which requests may be sent. */
export interface Schedule {
  /** Milliseconds until one may be sent; 0 where one may be now. */
  wait(): number;
}

/** Keeps the run under a sum of money; see `run/budget.ts`. */
export interface Budget {
  /** Reserves a request's worst case; false where it does not fit beside what is in flight. */
  reserve(job: Job): boolean;
  /** A job is over: its reservation ends. */
  settle(job: Job): void;
}

export interface ProcessorOptions {
  servers: Servers;
  /** Looked at before each request; where it is false nothing more is sent, and the row stays pending. */
  mayProceed?: () => boolean;
  parameters: ParameterFit;
  /** True where earlier sessions of this run have answers: its parameters are right, and one refusal stops nothing. */
  hasAnswers?: boolean;
  /** True where this process had answers from these servers before: no row has to go first to prove address and key. */
  isProven?: boolean;
  /** Which answers count as whole. */
  rules: AnswerRules;
  /** Removes secrets from answers before they are used. */
  redactor: Redactor;
  /** Answers of earlier sessions that all end with one unknown reason, where there are no others. */
  partialBefore: { reason: string; answers: number } | null;
  /** Tries for one row; throttled and adapted requests cost none. */
  maxAttempts: number;
  budget: Budget | null;
  /** Null where requests may be sent at any time. */
  schedule?: Schedule | null;
  clock: Clock;
  random?: () => number;
  events: ProcessorEvents;
  reporter: Reporter;
}

/**
 * What ended a run:
 *
 * - `key`, `model`, `refused`: what was sent is wrong; `quota`: no credit is left; `account`: the provider does not
 *   serve this account, or not from here. A person has to act.
 * - `unreachable`: no connection, time-outs, server errors; `limit`: a rate limit or a quota that resets by itself;
 *   `disk`: a file can't be written; `lock`: another process took the run over. These may pass.
 * - `other`: anything else.
 */
export type StopCause =
  'key' | 'model' | 'quota' | 'account' | 'refused' | 'unreachable' | 'limit' | 'disk' | 'lock' | 'other';

/** Why a run ended before its last job. */
export type Stop =
  | { reason: 'interrupted' }
  | { reason: 'budget' }
  | {
      reason: 'error';
      cause: StopCause;
      message: string;
      /** Milliseconds until a limit lifts, where the server says so. */
      wait?: number;
    };

/** Why a row may be sent again. */
type Failure = Extract<Verdict, { kind: 'partial' | 'unfit' | 'unreadable' | 'transient' }>;

/**
 * A row while it is sent. The adaptation of its request is a nested object: spread into this one, it made the engine build
 * a new hidden class for every row, which took longer than reading the answer.
 */
interface SentRow {
  readonly adaptation: RowAdaptation;
  /** Where it has its place. */
  server: Server;
  /** Refusals for overload that cost it no attempt. */
  freeRefusals: number;
  /** How many times in a row it was refused because the server takes no more requests. */
  refusals: number;
  /** True where the last time was because of the requests that were awaited then. */
  isCrowdedOut: boolean;
}

/** A request that failed, with what its row ran into before. */
interface FailedAttempt extends Omit<SentRequest, 'row'> {
  row: SentRow;
  errors: string[];
  exchanged: Exchanged;
}

/** A row that used up its attempts. */
interface Exhausted {
  job: Job;
  sent: Buffer;
  errors: string[];
}

/** True for an answer that a model with the same seed may well give again. */
function saysTheSameAgain(verdict: Failure): boolean {
  return verdict.kind === 'unfit' || (verdict.kind === 'transient' && verdict.isEmpty === true);
}

/** What came of one request. */
interface Sent {
  /** `elsewhere`: the server is at fault, and another one takes the row at no cost. */
  verdict: Verdict | { kind: 'elsewhere'; message: string };
  /** What it cost where it is no answer that can be used; null for an answer, and where nothing was written. */
  wasted: Usage | null;
  exchanged: Exchanged;
}

/** Counters since the processor was made. */
export interface ProcessorCounts {
  sent: number;
  throttled: number;
  retried: number;
  answered: number;
  failed: number;
}

export class Processor {
  readonly counts: ProcessorCounts = { sent: 0, throttled: 0, retried: 0, answered: 0, failed: 0 };
  readonly #options: ProcessorOptions;
  readonly #random: () => number;
  /** Aborts every wait; what is in flight continues. */
  readonly #waits = new AbortController();
  #stop: Stop | null = null;
  #aborted = false;
  readonly #adaptation: Adaptation;
  readonly #streak = new RefusalStreak();
  /** Rows that were refused for reasons of their own before any was answered. */
  #explainedAtStart = 0;
  /** True while rows go one at a time. */
  #oneByOne = true;
  #failuresInRow = 0;
  /** Why a request was answered with 429, or not at all, since the last answer. */
  #lastTrouble: string | null = null;
  #exhaustedInRow = 0;
  /** Rows that used up their attempts since the last answer: only another answer shows that it was not the server's fault. */
  #inDoubt: Exhausted[] = [];
  #moreJobs = true;
  #followUps = NO_FOLLOW_UPS;
  readonly #streaming = new Streaming();
  readonly #unusable: UnusableAnswers;
  /** Jobs to come back to once another row was answered, or no others are left. */
  readonly #setAside: Job[] = [];
  /** What they ran into. */
  readonly #earlierErrors = new Map<Job, string[]>();
  #lastSuccess: number;
  readonly #started: number;
  #wakeDrain: (() => void) | null = null;
  /** Ends when the schedule allows requests again; null while it does. */
  #pause: Promise<void> | null = null;

  constructor(options: ProcessorOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#unusable = new UnusableAnswers(options.partialBefore);
    this.#adaptation = new Adaptation(options.parameters, options.budget !== null, options.events);
    this.#started = options.clock.now();
    this.#lastSuccess = this.#started;
    // Every row that backs off listens to it.
    setMaxListeners(0, this.#waits.signal);
  }

  /** What went wrong last and how many milliseconds ago the last answer came; null where one came since. */
  get trouble(): { message: string; silence: number } | null {
    const silence = this.#options.clock.now() - this.#lastSuccess;
    return this.#lastTrouble === null ? null : { message: sanitize(this.#lastTrouble, 200), silence };
  }

  /** Requests whose answer is awaited. */
  get inFlight(): number {
    return this.#options.servers.inFlight;
  }

  /** How many requests may be in flight, and whether they become more. */
  get ramp(): Ramp {
    return this.#options.servers.ramp;
  }

  /** Why no more jobs are sent; null while the run continues. */
  get stopped(): Stop | null {
    return this.#stop;
  }

  /**
   * Sends every job; resolves when all are answered or failed, or when the run stopped and nothing is in flight.
   * Returns null where all jobs were dealt with.
   */
  async run(jobs: Iterable<Job>, followUps: FollowUps = NO_FOLLOW_UPS): Promise<Stop | null> {
    const iterator = jobs[Symbol.iterator]();
    this.#followUps = followUps;
    try {
      if (this.#options.isProven !== true) await this.#first(iterator);
      await this.#rest(iterator);
    } finally {
      iterator.return?.();
      await this.#drain();
    }
    if (this.#stop === null) this.#endDoubts();
    return this.#stop;
  }

  /** Feeds nothing more and ends all waits; what is in flight is still awaited. The first reason counts. */
  stop(stop: Stop): void {
    this.#stop ??= stop;
    this.#waits.abort();
    this.#options.servers.interrupt();
  }

  /** For a stop that does not wait: requests in flight are about to be cut off and prove nothing about the row. */
  abandon(): void {
    this.#aborted = true;
    this.stop({ reason: 'interrupted' });
  }

  /** One row at a time until one is answered, or enough of them are refused for reasons of their own. */
  async #first(iterator: Iterator<Job>): Promise<void> {
    while (this.#stop === null && this.counts.answered === 0 && this.#explainedAtStart < EXPLAINED_AT_START) {
      const job = this.#next(iterator);
      if (job === null) return;
      if (this.#mustWait()) await this.#untilAllowed();
      if (this.#hasStopped()) return;
      const admitted = this.#admit(job);
      const server = admitted instanceof Promise ? await admitted : admitted;
      if (server !== null) await this.#process(job, server);
    }
  }

  async #rest(iterator: Iterator<Job>): Promise<void> {
    this.#oneByOne = false;
    while (this.#stop === null) {
      const job = this.#next(iterator);
      if (job === null) {
        if (this.#options.servers.held === 0) return;
        // What is in flight may lead to more.
        await this.#someoneLeaves();
        continue;
      }
      if (this.#mustWait()) await this.#untilAllowed();
      if (this.#hasStopped()) return;
      const admitted = this.#admit(job);
      const server = admitted instanceof Promise ? await admitted : admitted;
      if (server !== null) void this.#process(job, server);
    }
  }

  /** A function, because the compiler would assume that the field is unchanged after a wait. */
  #hasStopped(): boolean {
    return this.#stop !== null;
  }

  #mustWait(): boolean {
    const { schedule = null } = this.#options;
    return schedule !== null && this.#stop === null && schedule.wait() > 0;
  }

  /** Waits for the times at which requests may be sent, or for the end of the run. */
  #untilAllowed(): Promise<void> {
    return (this.#pause ??= this.#waitForSchedule());
  }

  async #waitForSchedule(): Promise<void> {
    const { schedule = null, clock, events } = this.#options;
    events.paused?.();
    while (schedule !== null && this.#mustWait())
      await clock.sleep(Math.min(schedule.wait(), SCHEDULE_MS), this.#waits.signal);
    // Nothing was sent in the pause, so no server was silent.
    this.#lastSuccess = clock.now();
    this.#pause = null;
    if (this.#stop === null) events.resumed?.();
  }

  /** The job to send next; null where none is left. Those set aside come last, or as soon as any row was answered. */
  #next(iterator: Iterator<Job>): Job | null {
    const followUp = this.#followUps.next();
    if (followUp !== null) return followUp;
    if (this.#setAside.length === 0 || this.counts.answered === 0) {
      const next = iterator.next();
      if (next.done !== true) return next.value;
      this.#moreJobs = false;
    }
    return this.#setAside.shift() ?? null;
  }

  /**
   * Waits, if it has to, for a place, for the budget and for capacity; null where the run stopped or the job is done
   * with. No promise is made where there is nothing to wait for: each costs as much as all these checks.
   */
  #admit(job: Job): Server | null | Promise<Server | null> {
    const { servers } = this.#options;
    const tooSmall = servers.tooSmallFor(job);
    if (tooSmall !== null) {
      this.#fail(job, job.body, [tooLarge(job, tooSmall)], false);
      return null;
    }
    const place = servers.enter(job);
    return place instanceof Promise ? this.#admitLater(job, place) : this.#admitTo(job, place);
  }

  async #admitLater(job: Job, place: Promise<void>): Promise<Server | null> {
    for (let found: Server | Promise<void> = place; ; found = this.#options.servers.enter(job)) {
      if (!(found instanceof Promise)) return this.#admitTo(job, found);
      await found;
      if (this.#stop !== null) return null;
    }
  }

  /** The same for a job that has its place. */
  #admitTo(job: Job, server: Server): Server | null | Promise<Server | null> {
    if (this.#options.budget !== null) return this.#admitAffordable(job, server);
    const turn = server.limiter.acquire(job, this.#waits.signal);
    return turn === null ? server : this.#admitInTurn(job, server, turn);
  }

  async #admitAffordable(job: Job, server: Server): Promise<Server | null> {
    if (await this.#affordable(job)) {
      return this.#admitInTurn(job, server, server.limiter.acquire(job, this.#waits.signal));
    }
    this.#leave(server, job);
    return null;
  }

  async #admitInTurn(job: Job, server: Server, turn: Promise<boolean> | null): Promise<Server | null> {
    const taken = turn === null || (await turn);
    if (taken && this.#stop === null) return server;
    this.#options.budget?.settle(job);
    this.#leave(server, job);
    return null;
  }

  async #affordable(job: Job): Promise<boolean> {
    const { budget, servers } = this.#options;
    while (budget !== null && this.#stop === null && !budget.reserve(job)) {
      // This job's own place counts as in flight; where no other is left, nothing will give money back.
      if (servers.inFlight <= 1) this.stop({ reason: 'budget' });
      else await this.#someoneLeaves();
    }
    return this.#stop === null;
  }

  #someoneLeaves(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeDrain = resolve;
    });
  }

  #leave(server: Server, job: Job): void {
    this.#options.servers.leave(server, job);
    const wake = this.#wakeDrain;
    this.#wakeDrain = null;
    wake?.();
  }

  async #drain(): Promise<void> {
    while (this.#options.servers.held > 0) await this.#someoneLeaves();
  }

  /** Sees one job through: sends it until it is answered, failed, or the run stops. */
  async #process(job: Job, server: Server): Promise<void> {
    const adaptation = newRow();
    const row: SentRow = { adaptation, server, freeRefusals: 0, refusals: 0, isCrowdedOut: false };
    try {
      await this.#attempts(job, row);
    } catch (error) {
      // Only a defect of ours or a full disk ends here; the row stays pending either way.
      this.stop({
        reason: 'error',
        cause: error instanceof TemporaryError ? 'disk' : 'other',
        message: messageOf(error),
      });
    } finally {
      this.#options.budget?.settle(job);
      this.#leave(row.server, job);
    }
  }

  async #attempts(job: Job, row: SentRow): Promise<void> {
    const { events, servers } = this.#options;
    const errors = this.#errorsOf(job);
    for (;;) {
      if (this.#mustWait()) await this.#untilAllowed();
      if (this.#hasStopped() || this.#options.mayProceed?.() === false) return;
      const sent = this.#streaming.apply(this.#adaptation.bodyOf(job, row.adaptation));
      const { verdict, wasted, exchanged } = await this.#send(job, sent, row.server);
      if (verdict.kind === 'partial' || verdict.kind === 'unfit')
        events.partial(job, sent, verdict.json, verdict);
      else if (wasted !== null) events.wasted(wasted, job);
      if (this.#aborted && verdict.kind !== 'answer') return;
      switch (verdict.kind) {
        case 'answer':
          this.#succeeded(row.server, exchanged);
          this.#adaptation.answered(row.adaptation);
          this.#unusable.answered(job);
          this.counts.answered += 1;
          events.answered(job, sent, verdict.json, verdict.completion);
          return;
        case 'run':
          this.stop({ reason: 'error', cause: verdict.cause, message: verdict.message });
          return;
        case 'row':
        case 'parameter':
        case 'value':
          if (!this.#adapted(verdict, { job, sent, row: row.adaptation }, errors)) return;
          break;
        case 'throttle':
          this.#throttled(verdict, job, row, exchanged);
          if (row.isCrowdedOut) await this.#waitForPlace(row, job, verdict.wait);
          break;
        case 'stream':
          if (this.#streaming.switchOn()) events.streamed(verdict.message);
          break;
        case 'responses':
          if (servers.switchToResponses()) events.movedToResponses(verdict.message);
          break;
        case 'elsewhere':
          this.#lastTrouble = verdict.message;
          this.counts.retried += 1;
          break;
        case 'unfit':
        case 'partial':
        case 'unreadable':
        case 'transient':
          if (saysTheSameAgain(verdict)) row.adaptation.reseeds += 1;
          if (!(await this.#tryAgain(verdict, { job, row, sent, errors, exchanged }))) return;
          break;
        default:
          throw unhandled(verdict);
      }
      // Before its turn with the rate limits, so that not all come at once after a pause.
      if (this.#mustWait()) await this.#untilAllowed();
      if (this.#hasStopped()) return;
      const place = servers.move(row.server, job);
      if (place instanceof Promise) row.refusals = 0;
      row.server = place instanceof Promise ? await place : place;
      if (this.#hasStopped()) return;
      const turn = row.server.limiter.acquire(job, this.#waits.signal);
      if (turn !== null && !(await turn)) return;
    }
  }

  /**
   * After a failure that may pass: waits until the row can be sent again; false if it is not, since it failed for
   * good, waits for others, or the run stops.
   */
  async #tryAgain(verdict: Failure, { job, row, sent, errors, exchanged }: FailedAttempt): Promise<boolean> {
    const mayWait = errors.length === 0 && this.#moreJobs;
    if (verdict.kind !== 'transient' || !this.#failedAgain(verdict, row, exchanged))
      errors.push(verdict.message);
    const { kind } = this.#react(verdict, job, mayWait);
    if (kind === 'stop') return false;
    if (kind === 'set aside') {
      this.#setAside.push(job);
      this.#earlierErrors.set(job, errors);
      return false;
    }
    if (kind === 'fail' || errors.length >= this.#options.maxAttempts) {
      this.#exhausted(job, sent, errors, verdict);
      return false;
    }
    this.counts.retried += 1;
    // The server is well, and another answer may follow the schema at once.
    if (row.isCrowdedOut && verdict.kind === 'transient') await this.#waitForPlace(row, job, verdict.wait);
    else if (verdict.kind !== 'unfit')
      await this.#backOff(errors.length + row.freeRefusals, this.#waitFor(verdict));
    return true;
  }

  /** What a job ran into before it was set aside. */
  #errorsOf(job: Job): string[] {
    return (this.#earlierErrors.size === 0 ? undefined : this.#earlierErrors.get(job)) ?? [];
  }

  /** What to do about an answer that cannot be used; a run that would get no others is stopped. */
  #react(verdict: Failure, job: Job, mayWait: boolean): Reaction {
    // Servers that answered earlier sessions of this process are not judged by their first answers to this one.
    const hasAnswers = this.counts.answered > 0 || this.#options.isProven === true;
    const reaction = this.#reactionTo(verdict, job, hasAnswers, mayWait);
    if (reaction.kind === 'stop') {
      const cause = verdict.kind === 'unreadable' && verdict.isTorn ? 'unreachable' : 'other';
      this.stop({ reason: 'error', cause, message: reaction.message });
    }
    return reaction;
  }

  #reactionTo(verdict: Failure, job: Job, hasAnswers: boolean, mayWait: boolean): Reaction {
    this.#lastTrouble = verdict.message;
    if (verdict.kind === 'unfit') return { kind: 'retry' };
    if (verdict.kind === 'partial') return this.#unusable.partial(verdict, hasAnswers, mayWait);
    if (verdict.kind === 'unreadable') return this.#unusable.unreadable(job, verdict, hasAnswers, mayWait);
    return verdict.inAnswer === true && !hasAnswers && mayWait ? this.#unusable.broken() : { kind: 'retry' };
  }

  async #send(job: Job, body: Buffer, server: Server): Promise<Sent> {
    this.counts.sent += 1;
    const { events } = this.#options;
    const { concurrency, limiter, transport } = server;
    const exchanged = concurrency.begin();
    job.sentAt = exchanged.sentAt;
    job.startedAt ??= exchanged.sentAt;
    let response: ChatResponse | null = null;
    let failure: unknown;
    try {
      response = await transport.send(body);
    } catch (error) {
      failure = error;
    }
    concurrency.end(exchanged);
    const { rules, redactor } = this.#options;
    const verdict =
      response === null
        ? classifyFailure(failure, redactor)
        : classifyResponse(response, body, rules, redactor);
    if (response !== null) limiter.observe(response.headers);
    const wasted = usageOf(verdict, body);
    const used = verdict.kind === 'answer' ? usedBy(job, verdict.completion) : wasted;
    if (response !== null && verdict.kind !== 'throttle') limiter.answered(job, exchanged.latency, used);
    events.exchanged(exchanged.latency, verdict.kind);
    return { verdict: this.#outcomeOf(verdict, job, server, exchanged), wasted, exchanged };
  }

  /** What a verdict means for the row: where several servers are used, another one may take it. */
  #outcomeOf(verdict: Verdict, job: Job, server: Server, exchanged: Exchanged): Sent['verdict'] {
    if (verdict.kind === 'answer') return verdict;
    const isHandedOn = this.#options.servers.failed(server, job, verdict, exchanged);
    if (server.name === undefined) return verdict;
    const message = `${server.name}: ${verdict.message}`;
    if (isHandedOn) return { kind: 'elsewhere', message };
    return IS_OF_THE_SERVER[verdict.kind] ? { ...verdict, message } : verdict;
  }

  #succeeded(server: Server, exchanged: Exchanged): void {
    this.#failuresInRow = 0;
    this.#exhaustedInRow = 0;
    this.#endDoubts();
    this.#streak.end();
    this.#lastTrouble = null;
    this.#lastSuccess = this.#options.clock.now();
    this.#options.servers.answered(server, exchanged);
  }

  #throttled(
    verdict: Extract<Verdict, { kind: 'throttle' }>,
    job: Job,
    row: SentRow,
    exchanged: Exchanged,
  ): void {
    const { clock, reporter } = this.#options;
    const { limiter, concurrency } = row.server;
    this.counts.throttled += 1;
    this.#lastTrouble = verdict.message;
    reporter.debug(`Throttled: ${verdict.message}`);
    if (verdict.wait !== null && verdict.wait > LONGEST_WAIT_MS) {
      const when = Number.isFinite(verdict.wait) ? { wait: verdict.wait } : {};
      this.stop({ reason: 'error', cause: 'limit', message: verdict.message, ...when });
      return;
    }
    row.isCrowdedOut = false;
    const isNamed = isAboutConcurrency(verdict.message);
    if ((isNamed || !limiter.isStated) && this.#isCrowdedOut(row, exchanged, isNamed)) limiter.refused(job);
    else {
      const tooFast = limiter.throttled(job, verdict.wait, verdict.message);
      if (tooFast && limiter.requestsPerMinute === null) concurrency.overloaded(exchanged);
    }
    if (clock.now() - this.#lastSuccess > LONGEST_WAIT_MS) {
      const message = `only 429 responses for an hour: ${verdict.message}`;
      this.stop({ reason: 'error', cause: 'limit', message });
    }
  }

  /** Sends a refused request again where it can be made to fit; false where the row has failed or the run stops. */
  #adapted(verdict: Refused, request: SentRequest, errors: readonly string[]): boolean {
    const { answered } = this.counts;
    const hasAnswers = answered > 0 || this.#options.hasAnswers === true;
    const isFirst = answered === 0 && this.#oneByOne;
    const outcome = this.#adaptation.consider(verdict, request, { isFirst, hasAnswers });
    switch (outcome.action) {
      case 'send again':
        return true;
      case 'stop':
        this.stop({ reason: 'error', cause: 'refused', message: outcome.message });
        return false;
      case 'fail': {
        const { message, filtered, explained } = outcome;
        this.#fail(request.job, request.sent, [...errors, message], filtered);
        if (!explained) this.#refused(message);
        else if (answered === 0) this.#explainedAtStart += 1;
        return false;
      }
    }
  }

  /**
   * Takes note of a failure that may pass. Where many come without an answer between them, everybody waits a while.
   * Returns true where it costs the row no attempt: a server that can't be reached is not the row's fault.
   */
  #failedAgain(
    verdict: Extract<Verdict, { kind: 'transient' }>,
    row: SentRow,
    exchanged: Exchanged,
  ): boolean {
    const { clock } = this.#options;
    const { limiter, concurrency } = row.server;
    this.#lastTrouble = verdict.message;
    row.isCrowdedOut = false;
    if (verdict.isFull === true && this.#isCrowdedOut(row, exchanged, false))
      return this.#isFull(verdict, row);
    this.#failuresInRow += 1;
    if (verdict.overloaded) concurrency.overloaded(exchanged);
    if (verdict.isCapacity === true) {
      if (clock.now() - this.#lastSuccess > LONGEST_WAIT_MS)
        this.stop({
          reason: 'error',
          cause: 'limit',
          message: `no capacity for an hour: ${verdict.message}`,
        });
      return true;
    }
    if (verdict.loading === true) {
      if (clock.now() - this.#lastSuccess > OUTAGE_MAXIMUM_MS) this.#unreachable(verdict.message);
      return true;
    }
    if (this.counts.answered === 0) return false;
    if (verdict.unreachable || this.#failuresInRow >= OUTAGE_FAILURES) {
      const steps = Math.min(10, Math.floor(this.#failuresInRow / OUTAGE_FAILURES));
      limiter.closeGate(backOff(steps, this.#random, OUTAGE_GATE_MAXIMUM_MS), 'outage');
    }
    if (!verdict.unreachable) return this.#isFull(verdict, row);
    // A run that has worked for long is patient for longer.
    const worked = this.#lastSuccess - this.#started;
    const patience = Math.min(OUTAGE_MAXIMUM_MS, Math.max(OUTAGE_MINIMUM_MS, worked));
    if (clock.now() - this.#lastSuccess > patience) this.#unreachable(verdict.message);
    return true;
  }

  /** Notes a refusal for which nothing was done; true where it is because of the requests that were awaited then. */
  #isCrowdedOut(row: SentRow, exchanged: Exchanged, isNamed: boolean): boolean {
    row.refusals += 1;
    const isCertain = isNamed || row.refusals >= REFUSALS_THAT_TELL;
    row.isCrowdedOut =
      this.counts.answered > 0 && row.server.concurrency.refused(exchanged, { isNamed, isCertain });
    return row.isCrowdedOut;
  }

  /**
   * Waits for another request to end where there are too many, else for a while.
   * @param asked milliseconds that the server asked to wait; null where it did not
   */
  async #waitForPlace(row: SentRow, job: Job, asked: number | null): Promise<void> {
    const place = this.#options.servers.move(row.server, job);
    if (place instanceof Promise) {
      row.server = await place;
      row.refusals = 0;
      if (asked === null) return;
    }
    const { refusals, server } = row;
    const growing = CROWDED_PAUSE_MS * 2 ** Math.min(Math.max(0, refusals - 1), 10);
    const shared = CROWDED_PAUSE_SHARE * server.concurrency.latency;
    const usual = Math.min(CROWDED_PAUSE_MAXIMUM_MS, Math.max(growing, shared));
    const pause = Math.max(asked ?? 0, usual * (0.75 + this.#random() / 2));
    await this.#options.clock.sleep(pause, this.#waits.signal);
  }

  /** True where a server that answers other rows has no room for this one, such as nginx with `limit_req`. */
  #isFull(verdict: Extract<Verdict, { kind: 'transient' }>, row: SentRow): boolean {
    if (verdict.isFull !== true || row.freeRefusals >= MOST_FREE_REFUSALS) return false;
    if (this.#options.clock.now() - this.#lastSuccess > FULL_MS) return false;
    row.freeRefusals += 1;
    return true;
  }

  #unreachable(message: string): void {
    this.stop({ reason: 'error', cause: 'unreachable', message });
  }

  /** A row used up its attempts. Where that happens to one row after the other, the server is at fault, not they. */
  #exhausted(job: Job, sent: Buffer, errors: string[], verdict: Failure): void {
    this.#exhaustedInRow += 1;
    if (verdict.kind === 'unfit') {
      this.#neverFits(verdict.message);
      this.#fail(job, sent, errors, false);
      return;
    }
    const unreachable = verdict.kind === 'transient' && verdict.unreachable;
    const bearable = this.counts.answered === 0 ? EXHAUSTED_AT_START : EXHAUSTED_IN_ROW;
    const tellsOfServer = unreachable || (this.#exhaustedInRow >= bearable && this.#moreJobs);
    if (tellsOfServer) this.#unreachable(verdict.message);
    if (unreachable) return;
    const isFault = verdict.kind !== 'transient' || verdict.inAnswer === true;
    if (isFault) this.#fail(job, sent, errors, false);
    else this.#inDoubt.push({ job, sent, errors });
  }

  /** The server works, or nothing is left to show that it does: what failed was the rows themselves. */
  #endDoubts(): void {
    if (this.#inDoubt.length === 0) return;
    const failed = this.#inDoubt;
    this.#inDoubt = [];
    for (const { job, sent, errors } of failed) this.#fail(job, sent, errors, false);
  }

  /** A server that does not know schemas must not be paid several times for every row. */
  #neverFits(message: string): void {
    const hasAnswers = this.counts.answered > 0 || this.#options.hasAnswers === true;
    if (hasAnswers || this.#exhaustedInRow < EXHAUSTED_IN_ROW || !this.#moreJobs) return;
    const rows = plural(this.#exhaustedInRow, 'row');
    const what = `None of the first ${rows} answers follows the schema of --response_format; the last one: ${message}`;
    this.stop({ reason: 'error', cause: 'refused', message: what });
  }

  /** Where many rows in a row are refused and none of the refusals says why, the run is at fault, not they. */
  #refused(message: string): void {
    const times = this.#streak.add(message, this.counts.answered > 0);
    if (times === null) return;
    const what = `${plural(times, 'row')} in a row were refused, the last with: ${message}`;
    this.stop({ reason: 'error', cause: 'refused', message: what });
  }

  #fail(job: Job, sent: Buffer, errors: string[], filtered: boolean): void {
    this.counts.failed += 1;
    this.#unusable.forget(job);
    this.#options.events.failed(
      job,
      sent,
      errors.map((error) => sanitize(error, 500)),
      filtered,
    );
  }

  /** Milliseconds that a server asked to wait, or that such a failure usually takes to pass. */
  #waitFor(verdict: Failure): number {
    if (verdict.kind !== 'transient') return 0;
    if (verdict.wait !== null) return verdict.wait;
    if (verdict.loading === true) return LOADING_WAIT_MS;
    if (verdict.isCapacity !== true) return 0;
    // The longer there has been none, the longer it will take; no attempts are counted that could show it.
    const silence = this.#options.clock.now() - this.#lastSuccess;
    return Math.min(BACKOFF_MAXIMUM_MS, silence / 2);
  }

  /** Exponential back-off with full jitter (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter). */
  async #backOff(attempt: number, serverWait: number): Promise<void> {
    const asked = Math.min(serverWait, LONGEST_ATTEMPT_WAIT_MS);
    const pause = asked + backOff(attempt, this.#random, BACKOFF_MAXIMUM_MS);
    await this.#options.clock.sleep(pause, this.#waits.signal);
  }
}

/** What an answer used, for the limits; where the server does not say, by the length of its text. */
function usedBy(job: Job, { usage, annotations }: Completion): TokenCounts {
  if (usage !== null) return usage;
  const characters = annotations.reduce((sum, text) => sum + (text?.length ?? 0), 0);
  const completionTokens = Math.ceil(characters / CHARACTERS_PER_TOKEN);
  return { promptTokens: job.tokens, completionTokens, cachedTokens: 0, cacheWriteTokens: 0 };
}

function tooLarge(job: Job, limiter: RateLimiter): string {
  return (
    `the request counts as ${plural(limiter.chargeOf(job), 'token')}, more than the limit of ` +
    `${plural(limiter.tokensPerMinute ?? 0, 'token')} per minute allows; lower --max_tokens or shorten the prompt`
  );
}

/** What a run used, over all the sessions that it took. */

import { TEMPORARY_SUFFIX } from '../files.js';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isObject } from '../json.js';
import type { AnswerFigures } from '../annotators/completion.js';
import type { Usage } from '../annotators/usage.js';
import { BATCH_DISCOUNT, costOf, findPrice, type Price } from '../annotators/prices.js';
import type { RunOptions } from '../options.js';
import type { ProcessorCounts } from '../requests/processor.js';
import { readTimeline, Timeline, type RecordedTimeline } from './timeline.js';

/** Figures that no file but this one holds: kept from session to session in `counters.json`. */
interface Carried {
  sent: number;
  throttled: number;
  retried: number;
  /** Tokens of answers that could not be used and were asked for again. */
  wasted: { promptTokens: number; completionTokens: number; cachedTokens: number };
  /** ISO 8601; when the first session began. */
  startedAt: string;
  timeline: RecordedTimeline | null;
}

/** What a run's batches used, by their own record. */
export interface BatchTotals {
  /** Tokens billed at the batch price. */
  usage: Usage;
  /** The part of them that was spent on answers which could not be used. */
  wasted: Usage;
  /** Requests that the API worked on. */
  processed: number;
  /** Answers that went into the journal. */
  answers: number;
}

const SAVE_INTERVAL_MS = 2000;
const NO_USAGE: Usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };

export class Totals {
  readonly startedAt: string;
  /** How asking online went over time. */
  readonly timeline: Timeline;
  readonly #before: Carried;
  readonly #wasted: Usage;
  /** Tokens of the journal's answers and of online answers that could not be used. */
  readonly #tokens: Usage = { ...NO_USAGE };
  /** Those of them that flex processing answered, at the batch price. */
  readonly #flex: Usage = { ...NO_USAGE };
  #batches: BatchTotals = { usage: NO_USAGE, wasted: NO_USAGE, processed: 0, answers: 0 };
  #answers = 0;
  #session: ProcessorCounts = { sent: 0, throttled: 0, retried: 0, answered: 0, failed: 0 };
  #saved = 0;

  /**
   * @param path of `counters.json`; what it holds is added to
   * @param price null where it is not known
   */
  constructor(
    private readonly path: string,
    private price: Price | null,
    now: Date,
  ) {
    this.#before = readCounters(path) ?? {
      sent: 0,
      throttled: 0,
      retried: 0,
      wasted: { promptTokens: 0, completionTokens: 0, cachedTokens: 0 },
      startedAt: now.toISOString(),
      timeline: null,
    };
    this.timeline = new Timeline(this.#before.timeline);
    this.startedAt = this.#before.startedAt;
    this.#wasted = { ...this.#before.wasted };
    add(this.#tokens, this.#wasted);
  }

  /** Looks the model's price up where that was not done at the start. */
  async findPrice({ annotator }: Pick<RunOptions, 'annotator'>): Promise<void> {
    this.price ??= await findPrice(annotator.provider, annotator.model);
  }

  /** The processor whose counts belong to this session. */
  follow(counts: ProcessorCounts): void {
    this.#session = counts;
  }

  /** What the batches of this run came to so far. */
  setBatches(totals: BatchTotals): void {
    this.#batches = totals;
  }

  /** An answer that the journal holds. */
  addAnswer(completion: AnswerFigures): void {
    this.#answers += 1;
    if (completion.usage !== null) add(this.#tokens, completion.usage);
    if (completion.usage !== null && completion.isFlex) add(this.#flex, completion.usage);
  }

  /** Tokens of an unusable answer that the journal holds, so that they need not be carried. */
  addUnusable(usage: Usage): void {
    add(this.#tokens, usage);
  }

  /** Tokens that were paid for an answer which could not be used. */
  addWasted(usage: Usage): void {
    add(this.#wasted, usage);
    add(this.#tokens, usage);
  }

  /** Tokens over all sessions and batches. */
  get tokens(): { prompt: number; completion: number } {
    const { wasted } = this.#batches;
    return {
      prompt: this.#tokens.promptTokens + wasted.promptTokens,
      completion: this.#tokens.completionTokens + wasted.completionTokens,
    };
  }

  /** Requests over all sessions. A killed session may not have counted its last ones, but its answers count. */
  get requests(): { sent: number; throttled: number; retried: number } {
    return {
      sent: this.#sentOnline + this.#batches.processed,
      throttled: this.#before.throttled + this.#session.throttled,
      retried: this.#before.retried + this.#session.retried,
    };
  }

  get #sentOnline(): number {
    return Math.max(this.#before.sent + this.#session.sent, this.#answers - this.#batches.answers);
  }

  /** US dollars so far; null where no price is known. */
  get cost(): number | null {
    if (this.price === null) return null;
    const { usage, wasted } = this.#batches;
    const discounted = costOf(usage, this.price) + costOf(this.#flex, this.price);
    return costOf(this.#tokens, this.price) + costOf(wasted, this.price) - discounted * (1 - BATCH_DISCOUNT);
  }

  /** Saves the figures every few seconds at most, so that a killed session is counted nearly to its end. */
  saveNowAndThen(now: number): void {
    if (now - this.#saved < SAVE_INTERVAL_MS) return;
    this.#saved = now;
    this.save();
  }

  /** Saves the figures; a full disk does not matter here, since answers are saved elsewhere. */
  save(): void {
    const { throttled, retried } = this.requests;
    const sent = this.#before.sent + this.#session.sent;
    const carried: Carried = {
      sent,
      throttled,
      retried,
      wasted: this.#wasted,
      startedAt: this.startedAt,
      timeline: this.timeline.record,
    };
    const temporary = `${this.path}${TEMPORARY_SUFFIX}`;
    try {
      writeFileSync(temporary, JSON.stringify(carried), { mode: 0o600 });
      renameSync(temporary, this.path);
    } catch {
      // Nothing that a result depends on.
    }
  }
}

function add(sum: Usage, usage: Usage): void {
  sum.promptTokens += usage.promptTokens;
  sum.completionTokens += usage.completionTokens;
  sum.cachedTokens += usage.cachedTokens;
}

function readCounters(path: string): Carried | null {
  if (!existsSync(path)) return null;
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (!isObject(value) || typeof value['startedAt'] !== 'string') return null;
    const wasted = isObject(value['wasted']) ? value['wasted'] : {};
    return {
      sent: whole(value['sent']),
      throttled: whole(value['throttled']),
      retried: whole(value['retried']),
      wasted: {
        promptTokens: whole(wasted['promptTokens']),
        completionTokens: whole(wasted['completionTokens']),
        cachedTokens: whole(wasted['cachedTokens']),
      },
      startedAt: value['startedAt'],
      timeline: readTimeline(value['timeline']),
    };
  } catch {
    return null;
  }
}

function whole(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

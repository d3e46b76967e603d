/** What a run used, over all the sessions that it took. */

import { TEMPORARY_SUFFIX } from '../files.js';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isObject } from '../json.js';
import type { Completion, Usage } from '../annotators/completion.js';
import { costOf, type Price } from '../annotators/prices.js';
import type { ProcessorCounts } from '../requests/processor.js';

/** Figures that no file but this one holds: kept from session to session in `counters.json`. */
interface Carried {
  sent: number;
  throttled: number;
  retried: number;
  /** Tokens of answers that could not be used and were asked for again. */
  wasted: { promptTokens: number; completionTokens: number; cachedTokens: number };
  /** ISO 8601; when the first session began. */
  startedAt: string;
}

const SAVE_INTERVAL_MS = 2000;

export class Totals {
  readonly tokens = { prompt: 0, completion: 0, cached: 0 };
  readonly models: Record<string, number> = {};
  readonly startedAt: string;
  readonly #before: Carried;
  readonly #wasted: Usage;
  #answers = 0;
  #session: ProcessorCounts = { sent: 0, throttled: 0, retried: 0, answered: 0, failed: 0 };
  #saved = 0;

  /**
   * @param path of `counters.json`; what it holds is added to
   * @param price null where it is not known
   */
  constructor(
    private readonly path: string,
    private readonly price: Price | null,
    now: Date,
  ) {
    this.#before = readCounters(path) ?? {
      sent: 0,
      throttled: 0,
      retried: 0,
      wasted: { promptTokens: 0, completionTokens: 0, cachedTokens: 0 },
      startedAt: now.toISOString(),
    };
    this.startedAt = this.#before.startedAt;
    this.#wasted = { ...this.#before.wasted };
    this.#addTokens(this.#wasted);
  }

  /** The processor whose counts belong to this session. */
  follow(counts: ProcessorCounts): void {
    this.#session = counts;
  }

  /** An answer that the journal holds. */
  addAnswer(completion: Completion): void {
    this.#answers += 1;
    if (completion.usage !== null) this.#addTokens(completion.usage);
    const model = completion.model?.slice(0, 200) ?? 'unknown';
    const known = Object.hasOwn(this.models, model) ? (this.models[model] ?? 0) : 0;
    Object.defineProperty(this.models, model, {
      value: known + 1,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }

  /** Tokens that were paid for an answer which could not be used. */
  addWasted(usage: Usage): void {
    this.#wasted.promptTokens += usage.promptTokens;
    this.#wasted.completionTokens += usage.completionTokens;
    this.#wasted.cachedTokens += usage.cachedTokens;
    this.#addTokens(usage);
  }

  #addTokens(usage: Usage): void {
    this.tokens.prompt += usage.promptTokens;
    this.tokens.completion += usage.completionTokens;
    this.tokens.cached += usage.cachedTokens;
  }

  /** Requests over all sessions. A killed session may not have counted its last ones, but its answers count. */
  get requests(): { sent: number; throttled: number; retried: number } {
    return {
      sent: Math.max(this.#before.sent + this.#session.sent, this.#answers),
      throttled: this.#before.throttled + this.#session.throttled,
      retried: this.#before.retried + this.#session.retried,
    };
  }

  /** US dollars so far; null where no price is known. */
  get cost(): number | null {
    if (this.price === null) return null;
    const { prompt, completion, cached } = this.tokens;
    return costOf({ promptTokens: prompt, completionTokens: completion, cachedTokens: cached }, this.price);
  }

  /** Saves the figures every few seconds at most, so that a killed session is counted nearly to its end. */
  saveNowAndThen(now: number): void {
    if (now - this.#saved < SAVE_INTERVAL_MS) return;
    this.#saved = now;
    this.save();
  }

  /** Saves the figures; a full disk does not matter here, since answers are saved elsewhere. */
  save(): void {
    const { sent, throttled, retried } = this.requests;
    const carried: Carried = { sent, throttled, retried, wasted: this.#wasted, startedAt: this.startedAt };
    const temporary = `${this.path}${TEMPORARY_SUFFIX}`;
    try {
      writeFileSync(temporary, JSON.stringify(carried), { mode: 0o600 });
      renameSync(temporary, this.path);
    } catch {
      // Nothing that a result depends on.
    }
  }
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
    };
  } catch {
    return null;
  }
}

function whole(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

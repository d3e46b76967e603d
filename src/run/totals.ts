/** What a run used, over all the sessions that it took. */

import { existsSync, readFileSync } from 'node:fs';
import { replaceQuickly } from '../lib/files.js';
import { isObject } from '../lib/json.js';
import { findPrice, shareOf, totalCost, type Cost, type Price } from '../models/prices.js';
import { PRICED_TIERS, type PricedTier } from '../models/service-tiers.js';
import {
  accumulate,
  addUsage,
  copyUsage,
  NO_USAGE,
  restoreUsage,
  type AnswerFigures,
  type Usage,
} from '../models/usage.js';
import type { ModelCall } from '../models/call.js';
import type { JobPart, ProcessorCounts } from '../requests/processor.js';
import type { ScannedEntry } from './journal.js';
import { isPaid, type Copy } from './origin.js';
import { readTimeline, Timeline, type RecordedTimeline } from './timeline.js';

/** Figures that no file but this one holds: kept from session to session in `counters.json`. */
interface Carried {
  sent: number;
  throttled: number;
  retried: number;
  /** Tokens of answers that could not be used and were asked for again. */
  wasted: Usage;
  /** ISO 8601; when the first session began. */
  startedAt: string;
  timeline: RecordedTimeline | null;
  /** What each of several servers did, by its address for people; empty where there was one. */
  servers: ServerCounts;
}

/** Requests and answers of each of several servers. */
export type ServerCounts = Record<string, { requests: number; answers: number }>;

/** What tells how many requests and answers each server had in this session. */
type Standings = () => readonly { server: string; requests: number; answers: number }[];

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

export class Totals {
  /** How asking online went over time. */
  readonly timeline: Timeline;
  readonly #before: Carried;
  readonly #wasted: Usage;
  /** Of the journal's answers and of online answers that could not be used. */
  readonly #used: Usage;
  /** The parts of it that service tiers with a price of their own answered. */
  readonly #tiers: Readonly<Record<PricedTier, Usage>> = {
    flex: copyUsage(NO_USAGE),
    priority: copyUsage(NO_USAGE),
  };
  #batches: BatchTotals = { usage: NO_USAGE, wasted: NO_USAGE, processed: 0, answers: 0 };
  #answers = 0;
  /** Rows whose answers cost nothing here, by where these come from, and what they would have used. */
  readonly #copied: Record<Copy['kind'], number> = { reused: 0, duplicate: 0 };
  readonly #spared: Usage = copyUsage(NO_USAGE);
  #session: ProcessorCounts = { sent: 0, throttled: 0, retried: 0, answered: 0, failed: 0 };
  #standings: Standings = () => [];
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
      wasted: NO_USAGE,
      startedAt: now.toISOString(),
      timeline: null,
      servers: {},
    };
    this.timeline = new Timeline(this.#before.timeline);
    this.#wasted = copyUsage(this.#before.wasted);
    this.#used = copyUsage(this.#wasted);
  }

  /** Looks the model's price up where that was not done at the start. */
  async findPrice({ annotator }: Pick<ModelCall, 'annotator'>): Promise<void> {
    this.price ??= await findPrice(annotator.provider, annotator.model);
  }

  /** When the first session began, in ISO 8601. */
  get startedAt(): string {
    return this.#before.startedAt;
  }

  /**
   * Adds what the sessions of another folder came to.
   * @param path of its `counters.json`
   * @param answers in its journal, which are added one by one
   */
  takeIn(path: string, answers: number): void {
    const other = readCounters(path);
    // A killed session may not have counted its last requests.
    this.#before.sent += Math.max(other?.sent ?? 0, answers);
    if (other === null) return;
    this.#before.throttled += other.throttled;
    this.#before.retried += other.retried;
    addServers(this.#before.servers, countsOf(other.servers));
    this.addWasted(other.wasted);
    if (other.startedAt < this.#before.startedAt) this.#before.startedAt = other.startedAt;
  }

  /**
   * The processor whose counts belong to this session from here on, beside those of an earlier one.
   * @param standings those of its servers, where there are several
   */
  follow(counts: ProcessorCounts, standings: Standings = () => []): void {
    this.#before.servers = this.servers;
    this.#standings = standings;
    this.#before.sent += this.#session.sent;
    this.#before.throttled += this.#session.throttled;
    this.#before.retried += this.#session.retried;
    this.#session = counts;
  }

  /** What the batches of this run came to so far. */
  setBatches(totals: BatchTotals): void {
    this.#batches = totals;
  }

  /** Adds a line of the journal that is read again, as the session that wrote it did. */
  addEntry(entry: ScannedEntry): void {
    if (entry.kind === 'unused') this.addUnused(entry.answer);
    else if (isPaid(entry.origin)) this.addAnswer(entry.answer);
    else this.addCopy(entry.answer, entry.origin, entry.part);
  }

  /** An answer that cost nothing, since another run or row has paid for it. */
  addCopy({ usage }: AnswerFigures, origin: Copy, part: JobPart | null): void {
    // A row that takes several requests counts once.
    if (part === null || part.number === 0) this.#copied[origin.kind] += 1;
    accumulate(this.#spared, usage);
  }

  /** An answer that the journal holds. */
  addAnswer({ usage, tier }: AnswerFigures): void {
    this.#answers += 1;
    accumulate(this.#used, usage);
    if (tier !== 'standard') accumulate(this.#tiers[tier], usage);
  }

  /** An answer that the journal holds and no row uses: the next session finds it there, so `counters.json` leaves it out. */
  addUnused({ usage, tier }: AnswerFigures): void {
    accumulate(this.#used, usage);
    if (tier !== 'standard') accumulate(this.#tiers[tier], usage);
  }

  /** Tokens that were paid for an answer which could not be used, and which no journal holds. */
  addWasted(usage: Usage): void {
    accumulate(this.#wasted, usage);
    accumulate(this.#used, usage);
  }

  get #all(): Usage {
    return addUsage(this.#used, this.#batches.wasted);
  }

  /** Rows that were answered without a request of their own, by where their answers come from. */
  get copied(): Readonly<Record<Copy['kind'], number>> {
    return this.#copied;
  }

  /** US dollars that these answers would have cost online; null where that is not known. */
  get saved(): number | null {
    return totalCost(this.#spared, this.price, [])?.amount ?? null;
  }

  /** Tokens over all sessions and batches. */
  get tokens(): { prompt: number; completion: number } {
    const { promptTokens, completionTokens } = this.#all;
    return { prompt: promptTokens, completion: completionTokens };
  }

  /** The part of the completion that servers report as reasoning. */
  get reasoningTokens(): number {
    return this.#all.reasoningTokens;
  }

  /** Answers whose tokens were counted from their texts, because the server does not report them. */
  get estimatedAnswers(): number {
    return this.#all.estimated;
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

  /** What each of several servers did, over all sessions. */
  get servers(): ServerCounts {
    const all: ServerCounts = {};
    addServers(all, countsOf(this.#before.servers));
    addServers(all, this.#standings());
    return all;
  }

  /** US dollars so far; null where nothing is known of it. */
  get cost(): number | null {
    return this.#cost?.amount ?? null;
  }

  /** True where the cost, or a part of it, had to be estimated. */
  get isCostEstimated(): boolean {
    return this.#cost?.isEstimate ?? false;
  }

  get #cost(): Cost | null {
    const { price } = this;
    const tiers = PRICED_TIERS.map((tier) => ({
      usage: this.#tiers[tier],
      share: price === null ? null : shareOf(price, tier),
    }));
    return totalCost(this.#all, price, [
      { usage: this.#batches.usage, share: price?.batchShare ?? 1 },
      ...tiers,
    ]);
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
      servers: this.servers,
    };
    try {
      replaceQuickly(this.path, JSON.stringify(carried));
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
    return {
      sent: whole(value['sent']),
      throttled: whole(value['throttled']),
      retried: whole(value['retried']),
      wasted: restoreUsage(value['wasted']),
      startedAt: value['startedAt'],
      timeline: readTimeline(value['timeline']),
      servers: readServerCounts(value['servers']),
    };
  } catch {
    return null;
  }
}

/** More servers than a run can have are a mistake. */
const MOST_SERVERS = 10_000;

function readServerCounts(value: unknown): ServerCounts {
  const counts: ServerCounts = {};
  if (!isObject(value)) return counts;
  for (const [server, one] of Object.entries(value).slice(0, MOST_SERVERS))
    if (isObject(one)) counts[server] = { requests: whole(one['requests']), answers: whole(one['answers']) };
  return counts;
}

function countsOf(servers: ServerCounts): ReturnType<Standings> {
  return Object.entries(servers).map(([server, counts]) => ({ server, ...counts }));
}

function addServers(sum: ServerCounts, counts: ReturnType<Standings>): void {
  for (const { server, requests, answers } of counts) {
    const before = sum[server] ?? { requests: 0, answers: 0 };
    sum[server] = { requests: before.requests + requests, answers: before.answers + answers };
  }
}

function whole(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

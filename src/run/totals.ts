/** What a run used, over all the sessions that it took. */

import { existsSync } from 'node:fs';
import { replaceQuickly, readOwnText } from '../lib/files.js';
import { isObject } from '../lib/json.js';
import { resolveAnnotator, type Annotator } from '../models/annotators.js';
import type { Cost, Price } from '../models/prices.js';
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
import { Account, type BatchUsage } from './account.js';
import type { ScannedEntry } from './journal.js';
import { annotatorOf, isPaid, type Copy } from './origin.js';
import { readTimeline, Timeline, type RecordedTimeline } from './timeline.js';

/** Figures that no file but this one holds: kept from session to session in `counters.json`. */
interface Carried {
  sent: number;
  throttled: number;
  retried: number;
  /** Tokens of answers that could not be used and were asked for again. */
  wasted: Usage;
  /** The same by the names of other annotators; absent where there are none. */
  others?: Record<string, Usage>;
  /** Tokens that were used at off-peak hours, also those of answers that the journal holds; absent where none were. */
  offPeak?: Usage;
  /** The same by the names of other annotators. */
  othersOffPeak?: Record<string, Usage>;
  /** ISO 8601; when the first session began. */
  startedAt: string;
  timeline: RecordedTimeline | null;
  /** What each of several servers did, by its address for people; empty where there was one. */
  servers: ServerCounts;
}

/** Requests and answers of each of several servers. */
export type ServerCounts = Record<string, { requests: number; answers: number }>;

/** The source of the number of requests and answers of each server in this session. */
type Standings = () => readonly { server: string; requests: number; answers: number }[];

/** What a run's batches used, by their own record. */
export interface BatchTotals extends BatchUsage {
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
  readonly #own: Account;
  /** By their names, annotators other than the run's own. */
  readonly #others = new Map<string, Account>();
  #batches: BatchTotals = { usage: NO_USAGE, wasted: NO_USAGE, processed: 0, answers: 0 };
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
    price: Price | null,
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
    const { wasted, others = {}, offPeak, othersOffPeak = {} } = this.#before;
    this.#own = new Account(wasted, price, offPeak);
    for (const [name, ofOther] of Object.entries(others))
      this.#others.set(name, new Account(ofOther, null, othersOffPeak[name]));
  }

  /** Looks the model's price up where that was not done at the start. */
  async findPrice({ annotator }: Pick<ModelCall, 'annotator'>): Promise<void> {
    await this.#own.findPrice(annotator);
    await this.findOtherPrices();
  }

  /** Looks up what annotators other than the run's own cost; one that a server of the user's own has may have no price. */
  async findOtherPrices(): Promise<void> {
    for (const [name, account] of this.#others) {
      const annotator = annotatorNamed(name);
      if (annotator !== null) await account.findPrice(annotator);
    }
  }

  /** What the answers of an annotator used; null for the run's own. */
  accountOf(annotator: string | null): Account {
    if (annotator === null) return this.#own;
    const known = this.#others.get(annotator) ?? new Account(NO_USAGE, null);
    this.#others.set(annotator, known);
    return known;
  }

  /** Annotators other than the run's own, by their names. */
  get others(): ReadonlyMap<string, Account> {
    return this.#others;
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
    this.#own.addWasted(other.wasted);
    for (const [name, wasted] of Object.entries(other.others ?? {})) this.accountOf(name).addWasted(wasted);
    this.#own.addOffPeak(other.offPeak ?? NO_USAGE);
    for (const [name, usage] of Object.entries(other.othersOffPeak ?? {}))
      this.accountOf(name).addOffPeak(usage);
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
    this.#own.batches = totals;
  }

  /** Adds a line of the journal that is read again, as the session that wrote it did. */
  addEntry(entry: ScannedEntry): void {
    const account = this.accountOf(annotatorOf(entry.origin));
    if (entry.kind === 'unused') account.addUnused(entry.answer);
    else if (isPaid(entry.origin)) account.addAnswer(entry.answer);
    else this.addCopy(entry.answer, entry.origin, entry.part);
  }

  /** An answer that cost nothing, since another run or row has paid for it. */
  addCopy({ usage }: AnswerFigures, origin: Copy, part: JobPart | null): void {
    // A row that takes several requests counts once.
    if (part === null || part.number === 0) this.#copied[origin.kind] += 1;
    accumulate(this.#spared, usage);
  }

  /** An answer of the run's own annotator that the journal holds. */
  addAnswer(answer: AnswerFigures): void {
    this.#own.addAnswer(answer);
  }

  /** The same for one that no row uses. */
  addUnused(answer: AnswerFigures): void {
    this.#own.addUnused(answer);
  }

  get #accounts(): Account[] {
    return [this.#own, ...this.#others.values()];
  }

  get #all(): Usage {
    return this.#accounts.map(({ usage }) => usage).reduce(addUsage);
  }

  /** Rows that were answered without a request of their own, by where their answers come from. */
  get copied(): Readonly<Record<Copy['kind'], number>> {
    return this.#copied;
  }

  /** US dollars that these answers would have cost online; null where that is not known. */
  get saved(): number | null {
    return this.#own.costOf(this.#spared);
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
    const answers = this.#accounts.reduce((sum, account) => sum + account.answers, 0);
    return Math.max(this.#before.sent + this.#session.sent, answers - this.#batches.answers);
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
    const sum = this.#own.cost;
    if (sum === null) return null;
    for (const { usage, cost } of this.#others.values()) {
      if (usage.promptTokens + usage.completionTokens === 0) continue;
      if (cost === null) return null;
      sum.amount += cost.amount;
      sum.isEstimate ||= cost.isEstimate;
    }
    return sum;
  }

  /** Saves the figures every few seconds at most, so that a killed session is counted nearly to its end. */
  saveNowAndThen(now: number): void {
    if (now - this.#saved < SAVE_INTERVAL_MS) return;
    this.#saved = now;
    this.save();
  }

  /** What other annotators' accounts hold, by their names. */
  #ofOthers(part: (account: Account) => Usage): Record<string, Usage> {
    return Object.fromEntries([...this.#others].map(([name, account]) => [name, part(account)]));
  }

  /** Fields that only a run with off-peak hours has. */
  get #offPeak(): Pick<Carried, 'offPeak' | 'othersOffPeak'> {
    const isUsed = ({ offPeak }: Account): boolean => offPeak.promptTokens + offPeak.completionTokens > 0;
    return {
      ...(isUsed(this.#own) ? { offPeak: this.#own.offPeak } : {}),
      ...([...this.#others.values()].some(isUsed)
        ? { othersOffPeak: this.#ofOthers(({ offPeak }) => offPeak) }
        : {}),
    };
  }

  /** Saves the figures; a full disk does not matter here, since answers are saved elsewhere. */
  save(): void {
    const { throttled, retried } = this.requests;
    const sent = this.#before.sent + this.#session.sent;
    const carried: Carried = {
      sent,
      throttled,
      retried,
      wasted: this.#own.wasted,
      ...(this.#others.size === 0 ? {} : { others: this.#ofOthers(({ wasted }) => wasted) }),
      ...this.#offPeak,
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

/** Null for a name that no annotator can have: files may have been edited. */
function annotatorNamed(name: string): Annotator | null {
  try {
    return resolveAnnotator(name, true);
  } catch {
    return null;
  }
}

function readCounters(path: string): Carried | null {
  if (!existsSync(path)) return null;
  try {
    const value: unknown = JSON.parse(readOwnText(path));
    if (!isObject(value) || typeof value['startedAt'] !== 'string') return null;
    return {
      sent: whole(value['sent']),
      throttled: whole(value['throttled']),
      retried: whole(value['retried']),
      wasted: restoreUsage(value['wasted']),
      ...(isObject(value['others']) ? { others: restoreUsages(value['others']) } : {}),
      ...(isObject(value['offPeak']) ? { offPeak: restoreUsage(value['offPeak']) } : {}),
      ...(isObject(value['othersOffPeak']) ? { othersOffPeak: restoreUsages(value['othersOffPeak']) } : {}),
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

function restoreUsages(values: Record<string, unknown>): Record<string, Usage> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, restoreUsage(value)]));
}

function whole(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

/**
 * A run in progress, from its working files: a look costs what is new since the last one. Nothing is changed, and
 * other processes may write the files.
 */

import { existsSync } from 'node:fs';
import { hasEnded } from '../batches/batch.js';
import { readSummary } from '../judge/figures.js';
import { isObject } from '../lib/json.js';
import { lockHolder } from '../lib/lock.js';
import { answerRules, type AnswerRules } from '../models/answer-rules.js';
import { offPeakSaving } from '../models/prices.js';
import { restoreUsage, type AnswerFigures } from '../models/usage.js';
import { requestFiles } from '../run/folder.js';
import { isPaid, type Origin } from '../run/origin.js';
import { costOfAnswer, hasHourlyPrice } from './answer-figures.js';
import {
  batchesIn,
  readJsonFile,
  reportOf,
  shownError,
  type CollectOptions,
  type ReportedRun,
} from './collect.js';
import type { ReportData, ShownRow } from './data.js';
import { readJudgements } from './judgements.js';
import { FilesReplaced, LivePart, type RowChanges } from './live-part.js';
import { Pass } from './pass.js';
import { ROW_STATES, type RowState } from '../types.js';
import type { RowFacts } from './shown-row.js';

/** How many locks are checked at each look where a plan has many shards. */
const MOST_LOCKS = 64;

/** What the answers so far came to. */
interface Sums {
  prompt: number;
  completion: number;
  reasoning: number;
  /** Null as soon as the cost of one answer is not known. */
  cost: number | null;
  models: Map<string, number>;
}

/** The progress of a run. */
export interface LiveFigures {
  status: ReportData['status'];
  rows: { total: number } & Record<RowState, number>;
  /** What `summary.json` would hold by now. */
  summary: Record<string, unknown>;
}

export class LiveRun {
  #pass: Pass;
  #sums: Sums = noSums();
  readonly #parts = new Map<number, LivePart>();
  #status: ReportData['status'] = 'running';

  constructor(
    private readonly run: ReportedRun,
    private readonly options: Omit<CollectOptions, 'onProgress' | 'now'>,
  ) {
    this.#pass = this.#newPass();
  }

  /**
   * Reads what was written since the last time.
   * @returns true where the page would change
   */
  async update(): Promise<boolean> {
    const rules = await this.#readRules();
    const before = this.#status;
    let isChanged: boolean;
    try {
      isChanged = await this.#readParts(rules);
    } catch (error) {
      if (!(error instanceof FilesReplaced)) throw error;
      this.#startOver();
      await this.#readParts(rules);
      isChanged = true;
    }
    this.#status = this.#statusNow();
    return isChanged || before !== this.#status;
  }

  /** The page's data as of the last update. */
  report(now: Date): ReportData {
    const parts = [...this.#parts.values()];
    const known = parts.reduce((sum, { index }) => sum + index.rows, 0);
    const planned = this.run.parts.reduce((sum, { rows }) => sum + (Number.isFinite(rows) ? rows : 0), 0);
    const counted = this.#pass.result(this.run.parts.length > 1 ? Math.max(known, planned) : known);
    for (const row of counted.shown) this.#addTimes(row);
    const options = { ...this.options, now };
    return reportOf(this.run, options, counted, { status: this.#status, summary: this.#summary() });
  }

  /** What is known of a row once its answer's time is, which is written after the answer. */
  #addTimes({ row, figures }: ShownRow): void {
    const place = this.run.parts.findIndex(({ start, rows }) => row >= start && row < start + rows);
    const part = this.#parts.get(place);
    if (figures === null || part === undefined) return;
    const own = row - (this.run.parts[place]?.start ?? 0);
    figures.latency = part.latencyOf(own);
    if (hasHourlyPrice(this.run.pricing)) figures.cost = part.costOf(own);
  }

  /** What the answers so far come to, without a page. */
  get figures(): LiveFigures {
    const rows = {
      total: 0,
      ...Object.fromEntries(ROW_STATES.map((state) => [state, 0])),
    } as LiveFigures['rows'];
    for (const { index } of this.#parts.values()) {
      rows.total += index.rows;
      for (const state of ROW_STATES) rows[state] += index.count(state);
    }
    return { status: this.#status, rows, summary: this.#summary() };
  }

  #newPass(): Pass {
    const { sample, rows, onlyRows } = this.options;
    return new Pass({ sample, rows, onlyRows, verdicts: readJudgements(this.run.folder.judgements) });
  }

  #startOver(): void {
    for (const part of this.#parts.values()) part.close();
    this.#parts.clear();
    this.#pass = this.#newPass();
    this.#sums = noSums();
  }

  async #readRules(): Promise<AnswerRules> {
    const { accept_finish_reason: accepted, response_format: format = null } = this.run.config.params ?? {};
    const acceptFinishReason = Array.isArray(accepted) ? accepted.map(String) : [];
    return answerRules({ acceptFinishReason, generation: { response_format: format } });
  }

  async #readParts(rules: AnswerRules): Promise<boolean> {
    const { config, pricing, parts } = this.run;
    const reading = {
      ...{ params: config.params ?? {}, rules, pricing },
      shownError: (error: string) => shownError(error, this.options.isPublic),
    };
    const changes: RowChanges = {
      add: (row, facts) => {
        this.#pass.add(row, facts);
        this.#countModel(facts, 1);
      },
      remove: (row, facts) => {
        this.#pass.remove(row, facts);
        this.#countModel(facts, -1);
      },
      spend: (figures, origin) => {
        this.#spend(figures, origin);
      },
    };
    let isChanged = false;
    for (const [place, part] of parts.entries()) {
      const open = this.#parts.get(place) ?? (await LivePart.open(part, reading, changes));
      if (open === null) continue;
      this.#parts.set(place, open);
      if (await open.update(changes)) isChanged = true;
    }
    return isChanged;
  }

  #countModel({ figures }: RowFacts, times: 1 | -1): void {
    if (figures === null) return;
    const { models } = this.#sums;
    const model = figures.model ?? 'unknown';
    models.set(model, (models.get(model) ?? 0) + times);
  }

  #spend(figures: AnswerFigures, origin: Origin | null): void {
    if (!isPaid(origin)) return;
    const sums = this.#sums;
    const { promptTokens, completionTokens, reasoningTokens } = figures.usage;
    sums.prompt += promptTokens;
    sums.completion += completionTokens;
    sums.reasoning += reasoningTokens;
    const cost = costOfAnswer(figures, origin, this.run.pricing);
    sums.cost = sums.cost === null || cost === null ? null : sums.cost + cost;
  }

  /** What `summary.json` would hold by now; once the run is over, what it holds. */
  #summary(): Record<string, unknown> {
    const { folder, pricing } = this.run;
    if (this.#status === 'finished') return readSummary(folder.summary);
    const { prompt, completion, reasoning, cost, models } = this.#sums;
    const counters = readJsonFile(folder.counters);
    const { sent, throttled, retried, startedAt } = isObject(counters) ? counters : {};
    return {
      ...(typeof sent === 'number' ? { requests: { sent, throttled, retried } } : {}),
      tokens: { prompt, completion, ...(reasoning > 0 ? { reasoning } : {}) },
      cost_usd: cost === null ? null : Math.max(0, cost - this.#offPeakSaving()),
      models: Object.fromEntries([...models].filter(([, answers]) => answers > 0)),
      mode: pricing.isBatch ? 'batch' : 'online',
      started_at: startedAt,
    };
  }

  /** What the answers cost less than at the dearest hours; only the run's counters record when they were given. */
  #offPeakSaving(): number {
    const { pricing, parts } = this.run;
    const { price } = pricing;
    if (price === null) return 0;
    const savings = parts.map(({ folder }) => {
      const counters = readJsonFile(requestFiles(folder).counters);
      return offPeakSaving(restoreUsage(isObject(counters) ? counters['offPeak'] : null), price);
    });
    return savings.reduce((sum, saving) => sum + saving, 0);
  }

  #statusNow(): ReportData['status'] {
    const { folder, parts } = this.run;
    const isPending = [...this.#parts.values()].some(({ index }) => index.count('pending') > 0);
    const isWorkedOn = [folder.temp, ...parts.slice(0, MOST_LOCKS).map((part) => part.folder)].some(
      (path) => existsSync(path) && lockHolder(path) !== null,
    );
    // A provider works on a batch whether a process waits for it or not.
    if (isWorkedOn || batchesIn(folder).some((batch) => !hasEnded(batch))) return 'running';
    return !isPending && this.#parts.size > 0 && existsSync(folder.summary) ? 'finished' : 'stopped';
  }
}

function noSums(): Sums {
  return { prompt: 0, completion: 0, reasoning: 0, cost: 0, models: new Map() };
}

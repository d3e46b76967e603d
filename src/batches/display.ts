/** What people see of batches in progress: a line a batch, and one for the whole. */

import { count, duration, sanitize, plural } from '../lib/text.js';
import { hasEnded, type Batch } from './batch.js';
import type { Chunk } from './chunk.js';
import type { Ledger } from './ledger.js';

/** Seconds of work before an estimate means something. */
const ESTIMATE_AFTER_S = 5;
/** OpenAI gives a batch a day. */
const WINDOW_S = 86_400;

/** Where more batches change at once, the line for the whole is enough. */
const CHANGES_TOLD = 20;

/** The progress of all batches of a run. */
export interface BatchProgress {
  /** `waiting`: not submitted yet, since the provider's queue is full. */
  batches: { total: number; ended: number; waiting: number };
  /** As reported by the provider. */
  requests: { total: number; done: number; failed: number };
}

/** Shows a ledger. */
export class BatchDisplay {
  readonly #announced = new Map<number, string>();
  #total = '';

  constructor(private readonly ledger: Ledger) {}

  /**
   * The table for a terminal.
   * @param rows lines that fit
   */
  table(now: Date, rows: number): string[] {
    const chunks = inOrderOfInterest(this.ledger);
    const shown = chunks.slice(0, chunks.length <= rows - 2 ? chunks.length : Math.max(1, rows - 3));
    const more = chunks.length - shown.length;
    return [
      totalLine(this.ledger),
      ...shown.map((chunk) => chunkLine(chunk, now)),
      ...(more > 0 ? [`… and ${plural(more, 'more batch', 'more batches')}`] : []),
    ];
  }

  /** What changed since the last call, for a log or where there is no terminal. */
  changes(now: Date): string[] {
    const changed = this.ledger.chunks.filter((chunk) => {
      const key = `${chunk.state} ${chunk.batch?.id ?? ''} ${chunk.batch?.status ?? ''} ${JSON.stringify(chunk.batch?.counts)}`;
      const isNew =
        this.#announced.get(chunk.number) !== key &&
        !['halved', 'collected', 'given_up'].includes(chunk.state);
      this.#announced.set(chunk.number, key);
      return isNew;
    });
    const lines = changed.length > CHANGES_TOLD ? [] : changed.map((chunk) => chunkLine(chunk, now));
    const total = totalLine(this.ledger);
    if (total !== this.#total || lines.length > 0) lines.push(total);
    this.#total = total;
    return lines;
  }
}

/** One line for a chunk: its batch, status, counts, age and an estimate. */
function chunkLine(chunk: Chunk, now: Date): string {
  const { batch } = chunk;
  if (batch === null) {
    const state = chunk.state === 'waiting' ? 'waits for room in the queue' : 'not submitted';
    return `${state} · ${plural(chunk.requests, 'request')} · ${chunk.file ?? `chunk ${chunk.number}`}`;
  }
  const seconds = now.getTime() / 1000;
  const began = Math.max(batch.createdAt, (chunk.creatingAt ?? 0) / 1000);
  const age = duration(Math.max(0, (batch.endedAt ?? seconds) - began) * 1000);
  const left = hasEnded(batch) ? null : estimate(batch, seconds);
  const parts = [sanitize(batch.status, 20), countsOf(chunk, batch), age];
  if (left !== null) parts.push(`about ${duration(left * 1000)} left`);
  if (chunk.state === 'short') parts.push('answers missing');
  if (chunk.state === 'gone') parts.push('not in the account');
  if (chunk.state === 'submitted' && chunk.doubt !== null) parts.push('waiting for the rest');
  // The id comes last: where the terminal is narrow it is the least needed.
  return [...parts, sanitize(batch.id, 80)].join(' · ');
}

/** `done / failed / total`, as far as the API reports them. */
function countsOf(chunk: Chunk, batch: Batch): string {
  const { completed, failed, total } = batch.counts;
  return `${count(completed)} done / ${count(failed)} failed / ${count(Math.max(total, chunk.requests))}`;
}

/** Seconds until a batch is done at the pace that it had so far; null where nothing can be said. */
function estimate(batch: Batch, now: number): number | null {
  const { completed, failed, total } = batch.counts;
  const done = completed + failed;
  const worked = now - (batch.inProgressAt ?? now);
  if (done === 0 || total === 0 || worked < ESTIMATE_AFTER_S) return null;
  return Math.min((worked / done) * Math.max(0, total - done), WINDOW_S);
}

/** The progress of a run's batches when they were last checked. */
export function batchProgress(ledger: Ledger): BatchProgress {
  const { batches, chunks } = ledger;
  const live = chunks.flatMap(({ batch }) => (batch === null ? [] : [batch]));
  const ended = live.filter(hasEnded).length;
  const waiting = chunks.filter(({ state }) => state === 'waiting').length;
  const done = batches.reduce((sum, batch) => sum + batch.counts.completed, 0);
  const failed = batches.reduce((sum, batch) => sum + batch.counts.failed, 0);
  const requests = chunks.reduce(
    (sum, chunk) =>
      sum + (chunk.state === 'halved' ? 0 : Math.max(chunk.requests, chunk.batch?.counts.total ?? 0)),
    0,
  );
  return {
    batches: { total: live.length + waiting, ended, waiting },
    requests: { total: requests, done, failed },
  };
}

/** The line for the whole: batches by what they are at, and requests. */
function totalLine(ledger: Ledger): string {
  const { batches, requests } = batchProgress(ledger);
  const parts = [
    `${count(batches.ended)} of ${count(batches.total)} batches ended`,
    `${count(requests.done)} done / ${count(requests.failed)} failed / ${count(requests.total)} requests`,
  ];
  if (batches.waiting > 0) parts.push(`${count(batches.waiting)} waiting for the queue`);
  return parts.join(' · ');
}

/** Chunks in the order in which people want to see them: what moves first, then what waits, then what is done. */
function inOrderOfInterest(ledger: Ledger): Chunk[] {
  const rank = ({ state, batch }: Chunk): number => {
    if (batch !== null && !hasEnded(batch)) return batch.counts.completed > 0 ? 0 : 1;
    if (state === 'waiting') return 2;
    return state === 'submitted' ? 0 : 3;
  };
  return ledger.chunks
    .filter(({ state }) => state !== 'halved')
    .sort((a, b) => rank(a) - rank(b) || a.number - b.number);
}

/** How far a planned run is: what the small files of its shards come to. */

import { count, dollars, duration, sanitize, plural } from '../lib/text.js';
import { ROW_STATES, type RowState } from '../types.js';
import type { Plan } from './plan.js';
import type { ShardState } from './state.js';

/** A worker that wrote nothing for this long is called silent. */
export const SILENT_MS = 60_000;

/** Where a shard is. */
export type Standing = 'open' | 'working' | 'silent' | 'stopped' | 'done' | 'foreign';

const STANDINGS: readonly Standing[] = ['done', 'working', 'silent', 'stopped', 'open', 'foreign'];

export interface ShardLine {
  shard: number;
  standing: Standing;
  rows: number;
  /** Rows that are not pending. */
  finished: number;
  worker: string | null;
  updated_at: string | null;
  message: string | null;
}

export interface Overview {
  shards: { total: number } & Record<Standing, number>;
  rows: { total: number } & Record<RowState, number>;
  requests: { sent: number; throttled: number; retried: number };
  tokens: { prompt: number; completion: number };
  /** US dollars of the shards whose price is known; null where none is. */
  cost_usd: number | null;
  /** Why all workers stopped; null where they did not. */
  stopped: string | null;
  list: ShardLine[];
}

/** When each shard's file was seen to change last, by this process's own clock. */
export class ChangeWatch {
  readonly #seen = new Map<number, { updated: string; at: number }>();

  /** Milliseconds since a shard's file changed; null at the first look. */
  silence(shard: number, updated: string, now: number): number | null {
    const before = this.#seen.get(shard);
    if (before?.updated === updated) return now - before.at;
    this.#seen.set(shard, { updated, at: now });
    return before === undefined ? null : 0;
  }
}

/**
 * Adds up what the shards say.
 * @param silence milliseconds since a worker's last sign, as far as that is known; null where it is not
 */
export function overview(
  plan: Plan,
  stopped: string | null,
  read: (shard: number) => ShardState | 'unreadable' | null,
  silence: (shard: number, state: ShardState) => number | null,
): Overview {
  const result: Overview = {
    shards: { total: plan.shards.length, open: 0, working: 0, silent: 0, stopped: 0, done: 0, foreign: 0 },
    rows: { total: plan.rows, ok: 0, truncated: 0, refused: 0, filtered: 0, failed: 0, pending: plan.rows },
    requests: { sent: 0, throttled: 0, retried: 0 },
    tokens: { prompt: 0, completion: 0 },
    cost_usd: null,
    stopped,
    list: [],
  };
  plan.shards.forEach((planned, shard) => {
    const state = read(shard);
    const isOwn =
      state !== null && state !== 'unreadable' && state.plan === plan.digest && state.shard === shard;
    const line: ShardLine = {
      shard,
      standing: state === null ? 'open' : 'foreign',
      rows: planned.rows,
      finished: 0,
      worker: null,
      updated_at: null,
      message: null,
    };
    if (isOwn) {
      line.standing = standingOf(state, silence(shard, state));
      line.finished = state.rows.total - state.rows.pending;
      line.worker = `${sanitize(state.worker.host, 60)}/${state.worker.pid}`;
      line.updated_at = sanitize(state.updated_at, 40);
      line.message = state.message === null ? null : sanitize(state.message, 300);
      add(result, state);
    }
    result.shards[line.standing] += 1;
    result.list.push(line);
  });
  return result;
}

function standingOf({ phase }: ShardState, silence: number | null): Standing {
  return phase === 'working' && silence !== null && silence >= SILENT_MS ? 'silent' : phase;
}

function add(result: Overview, { rows, requests, tokens, cost_usd: cost }: ShardState): void {
  for (const state of ROW_STATES) if (state !== 'pending') result.rows[state] += rows[state];
  result.rows.pending -= rows.total - rows.pending;
  result.requests.sent += requests.sent;
  result.requests.throttled += requests.throttled;
  result.requests.retried += requests.retried;
  result.tokens.prompt += tokens.prompt;
  result.tokens.completion += tokens.completion;
  if (cost !== null) result.cost_usd = (result.cost_usd ?? 0) + cost;
}

/** What changed between two looks. */
export interface Pace {
  /** Rows a second. */
  rate: number;
}

/** The overview as lines, at most `most` of them. */
export function overviewLines(seen: Overview, pace: Pace | null, most: number): string[] {
  const { shards, rows, requests, tokens, cost_usd: cost } = seen;
  const finished = rows.total - rows.pending;
  const standings = STANDINGS.filter((one) => shards[one] > 0).map((one) => `${count(shards[one])} ${one}`);
  const share = Math.floor((finished / Math.max(1, rows.total)) * 100);
  const left =
    pace === null || pace.rate <= 0 || rows.pending === 0
      ? ''
      : `, ${count(Math.round(pace.rate))}/s, ${duration((rows.pending / pace.rate) * 1000)} left`;
  const states = ROW_STATES.filter((one) => one !== 'pending' && rows[one] > 0).map(
    (one) => `${count(rows[one])} ${one}`,
  );
  const head = [
    `Shards:   ${standings.join(', ')} of ${count(shards.total)}`,
    `Rows:     ${count(finished)} of ${count(rows.total)} (${share} %${left})${states.length === 0 ? '' : `: ${states.join(', ')}`}`,
    `Requests: ${count(requests.sent)} sent, ${count(requests.throttled)} throttled, ${count(requests.retried)} retried`,
    `Tokens:   ${count(tokens.prompt)} prompt, ${count(tokens.completion)} completion${cost === null ? '' : `; ${dollars(cost)}`}`,
    ...(seen.stopped === null ? [] : [`Stopped:  ${seen.stopped}`]),
  ];
  const shown = seen.list.filter(({ standing }) => standing !== 'open' && standing !== 'done');
  const room = Math.max(0, most - head.length - 1);
  const lines = shown.slice(0, room).map(lineOf);
  if (shown.length > room) lines.push(`… and ${plural(shown.length - room, 'more shard')}`);
  return [...head, ...lines];
}

function lineOf({ shard, standing, rows, finished, worker, message }: ShardLine): string {
  const percent = `${Math.floor((finished / Math.max(1, rows)) * 100)} %`;
  const parts = [
    String(shard).padStart(6),
    standing.padEnd(8),
    percent.padStart(6),
    worker ?? '',
    message ?? '',
  ];
  return parts.filter((part) => part !== '').join('  ');
}

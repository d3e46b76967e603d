/** `state.json` of a shard: the one small file that says how far it is. */

import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { replaceFile, replaceQuickly, readOwnText } from '../lib/files.js';
import { holdsLock } from '../lib/fence.js';
import { isObject, parseJson } from '../lib/json.js';
import type { ParameterChange } from '../requests/parameters.js';
import type { RowCountsByState } from '../run/assembled.js';
import { ROW_STATES } from '../types.js';

const LARGEST_STATE_BYTES = 1 << 20;

/** `done`: every row has an answer, or failed permanently. `stopped`: a worker left before that. */
export type Phase = 'working' | 'stopped' | 'done';

export interface ShardState {
  /** Digest of the plan. */
  plan: string;
  shard: number;
  /** Its first row in the dataset. */
  start: number;
  phase: Phase;
  rows: RowCountsByState;
  /** Of the rows as they were read: what the plan says of its range. */
  input: string;
  /** SHA-256 of `rows.jsonl`, hexadecimal. */
  rows_sha256: string;
  /** Bytes of each segment of the journal, by its number; known once the shard is done. */
  segments: Record<string, number>;
  requests: { sent: number; throttled: number; retried: number };
  tokens: { prompt: number; completion: number };
  cost_usd: number | null;
  /** Parameters that the API made a worker change. */
  parameter_changes: ParameterChange[];
  worker: { host: string; pid: number };
  /** ISO 8601, by the worker's clock. */
  updated_at: string;
  /** Why the worker left; null where there is nothing to say. */
  message: string | null;
  /** What the shard has in the account's queue; absent for a shard without batches. */
  queue?: { tokens: number; limit: number | null };
}

/** What a state is about, apart from what this process adds. */
export type StateFigures = Omit<ShardState, 'worker' | 'updated_at'>;

export function statePath(shardDir: string): string {
  return join(shardDir, 'state.json');
}

/** Reads a state: null where there is none, `unreadable` where the file holds something else. */
export function readState(shardDir: string): ShardState | 'unreadable' | null {
  const path = statePath(shardDir);
  if (!existsSync(path)) return null;
  try {
    const value = parseJson(readOwnText(path, LARGEST_STATE_BYTES));
    return isState(value) ? value : 'unreadable';
  } catch {
    return 'unreadable';
  }
}

/** The same for where a file that holds something else is as good as none. */
export function knownState(shardDir: string): ShardState | null {
  const state = readState(shardDir);
  return state === 'unreadable' ? null : state;
}

/** Saves the state of a shard whose lease this process holds; one that is lost is another's to write. */
export async function writeState(shardDir: string, figures: StateFigures): Promise<void> {
  if (!holdsLock()) return;
  await replaceFile(statePath(shardDir), (file) => {
    file.write(asText(figures));
  });
}

/** The same without waiting for the disk, for what is written every few seconds; nothing depends on it. */
export function noteState(shardDir: string, figures: StateFigures): void {
  if (!holdsLock()) return;
  try {
    replaceQuickly(statePath(shardDir), asText(figures));
  } catch {
    // A full disk shows where answers are saved.
  }
}

function asText(figures: StateFigures): string {
  const worker = { host: hostname(), pid: process.pid };
  const state: ShardState = { ...figures, worker, updated_at: new Date().toISOString() };
  return `${JSON.stringify(state)}\n`;
}

function isState(value: unknown): value is ShardState {
  if (!isObject(value)) return false;
  const { plan, shard, start, phase, rows, input, rows_sha256: sha256, segments, requests, tokens } = value;
  const { cost_usd: cost, parameter_changes: changes, worker, updated_at: updated, message, queue } = value;
  return (
    typeof plan === 'string' &&
    isWhole(shard) &&
    isWhole(start) &&
    (phase === 'working' || phase === 'stopped' || phase === 'done') &&
    hasWholes(rows, ['total', ...ROW_STATES]) &&
    typeof input === 'string' &&
    typeof sha256 === 'string' &&
    isObject(segments) &&
    Object.values(segments).every(isWhole) &&
    hasWholes(requests, ['sent', 'throttled', 'retried']) &&
    hasWholes(tokens, ['prompt', 'completion']) &&
    (cost === null || typeof cost === 'number') &&
    Array.isArray(changes) &&
    isObject(worker) &&
    typeof worker['host'] === 'string' &&
    isWhole(worker['pid']) &&
    typeof updated === 'string' &&
    (message === null || typeof message === 'string') &&
    (queue === undefined || isQueue(queue))
  );
}

function isQueue(value: unknown): boolean {
  return isObject(value) && isWhole(value['tokens']) && (value['limit'] === null || isWhole(value['limit']));
}

function isWhole(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function hasWholes(value: unknown, names: readonly string[]): boolean {
  return isObject(value) && names.every((name) => isWhole(value[name]));
}

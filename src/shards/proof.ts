/**
 * The proof that a run's shards are whole, before their answers become results: each shard of the plan once, none of
 * another plan, none still worked on, none with less than its worker left. What is known without reading rows and
 * journals is decided here; `compareCounts` decides on the rest.
 */

import { count, sanitize, plural } from '../lib/text.js';
import type { RowCountsByState } from '../run/assembled.js';
import { ROW_STATES } from '../types.js';
import { inputDigest } from './rows.js';
import { ranges } from './ranges.js';
import type { Plan } from './plan.js';
import type { ShardState } from './state.js';

/** What is found in the folder of one shard. */
export interface FoundShard {
  state: ShardState | 'unreadable' | null;
  /** Who holds its lock, for people; null where nobody does. */
  owner: string | null;
  hasRows: boolean;
  /** Bytes of each segment of its journal, by its number. */
  segments: Readonly<Record<string, number>>;
}

/** One sentence about what a shard lacks, and whether another worker would set it right. */
export interface Problem {
  /** Null where the folder is none of the plan's. */
  shard: number | null;
  kind: 'missing' | 'working' | 'incomplete' | 'foreign' | 'doubled' | 'overlapping' | 'cut';
  message: string;
}

/**
 * Everything that keeps shards from being merged, in the order of their numbers.
 * @param names of what is in `shards/`
 * @param find looks into the folder of a shard; null where there is none
 */
export function findProblems(
  plan: Plan,
  names: readonly string[],
  find: (shard: number) => FoundShard | null,
): Problem[] {
  const problems: Problem[] = [];
  for (const shard of plan.shards.keys()) {
    const problem = problemOf(plan, shard, find(shard));
    if (problem !== null) problems.push(problem);
  }
  // What file systems and desktops leave in folders begins with a dot (`.nfs…`, `.snapshot`, `.DS_Store`).
  for (const name of names.filter((one) => !one.startsWith('.'))) {
    const number = /^(?:0|[1-9]\d{0,8})$/.test(name) ? Number(name) : NaN;
    if (number < plan.shards.length) continue;
    const message = `the folder shards/${sanitize(name, 80)} is no shard of this plan, which has ${plural(plan.shards.length, 'shard')}`;
    problems.push({ shard: null, kind: 'foreign', message: `${message}; move it elsewhere` });
  }
  return problems;
}

function problemOf(plan: Plan, shard: number, found: FoundShard | null): Problem | null {
  const problem = (kind: Problem['kind'], what: string): Problem => ({
    shard,
    kind,
    message: `shard ${shard} ${what}`,
  });
  const planned = plan.shards[shard];
  if (found === null || planned === undefined) return problem('missing', 'was never worked on');
  const { state, owner, hasRows, segments } = found;
  if (owner !== null) return problem('working', `is worked on by ${owner}`);
  if (state === null) return problem('missing', 'was never worked on');
  if (state === 'unreadable') return problem('cut', 'has a state.json that cannot be read');
  if (state.plan !== plan.digest) return problem('foreign', 'belongs to another plan');
  if (state.shard !== shard) return problem('doubled', `holds a second copy of shard ${state.shard}`);
  if (state.start !== planned.start || state.rows.total !== planned.rows) {
    return problem(
      'overlapping',
      `holds rows ${state.start} to ${state.start + state.rows.total - 1} instead of ${planned.start} to ${planned.start + planned.rows - 1}`,
    );
  }
  if (state.phase !== 'done') {
    const done = state.rows.total - state.rows.pending;
    const why = state.message === null ? '' : `; ${sanitize(state.message, 200)}`;
    return problem('incomplete', `is not done (${count(done)} of ${plural(state.rows.total, 'row')}${why})`);
  }
  if (state.input !== inputDigest(plan, planned))
    return problem('foreign', 'was made of other input than the plan has');
  if (!hasRows) return problem('cut', 'has lost its rows.jsonl');
  const shorter = Object.entries(state.segments).find(([number, bytes]) => (segments[number] ?? -1) < bytes);
  if (shorter !== undefined) {
    const [number, bytes] = shorter;
    const now = segments[number];
    const what = now === undefined ? 'is missing' : `has ${count(now)} bytes of ${count(bytes)}`;
    return problem('cut', `has lost answers: output.${number}.jsonl ${what}`);
  }
  return null;
}

/** What reading a shard's rows and journal gave. */
export interface ReadShard {
  rows: RowCountsByState;
  /** SHA-256 of `rows.jsonl`, hexadecimal. */
  rowsDigest: string;
}

/**
 * What a shard lacks that was read; null where it holds what its worker left. Answers that came after that, to a worker
 * that had been frozen, can only have improved it.
 */
export function compareCounts(state: ShardState, read: ReadShard): string | null {
  if (read.rowsDigest !== state.rows_sha256) return 'has another rows.jsonl than its worker left';
  if (read.rows.total !== state.rows.total)
    return `has ${plural(read.rows.total, 'row')} instead of ${count(state.rows.total)}`;
  const answered = (rows: RowCountsByState): number => rows.total - rows.pending - rows.failed;
  if (answered(read.rows) < answered(state.rows)) {
    const lost = answered(state.rows) - answered(read.rows);
    return `has lost ${plural(lost, 'answer')} that its worker left`;
  }
  const sum = ROW_STATES.reduce((all, one) => all + read.rows[one], 0);
  return sum === read.rows.total ? null : `has ${count(sum)} states for ${plural(read.rows.total, 'row')}`;
}

/** The sentence that ends a merge which did not happen: which shards are at fault, and what to do about them. */
export function describeProblems(problems: readonly Problem[], workCommand: string): string {
  const has = (...kinds: Problem['kind'][]): boolean => problems.some(({ kind }) => kinds.includes(kind));
  const advice = [
    has('working') ? 'Wait until no worker is busy.' : '',
    has('foreign', 'doubled', 'overlapping') ? 'Move the folders that do not belong there elsewhere.' : '',
    has('cut') ? 'Restore what was lost from a copy if there is one; otherwise its rows are sent again.' : '',
    `Finish what is left with: ${workCommand}`,
  ].filter((text) => text !== '');
  const shards = problems.flatMap(({ shard }) => (shard === null ? [] : [shard]));
  const named = shards.length === 0 ? '' : ` (${ranges(shards)})`;
  const what = `${plural(problems.length, 'shard')}${named} ${problems.length === 1 ? 'is' : 'are'} not whole`;
  return `Nothing was merged: ${what}. ${advice.join(' ')}`;
}

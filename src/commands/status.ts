/** `reannotate status`: how far a run is, and all shards of a planned one at a glance, live on a terminal. */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT } from '../lib/errors.js';
import { printResult } from '../terminal/output.js';
import type { Console } from '../terminal/progress.js';
import { shardFolder } from '../shards/folders.js';
import { ChangeWatch, overview, overviewLines, type Overview, type Pace } from '../shards/overview.js';
import { readPlan, type Plan } from '../shards/plan.js';
import { hasBeaten, signOf } from '../shards/signs.js';
import { knownState, readState, type ShardState } from '../shards/state.js';
import { stoppedError } from '../shards/stopped.js';

const LOOK_MS = 2000;
/** The rate is that of so long a time. */
const WINDOW_MS = 60_000;
/** Workers give a sign of life every 2 s; some file systems show it a little later. */
const BEATS_MS = 6000;
const BEAT_LOOK_MS = 500;
/** Lines where nothing bounds them. */
const MOST_LINES = 60;

/**
 * Runs `reannotate status`. On a terminal the table stays until all shards are done or a signal comes.
 * @param json true for JSON on stdout
 * @returns the exit code
 */
export async function status(
  path: string,
  json: boolean,
  { console, signal }: { console: Console; signal: AbortSignal },
): Promise<number> {
  const runDir = resolve(path);
  if (!existsSync(join(runDir, 'plan.json'))) {
    const { runStatus } = await import('./run-status.js');
    return runStatus(path, json, { console, signal });
  }
  const plan = readPlan(runDir);
  if (!json && console.isTerminal) return watch(runDir, plan, console, signal);
  const silence = await silences(runDir, plan, signal);
  const seen = look(runDir, plan, silence);
  await printResult(
    json ? `${JSON.stringify(seen, null, 2)}\n` : `${overviewLines(seen, null, MOST_LINES).join('\n')}\n`,
  );
  return EXIT.done;
}

/**
 * How long workers have been silent, as far as one look can tell. Where clocks leave that open, the locks are watched for a
 * few seconds.
 * @returns milliseconds for a shard: 0 for a living worker, Infinity for one that is gone
 */
async function silences(runDir: string, plan: Plan, signal: AbortSignal): Promise<(shard: number) => number> {
  const known = new Map<number, number>();
  const doubtful = new Map<number, string | null>();
  for (const shard of plan.shards.keys()) {
    const { temp } = shardFolder(runDir, shard);
    const state = knownState(temp);
    if (state?.phase !== 'working') continue;
    const sign = signOf(temp, state, Date.now());
    if (sign.kind === 'doubtful') doubtful.set(shard, sign.lock);
    known.set(shard, sign.kind === 'gone' ? Infinity : 0);
  }
  const isBeating = (shard: number): boolean =>
    hasBeaten(shardFolder(runDir, shard).temp, doubtful.get(shard) ?? null);
  for (let waited = 0; waited < BEATS_MS && doubtful.size > 0 && !signal.aborted; waited += BEAT_LOOK_MS) {
    await sleep(BEAT_LOOK_MS, undefined, { signal }).catch(() => undefined);
    for (const shard of doubtful.keys()) if (isBeating(shard)) doubtful.delete(shard);
  }
  for (const shard of doubtful.keys()) known.set(shard, Infinity);
  return (shard) => known.get(shard) ?? 0;
}

async function watch(runDir: string, plan: Plan, console: Console, signal: AbortSignal): Promise<number> {
  const changes = new ChangeWatch();
  const samples: { at: number; finished: number }[] = [];
  // Clocks of other machines tell nothing: what does not change is silent, and a process that has ended at once.
  const silence = (shard: number, state: ShardState): number | null =>
    state.phase === 'working' && signOf(shardFolder(runDir, shard).temp, state, Date.now()).kind === 'gone'
      ? Infinity
      : changes.silence(shard, state.updated_at, performance.now());
  const next = (): Overview => look(runDir, plan, silence);
  let seen = next();
  const endTable = console.showTable((rows) => overviewLines(seen, paceOf(samples), rows));
  try {
    while (!signal.aborted && seen.shards.done < seen.shards.total) {
      samples.push({ at: performance.now(), finished: seen.rows.total - seen.rows.pending });
      while (samples.length > 2 && performance.now() - (samples[0]?.at ?? 0) > WINDOW_MS) samples.shift();
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
      seen = next();
    }
  } finally {
    endTable();
  }
  console.print(overviewLines(seen, null, MOST_LINES).join('\n'));
  return EXIT.done;
}

function look(
  runDir: string,
  plan: Plan,
  silence: (shard: number, state: ShardState) => number | null,
): Overview {
  const stopped = stoppedError(runDir)?.message ?? null;
  return overview(plan, stopped, (shard) => readState(shardFolder(runDir, shard).temp), silence);
}

function paceOf(samples: readonly { at: number; finished: number }[]): Pace | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || last.at - first.at < LOOK_MS) return null;
  return { rate: ((last.finished - first.finished) / (last.at - first.at)) * 1000 };
}

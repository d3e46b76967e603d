import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { plannedSettings } from '../../src/cli/planned-settings.js';
import { cutLines } from '../../src/datasets/line-ranges.js';
import { identityFlags } from '../../src/run/identity.js';
import { Redactor } from '../../src/secrets/redactor.js';
import { openPlan, type OpenPlan } from '../../src/session/open-plan.js';
import type { CommandContext } from '../../src/session/command-context.js';
import { shardFolder } from '../../src/shards/folders.js';
import { writePlan } from '../../src/shards/plan.js';
import { writeState, type ShardState } from '../../src/shards/state.js';
import { Interruption } from '../../src/terminal/interruption.js';
import { Console } from '../../src/terminal/progress.js';
import { completion } from './scripted-api.js';

/** A line of `rows.jsonl`. */
export function rowLine(row: number): string {
  return JSON.stringify({ system_prompt: '', user_prompt: `prompt ${row}`, annotation_original: null });
}

/** A line of a shard's journal. */
export function answerLine(row: number, inShard: number, text = `answer ${row}`): string {
  const request = { model: 'm', messages: [{ role: 'user', content: `prompt ${row}` }] };
  return JSON.stringify([request, completion(text), { request_idx: inShard }]);
}

/** The state of a shard that is done, where every row has an answer. */
export function doneState(
  plan: OpenPlan['plan'],
  shard: number,
  rowsText: string,
  bytes: number,
): ShardState {
  const { start = 0, rows = 0, place } = plan.shards[shard] ?? {};
  return {
    plan: plan.digest,
    shard,
    start,
    phase: 'done',
    rows: { total: rows, ok: rows, truncated: 0, refused: 0, filtered: 0, failed: 0, pending: 0 },
    input: place?.kind === 'prompts' ? place.sha256 : '',
    rows_sha256: createHash('sha256').update(rowsText).digest('hex'),
    segments: { 1: bytes },
    requests: { sent: rows, throttled: 0, retried: 0 },
    tokens: { prompt: 0, completion: 0 },
    cost_usd: null,
    parameter_changes: [],
    worker: { host: 'n1', pid: 1 },
    updated_at: '2026-01-31T12:00:00.000Z',
    message: null,
  };
}

/**
 * A planned run in a folder whose shards are all done.
 * @param more flags of the plan
 */
export async function plannedRun(
  folder: string,
  sizes: readonly number[],
  more: Readonly<Record<string, string>> = {},
): Promise<OpenPlan> {
  const runDir = join(folder, 'temp', 'run');
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  const rows = sizes.reduce((sum, size) => sum + size, 0);
  const path = join(runDir, 'rows.jsonl');
  writeFileSync(path, Array.from({ length: rows }, (_, row) => `${rowLine(row)}\n`).join(''));
  const variableSource = { variables: {}, redactor: new Redactor() };
  const flags = {
    dataset: join(folder, 'data.csv'),
    save_dir: join(folder, 'saved'),
    annotator: 'm',
    base_url: 'http://127.0.0.1:9/v1',
    ...more,
  };
  let start = 0;
  const shards = (await cutLines(path, 0, sizes)).map((range, shard) => {
    const planned = { start, rows: sizes[shard] ?? 0, place: { kind: 'prompts' as const, ...range } };
    start += planned.rows;
    return planned;
  });
  await writePlan(runDir, {
    version: 1,
    uuid: 'u',
    created: '2026_01_31-12_00_00',
    flags,
    asked: identityFlags(plannedSettings(flags, null, variableSource)),
    found: { revision: null, subset: null, split: null, format: 'columns', columns: ['prompt'] },
    columns: ['prompt'],
    files: [],
    rows,
    shards,
  });
  const planned = openPlan(runDir, (kept) => plannedSettings(kept, null, variableSource), []);
  for (const shard of shards.keys()) await finishShard(planned, shard);
  return planned;
}

/** Leaves a shard as a worker does that has an answer to every row. */
export async function finishShard({ runDir, plan }: OpenPlan, shard: number): Promise<void> {
  const { temp, rows } = shardFolder(runDir, shard);
  mkdirSync(temp, { recursive: true, mode: 0o700 });
  const planned = plan.shards[shard];
  if (planned?.place.kind !== 'prompts') throw new Error('not planned by prompts');
  const { start, place } = planned;
  const text = readFileSync(join(runDir, 'rows.jsonl')).subarray(place.from, place.to).toString('utf8');
  const journal = Array.from({ length: planned.rows }, (_, row) => `${answerLine(start + row, row)}\n`).join(
    '',
  );
  writeFileSync(rows, text);
  writeFileSync(join(temp, 'output.1.jsonl'), journal);
  await writeState(temp, doneState(plan, shard, text, Buffer.byteLength(journal)));
}

/** What a command needs around it; what it says is kept. */
export function quietSurroundings(): CommandContext & { said: string[] } {
  const said: string[] = [];
  const stream = { isTTY: false, write: (text: string) => said.push(text) > 0 };
  const console = new Console({
    level: 'warning',
    redactor: new Redactor(),
    stream: stream as unknown as NodeJS.WriteStream,
  });
  return { console, interruption: new Interruption(), resumeCommand: 'npx reannotate merge run', said };
}

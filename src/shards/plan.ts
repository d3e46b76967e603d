/** `plan.json`: how a dataset was cut into shards. It is written once; what every worker does follows from it. */

import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../lib/errors.js';
import { replaceFile, readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import type { IdentityFlags, RunIdentity } from '../run/identity.js';
import type { LineRange } from '../datasets/line-ranges.js';

const LARGEST_PLAN_BYTES = 1 << 30;
const VERSION = 1;

/** Where the rows of a shard are read from. */
export type ShardPlace =
  /** Lines of a JSON Lines file of the dataset. */
  | ({ kind: 'lines'; path: string } & LineRange)
  /** Rows of Parquet, by their numbers. */
  | { kind: 'rows' }
  /** Lines of the run's own `rows.jsonl`: the dataset can be read only from its start, and the plan did so. */
  | ({ kind: 'prompts' } & LineRange);

export interface PlannedShard {
  /** The first row, counted from the dataset's first. */
  start: number;
  rows: number;
  place: ShardPlace;
}

/** A local Parquet file, whose footer says where everything is and what it holds. */
export interface PlannedFile {
  path: string;
  /** Bytes. */
  size: number;
  /** SHA-256 of its footer, hexadecimal. */
  sha256: string;
}

export interface Plan {
  version: typeof VERSION;
  uuid: string;
  /** `YYYY_MM_DD-HH_MM_SS`. */
  created: string;
  /** The flags that make the same options wherever a worker runs; no secret. */
  flags: Readonly<Record<string, string | true>>;
  /** What they came to: a version of the program that makes something else of them refuses. */
  asked: IdentityFlags;
  found: RunIdentity['found'];
  /** All columns of the dataset. */
  columns: string[];
  /** The Parquet files that rows are read from by number; empty for others. */
  files: PlannedFile[];
  rows: number;
  shards: PlannedShard[];
  /** SHA-256 of all the above: what a shard folder belongs to. */
  digest: string;
}

export type PlanContent = Omit<Plan, 'digest'>;

export function planPath(runDir: string): string {
  return join(runDir, 'plan.json');
}

/** Writes a plan; the caller holds the run's lock and knows that there is none. */
export async function writePlan(runDir: string, content: PlanContent): Promise<Plan> {
  const plan = { ...content, digest: digestOf(content) };
  await replaceFile(planPath(runDir), (file) => {
    const { shards, ...rest } = plan;
    file.write(`${JSON.stringify(rest, null, 1).slice(0, -2)},\n "shards": [`);
    shards.forEach((shard, index) => {
      file.write(`${index === 0 ? '' : ','}\n  ${JSON.stringify(shard)}`);
    });
    file.write('\n ]\n}\n');
  });
  return plan;
}

/**
 * Reads the plan of a run.
 * @throws UserError where there is none, or where it was changed
 */
export function readPlan(runDir: string): Plan {
  const path = planPath(runDir);
  if (!existsSync(path)) {
    throw new UserError(
      `There is no ${path}. RUN_DIR is the folder <temp_dir>/<run> that npx reannotate plan names when it has cut a dataset.`,
    );
  }
  const text = statSync(path).size > LARGEST_PLAN_BYTES ? '' : readOwnText(path, LARGEST_PLAN_BYTES);
  const value = parseJson(text);
  const plan = checkedPlan(value);
  if (plan !== null) return plan;
  if (isObject(value) && Number.isSafeInteger(value['version']) && (value['version'] as number) > VERSION) {
    throw new UserError(
      `${path} was written by a newer version of reannotate, whose plans this one cannot read. Install the same version on every ` +
        'machine that works on the run.',
    );
  }
  throw new UserError(
    `${path} was damaged or changed after it was written. Restore it, or plan the run again with --overwrite (the earlier ` +
      'files are kept).',
  );
}

/** A plan that is as it was written, and whose shards follow each other without a gap; null for anything else. */
function checkedPlan(value: unknown): Plan | null {
  if (!isObject(value) || value['version'] !== VERSION || !Array.isArray(value['shards'])) return null;
  const plan = value as unknown as Plan;
  if (typeof plan.digest !== 'string' || plan.digest !== digestOf(plan)) return null;
  return tiles(plan) ? plan : null;
}

function tiles({ shards, rows }: Pick<Plan, 'shards' | 'rows'>): boolean {
  let next = shards[0]?.start ?? 0;
  const first = next;
  for (const shard of shards) {
    if (shard.start !== next || shard.rows < 1) return false;
    next += shard.rows;
  }
  return shards.length > 0 && next - first === rows;
}

function digestOf(plan: PlanContent): string {
  const hash = createHash('sha256');
  const { version, uuid, created, flags, asked, found, columns, files, rows } = plan;
  hash.update(JSON.stringify([version, uuid, created, flags, asked, found, columns, files, rows]));
  for (const shard of plan.shards) hash.update(JSON.stringify(shard));
  return hash.digest('hex');
}

/** Which shards a worker is for: by its flag, or by what the engine that started it says. */

import { UsageError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';

type Variables = Readonly<Record<string, string | undefined>>;

/** Variables in which engines count the processes of one job from 0. */
const INDEX_VARIABLES = [
  // https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
  'JOB_COMPLETION_INDEX',
  // https://docs.aws.amazon.com/batch/latest/userguide/example_array_job.html
  'AWS_BATCH_JOB_ARRAY_INDEX',
  // https://cloud.google.com/run/docs/container-contract#jobs-env-vars
  'CLOUD_RUN_TASK_INDEX',
  // torchrun, SkyPilot and others
  'RANK',
] as const;

/** The shards that one source names. */
interface Claim {
  source: string;
  first: number;
  /** Exclusive. */
  end: number;
}

/**
 * The shards that this worker is for, in order; null where nothing names any, so that it takes open ones.
 * @param flag `--shard`
 * @param total shards of the plan; how many tasks an engine runs says nothing about it
 * @throws UsageError where a number is none of the plan's, or where two sources disagree
 */
export function findShards(flag: number | null, variables: Variables, total: number): number[] | null {
  const claims = [
    ...(flag === null ? [] : [{ source: '--shard', first: flag, end: flag + 1 }]),
    ...slurmClaim(variables, total),
    ...INDEX_VARIABLES.flatMap((name) => {
      const index = readIndex(variables, name);
      return index === null ? [] : [{ source: name, first: index, end: index + 1 }];
    }),
  ];
  const [claim] = claims;
  if (claim === undefined) return null;
  const other = claims.find(({ first, end }) => first !== claim.first || end !== claim.end);
  if (other !== undefined) {
    throw new UsageError(
      `${describe(claim)} and ${describe(other)} name different shards. Unset the wrong one, or add ` +
        '--any_shard to ignore both and take unfinished shards.',
    );
  }
  if (claim.first >= total) {
    throw new UsageError(
      `${describe(claim)}: the plan has ${total} shards, which are numbered from 0 to ${total - 1}. Start no more tasks ` +
        'than that, or give --any_shard.',
    );
  }
  const end = Math.min(claim.end, total);
  return Array.from({ length: end - claim.first }, (_, position) => claim.first + position);
}

/**
 * A Slurm array. `--array=3,7` names shards 3 and 7, and with a step (`--array=0-99:10`) each task has the shards up to
 * the next one. Numbers that cannot be shards are counted from the array's first where that gives each shard a task
 * (`--array=1-16` for 16 shards).
 */
function slurmClaim(variables: Variables, total: number): Claim[] {
  const index = readIndex(variables, 'SLURM_ARRAY_TASK_ID');
  if (index === null) return [];
  const least = readIndex(variables, 'SLURM_ARRAY_TASK_MIN') ?? 0;
  const most = readIndex(variables, 'SLURM_ARRAY_TASK_MAX') ?? index;
  const step = Math.max(1, readIndex(variables, 'SLURM_ARRAY_TASK_STEP') ?? 1);
  const source = 'SLURM_ARRAY_TASK_ID';
  const place = (index - least) / step;
  const tasks = Math.floor((most - least) / step) + 1;
  if (most >= total && tasks === total && Number.isInteger(place) && place >= 0)
    return [{ source, first: place, end: place + 1 }];
  return [{ source, first: index, end: index + step }];
}

function readIndex(variables: Variables, name: string): number | null {
  const text = variables[name]?.trim() ?? '';
  if (text === '') return null;
  const index = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(index))
    throw new UsageError(`${name} is ${sanitize(text, 40)}, which is not a task number.`);
  return index;
}

function describe({ source, first, end }: Claim): string {
  return end === first + 1 ? `${source} (${first})` : `${source} (${first} to ${end - 1})`;
}

/** Flags of the commands for more than one machine. */

import { UsageError } from '../../lib/errors.js';
import { folder, integer, kind, list, text, toggle } from '../../lib/kinds.js';
import { sanitize } from '../../lib/text.js';
import { checkOption } from '../../shards/slurm-script.js';
import { flag } from './flag.js';

const MOST_SHARDS = 1_000_000;
const NO_OPTIONS: readonly string[] = [];

const PLAN_FLAGS = {
  shards: flag({
    kind: kind<number | null>('<n>', shardsOf, { choices: ['auto'] }),
    fallback: null,
    usual: 'auto',
    group: 'shards',
    help: 'number of shards; auto: at least 16 per worker, with 50,000 rows each if there are enough',
    aliases: ['num_shards', 'chunks', 'num_chunks', 'partitions', 'parts'],
    commands: { plan: true },
  }),
  workers: flag({
    kind: integer(1, MOST_SHARDS),
    fallback: null,
    usual: 'up to 60',
    group: 'shards',
    help: 'workers that will share them, for --shards auto',
    aliases: ['nodes', 'tasks'],
    commands: { plan: true },
  }),
};

const WORK_FLAGS = {
  shard: flag({
    kind: integer(0, MOST_SHARDS),
    fallback: null,
    usual: 'from the engine’s environment, else unfinished shards until none is left',
    group: 'shards',
    help: 'the shard to work on, counted from 0',
    aliases: ['shard_index', 'index', 'chunk', 'rank', 'task'],
    excludes: 'which',
    commands: { work: true },
  }),
  any_shard: flag({
    kind: toggle,
    fallback: false,
    group: 'shards',
    help: 'take unfinished shards until none is left, ignoring the environment',
    excludes: 'which',
    commands: { work: true },
  }),
  requeue: flag({
    kind: toggle,
    fallback: false,
    group: 'shards',
    help: 'under Slurm: requeue this task if it ends with exit code 75',
    commands: { work: true },
  }),
};

const MERGE_FLAGS = {
  part_rows: flag({
    kind: kind<number>('<n>', partRowsOf, { choices: ['none'] }),
    fallback: null,
    usual: 'one file up to 10 million rows, parts of at least a million above',
    group: 'shards',
    help: 'write the results in parts of at least n rows, each of whole shards; none writes one file',
    details:
      'Instead of `reannotated.json`, each of `--output_format` (`jsonl` and `parquet` if it names none) gets a folder. ' +
      'See [clusters](clusters.md#large-results).',
    aliases: ['rows_per_file', 'rows_per_part', 'num_shards', 'max_shard_size', 'part_size'],
    commands: { merge: true },
  }),
};

const nodes = {
  kind: integer(1, MOST_SHARDS, '<k>'),
  fallback: null,
  group: 'shards',
  aliases: ['parallelism', 'max_tasks', 'workers', 'num_nodes'],
} as const;

const SLURM_FLAGS = {
  submit: flag({
    kind: toggle,
    fallback: false,
    group: 'shards',
    help: 'submit the job array and the merge job',
    commands: { slurm: true },
  }),
  nodes: flag({
    ...nodes,
    usual: 'no limit',
    help: 'maximum number of tasks at a time',
    commands: { slurm: true },
  }),
  sbatch: flag({
    kind: kind<readonly string[]>('<option>', optionsOf, { repeats: true }),
    fallback: NO_OPTIONS,
    group: 'shards',
    help: 'an option of sbatch for both jobs, such as --sbatch=--partition=gpu; may be repeated',
    aliases: ['sbatch_args', 'slurm_args', 'partition', 'account'],
    commands: { slurm: true },
  }),
};

const KUBERNETES_FLAGS = {
  image: flag({
    kind: text('<name>'),
    fallback: null,
    usual: 'reannotate:VERSION',
    group: 'shards',
    help: 'container image with reannotate on its PATH',
    commands: { k8s: true },
  }),
  nodes: flag({ ...nodes, usual: '10', help: 'maximum number of pods at a time', commands: { k8s: true } }),
  claim: flag({
    kind: text('<name>'),
    fallback: 'reannotate',
    group: 'shards',
    help: 'the persistent volume claim that all pods share',
    aliases: ['pvc', 'volume'],
    commands: { k8s: true },
  }),
  mount_path: flag({
    kind: folder,
    fallback: null,
    usual: 'the folder that holds the run, its results and its dataset',
    group: 'shards',
    help: 'where pods mount it',
    commands: { k8s: true },
  }),
  secret: flag({
    kind: text('<name>'),
    fallback: 'reannotate',
    group: 'shards',
    help: 'the Secret that holds the key under the name of its variable',
    commands: { k8s: true },
  }),
};

export const SHARD_FLAGS = {
  plan: PLAN_FLAGS,
  work: WORK_FLAGS,
  status: {},
  merge: MERGE_FLAGS,
  slurm: SLURM_FLAGS,
  k8s: KUBERNETES_FLAGS,
};

function shardsOf(given: string, source: string): number | null {
  if (given.toLowerCase() === 'auto') return null;
  return integer(1, MOST_SHARDS).read(given, source);
}

/** `none` is one part of any size. */
function partRowsOf(given: string, source: string): number {
  return given.toLowerCase() === 'none' ? Infinity : integer(1).read(given, source);
}

function optionsOf(given: string, source: string): readonly string[] {
  const options = list('<option>').read(given, source);
  const wrong = options.find((option) => !option.startsWith('-'));
  if (wrong !== undefined)
    throw new UsageError(
      `${source} takes an option of sbatch such as --partition=gpu, not ${sanitize(wrong, 80)}.`,
    );
  return options.map(checkOption);
}

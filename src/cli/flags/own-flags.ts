/** Flags of one command alone; names may mean something else in other commands. */

import { UsageError } from '../../lib/errors.js';
import {
  file,
  integer,
  kind,
  list,
  number,
  oneOf,
  orNone,
  text,
  toggle,
  type Kind,
} from '../../lib/kinds.js';
import { hasFileEnding } from '../../datasets/file-names.js';
import { readReview } from '../../exports/review.js';
import {
  DEFAULT_COMPARISON,
  DEFAULT_JUDGE,
  DEFAULT_SAMPLE,
  DEFAULT_SAMPLE_SEED,
  LARGEST_COMPARISON,
  LARGEST_SAMPLE,
} from '../../judge/defaults.js';
import { DEFAULT_ERROR_FILE, DEFAULT_OUTPUT_FILE } from '../../session/watch-options.js';
import { SEVERAL_ANSWERS, SIMULATOR_DEFAULTS } from '../../simulator/options.js';
import { REASONING_KIND_NAMES } from '../../simulator/reasoning.js';
import { ids } from './batch-flags.js';
import { flag } from './flag.js';
import { SHARD_FLAGS } from './shard-flags.js';

/** Rows of a report that can be named: each is read in full. */
const MOST_ROWS_NAMED = 1000;
const NO_ROWS: readonly number[] = [];
const OF_WATCH = { 'watch-batch': true } as const;
const OF_JUDGE = { judge: true } as const;
const OF_REPORT = { report: true } as const;
const OF_SIMULATE = { simulate: true } as const;
const UNLIMITED = 'unlimited';

const WATCH_FLAGS = {
  batch_ids: flag({
    kind: ids,
    fallback: null,
    usual: 'those recorded in the run’s folder',
    group: 'batches',
    help: 'batches to collect',
    aliases: ['batch_id', 'ids', 'batches'],
    excludes: 'source',
    commands: OF_WATCH,
  }),
  batch_objects_file: flag({
    kind: file,
    fallback: null,
    group: 'batches',
    help: 'take the batches from a file such as batch_objects.json',
    excludes: 'source',
    commands: OF_WATCH,
  }),
  recover: flag({
    kind: toggle,
    fallback: false,
    group: 'batches',
    help: 'find the run’s batches in the account by their metadata',
    excludes: 'source',
    isAction: true,
    commands: OF_WATCH,
  }),
  results: flag({
    kind: list('<file,file>'),
    fallback: null,
    group: 'batches',
    help: 'take results in OpenAI’s batch format from files, without an API',
    details: 'See [batches](batches.md).',
    excludes: 'source',
    isAction: true,
    commands: OF_WATCH,
  }),
  output_file: flag({
    kind: file,
    fallback: DEFAULT_OUTPUT_FILE,
    group: 'batches',
    help: 'raw result lines of all batches',
    details: 'Relative to the current folder.',
    commands: OF_WATCH,
  }),
  error_file: flag({
    kind: file,
    fallback: DEFAULT_ERROR_FILE,
    group: 'batches',
    help: 'raw error lines of all batches',
    details: 'Written only if there are any.',
    commands: OF_WATCH,
  }),
  retry_failed: flag({
    kind: toggle,
    fallback: false,
    group: 'batches',
    help: 'submit rows that ended without an answer as a new batch, and keep watching',
    details: 'A row that the API rejects is sent only once more.',
    excludes: 'then',
    isAction: true,
    commands: OF_WATCH,
  }),
  finish_online: flag({
    kind: toggle,
    fallback: false,
    group: 'batches',
    help: 'send exactly those rows online instead',
    excludes: 'then',
    isAction: true,
    commands: OF_WATCH,
  }),
  service_tier: flag({
    kind: oneOf('<tier>', ['flex']),
    fallback: null,
    group: 'batches',
    help: 'flex: with --finish_online, at the batch price, where the model supports it',
    commands: OF_WATCH,
  }),
  cancel: flag({
    kind: toggle,
    fallback: false,
    group: 'batches',
    help: 'stop the run’s batches and collect what they answered',
    details: 'Asks before it cancels, unless `--yes` is given.',
    isAction: true,
    commands: OF_WATCH,
  }),
  graph: flag({
    kind: toggle,
    fallback: false,
    group: 'batches',
    help: 'save plots of the batches’ durations (SVG and PNG)',
    commands: OF_WATCH,
  }),
};

const JUDGE_FLAGS = {
  judge: flag({
    kind: text('<name>'),
    fallback: DEFAULT_JUDGE,
    group: 'judge',
    help: 'model that judges, or PROVIDER/MODEL',
    aliases: ['judge_model'],
    commands: OF_JUDGE,
  }),
  sample: flag({
    kind: integer(1, LARGEST_SAMPLE),
    fallback: DEFAULT_SAMPLE,
    group: 'judge',
    help: 'maximum number of pairs',
    aliases: ['sample_size', 'limit', 'num_samples'],
    commands: OF_JUDGE,
  }),
  seed: flag({
    kind: integer(0, 0xffff_ffff),
    fallback: DEFAULT_SAMPLE_SEED,
    group: 'judge',
    help: 'decides which rows are in the sample',
    commands: OF_JUDGE,
  }),
  judge_prompts: flag({
    kind: file,
    fallback: null,
    group: 'judge',
    help: 'YAML file to use instead of prompts/judge.yaml',
    details:
      'With `user` (containing `{prompt}`, `{answer_a}`, `{answer_b}`) and optionally `system`. See [judge](judge.md).',
    aliases: ['prompts', 'prompts_file'],
    commands: OF_JUDGE,
  }),
  max_tokens: flag({
    kind: orNone(integer(1)),
    fallback: null,
    usual: '1024, and 8192 for reasoning models',
    group: 'judge',
    help: 'maximum tokens of a verdict',
    commands: OF_JUDGE,
  }),
};

const OF_COMPARE = { compare: true } as const;

const COMPARE_FLAGS = {
  sample: flag({
    kind: integer(1, LARGEST_COMPARISON),
    fallback: DEFAULT_COMPARISON,
    group: 'judge',
    help: 'rows that every annotator answers',
    aliases: ['sample_size'],
    commands: OF_COMPARE,
  }),
  sample_seed: flag({
    kind: integer(0, 0xffff_ffff),
    fallback: DEFAULT_SAMPLE_SEED,
    group: 'judge',
    help: 'decides which rows are in the sample',
    commands: OF_COMPARE,
  }),
  judge: flag({ ...JUDGE_FLAGS.judge, commands: OF_COMPARE }),
  judge_prompts: flag({ ...JUDGE_FLAGS.judge_prompts, commands: OF_COMPARE }),
  run: flag({
    kind: { ...text('[name]'), alone: '' },
    fallback: null,
    group: 'run',
    help: 'then annotate the whole dataset with this annotator, or with the best one; its sample is not paid for again',
    aliases: ['then', 'winner', 'continue_with'],
    commands: OF_COMPARE,
  }),
  dry_run: flag({
    kind: toggle,
    fallback: false,
    group: 'limits',
    help: 'show requests and price of each annotator and of the judge; nothing is sent',
    aliases: ['estimate', 'dry', 'preview', 'estimate_cost'],
    isAction: true,
    commands: OF_COMPARE,
  }),
};

const REPORT_FLAGS = {
  output: flag({
    kind: file,
    fallback: null,
    usual: 'report.html next to the results',
    group: 'results',
    help: 'the page',
    short: 'o',
    aliases: ['output_file', 'page', 'html'],
    commands: OF_REPORT,
  }),
  sample: flag({
    kind: integer(0, 5000),
    fallback: 500,
    group: 'results',
    help: 'number of rows to show, chosen at random',
    commands: OF_REPORT,
  }),
  rows: flag({
    kind: kind<readonly number[]>('<n,n or file>', rowNumbers, { completes: 'file' }),
    fallback: NO_ROWS,
    group: 'results',
    help: 'rows that are always shown, counted from 0, or a review file',
    commands: OF_REPORT,
  }),
  watch: flag({
    kind: toggle,
    fallback: false,
    group: 'results',
    help: 'serve a live page on this machine while the run continues, instead of writing a file; Ctrl-C stops it',
    aliases: ['serve', 'live', 'follow'],
    commands: OF_REPORT,
  }),
  public: flag({
    kind: toggle,
    fallback: false,
    group: 'results',
    help: 'leave out the server’s address, local paths and the run’s id, for a page to share',
    commands: OF_REPORT,
  }),
};

const LIST_FLAGS = {
  json: flag({
    kind: toggle,
    fallback: false,
    group: 'results',
    help: 'print the runs as JSON, with the paths of their folders',
    commands: { list: true },
  }),
};

const DEMO_FLAGS = {
  reasoning: flag({
    kind: toggle,
    fallback: false,
    group: 'run',
    help: 'use a model that reasons before it answers',
    commands: { demo: true },
  }),
  judge: flag({
    kind: toggle,
    fallback: false,
    group: 'run',
    help: 'then have the answers judged',
    commands: { demo: true },
  }),
  compare: flag({
    kind: toggle,
    fallback: false,
    group: 'run',
    help: 'compare several annotators on a sample instead',
    commands: { demo: true },
  }),
};

const D = SIMULATOR_DEFAULTS;
const milliseconds = number(0, Number.MAX_VALUE, '<ms>');
const rate = number(Number.MIN_VALUE);
const several = (argument: string): Kind<string> => text(argument, { repeats: true });

const SIMULATE_FLAGS = {
  port: flag({
    kind: integer(0, 65_535),
    fallback: D.port,
    usual: 'a free one',
    group: 'server',
    help: 'port on 127.0.0.1',
    short: 'p',
    commands: OF_SIMULATE,
  }),
  answers: flag({
    kind: file,
    fallback: D.answersFile,
    usual: 'made up',
    group: 'server',
    help: 'JSONL of {"instruction", "input", "output"} whose outputs are given as answers',
    commands: OF_SIMULATE,
  }),
  reasoning: flag({
    kind: oneOf('<kind>', REASONING_KIND_NAMES),
    fallback: D.reasoning,
    group: 'server',
    help: `where answers carry the model’s reasoning: ${REASONING_KIND_NAMES.join(', ')}`,
    commands: OF_SIMULATE,
  }),
  several_answers: flag({
    kind: oneOf('<what>', SEVERAL_ANSWERS),
    fallback: D.severalAnswers,
    group: 'server',
    help: 'give n answers, refuse n above 1, or ignore it and give one',
    commands: OF_SIMULATE,
  }),
  dataset_file: flag({
    kind: several('<id=path>'),
    fallback: null,
    group: 'server',
    help: 'serve a local file as a Hub dataset; may be repeated',
    commands: OF_SIMULATE,
  }),
  parquet_file: flag({
    kind: several('<id=path>'),
    fallback: null,
    group: 'server',
    help: 'the same for its Parquet file',
    commands: OF_SIMULATE,
  }),
  model: flag({
    kind: several('<name>'),
    fallback: null,
    usual: 'every name',
    group: 'server',
    help: 'a model to serve; may be repeated',
    commands: OF_SIMULATE,
  }),
  hub_user: flag({
    kind: text('<name>'),
    fallback: D.hubUser,
    group: 'server',
    help: 'the account that --push_to_hub may write to',
    commands: OF_SIMULATE,
  }),
  gated: flag({
    kind: several('<id>'),
    fallback: null,
    group: 'server',
    help: 'a dataset that needs a token; may be repeated',
    commands: OF_SIMULATE,
  }),
  requests_per_minute: flag({
    kind: rate,
    fallback: D.requestsPerMinute,
    usual: UNLIMITED,
    group: 'faults',
    help: 'rate limit',
    commands: OF_SIMULATE,
  }),
  tokens_per_minute: flag({
    kind: rate,
    fallback: D.tokensPerMinute,
    usual: UNLIMITED,
    group: 'faults',
    help: 'rate limit',
    commands: OF_SIMULATE,
  }),
  token_charge: flag({
    kind: oneOf('<reserved|used>', ['reserved', 'used']),
    fallback: D.tokenCharge,
    group: 'faults',
    help: 'what counts against the token limit: what a request may use, or what its answer used',
    commands: OF_SIMULATE,
  }),
  limit_window_ms: flag({
    kind: number(1, Number.MAX_VALUE, '<ms>'),
    fallback: D.limitWindowMs,
    group: 'faults',
    help: 'the time over which a minute’s limit is enforced',
    commands: OF_SIMULATE,
  }),
  requests_at_a_time: flag({
    kind: integer(1),
    fallback: D.requestsAtATime,
    usual: UNLIMITED,
    group: 'faults',
    help: 'requests at a time; further ones get a 429 that does not say why, as from nginx with limit_conn',
    commands: OF_SIMULATE,
  }),
  no_limit_headers: flag({
    kind: toggle,
    fallback: false,
    group: 'faults',
    help: 'send no x-ratelimit headers',
    commands: OF_SIMULATE,
  }),
  latency_ms: flag({
    kind: milliseconds,
    fallback: D.latencyMs,
    group: 'faults',
    help: 'latency of an answer',
    commands: OF_SIMULATE,
  }),
  latency_jitter_ms: flag({
    kind: milliseconds,
    fallback: D.latencyJitterMs,
    group: 'faults',
    help: 'how much the latency varies',
    commands: OF_SIMULATE,
  }),
  fault: flag({
    kind: several('<kind=share>'),
    fallback: null,
    group: 'faults',
    help: 'such as 429=0.05,500=0.03,reset=0.02; may be repeated',
    commands: OF_SIMULATE,
  }),
  refuses: flag({
    kind: several('<model=share>'),
    fallback: null,
    group: 'faults',
    help: 'share of prompts that a model refuses, such as gpt-4o-mini=0.3; may be repeated',
    commands: OF_SIMULATE,
  }),
  hub_fault: flag({
    kind: several('<kind=share>'),
    fallback: null,
    group: 'faults',
    help: 'the same for the datasets-server',
    commands: OF_SIMULATE,
  }),
  batch_fault: flag({
    kind: several('<kind=share>'),
    fallback: null,
    group: 'faults',
    help: 'the same for batches, such as expire=0.1,row_errors=0.2',
    commands: OF_SIMULATE,
  }),
  batch_validation_ms: flag({
    kind: milliseconds,
    fallback: D.batchValidationMs,
    group: 'faults',
    help: 'time until a batch is validated',
    commands: OF_SIMULATE,
  }),
  batch_duration_ms: flag({
    kind: milliseconds,
    fallback: D.batchDurationMs,
    group: 'faults',
    help: 'time that a batch is in progress',
    commands: OF_SIMULATE,
  }),
  enqueued_token_limit: flag({
    kind: integer(0),
    fallback: D.enqueuedTokenLimit,
    usual: UNLIMITED,
    group: 'faults',
    help: 'tokens of all batches in progress',
    commands: OF_SIMULATE,
  }),
  quota_after: flag({
    kind: integer(0),
    fallback: D.quotaAfter,
    usual: UNLIMITED,
    group: 'faults',
    help: 'requests answered before the credit runs out',
    commands: OF_SIMULATE,
  }),
  seed: flag({
    kind: integer(0),
    fallback: D.seed,
    group: 'faults',
    help: 'decides which requests fail',
    commands: OF_SIMULATE,
  }),
};

export const OWN_FLAGS = {
  ...SHARD_FLAGS,
  'watch-batch': WATCH_FLAGS,
  judge: JUDGE_FLAGS,
  compare: COMPARE_FLAGS,
  report: REPORT_FLAGS,
  list: LIST_FLAGS,
  demo: DEMO_FLAGS,
  simulate: SIMULATE_FLAGS,
};

function rowNumbers(given: string, source: string): readonly number[] {
  const rows = (hasFileEnding(given) ? [...readReview(given, null, source).rows].join(',') : given)
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map(Number);
  if (rows.some((row) => !Number.isSafeInteger(row) || row < 0) || rows.length > MOST_ROWS_NAMED) {
    throw new UsageError(
      `${source} takes up to ${MOST_ROWS_NAMED} numbers of rows, counted from 0 and separated by commas, such as 0,17,420.`,
    );
  }
  return rows;
}

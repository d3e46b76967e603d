/** What a run may do: to an earlier one, again, how fast, and for how much. */

import { isIncomplete, shownAddress } from '../../http/address.js';
import { UsageError } from '../../lib/errors.js';
import { folder, integer, kind, list, LIST_IN_CODE, number, text, toggle } from '../../lib/kinds.js';
import { alternatives, didYouMean } from '../../lib/suggest.js';
import { sanitize } from '../../lib/text.js';
import { checkUrl } from '../../http/address.js';
import { ANNOTATORS } from '../../models/annotators.js';
import { DEFAULT_LIMITS } from '../../models/call.js';
import { parseHours } from '../../models/hours.js';
import { checkRunName } from '../../run/folder.js';
import { DEFAULT_OUTPUT, MAXIMUM_BATCH_BYTES, MAXIMUM_BATCH_SIZE } from '../../run/settings.js';
import { RETRIABLE_STATES, type RetriableState } from '../../types.js';
import { readKeyNames } from '../../models/server-list.js';
import { flag } from './flag.js';

/** Rows that a probe may send: a thousand give the length of answers to a few percent. */
const MAXIMUM_PROBE = 1000;
const ABOVE_NOTHING = Number.MIN_VALUE;
const NO_NAMES: readonly string[] = [];
const WHAT_THE_API_SAYS = 'what the API says';

export const RUN_FLAGS = {
  save_dir: flag({
    kind: folder,
    fallback: DEFAULT_OUTPUT.saveDir,
    group: 'run',
    help: 'parent folder of the results',
    short: 'o',
    aliases: ['output_dir', 'out', 'out_dir', 'output', 'output_path', 'results_dir', 'save_path'],
    commands: {
      reannotate: true,
      'watch-batch': true,
      judge: true,
      // -o is the page there.
      report: { short: null },
      list: true,
      demo: true,
    },
  }),
  temp_dir: flag({
    kind: folder,
    fallback: DEFAULT_OUTPUT.tempDir,
    group: 'run',
    help: 'parent folder of the working files',
    aliases: ['tmp_dir', 'work_dir', 'cache_dir', 'working_dir'],
    commands: { reannotate: true, 'watch-batch': true, judge: true, report: true, list: true, demo: true },
  }),
  run_name: flag({
    kind: kind('<name>', checkRunName),
    fallback: null,
    usual: '<dataset>_<annotator>',
    group: 'run',
    help: 'name of the run’s folders',
    details: 'Keeps two runs of one dataset and annotator apart.',
    aliases: ['name', 'run_id', 'job_name', 'experiment_name'],
    commands: {
      reannotate: true,
      'watch-batch': { help: 'as given to reannotate', usual: null },
      judge: { help: 'as given to the run', usual: null },
      report: { help: 'as given to the run', usual: null },
    },
  }),
  resume: flag({
    kind: toggle,
    fallback: false,
    group: 'run',
    help: 'resume an earlier run; failed rows are retried',
    aliases: ['continue', 'restart', 'resume_from_checkpoint'],
    excludes: 'earlier',
    isAction: true,
    commands: { reannotate: true },
  }),
  resume_no_retry: flag({
    kind: toggle,
    fallback: false,
    group: 'run',
    help: 'resume an earlier run; failed rows are not retried',
    excludes: 'earlier',
    isAction: true,
    commands: { reannotate: true },
  }),
  retry: flag({
    kind: kind<readonly RetriableState[]>('<states>', statesOf, {
      choices: RETRIABLE_STATES,
      inCode: LIST_IN_CODE,
    }),
    fallback: null,
    usual: 'failed',
    group: 'run',
    help: `with --resume: which rows to retry, of ${RETRIABLE_STATES.join(', ')}`,
    details: 'A better answer replaces the earlier one.',
    aliases: ['retry_states'],
    isAction: true,
    commands: {
      reannotate: true,
      work: {
        help: `also send again rows of finished shards, of ${RETRIABLE_STATES.join(', ')}`,
        usual: 'none',
      },
      slurm: { help: 'also shards that are done but have rows in these states', usual: 'none' },
      'watch-batch': {
        help: `with --retry_failed or --finish_online: which rows are sent again, of ${RETRIABLE_STATES.join(', ')}`,
      },
    },
  }),
  overwrite: flag({
    kind: toggle,
    fallback: false,
    group: 'run',
    help: 'start over; the earlier run’s files are kept under a timestamped name',
    aliases: ['force', 'overwrite_output_dir', 'clean', 'fresh'],
    excludes: 'earlier',
    isAction: true,
    commands: { reannotate: true },
  }),
  reuse: flag({
    kind: list('<dir,dir>'),
    fallback: NO_NAMES,
    group: 'run',
    help: 'earlier runs whose answers to identical requests are reused instead of paid for again; may be repeated',
    details:
      'A request is the same if its whole body is: model, messages and parameters. Each is a folder of working files ' +
      '(`datasets/temp/NAME`) or of results. See [pay once](costs.md#pay-once).',
    aliases: ['reuse_from', 'cache', 'reuse_answers', 'cache_from'],
    commands: {
      reannotate: true,
      demo: {
        help: 'reuse the answers of an earlier demo, such as datasets/temp/reannotate_examples_gpt-4o-mini',
      },
    },
  }),
  dedupe: flag({
    kind: toggle,
    fallback: false,
    group: 'run',
    help: 'send rows with the same request once, and give all of them the answer',
    details: 'Off by default: at a temperature, equal prompts get different answers.',
    aliases: ['deduplicate', 'dedup', 'unique'],
    commands: { reannotate: true, demo: { help: 'duplicate every example, and send each only once' } },
  }),
  escalate_truncated: flag({
    kind: integer(2, 1000),
    fallback: null,
    group: 'run',
    help: 'send truncated rows again with n times --max_tokens, in the same run; each once',
    details: 'After batches online, by watch-batch. See [truncated answers](costs.md#truncated-answers).',
    aliases: ['escalate', 'retry_truncated'],
    commands: {
      reannotate: true,
      'watch-batch': true,
      demo: { help: 'run with --max_tokens 50, and send truncated rows again with n times as many' },
    },
  }),
  fallback_annotator: flag({
    kind: text('<name>', { choices: Object.keys(ANNOTATORS) }),
    fallback: null,
    usual: 'none',
    group: 'run',
    help: 'another model (or PROVIDER/MODEL) for rows that end refused or filtered, in the same run',
    details:
      'With its own key and address: those of its provider, or of the annotator where both have the same provider. ' +
      'A resumed run keeps it; another name, or `none`, replaces it. See [refused rows](costs.md#refused-rows).',
    aliases: ['fallback', 'fallback_model', 'backup_model', 'fallback_models'],
    commands: {
      reannotate: true,
      'watch-batch': true,
      demo: { help: 'another model for the rows that the first one refuses (a tenth of them)' },
    },
  }),
  fallback_base_url: flag({
    kind: kind('<url>', checkUrl),
    fallback: null,
    group: 'run',
    help: 'with --fallback_annotator: any OpenAI-compatible server',
    aliases: ['fallback_api_base', 'fallback_url'],
    commands: { reannotate: true, 'watch-batch': true },
  }),
  fallback_api_key_env: flag({
    kind: kind('<name>', readKeyNames),
    fallback: null,
    group: 'run',
    help: 'with --fallback_annotator: environment variable that holds its key',
    aliases: ['fallback_api_key', 'fallback_key'],
    commands: { reannotate: true, 'watch-batch': true },
  }),
  check_retry: flag({
    kind: integer(1, 64),
    fallback: null,
    group: 'run',
    help: 'with --check answer: send rows whose final answer is not the original’s n more times, and keep the majority',
    details: 'Online. See [the old answer as a check](models.md#the-old-answer-as-a-check).',
    aliases: ['recheck', 'self_consistency', 'check_retries'],
    commands: { reannotate: true },
  }),
  accept_finish_reason: flag({
    kind: list('<reason>'),
    fallback: NO_NAMES,
    group: 'run',
    help: 'a finish reason, or null, that this server uses for complete answers; may be repeated',
    commands: { reannotate: true, judge: true },
  }),
  batch: flag({
    kind: toggle,
    fallback: false,
    group: 'batches',
    help: 'use the provider’s batch API, usually at half the price, instead of sending requests online',
    aliases: ['batch_mode', 'use_batch', 'batch_api'],
    commands: {
      reannotate: true,
      demo: { help: 'in batches: submit, watch, retry what failed, collect' },
    },
  }),
  batch_file_only: flag({
    kind: toggle,
    fallback: false,
    group: 'batches',
    help: 'write the batch files for another tool (vllm run-batch, SGLang, an upload by hand) and send nothing',
    details: 'See [batches](batches.md).',
    isAction: true,
    commands: { reannotate: true },
  }),
  notify: flag({
    kind: text('<command>'),
    fallback: null,
    group: 'run',
    help: 'shell command to run when the run ends or needs attention',
    details: 'See [batches](batches.md).',
    isAction: true,
    commands: { reannotate: true, 'watch-batch': true },
  }),
  events: flag({
    kind: text('<file>', { completes: 'file' }),
    fallback: null,
    group: 'run',
    help: 'append progress events to a file as JSON Lines; - writes them to standard output',
    details:
      'A line at the start, one every second while requests are sent (rows, requests, tokens, cost, rate, time left), and one ' +
      'with the exit code at the end. See [events](run-folder.md#events).',
    aliases: ['event_log', 'log_file', 'progress_file'],
    isAction: true,
    commands: { reannotate: true, 'watch-batch': true, demo: true },
  }),
  max_batch_size: flag({
    kind: integer(1, MAXIMUM_BATCH_SIZE),
    fallback: MAXIMUM_BATCH_SIZE,
    group: 'batches',
    help: 'maximum requests per batch file',
    aliases: ['batch_size'],
    commands: { reannotate: true, 'watch-batch': { help: 'maximum requests per new batch file' } },
  }),
  max_batch_bytes: flag({
    kind: integer(1000, MAXIMUM_BATCH_BYTES),
    fallback: MAXIMUM_BATCH_BYTES,
    group: 'batches',
    help: 'maximum size of a batch file, in bytes',
    commands: { reannotate: true, 'watch-batch': { help: 'maximum size of a new batch file, in bytes' } },
  }),
};

export const LIMIT_FLAGS = {
  max_requests_per_minute: flag({
    kind: number(ABOVE_NOTHING),
    fallback: null,
    usual: WHAT_THE_API_SAYS,
    group: 'limits',
    help: 'rate limit',
    aliases: ['rpm', 'requests_per_minute', 'rate_limit', 'qps'],
    commands: {
      reannotate: true,
      work: true,
      'watch-batch': { help: 'rate limit of --finish_online' },
      judge: true,
    },
  }),
  max_tokens_per_minute: flag({
    kind: number(ABOVE_NOTHING),
    fallback: null,
    usual: WHAT_THE_API_SAYS,
    group: 'limits',
    help: 'rate limit',
    aliases: ['tpm', 'tokens_per_minute'],
    commands: {
      reannotate: true,
      work: true,
      'watch-batch': { help: 'rate limit of --finish_online' },
      judge: true,
    },
  }),
  max_concurrency: flag({
    kind: integer(1, 10_000),
    fallback: null,
    usual: 'automatic',
    group: 'limits',
    help: 'maximum concurrent requests',
    details: 'Never more than 512 where it is automatic.',
    aliases: [
      'concurrency',
      'max_concurrent_requests',
      'workers',
      'num_workers',
      'num_proc',
      'max_workers',
      'threads',
      'parallel',
      'jobs',
    ],
    commands: {
      reannotate: true,
      work: true,
      'watch-batch': { help: 'maximum concurrent requests with --finish_online' },
      judge: true,
    },
  }),
  limiter: flag({
    kind: kind('<redis url>', readRedis),
    fallback: null,
    usual: 'each worker takes its share',
    group: 'limits',
    help: 'share the account’s rate limits exactly through Redis, at redis://HOST or rediss://HOST',
    details: 'See [clusters](clusters.md).',
    aliases: ['redis', 'redis_url', 'rate_limiter'],
    commands: { reannotate: true, work: true, 'watch-batch': true, judge: true },
  }),
  max_attempts: flag({
    kind: integer(1, 1000),
    fallback: DEFAULT_LIMITS.attempts,
    group: 'limits',
    help: 'maximum attempts per row',
    details: 'Waiting for a rate limit does not count.',
    aliases: ['max_retries', 'retries', 'num_retries', 'attempts'],
    commands: {
      reannotate: true,
      work: true,
      'watch-batch': { help: 'maximum rounds of --retry_failed, and attempts per row online' },
      judge: { help: 'maximum attempts per request' },
    },
  }),
  request_timeout: flag({
    kind: number(0.001, 86_400, '<seconds>'),
    fallback: null,
    usual: String(DEFAULT_LIMITS.timeout),
    group: 'limits',
    help: 'time limit for one request',
    aliases: ['timeout'],
    commands: { reannotate: true, work: true, 'watch-batch': true, judge: true },
  }),
  max_cost: flag({
    kind: number(0, Number.MAX_VALUE, '<usd>'),
    fallback: null,
    usual: 'unlimited',
    group: 'limits',
    help: 'stop before spending more',
    details:
      'Requests in flight count at their worst case. A cost that the API states (OpenRouter, xAI, Perplexity, DeepInfra) replaces the one from the price table; tokens that a server does not report are estimated from the texts, and marked `≈`.',
    aliases: ['budget', 'max_budget', 'cost_limit', 'max_price', 'max_spend'],
    commands: {
      reannotate: true,
      work: true,
      'watch-batch': { help: 'submit and send nothing that could cost more' },
      judge: { help: 'stop before spending more on this judgement' },
    },
  }),
  off_peak: flag({
    kind: {
      ...kind('[hours]', readOffPeak, { inCode: 'string | boolean' }),
      alone: 'auto',
    },
    fallback: null,
    group: 'limits',
    help: 'send only during the off-peak hours of the price table (DeepSeek), or the hours given in UTC, such as 16:30-00:30; wait otherwise',
    details:
      'Outside these hours nothing is sent; the run waits and continues by itself, even over days. A model without off-peak ' +
      'prices needs daily hours of your own: `16:30-00:30`, or several separated by commas. Online only; a fallback annotator ' +
      'waits for its own hours. See [prices by the hour](costs.md#prices-by-the-hour).',
    aliases: ['offpeak', 'off_peak_hours', 'off_peak_only', 'cheap_hours', 'schedule'],
    commands: { reannotate: true, work: true, demo: true },
  }),
  dry_run: flag({
    kind: toggle,
    fallback: false,
    group: 'limits',
    help: 'show rows, tokens and price; sends nothing that costs money',
    details:
      'Rows, tokens, price (online, flex, batches), time and three requests as examples; writes nothing. Above 20,000 rows tokens are sampled, and the error is stated. With a key for OpenAI it also requests the account’s limits: a request without messages is refused for free, and the refusal states them. See [costs](costs.md).',
    aliases: ['estimate', 'dry', 'preview', 'estimate_cost', 'simulate'],
    isAction: true,
    commands: {
      reannotate: true,
      judge: { help: 'show requests and price; nothing is sent', details: null },
    },
  }),
  json: flag({
    kind: toggle,
    fallback: false,
    group: 'limits',
    help: 'with --dry_run: print the figures as JSON',
    isAction: true,
    commands: { reannotate: true, status: { help: 'print the figures as JSON' } },
  }),
  probe: flag({
    kind: integer(0, MAXIMUM_PROBE),
    fallback: null,
    group: 'limits',
    help: 'with --dry_run: send n rows for real (these are paid for) to narrow the estimate; 0 only looks up the account’s limits',
    details: 'The answers are not kept; the estimate narrows to a range.',
    isAction: true,
    commands: { reannotate: true },
  }),
};

/** Checked here and kept as text, as in the run's record; without a value the flag means `auto`. */
function readOffPeak(given: string, source: string): string | null {
  if (/^(?:none|false|no|off)$/i.test(given)) return null;
  if (/^(?:auto|true|yes|on)$/i.test(given)) return 'auto';
  parseHours(given, source);
  return given;
}

/** @throws UsageError where it is no address of Redis */
function readRedis(given: string, source: string): string {
  const url = URL.canParse(given) ? new URL(given) : null;
  const shown = sanitize(shownAddress(given), 80);
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === '')
    throw new UsageError(`${source} takes an address such as redis://HOST:6379, not ${shown}.`);
  if (isIncomplete(given))
    throw new UsageError(
      `${source} ${shown} was recorded without its password; give the whole address again.`,
    );
  return given;
}

function statesOf(given: string, source: string): readonly RetriableState[] {
  const states = given.split(/[\s,]+/).filter((state) => state !== '');
  const wrong = states.find((state) => !(RETRIABLE_STATES as readonly string[]).includes(state));
  if (wrong !== undefined || states.length === 0) {
    throw new UsageError(
      `${source} takes ${alternatives(RETRIABLE_STATES)}, or several of them, not ${sanitize(wrong ?? given, 40)}.` +
        didYouMean(wrong ?? given, RETRIABLE_STATES),
    );
  }
  return RETRIABLE_STATES.filter((state) => states.includes(state));
}

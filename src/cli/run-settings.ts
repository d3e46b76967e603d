/** Flags made into the values that a run works with: what belongs together is checked here, once. */

import { withoutSecrets } from '../http/address.js';
import { DEFAULT_JUDGE } from '../judge/defaults.js';
import { wholeDataset, type DatasetSelection } from '../datasets/selection.js';
import { unionOfFormats } from '../exports/index.js';
import { readReview } from '../exports/review.js';
import { UsageError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { hasFlexTier, resolveAnnotator } from '../models/annotators.js';
import { usualTimeout, type CallLimits, type ModelCall } from '../models/call.js';
import { chooseGeneration, hasSeveral, type GenerationParameters } from '../models/generation.js';
import { parseHours } from '../models/hours.js';
import { serversOf } from '../models/server-list.js';
import { batchesOnResponses } from '../models/endpoint.js';
import { splitsChoices } from '../models/several-answers.js';
import { tierShares } from '../models/service-tiers.js';
import { fallbackCall } from '../run/fallback.js';
import { readEnvironment } from '../run/environment.js';
import {
  DEFAULT_POLICY,
  type Environment,
  type Output,
  type Push,
  type RunPolicy,
  type RunSettings,
} from '../run/settings.js';
import type { Redactor } from '../secrets/redactor.js';
import type { Parsed } from './flags/parse.js';
import { refuseKey } from './flags/refuse-keys.js';
import type { Values } from './flags/table.js';

/** Where variables and secrets come from. */
export interface VariableSource {
  variables: NodeJS.ProcessEnv;
  /** Learns the secrets that flags and variables name. */
  redactor: Redactor;
  /** False where nothing is sent to the servers that a file lists, so that it need not be here; true where absent. */
  isSending?: boolean;
}

/**
 * What `reannotate` is to do.
 * @throws UsageError that names flags which do not go together
 */
export function runSettings(parsed: Parsed<'reannotate'>, variableSource: VariableSource): RunSettings {
  const { values } = parsed;
  const environment = environmentOf(values, variableSource);
  const dataset = requireDataset(values.dataset);
  requireDryRun(values);
  const call = modelCall(parsed, environment, variableSource.isSending);
  checkServiceTier(call, values);
  if (values.events === '-' && (values.batch || values.batch_file_only))
    throw new UsageError('--events - and --batch both write to standard output; name a file for the events.');
  if (values.batch || values.batch_file_only) requireOneServer(call, '--batch');
  requireBound(values.max_cost, call.generation);
  requireEscalation(values, call.generation);
  const policy = policyOf(values);
  // A wrong name is an error of the command line.
  fallbackCall(call, policy);
  requireOneByOne(values, call);
  requireTurnByTurn(values, call);
  requireCheck(values, call);
  if (values.select !== null && !hasSeveral(call.generation))
    throw new UsageError(`--select ${values.select} requires --n above 1.`);
  requireJudge(values, call);
  return {
    selection: selectionOf({ ...values, dataset }),
    call,
    output: outputOf(values),
    policy,
    push: pushOf(values),
    notify: values.notify,
    loggingLevel: values.logging_level,
    environment,
    recorded: recordable(values),
  };
}

/**
 * A run's flags as its files record them. `--notify` is left out: a command may contain anything, such as a webhook's
 * secret address.
 */
function recordable(values: Values<'reannotate'>): Record<string, unknown> {
  const entries = Object.entries(values).map(([name, value]) => [
    name,
    typeof value === 'string' ? withoutSecrets(value) : value,
  ]);
  return { ...(Object.fromEntries(entries) as Record<string, unknown>), notify: null };
}

/**
 * Reads keys and addresses, once it is known which ones the flags name.
 * @throws UsageError where a flag, or a file that it reads, holds a key
 */
export function environmentOf(
  values: Pick<Values<'reannotate'>, 'api_key_env' | 'base_url'>,
  { variables, redactor }: VariableSource,
): Environment {
  const { api_key_env: apiKeyVariable, base_url: baseUrl } = values;
  const environment = readEnvironment(variables, redactor, { apiKeyVariable, baseUrl });
  for (const [name, value] of Object.entries(values)) refuseKey(name, value, `--${name}`, redactor);
  return environment;
}

/** @throws UsageError where no dataset is named */
export function requireDataset(dataset: string | null): string {
  if (dataset !== null) return dataset;
  throw new UsageError(
    '--dataset is missing: name a Hub dataset id, or a .json, .jsonl, .csv, .parquet or .arrow file, a folder of such ' +
      'files, or - for standard input.',
  );
}

function requireDryRun({ dry_run: isDry, json, probe }: Values<'reannotate'>): void {
  if (isDry || (!json && probe === null)) return;
  throw new UsageError(`--${json ? 'json' : 'probe'} requires --dry_run.`);
}

/** @throws UsageError where several servers are listed for what belongs to one account */
export function requireOneServer({ servers }: Pick<ModelCall, 'servers'>, flag: string): void {
  if (servers === null) return;
  throw new UsageError(
    `${flag} takes one server: a batch lives in one account. Give one address with --base_url and one variable with ` +
      '--api_key_env.',
  );
}

/** @throws UsageError where `--max_cost` could not be kept */
export function requireBound(maxCost: number | null, { max_tokens: most }: GenerationParameters): void {
  if (maxCost === null || most !== null) return;
  throw new UsageError(
    '--max_cost requires --max_tokens: without it, the cost of a request has no upper bound.',
  );
}

/** @throws UsageError where there is nothing to multiply */
export function requireEscalation(
  { escalate_truncated: factor }: Pick<Values<'reannotate'>, 'escalate_truncated'>,
  { max_tokens: most }: GenerationParameters,
): void {
  if (factor !== null && most === null)
    throw new UsageError('--escalate_truncated multiplies --max_tokens, but this run has none.');
}

/** @throws UsageError where turns cannot be answered one after the other */
function requireTurnByTurn(values: Values<'reannotate'>, { generation }: ModelCall): void {
  if (values.turns !== 'all') return;
  if (values.batch || values.batch_file_only)
    throw new UsageError(
      '--turns all works online: each turn needs the answer to the one before it, and a batch is sent as a whole. Leave ' +
        '--batch out.',
    );
  if (hasSeveral(generation)) throw new UsageError('--turns all takes one answer per turn; remove --n.');
  if (values.prompt_template !== null)
    throw new UsageError(
      '--prompt_template changes only the last user turn, but --turns all answers every turn: put your instructions ' +
        'into --system_prompt.',
    );
  const sharing = values.reuse.length > 0 ? '--reuse' : values.dedupe ? '--dedupe' : null;
  if (sharing !== null)
    throw new UsageError(
      `${sharing} compares requests before they are sent, but with --turns all they depend on earlier answers; remove it.`,
    );
}

/** @throws UsageError where no judge can choose among the answers */
function requireJudge(values: Values<'reannotate'>, { baseUrl, annotator }: ModelCall): void {
  if (values.select !== 'judge') {
    if (values.judge !== null) throw new UsageError('--judge requires --select judge.');
    return;
  }
  if (values.batch || values.batch_file_only)
    throw new UsageError(
      '--select judge works online: leave it out here, and once the batches are collected run the same command with ' +
        '--resume --select judge and without --batch.',
    );
  // A wrong name is an error of the command line.
  const hasAddress = baseUrl !== null && annotator.providerName === 'openai';
  resolveAnnotator(values.judge ?? DEFAULT_JUDGE, hasAddress, 'judge');
}

/** @throws UsageError where rows cannot be checked against the original answer, and sent again */
function requireCheck(values: Values<'reannotate'>, { generation }: ModelCall): void {
  if (values.check_retry === null) return;
  if (values.check === null)
    throw new UsageError('--check_retry requires --check answer, which decides what agrees.');
  if (values.batch || values.batch_file_only)
    throw new UsageError(
      '--check_retry works online: leave it out here, and once the batches are collected run the same command with ' +
        '--resume --check_retry and without --batch.',
    );
  if (hasSeveral(generation))
    throw new UsageError('--check_retry takes one answer per row; with several, use --select majority.');
  if (values.turns === 'all')
    throw new UsageError(
      '--check_retry compares one answer with the original; with --turns all, leave it out.',
    );
  if (values.dedupe)
    throw new UsageError(
      '--check_retry sends a row several times, but --dedupe sends identical requests once; remove one of them.',
    );
}

/** @throws UsageError where a batch would bring fewer answers than are asked for */
function requireOneByOne(
  { batch, batch_file_only: isFileOnly }: Values<'reannotate'>,
  call: ModelCall,
): void {
  const isOne = splitsChoices(call) || (hasSeveral(call.generation) && batchesOnResponses(call));
  if ((!batch && !isFileOnly) || !isOne) return;
  throw new UsageError(
    `${sanitize(call.annotator.name, 80)} gives one answer to a request, and a batch holds one request for each row, so --n ` +
      `${call.generation.n ?? 1} cannot be sent in batches. Leave --batch out: online each answer is requested on its own.`,
  );
}

/** The columns that a command takes; those that it has no flag for are detected. */
type SelectionFlags = Pick<
  Values<'watch-batch'>,
  'subset' | 'split' | 'format' | 'prompt_column' | 'response_column' | 'system_column' | 'limit' | 'offset'
> &
  Partial<
    Pick<
      Values<'reannotate'>,
      | 'input_column'
      | 'messages_column'
      | 'tools_column'
      | 'prompt_template'
      | 'system_prompt'
      | 'keep_columns'
      | 'encoding'
      | 'turns'
    >
  > & {
    dataset: string;
  };

export function selectionOf(values: SelectionFlags): DatasetSelection {
  const usual = wholeDataset(values.dataset);
  return {
    dataset: values.dataset,
    subset: values.subset,
    split: values.split,
    format: values.format,
    promptColumn: values.prompt_column,
    responseColumn: values.response_column,
    systemColumn: values.system_column,
    inputColumn: values.input_column ?? usual.inputColumn,
    messagesColumn: values.messages_column ?? usual.messagesColumn,
    toolsColumn: values.tools_column ?? usual.toolsColumn,
    promptTemplate: values.prompt_template ?? usual.promptTemplate,
    systemPrompt: values.system_prompt ?? usual.systemPrompt,
    turns: values.turns ?? usual.turns,
    keepColumns: values.keep_columns ?? usual.keepColumns,
    encoding: values.encoding ?? usual.encoding,
    limit: values.limit,
    offset: values.offset,
  };
}

/** The model that requests go to, and how. */
export function modelCall(
  { values, given }: Parsed<'reannotate'>,
  environment: Environment,
  isSending = true,
): ModelCall {
  const annotator = resolveAnnotator(values.annotator, values.base_url !== null);
  const chosen = chooseGeneration(values, given, annotator.takesSeed);
  return {
    annotator,
    ...serversOf(values.base_url, values.api_key_env, isSending),
    ...chosen,
    acceptFinishReason: values.accept_finish_reason,
    limits: { ...limitsOf(values), timeout: values.request_timeout ?? usualTimeout(chosen.generation) },
    environment,
  };
}

type LimitFlags = Pick<
  Values<'judge'>,
  'max_requests_per_minute' | 'max_tokens_per_minute' | 'limiter' | 'max_concurrency' | 'max_attempts'
>;

export function limitsOf(values: LimitFlags): Omit<CallLimits, 'timeout'> {
  return {
    requestsPerMinute: values.max_requests_per_minute,
    tokensPerMinute: values.max_tokens_per_minute,
    limiter: values.limiter,
    concurrency: values.max_concurrency,
    attempts: values.max_attempts,
  };
}

/** @throws UsageError where a tier would not be what it is chosen for, which is its price */
function checkServiceTier(call: ModelCall, { batch, max_cost: maxCost }: Values<'reannotate'>): void {
  const { provider, providerName, model, name } = call.annotator;
  const tier = call.generation.service_tier;
  if (tier === 'flex' && batch)
    throw new UsageError('--service_tier flex is for online requests; batches already have that price.');
  if (tier === 'flex' && providerName === 'openai' && call.baseUrl === null && !hasFlexTier(model))
    throw new UsageError(`${sanitize(name, 80)} has no flex tier; remove --service_tier.`);
  const isUnknown = tierShares(provider.priceId, model).priority === null;
  if (tier === 'priority' && maxCost !== null && isUnknown)
    throw new UsageError(
      `--max_cost cannot be enforced with --service_tier priority: its price is not known for ${sanitize(name, 80)}.`,
    );
}

type OutputFlags = Pick<
  Values<'watch-batch'>,
  | 'save_dir'
  | 'temp_dir'
  | 'run_name'
  | 'output_format'
  | 'include_metadata'
  | 'reasoning'
  | 'select'
  | 'check'
  | 'review'
  | 'drop'
  | 'decontaminate'
  | 'decontaminate_column'
> &
  Partial<Pick<Values<'reannotate'>, 'judge'>>;

export function outputOf(values: OutputFlags): Output {
  return {
    saveDir: values.save_dir,
    tempDir: values.temp_dir,
    runName: values.run_name,
    formats: formatsOf(values),
    includeMetadata: values.include_metadata,
    reasoning: values.reasoning,
    select: values.select,
    judge: values.judge ?? null,
    check: values.check,
    review: reviewOf(values.review),
    drop: values.drop,
    decontaminate: values.decontaminate,
    decontaminateColumn: values.decontaminate_column,
  };
}

/** Filters apply to every format but `json`, so `jsonl` is added where that is the only one. */
export function formatsOf({
  output_format: formats,
  drop,
  decontaminate,
}: Pick<OutputFlags, 'output_format' | 'drop' | 'decontaminate'>): Output['formats'] {
  const isFiltering = (drop ?? []).length + (decontaminate ?? []).length > 0;
  return isFiltering && formats.length === 1 ? unionOfFormats(formats, ['jsonl']) : formats;
}

/** @throws UserError where the file can't be used: before anything is sent */
function reviewOf(path: string | null): string | null {
  if (path !== null && path !== '') readReview(path, null);
  return path;
}

function policyOf(values: Values<'reannotate'>): RunPolicy {
  const { resume, resume_no_retry: isNoRetry, overwrite, retry } = values;
  if (retry !== null && !resume) throw new UsageError('--retry requires --resume.');
  return {
    earlier: resume ? 'resume' : isNoRetry ? 'resume_no_retry' : overwrite ? 'overwrite' : 'refuse',
    retry: retry ?? (isNoRetry ? [] : DEFAULT_POLICY.retry),
    maxCost: values.max_cost,
    offPeak: offPeakOf(values),
    reuse: values.reuse,
    dedupe: values.dedupe,
    escalateTruncated: values.escalate_truncated,
    checkRetry: values.check_retry,
    fallback: fallbackOf(values),
    batch: values.batch || values.batch_file_only,
    batchFileOnly: values.batch_file_only,
    maxBatchSize: values.max_batch_size,
    maxBatchBytes: values.max_batch_bytes,
  };
}

/** @throws UsageError for batches, which do not wait for an hour */
export function offPeakOf({
  off_peak: hours,
  batch,
  batch_file_only: isFileOnly,
}: Pick<Values<'reannotate'>, 'off_peak' | 'batch' | 'batch_file_only'>): RunPolicy['offPeak'] {
  if (hours === null) return null;
  if (batch || isFileOnly)
    throw new UsageError(
      '--off_peak is for online requests; a batch costs the same at any hour. Remove one of them.',
    );
  return hours === 'auto' ? 'auto' : parseHours(hours, '--off_peak');
}

type FallbackFlags = Pick<
  Values<'reannotate'>,
  'fallback_annotator' | 'fallback_base_url' | 'fallback_api_key_env'
>;

/** @throws UsageError where a flag of the other annotator is given without its name */
export function fallbackOf(values: FallbackFlags): RunPolicy['fallback'] {
  const {
    fallback_annotator: name,
    fallback_base_url: baseUrl,
    fallback_api_key_env: apiKeyVariable,
  } = values;
  if (name !== null && name !== 'none') return { annotator: name, baseUrl, apiKeyVariable };
  const alone = (['fallback_base_url', 'fallback_api_key_env'] as const).find(
    (flag) => values[flag] !== null,
  );
  if (alone !== undefined) throw new UsageError(`--${alone} requires --fallback_annotator NAME.`);
  return name;
}

type PushFlags = Pick<Values<'reannotate'>, 'push_to_hub' | 'private' | 'yes' | 'allow_secrets'>;

/** @throws UsageError where a flag of a push is given and no push */
export function pushOf(values: PushFlags): Push | null {
  const { push_to_hub: repository, private: isPrivate, yes, allow_secrets: allowSecrets } = values;
  if (repository !== null) return { repository, private: isPrivate, yes, allowSecrets };
  const alone = (['private', 'yes', 'allow_secrets'] as const).find((name) => values[name]);
  if (alone !== undefined) throw new UsageError(`--${alone} requires --push_to_hub.`);
  return null;
}

/** Flags and environment, made into typed options once; every default lives here. */

import { DEFAULT_ENCODING, encodingNamed } from '../datasets/encodings.js';
import { datasetName } from '../datasets/names.js';
import { hasFlexTier, resolveAnnotator, type Annotator } from '../models/annotators.js';
import { REASONING_MODES, type ReasoningMode } from '../models/reasoning.js';
import { UsageError } from '../lib/errors.js';
import { parseOutputFormats, type OutputFormat } from '../exports/index.js';
import { readGeneration, type GenerationParameters } from '../models/generation.js';
import { LOG_LEVELS, type LogLevel } from '../terminal/log.js';
import { checkRepositoryName } from '../publishing/repository-name.js';
import type { PushRequest } from '../publishing/repository.js';
import { isIncomplete, shownAddress } from '../http/address.js';
import { checkRunName } from '../run/folder.js';
import { knownSecrets } from '../secrets/known-secrets.js';
import { Redactor } from '../secrets/redactor.js';
import { inert, withoutTrailing } from '../lib/text.js';
import { HUB_HOSTS_VARIABLE, RETRIABLE_STATES, type HubEnvironment, type RetriableState } from '../types.js';

export const DEFAULT_ANNOTATOR = 'gpt-4o-mini-2024-07-18';
export const DEFAULT_JUDGE = 'gpt-4o';
/** Pairs that a judge is asked about, and what decides which. */
export const DEFAULT_SAMPLE = 100;
export const DEFAULT_SAMPLE_SEED = 0;
export const DEFAULT_SAVE_DIR = 'datasets/reannotated';
export const DEFAULT_TEMP_DIR = 'datasets/temp';
/** Requests in flight at most where the user names no number: enough for 10,000 requests/min at 3 s each. */
export const DEFAULT_CONCURRENCY = 512;
/** Rows that a probe may ask: a thousand tell the length of answers to some per cent. */
const MAXIMUM_PROBE = 1000;
export const MAXIMUM_BATCH_SIZE = 50_000;
export const MAXIMUM_BATCH_BYTES = 200_000_000;

/** What one invocation of `reannotate` is to do. */
export interface RunOptions {
  dataset: string;
  subset: string | null;
  split: string | null;
  format: string | null;
  promptColumn: string | null;
  responseColumn: string | null;
  systemColumn: string | null;
  inputColumn: string | null;
  messagesColumn: string | null;
  /** Of a local text file, a canonical name such as `windows-1252`. */
  encoding: string;
  limit: number | null;
  offset: number;
  saveDir: string;
  tempDir: string;
  /** Another name for the run's folders; null for the one made of dataset and annotator. */
  runName: string | null;
  /** What to do about the files of an earlier run of this name. */
  earlier: 'refuse' | 'resume' | 'resume_no_retry' | 'overwrite';
  /** States whose rows are sent again; rows without an answer are sent in any case. */
  retry: readonly RetriableState[];
  /** Finish reasons that mean a whole answer besides those that are known to; `null` for none given. */
  acceptFinishReason: readonly string[];
  batch: boolean;
  maxBatchSize: number;
  maxBatchBytes: number;
  maxRequestsPerMinute: number | null;
  maxTokensPerMinute: number | null;
  maxConcurrency: number | null;
  maxAttempts: number;
  /** Seconds. */
  requestTimeout: number;
  generation: GenerationParameters;
  /** Generation parameters that the command line names; the others are defaults. */
  given: ReadonlySet<string>;
  baseUrl: string | null;
  apiKeyVariable: string | null;
  dryRun: boolean;
  /** A dry run's figures as JSON. */
  json: boolean;
  /** Rows that a dry run really asks; 0: only the account's limits, of any server; null: as it comes. */
  probe: number | null;
  /** US dollars. */
  maxCost: number | null;
  includeMetadata: boolean;
  /** Where reasoning goes; null where the run's own record decides, and otherwise it is `separate`. */
  reasoning: ReasoningMode | null;
  /** What the results are written as; `json` is always among them. */
  outputFormats: readonly OutputFormat[];
  /** Where the results go on the Hub; null where they do not. */
  push: PushRequest | null;
  loggingLevel: LogLevel;
  annotator: Annotator;
  environment: Environment;
}

/** What is taken from the environment. */
export interface Environment {
  hub: HubEnvironment;
  redactor: Redactor;
  /** The variables themselves, for a provider's key and base URL. */
  variables: NodeJS.ProcessEnv;
}

/** The raw values as commander hands them over: text, or true for flags without a value. */
export type RawFlags = Readonly<Record<string, string | boolean | undefined>>;

/**
 * Checks and converts the flags of the main command.
 * @param redactor learns the secrets that these flags name
 * @throws UsageError that names the flag, what was given and what is taken
 */
export function parseRunOptions(
  raw: RawFlags,
  variables: NodeJS.ProcessEnv,
  redactor = new Redactor(),
): RunOptions {
  const flags = new FlagReader(raw);
  const baseUrl = flags.url('base_url');
  const apiKeyVariable = flags.text('api_key_env');
  const dataset = flags.text('dataset');
  if (dataset === null) {
    throw new UsageError(
      '--dataset is missing: name a Hub dataset id or a .json, .jsonl, .csv or .parquet file.',
    );
  }
  const dryRun = flags.on('dry_run');
  const json = flags.on('json');
  const probe = flags.integer('probe', 0, MAXIMUM_PROBE);
  if (!dryRun && (json || probe !== null)) {
    throw new UsageError(`--${json ? 'json' : 'probe'} belongs to --dry_run; give both.`);
  }
  const annotator = resolveAnnotator(flags.text('annotator') ?? DEFAULT_ANNOTATOR, baseUrl !== null);
  const chosen = readGeneration(flags, annotator.takesSeed);
  const maxCost = flags.number('max_cost', 0);
  if (maxCost !== null && chosen.generation.max_tokens === null) {
    throw new UsageError(
      '--max_cost needs a --max_tokens: without one nobody knows what a request in flight may cost.',
    );
  }
  checkServiceTier(chosen.generation.service_tier, flags, annotator, baseUrl);
  const maxBatchSize = flags.integer('max_batch_size', 1, MAXIMUM_BATCH_SIZE) ?? MAXIMUM_BATCH_SIZE;
  return Object.freeze({
    dataset: datasetName(dataset),
    subset: flags.text('subset'),
    split: flags.text('split'),
    format: flags.text('format'),
    promptColumn: flags.text('prompt_column'),
    responseColumn: flags.text('response_column'),
    systemColumn: flags.text('system_column'),
    inputColumn: flags.text('input_column'),
    messagesColumn: flags.text('messages_column'),
    encoding: encodingNamed(flags.text('encoding') ?? DEFAULT_ENCODING),
    limit: flags.integer('limit', 1),
    offset: flags.integer('offset', 0) ?? 0,
    saveDir: flags.text('save_dir') ?? DEFAULT_SAVE_DIR,
    tempDir: flags.text('temp_dir') ?? DEFAULT_TEMP_DIR,
    runName: runNameOf(flags),
    earlier: earlierFiles(flags),
    retry: statesToRetry(flags),
    acceptFinishReason: finishReasons(flags.text('accept_finish_reason')),
    batch: flags.on('batch'),
    maxBatchSize,
    maxBatchBytes: flags.integer('max_batch_bytes', 1000, MAXIMUM_BATCH_BYTES) ?? MAXIMUM_BATCH_BYTES,
    maxRequestsPerMinute: flags.number('max_requests_per_minute', Number.MIN_VALUE),
    maxTokensPerMinute: flags.number('max_tokens_per_minute', Number.MIN_VALUE),
    maxConcurrency: flags.integer('max_concurrency', 1, 10_000),
    maxAttempts: flags.integer('max_attempts', 1, 1000) ?? 5,
    requestTimeout: flags.number('request_timeout', 0.001, 86_400) ?? usualTimeout(chosen.generation),
    ...chosen,
    baseUrl,
    apiKeyVariable,
    dryRun,
    json,
    probe,
    maxCost,
    includeMetadata: flags.on('include_metadata'),
    reasoning: reasoningMode(flags.text('reasoning')),
    outputFormats: parseOutputFormats(flags.text('output_format')),
    push: pushRequest(flags),
    loggingLevel: parseLogLevel(flags.text('logging_level')),
    annotator,
    environment: readEnvironment(variables, apiKeyVariable, baseUrl, redactor),
  });
}

/** @throws UsageError where a tier would not be what it is chosen for, which is its price */
function checkServiceTier(
  tier: string | null,
  flags: FlagReader,
  { providerName, model, name }: Annotator,
  baseUrl: string | null,
): void {
  if (tier === 'flex' && flags.on('batch'))
    throw new UsageError('--service_tier flex is for single requests; batches have that price already.');
  if (tier === 'flex' && providerName === 'openai' && baseUrl === null && !hasFlexTier(model))
    throw new UsageError(`${inert(name, 80)} has no flex tier; leave --service_tier out.`);
  if (tier === 'priority' && flags.isGiven('max_cost'))
    throw new UsageError(
      '--max_cost cannot be kept with --service_tier priority, whose prices are not known here.',
    );
}

/** Flex processing takes longer: https://platform.openai.com/docs/guides/flex-processing advises 15 minutes. */
function usualTimeout({ service_tier: tier }: GenerationParameters): number {
  return tier === 'flex' ? 900 : 600;
}

function reasoningMode(text: string | null): ReasoningMode | null {
  if (text === null) return null;
  const mode = REASONING_MODES.find((one) => one === text);
  if (mode === undefined)
    throw new UsageError(`--reasoning takes ${REASONING_MODES.join(', ')}, not ${inert(text, 40)}.`);
  return mode;
}

function earlierFiles(flags: FlagReader): RunOptions['earlier'] {
  const given = (['resume', 'resume_no_retry', 'overwrite'] as const).filter((flag) => flags.on(flag));
  if (given.length > 1) {
    throw new UsageError(
      `${given.map((flag) => `--${flag}`).join(' and ')} exclude each other; give one of them.`,
    );
  }
  return given[0] ?? 'refuse';
}

function runNameOf(flags: FlagReader): string | null {
  const name = flags.text('run_name');
  return name === null ? null : checkRunName(name);
}

function statesToRetry(flags: FlagReader): readonly RetriableState[] {
  const text = flags.text('retry');
  if (text === null) return flags.on('resume_no_retry') ? [] : ['failed'];
  if (!flags.on('resume')) throw new UsageError('--retry goes with --resume; give both.');
  const states = text.split(/[\s,]+/).filter((state) => state !== '');
  const wrong = states.find((state) => !(RETRIABLE_STATES as readonly string[]).includes(state));
  if (wrong !== undefined || states.length === 0) {
    throw new UsageError(`--retry takes ${RETRIABLE_STATES.join(', ')}, not ${inert(wrong ?? text, 40)}.`);
  }
  return RETRIABLE_STATES.filter((state) => states.includes(state));
}

function finishReasons(text: string | null): string[] {
  const reasons = (text ?? '').split(',').map((reason) => reason.trim());
  return [...new Set(reasons.filter((reason) => reason !== ''))];
}

function pushRequest(flags: FlagReader): PushRequest | null {
  const repository = flags.text('push_to_hub');
  if (repository !== null) {
    return {
      repository: checkRepositoryName(repository, '--push_to_hub'),
      private: flags.on('private'),
      yes: flags.on('yes'),
      allowSecrets: flags.on('allow_secrets'),
    };
  }
  const alone = (['private', 'yes', 'allow_secrets'] as const).find((flag) => flags.on(flag));
  if (alone !== undefined) throw new UsageError(`--${alone} belongs to --push_to_hub; give both.`);
  return null;
}

/** `debug`, `info`, `warning` or `error`, or Python's 10, 20, 30 or 40. */
export function parseLogLevel(text: string | null): LogLevel {
  if (text === null) return 'info';
  const wanted = text.toLowerCase() === 'warn' ? 'warning' : text.toLowerCase();
  const found = Object.entries(LOG_LEVELS).find(
    ([name, value]) => name === wanted || String(value) === wanted,
  );
  if (found === undefined) {
    throw new UsageError(
      `--logging_level takes debug, info, warning or error (or 10, 20, 30, 40), not ${inert(text, 40)}.`,
    );
  }
  return found[0] as LogLevel;
}

/** Reads flags one by one, with messages that name them. */
export class FlagReader {
  constructor(private readonly raw: RawFlags) {}

  on(name: string): boolean {
    return this.raw[name] === true;
  }

  text(name: string): string | null {
    const value = this.raw[name];
    if (typeof value !== 'string') return null;
    if (value === '') throw new UsageError(`--${name} is empty.`);
    return value;
  }

  /** True where the flag is on the command line, whatever its value. */
  isGiven(name: string): boolean {
    return this.raw[name] !== undefined;
  }

  /** True for `none`: the parameter is not to be sent. */
  isNone(name: string): boolean {
    const value = this.raw[name];
    return typeof value === 'string' && value.toLowerCase() === 'none';
  }

  /** A flag that takes true or false, and means true alone; null where it is not given. */
  choice(name: string): boolean | null {
    if (this.on(name)) return true;
    const text = this.text(name);
    if (text === null) return null;
    if (/^(?:true|yes|on|1)$/i.test(text)) return true;
    if (/^(?:false|no|off|0)$/i.test(text)) return false;
    throw new UsageError(`--${name} takes true, false or none, not ${inert(text, 40)}.`);
  }

  integer(name: string, minimum: number, maximum = Number.MAX_SAFE_INTEGER): number | null {
    return this.#numeric(name, minimum, maximum, 'a whole number', Number.isSafeInteger);
  }

  /** @param minimum the least value; `Number.MIN_VALUE` for anything above 0 */
  number(name: string, minimum: number, maximum = Number.MAX_VALUE): number | null {
    return this.#numeric(name, minimum, maximum, 'a number', Number.isFinite);
  }

  #numeric(
    name: string,
    minimum: number,
    maximum: number,
    kind: string,
    valid: (value: number) => boolean,
  ): number | null {
    const text = this.text(name);
    if (text === null) return null;
    const value = /^[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(text)
      ? Number(text.replaceAll('_', ''))
      : NaN;
    if (valid(value) && value >= minimum && value <= maximum) return value;
    throw new UsageError(`--${name} takes ${kind}${range(minimum, maximum)}, not ${inert(text, 40)}.`);
  }

  url(name: string): string | null {
    const text = this.text(name);
    return text === null ? null : checkUrl(text, `--${name}`);
  }
}

function range(minimum: number, maximum: number): string {
  const low = minimum === Number.MIN_VALUE ? 'above 0' : `of at least ${minimum}`;
  const open = maximum === Number.MAX_SAFE_INTEGER || maximum === Number.MAX_VALUE;
  if (minimum === Number.MIN_SAFE_INTEGER) return '';
  return open ? ` ${low}` : ` from ${minimum} to ${maximum}`;
}

/**
 * Checks an address that a flag or a variable gives.
 * @returns the text as it was given, which may hold a password or a key: `shownAddress` leaves them out
 * @throws UsageError where it is no web address
 */
export function checkUrl(given: string, source: string): string {
  const text = given.trim();
  const url = URL.canParse(text) ? new URL(text) : null;
  const shown = inert(shownAddress(text), 80);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    const bare = /^[\w.-]+(?::\d+)?(?:\/|$)/.test(text) ? ` Did you mean http://${shown}?` : '';
    throw new UsageError(
      `${source} takes an address such as https://api.openai.com/v1, not ${shown}.${bare}`,
    );
  }
  if (isIncomplete(text)) {
    throw new UsageError(
      `${source} ${shown} was recorded without its password or key; give the whole address again.`,
    );
  }
  return text;
}

/** Takes what the program uses from the environment; a `.env` file is not read. */
function readEnvironment(
  variables: NodeJS.ProcessEnv,
  apiKeyVariable: string | null,
  baseUrl: string | null,
  redactor: Redactor,
): Environment {
  const token = variables['HF_TOKEN']?.trim() ?? '';
  redactor.add(
    knownSecrets(
      variables,
      apiKeyVariable === null ? [] : [apiKeyVariable],
      baseUrl === null ? [] : [baseUrl],
    ),
  );
  return {
    variables,
    redactor,
    hub: {
      endpoint: address(variables, 'HF_ENDPOINT', 'https://huggingface.co'),
      datasetsServerUrl: address(
        variables,
        'HF_DATASETS_SERVER_URL',
        'https://datasets-server.huggingface.co',
      ),
      hosts: (variables[HUB_HOSTS_VARIABLE] ?? '')
        .toLowerCase()
        .split(/[\s,]+/)
        .filter((host) => host !== ''),
      token: token === '' ? null : token,
    },
  };
}

function address(variables: NodeJS.ProcessEnv, name: string, otherwise: string): string {
  const value = variables[name]?.trim() ?? '';
  if (value === '') return otherwise;
  const text = checkUrl(value, name);
  const { username, password } = new URL(text);
  if (username === '' && password === '') return withoutTrailing(text, '/');
  throw new UsageError(
    `${name} contains a name or password, which the Hub does not take; put a token into HF_TOKEN.`,
  );
}

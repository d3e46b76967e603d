/** `config.yaml`: the settings of a run, for people and for the record. */

import { existsSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { unionOfFormats } from '../exports/index.js';
import { DEFAULT_REASONING_MODE, REASONING_MODES, type ReasoningMode } from '../models/reasoning.js';
import { keyVariablesOf } from '../models/endpoint.js';
import { SELECTIONS } from '../models/select-answer.js';
import { isObject } from '../lib/json.js';
import { replaceFile, readOwnText } from '../lib/files.js';
import { shownAddress } from '../http/address.js';
import { fallbackOf } from './fallback.js';
import { CHECKS, type Fallback, type RunPolicy, type RunSettings } from './settings.js';
import type { ParameterChange } from '../requests/parameters.js';
import { identityFlags, type RunIdentity } from './identity.js';

type ConfigDataset = RunIdentity['found'] & {
  rows: number;
  /** Absolute paths of a local dataset's files. */
  paths?: string[];
};

export interface ConfigFile {
  uuid: string;
  /** `YYYY_MM_DD-HH_MM_SS`, as the Python tool writes it. */
  creation_date: string;
  params: Record<string, unknown>;
  dataset?: ConfigDataset;
  /** Parameters that were changed or left out, and why. */
  parameter_changes?: ParameterChange[];
  /** The run's batches that were in progress after the last submission. */
  batch_ids?: string[];
  finished_at?: string;
}

/** `2026_01_31-12_00_00`, in local time. */
export function creationDate(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}_${two(date.getMonth() + 1)}_${two(date.getDate())}`;
  return `${day}-${two(date.getHours())}_${two(date.getMinutes())}_${two(date.getSeconds())}`;
}

/** Every flag's effective value, under its name on the command line; keys and tokens are no flags. */
export function effectiveParameters(settings: RunSettings, baseUrl: string | null): Record<string, unknown> {
  return {
    ...settings.recorded,
    // Besides the flags this has the annotator's model.
    ...identityFlags(settings),
    encoding: settings.selection.encoding,
    save_dir: settings.output.saveDir,
    temp_dir: settings.output.tempDir,
    run_name: settings.output.runName,
    resume: settings.policy.earlier === 'resume',
    resume_no_retry: settings.policy.earlier === 'resume_no_retry',
    overwrite: settings.policy.earlier === 'overwrite',
    retry: settings.policy.retry,
    accept_finish_reason: settings.call.acceptFinishReason,
    reuse: settings.policy.reuse,
    dedupe: settings.policy.dedupe,
    check_retry: settings.policy.checkRetry,
    ...furtherRounds(settings.policy),
    batch: settings.policy.batch,
    max_batch_size: settings.policy.maxBatchSize,
    max_batch_bytes: settings.policy.maxBatchBytes,
    max_requests_per_minute: settings.call.limits.requestsPerMinute,
    max_tokens_per_minute: settings.call.limits.tokensPerMinute,
    limiter: settings.call.limits.limiter === null ? null : shownAddress(settings.call.limits.limiter),
    max_concurrency: settings.call.limits.concurrency,
    max_attempts: settings.call.limits.attempts,
    request_timeout: settings.call.limits.timeout,
    base_url: baseUrl,
    api_key_env: keyVariablesOf(settings.call),
    dry_run: false,
    json: false,
    probe: null,
    max_cost: settings.policy.maxCost,
    include_metadata: settings.output.includeMetadata,
    reasoning: settings.output.reasoning ?? DEFAULT_REASONING_MODE,
    select: settings.output.select,
    judge: settings.output.judge,
    check: settings.output.check,
    review: settings.output.review === '' ? null : settings.output.review,
    drop: settings.output.drop ?? [],
    decontaminate: settings.output.decontaminate ?? [],
    decontaminate_column: settings.output.decontaminateColumn,
    output_format: settings.output.formats,
    push_to_hub: settings.push?.repository ?? null,
    private: settings.push?.private ?? false,
    yes: settings.push?.yes ?? false,
    logging_level: settings.loggingLevel,
  };
}

/**
 * The settings of a resumed run, with what its results hold already: that was asked for before, so none of its files
 * ends up older, or with less in it, than another. What saves it money stays on as well.
 */
export function withOutputsOf(before: ConfigFile['params'] | undefined, settings: RunSettings): RunSettings {
  const { output, call, policy } = settings;
  return {
    ...settings,
    policy: {
      ...policy,
      reuse: [...new Set([...textsOf(before?.['reuse']), ...policy.reuse])],
      dedupe: policy.dedupe || before?.['dedupe'] === true,
      escalateTruncated: policy.escalateTruncated ?? timesOf(before?.['escalate_truncated'], 2),
      checkRetry: policy.checkRetry ?? timesOf(before?.['check_retry'], 1),
      fallback: policy.fallback ?? recordedFallback(before),
    },
    output: {
      ...output,
      includeMetadata: output.includeMetadata || before?.['include_metadata'] === true,
      reasoning: reasoningModeOf(output.reasoning, before),
      select: output.select ?? SELECTIONS.find((one) => one === before?.['select']) ?? null,
      judge: output.judge ?? textOf(before?.['judge']),
      check: output.check ?? CHECKS.find((one) => one === before?.['check']) ?? null,
      formats: unionOfFormats(output.formats, before?.['output_format']),
      drop: output.drop ?? textsOf(before?.['drop']),
      decontaminate: output.decontaminate ?? textsOf(before?.['decontaminate']),
      decontaminateColumn: output.decontaminateColumn ?? textOf(before?.['decontaminate_column']),
      review: output.review ?? textOf(before?.['review']),
    },
    call: { ...call, acceptFinishReason: acceptedReasons(call.acceptFinishReason, before) },
  };
}

/** Where a run's reasoning goes: as it is given now, or as it was before. */
function reasoningModeOf(now: ReasoningMode | null, params: ConfigFile['params'] | undefined): ReasoningMode {
  const before = REASONING_MODES.find((mode) => mode === params?.['reasoning']);
  return now ?? before ?? DEFAULT_REASONING_MODE;
}

/** The finish reasons that a run accepts: what was accepted once stays accepted. */
function acceptedReasons(now: readonly string[], params: ConfigFile['params'] | undefined): string[] {
  return [...new Set([...textsOf(params?.['accept_finish_reason']), ...now])];
}

function timesOf(recorded: unknown, least: number): number | null {
  return typeof recorded === 'number' && Number.isSafeInteger(recorded) && recorded >= least
    ? recorded
    : null;
}

/** What is sent after a run's own requests, as its record has it. */
export function furtherRounds(policy: RunPolicy): Record<string, unknown> {
  const fallback = fallbackOf(policy);
  const baseUrl = fallback?.baseUrl ?? null;
  return {
    escalate_truncated: policy.escalateTruncated,
    fallback_annotator: fallback?.annotator ?? null,
    fallback_base_url: baseUrl === null ? null : shownAddress(baseUrl),
    fallback_api_key_env: fallback?.apiKeyVariable ?? null,
  };
}

function recordedFallback(params: ConfigFile['params'] | undefined): Fallback | null {
  const [annotator, baseUrl, apiKeyVariable] = ['annotator', 'base_url', 'api_key_env'].map((name) => {
    const value = params?.[`fallback_${name}`];
    return typeof value === 'string' && value !== '' ? value : null;
  });
  if (annotator === null || annotator === undefined) return null;
  return { annotator, baseUrl: baseUrl ?? null, apiKeyVariable: apiKeyVariable ?? null };
}

function textOf(recorded: unknown): string | null {
  return typeof recorded === 'string' ? recorded : null;
}

function textsOf(recorded: unknown): string[] {
  return Array.isArray(recorded) ? recorded.filter((one): one is string => typeof one === 'string') : [];
}

/** What `config.yaml` says of the dataset. */
export function configDataset(
  { found, source }: Pick<RunIdentity, 'found' | 'source'>,
  rows: number,
): ConfigDataset {
  const paths = source?.files.map(({ path }) => path);
  return { ...found, rows, ...(paths === undefined ? {} : { paths }) };
}

/**
 * The config of a run that exists, or the start of a new one. Who the run is comes from `run.json` where that exists,
 * so that a lost or damaged config is rebuilt with the same uuid.
 * @param identity what `run.json` holds; null where there is none
 */
export async function readConfig(
  path: string,
  now: Date,
  identity: Pick<RunIdentity, 'uuid' | 'created'> | null = null,
): Promise<Pick<ConfigFile, 'uuid' | 'creation_date'> & Partial<ConfigFile>> {
  const earlier = existsSync(path) ? await readYaml(path) : null;
  const uuid = identity?.uuid ?? earlier?.['uuid'];
  const created = identity?.created ?? earlier?.['creation_date'];
  return {
    ...(earlier as Partial<ConfigFile> | null),
    uuid: typeof uuid === 'string' ? uuid : randomUUID(),
    creation_date: typeof created === 'string' ? created : creationDate(now),
  };
}

async function readYaml(path: string): Promise<Record<string, unknown> | null> {
  const { parse } = await import('yaml');
  try {
    const value: unknown = parse(readOwnText(path));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

export async function writeConfig(path: string, config: ConfigFile): Promise<void> {
  const { stringify } = await import('yaml');
  const paths = config.dataset?.paths ?? [];
  const [before, after, indent] = aroundPaths(config, paths, (value) => stringify(value, { lineWidth: 0 }));
  await replaceFile(path, (file) => {
    file.write(before);
    if (after === null) return;
    for (const one of paths) file.write(`${indent}- ${JSON.stringify(one)}\n`);
    file.write(after);
  });
}

/** Paths of more files are written one by one: the tree that a hundred thousand become takes a hundred megabytes. */
const MOST_PATHS_IN_TREE = 1000;

/** The text before and after a long list of paths, and its indentation; all of the text, and null, for any other. */
function aroundPaths(
  config: ConfigFile,
  paths: readonly string[],
  stringify: (value: unknown) => string,
): [before: string, after: string | null, indent: string] {
  if (paths.length <= MOST_PATHS_IN_TREE) return [stringify(config), null, ''];
  const place = `@${randomUUID()}`;
  const text = stringify({ ...config, dataset: { ...config.dataset, paths: [place] } });
  const item = `- "${place}"\n`;
  const [before = '', after] = text.split(item);
  if (after === undefined) throw new Error('a list without its place');
  const start = before.lastIndexOf('\n') + 1;
  return [before.slice(0, start), after, before.slice(start)];
}

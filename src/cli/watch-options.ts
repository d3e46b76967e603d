/** The flags of `watch-batch`, made into typed options once. */

import { hasFlexTier } from '../models/annotators.js';
import { isId } from '../batches/batch.js';
import { UsageError } from '../lib/errors.js';
import { FlagReader, parseRunOptions, type RawFlags, type RunOptions } from './options.js';
import type { Redactor } from '../secrets/redactor.js';
import { inert } from '../lib/text.js';

export const DEFAULT_CHECK_INTERVAL_S = 60;
const LEAST_INTERVAL_MS = 20;
export const DEFAULT_OUTPUT_FILE = 'batch_results.jsonl';
export const DEFAULT_ERROR_FILE = 'batch_errors.jsonl';

/** What one invocation of `watch-batch` is to do. */
export interface WatchOptions {
  /** The run; what it was begun with replaces these where the run is known. */
  run: RunOptions;
  /** Null where the run's own record says which batches there are. */
  batchIds: string[] | null;
  batchObjectsFile: string | null;
  /** Milliseconds. */
  checkInterval: number;
  outputFile: string;
  errorFile: string;
  /** What to do about rows that have no answer in the end. */
  then: 'stop' | 'retry_failed' | 'finish_online';
  serviceTier: 'flex' | null;
  recover: boolean;
  /** Batches (or batch files whose creation stayed in doubt) of which nothing more is expected. */
  giveUp: readonly string[];
  graph: boolean;
  cancel: boolean;
  /** True where nobody is to be asked before something is cancelled. */
  yes: boolean;
}

/**
 * Checks and converts the flags of `watch-batch`.
 * @param redactor learns the secrets that these flags name
 * @throws UsageError that names the flag, what was given and what is taken
 */
export function parseWatchOptions(
  raw: RawFlags,
  variables: NodeJS.ProcessEnv,
  redactor?: Redactor,
): WatchOptions {
  const flags = new FlagReader(raw);
  // --yes also goes with --cancel alone.
  const yes = flags.text('push_to_hub') === null ? undefined : raw['yes'];
  // The tier is for the rows that are sent online, not for batches.
  const runFlags = { ...raw, yes, service_tier: undefined, resume: true, batch: true };
  const run = parseRunOptions(runFlags, variables, redactor);
  const sources = ['batch_ids', 'batch_objects_file', 'recover'].filter((name) => raw[name] !== undefined);
  if (sources.length > 1) {
    throw new UsageError(
      `${sources.map((name) => `--${name}`).join(' and ')} exclude each other; give one of them.`,
    );
  }
  if (flags.on('retry_failed') && flags.on('finish_online')) {
    throw new UsageError('--retry_failed and --finish_online exclude each other; give one of them.');
  }
  if (flags.text('retry') !== null && !flags.on('retry_failed') && !flags.on('finish_online')) {
    throw new UsageError('--retry goes with --retry_failed or --finish_online; give one of them.');
  }
  if (flags.on('cancel') && flags.on('retry_failed')) {
    throw new UsageError(
      '--cancel and --retry_failed exclude each other; --cancel --finish_online asks what is left online.',
    );
  }
  return Object.freeze({
    run,
    batchIds: batchIds(flags.text('batch_ids'), 'batch_ids'),
    batchObjectsFile: flags.text('batch_objects_file'),
    // Not even a test should ask without a pause.
    checkInterval: Math.max(
      LEAST_INTERVAL_MS,
      (flags.number('check_interval', 0, 86_400) ?? DEFAULT_CHECK_INTERVAL_S) * 1000,
    ),
    outputFile: flags.text('output_file') ?? DEFAULT_OUTPUT_FILE,
    errorFile: flags.text('error_file') ?? DEFAULT_ERROR_FILE,
    then: flags.on('retry_failed') ? 'retry_failed' : flags.on('finish_online') ? 'finish_online' : 'stop',
    serviceTier: serviceTier(flags, run),
    recover: flags.on('recover'),
    giveUp: batchIds(flags.text('give_up'), 'give_up') ?? [],
    graph: flags.on('graph'),
    cancel: flags.on('cancel'),
    yes: flags.on('yes'),
  });
}

/** Ids, separated by commas; plain ones may be separated by spaces as well, which other ids can contain. */
function batchIds(text: string | null, flag: string): string[] | null {
  if (text === null) return null;
  const ids = text
    .split(/[,\n]/)
    .flatMap((part) => (/^[\s\w.-]*$/.test(part) ? part.split(/\s+/) : [part.trim()]))
    .filter((id) => id !== '');
  const wrong = ids.find((id) => !isId(id));
  if (wrong !== undefined || ids.length === 0) {
    throw new UsageError(`--${flag} takes ids such as batch_abc,batch_def, not ${inert(wrong ?? text, 60)}.`);
  }
  return [...new Set(ids)];
}

function serviceTier(flags: FlagReader, run: RunOptions): 'flex' | null {
  const tier = flags.text('service_tier');
  if (tier === null) return null;
  if (tier !== 'flex') throw new UsageError(`--service_tier takes flex, not ${inert(tier, 40)}.`);
  if (!flags.on('finish_online')) throw new UsageError('--service_tier flex goes with --finish_online.');
  const { provider, model, name } = run.annotator;
  if (!provider.batches || !hasFlexTier(model))
    throw new UsageError(`${inert(name, 80)} has no flex tier; leave --service_tier out.`);
  return tier;
}

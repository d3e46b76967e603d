/** The flags that a plan keeps for its workers: what was given, free of what only holds where it was given. */

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { isIncomplete, withoutSecrets } from '../http/address.js';
import type { RunSettings } from '../run/settings.js';

/** Flags as their parser takes them: text, or true for one without a value. */
export type PlannedFlags = Readonly<Record<string, string | true>>;

/** What one invocation does, or where it keeps its files: a worker has its own. */
const NOT_KEPT: ReadonlySet<string> = new Set([
  ...['resume', 'resume_no_retry', 'overwrite', 'retry'],
  ...['config', 'env_file', 'logging_level', 'quiet'],
  ...['save_dir', 'temp_dir', 'run_name', 'dataset'],
]);

/**
 * @param given names of the flags that were given
 * @param isLocal whether the dataset is a file, whose path is made absolute
 */
export function plannedFlags(
  { selection, output, recorded }: Pick<RunSettings, 'selection' | 'output' | 'recorded'>,
  given: ReadonlySet<string>,
  isLocal: boolean,
): PlannedFlags {
  const kept: Record<string, string | true> = {
    dataset: isLocal ? absolute(selection.dataset) : selection.dataset,
    save_dir: resolve(output.saveDir),
  };
  for (const name of given) if (!NOT_KEPT.has(name)) kept[name] = written(recorded[name]);
  // A password does not belong in a plan: workers get it by their own flag or by REANNOTATE_LIMITER.
  const { limiter } = kept;
  if (typeof limiter === 'string' && isIncomplete(limiter)) delete kept['limiter'];
  const { decontaminate } = kept;
  if (typeof decontaminate === 'string' && decontaminate !== 'none')
    kept['decontaminate'] = decontaminate.split(',').map(absolute).join(',');
  // A list of servers is read again by each worker, wherever it was started.
  const { base_url: servers } = kept;
  if (typeof servers === 'string' && servers.startsWith('@'))
    kept['base_url'] = `@${absolute(servers.slice(1))}`;
  return kept;
}

function absolute(path: string): string {
  // Standard input was read when the plan was made.
  if (path === '-') return path;
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : resolve(path);
}

/** A value as its flag takes it; what came from a file is kept as its content. */
function written(value: unknown): string | true {
  if (value === true) return true;
  if (value === null || value === undefined) return 'none';
  if (Array.isArray(value) && value.every((one) => typeof one === 'string' && !one.includes(',')))
    return value.join(',');
  return typeof value === 'string' ? withoutSecrets(value) : JSON.stringify(value);
}

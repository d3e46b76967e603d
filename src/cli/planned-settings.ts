/** The settings of a planned run: the flags that the plan keeps, and those of this process. */

import type { RunSettings } from '../run/settings.js';
import type { PlannedFlags } from '../shards/planned-flags.js';
import { parseFlags, type Parsed } from './flags/parse.js';
import { SHARED_FLAGS } from './flags/table.js';
import { runSettings, type VariableSource } from './run-settings.js';

/** Flags of any command, as they were read. */
export interface OwnFlags {
  values: object;
  given: ReadonlySet<string>;
}

/** Flags of a worker that mean something else there than in a run. */
const NOT_OF_A_RUN: ReadonlySet<string> = new Set([
  ...['retry', 'json', 'config', 'env_file'],
  ...['check_interval', 'give_up'],
]);

/**
 * What the flags of `plan` make of a run.
 * @returns the settings, and the names of the flags of a run that were given
 */
export function settingsToPlan(
  own: OwnFlags,
  variableSource: VariableSource,
): { settings: RunSettings; given: ReadonlySet<string> } {
  const parsed = withOwn(parseFlags('reannotate', new Map()), own);
  return { settings: runSettings(parsed, variableSource), given: parsed.given };
}

/**
 * What a worker makes of a plan.
 * @param planned as `plan.json` has them
 * @param own flags of this process, which count for more; null for none
 * @throws UsageError where they make no run
 */
export function plannedSettings(
  planned: PlannedFlags,
  own: OwnFlags | null,
  variableSource: VariableSource,
): RunSettings {
  const layer = new Map(
    Object.entries(planned).map(
      ([name, value]) => [name, { value, source: `${name} in plan.json` }] as const,
    ),
  );
  const parsed = parseFlags('reannotate', layer);
  return runSettings(own === null ? parsed : withOwn(parsed, own), variableSource);
}

function withOwn(parsed: Parsed<'reannotate'>, own: OwnFlags): Parsed<'reannotate'> {
  const mine = [...own.given].filter((name) => Object.hasOwn(SHARED_FLAGS, name) && !NOT_OF_A_RUN.has(name));
  const values = Object.fromEntries(Object.entries(own.values).filter(([name]) => mine.includes(name)));
  return { values: { ...parsed.values, ...values }, given: new Set([...parsed.given, ...mine]) };
}

/** The flags of `compare`, made into values. */

import type { Comparison } from '../compare/place.js';
import { UsageError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { resolveAnnotator } from '../models/annotators.js';
import type { RunSettings } from '../run/settings.js';
import type { Parsed } from './flags/parse.js';
import { settingsToPlan } from './planned-settings.js';
import type { VariableSource } from './run-settings.js';

/** More pairs than anyone reads, and than anyone wants judged. */
const MOST_ANNOTATORS = 12;

/**
 * What `compare` is to do.
 * @param names of the annotators, separated by commas
 * @throws UsageError that names annotators or flags which do not go together
 */
export function compareSettings(
  names: string,
  { values, given }: Parsed<'compare'>,
  variableSource: VariableSource,
): Comparison {
  const listed = names.split(/[\s,]+/).filter((name) => name !== '');
  const annotators = [...new Set(listed)];
  if (annotators.length < 2 || annotators.length > MOST_ANNOTATORS)
    throw new UsageError(
      `compare takes 2 to ${MOST_ANNOTATORS} annotators, separated by commas, such as gpt-4o-mini,gpt-4.1-mini; it got ` +
        `${annotators.length === 0 ? 'none' : sanitize(annotators.join(','), 200)}.`,
    );
  // The judge of a run chooses among the answers of a row.
  const shared = [...given].filter((name) => name !== 'judge');
  const settingsFor = (annotator: string): RunSettings => {
    const own = { values: { ...values, annotator }, given: new Set([...shared, 'annotator']) };
    return settingsToPlan(own, variableSource).settings;
  };
  const contestants = annotators.map(settingsFor);
  const [first] = contestants;
  if (first === undefined) throw new RangeError('there are at least two');
  const found = contestants.map(({ call }) => call.annotator.name);
  const repeated = found.find((name, place) => found.indexOf(name) !== place);
  if (repeated !== undefined) throw new UsageError(`compare: ${sanitize(repeated, 80)} is listed twice.`);
  const { baseUrl } = first.call;
  return {
    contestants,
    judge: resolveAnnotator(values.judge, baseUrl !== null, 'judge'),
    sample: values.sample,
    sampleSeed: values.sample_seed,
    promptsFile: values.judge_prompts,
    run: runOf(values.run, found),
    dryRun: values.dry_run,
  };
}

/** @param given empty where `--run` has no name */
function runOf(given: string | null, annotators: readonly string[]): Comparison['run'] {
  if (given === null) return null;
  if (given === '') return { annotator: null };
  const name = given.replace(/^openai\//, '');
  if (annotators.includes(name)) return { annotator: name };
  throw new UsageError(
    `--run ${sanitize(given, 80)} is not one of the compared annotators: ${annotators.map((one) => sanitize(one, 80)).join(', ')}.`,
  );
}

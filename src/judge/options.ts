/** The flags of `reannotate judge`. */

import type { Redactor } from '../secrets/redactor.js';
import { resolveAnnotator } from '../models/annotators.js';
import {
  DEFAULT_ANNOTATOR,
  DEFAULT_JUDGE,
  DEFAULT_SAMPLE,
  DEFAULT_SAMPLE_SEED,
  FlagReader,
  parseRunOptions,
  type RawFlags,
  type RunOptions,
} from '../cli/options.js';
import { isReasoningModel } from '../requests/parameters.js';
import { findRunFolder, type RunFolder } from '../run/folder.js';

/** Tells a win rate to a quarter of a per cent, which no judge's taste is worth; and memory grows with the sample. */
const LARGEST_SAMPLE = 100_000;
/** Room for some sentences and the verdict; a reasoning model thinks within the same bound. */
const MAXIMUM_TOKENS = 1024;
const MAXIMUM_REASONING_TOKENS = 8192;

/** What one invocation of `reannotate judge` is to do. */
export interface JudgeOptions {
  /** How the judge is asked; its annotator is the judge. */
  asking: RunOptions;
  /** The name of the annotator whose answers are judged. */
  judged: string;
  /** The folders of the run that is judged. */
  folder: RunFolder;
  /** Pairs at most. */
  sample: number;
  /** Decides which. */
  seed: number;
  /** Null for the program's own. */
  promptsFile: string | null;
  dryRun: boolean;
}

/**
 * Checks and converts the flags of `judge`.
 * @param redactor learns the secrets that these flags name
 * @throws UsageError that names the flag, what was given and what is taken
 */
export function parseJudgeOptions(
  raw: RawFlags,
  variables: NodeJS.ProcessEnv,
  redactor?: Redactor,
): JudgeOptions {
  const flags = new FlagReader(raw);
  const judge = flags.text('judge') ?? DEFAULT_JUDGE;
  const { model } = resolveAnnotator(judge, flags.text('base_url') !== null, 'judge');
  const maximumTokens = isReasoningModel(model) ? MAXIMUM_REASONING_TOKENS : MAXIMUM_TOKENS;
  const options = parseRunOptions(
    {
      max_tokens: String(maximumTokens),
      ...raw,
      annotator: judge,
      temperature: '0',
      // This command's own seed chooses rows, and its dry run is another one.
      seed: undefined,
      dry_run: undefined,
      // What is missing is asked for at every start, and failed requests with it.
      resume: true,
      retry: 'failed,filtered',
    },
    variables,
    redactor,
  );
  // Temperature and the shorter limit are this command's own: where the judge does not take them, it is asked without.
  const given = new Set(['max_tokens'].filter((name) => raw[name] !== undefined));
  // Whoever it was that answered: his name is all that the folder's name needs.
  const { name: judged } = resolveAnnotator(flags.text('annotator') ?? DEFAULT_ANNOTATOR, true);
  return Object.freeze({
    asking: Object.freeze({ ...options, given }),
    judged,
    folder: findRunFolder({ ...options, annotator: judged }),
    sample: flags.integer('sample', 1, LARGEST_SAMPLE) ?? DEFAULT_SAMPLE,
    seed: flags.integer('seed', 0, 0xffff_ffff) ?? DEFAULT_SAMPLE_SEED,
    promptsFile: flags.text('judge_prompts'),
    dryRun: flags.on('dry_run'),
  });
}

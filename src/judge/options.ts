/** What `reannotate judge` is to do. */

import { wholeDataset } from '../datasets/selection.js';
import { usualTimeout, type CallLimits, type ModelCall } from '../models/call.js';
import type { Annotator } from '../models/annotators.js';
import { chooseGeneration } from '../models/generation.js';
import { isReasoningModel } from '../requests/parameters.js';
import { findRunFolder, type RunFolder } from '../run/folder.js';
import { DEFAULT_POLICY, placeOf, type Environment, type Output, type RunSettings } from '../run/settings.js';
import type { LogLevel } from '../terminal/log.js';

/** Room for some sentences and the verdict; a reasoning model thinks within the same bound. */
const MAXIMUM_TOKENS = 1024;
const MAXIMUM_REASONING_TOKENS = 8192;

export interface JudgeOptions {
  /** How the judge is called; its annotator is the judge. */
  asking: RunSettings;
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
  /** What is compared, for messages; old and new answer where absent. */
  subject?: string;
}

/** What a user decides about a judgement. */
export interface Judgement extends Pick<
  ModelCall,
  'baseUrl' | 'apiKeyVariable' | 'servers' | 'acceptFinishReason'
> {
  /** The run's dataset and the name of its annotator. */
  dataset: string;
  judged: string;
  judge: Annotator;
  /** Null for no limit; undefined for the usual one. */
  maxTokens: number | null | undefined;
  /** Its `timeout` is null for the usual one. */
  limits: Omit<CallLimits, 'timeout'> & { timeout: number | null };
  /** Where the run is. */
  output: Output;
  maxCost: number | null;
  sample: number;
  seed: number;
  promptsFile: string | null;
  dryRun: boolean;
  loggingLevel: LogLevel;
  environment: Environment;
}

/** Settles how the judge is called. */
export function judgeOptions(judgement: Judgement): JudgeOptions {
  const { judge, maxTokens, output, environment, limits, judged, dataset } = judgement;
  const usualTokens = isReasoningModel(judge.model) ? MAXIMUM_REASONING_TOKENS : MAXIMUM_TOKENS;
  const { generation } = chooseGeneration(
    { max_tokens: maxTokens === undefined ? usualTokens : maxTokens, temperature: 0 },
    new Set(['max_tokens', 'temperature']),
    judge.takesSeed,
  );
  const { baseUrl, apiKeyVariable, servers, acceptFinishReason } = judgement;
  const asking: RunSettings = {
    selection: wholeDataset(dataset),
    call: {
      annotator: judge,
      ...{ baseUrl, apiKeyVariable, servers, acceptFinishReason, generation, environment },
      // Temperature and the shorter limit are this command's own: a judge that does not take them is called without.
      given: new Set(maxTokens === undefined ? [] : ['max_tokens']),
      limits: { ...limits, timeout: limits.timeout ?? usualTimeout(generation) },
    },
    output,
    policy: {
      ...DEFAULT_POLICY,
      // What is missing is requested at every start, and failed requests with it.
      earlier: 'resume',
      retry: ['failed', 'filtered'],
      maxCost: judgement.maxCost,
    },
    push: null,
    notify: null,
    loggingLevel: judgement.loggingLevel,
    environment,
    recorded: {},
  };
  const { sample, seed, promptsFile, dryRun } = judgement;
  const folder = findRunFolder({ ...placeOf(asking), annotator: judged });
  return { asking, judged, folder, sample, seed, promptsFile, dryRun };
}

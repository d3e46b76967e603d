/** What `reannotate judge` is to do. */

import { wholeDataset } from '../datasets/selection.js';
import { usualTimeout, type CallLimits, type ModelCall } from '../models/call.js';
import type { Annotator } from '../models/annotators.js';
import { chooseGeneration } from '../models/generation.js';
import { isReasoningModel } from '../requests/parameters.js';
import { findRunFolder, type RunFolder } from '../run/folder.js';
import {
  DEFAULT_POLICY,
  placeOf,
  type Environment,
  type Output,
  type RunPolicy,
  type RunSettings,
} from '../run/settings.js';
import type { LogLevel } from '../terminal/log.js';

/** Room for some sentences and the verdict; a reasoning model thinks within the same bound. */
const MAXIMUM_TOKENS = 1024;
const MAXIMUM_REASONING_TOKENS = 8192;

export interface JudgeOptions {
  /** How the judge is called, and for how much; its annotator is the judge. */
  settings: RunSettings;
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

/** What a user decides about the requests to a judge. */
export interface JudgeCall extends Pick<
  ModelCall,
  'baseUrl' | 'apiKeyVariable' | 'servers' | 'acceptFinishReason' | 'environment'
> {
  judge: Annotator;
  /** Null for no limit; undefined for the usual one. */
  maxTokens: number | null | undefined;
  /** Its `timeout` is null for the usual one. */
  limits: Omit<CallLimits, 'timeout'> & { timeout: number | null };
}

/** What a user decides about a judgement. */
export interface Judgement extends JudgeCall {
  /** The run's dataset and the name of its annotator. */
  dataset: string;
  judged: string;
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

/** How a judge is called. */
export function judgeCall(wanted: JudgeCall): ModelCall {
  const { judge, maxTokens, limits, baseUrl, apiKeyVariable, servers, acceptFinishReason, environment } =
    wanted;
  const usualTokens = isReasoningModel(judge.model) ? MAXIMUM_REASONING_TOKENS : MAXIMUM_TOKENS;
  const { generation } = chooseGeneration(
    { max_tokens: maxTokens === undefined ? usualTokens : maxTokens, temperature: 0 },
    new Set(['max_tokens', 'temperature']),
    judge.takesSeed,
  );
  return {
    annotator: judge,
    ...{ baseUrl, apiKeyVariable, servers, acceptFinishReason, generation, environment },
    // Temperature and the shorter limit are this command's own: a judge that does not take them is called without.
    given: new Set(maxTokens === undefined ? [] : ['max_tokens']),
    limits: { ...limits, timeout: limits.timeout ?? usualTimeout(generation) },
  };
}

/**
 * What may be done for verdicts: what is missing is requested at every start, and failed requests with it.
 * @param maxCost US dollars; null for no limit
 */
export function judgePolicy(maxCost: number | null): RunPolicy {
  return { ...DEFAULT_POLICY, earlier: 'resume', retry: ['failed', 'filtered'], maxCost };
}

/** Settles how the judge is called, and where its verdicts are. */
export function judgeOptions(judgement: Judgement): JudgeOptions {
  const { output, environment, judged, dataset } = judgement;
  const settings: RunSettings = {
    selection: wholeDataset(dataset),
    call: judgeCall(judgement),
    output,
    policy: judgePolicy(judgement.maxCost),
    push: null,
    notify: null,
    loggingLevel: judgement.loggingLevel,
    environment,
    recorded: {},
  };
  const { sample, seed, promptsFile, dryRun } = judgement;
  const folder = findRunFolder({ ...placeOf(settings), annotator: judged });
  return { settings, judged, folder, sample, seed, promptsFile, dryRun };
}

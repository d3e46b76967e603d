/** The flags of `judge`, made into values. */

import { judgeOptions, type JudgeOptions } from '../judge/options.js';
import { resolveAnnotator } from '../models/annotators.js';
import { serversOf } from '../models/server-list.js';
import { DEFAULT_OUTPUT } from '../run/settings.js';
import type { Parsed } from './flags/parse.js';
import {
  environmentOf,
  limitsOf,
  requireBound,
  requireDataset,
  type VariableSource,
} from './run-settings.js';

/**
 * What `judge` is to do.
 * @throws UsageError that names flags which do not go together
 */
export function judgeSettings(
  { values, given }: Parsed<'judge'>,
  variableSource: VariableSource,
): JudgeOptions {
  const environment = environmentOf(values, variableSource);
  const { save_dir: saveDir, temp_dir: tempDir, run_name: runName, base_url: baseUrl } = values;
  const options = judgeOptions({
    dataset: requireDataset(values.dataset),
    // Only its name is needed, for the folder; it is not called.
    judged: resolveAnnotator(values.annotator, true).name,
    judge: resolveAnnotator(values.judge, baseUrl !== null, 'judge'),
    ...serversOf(baseUrl, values.api_key_env),
    acceptFinishReason: values.accept_finish_reason,
    maxTokens: given.has('max_tokens') ? values.max_tokens : undefined,
    limits: { ...limitsOf(values), timeout: values.request_timeout },
    output: { ...DEFAULT_OUTPUT, saveDir, tempDir, runName },
    maxCost: values.max_cost,
    sample: values.sample,
    seed: values.seed,
    promptsFile: values.judge_prompts,
    dryRun: values.dry_run,
    loggingLevel: values.logging_level,
    environment,
  });
  requireBound(values.max_cost, options.settings.call.generation);
  return options;
}

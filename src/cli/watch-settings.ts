/** The flags of `watch-batch`, made into values. */

import { UsageError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { hasFlexTier, resolveAnnotator, type Annotator } from '../models/annotators.js';
import { DEFAULT_LIMITS } from '../models/call.js';
import { chooseGeneration } from '../models/generation.js';
import { serversOf } from '../models/server-list.js';
import { DEFAULT_POLICY, type RunPolicy } from '../run/settings.js';
import { checkInterval, type WatchOptions } from '../session/watch-options.js';
import type { Parsed } from './flags/parse.js';
import type { Values } from './flags/table.js';
import {
  environmentOf,
  fallbackOf,
  limitsOf,
  outputOf,
  pushOf,
  requireBound,
  requireDataset,
  requireOneServer,
  selectionOf,
  type VariableSource,
} from './run-settings.js';

/**
 * What `watch-batch` is to do.
 * @throws UsageError that names flags which do not go together
 */
export function watchSettings(
  { values }: Parsed<'watch-batch'>,
  variableSource: VariableSource,
): WatchOptions {
  const environment = environmentOf(values, variableSource);
  const dataset = requireDataset(values.dataset);
  const annotator = resolveAnnotator(values.annotator, values.base_url !== null);
  const chosen = chooseGeneration({}, new Set(), annotator.takesSeed);
  requireBound(values.max_cost, chosen.generation);
  checkTogether(values);
  const servers = serversOf(values.base_url, values.api_key_env);
  // Batches are looked up at the first one; rows that are left go to all of them.
  if (!values.finish_online) requireOneServer(servers, 'watch-batch without --finish_online');
  return {
    run: {
      selection: selectionOf({ ...values, dataset }),
      call: {
        annotator,
        ...servers,
        ...chosen,
        acceptFinishReason: [],
        limits: { ...limitsOf(values), timeout: values.request_timeout ?? DEFAULT_LIMITS.timeout },
        environment,
      },
      output: outputOf(values),
      policy: policyOf(values),
      // --yes also goes with --cancel alone.
      push: pushOf({ ...values, yes: values.yes && values.push_to_hub !== null }),
      notify: values.notify,
      loggingLevel: values.logging_level,
      environment,
      recorded: {},
    },
    batchIds: values.batch_ids,
    batchObjectsFile: values.batch_objects_file,
    checkInterval: checkInterval(values.check_interval),
    outputFile: values.output_file,
    errorFile: values.error_file,
    then: values.retry_failed ? 'retry_failed' : values.finish_online ? 'finish_online' : 'stop',
    serviceTier: serviceTier(values, annotator),
    recover: values.recover,
    results: values.results,
    giveUp: values.give_up,
    graph: values.graph,
    cancel: values.cancel,
    yes: values.yes,
  };
}

function policyOf(values: Values<'watch-batch'>): RunPolicy {
  return {
    ...DEFAULT_POLICY,
    earlier: 'resume',
    retry: values.retry ?? DEFAULT_POLICY.retry,
    maxCost: values.max_cost,
    escalateTruncated: values.escalate_truncated,
    fallback: fallbackOf(values),
    batch: true,
    batchFileOnly: false,
    maxBatchSize: values.max_batch_size,
    maxBatchBytes: values.max_batch_bytes,
  };
}

function checkTogether(values: Values<'watch-batch'>): void {
  if (values.select === 'judge')
    throw new UsageError(
      '--select judge works online: collect the batches without it, then run reannotate with --resume --select judge and ' +
        'without --batch.',
    );
  const sendsAgain = values.retry_failed || values.finish_online;
  if (values.results !== null && (sendsAgain || values.cancel))
    throw new UsageError('--results only imports results; run watch-batch again for the rest.');
  if (values.retry !== null && !sendsAgain)
    throw new UsageError('--retry requires --retry_failed or --finish_online.');
  if (values.cancel && values.retry_failed) {
    throw new UsageError(
      '--cancel and --retry_failed cannot be combined; --cancel --finish_online sends the remaining rows online.',
    );
  }
}

function serviceTier(
  { service_tier: tier, finish_online: isOnline }: Values<'watch-batch'>,
  { providerName, model, name }: Annotator,
): 'flex' | null {
  if (tier === null) return null;
  if (!isOnline) throw new UsageError('--service_tier flex requires --finish_online.');
  if (providerName !== 'openai' || !hasFlexTier(model))
    throw new UsageError(`${sanitize(name, 80)} has no flex tier; remove --service_tier.`);
  return tier;
}

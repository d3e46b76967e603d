/** `--fallback_annotator`: how the annotator is called that gets what the run's own one refuses. */

import { UsageError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { resolveAnnotator } from '../models/annotators.js';
import type { ModelCall } from '../models/call.js';
import { shownBaseUrl } from '../models/endpoint.js';
import { DEFAULT_SEED, type GenerationParameters } from '../models/generation.js';
import type { Fallback, RunPolicy } from './settings.js';

type FallbackPolicy = Pick<RunPolicy, 'fallback'>;

/** The other annotator of a run; null where there is none. */
export function fallbackOf({ fallback }: FallbackPolicy): Fallback | null {
  return fallback === 'none' ? null : fallback;
}

/**
 * How a run's other annotator is called; null where there is none. Without an address of its own, a model of the same
 * provider is at the same address, with the same key and limits; any other has its provider's.
 * @throws UsageError where the name is not known, or is the run's own annotator
 */
export function fallbackCall(call: ModelCall, policy: FallbackPolicy): ModelCall | null {
  const fallback = fallbackOf(policy);
  if (fallback === null) return null;
  const { providerName } = call.annotator;
  const hasAddress = fallback.baseUrl !== null || (call.baseUrl !== null && providerName === 'openai');
  const annotator = resolveAnnotator(fallback.annotator, hasAddress, 'fallback_annotator');
  const isSameProvider = annotator.providerName === providerName;
  const sharesServer = isSameProvider && fallback.baseUrl === null;
  const other: ModelCall = {
    ...call,
    annotator,
    baseUrl: sharesServer ? call.baseUrl : fallback.baseUrl,
    apiKeyVariable: fallback.apiKeyVariable ?? (sharesServer ? call.apiKeyVariable : null),
    servers: sharesServer && fallback.apiKeyVariable === null ? call.servers : null,
    generation: generationFor(call, annotator.takesSeed, isSameProvider),
    limits: sharesServer ? call.limits : { ...call.limits, requestsPerMinute: null, tokensPerMinute: null },
  };
  refuseSame(call, other);
  return other;
}

/** Fields that only one provider knows stay with it. */
function generationFor(
  { generation, given }: ModelCall,
  takesSeed: boolean,
  isSameProvider: boolean,
): GenerationParameters {
  const usual = takesSeed ? (generation.seed ?? DEFAULT_SEED) : null;
  const seed = given.has('seed') ? generation.seed : usual;
  return isSameProvider
    ? { ...generation, seed }
    : { ...generation, seed, extra_body: null, service_tier: null };
}

function refuseSame(call: ModelCall, other: ModelCall): void {
  if (call.annotator.model !== other.annotator.model) return;
  if (call.annotator.providerName !== other.annotator.providerName) return;
  if (shownBaseUrl(call) !== shownBaseUrl(other)) return;
  throw new UsageError(
    `--fallback_annotator ${sanitize(other.annotator.name, 80)} is the annotator itself; choose another one.`,
  );
}

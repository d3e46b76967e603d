/** How a model is called: which one, where, with what parameters and limits. */

import type { Redactor } from '../secrets/redactor.js';
import type { Annotator } from './annotators.js';
import type { GenerationParameters } from './generation.js';
import type { ServerSource } from './server-list.js';

/** What limits requests to a model. */
export interface CallLimits {
  /** Null where the API's headers say. */
  requestsPerMinute: number | null;
  tokensPerMinute: number | null;
  /** Redis, over which workers share the limits of an account; null where each keeps to its own. May hold a password. */
  limiter: string | null;
  /** Requests in flight at most; null to adapt. */
  concurrency: number | null;
  /** For one row. */
  attempts: number;
  /** Seconds for one request. */
  timeout: number;
}

/** Limits where the user names none. */
export const DEFAULT_LIMITS: CallLimits = {
  requestsPerMinute: null,
  tokensPerMinute: null,
  limiter: null,
  concurrency: null,
  attempts: 5,
  timeout: 600,
};

/**
 * Seconds for one request where the user names none: flex processing takes longer, and
 * https://platform.openai.com/docs/guides/flex-processing advises 15 minutes.
 */
export function usualTimeout({ service_tier: tier }: GenerationParameters): number {
  return tier === 'flex' ? 900 : DEFAULT_LIMITS.timeout;
}

/** Where keys and addresses come from, and what keeps them out of messages. */
export interface CallEnvironment {
  /** For a provider's key and base URL. */
  variables: NodeJS.ProcessEnv;
  redactor: Redactor;
}

export interface ModelCall {
  annotator: Annotator;
  /** The server that was named; null for the provider's own. May hold a password or key. */
  baseUrl: string | null;
  /** The environment variable that holds the key; null for the provider's own. */
  apiKeyVariable: string | null;
  /** Where several servers are listed, the first of which is the one above; null for that one alone. */
  servers: ServerSource | null;
  generation: GenerationParameters;
  /** Generation parameters that the user named; the others are defaults. */
  given: ReadonlySet<string>;
  /** Finish reasons that mean a whole answer besides those that are known to; `null` for none given. */
  acceptFinishReason: readonly string[];
  limits: CallLimits;
  environment: CallEnvironment;
}

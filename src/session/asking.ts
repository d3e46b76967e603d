/** What asking needs, put together from a run's options: client, rate limiter, processor. */

import { answerRules } from '../models/answer-rules.js';
import { answersOnResponses, findEndpoint, warnOfPlainKey } from '../models/endpoint.js';
import { reservedTokens } from '../models/generation.js';
import { holdsLock } from '../lib/fence.js';
import type { ModelCall } from '../models/call.js';
import { packageVersion } from '../lib/package.js';
import { answerBounds } from '../http/answer-bounds.js';
import { ChatClient } from '../http/chat-client.js';
import { Concurrency, measureBusy } from '../requests/concurrency.js';
import { ParameterFit } from '../requests/parameters.js';
import {
  Processor,
  type Budget,
  type ProcessorEvents,
  type ProcessorOptions,
} from '../requests/processor.js';
import { RateLimiter } from '../requests/rate-limiter.js';
import { OneServer } from '../requests/servers.js';
import { Transport } from '../requests/transport.js';
import { systemClock } from '../lib/clock.js';
import type { Reporter } from '../types.js';

/** Requests in flight at most where the user names no number: enough for 10,000 requests/min at 3 s each. */
const DEFAULT_CONCURRENCY = 512;

/** What a processor is made with besides the call. */
interface AskingParts {
  budget: Budget | null;
  events: ProcessorEvents;
  reporter: Reporter;
  /** True where earlier sessions of the run have answers. */
  hasAnswers: boolean;
  /** Answers of earlier sessions that all end with one unknown reason; null for none. */
  partialBefore: ProcessorOptions['partialBefore'];
  /** False where another machine may send the rows by now; true where absent. */
  mayProceed?: () => boolean;
}

export interface Asking {
  client: ChatClient;
  limiter: RateLimiter;
  /** Changes to parameters that this session learns. */
  parameters: ParameterFit;
  processor: Processor;
}

/**
 * Opens what sends a run's requests; whoever opens it aborts or closes `client`.
 * @throws UserError where the key is missing
 */
export async function openAsking(
  call: ModelCall,
  { budget, events, reporter, hasAnswers, partialBefore, mayProceed = () => true }: AskingParts,
): Promise<Asking> {
  const endpoint = findEndpoint(call);
  const { address, apiKey } = endpoint;
  warnOfPlainKey(endpoint, reporter);
  const maximum = call.limits.concurrency ?? DEFAULT_CONCURRENCY;
  const timeout = call.limits.timeout * 1000;
  const client = await ChatClient.open({
    address,
    apiKey,
    timeout,
    connections: maximum,
    streamed: call.annotator.provider.streamed,
    userAgent: `reannotate/${packageVersion()}`,
    bounds: answerBounds(call.generation),
  });
  const limiter = new RateLimiter({
    requestsPerMinute: call.limits.requestsPerMinute,
    tokensPerMinute: call.limits.tokensPerMinute,
    completionTokens: reservedTokens(call.generation),
  });
  const parameters = new ParameterFit(call.given);
  const isFixed = call.limits.concurrency !== null;
  const processor = new Processor({
    servers: new OneServer({
      transport: new Transport(client, answersOnResponses(call)),
      limiter,
      concurrency: new Concurrency(maximum, isFixed, () => systemClock.now(), measureBusy(), timeout),
    }),
    // A process that was frozen for a while may find the run in the hands of another: that one pays now.
    mayProceed: () => holdsLock() && mayProceed(),
    parameters,
    hasAnswers,
    redactor: call.environment.redactor,
    rules: await answerRules(call),
    partialBefore,
    maxAttempts: call.limits.attempts,
    budget,
    clock: systemClock,
    events,
    reporter,
  });
  return { client, limiter, parameters, processor };
}

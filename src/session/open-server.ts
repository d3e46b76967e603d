/** What sends requests to one server: its client, rate limiter and number of requests in flight. */

import { answerBounds } from '../http/answer-bounds.js';
import { ChatClient } from '../http/chat-client.js';
import { systemClock } from '../lib/clock.js';
import { packageVersion } from '../lib/package.js';
import type { ModelCall } from '../models/call.js';
import { answersOnResponses, type Endpoint } from '../models/endpoint.js';
import { reservedTokens } from '../models/generation.js';
import { Concurrency, measureBusy } from '../requests/concurrency.js';
import { RateLimiter } from '../requests/rate-limiter.js';
import type { Server } from '../requests/servers.js';
import { Transport } from '../requests/transport.js';

/** Requests in flight at most where the user names no number: enough for 10,000 requests/min at 3 s each. */
const DEFAULT_CONCURRENCY = 512;

/**
 * Opens a server; whoever opens it aborts or closes `client`.
 * @param isBusy tells whether this process has no time left; one for all servers
 */
export async function openServer(
  call: ModelCall,
  { address, apiKey }: Endpoint,
  isBusy = measureBusy(),
): Promise<{ client: ChatClient; server: Server }> {
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
  const isFixed = call.limits.concurrency !== null;
  const concurrency = new Concurrency(maximum, isFixed, () => systemClock.now(), isBusy, timeout);
  return {
    client,
    server: { transport: new Transport(client, answersOnResponses(call)), limiter, concurrency },
  };
}

/** What sends requests to one server: its client, rate limiter and number of requests in flight. */

import { answerBounds } from '../http/answer-bounds.js';
import { ChatClient } from '../http/chat-client.js';
import { systemClock } from '../lib/clock.js';
import { packageVersion } from '../lib/package.js';
import type { ModelCall } from '../models/call.js';
import { answersOnResponses, type Endpoint } from '../models/endpoint.js';
import { reservedTokens } from '../models/generation.js';
import { Concurrency, type IsBusy } from '../requests/concurrency.js';
import type { RedisLimits } from '../requests/limits/redis-limits.js';
import { SharedCredit } from '../requests/limits/shared-credit.js';
import { RateLimiter } from '../requests/rate-limiter.js';
import type { Server } from '../requests/servers.js';
import { Transport } from '../requests/transport.js';

/** Requests in flight at most where the user names no number: enough for 10,000 requests/min at 3 s each. */
const DEFAULT_CONCURRENCY = 512;

/** What the servers of a process have in common. */
export interface Common {
  /** Tells whether this process has no time left. */
  isBusy: IsBusy;
  /** Where the account's limits are shared with other processes; null where they are not. */
  shared: RedisLimits | null;
}

/** Opens a server; the caller aborts or closes `client`. */
export async function openServer(
  call: ModelCall,
  { address, apiKey }: Endpoint,
  { isBusy, shared }: Common,
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
  const parts = [address.base, call.annotator.model, apiKey, address.basic];
  const limiter = new RateLimiter({
    requestsPerMinute: call.limits.requestsPerMinute,
    tokensPerMinute: call.limits.tokensPerMinute,
    completionTokens: reservedTokens(call.generation),
    credit: shared === null ? null : new SharedCredit(shared.account(parts), systemClock),
  });
  const isFixed = call.limits.concurrency !== null;
  const concurrency = new Concurrency(maximum, isFixed, { now: () => systemClock.now(), isBusy, timeout });
  return {
    client,
    server: { transport: new Transport(client, answersOnResponses(call)), limiter, concurrency },
  };
}

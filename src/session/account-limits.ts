/** The account's rate limits for `--dry_run`: given by flags, seen by a probe, or requested at no cost. */

import { findEndpoint, hasOwnServer } from '../models/endpoint.js';
import type { ModelCall } from '../models/call.js';
import { packageVersion } from '../lib/package.js';
import { ChatClient } from '../http/chat-client.js';
import { readLimits, type AccountLimits } from '../http/limit-headers.js';
import { classifyFailure, classifyResponse, type Verdict } from '../requests/verdict.js';
import { describeStop } from './stops.js';
import type { CommandContext } from './command-context.js';

const ASKING_TIMEOUT_MS = 10_000;

/**
 * Limits as the flags give them, and for the rest as the API states them: a request without messages is refused,
 * which costs nothing, and the refusal's headers state the limits. (OpenAI's real answer, a 400 `empty_array`, is
 * recorded in the tests of bespokelabsai/curator, which asks this way before every run.) Nobody knows whether another
 * server would answer it, so that one is asked with `--probe 0` alone.
 * @param isForced true for `--probe 0`
 */
export async function findLimits(
  call: ModelCall,
  isForced: boolean,
  context: CommandContext,
): Promise<AccountLimits> {
  const given = {
    requestsPerMinute: call.limits.requestsPerMinute,
    tokensPerMinute: call.limits.tokensPerMinute,
    requestsPerDay: null,
  };
  const isGiven = given.requestsPerMinute !== null && given.tokensPerMinute !== null;
  if (isGiven || !(isForced || refusesForFree(call))) return given;
  const stated = await askWithoutMessages(call, context);
  return {
    requestsPerMinute: given.requestsPerMinute ?? stated.requestsPerMinute,
    tokensPerMinute: given.tokensPerMinute ?? stated.tokensPerMinute,
    requestsPerDay: stated.requestsPerDay,
  };
}

/** True where there is a key for a server that is known to refuse requests without messages. */
function refusesForFree(call: ModelCall): boolean {
  const { provider } = call.annotator;
  const variable = call.apiKeyVariable ?? provider.apiKeyVariable;
  if ((call.environment.variables[variable]?.trim() ?? '') === '') return false;
  return provider.tellsLimitsForFree && !hasOwnServer(call);
}

async function askWithoutMessages(
  call: ModelCall,
  { console, interruption }: CommandContext,
): Promise<AccountLimits> {
  const { address, apiKey } = findEndpoint(call);
  const { redactor } = call.environment;
  const client = await ChatClient.open({
    address,
    apiKey,
    timeout: Math.min(ASKING_TIMEOUT_MS, call.limits.timeout * 1000),
    connections: 1,
    streamed: false,
    userAgent: `reannotate/${packageVersion()}`,
  });
  const abandon = (): void => void client.abort();
  interruption.soft.addEventListener('abort', abandon, { once: true });
  try {
    const body = Buffer.from(JSON.stringify({ model: call.annotator.model, messages: [] }));
    const response = await client.send(body);
    const warning = await problemOf(classifyResponse(response, null, undefined, redactor), call);
    if (warning !== null) console.warning(warning);
    return readLimits(response.headers);
  } catch (error) {
    interruption.soft.throwIfAborted();
    const warning = await problemOf(classifyFailure(error, redactor), call);
    console.warning(`The account’s limits are unknown: ${warning ?? 'no answer'}`);
    return { requestsPerMinute: null, tokensPerMinute: null, requestsPerDay: null };
  } finally {
    interruption.soft.removeEventListener('abort', abandon);
    await client.abort();
  }
}

/** What the answer means for a run; null where it was refused as it should be. */
async function problemOf(verdict: Verdict, call: ModelCall): Promise<string | null> {
  switch (verdict.kind) {
    case 'run': {
      const { cause, message } = verdict;
      return `A run would stop at once: ${await describeStop({ reason: 'error', cause, message }, call)}`;
    }
    case 'answer':
    case 'partial':
    case 'unfit':
      return 'The server answered the request without messages that looks up the limits. It should have refused it, so this may have cost something.';
    case 'transient':
    case 'unreadable':
      return `${findEndpoint(call).baseUrl}: ${verdict.message}.`;
    case 'throttle':
    case 'row':
    case 'stream':
    case 'responses':
    case 'parameter':
    case 'value':
      return null;
  }
}

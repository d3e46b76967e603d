/** The request processor by itself, for requests that are not rows of a dataset. */

import { objectLayer } from '../cli/flags/config-file.js';
import { parseFlags } from '../cli/flags/parse.js';
import { environmentOf, modelCall } from '../cli/run-settings.js';
import type { ModelCall } from '../models/call.js';
import type { Completion } from '../models/completion.js';
import type { Job, ProcessorEvents } from '../requests/processor.js';
import { TokenEstimate } from '../requests/tokens.js';
import { requestBody } from '../run/jobs.js';
import { requestShape } from '../run/prepare.js';
import { cleanError } from '../secrets/clean-error.js';
import { Redactor } from '../secrets/redactor.js';
import { openOnlineSession } from '../session/online-session.js';
import { stopError } from '../session/stops.js';
import type { Reporter } from '../types.js';
import { alone } from './alone.js';
import { RunInterrupted } from './interrupted.js';
import type { RequestOptions } from './options.js';
import type { RunContext } from './run.js';

/** The body of a chat completion request. What it lacks is taken from the options: the model, `max_tokens`, … */
export interface ChatRequest {
  messages: readonly object[];
  [parameter: string]: unknown;
}

/** What came of one request. */
export type RequestResult =
  | {
      /** The place of the request among those that were given, from 0. */
      index: number;
      state: Completion['state'];
      /** The whole answer of the API. */
      response: unknown;
      /** The text of its first choice; null where it is refused or filtered, or has none. */
      text: string | null;
      errors: null;
    }
  | {
      index: number;
      state: 'failed' | 'filtered';
      response: null;
      text: null;
      /** What went wrong, at each attempt. */
      errors: readonly string[];
    };

/** What the processor does besides giving results. */
export interface RequestContext extends RunContext {
  /** Learns of warnings, such as a parameter that the model refuses. */
  onWarning?: (message: string) => void;
}

/** How many requests came to what. */
export interface RequestCounts {
  /** Requests sent, retries included. */
  sent: number;
  throttled: number;
  retried: number;
  answered: number;
  failed: number;
}

/**
 * Sends requests as fast as the server's limits and latency allow, each until it is answered or has used up its
 * attempts. Nothing is saved: keep each result before `onResult` returns.
 *
 * @param requests are taken one at a time as there is room for them, so that there may be any number
 * @param onResult is called once a request, in the order in which answers arrive
 * @throws UserError where continuing makes no sense (a wrong key, an unknown model, a dead server): requests
 *   without a result were not answered
 */
export async function processRequests(
  requests: Iterable<ChatRequest>,
  options: RequestOptions,
  onResult: (result: RequestResult) => void,
  { env = process.env, signal, onWarning = () => undefined }: RequestContext = {},
): Promise<RequestCounts> {
  const redactor = new Redactor();
  const parsed = parseFlags('reannotate', objectLayer('reannotate', { ...options }));
  const call = modelCall(parsed, environmentOf(parsed.values, { variables: env, redactor }));
  const warn = (message: string): void => {
    onWarning(redactor.text(message));
  };
  return alone(async () => {
    const { client, processor } = await openOnlineSession(call, {
      budget: null,
      events: eventsFor(onResult, warn),
      reporter: { ...SILENT, warning: warn, error: warn },
      hasAnswers: false,
      partialBefore: null,
    });
    const stop = (): void => {
      processor.stop({ reason: 'interrupted' });
    };
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted === true) stop();
    try {
      const ended = await processor.run(jobsOf(requests, call));
      if (ended?.reason === 'error') throw await stopError(ended, call);
      if (ended !== null) throw new RunInterrupted();
      return { ...processor.counts };
    } catch (error) {
      throw cleanError(error, redactor);
    } finally {
      signal?.removeEventListener('abort', stop);
      await client.abort();
    }
  });
}

const SILENT: Reporter = {
  debug: () => undefined,
  info: () => undefined,
  warning: () => undefined,
  error: () => undefined,
};

function eventsFor(
  onResult: (result: RequestResult) => void,
  warn: (message: string) => void,
): ProcessorEvents {
  return {
    answered: ({ requestIdx: index }, _sent, json, { state, annotation: text }) => {
      const response: unknown = JSON.parse(json.toString('utf8'));
      onResult({ index, state, response, text, errors: null });
    },
    failed: ({ requestIdx: index }, _sent, errors, isFiltered) => {
      onResult({ index, state: isFiltered ? 'filtered' : 'failed', response: null, text: null, errors });
    },
    partial: () => undefined,
    exchanged: () => undefined,
    wasted: () => undefined,
    parameterChanged: (_change, message) => {
      warn(message);
    },
    shortened: (_job, _tokens, message) => {
      warn(message);
    },
    streamed: warn,
    movedToResponses: warn,
  };
}

function* jobsOf(requests: Iterable<ChatRequest>, call: ModelCall): Generator<Job> {
  const shape = requestShape(call);
  const estimate = new TokenEstimate();
  let requestIdx = 0;
  for (const request of requests) {
    const body = Buffer.from(
      JSON.stringify({ ...requestBody({ messages: request.messages as never }, shape), ...request }),
    );
    yield { requestIdx, body, tokens: estimate.of(body) };
    requestIdx += 1;
  }
}

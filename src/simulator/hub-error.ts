/** How the Hub and the datasets-server say no, and which of their answers a rehearsal spoils. */

import type { OutgoingHttpHeaders } from 'node:http';
import { hashOf } from './answers.js';
import { draw, pickFault, type HubFault } from './faults.js';
import { sendJson, type Exchange } from './http.js';
import type { SimulatorSettings } from './options.js';
import type { Statistics } from './statistics.js';

/** An error of the Hub or the datasets-server, whose code is in a header. */
export class HubError extends Error {
  override readonly name = 'HubError';

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly headers: OutgoingHttpHeaders = {},
  ) {
    super(message);
  }
}

/** Runs a handler and answers its error as the Hub does. */
export async function answering(
  { request, response }: Exchange,
  statistics: Statistics,
  handle: () => void | Promise<void>,
): Promise<void> {
  statistics.count('hubRequests');
  try {
    await handle();
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    request.resume();
    // Headers take no other characters.
    const message = error.message.replace(/[^ -~]/g, '?');
    const headers = { 'x-error-code': error.code, 'x-error-message': message, ...error.headers };
    sendJson(response, error.status, { error: error.message }, headers);
  }
}

/** Draws faults for requests to the Hub. */
export class HubFaults {
  readonly #attempts = new Map<string, number>();

  constructor(
    private readonly settings: SimulatorSettings,
    private readonly statistics: Statistics,
  ) {}

  /** @throws HubError where a fault is drawn for this attempt at this URL */
  spoil({ request }: Exchange): void {
    const key = hashOf(`${request.method === 'GET' ? '' : (request.method ?? '')}${request.url ?? ''}`);
    const attempt = this.#attempts.get(key) ?? 0;
    this.#attempts.set(key, attempt + 1);
    const fault = pickFault(this.settings.hubFaults, draw(this.settings.seed, key, attempt, 0));
    if (fault === null) return;
    this.statistics.countHubFault(fault);
    throw HUB_ERRORS[fault]();
  }
}

const HUB_ERRORS: Readonly<Record<HubFault, () => HubError>> = {
  // https://huggingface.co/docs/hub/rate-limits: r requests remain for t seconds.
  '429': () =>
    new HubError(429, 'TooManyRequests', 'Too many requests. Please retry later.', {
      'retry-after': '1',
      ratelimit: '"api";r=0;t=1',
      'ratelimit-policy': '"fixed window";"api";q=500;w=300',
    }),
  '500': () => new HubError(500, 'UnexpectedError', 'Unexpected error.'),
  ResponseNotReady: () =>
    new HubError(
      500,
      'ResponseNotReady',
      'The server is busier than usual and the response is not ready yet. Please retry later.',
    ),
};

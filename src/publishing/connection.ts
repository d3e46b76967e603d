/**
 * How requests of `@huggingface/hub` travel: through the environment's proxy, with the token for the Hub's own address
 * alone, tried again where that is harmless, and with answers of bounded size.
 */

import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { requestedWait, pauseAfter } from '../datasets/hub-client.js';
import { messageOf, systemErrorCode, UserError } from '../lib/errors.js';
import { HubAddresses } from '../http/hub-addresses.js';
import { packageVersion } from '../lib/package.js';
import { atMinimumRate, discard } from '../http/minimum-rate.js';
import { warnOfPlainHttp } from '../http/plain-http.js';
import { openProxyAgent } from '../http/proxy-agent.js';
import { systemClock } from '../lib/clock.js';
import { Redactor } from '../secrets/redactor.js';
import { duration, sanitize } from '../lib/text.js';
import type { HubEnvironment, Reporter } from '../types.js';

const TRIES = 6;
/** A server that can't be reached at all is reported sooner. */
const TRIES_UNREACHABLE = 3;
/** The Hub answers a commit once it is made, which takes its time. */
const ANSWER_TIMEOUT_MS = 120_000;
const MAXIMUM_ANSWER_BYTES = 16 << 20;
const TOLD_FROM_MS = 3000;
const UNREACHABLE = new Set(['ENOTFOUND', 'ECONNREFUSED', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH']);

/**
 * `@huggingface/hub` takes nothing but tokens that begin with `hf_`, and would send them wherever an answer leads it.
 * It gets this one; requests carry the real one.
 */
export const STAND_IN_TOKEN = 'hf_';

/** No answer came, or none that says what became of the request. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';

  constructor(
    message: string,
    /** True where a commit may have been made all the same. */
    readonly isCommit: boolean,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export class HubConnection {
  readonly #addresses: HubAddresses;
  readonly #dispatcher: Dispatcher;
  /** A server may repeat the token that it is sent. */
  readonly #redactor: Redactor;
  readonly #userAgent = `reannotate/${packageVersion()}`;

  /** @param signal ends what is in progress, with its reason */
  constructor(
    private readonly hub: HubEnvironment,
    private readonly reporter: Reporter,
    readonly signal: AbortSignal,
  ) {
    this.#addresses = new HubAddresses(hub);
    if (hub.token !== null) {
      const { endpoint: url } = hub;
      warnOfPlainHttp({ what: 'HF_TOKEN', url, shown: new URL(url).origin }, reporter);
    }
    this.#redactor = new Redactor([{ value: hub.token ?? '', source: 'HF_TOKEN' }]);
    this.#dispatcher = openProxyAgent(
      {
        connections: 8,
        headersTimeout: ANSWER_TIMEOUT_MS,
        bodyTimeout: ANSWER_TIMEOUT_MS,
        connect: { timeout: 10_000 },
      },
      this.#addresses.lookupFor,
    );
  }

  get endpoint(): string {
    return this.hub.endpoint;
  }

  /** Drops what is in progress. */
  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  /**
   * `fetch` for `@huggingface/hub`. A commit is sent once only: whether it was made must be looked at before another.
   * @throws Unanswered where no answer came, after several tries of anything but a commit; UserError where an answer
   *   is not to be followed or read
   */
  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const url = input instanceof Request ? input.url : String(input);
    const isCommit = init.method === 'POST' && /\/commit\/[^/]*$/.test(new URL(url).pathname);
    for (let attempt = 1; ; attempt++) {
      this.signal.throwIfAborted();
      let asked: number | null = null;
      let problem: string;
      try {
        const response = await this.#once(url, init);
        const { status } = response;
        if (isCommit && isTransientStatus(status) && status !== 429)
          throw new Unanswered(`${host(url)} answered ${status}`, isCommit);
        if (!isTransientStatus(status) || attempt >= TRIES) return response;
        asked = requestedWait(Object.fromEntries(response.headers));
        problem = `it answered ${status}`;
      } catch (error) {
        if (error instanceof Unanswered) throw error;
        this.signal.throwIfAborted();
        init.signal?.throwIfAborted();
        if (error instanceof UserError) throw error;
        const code = systemErrorCode(error) ?? '';
        problem = sanitize(code === '' ? messageOf(error) : code, 120);
        if (isCommit || attempt >= (UNREACHABLE.has(code) ? TRIES_UNREACHABLE : TRIES))
          throw new Unanswered(`${host(url)} can't be reached (${problem})`, isCommit, { cause: error });
      }
      const pause = pauseAfter(attempt, asked);
      const text = `Trying ${host(url)} again in ${duration(pause)}: ${problem}.`;
      if (pause > TOLD_FROM_MS) this.reporter.info(text);
      else this.reporter.debug(text);
      await systemClock.sleep(pause, this.signal);
    }
  };

  async #once(url: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.delete('authorization');
    headers.set('user-agent', this.#userAgent);
    if (init.body instanceof Blob) headers.set('content-length', String(init.body.size));
    if (this.hub.token !== null && new URL(url).origin === new URL(this.hub.endpoint).origin)
      headers.set('authorization', `Bearer ${this.hub.token}`);
    // Uploads go where an answer says.
    const { origin, pathname, search } = this.#addresses.require(url, host(this.hub.endpoint));
    // `fetch` would hold a hundred megabytes of a large file, and follow a redirect with the token or the data.
    const response = await this.#dispatcher.request({
      origin,
      path: pathname + search,
      method: init.method ?? 'GET',
      headers: Object.fromEntries(headers),
      body:
        init.body instanceof Blob
          ? Readable.from(init.body.stream())
          : ((init.body ?? null) as string | null),
      signal: init.signal ? AbortSignal.any([init.signal, this.signal]) : this.signal,
    });
    const { statusCode: status, body } = response;
    const answered = headersOf(this.#redactor.headers(response.headers));
    if (status >= 300 && status < 400) {
      await discard(body);
      throw movedAway(url, answered.get('location'));
    }
    const bytes = new Uint8Array(this.#redactor.bytes(await readBounded(body, host(url))));
    const isEmpty = status === 204 || status === 205;
    return new Response(isEmpty ? null : bytes, { status: Math.min(status, 599), headers: answered });
  }
}

function headersOf(headers: Dispatcher.ResponseData['headers']): Headers {
  const entries = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, [value].flat().join(', ')] as [string, string]],
  );
  return new Headers(entries);
}

function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 507);
}

function movedAway(url: string, location: string | null): UserError {
  const to = location === null ? '' : ` to ${sanitize(location, 200)}`;
  return new UserError(
    `${host(url)} leads ${sanitize(new URL(url).pathname, 200)} elsewhere${to}, which is not followed with a token: give ` +
      'the name that the dataset has now, or check HF_ENDPOINT.',
  );
}

async function readBounded(body: Readable, from: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of atMinimumRate(body)) {
    length += chunk.length;
    if (length > MAXIMUM_ANSWER_BYTES) {
      throw new UserError(
        `${from} sent more than ${MAXIMUM_ANSWER_BYTES >> 20} MB in one answer; check HF_ENDPOINT.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function host(url: string): string {
  return sanitize(new URL(url).host, 100);
}

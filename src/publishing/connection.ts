/**
 * How requests of `@huggingface/hub` travel: through the environment's proxy, with the token for the Hub's own address
 * alone, tried again where that is harmless, and with answers of bounded size.
 */

import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { messageOf, systemErrorCode, UserError } from '../lib/errors.js';
import { HubAddresses } from '../http/hub-addresses.js';
import { packageVersion } from '../lib/package.js';
import { joinedHeaders, readBounded, TooLarge } from '../http/bodies.js';
import { discard } from '../http/minimum-rate.js';
import { isRedirect, tokenFor } from '../http/redirects.js';
import { isTransientStatus, requestedWait, TRIES, triesAfter, withRetries, type Try } from '../http/retry.js';
import { warnOfPlainHttp } from '../http/plain-http.js';
import { openProxyAgent } from '../http/proxy-agent.js';
import { systemClock } from '../lib/clock.js';
import { Redactor } from '../secrets/redactor.js';
import { duration, sanitize } from '../lib/text.js';
import type { HubEnvironment, Reporter } from '../types.js';

/** The Hub answers a commit once it is made, which takes its time. */
const ANSWER_TIMEOUT_MS = 120_000;
const MAXIMUM_ANSWER_BYTES = 16 << 20;
const TOLD_FROM_MS = 3000;
/** What a server may ask to wait: the Hub's limits are windows of five minutes. */
const LONGEST_WAIT_MS = 330_000;

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
    /** True if a commit may have been made nevertheless. */
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
    return withRetries(() => this.#try(url, init, isCommit), {
      random: Math.random,
      longestWait: LONGEST_WAIT_MS,
      pause: async (pause, { message }) => {
        const text = `Trying ${host(url)} again in ${duration(pause)}: ${message}.`;
        if (pause > TOLD_FROM_MS) this.reporter.info(text);
        else this.reporter.debug(text);
        await systemClock.sleep(pause, this.signal);
      },
    });
  };

  async #try(url: string, init: RequestInit, isCommit: boolean): Promise<Try<Response>> {
    this.signal.throwIfAborted();
    let response: Response;
    try {
      response = await this.#once(url, init);
    } catch (error) {
      this.signal.throwIfAborted();
      init.signal?.throwIfAborted();
      if (error instanceof UserError) throw error;
      const why = sanitize(systemErrorCode(error) ?? messageOf(error), 120);
      const text = `${host(url)} can't be reached (${why})`;
      const problem = new Unanswered(text, isCommit, { cause: error });
      return { problem, tries: isCommit ? 1 : triesAfter(error), asked: null };
    }
    const { status } = response;
    if (isCommit && isTransientStatus(status) && status !== 429)
      throw new Unanswered(`${host(url)} answered ${status}`, isCommit);
    if (!isTransientStatus(status)) return { value: response };
    const asked = requestedWait(Object.fromEntries(response.headers));
    // What the library makes of the last answer says most.
    return { problem: new Error(`it answered ${status}`), tries: TRIES, asked, fallback: response };
  }

  async #once(url: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.delete('authorization');
    headers.set('user-agent', this.#userAgent);
    if (init.body instanceof Blob) headers.set('content-length', String(init.body.size));
    const { authorization } = tokenFor(url, this.hub.token, [this.hub.endpoint]);
    if (authorization !== undefined) headers.set('authorization', authorization);
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
    const answered = new Headers(joinedHeaders(this.#redactor.headers(response.headers)));
    if (isRedirect(status)) {
      await discard(body);
      throw movedAway(url, answered.get('location'));
    }
    const read = await readBounded(response, MAXIMUM_ANSWER_BYTES).catch((error: unknown) => {
      if (!(error instanceof TooLarge)) throw error;
      throw new UserError(`${host(url)} sent ${error.message}; check HF_ENDPOINT.`);
    });
    const bytes = new Uint8Array(this.#redactor.bytes(read));
    const isEmpty = status === 204 || status === 205;
    return new Response(isEmpty ? null : bytes, { status: Math.min(status, 599), headers: answered });
  }
}

function movedAway(url: string, location: string | null): UserError {
  const to = location === null ? '' : ` to ${sanitize(location, 200)}`;
  return new UserError(
    `${host(url)} leads ${sanitize(new URL(url).pathname, 200)} elsewhere${to}, which is not followed with a token: give ` +
      'the name that the dataset has now, or check HF_ENDPOINT.',
  );
}

function host(url: string): string {
  return sanitize(new URL(url).host, 100);
}

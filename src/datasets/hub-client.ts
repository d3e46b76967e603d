/**
 * HTTP for the Hugging Face Hub: retries, redirects, the token's reach, and a sentence for every error.
 *
 * Codes and headers: huggingface/dataset-viewer (`libapi/exceptions.py`, `libcommon/exceptions.py`) and
 * huggingface/hub-docs (`docs/hub/rate-limits.md`).
 */

import type { Dispatcher } from 'undici';
import { isObject, parseJson } from '../lib/json.js';
import { holdsMoreValues } from '../lib/json-scan.js';
import { HubAddresses } from '../http/hub-addresses.js';
import { warnOfPlainHttp } from '../http/plain-http.js';
import { openProxyAgent } from '../http/proxy-agent.js';
import { EXIT, isTlsProblem, messageOf, systemErrorCode, TemporaryError, UserError } from '../lib/errors.js';
import { readBounded, TooLarge } from '../http/bodies.js';
import { discard } from '../http/minimum-rate.js';
import { isTransientStatus, requestedWait, TRIES, triesAfter, withRetries, type Try } from '../http/retry.js';
import { MAXIMUM_REDIRECTS, redirectTarget, tokenFor } from '../http/redirects.js';
import { systemClock, type Clock } from '../lib/clock.js';
import type { Headers } from '../http/limit-headers.js';
import { Redactor, Unsearchable } from '../secrets/redactor.js';
import { count, duration, sanitize } from '../lib/text.js';
import type { HubEnvironment, Reporter } from '../types.js';

const REQUEST_TIMEOUT_MS = 30_000;
/** What a server may ask to wait: the Hub's limits are windows of five minutes. */
const LONGEST_WAIT_MS = 330_000;
const TOLD_FROM_MS = 3000;
/** A page of a hundred rows with 120,000 characters each; a dataset of longer ones is read from its Parquet files. */
const MAXIMUM_JSON_BYTES = 12 << 20;
/** The same with 10,000 numbers each. */
const MOST_JSON_VALUES = 1_000_000;
/** Codes of errors that may go away on a retry, whatever their status. */
const PASSING_CODES = new Set([
  'ResponseNotReady',
  'UnexpectedApiError',
  'UnexpectedError',
  'PreviousStepStillProcessingError',
  'AuthCheckHubRequestError',
  'JobManagerCrashedError',
  'JobManagerExceededMaximumDurationError',
]);

/** The Hub refused a request; with its code. */
export class HubError extends UserError {
  constructor(
    message: string,
    /** The `X-Error-Code`; null where there is none. */
    readonly code: string | null,
    /** True where another way to the same rows may work. */
    readonly mayWorkOtherwise: boolean,
    /** True where the same request may be answered later. */
    isTransient = false,
  ) {
    super(message, isTransient ? EXIT.tryLater : EXIT.cannotGoOn);
  }
}

export interface HubClientOptions {
  hub: HubEnvironment;
  dataset: string;
  reporter: Reporter;
  signal?: AbortSignal | undefined;
  clock?: Clock;
  random?: () => number;
}

interface Answer {
  status: number;
  headers: Headers;
  body: Buffer;
}

export class HubClient {
  readonly #addresses: HubAddresses;
  readonly #dispatcher: Dispatcher;
  readonly #clock: Clock;
  readonly #random: () => number;
  #revision: string | null = null;
  /** A server may repeat the token that it is sent. */
  readonly #redactor: Redactor;
  /** Where redirects of a file led, so that ranges need not ask the Hub each time. */
  readonly #locations = new Map<string, string>();

  constructor(private readonly options: HubClientOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#redactor = new Redactor([{ value: options.hub.token ?? '', source: 'HF_TOKEN' }]);
    this.#random = options.random ?? Math.random;
    this.#addresses = new HubAddresses(options.hub);
    const { token, endpoint, datasetsServerUrl } = options.hub;
    for (const url of token === null ? [] : [endpoint, datasetsServerUrl])
      warnOfPlainHttp({ what: 'HF_TOKEN', url, shown: new URL(url).origin }, options.reporter);
    this.#dispatcher = openProxyAgent(
      {
        connections: 16,
        headersTimeout: REQUEST_TIMEOUT_MS,
        bodyTimeout: REQUEST_TIMEOUT_MS,
        connect: { timeout: 10_000 },
      },
      this.#addresses.lookupFor,
    );
  }

  /** The dataset's commit, as the first answer stated it; null until then or where it is not known. */
  get revision(): string | null {
    return this.#revision;
  }

  async close(): Promise<void> {
    await this.#dispatcher.close();
  }

  /**
   * Asks the datasets-server.
   * @throws HubError with a sentence where it refuses; UserError where the dataset changed since the first answer
   */
  async get(
    endpoint: string,
    query: Readonly<Record<string, string | number>>,
  ): Promise<Record<string, unknown>> {
    return (await this.getWithText(endpoint, query)).value;
  }

  /** The same with the answer's text, for numbers that JavaScript would spell otherwise. */
  async getWithText(
    endpoint: string,
    query: Readonly<Record<string, string | number>>,
  ): Promise<{ value: Record<string, unknown>; text: string }> {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) parameters.set(name, String(value));
    const url = `${this.options.hub.datasetsServerUrl}/${endpoint}?${parameters.toString()}`;
    let value: unknown;
    let text = '';
    const answer = await this.#withRetry(
      () => this.#request(url, {}, MAXIMUM_JSON_BYTES),
      endpoint,
      // An answer may be torn on its way, or come from something in between.
      ({ body }) => {
        text = body.toString('utf8');
        value = parseJson(text);
        if (isObject(value)) return null;
        const message = `${host(url)} answered /${endpoint} with something that is not a JSON object; try again later.`;
        return new HubError(message, null, true, true);
      },
    );
    this.#pin(answer.headers);
    return { value: value as Record<string, unknown>, text };
  }

  /** Bytes `start` (inclusive) to `end` (exclusive) of a file. */
  async range(url: string, start: number, end: number): Promise<ArrayBuffer> {
    const rewritten = this.#onConfiguredEndpoint(url);
    const headers = { range: `bytes=${start}-${end - 1}` };
    const answer = await this.#withRetry(async () => {
      const known = this.#locations.get(rewritten);
      const first = await this.#request(
        known ?? rewritten,
        headers,
        Math.max(MAXIMUM_JSON_BYTES, end - start + 1),
      );
      if (known === undefined || first.status < 400) return first;
      // Signed addresses expire.
      this.#locations.delete(rewritten);
      return this.#request(rewritten, headers, Math.max(MAXIMUM_JSON_BYTES, end - start + 1));
    }, 'a Parquet file');
    const bytes = answer.status === 206 ? answer.body : answer.body.subarray(start, end);
    // Memory of its own, which is the common case, need not be copied again.
    const isWhole = bytes.byteOffset === 0 && bytes.length === bytes.buffer.byteLength;
    return (
      isWhole ? bytes.buffer : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
    ) as ArrayBuffer;
  }

  /** Parquet files are listed under the Hub's own address; a mirror has them under its own. */
  #onConfiguredEndpoint(url: string): string {
    const official = 'https://huggingface.co/';
    return url.startsWith(official) ? `${this.options.hub.endpoint}/${url.slice(official.length)}` : url;
  }

  #pin(headers: Headers): void {
    const revision = headers['x-revision'];
    if (typeof revision !== 'string' || revision === '') return;
    this.#revision ??= revision.slice(0, 200);
    if (this.#revision === revision.slice(0, 200)) return;
    throw new TemporaryError(
      `The dataset ${sanitize(this.options.dataset, 120)} changed on the Hub while it was being read (revision ` +
        `${sanitize(this.#revision, 50)}, then ${sanitize(revision, 50)}); run the command again to read the new one.`,
    );
  }

  /**
   * Tries again while the answer is one that may pass.
   * @param problemOf what is wrong with a good answer's content
   */
  async #withRetry(
    request: () => Promise<Answer>,
    what: string,
    problemOf: (answer: Answer) => HubError | null = () => null,
  ): Promise<Answer> {
    const { reporter, signal } = this.options;
    const clock = this.#clock;
    let started = clock.now();
    return withRetries(
      async () => {
        signal?.throwIfAborted();
        started = clock.now();
        return this.#try(request, what, problemOf);
      },
      {
        random: this.#random,
        longestWait: LONGEST_WAIT_MS,
        pause: async (wait, problem) => {
          if (wait + clock.now() - started > TOLD_FROM_MS)
            reporter.info(`Trying again in ${duration(wait)}: ${problem.message}`);
          else reporter.debug(`Trying the Hub again: ${problem.message}`);
          await clock.sleep(wait, signal);
          signal?.throwIfAborted();
        },
      },
    );
  }

  async #try(
    request: () => Promise<Answer>,
    what: string,
    problemOf: (answer: Answer) => HubError | null,
  ): Promise<Try<Answer>> {
    try {
      const answer = await request();
      const isGood = answer.status < 300;
      const problem = isGood ? problemOf(answer) : this.#problem(answer, what);
      if (problem === null) return { value: answer };
      const tries = isGood || passes(answer) ? TRIES : 1;
      return { problem, tries, asked: requestedWait(answer.headers) };
    } catch (error) {
      if (error instanceof UserError || this.options.signal?.aborted === true) throw error;
      return { problem: this.#unreachable(error), tries: triesAfter(error), asked: null };
    }
  }

  /** One request, with redirects followed by hand so that the token stays with the Hub. */
  async #request(url: string, headers: Record<string, string>, maximumBytes: number): Promise<Answer> {
    let target = this.#addresses.require(url, host(this.options.hub.datasetsServerUrl)).href;
    for (let redirects = 0; ; redirects++) {
      const { origin, pathname, search } = new URL(target);
      const response = await this.#dispatcher.request({
        origin,
        path: pathname + search,
        method: 'GET',
        headers: { ...headers, 'user-agent': 'reannotate', ...this.#authorization(target) },
        signal: this.options.signal ?? null,
      });
      const { statusCode, headers: answered, body } = response;
      const next = redirectTarget(statusCode, answered['location'], target);
      if (next !== null) {
        await discard(body);
        if (redirects >= MAXIMUM_REDIRECTS)
          throw new HubError(`${host(url)} redirects in a loop.`, null, true);
        target = this.#addresses.require(next.href, host(target)).href;
        continue;
      }
      if (target !== url && statusCode < 300) this.#locations.set(url, target);
      const bytes = await readBounded(response, maximumBytes).catch((error: unknown) => {
        throw error instanceof TooLarge
          ? new HubError(`${host(target)} sent ${error.message}.`, null, true)
          : error;
      });
      const isFile = headers['range'] !== undefined && statusCode < 300;
      return {
        status: statusCode,
        headers: this.#redactor.headers(answered),
        // The rows of a Parquet file are cleaned once they are read.
        body: isFile ? bytes : this.#cleaned(bytes, host(target)),
      };
    }
  }

  #cleaned(bytes: Buffer, from: string): Buffer {
    if (holdsMoreValues(bytes, MOST_JSON_VALUES))
      throw new HubError(
        `${from} sent more than ${count(MOST_JSON_VALUES)} values in one answer.`,
        null,
        true,
      );
    try {
      return this.#redactor.bytes(bytes);
    } catch (error) {
      if (!(error instanceof Unsearchable)) throw error;
      throw new HubError(`An answer of ${from} ${error.message}.`, null, true);
    }
  }

  /** The token goes to the Hub's own addresses and nowhere else. */
  #authorization(url: string): { authorization?: string } {
    const { token, endpoint, datasetsServerUrl } = this.options.hub;
    return tokenFor(url, token, [endpoint, datasetsServerUrl]);
  }

  #unreachable(error: unknown): UserError {
    const where = host(this.options.hub.datasetsServerUrl);
    const reason = sanitize(messageOf(error) || (systemErrorCode(error) ?? 'no answer'), 160);
    return new HubError(
      `Cannot reach ${where} (${reason}). Check the network and the variables HTTPS_PROXY, HF_ENDPOINT and ` +
        'HF_DATASETS_SERVER_URL; a local file needs no network.',
      null,
      true,
      !isTlsProblem(error),
    );
  }

  #problem(answer: Answer, what: string): HubError {
    const code = errorCode(answer);
    const value = parseJson(answer.body.toString('utf8'));
    const said = isObject(value) && typeof value['error'] === 'string' ? sanitize(value['error'], 240) : '';
    const name = sanitize(this.options.dataset, 120);
    const page = `${this.options.hub.endpoint}/datasets/${name}`;
    const hasToken = this.options.hub.token !== null;
    const message = explain({ code, status: answer.status, name, page, hasToken, said, what });
    return new HubError(message, code, mayWorkOtherwise(code, answer.status), passes(answer));
  }
}

function mayWorkOtherwise(code: string | null, status: number): boolean {
  return (
    (code !== null && PASSING_CODES.has(code)) ||
    status === 429 ||
    (status >= 500 && status !== 501) ||
    code === 'TooBigContentError'
  );
}

function passes(answer: Answer): boolean {
  const code = errorCode(answer);
  if (code !== null && PASSING_CODES.has(code)) return true;
  // Any other code says that the server is well, and why it does not serve this.
  return isTransientStatus(answer.status) && (answer.status < 500 || code === null);
}

function errorCode(answer: Answer): string | null {
  const header = answer.headers['x-error-code'];
  if (typeof header === 'string' && header !== '') return sanitize(header, 80);
  const value = parseJson(answer.body.toString('utf8'));
  return isObject(value) && typeof value['error_code'] === 'string'
    ? sanitize(value['error_code'], 80)
    : null;
}

/** What is known of a refusal. */
interface Refusal {
  code: string | null;
  status: number;
  /** The dataset's name. */
  name: string;
  /** The address of its page. */
  page: string;
  hasToken: boolean;
  /** The server's own words. */
  said: string;
  /** What was requested. */
  what: string;
}

/** One sentence for each code, which says what to do. */
function explain(refusal: Refusal): string {
  const { code, name, page, said } = refusal;
  switch (code) {
    case 'ExternalUnauthenticatedError':
      return `The dataset ${name} does not exist, or it is private or gated: check the spelling; if it is gated, accept its terms at ${page} and set HF_TOKEN.`;
    case 'ExternalAuthenticatedError':
      return `The dataset ${name} does not exist, or the account of HF_TOKEN cannot access it: check the spelling; if it is gated, accept its terms at ${page} with that account.`;
    case 'RenamedDatasetError':
      return `The dataset ${name} was renamed: open ${page} and use its new name.`;
    case 'DatasetNotFoundError':
    case 'ResponseNotFound':
      return `The Hub has no such dataset, subset or split (${name}): check the spelling, --subset and --split.`;
    case 'ResponseNotReady':
    case 'PreviousStepStillProcessingError':
      return `The Hub is still preparing ${name} for its viewer: try again in a few minutes, or download a file of it and use that.`;
    case 'DatasetWithScriptNotSupportedError':
    case 'DatasetModuleNotInstalledError':
      return `The dataset ${name} is built by a script, which the Hub does not run: convert it to Parquet or JSON Lines and use that file.`;
    case 'DisabledViewerError':
    case 'NotSupportedDisabledViewerError':
      return `The viewer of ${name} is disabled, so its rows can't be read from the Hub: download a file of it and use that.`;
    case 'NotSupportedPrivateRepositoryError':
    case 'NotSupportedPrivateDatasetError':
    case 'PrivateDatasetError':
      return `The dataset ${name} is private, and the Hub serves rows of private datasets only for PRO and Enterprise accounts: download a file of it and use that.`;
    case 'GatedDatasetError':
    case 'GatedExtraFieldsError':
      return `The dataset ${name} is gated: accept its terms at ${page} and set HF_TOKEN.`;
    case 'TooBigContentError':
      return `Rows of ${name} are too large for the Hub's viewer: download a file of it and use that.`;
    case 'EmptyDatasetError':
    case 'DatasetRevisionEmptyError':
      return `The dataset ${name} has no data.`;
    case 'DatasetInBlockListError':
      return `The Hub does not serve ${name} (blocked): download a file of it and use that.`;
    case 'MissingRequiredParameter':
    case 'InvalidParameter':
      return `The Hub refuses the request for ${name} (${said}): check the dataset id, --subset and --split.`;
    case 'UnexpectedApiError':
    case 'UnexpectedError':
      return `The Hub failed to serve ${name} (${said || code}): try again later.`;
    case null:
    default:
      return explainStatus(refusal);
  }
}

function explainStatus({ code, status, name, page, hasToken, said, what }: Refusal): string {
  const detail = [code, said].filter((part) => part !== null && part !== '').join(': ');
  const suffix = detail === '' ? '' : ` (${detail})`;
  if (status === 401 || status === 403) {
    return hasToken
      ? `The Hub refused HF_TOKEN for ${name}${suffix}: check the token, and accept the dataset's terms at ${page}.`
      : `The Hub requires a login for ${name}${suffix}: accept the dataset's terms at ${page} if it is gated, and set HF_TOKEN.`;
  }
  if (status === 404)
    return `The Hub has no dataset ${name}${suffix}: check the spelling, --subset and --split.`;
  if (status === 429)
    return `The Hub's rate limit is exhausted${suffix}: wait five minutes, or set HF_TOKEN for a higher one.`;
  if (status >= 500 && code === null)
    return `The Hub failed with ${status} on ${what} of ${name}${suffix}: try again later.`;
  return `The Hub can't serve ${name}: ${status}${suffix}. Download a file of it and use that.`;
}

function host(url: string): string {
  return sanitize(new URL(url).host, 100);
}

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
import { atMinimumRate, discard, TooSlow } from '../http/minimum-rate.js';
import { systemClock, type Clock } from '../lib/clock.js';
import { retryAfter, type Headers } from '../http/limit-headers.js';
import { Redactor, Unsearchable } from '../secrets/redactor.js';
import { count, duration, sanitize } from '../lib/text.js';
import type { HubEnvironment, Reporter } from '../types.js';

const TRIES = 6;
/** A server that can't be reached at all is reported sooner. */
const TRIES_UNREACHABLE = 3;
/** So is one that is too slow: each try takes half a minute. */
const TRIES_SLOW = 2;
const REQUEST_TIMEOUT_MS = 30_000;
const BACKOFF_BASE_MS = 500;
const BACKOFF_MAXIMUM_MS = 60_000;
/** What a server may ask to wait: the Hub's limits are windows of five minutes. */
const LONGEST_WAIT_MS = 330_000;
const TOLD_FROM_MS = 3000;
/** A page of a hundred rows with 120,000 characters each; a dataset of longer ones is read from its Parquet files. */
const MAXIMUM_JSON_BYTES = 12 << 20;
/** The same with 10,000 numbers each. */
const MOST_JSON_VALUES = 1_000_000;
const MAXIMUM_REDIRECTS = 5;
const UNREACHABLE = new Set(['ENOTFOUND', 'ECONNREFUSED', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH']);
/** Codes of answers that another try may mend, whatever their status. */
const PASSING_CODES = new Set([
  'ResponseNotReady',
  'UnexpectedApiError',
  'UnexpectedError',
  'PreviousStepStillProcessingError',
  'AuthCheckHubRequestError',
  'JobManagerCrashedError',
  'JobManagerExceededMaximumDurationError',
]);

/** An answer of the Hub that says no, with its code. */
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
        const message = `${host(url)} answered /${endpoint} with something that is no JSON object; try again later.`;
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
      `The dataset ${sanitize(this.options.dataset, 120)} changed on the Hub while it was read (revision ` +
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
    for (let attempt = 1; ; attempt++) {
      this.options.signal?.throwIfAborted();
      let wait: number | null = null;
      let problem: Error;
      const started = this.#clock.now();
      try {
        const answer = await request();
        const isGood = answer.status < 300;
        const wrong = isGood ? problemOf(answer) : this.#problem(answer, what);
        if (wrong === null) return answer;
        problem = wrong;
        if (!(isGood || passes(answer)) || attempt >= TRIES) throw problem;
        wait = requestedWait(answer.headers);
      } catch (error) {
        if (error instanceof UserError || this.options.signal?.aborted === true) throw error;
        const most = triesAfter(error);
        problem = this.#unreachable(error);
        if (attempt >= most) throw problem;
      }
      await this.#backOff(attempt, wait, problem, this.#clock.now() - started);
    }
  }

  async #backOff(attempt: number, asked: number | null, problem: Error, lost: number): Promise<void> {
    const { reporter, signal } = this.options;
    const wait = pauseAfter(attempt, asked, this.#random);
    if (wait + lost > TOLD_FROM_MS) reporter.info(`Trying again in ${duration(wait)}: ${problem.message}`);
    else reporter.debug(`Trying the Hub again: ${problem.message}`);
    await this.#clock.sleep(wait, signal);
    signal?.throwIfAborted();
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
      const location = answered['location'];
      if (
        statusCode >= 300 &&
        statusCode < 400 &&
        typeof location === 'string' &&
        URL.canParse(location, target)
      ) {
        await discard(body);
        if (redirects >= MAXIMUM_REDIRECTS)
          throw new HubError(`${host(url)} redirects in a circle.`, null, true);
        target = this.#addresses.require(new URL(location, target).href, host(target)).href;
        continue;
      }
      if (target !== url && statusCode < 300) this.#locations.set(url, target);
      const bytes = await readBounded(response, maximumBytes, host(target));
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
  #authorization(url: string): Record<string, string> {
    const { token, endpoint, datasetsServerUrl } = this.options.hub;
    const origin = new URL(url).origin;
    const own = [endpoint, datasetsServerUrl].some((address) => new URL(address).origin === origin);
    return token !== null && own ? { authorization: `Bearer ${token}` } : {};
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

function triesAfter(error: unknown): number {
  if (error instanceof TooSlow) return TRIES_SLOW;
  return UNREACHABLE.has(systemErrorCode(error) ?? '') ? TRIES_UNREACHABLE : TRIES;
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
  return (
    answer.status === 408 ||
    answer.status === 429 ||
    (answer.status >= 500 && answer.status !== 501 && code === null)
  );
}

function errorCode(answer: Answer): string | null {
  const header = answer.headers['x-error-code'];
  if (typeof header === 'string' && header !== '') return sanitize(header, 80);
  const value = parseJson(answer.body.toString('utf8'));
  return isObject(value) && typeof value['error_code'] === 'string'
    ? sanitize(value['error_code'], 80)
    : null;
}

/**
 * Milliseconds to wait after a failed try, with jitter.
 * @param attempt of the try that failed, from 1
 * @param asked milliseconds that the server asked for; null where it did not
 */
export function pauseAfter(
  attempt: number,
  asked: number | null,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(BACKOFF_MAXIMUM_MS, BACKOFF_BASE_MS * 2 ** attempt);
  return Math.min(asked ?? 0, LONGEST_WAIT_MS) + random() * (asked === null ? ceiling : BACKOFF_BASE_MS);
}

/** `Retry-After`, or the seconds until the window ends in `RateLimit: "api";r=0;t=55`. */
export function requestedWait(headers: Headers): number | null {
  const asked = retryAfter(headers);
  if (asked !== null) return asked;
  const limit = headers['ratelimit'];
  if (typeof limit !== 'string' || !/\br=0\b/.test(limit)) return null;
  const seconds = /\bt=(\d{1,9})\b/.exec(limit)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}

/** What is known of an answer that says no. */
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
  /** What was asked for. */
  what: string;
}

/** One sentence for each code, which says what to do. */
function explain(refusal: Refusal): string {
  const { code, name, page, said } = refusal;
  switch (code) {
    case 'ExternalUnauthenticatedError':
      return `The dataset ${name} does not exist, or it is private or gated: check the spelling; for a gated one accept its licence at ${page} and set HF_TOKEN.`;
    case 'ExternalAuthenticatedError':
      return `The dataset ${name} does not exist, or the account of HF_TOKEN has no access to it: check the spelling; for a gated one accept its licence at ${page} with that account.`;
    case 'RenamedDatasetError':
      return `The dataset ${name} was renamed: open ${page} and use the name it leads to.`;
    case 'DatasetNotFoundError':
    case 'ResponseNotFound':
      return `The Hub has no such dataset, subset or split (${name}): check the spelling, --subset and --split.`;
    case 'ResponseNotReady':
    case 'PreviousStepStillProcessingError':
      return `The Hub is still preparing ${name} for its viewer: try again in some minutes, or download a file of it and give its path.`;
    case 'DatasetWithScriptNotSupportedError':
    case 'DatasetModuleNotInstalledError':
      return `The dataset ${name} is made by a script, which the Hub does not run: convert it to Parquet or JSON Lines and give the file's path.`;
    case 'DisabledViewerError':
    case 'NotSupportedDisabledViewerError':
      return `The viewer of ${name} is disabled, so its rows can't be read from the Hub: download a file of it and give its path.`;
    case 'NotSupportedPrivateRepositoryError':
    case 'NotSupportedPrivateDatasetError':
    case 'PrivateDatasetError':
      return `The dataset ${name} is private, and the Hub serves rows of private datasets only for PRO and Enterprise accounts: download a file of it and give its path.`;
    case 'GatedDatasetError':
    case 'GatedExtraFieldsError':
      return `The dataset ${name} is gated: accept its licence at ${page} and set HF_TOKEN.`;
    case 'TooBigContentError':
      return `Rows of ${name} are too large for the Hub's viewer: download a file of it and give its path.`;
    case 'EmptyDatasetError':
    case 'DatasetRevisionEmptyError':
      return `The dataset ${name} has no data.`;
    case 'DatasetInBlockListError':
      return `The Hub does not serve ${name} (blocked): download a file of it and give its path.`;
    case 'MissingRequiredParameter':
    case 'InvalidParameter':
      return `The Hub refuses the request for ${name} (${said}): check the dataset id, --subset and --split.`;
    case 'UnexpectedApiError':
    case 'UnexpectedError':
      return `The Hub failed to serve ${name} (${said || code}): try again later.`;
    default:
      return explainStatus(refusal);
  }
}

function explainStatus({ code, status, name, page, hasToken, said, what }: Refusal): string {
  const detail = [code, said].filter((part) => part !== null && part !== '').join(': ');
  const suffix = detail === '' ? '' : ` (${detail})`;
  if (status === 401 || status === 403) {
    return hasToken
      ? `The Hub refused HF_TOKEN for ${name}${suffix}: check the token, and accept the dataset's licence at ${page}.`
      : `The Hub wants a login for ${name}${suffix}: accept the dataset's licence at ${page} if it is gated, and set HF_TOKEN.`;
  }
  if (status === 404)
    return `The Hub has no dataset ${name}${suffix}: check the spelling, --subset and --split.`;
  if (status === 429)
    return `The Hub's rate limit is used up for now${suffix}: wait five minutes, or set HF_TOKEN for a higher one.`;
  if (status >= 500 && code === null)
    return `The Hub failed with ${status} on ${what} of ${name}${suffix}: try again later.`;
  return `The Hub can't serve ${name}: ${status}${suffix}. Download a file of it and give its path.`;
}

/** Reads a body into memory of its own, in place where its length is known. */
async function readBounded(
  response: Dispatcher.ResponseData,
  maximumBytes: number,
  from: string,
): Promise<Buffer> {
  const stated = Number(response.headers['content-length']);
  const exact = Number.isSafeInteger(stated) && stated > 0 && stated <= maximumBytes;
  let bytes = Buffer.from(new ArrayBuffer(exact ? stated : 65_536));
  let length = 0;
  for await (const piece of atMinimumRate(response.body)) {
    if (length + piece.length > maximumBytes) {
      throw new HubError(
        `${from} sent more than ${Math.round(maximumBytes / (1 << 20))} MB in one answer.`,
        null,
        true,
      );
    }
    if (length + piece.length > bytes.length) {
      const larger = Buffer.from(new ArrayBuffer(Math.max(bytes.length * 2, length + piece.length)));
      bytes.copy(larger, 0, 0, length);
      bytes = larger;
    }
    length += piece.copy(bytes, length);
  }
  return bytes.subarray(0, length);
}

function host(url: string): string {
  return sanitize(new URL(url).host, 100);
}

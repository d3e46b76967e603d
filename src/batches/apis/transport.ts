/**
 * How calls travel to a batch API: through the official OpenAI SDK with a transport of our own below it. Files are
 * streamed in both directions, proxies and time-outs are those of the rest of the program, and nothing is repeated on
 * its own (where creating a batch answers 500, the batch may exist: a blind second try would pay twice).
 */

import { createReadStream, statSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import OpenAI, { APIError } from 'openai';
import type { Dispatcher } from 'undici';
import { isObject, parseJson } from '../../lib/json.js';
import { holdsMoreValues } from '../../lib/json-scan.js';
import { systemErrorCode } from '../../lib/errors.js';
import { ANSWER_BOUNDS, beyondBounds } from '../../http/answer-bounds.js';
import { authorization, requestUrl, type ApiAddress } from '../../http/address.js';
import { joinedHeaders, readStart } from '../../http/bodies.js';
import { atMinimumRate } from '../../http/minimum-rate.js';
import { AddressRefused, isInside, publicLookup } from '../../http/private-addresses.js';
import { openProxyAgent } from '../../http/proxy-agent.js';
import { classifyFailure, classifyResponse, type Verdict } from '../../requests/verdict.js';
import type { Redactor } from '../../secrets/redactor.js';
import { sanitize } from '../../lib/text.js';
import type { Download } from './batch-api.js';

const CONNECT_TIMEOUT_MS = 10_000;
/** Looking a model up is a courtesy that nobody should wait for. */
const MODEL_TIMEOUT_MS = 10_000;
/** Uploads and downloads take as long as they need; stalled ones are ended by the dispatcher's own time-outs. */
const TRANSFER_TIMEOUT_MS = 24 * 60 * 60_000;
const MAXIMUM_JSON_BYTES = ANSWER_BOUNDS.bytes;
/** What is read of an error's body: messages are cut to far less, and a proxy's page may be of any size. */
const MAXIMUM_ERROR_BYTES = 64 << 10;
const CONNECTIONS = 8;
/** Characters of a refusal that are shown. */
export const REFUSAL_LENGTH = 400;

/** Where calls go, and with which key. */
export interface Connection {
  address: ApiAddress;
  /** Null where the server needs none. */
  apiKey: string | null;
  /** Milliseconds until an answer has to begin, and between two pieces of one. */
  timeout: number;
  userAgent: string;
  redactor: Redactor;
  /** Cuts off whatever is in progress. */
  signal: AbortSignal;
  /** The account at the provider, where its addresses contain one and the environment names it. */
  account?: string | null;
}

/** What differs from OpenAI's way of calling. */
export interface TransportOptions {
  /** In place of `Authorization: Bearer`. */
  headers?: Record<string, string>;
  /** True for the path of a file's content, which is streamed; any other answer is read whole. */
  isFile?: (path: string) => boolean;
}

/** What a call sends besides its path. */
export interface Call {
  query?: Record<string, unknown>;
  headers?: Record<string, string>;
  body?: unknown;
  /** Milliseconds. */
  timeout?: number;
}

/** A request body that is streamed; its length has to be known. */
export interface StreamedBody {
  pieces: AsyncIterable<Buffer>;
  bytes: number;
  contentType: string;
}

const LOOKUP = publicLookup(() => '');

/** The calls of one API. */
export class Transport {
  readonly #api: OpenAI;
  readonly #dispatchers: { bounded: Dispatcher; unbounded: Dispatcher };
  readonly #redactor: Redactor;
  readonly #isLocal: boolean;
  readonly #own: URL;

  constructor(connection: Connection, { headers, isFile = isContent }: TransportOptions = {}) {
    const { address, apiKey, timeout, userAgent, redactor, signal } = connection;
    const settings = {
      connections: CONNECTIONS,
      headersTimeout: timeout,
      bodyTimeout: timeout,
      connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, timeout) },
    };
    const bounded = openProxyAgent({ ...settings, maxResponseSize: MAXIMUM_JSON_BYTES });
    const unbounded = openProxyAgent(settings, (origin) => this.#lookupFor(origin));
    this.#dispatchers = { bounded, unbounded };
    this.#redactor = redactor;
    this.#isLocal = address.base.startsWith('http:');
    this.#own = new URL(address.base);
    // One listener for all calls: the SDK would leave one behind for each.
    signal.addEventListener('abort', () => void this.close(), { once: true });
    this.#api = new OpenAI({
      // The SDK wants some key; what authorises the requests is in the headers below.
      apiKey: 'none',
      baseURL: requestUrl({ base: address.base, query: '' }, '/files').replace(/\/files$/, ''),
      maxRetries: 0,
      timeout,
      logLevel: 'off',
      defaultHeaders: {
        'user-agent': userAgent,
        authorization: null,
        ...(headers ?? authorization(address, apiKey)),
      },
      fetch: (target, init) => {
        const url = withQuery(addressOf(target), address.query);
        const isStreamed = isFile(url.pathname);
        return send(url, init ?? {}, { dispatcher: isStreamed ? unbounded : bounded, redactor, isStreamed });
      },
    });
  }

  get(path: string, call: Call = {}): Promise<Response> {
    return this.#api.get(path, call).asResponse();
  }

  post(path: string, call: Call = {}): Promise<Response> {
    return this.#api.post(path, call).asResponse();
  }

  async delete(path: string): Promise<void> {
    await this.#api.delete(path).asResponse();
  }

  /** Looks a model up where the API has OpenAI's call for that. @throws APIError where it does not know the model */
  async requireModel(model: string): Promise<void> {
    await this.get(`/models/${pathSegment(model)}`, { timeout: MODEL_TIMEOUT_MS });
  }

  /** Sends a body of any size. */
  postStream(path: string, { pieces, bytes, contentType }: StreamedBody): Promise<Response> {
    return this.post(path, {
      body: Readable.from(pieces),
      headers: { 'content-type': contentType, 'content-length': String(bytes) },
      timeout: TRANSFER_TIMEOUT_MS,
    });
  }

  /** Opens a file's content from a byte on. */
  async download(path: string, from: number): Promise<Download> {
    const response = await this.get(path, {
      headers: { accept: 'application/octet-stream', ...(from > 0 ? { range: `bytes=${from}-` } : {}) },
    });
    return readDownload(response);
  }

  /**
   * A call to an address that the API named, such as a signed one of its storage: without the key.
   * @throws UnreadableAnswer where the address is not one to send data to
   */
  async external(
    address: string,
    method: 'GET' | 'PUT' | 'POST',
    { headers = {}, body }: { headers?: Record<string, string>; body?: AsyncIterable<Buffer> } = {},
  ): Promise<Response> {
    const url = this.#checked(address);
    const init = { method, headers, ...(body === undefined ? {} : { body: Readable.from(body) as never }) };
    const response = await send(url, init, {
      dispatcher: this.#dispatchers.unbounded,
      redactor: this.#redactor,
      isStreamed: method === 'GET',
    });
    if (response.status < 400) return response;
    throw APIError.generate(response.status, undefined, await response.text(), response.headers);
  }

  #checked(address: string): URL {
    const url = URL.canParse(address) ? new URL(address) : null;
    const isSafe = url?.protocol === 'https:' || (this.#isLocal && url?.protocol === 'http:');
    if (url === null || !isSafe || url.username !== '') {
      throw new UnreadableAnswer('the address of a file', 'an address that is not https');
    }
    if (isInside(url.hostname) && !isInside(this.#own.hostname)) {
      throw new AddressRefused(
        `${this.#own.host} names ${sanitize(url.host, 100)} for a file, an address inside your network, and is not followed.`,
      );
    }
    return url;
  }

  /** Storage that a public API names must be public as well, even if a resolver changes its mind. */
  #lookupFor(origin: URL): { lookup?: LookupFunction } {
    return origin.origin === this.#own.origin || isInside(this.#own.hostname) ? {} : { lookup: LOOKUP };
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#dispatchers).map((dispatcher) => dispatcher.destroy()));
  }
}

function isContent(path: string): boolean {
  return path.endsWith('/content');
}

/** A multipart form with some fields and one file, streamed from the disk. */
export function multipartForm(
  fields: Readonly<Record<string, string | number>>,
  path: string,
  name: string,
): StreamedBody {
  const boundary = `reannotate-${randomUUID()}`;
  const head = Buffer.from(
    Object.entries(fields)
      .map(
        ([field, value]) =>
          `--${boundary}\r\nContent-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`,
      )
      .join('') +
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n` +
      'Content-Type: application/jsonl\r\n\r\n',
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  return {
    pieces: multipart(head, path, tail),
    bytes: head.length + statSync(path).size + tail.length,
    contentType: `multipart/form-data; boundary=${boundary}`,
  };
}

async function* multipart(head: Buffer, path: string, tail: Buffer): AsyncGenerator<Buffer> {
  yield head;
  yield* fileBytes(path);
  yield tail;
}

/** A file's bytes, piece by piece. */
export function fileBytes(path: string): AsyncIterable<Buffer> {
  return createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>;
}

/** What the headers of a response say about the bytes that follow. */
export function readDownload(response: Response): Download {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
  const offset = response.status === 206 && range !== null ? Number(range[1]) : 0;
  const length = Number(response.headers.get('content-length') ?? NaN);
  const total = range !== null ? Number(range[2]) : length;
  return {
    offset,
    total: Number.isSafeInteger(total) ? total : null,
    bytes: (response.body ?? []) as AsyncIterable<Uint8Array>,
  };
}

/** A part of a path, encoded as the SDK encodes its own. */
function pathSegment(text: string): string {
  return text.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@]+/g, encodeURIComponent);
}

function addressOf(address: string | URL | Request): URL {
  return new URL(address instanceof Request ? address.url : address);
}

/** The query of the base URL, such as Azure's `api-version`, follows every path. */
function withQuery(url: URL, query: string): URL {
  for (const [name, value] of new URLSearchParams(query)) url.searchParams.append(name, value);
  return url;
}

/** How a request is sent, and its answer read. */
interface Sending {
  dispatcher: Dispatcher;
  redactor: Redactor;
  /** True for a file, which is not read here. */
  isStreamed: boolean;
}

/**
 * `fetch` as far as the SDK needs it, over undici's `request`: no redirects, no hidden buffering. Secrets are taken out
 * of headers and of everything but a file, which `download` cleans on the disk.
 */
async function send(
  url: URL,
  init: RequestInit,
  { dispatcher, redactor, isStreamed }: Sending,
): Promise<Response> {
  const { body: sent } = init;
  const response = await dispatcher.request({
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    method: init.method ?? 'GET',
    headers: Object.fromEntries(new Headers(init.headers)),
    body:
      sent instanceof ReadableStream ? Readable.fromWeb(sent as never) : ((sent ?? null) as string | null),
    signal: init.signal ?? null,
  });
  const { statusCode } = response;
  const isEmpty = statusCode === 204 || statusCode === 304 || statusCode < 200;
  if (isEmpty) await response.body.dump();
  const isFile = isStreamed && statusCode < 300;
  const content = async (): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = await readStart(response.body, statusCode < 300 ? MAXIMUM_JSON_BYTES : MAXIMUM_ERROR_BYTES);
    if (holdsMoreValues(bytes, ANSWER_BOUNDS.values)) throw beyondBounds(ANSWER_BOUNDS, 'values');
    const clean = redactor.bytes(bytes);
    return new Uint8Array(statusCode < 300 ? clean : errorForSdk(clean));
  };
  const body = isEmpty
    ? null
    : isFile
      ? (Readable.toWeb(Readable.from(atMinimumRate(response.body))) as never)
      : await content();
  return new Response(body, {
    status: statusCode < 200 || statusCode > 599 ? 502 : statusCode,
    headers: joinedHeaders(redactor.headers(response.headers)),
  });
}

/**
 * The body of an error as the SDK reads it, which looks into the field `error` alone: Mistral, Fireworks and FastAPI have
 * their message beside it or without one, and Google may have a list of one error.
 */
function errorForSdk(bytes: Buffer): Buffer {
  const value = parseJson(bytes.toString('utf8'));
  const body: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
  if (!isObject(body)) return bytes;
  return Buffer.from(JSON.stringify((body['error'] ?? null) === null ? { error: body } : body));
}

/**
 * The value of an answer that the server gave with a 2xx, whatever type it says it has; text where it is not JSON.
 * @throws UnreadableAnswer where it broke off: what was ordered is done nevertheless
 */
export async function readAnswer(what: string, pending: Promise<Response>): Promise<unknown> {
  const response = await pending;
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    const code = systemErrorCode(error);
    throw new UnreadableAnswer(what, `it was cut off${code === undefined ? '' : ` (${code})`}`, {
      cause: error,
    });
  }
  return parseJson(text.replace(/^\ufeff/, '')) ?? text;
}

/** A 2xx whose content is not what the API gives: something was done, and what is not known. */
export class UnreadableAnswer extends Error {
  override readonly name = 'UnreadableAnswer';

  constructor(what: string, answer: unknown, options?: ErrorOptions) {
    const said = typeof answer === 'string' ? describeText(answer) : JSON.stringify(answer ?? null);
    super(`Unexpected response for ${what}: ${sanitize(said, 200)}`, options);
  }
}

/** Of a page its title. */
function describeText(text: string): string {
  const title = /<title(?:\s[^<>]*)?>([^<]{1,200})<\/title>/i.exec(text.slice(0, 5000))?.[1];
  return title === undefined ? text.trim() || 'nothing' : `a page titled "${title.trim()}"`;
}

/** The HTTP status that a call failed with; null where there was no answer. */
export function statusOf(error: unknown): number | null {
  return error instanceof APIError ? ((error.status as number | undefined) ?? null) : null;
}

/**
 * The words of a refusal, for `BatchApi.queueRefusal`.
 * @param pattern what the API says where its queue is full
 * @param statuses what it says that with
 * @param textOf where it says it
 * @returns null for any other error
 */
export function refusalWords(
  error: unknown,
  pattern: RegExp,
  statuses: readonly number[] = [429],
  textOf: (error: { message: string; error?: unknown }) => string = ({ message }) => message,
): string | null {
  if (!(error instanceof APIError) || !statuses.includes(statusOf(error) ?? 0)) return null;
  return pattern.test(textOf(error)) ? sanitize(error.message, REFUSAL_LENGTH) : null;
}

/** What the failure of a call means, by the same rules as for a chat request. */
export function classifyCallError(error: unknown): Verdict {
  if (error instanceof UnreadableAnswer) {
    const { message } = error;
    return { kind: 'transient', message, unreachable: false, overloaded: false, wait: null, usage: null };
  }
  if (!(error instanceof APIError) || statusOf(error) === null) return classifyFailure(error);
  const headers = error.headers as Headers | undefined;
  return classifyResponse({
    status: statusOf(error) ?? 0,
    headers: Object.fromEntries(headers ?? []),
    body: Buffer.from(JSON.stringify({ error: (error.error as unknown) ?? { message: error.message } })),
  });
}

/**
 * OpenAI's Files and Batch APIs, through the official SDK with a transport of our own below it: files are streamed in
 * both directions, proxies and time-outs are those of the rest of the program, and nothing is repeated on its own
 * (where creating a batch answers 500, the batch may exist: a blind second try would pay twice).
 */

import { randomUUID } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import OpenAI, { APIError } from 'openai';
import type { Dispatcher } from 'undici';
import { isObject, parseJson } from '../lib/json.js';
import { systemErrorCode } from '../lib/errors.js';
import { authorization, requestUrl, type ApiAddress } from '../http/address.js';
import { atMinimumRate } from '../http/minimum-rate.js';
import { openProxyAgent } from '../http/proxy-agent.js';
import { judgeFailure, judgeResponse, type Verdict } from '../requests/verdict.js';
import type { Redactor } from '../secrets/redactor.js';
import { inert } from '../lib/text.js';
import { readBatch, type Batch } from './batch.js';
import { isId } from './id.js';

const CONNECT_TIMEOUT_MS = 10_000;
/** Uploads and downloads are as long as they are; what stands still is cut by the dispatcher's own time-outs. */
const TRANSFER_TIMEOUT_MS = 24 * 60 * 60_000;
/** Looking a model up is a courtesy that nobody should wait for. */
const MODEL_TIMEOUT_MS = 10_000;
const MAXIMUM_JSON_BYTES = 64 << 20;
/** What is read of an error's body: messages are cut to far less, and a proxy's page may be of any size. */
const MAXIMUM_ERROR_BYTES = 64 << 10;
const CONNECTIONS = 8;
/** The most that one page of the list holds. */
const PAGE = 100;

export interface BatchClientOptions {
  address: ApiAddress;
  /** Null where the server needs none. */
  apiKey: string | null;
  /** Milliseconds until an answer has to begin, and between two pieces of one. */
  timeout: number;
  userAgent: string;
  redactor: Redactor;
  /** Cuts off whatever is under way. */
  signal: AbortSignal;
}

/** What is told of a batch to the API. */
export interface BatchOrder {
  inputFileId: string;
  metadata: Record<string, string>;
  /** Seconds until the API deletes the results. */
  outputExpiresAfter: number;
}

/** A file's content from some byte on. */
export interface Download {
  /** Where the bytes begin: not where they were asked for, if the server does not know ranges. */
  offset: number;
  /** Bytes of the whole file; null where the server does not tell. */
  total: number | null;
  bytes: AsyncIterable<Uint8Array>;
}

/** A file that the API has. */
export interface UploadedFile {
  id: string;
  /** Seconds since 1970 by the server's clock; null where it does not say. */
  createdAt: number | null;
}

/** An entry of the list that is no Batch object. */
export interface UnreadableEntry {
  /** Null where it has none. */
  id: string | null;
  /** True where it says that this program did not make it. */
  isForeign: boolean;
}

/** A page of the account's batches. */
export interface BatchPage {
  batches: Batch[];
  unreadable: UnreadableEntry[];
  hasMore: boolean;
  /** What to ask for the next page with; null at the end, or where the page does not say. */
  next: string | null;
}

export class BatchClient {
  readonly #api: OpenAI;
  readonly #dispatchers: Dispatcher[];
  readonly #redactor: Redactor;
  #takesExpiry = true;

  constructor(options: BatchClientOptions) {
    const settings = {
      connections: CONNECTIONS,
      headersTimeout: options.timeout,
      bodyTimeout: options.timeout,
      connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, options.timeout) },
    };
    const bounded = openProxyAgent({ ...settings, maxResponseSize: MAXIMUM_JSON_BYTES });
    const unbounded = openProxyAgent(settings);
    this.#dispatchers = [bounded, unbounded];
    this.#redactor = options.redactor;
    // One listener for all calls: the SDK would leave one behind for each.
    options.signal.addEventListener('abort', () => void this.close(), { once: true });
    this.#api = new OpenAI({
      // The SDK wants some key; what authorises the requests is in the headers below.
      apiKey: 'none',
      baseURL: requestUrl({ base: options.address.base, query: '' }, '/files').replace(/\/files$/, ''),
      maxRetries: 0,
      timeout: options.timeout,
      logLevel: 'off',
      defaultHeaders: {
        'user-agent': options.userAgent,
        authorization: null,
        ...authorization(options.address, options.apiKey),
      },
      fetch: (address, init) => {
        const url = withQuery(addressOf(address), options.address.query);
        const isFile = url.pathname.endsWith('/content');
        return send(url, init ?? {}, isFile ? unbounded : bounded, this.#redactor);
      },
    });
  }

  /**
   * Uploads a batch input file, streamed.
   * @param expiresAfter seconds until the API deletes it
   * @returns the file's id, and when the server says it was made
   */
  async upload(path: string, name: string, expiresAfter: number): Promise<UploadedFile> {
    return this.#fitting(() => this.#upload(path, name, expiresAfter));
  }

  async #upload(path: string, name: string, expiresAfter: number): Promise<UploadedFile> {
    const boundary = `reannotate-${randomUUID()}`;
    const fields = {
      purpose: 'batch',
      ...(this.#takesExpiry
        ? { 'expires_after[anchor]': 'created_at', 'expires_after[seconds]': expiresAfter }
        : {}),
    };
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
    const answer = await readAnswer(
      'the upload',
      this.#api
        .post('/files', {
          body: Readable.from(multipart(head, path, tail)),
          headers: {
            'content-type': `multipart/form-data; boundary=${boundary}`,
            'content-length': String(head.length + statSync(path).size + tail.length),
          },
          timeout: TRANSFER_TIMEOUT_MS,
        })
        .asResponse(),
    );
    const id = isObject(answer) ? answer['id'] : null;
    if (typeof id !== 'string' || !isId(id)) throw new UnreadableAnswer('the upload', answer);
    return { id, createdAt: readCreatedAt(answer) };
  }

  /**
   * Makes a batch.
   * @throws UnreadableAnswer where the server accepted the order and its answer says no id: the batch exists
   */
  async create(order: BatchOrder): Promise<Batch> {
    return this.#fitting(() => this.#create(order));
  }

  /** Compatible servers may not know when files are to expire; they are asked without. */
  async #fitting<T>(call: () => Promise<T>): Promise<T> {
    const askedForExpiry = this.#takesExpiry;
    try {
      return await call();
    } catch (error) {
      const isAboutExpiry = error instanceof APIError && /expires_after/.test(error.message);
      if (!askedForExpiry || !isAboutExpiry || ![400, 422].includes(statusOf(error) ?? 0)) throw error;
      this.#takesExpiry = false;
      return call();
    }
  }

  async #create(order: BatchOrder): Promise<Batch> {
    const body = {
      input_file_id: order.inputFileId,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: order.metadata,
      ...(this.#takesExpiry
        ? { output_expires_after: { anchor: 'created_at', seconds: order.outputExpiresAfter } }
        : {}),
    };
    return this.#batch(this.#api.post('/batches', { body }).asResponse());
  }

  /** Throws where the account has no such model, or the key is wrong; costs nothing. */
  async requireModel(model: string): Promise<void> {
    await this.#api.models.retrieve(model, { timeout: MODEL_TIMEOUT_MS });
  }

  async retrieve(id: string): Promise<Batch> {
    return this.#batch(this.#api.get(`/batches/${encodeURIComponent(id)}`).asResponse());
  }

  async cancel(id: string): Promise<Batch> {
    return this.#batch(this.#api.post(`/batches/${encodeURIComponent(id)}/cancel`).asResponse());
  }

  /** Whether the API has a file's record for this key. Some gateways keep none, and have the content only. */
  async hasFile(id: string): Promise<boolean> {
    const path = `/files/${encodeURIComponent(id)}`;
    const answer = await readAnswer('a file', this.#api.get(path).asResponse());
    return isObject(answer) && answer['id'] === id;
  }

  /**
   * A page of the account's batches, newest first with OpenAI.
   * @param after the last id of the page before; null for the first
   */
  async list(after: string | null): Promise<BatchPage> {
    const query = { limit: PAGE, ...(after === null ? {} : { after }) };
    const answer = await readAnswer('the list of batches', this.#api.get('/batches', { query }).asResponse());
    const page = isObject(answer) ? answer : {};
    const list: unknown = Array.isArray(answer) ? answer : page['data'];
    if (!Array.isArray(list)) throw new UnreadableAnswer('the list of batches', answer);
    const data: unknown[] = list;
    const end = data.at(-1);
    const entries = data.map((one) => ({ one, batch: readBatch(one) }));
    const last = idOf(page['last_id']) ?? idOf(isObject(end) ? end['id'] : null);
    // Where nothing is said, a full page may have another one after it.
    const hasMore = page['has_more'] === true || (page['has_more'] === undefined && data.length >= PAGE);
    return {
      batches: entries.flatMap(({ batch }) => (batch === null ? [] : [batch])),
      unreadable: entries.flatMap(({ one, batch }) => (batch === null ? [describeEntry(one)] : [])),
      hasMore,
      next: hasMore ? last : null,
    };
  }

  /** Opens a file's content from a byte on. */
  async download(fileId: string, from: number): Promise<Download> {
    const response = await this.#api
      .get(`/files/${encodeURIComponent(fileId)}/content`, {
        headers: { accept: 'application/octet-stream', ...(from > 0 ? { range: `bytes=${from}-` } : {}) },
      })
      .asResponse();
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

  async #batch(response: Promise<Response>): Promise<Batch> {
    const answer = await readAnswer('a batch', response);
    const batch = readBatch(answer);
    if (batch === null) throw new UnreadableAnswer('a batch', answer);
    return batch;
  }

  async close(): Promise<void> {
    await Promise.all(this.#dispatchers.map((dispatcher) => dispatcher.destroy()));
  }
}

async function* multipart(head: Buffer, path: string, tail: Buffer): AsyncGenerator<Buffer> {
  yield head;
  yield* createReadStream(path, { highWaterMark: 1 << 18 }) as AsyncIterable<Buffer>;
  yield tail;
}

function addressOf(address: string | URL | Request): URL {
  return new URL(address instanceof Request ? address.url : address);
}

/** The query of the base URL, such as Azure's `api-version`, follows every path. */
function withQuery(url: URL, query: string): URL {
  for (const [name, value] of new URLSearchParams(query)) url.searchParams.append(name, value);
  return url;
}

/**
 * `fetch` as far as the SDK needs it, over undici's `request`: no redirects, no hidden buffering. Secrets are taken out
 * of headers and of everything but a file, which `download` cleans on the disk.
 */
async function send(
  url: URL,
  init: RequestInit,
  dispatcher: Dispatcher,
  redactor: Redactor,
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
  const isFile = url.pathname.endsWith('/content') && statusCode < 300;
  const pieces = atMinimumRate(response.body);
  const content = async (): Promise<Uint8Array<ArrayBuffer>> =>
    new Uint8Array(
      redactor.bytes(await readUpTo(pieces, statusCode < 300 ? MAXIMUM_JSON_BYTES : MAXIMUM_ERROR_BYTES)),
    );
  const body = isEmpty ? null : isFile ? (Readable.toWeb(Readable.from(pieces)) as never) : await content();
  return new Response(body, {
    status: statusCode < 200 || statusCode > 599 ? 502 : statusCode,
    headers: headersOf(redactor.headers(response.headers)),
  });
}

/** The first bytes of a body, whose rest is not read. Longer ones than `maximum` lose their connection. */
async function readUpTo(pieces: AsyncIterable<Buffer>, maximum: number): Promise<Buffer> {
  const read: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces) {
    read.push(piece);
    size += piece.length;
    if (size > maximum) break;
  }
  return Buffer.concat(read, Math.min(size, maximum));
}

function headersOf(headers: Dispatcher.ResponseData['headers']): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value] as [string, string]],
  );
}

/**
 * The value of an answer that the server gave with a 2xx, whatever type it says it has; text where it is no JSON.
 * @throws UnreadableAnswer where it broke off: what was ordered is done nevertheless
 */
async function readAnswer(what: string, pending: Promise<Response>): Promise<unknown> {
  const response = await pending;
  let text: string;
  try {
    text = await response.text();
  } catch (error) {
    const code = systemErrorCode(error);
    throw new UnreadableAnswer(what, `it broke off${code === undefined ? '' : ` (${code})`}`, {
      cause: error,
    });
  }
  return parseJson(text.replace(/^\ufeff/, '')) ?? text;
}

function readCreatedAt(file: unknown): number | null {
  const at = isObject(file) ? file['created_at'] : null;
  return typeof at === 'number' && Number.isFinite(at) && at > 0 ? at : null;
}

function idOf(value: unknown): string | null {
  return typeof value === 'string' && isId(value) ? value : null;
}

/** What an entry of the list that is no Batch object still says. */
function describeEntry(entry: unknown): UnreadableEntry {
  const { id, metadata } = isObject(entry) ? entry : {};
  return { id: idOf(id), isForeign: isObject(metadata) && metadata['tool'] !== 'reannotate' };
}

/** A 2xx whose content is not what the API gives: something was done, and what is not known. */
export class UnreadableAnswer extends Error {
  override readonly name = 'UnreadableAnswer';

  constructor(what: string, answer: unknown, options?: ErrorOptions) {
    const said = typeof answer === 'string' ? describeText(answer) : JSON.stringify(answer ?? null);
    super(`The answer about ${what} is not what the Batch API gives: ${inert(said, 200)}`, options);
  }
}

/** Of a page its title. */
function describeText(text: string): string {
  const title = /<title[^>]*>([^<]{1,200})<\/title>/i.exec(text.slice(0, 5000))?.[1];
  return title === undefined ? text.trim() || 'nothing' : `a page titled "${title.trim()}"`;
}

/** The HTTP status that a call failed with; null where there was no answer. */
export function statusOf(error: unknown): number | null {
  return error instanceof APIError ? ((error.status as number | undefined) ?? null) : null;
}

/** What the failure of a call means, by the same rules as for a chat request. */
export function judgeCall(error: unknown): Verdict {
  if (error instanceof UnreadableAnswer) {
    const { message } = error;
    return { kind: 'transient', message, unreachable: false, overloaded: false, wait: null, usage: null };
  }
  if (!(error instanceof APIError) || statusOf(error) === null) return judgeFailure(error);
  const headers = error.headers as Headers | undefined;
  return judgeResponse({
    status: statusOf(error) ?? 0,
    headers: Object.fromEntries(headers ?? []),
    body: Buffer.from(JSON.stringify({ error: (error.error as unknown) ?? { message: error.message } })),
  });
}

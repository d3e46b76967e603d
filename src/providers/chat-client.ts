/**
 * Sends chat completions over undici directly: on this path the official SDK's transport costs several times the
 * CPU and memory (it serves files, batches and models, where that does not matter).
 */

import { constants, gunzipSync, brotliDecompressSync, inflateSync } from 'node:zlib';
import { Pool, type Dispatcher } from 'undici';
import { hasProxy, openProxyAgent } from '../proxy.js';
import type { ChatResponse } from '../requests/verdict.js';
import { CompletionStream } from './stream.js';

const MAXIMUM_ANSWER_BYTES = 64 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const SWEEP_INTERVAL_MS = 250;

export interface ChatClientOptions {
  /** Such as `https://api.openai.com/v1`. */
  baseUrl: string;
  /** Null where the server needs none. */
  apiKey: string | null;
  /** One request's time in milliseconds, from sending to the last byte. */
  timeout: number;
  /** Sockets at most. */
  connections: number;
  /** True where answers come as server-sent events. */
  streamed: boolean;
  userAgent: string;
}

/** An answer whose body is being read, so that a slow one can be cut off. */
interface Reading {
  started: number;
  body: Dispatcher.ResponseData['body'];
}

export class ChatClient {
  readonly #dispatcher: Dispatcher;
  readonly #origin: string;
  readonly #path: string;
  readonly #headers: Record<string, string>;
  readonly #timeout: number;
  readonly #streamed: boolean;
  readonly #reading = new Set<Reading>();
  readonly #sweep: NodeJS.Timeout;

  constructor(options: ChatClientOptions) {
    const url = new URL(`${options.baseUrl.replace(/\/+$/, '')}/chat/completions`);
    this.#origin = url.origin;
    this.#path = url.pathname + url.search;
    this.#timeout = options.timeout;
    this.#streamed = options.streamed;
    this.#headers = {
      'content-type': 'application/json',
      accept: options.streamed ? 'text/event-stream' : 'application/json',
      'user-agent': options.userAgent,
      ...(options.apiKey === null ? {} : { authorization: `Bearer ${options.apiKey}` }),
    };
    this.#dispatcher = openDispatcher(url, options);
    // One timer for all requests: a timer or an abort signal for each costs a quarter of the whole request.
    this.#sweep = setInterval(this.#cutSlowBodies, SWEEP_INTERVAL_MS);
    this.#sweep.unref();
  }

  /**
   * Posts one request body and reads the answer.
   * @throws the transport's error where no whole answer came
   */
  async send(body: Buffer): Promise<ChatResponse> {
    const started = performance.now();
    const response = await this.#dispatcher.request({
      origin: this.#origin,
      path: this.#path,
      method: 'POST',
      headers: this.#headers,
      body,
    });
    const reading: Reading = { started, body: response.body };
    this.#reading.add(reading);
    try {
      const streamed = this.#streamed && isEventStream(response);
      const bytes = streamed ? await readStream(response) : await readWhole(response);
      return { status: response.statusCode, headers: response.headers, body: bytes };
    } finally {
      this.#reading.delete(reading);
    }
  }

  /** Cuts off whatever is under way. */
  async abort(): Promise<void> {
    clearInterval(this.#sweep);
    await this.#dispatcher.destroy();
  }

  /** Closes idle connections; nothing may be under way. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await this.#dispatcher.close();
  }

  readonly #cutSlowBodies = (): void => {
    const oldest = performance.now() - this.#timeout;
    for (const reading of this.#reading) {
      if (reading.started < oldest) {
        reading.body.destroy(
          new Error(`the answer took longer than --request_timeout (${this.#timeout / 1000} s)`),
        );
      }
    }
  };
}

/** Explicit time-outs: the defaults cut answers at 300 s (openai/openai-node#2153). */
function openDispatcher(url: URL, options: ChatClientOptions): Dispatcher {
  const settings = {
    connections: options.connections,
    pipelining: 1,
    headersTimeout: options.timeout,
    bodyTimeout: options.timeout,
    maxResponseSize: MAXIMUM_ANSWER_BYTES,
    connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, options.timeout) },
  };
  return hasProxy() ? openProxyAgent(settings) : new Pool(url.origin, settings);
}

function isEventStream(response: Dispatcher.ResponseData): boolean {
  const type = response.headers['content-type'];
  return response.statusCode === 200 && typeof type === 'string' && type.includes('text/event-stream');
}

async function readStream(response: Dispatcher.ResponseData): Promise<Buffer> {
  const stream = new CompletionStream();
  for await (const bytes of response.body) stream.push(bytes as Uint8Array);
  return stream.finish();
}

async function readWhole(response: Dispatcher.ResponseData): Promise<Buffer> {
  const bytes = Buffer.from(await response.body.arrayBuffer());
  const encoding = response.headers['content-encoding'];
  return encoding === undefined || encoding === 'identity' ? bytes : decompress(bytes, String(encoding));
}

/** No compression is asked for; a server that compresses all the same is read within the same bound. */
function decompress(bytes: Buffer, encoding: string): Buffer {
  const bound = { maxOutputLength: MAXIMUM_ANSWER_BYTES };
  if (encoding === 'gzip' || encoding === 'x-gzip') {
    return gunzipSync(bytes, { ...bound, finishFlush: constants.Z_SYNC_FLUSH });
  }
  if (encoding === 'br') return brotliDecompressSync(bytes, bound);
  if (encoding === 'deflate') return inflateSync(bytes, bound);
  throw new Error(`the answer is compressed in an unknown way (${encoding.slice(0, 40)})`);
}

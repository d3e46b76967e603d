/**
 * Sends chat completions, or requests of the Responses API, over undici directly: on this path the official SDK's
 * transport costs several times the CPU and memory (it serves files, batches and models, where that does not matter).
 */

import type { Dispatcher } from 'undici';
import Pool from 'undici/lib/dispatcher/pool.js';
import { lookupOnLoopback } from './loopback.js';
import { holdsMoreValues } from '../lib/json-scan.js';
import { proxyFor } from './proxy.js';
import type { Headers } from './limit-headers.js';
import { authorization, requestUrl, type ApiAddress } from './address.js';
import { ANSWER_BOUNDS, beyondBounds, MOST_STREAM_BYTES, type AnswerBounds } from './answer-bounds.js';
import { decodeBody } from './decoding.js';
import { Intake, type Arrival } from './intake.js';
import { CompletionStream } from './stream.js';

/** The endpoints that answer prompts. */
const PATHS = { chat: '/chat/completions', responses: '/responses' } as const;
export type ApiName = keyof typeof PATHS;

const CONNECT_TIMEOUT_MS = 10_000;
const SWEEP_INTERVAL_MS = 250;

/** An HTTP answer, read to its end. */
export interface ChatResponse {
  status: number;
  headers: Headers;
  body: Buffer;
  /** For a request to the Responses API, whose answer is converted to a chat completion. */
  api?: 'responses';
}

export interface ChatClientOptions {
  address: ApiAddress;
  /** Null where the server needs none. */
  apiKey: string | null;
  /** One request's time in milliseconds, from sending to the last byte. */
  timeout: number;
  /** Sockets at most. */
  connections: number;
  /** True where answers come as server-sent events. */
  streamed: boolean;
  userAgent: string;
  /** How large an answer may be. */
  bounds?: AnswerBounds;
}

export class ChatClient {
  readonly #dispatcher: Dispatcher;
  readonly #origin: string;
  readonly #paths: Readonly<Record<ApiName, string>>;
  readonly #headers: Record<string, string>;
  readonly #timeout: number;
  readonly #shared: SharedParts;
  readonly #sweep: NodeJS.Timeout;
  #swept = performance.now();

  /** A client for one run. */
  static async open(options: ChatClientOptions): Promise<ChatClient> {
    const url = new URL(requestUrl(options.address, PATHS.chat));
    return new ChatClient(url, await openDispatcher(url, options), options);
  }

  private constructor(url: URL, dispatcher: Dispatcher, options: ChatClientOptions) {
    this.#origin = url.origin;
    const responses = new URL(requestUrl(options.address, PATHS.responses));
    this.#paths = { chat: url.pathname + url.search, responses: responses.pathname + responses.search };
    this.#timeout = options.timeout;
    const { bounds = ANSWER_BOUNDS } = options;
    this.#shared = { inProgress: new Set(), intake: new Intake(), bounds };
    this.#headers = {
      'content-type': 'application/json',
      accept: options.streamed ? 'text/event-stream' : 'application/json',
      'user-agent': options.userAgent,
      ...authorization(options.address, options.apiKey),
    };
    this.#dispatcher = dispatcher;
    // One timer for all requests: a timer or an abort signal for each costs a quarter of the whole request.
    this.#sweep = setInterval(this.#cutSlowOnes, SWEEP_INTERVAL_MS);
    this.#sweep.unref();
  }

  /**
   * Posts one request body and reads the answer.
   * @param api which endpoint takes it
   * @throws the transport's error where no whole answer came
   */
  send(body: Buffer, api: ApiName = 'chat'): Promise<ChatResponse> {
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(resolve, reject, this.#shared);
      this.#shared.inProgress.add(exchange);
      const request = {
        origin: this.#origin,
        path: this.#paths[api],
        method: 'POST',
        headers: this.#headers,
        body,
      };
      this.#dispatcher.dispatch(request, exchange);
    });
  }

  /** Cuts off whatever is in progress. */
  async abort(): Promise<void> {
    clearInterval(this.#sweep);
    await this.#dispatcher.destroy();
  }

  /** Closes idle connections; nothing may be in progress. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await this.#dispatcher.close();
  }

  readonly #cutSlowOnes = (): void => {
    const now = performance.now();
    const late = now - this.#swept - SWEEP_INTERVAL_MS;
    this.#swept = now;
    // Time in which the program itself was stopped is nobody's: answers that came in it have not been read yet.
    const lost = late > SWEEP_INTERVAL_MS ? late : 0;
    for (const exchange of this.#shared.inProgress) {
      exchange.started += lost;
      if (exchange.started < now - this.#timeout && !exchange.isPaused) exchange.cut(this.#timeout);
    }
  };
}

/** What all requests of a client have in common. */
interface SharedParts {
  inProgress: Set<Exchange>;
  intake: Intake;
  bounds: AnswerBounds;
}

/**
 * One request and its answer as undici reports them. The plain handler costs about half of what `request()` costs,
 * which makes a stream of every body (see docs/performance.md).
 */
class Exchange implements Dispatcher.DispatchHandler, Arrival {
  started = performance.now();
  #controller: Dispatcher.DispatchController | null = null;
  #status = 0;
  #headers: Headers = {};
  #stream: CompletionStream | null = null;
  #pieces: Buffer[] = [];
  #received = 0;
  #pausedAt = 0;

  constructor(
    private readonly resolve: (response: ChatResponse) => void,
    private readonly reject: (error: unknown) => void,
    private readonly shared: SharedParts,
  ) {}

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Headers): void {
    // Informational ones precede the answer.
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
    // Some servers stream although nobody asked for it.
    if (status === 200 && isEventStream(headers)) this.#stream = new CompletionStream();
  }

  onResponseData(_: Dispatcher.DispatchController, bytes: Buffer): void {
    if (this.#stream === null) this.#pieces.push(bytes);
    else this.#stream.push(bytes);
    this.#received += bytes.length;
    const { bounds, intake } = this.shared;
    if ((this.#stream?.held ?? this.#received) > bounds.bytes)
      this.#controller?.abort(beyondBounds(bounds, 'bytes'));
    intake.add(this, bytes.length);
  }

  pause(): void {
    this.#pausedAt = performance.now();
    this.#controller?.pause();
  }

  /** The time that it had to wait is not the server's. */
  resume(): void {
    this.started += performance.now() - this.#pausedAt;
    this.#pausedAt = 0;
    this.#controller?.resume();
  }

  get isPaused(): boolean {
    return this.#pausedAt !== 0;
  }

  onResponseEnd(): void {
    this.#leave();
    try {
      this.resolve({ status: this.#status, headers: this.#headers, body: this.#body() });
    } catch (error) {
      this.reject(error);
    }
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#leave();
    this.reject(error);
  }

  #leave(): void {
    this.shared.inProgress.delete(this);
    this.shared.intake.end(this, this.#received);
  }

  /** @param timeout milliseconds that are over */
  cut(timeout: number): void {
    const message = `the answer took longer than --request_timeout (${timeout / 1000} s)`;
    this.#controller?.abort(Object.assign(new Error(message), { code: 'REQUEST_TIMEOUT' }));
  }

  #body(): Buffer {
    const bytes = this.#stream?.finish() ?? this.#unpacked();
    const { bounds } = this.shared;
    if (holdsMoreValues(bytes, bounds.values)) throw beyondBounds(bounds, 'values');
    return bytes;
  }

  #unpacked(): Buffer {
    const [first] = this.#pieces;
    const bytes = first !== undefined && this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces);
    this.#pieces = [];
    const encoding = this.#headers['content-encoding'];
    return encoding === undefined ? bytes : decodeBody(bytes, String(encoding), this.shared.bounds);
  }
}

/** Explicit time-outs: the defaults cut answers at 300 s (openai/openai-node#2153). */
async function openDispatcher(url: URL, options: ChatClientOptions): Promise<Dispatcher> {
  const settings = {
    connections: options.connections,
    pipelining: 1,
    headersTimeout: options.timeout,
    bodyTimeout: options.timeout,
    maxResponseSize: MOST_STREAM_BYTES,
    connect: { timeout: Math.min(CONNECT_TIMEOUT_MS, options.timeout) },
  };
  if (proxyFor(url) === null)
    return new Pool(url.origin, { ...settings, connect: { ...settings.connect, ...lookupOnLoopback(url) } });
  const { openProxyAgent } = await import('./proxy-agent.js');
  return openProxyAgent(settings);
}

/** True for a stream that can be read as it comes; a compressed one is read at its end. */
function isEventStream(headers: Headers): boolean {
  const type = headers['content-type'];
  const encoding = headers['content-encoding'];
  const isPlain = encoding === undefined || encoding === 'identity';
  return isPlain && typeof type === 'string' && type.includes('text/event-stream');
}

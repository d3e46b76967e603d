/** `POST /v1/chat/completions` and `POST /v1/responses`: checked, limited, delayed, spoilt where a fault is drawn, answered. */

import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { hashOf, madeUpAnswer, type ReplayedAnswers } from './answers.js';
import { readChatRequest, type ChatRequest } from './chat-request.js';
import {
  calling,
  choice,
  completion,
  completionEvents,
  spoil,
  CHARACTERS_PER_TOKEN,
  type ChatCompletion,
} from './completions.js';
import { draw, pickFault, type AnsweredFault, type Fault } from './faults.js';
import { ApiError, readBody, requireApiKey, sendError, sendText, type Exchange, type Route } from './http.js';
import { judgedAnswer } from './judging.js';
import { answersOnResponsesOnly } from '../models/responses-api.js';
import { madeUpReasoning, withReasoningAs, type ReasoningKind } from './reasoning.js';
import { chatRequestOf, responseOf } from './responses.js';
import { callInForm, textInForm } from './structured.js';
import { snapshotOf } from './models.js';
import type { SimulatorSettings } from './options.js';
import type { RateLimits, Throttled } from './rate-limits.js';
import type { Statistics } from './statistics.js';

/** Keeps the draws of faults and of latencies apart. */
const FAULT_DRAW = 0;
const LATENCY_DRAW = 1;
const REFUSAL_DRAW = 2;
/** OpenAI reserves this many output tokens where a request names no maximum. */
const DEFAULT_RESERVED_TOKENS = 16;
/** Requests with this seed, or none, get the first answer to their prompt. */
const USUAL_SEED = 42;
const FAULTY_RETRY_MS = 20;
const DRIP_PIECES = 20;

/** Hash of a request's messages, as `answersByPrompt` of the statistics has it. */
export function promptHash(messages: unknown): string {
  return hashOf(JSON.stringify(messages));
}

/** What the endpoint works with. */
export interface ChatParts {
  settings: SimulatorSettings;
  limits: RateLimits;
  statistics: Statistics;
  answers: ReplayedAnswers | null;
}

/** What a request is answered without regard to how it came. */
export type ChatAnswer =
  | { status: 200; body: object; usage: ChatCompletion['usage'] }
  | { status: ApiError['status']; body: ApiError['body']; usage?: undefined };

/** How one endpoint spells requests and answers. */
interface Api {
  url: string;
  /** The request as one of chat completions. */
  read: (bytes: Buffer) => Buffer;
  write: (completion: ChatCompletion, reasoning: ReasoningKind | null, fault: Fault | null) => object;
  /** Throws where the model does not answer here. */
  requireModel: (model: string) => void;
}

function chatAnswer(
  completion: ChatCompletion,
  reasoning: ReasoningKind | null,
  fault: Fault | null,
): ChatCompletion {
  return spoil(withReasoningAs(completion, reasoning), fault);
}

const CHAT: Api = {
  url: '/v1/chat/completions',
  read: (bytes) => bytes,
  write: chatAnswer,
  requireModel: (model) => {
    if (!answersOnResponsesOnly(model)) return;
    const message = 'This model is only supported in v1/responses and not in v1/chat/completions.';
    throw new ApiError(404, message, { param: 'model' });
  },
};

const RESPONSES: Api = {
  url: '/v1/responses',
  read: chatRequestOf,
  write: (completion, _, fault) => responseOf(spoil(completion, fault)),
  requireModel: () => undefined,
};

/** @throws ApiError (404) where Azure has nothing at an address, which needs a version */
function apiOfDeployment({ path, query }: Exchange): Api {
  const isChat = /^\/openai\/deployments\/[^/]+\/chat\/completions$/.test(path);
  if (isChat && (query.get('api-version') ?? '') !== '') return CHAT;
  throw new ApiError(404, 'Resource not found', { code: '404' });
}

/** The chat endpoint, with its memory of what was asked before. */
export class ChatEndpoint {
  readonly #parts: ChatParts;
  readonly #attempts = new Map<string, number>();
  #answered = 0;
  #admitted = 0;
  #inProgress = 0;

  constructor(parts: ChatParts) {
    this.#parts = parts;
  }

  routes(): Route[] {
    // Azure's two forms of address as well: a resource's `/openai/v1`, and that of a deployment.
    const bases = ['/v1', '/openai/v1'];
    return [
      ...bases.flatMap((base) => [
        this.#route(`${base}/chat/completions`, CHAT),
        this.#route(`${base}/responses`, RESPONSES),
      ]),
      {
        method: 'POST',
        path: '/openai/deployments/*',
        handle: (exchange) => this.#handle(exchange, apiOfDeployment(exchange)),
      },
    ];
  }

  #route(path: string, api: Api): Route {
    return { method: 'POST', path, handle: (exchange) => this.#handle(exchange, api) };
  }

  /**
   * Answers a request of a batch as it would be answered online, but without limits, latency, faults and streaming.
   * @param body its JSON, or what was read from that
   * @param whole false where the answer will be spoilt on its way, so that it counts for none
   */
  complete(body: unknown, whole = true, url = CHAT.url): ChatAnswer {
    const { settings, statistics } = this.#parts;
    const api = url === RESPONSES.url ? RESPONSES : CHAT;
    try {
      const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body), 'utf8');
      const chat = this.#read(bytes, api);
      const made = this.#completion(chat);
      if (whole) statistics.countAnswer(hashOf(chat.messagesText));
      return { status: 200, body: api.write(made, settings.reasoning, null), usage: made.usage };
    } catch (error) {
      if (error instanceof ApiError) return { status: error.status, body: error.body };
      throw error;
    }
  }

  /** @throws ApiError where the request is not one that this server answers */
  #read(bytes: Buffer, api: Api): ChatRequest {
    const { models, severalAnswers } = this.#parts.settings;
    const chat = readChatRequest(api.read(bytes), models);
    api.requireModel(chat.model);
    if (chat.choices === 1 || severalAnswers === 'give') return chat;
    if (severalAnswers === 'ignore') return { ...chat, choices: 1 };
    throw new ApiError(400, "Invalid value for 'n': this model gives one choice, so n must be 1.", {
      param: 'n',
      code: 'invalid_value',
    });
  }

  async #handle({ request, response }: Exchange, api: Api): Promise<void> {
    const { settings, statistics } = this.#parts;
    statistics.count('requests');
    let chat: ChatRequest;
    try {
      const body = await readBody(request);
      requireApiKey(request, settings.apiKey);
      this.#tellLimits(response);
      chat = this.#read(body, api);
      this.#throttle(chat, response);
      this.#requirePlace();
    } catch (error) {
      if (error instanceof ApiError && error.status !== 429) statistics.count('rejected');
      if (!(error instanceof ApiError)) statistics.count('aborted');
      throw error;
    }
    this.#inProgress += 1;
    await this.#answerInTime(chat, api, response).finally(() => {
      this.#inProgress -= 1;
    });
  }

  async #answerInTime(chat: ChatRequest, api: Api, response: ServerResponse): Promise<void> {
    const { statistics } = this.#parts;
    const outcome = this.#drawOutcome(chat);
    if (outcome.latencyMs > 0) await latency(outcome.latencyMs, response);
    if (response.destroyed) {
      statistics.count('aborted');
      return;
    }
    if (outcome.fault !== null) statistics.countFault(outcome.fault);
    await this.#answer(chat, api, outcome, response);
  }

  /** @throws ApiError (429) where a limit is reached */
  #throttle(chat: ChatRequest, response: ServerResponse): void {
    const { settings, limits, statistics } = this.#parts;
    const reserved = (chat.maximumTokens ?? DEFAULT_RESERVED_TOKENS) * chat.choices;
    const tokens = Math.ceil(chat.characters / CHARACTERS_PER_TOKEN) + reserved;
    const throttled = limits.admit(tokens);
    this.#tellLimits(response);
    if (throttled === null) return;
    statistics.count('throttled');
    throw rateLimitError(chat.model, throttled, settings.limitHeaders);
  }

  /** @throws ApiError (429) if too many requests are already in progress */
  #requirePlace(): void {
    const { settings, statistics } = this.#parts;
    if (settings.requestsAtATime === null || this.#inProgress < settings.requestsAtATime) return;
    statistics.count('throttled');
    throw new ApiError(429, 'Too Many Requests');
  }

  /** OpenAI tells the limits on refusals as well. */
  #tellLimits(response: ServerResponse): void {
    const { settings, limits } = this.#parts;
    if (!settings.limitHeaders) return;
    for (const [name, value] of Object.entries(limits.headers())) response.setHeader(name, value);
  }

  /** What becomes of a request that was let through; the same at each repetition of a run, whatever the timing. */
  #drawOutcome(chat: ChatRequest): Outcome {
    const { seed, faults, quotaAfter, latencyMs, latencyJitterMs } = this.#parts.settings;
    const prompt = hashOf(chat.messagesText);
    const attempt = this.#attempts.get(prompt) ?? 0;
    this.#attempts.set(prompt, attempt + 1);
    this.#admitted++;
    const jitter = latencyJitterMs * (2 * draw(seed, prompt, attempt, LATENCY_DRAW) - 1);
    const overQuota = quotaAfter !== null && this.#admitted > quotaAfter;
    return {
      prompt,
      fault: overQuota ? 'quota' : pickFault(faults, draw(seed, prompt, attempt, FAULT_DRAW)),
      latencyMs: latencyMs + jitter,
    };
  }

  async #answer(
    chat: ChatRequest,
    api: Api,
    { prompt, fault }: Outcome,
    response: ServerResponse,
  ): Promise<void> {
    const { settings, statistics } = this.#parts;
    if (fault === 'hang') return;
    if (fault === 'reset') {
      response.socket?.resetAndDestroy();
      return;
    }
    if (fault !== null && isAnswered(fault)) {
      FAILURES[fault](response, settings.limitHeaders);
      return;
    }
    const type = chat.stream ? 'text/event-stream; charset=utf-8' : 'application/json';
    const bytes = Buffer.from(this.#completionText(chat, api, fault), 'utf8');
    if (fault === 'reset_mid') {
      breakOff(response, type, bytes);
    } else if (fault === 'drip') {
      await drip(response, type, bytes, settings.dripMs);
    } else {
      sendBytes(response, type, fault === 'torn' ? bytes.subarray(0, bytes.length >> 1) : bytes, chat.stream);
    }
    const whole = fault === null || (fault === 'drip' && response.writableEnded);
    if (whole) statistics.countAnswer(prompt);
  }

  #completionText(chat: ChatRequest, api: Api, fault: Fault | null): string {
    const { reasoning } = this.#parts.settings;
    const whole = this.#completion(chat);
    this.#parts.limits.use(whole.usage.total_tokens);
    return chat.stream
      ? completionEvents(chatAnswer(whole, reasoning, fault), chat.includeUsage)
      : JSON.stringify(api.write(whole, reasoning, fault));
  }

  #completion(chat: ChatRequest): ChatCompletion {
    const whole = this.#wholeCompletion(chat);
    const { seed, refusals } = this.#parts.settings;
    const share = Object.hasOwn(refusals, chat.model) ? (refusals[chat.model] ?? 0) : 0;
    // A model refuses the same prompt each time.
    return draw(seed, hashOf(chat.messagesText), 0, REFUSAL_DRAW) < share ? spoil(whole, 'refusal') : whole;
  }

  #wholeCompletion(chat: ChatRequest): ChatCompletion {
    const { reasoning: kind } = this.#parts.settings;
    const { texts, replayed } = this.#texts(chat);
    return completion({
      id: `chatcmpl-simulator${(++this.#answered).toString(36).padStart(8, '0')}`,
      model: snapshotOf(chat.model),
      // A recorded answer is what it is, whatever was asked for this time.
      choices: texts.map((text, index) => {
        const variant = this.#variant(chat, index);
        const reasoning = kind === null ? null : madeUpReasoning(hashOf(chat.messagesText), variant);
        const spoken = replayed ? text : textInForm(text, chat.form);
        const one = choice(index, spoken, replayed ? null : chat.maximumTokens, reasoning);
        const call = replayed ? null : callInForm(chat.form, hashOf(chat.messagesText), text);
        return call === null ? one : calling(one, call);
      }),
      promptCharacters: chat.characters,
      serviceTier: chat.isFlex ? 'flex' : 'default',
    });
  }

  #texts(chat: ChatRequest): { texts: string[]; replayed: boolean } {
    const replayed = this.#parts.answers?.find(chat.prompt) ?? null;
    if (replayed !== null) this.#parts.statistics.count('replayed');
    const judged = replayed === null ? judgedAnswer(chat.prompt) : null;
    const identity = hashOf(`${chat.model}\n${chat.messagesText}`);
    const texts = Array.from(
      { length: chat.choices },
      (_, index) => replayed ?? judged ?? madeUpAnswer(identity, chat.prompt, this.#variant(chat, index)),
    );
    return { texts, replayed: replayed !== null };
  }

  /** One answer with the next seed is what several answers would have had next. */
  #variant({ seed, messagesText }: ChatRequest, index: number): number {
    if (seed !== null) return index + Math.max(0, seed - USUAL_SEED);
    if (this.#parts.settings.severalAnswers === 'give') return index;
    return Math.max(0, (this.#attempts.get(hashOf(messagesText)) ?? 0) - 1);
  }
}

/** Waits this many milliseconds, or until the client disconnects. */
async function latency(milliseconds: number, response: ServerResponse): Promise<void> {
  if (response.destroyed) return;
  const gone = new AbortController();
  const leave = (): void => {
    gone.abort();
  };
  response.once('close', leave);
  // An aborted wait rejects, and has nothing else to say.
  await delay(milliseconds, undefined, { ref: false, signal: gone.signal }).catch(() => undefined);
  response.off('close', leave);
}

interface Outcome {
  /** Hash of the messages. */
  prompt: string;
  fault: Fault | null;
  latencyMs: number;
}

function isAnswered(fault: Fault): fault is AnsweredFault {
  return Object.hasOwn(FAILURES, fault);
}

/** Faults that answer something other than a completion. */
const FAILURES: Readonly<Record<AnsweredFault, (response: ServerResponse, limitHeaders: boolean) => void>> = {
  '429': (response, limitHeaders) => {
    const message = 'Rate limit reached. Please try again in 20ms.';
    const details = { type: 'requests', code: 'rate_limit_exceeded' };
    sendError(
      response,
      new ApiError(429, message, details, limitHeaders ? retryHeaders(FAULTY_RETRY_MS) : {}),
    );
  },
  '500': (response) => {
    const message = 'The server had an error while processing your request. Sorry about that!';
    sendError(response, new ApiError(500, message, { type: 'server_error' }));
  },
  '503html': (response) => {
    const title = '503 Service Temporarily Unavailable';
    const page = `<html>\r\n<head><title>${title}</title></head>\r\n<body><center><h1>${title}</h1></center></body>\r\n</html>`;
    sendText(response, 503, { type: 'text/html', text: page });
  },
  quota: (response) => {
    const message =
      'You exceeded your current quota, please check your plan and billing details. For more information on this ' +
      'error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.';
    sendError(
      response,
      new ApiError(429, message, { type: 'insufficient_quota', code: 'insufficient_quota' }),
    );
  },
  error_200: (response) => {
    const { body } = new ApiError(200, 'The upstream provider failed.', { type: 'server_error' });
    sendText(response, 200, { type: 'application/json', text: JSON.stringify(body) });
  },
};

/** @see https://platform.openai.com/docs/guides/rate-limits */
function rateLimitError(model: string, throttled: Throttled, withHeaders: boolean): ApiError {
  const { kind, limitPerMinute, used, requested, waitMs } = throttled;
  const limit = `${model} in organization org-simulator on ${kind} per min (${kind === 'requests' ? 'RPM' : 'TPM'})`;
  const more = 'Visit https://platform.openai.com/account/rate-limits to learn more.';
  const details = { type: kind, code: 'rate_limit_exceeded' };
  if (waitMs === null) {
    const message =
      `Request too large for ${limit}: Limit ${limitPerMinute}, Requested ${requested}. ` +
      `The input or output tokens must be reduced in order to run successfully. ${more}`;
    return new ApiError(429, message, details);
  }
  const wait = waitMs < 1_000 ? `${Math.ceil(waitMs)}ms` : `${(waitMs / 1_000).toFixed(3)}s`;
  const message =
    `Rate limit reached for ${limit}: Limit ${limitPerMinute}, Used ${used}, Requested ${requested}. ` +
    `Please try again in ${wait}. ${more}`;
  return new ApiError(429, message, details, withHeaders ? retryHeaders(waitMs) : {});
}

function retryHeaders(waitMs: number): Record<string, string> {
  return { 'retry-after-ms': String(Math.ceil(waitMs)), 'retry-after': String(Math.ceil(waitMs / 1_000)) };
}

/** A length that UTF-8 sequences and events do not care about, so that clients meet both cut in two. */
const STREAM_PIECE_BYTES = 1_021;

function sendBytes(response: ServerResponse, type: string, bytes: Buffer, stream: boolean): void {
  if (!stream) {
    response.writeHead(200, { 'content-type': type, 'content-length': bytes.length });
    response.end(bytes);
    return;
  }
  response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache' });
  for (let start = 0; start < bytes.length; start += STREAM_PIECE_BYTES) {
    response.write(bytes.subarray(start, start + STREAM_PIECE_BYTES));
  }
  response.end();
}

/** Cuts the connection when half of the promised bytes are out. */
function breakOff(response: ServerResponse, type: string, bytes: Buffer): void {
  response.writeHead(200, { 'content-type': type, 'content-length': bytes.length });
  response.write(bytes.subarray(0, bytes.length >> 1), () => response.socket?.destroy());
}

async function drip(
  response: ServerResponse,
  type: string,
  bytes: Buffer,
  durationMs: number,
): Promise<void> {
  response.writeHead(200, { 'content-type': type, 'content-length': bytes.length });
  const piece = Math.max(1, Math.ceil(bytes.length / DRIP_PIECES));
  for (let start = 0; start < bytes.length && !response.destroyed; start += piece) {
    await delay(durationMs / DRIP_PIECES, undefined, { ref: false });
    response.write(bytes.subarray(start, start + piece));
  }
  if (!response.destroyed) response.end();
}

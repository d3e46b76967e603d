/**
 * What an answer (or its absence) means for the row and for the run: decided once, here, where status, code and
 * headers are known.
 *
 * - `answer`: the row has its answer, whatever its state;
 * - `partial`: an answer that may be half of one: try again, and keep it in case its ending is accepted later;
 * - `unfit`: a whole answer that breaks the schema: keep it, since it is paid for, and try again;
 * - `unreadable`: a 200 without a chat completion: try again once, then it is the server's way;
 * - `stream`: the model only streams: send the request again as a streamed one, and all others too;
 * - `responses`: the model answers on the Responses API alone: send the request there, and all others too;
 * - `row`: this prompt can't be answered (400, too large, filtered): the row fails, the run continues;
 * - `transient`: 408, 409, 5xx, a reset, a time-out, a torn or empty body: try again;
 * - `throttle`: 429: wait, at no cost to the row;
 * - `parameter`: the model does not take a parameter: change it for the whole run and send again;
 * - `value`: it takes the parameter, but not this value;
 * - `run`: a wrong key, an unknown model, no credit: nothing that is sent can succeed, so stop.
 *
 * What refusals mean is a table of its own, `refusals.ts`.
 */

import { isRedirect } from '../http/redirects.js';
import { isUnreachable } from '../http/retry.js';
import { isObject, parseJson } from '../lib/json.js';
import type { Completion } from '../models/completion.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { STANDARD_RULES } from '../models/finish-reason.js';
import type { ServiceTier } from '../models/service-tiers.js';
import type { Usage } from '../models/usage.js';
import { withPrompt } from '../models/usage-estimate.js';
import { isTlsProblem, messageOf, systemErrorCode, userErrorIn } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { NO_SECRETS, Unsearchable, type Redactor } from '../secrets/redactor.js';
import { readBody } from './answer-body.js';
import { promptOf } from './echo.js';
import { classifyAnswer } from './answer-verdict.js';
import { flagOf, maximumIn, parameterVerdict, type ParameterChange } from './parameters.js';
import { geminiDayWait, isLongLimit } from './limits/daily.js';
import { answerBounds, BEYOND_BOUNDS, MOST_STREAM_BYTES, type AnswerBounds } from '../http/answer-bounds.js';
import type { ChatResponse } from '../http/chat-client.js';
import { retryAfter, type Headers } from '../http/limit-headers.js';
import { describeRefusal, parseError, readRefusal, type Refusal } from './refusal-body.js';
import { isLargerThanLimit, meaningOf, roomIn, type Meaning, type RunCause } from './refusals.js';
import { asksForResponses } from './other-endpoint.js';
import { asksForStream } from './stream-only.js';
import { isStreamed } from './streaming.js';

export type Verdict =
  | { kind: 'answer'; completion: Completion; /** The answer as one line of JSON. */ json: Buffer }
  /** An answer whose finish reason does not say that it is whole; `json` as one line. */
  | {
      kind: 'partial';
      message: string;
      reason: string;
      json: Buffer;
      usage: Usage | null;
      tier: ServiceTier;
    }
  /** A whole answer that breaks the schema of `--response_format`; `json` as one line. */
  | { kind: 'unfit'; message: string; json: Buffer; usage: Usage | null; tier: ServiceTier }
  /** A 200 that holds no answer; `shape` is the same for those that are wrong in the same way. */
  | {
      kind: 'unreadable';
      message: string;
      shape: string;
      /** True where the server is certain to answer every request like this: it speaks another API. */
      isForeign: boolean;
      /** True where something cut the answer off, or all of it: that may pass. */
      isTorn: boolean;
      usage: Usage | null;
    }
  /** The model answers streamed requests only. */
  | { kind: 'stream'; message: string }
  /** The model answers on the Responses API only, and this request did not go there. */
  | { kind: 'responses'; message: string }
  | {
      kind: 'row';
      message: string;
      filtered: boolean;
      /** True where the message says what is wrong with this row: others are not concerned. */
      explained: boolean;
      /** Tokens that an answer to this prompt may have, where that is why it was refused; null where not known. */
      room: number | null;
      usage?: Usage | null;
    }
  | {
      kind: 'transient';
      message: string;
      /** No connection could be made: the network's or the server's fault, never the row's. */
      unreachable: boolean;
      overloaded: boolean;
      /** The server is up, and not ready yet: it loads the model. */
      loading?: boolean;
      /** Refused at once because the server has too much to do: nothing was done for the row. */
      isFull?: boolean;
      /** The service tier has no capacity to spare: not billed, and neither the row's fault nor a rate limit. */
      isCapacity?: boolean;
      /** Milliseconds that the server asked to wait. */
      wait: number | null;
      /** What an unusable answer cost nevertheless; without the prompt's tokens where they are not reported. */
      usage: Usage | null;
      /** True where the model wrote an empty text: with the same seed it may well do so again. */
      isEmpty?: boolean;
      /** True where the error came within an answer: other rows may have better luck. */
      inAnswer?: boolean;
    }
  | {
      kind: 'throttle';
      message: string;
      /** Milliseconds until the limit lifts; Infinity for some time tomorrow, null where nothing is known. */
      wait: number | null;
      usage?: Usage | null;
    }
  | {
      kind: 'parameter';
      message: string;
      changes: ParameterChange[];
      /** False where the message names parameters, and what it says of them is not understood. */
      certain: boolean;
    }
  /** One whose value is out of range, whatever the row. */
  | { kind: 'value'; message: string; parameter: string }
  | { kind: 'run'; message: string; cause: RunCause | 'other' };

/**
 * What an answer that cannot be used has cost, estimated where the server does not report it; null where nothing came
 * that a model may have written.
 * @param request the body that it answers
 */
export function usageOf(verdict: Verdict, request: Buffer): Usage | null {
  const usage = 'usage' in verdict ? (verdict.usage ?? null) : null;
  return usage === null ? null : withPrompt(usage, request);
}

/** Further codes of requests that did not get out, which is not the row's fault either. */
const NOT_SENT = new Set(['ENETDOWN', 'ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT', 'EMFILE', 'ENFILE']);

/** What answers on the port does not speak TLS. */
const NOT_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/;

/** No answer in time: the server has more to do than it can. */
const TIMEOUT_CODES = new Set(['REQUEST_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);
/** Statuses that say the same: the server's own time-outs, and those of proxies before it. */
const OVERLOAD_STATUSES = new Set([408, 503, 504, 524, 529]);

/** Said before anything is done: nginx's limits, full queues, Anthropic. Others come after the wait of a whole request. */
const FULL_STATUSES = new Set([503, 529]);

/**
 * The verdict on an answer that arrived.
 * @param sent the request's body; where it is given, only parameters that it holds can be refused
 * @param rules which answers count as whole
 * @param redactor takes secrets out of the whole answer, before any of it is read, cut or kept
 */
export function classifyResponse(
  response: ChatResponse,
  sent: Buffer | null = null,
  rules: AnswerRules = STANDARD_RULES,
  redactor: Redactor = NO_SECRETS,
): Verdict {
  return orTooDeep(() => judge(response, sent, rules, redactor));
}

function judge(response: ChatResponse, sent: Buffer | null, rules: AnswerRules, redactor: Redactor): Verdict {
  const { status } = response;
  const body = redactor.bytes(response.body);
  const refused = (code: number, error: unknown, text: string): Refused => {
    const request = sent === null ? null : requestOf(sent);
    return {
      refusal: readRefusal({
        ...{ status: code, value: error, raw: text, prompt: promptOf(request) },
        headers: redactor.headers(response.headers),
      }),
      sent,
      request,
    };
  };
  if (status < 200 || status >= 300) {
    const text = body.toString('utf8');
    const found = refused(status, parseError(text), text);
    const isMisplaced = response.api === undefined && status < 500 && asksForResponses(found.refusal.text);
    return isMisplaced ? { kind: 'responses', message: describeRefusal(found.refusal) } : judgeRefusal(found);
  }
  const found = readBody(body, response.headers, redactor, () => boundsFor(sent));
  const verdict = classifyAnswer(found, rules, (error) => judgeError(statusOf(error), error, refused));
  // A server that accepted the request may have started to answer, and charge for that.
  return verdict.kind === 'transient' ? { ...verdict, isFull: false } : verdict;
}

/**
 * The verdict on an error in the place of an answer. One without a status (Baidu, MiniMax) means what its words say, and
 * is the server's fault where these say nothing.
 */
function judgeError(
  status: number | null,
  error: unknown,
  refused: (status: number, error: unknown, text: string) => Refused,
): Verdict {
  if (status !== null) return judgeRefusal(refused(status, error, ''));
  const worded = refused(400, error, '');
  return meaningOf(worded.refusal) === null ? judgeRefusal(refused(500, error, '')) : judgeRefusal(worded);
}

/** What an answer may have at most, by the request. */
function boundsFor(sent: Buffer | null): AnswerBounds {
  const { n, logprobs } = (sent === null ? null : requestOf(sent)) ?? {};
  return answerBounds({ n: typeof n === 'number' ? n : null, logprobs: logprobs === true });
}

/** A refusal and the request that it is about, as it was sent and parsed; null where that is not known. */
interface Refused {
  refusal: Refusal;
  sent: Buffer | null;
  request: Record<string, unknown> | null;
}

/**
 * The verdict on what may be too much to read (nested so deeply that it exhausts the stack, larger than any answer, more
 * escapes than can be searched for keys): one row's failure.
 */
export function orTooDeep(judgeIt: () => Verdict): Verdict {
  try {
    return judgeIt();
  } catch (error) {
    const message = tooMuchIn(error);
    if (message === null) throw error;
    return { kind: 'row', message, filtered: false, explained: true, room: null };
  }
}

/** Why an answer is more than can be read; null where an error is something else. */
function tooMuchIn(error: unknown): string | null {
  const code = systemErrorCode(error);
  if (code === BEYOND_BOUNDS) return messageOf(error);
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE')
    return `the answer takes more than ${MOST_STREAM_BYTES >> 20} MB`;
  if (error instanceof Unsearchable) return `the answer ${error.message}`;
  return error instanceof RangeError ? 'the answer’s JSON is nested too deeply' : null;
}

/** The request is at fault. */
const BAD_REQUEST: ReadonlySet<number> = new Set([400, 422]);
/**
 * Parameters are refused with others as well: 403 `You are not allowed to request logprobs from this model` (OpenAI), 404
 * (gateways that look for an endpoint that takes them all), 500 (gateways), 501 (`not implemented`). These usually mean
 * something else, so the text must leave no doubt.
 */
const ABOUT_PARAMETERS: ReadonlySet<number> = new Set([...BAD_REQUEST, 403, 404, 500, 501]);

function judgeRefusal({ refusal, sent, request }: Refused): Verdict {
  const { status } = refusal;
  if (asksForStream(refusal.text) && status < 500 && !(sent !== null && isStreamed(sent))) {
    return { kind: 'stream', message: describeRefusal(refusal) };
  }
  const meaning = meaningOf(refusal);
  if (meaning !== null) return verdictFor(meaning, refusal, request);
  const about = ABOUT_PARAMETERS.has(status) ? parameterVerdict(refusal, request) : null;
  const message = describeRefusal(refusal);
  const isClear = BAD_REQUEST.has(status) || (about?.kind === 'change' && about.certain);
  if (about === null || !isClear) return verdictForStatus(refusal);
  if (about.kind === 'change') {
    return { kind: 'parameter', message, changes: about.changes, certain: about.certain };
  }
  const { parameter } = about;
  return { kind: 'value', message: `${message} (see ${flagOf(parameter)})`, parameter };
}

function verdictFor(meaning: Meaning, refusal: Refusal, sent: Record<string, unknown> | null): Verdict {
  const message = describeRefusal(refusal);
  if ('run' in meaning) return { kind: 'run', cause: meaning.run, message };
  if ('later' in meaning) {
    if (meaning.later === 'throttle') return throttle(message, refusal);
    const { later } = meaning;
    return {
      ...transient(message),
      overloaded: true,
      loading: later === 'loading',
      isFull: later === 'busy' && FULL_STATUSES.has(refusal.status),
      isCapacity: later === 'capacity',
      wait: waitOf(refusal),
    };
  }
  if (meaning.row === 'filtered') return rowVerdict(message, { filtered: true, explained: true });
  const maximum = sent === null ? null : (maximumIn(sent)?.value ?? null);
  return rowVerdict(message, { explained: true, room: roomIn(refusal, maximum) });
}

/** What a refusal means by its status alone. */
function verdictForStatus(refusal: Refusal): Verdict {
  const { status } = refusal;
  const message = describeRefusal(refusal);
  if (status === 429) {
    // "Request too large for gpt-4o … Limit 30000, Requested 40123": no waiting helps.
    if (isLargerThanLimit(refusal)) return rowVerdict(message, { explained: true });
    return throttle(message, refusal);
  }
  if (status === 401 || status === 403) return { kind: 'run', cause: 'key', message };
  if (status === 404 || status === 410) {
    const cause = /\bmodel\b/i.test(refusal.text) ? 'model' : 'other';
    return { kind: 'run', cause, message };
  }
  if (isRedirect(status))
    return { kind: 'run', cause: 'other', message: redirection(status, refusal.headers) };
  if (status === 405) return { kind: 'run', cause: 'other', message };
  if (MAY_PASS.has(status) || status >= 500) {
    return { ...transient(message), overloaded: OVERLOAD_STATUSES.has(status), wait: waitOf(refusal) };
  }
  return rowVerdict(message, {});
}

/** 424: a gateway's upstream failed; 499: a proxy gave up. */
const MAY_PASS = new Set([408, 409, 424, 425, 499]);

function throttle(message: string, refusal: Refusal): Verdict {
  const wait = geminiDayWait(refusal) ?? waitOf(refusal) ?? (isLongLimit(refusal) ? Infinity : null);
  return { kind: 'throttle', message, wait };
}

function waitOf(refusal: Refusal): number | null {
  return retryAfter(refusal.headers) ?? refusal.wait;
}

function requestOf(sent: Buffer): Record<string, unknown> | null {
  const value = parseJson(sent.toString('utf8'));
  return isObject(value) ? value : null;
}

function rowVerdict(
  message: string,
  more: Partial<Pick<Extract<Verdict, { kind: 'row' }>, 'filtered' | 'explained' | 'room'>>,
): Verdict {
  return { kind: 'row', message, filtered: false, explained: false, room: null, ...more };
}

function redirection(status: number, headers: Headers): string {
  const location = headers['location'];
  const target = typeof location === 'string' ? ` to ${sanitize(location, 200)}` : '';
  return `${status}: the server redirects${target}; redirects are not followed, to protect the key; if that is the right server, give its address with --base_url`;
}

/** Statuses of errors that come without one, by their type or gRPC status. */
const STATUS_OF_TYPE: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  insufficient_quota: 429,
  api_error: 500,
  server_error: 500,
  overloaded_error: 529,
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
};

/** Providers that answer 200 with an error put the status into it. */
function statusOf(error: unknown): number | null {
  if (!isObject(error)) return null;
  for (const key of ['status_code', 'code', 'status', 'http_status', 'error_code', 'type']) {
    const value = error[key];
    const status = Number(value);
    if (Number.isInteger(status) && status >= 400 && status < 600) return status;
    if (typeof value === 'string' && Object.hasOwn(STATUS_OF_TYPE, value))
      return STATUS_OF_TYPE[value] ?? null;
  }
  return null;
}

/**
 * The verdict on a request that got no answer.
 * @param redactor as for `classifyResponse`
 */
export function classifyFailure(error: unknown, redactor: Redactor = NO_SECRETS): Verdict {
  const refusal = userErrorIn(error);
  if (refusal !== null) return { kind: 'run', cause: 'other', message: refusal.message };
  const code = systemErrorCode(error) ?? '';
  const text = redactor.text(messageOf(error));
  if (isTlsProblem(error)) {
    // Its answer is no TLS at all: an http server, or a proxy's page.
    const advice = NOT_TLS.test(code)
      ? 'there is no https at this address'
      : 'set NODE_EXTRA_CA_CERTS where a proxy has its own certificate';
    const message = `no trusted connection (${code}: ${sanitize(text, 200)}); ${advice}`;
    return { kind: 'run', cause: 'other', message };
  }
  const tooMuch = tooMuchIn(error);
  if (tooMuch !== null) return rowVerdict(tooMuch, { explained: true });
  const unreachable = isUnreachable(code) || NOT_SENT.has(code);
  const overloaded = TIMEOUT_CODES.has(code);
  return {
    ...transient(`no answer (${code === '' ? '' : `${code}: `}${sanitize(text, 200)})`),
    unreachable,
    overloaded,
  };
}

function transient(message: string): Extract<Verdict, { kind: 'transient' }> {
  return { kind: 'transient', message, unreachable: false, overloaded: false, wait: null, usage: null };
}

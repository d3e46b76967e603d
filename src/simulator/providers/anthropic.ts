/**
 * Anthropic's Message Batches API, by its documentation (platform.claude.com/docs/en/api/creating-message-batches).
 * Its OpenAI-compatible endpoint answers online.
 */

import { isObject, parseJson } from '../../lib/json.js';
import type { Batch, Described } from '../batch.js';
import { sendBatch, sendCreated, type Shape } from '../batches.js';
import { ApiError, readBody, sendJson, type Exchange, type Route } from '../http.js';
import { storeRequests, type InlineRequest } from './inline.js';
import {
  batchAt,
  cancelAt,
  endOf,
  isoTime,
  listed,
  Mount,
  orderOf,
  pageAfter,
  type AccountRequest,
  type ProviderParts,
} from './mount.js';
import { answerOf, failureOf, linesIn, resultFiles, sendResults } from './results.js';

const PATH = '/v1/messages/batches';
const MOST_REQUESTS = 100_000;
const MOST_PAGE = 1000;
const CUSTOM_ID = /^[a-zA-Z0-9_-]{1,64}$/;
/** What a request may have (platform.claude.com/docs/en/api/messages). */
const PARAMS: ReadonlySet<string> = new Set([
  'model',
  'max_tokens',
  'messages',
  'system',
  'temperature',
  'top_p',
  'top_k',
  'stop_sequences',
  'thinking',
  'tools',
  'tool_choice',
  'output_config',
  'metadata',
]);

/** @param openai the routes that its compatible endpoint has as well */
export function anthropicRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts, errorBody);
  for (const path of ['/v1/chat/', '/v1/models']) mount.also(openai, path);
  const { book, files } = parts;
  const shapeFor =
    ({ request }: Pick<Exchange, 'request'>): Shape =>
    (batch) =>
      describe(batch, mount.addressFor(request));
  mount.on('POST', PATH, async (asked) => {
    requireVersion(asked.request.headers['anthropic-version']);
    const requests = readRequests(await readBody(asked.request));
    const input = storeRequests(files, asked.owner, requests);
    sendCreated(asked.response, book.create(asked.owner, orderOf(input.id), input), shapeFor(asked));
  });
  mount.on('GET', PATH, ({ owner, query, request, response }) => {
    const all = listed(book, owner, shapeFor({ request }), 'id');
    const limit = Math.min(MOST_PAGE, Number(query.get('limit') ?? 20));
    const { page, hasMore } = pageAfter(all, query.get('after_id'), limit);
    sendJson(response, 200, {
      data: page.map(({ entry }) => entry),
      has_more: hasMore,
      first_id: page[0]?.id ?? null,
      last_id: page.at(-1)?.id ?? null,
    });
  });
  mount.on('GET', `${PATH}/*`, async (asked) => {
    const { batch, action } = batchAt(PATH, asked, book);
    if (action === undefined) sendBatch(asked.response, batch, shapeFor(asked));
    else if (action === 'results') await sendResultsOf(batch, asked, parts);
    else throw new ApiError(404, 'Not found');
  });
  mount.on('POST', `${PATH}/*`, (asked) => {
    cancelAt(PATH, asked, book, shapeFor(asked));
  });
  return mount.routes;
}

function requireVersion(version: unknown): void {
  if (version === undefined) throw new ApiError(400, 'anthropic-version: header is required');
}

function readRequests(bytes: Buffer): InlineRequest[] {
  const body = parseJson(bytes.toString('utf8'));
  const requests: unknown = isObject(body) ? body['requests'] : null;
  if (!Array.isArray(requests) || requests.length === 0) throw new ApiError(400, 'requests: Field required');
  if (requests.length > MOST_REQUESTS)
    throw new ApiError(400, 'requests: List should have at most 100000 items');
  const ids = new Set<string>();
  return requests.map((request: unknown, index) => {
    const { custom_id: id, params } = isObject(request) ? request : {};
    if (typeof id !== 'string' || !CUSTOM_ID.test(id)) {
      throw new ApiError(
        400,
        `requests.${index}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'`,
      );
    }
    if (ids.has(id)) throw new ApiError(400, `requests.${index}.custom_id: ${id} is not unique`);
    ids.add(id);
    if (!isObject(params)) throw new ApiError(400, `requests.${index}.params: Field required`);
    return { customId: id, body: chatBody(params, `requests.${index}.params`) };
  });
}

/** The request as the chat completions API has it. */
function chatBody(params: Record<string, unknown>, where: string): object {
  const unknown = Object.keys(params).find((name) => !PARAMS.has(name));
  if (unknown !== undefined) throw new ApiError(400, `${where}.${unknown}: Extra inputs are not permitted`);
  const {
    model,
    max_tokens: maximum,
    messages,
    system,
    temperature,
    top_p: topP,
    stop_sequences: stop,
  } = params;
  if (!Number.isInteger(maximum)) throw new ApiError(400, `${where}.max_tokens: Field required`);
  if (!Array.isArray(messages)) throw new ApiError(400, `${where}.messages: Field required`);
  const wrong = messages.filter(isObject).find(({ role }) => role !== 'user' && role !== 'assistant');
  if (wrong !== undefined) {
    throw new ApiError(400, `${where}.messages: Unexpected role "${String(wrong['role'])}"`);
  }
  const first = system === undefined ? [] : [{ role: 'system', content: system }];
  return {
    model,
    max_tokens: maximum,
    messages: [...first, ...(messages as unknown[])],
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(stop === undefined ? {} : { stop }),
  };
}

/** @param address of the API, without its version */
function describe(batch: Described, address: string): object {
  const { total, completed, failed } = batch.request_counts;
  const ended = endOf(batch);
  const hasEnded = ended !== null;
  const left = Math.max(0, total - completed - failed);
  const counts = {
    processing: hasEnded ? 0 : total,
    succeeded: hasEnded ? completed : 0,
    errored: hasEnded ? failed : 0,
    canceled: batch.status === 'cancelled' ? left : 0,
    expired: batch.status === 'expired' ? left : 0,
  };
  const isCanceling = batch.status === 'cancelling';
  const hasFiles = batch.output_file_id !== null || batch.error_file_id !== null;
  return {
    id: batch.id,
    type: 'message_batch',
    processing_status: hasEnded ? 'ended' : isCanceling ? 'canceling' : 'in_progress',
    request_counts: counts,
    created_at: isoTime(batch.created_at),
    expires_at: isoTime(batch.expires_at),
    ended_at: isoTime(ended),
    cancel_initiated_at: isoTime(batch.cancelling_at),
    archived_at: null,
    results_url: hasEnded && hasFiles ? `${address}${PATH}/${batch.id}/results` : null,
  };
}

async function sendResultsOf(batch: Batch, asked: AccountRequest, { files }: ProviderParts): Promise<void> {
  const found = resultFiles(files, batch);
  if (found.length === 0) throw new ApiError(404, `Message batch ${batch.id} has no available results.`);
  const lines = linesIn(found).map((line) =>
    typeof line === 'string'
      ? line
      : JSON.stringify({ custom_id: line['custom_id'], result: resultOf(line) }),
  );
  await sendResults(asked, found, lines);
}

function resultOf(line: Record<string, unknown>): object {
  const { response, error } = line;
  if (!isObject(response)) {
    const code = isObject(error) ? error['code'] : null;
    return { type: code === 'batch_expired' ? 'expired' : 'canceled' };
  }
  const body = answerOf(line);
  if (isObject(body)) return { type: 'succeeded', message: messageOf(body) };
  const { status, message } = failureOf(line);
  const type =
    typeof status === 'number' && status >= 400 && status < 500 ? 'invalid_request_error' : 'api_error';
  const inner = { type, message: message ?? 'Internal server error' };
  return { type: 'errored', error: { type: 'error', error: inner, request_id: 'req_simulator' } };
}

const STOP_REASONS: Readonly<Record<string, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  content_filter: 'refusal',
};

/** A completion as a Message. */
function messageOf(completion: Record<string, unknown>): object {
  const [choice] = completion['choices'] as { message: { content: string | null }; finish_reason: string }[];
  const usage = completion['usage'] as { prompt_tokens: number; completion_tokens: number };
  const content = choice?.message.content ?? null;
  return {
    id: `msg_${String(completion['id'])}`,
    type: 'message',
    role: 'assistant',
    model: completion['model'],
    content: content === null ? [] : [{ type: 'text', text: content }],
    stop_reason: STOP_REASONS[choice?.finish_reason ?? ''] ?? 'end_turn',
    stop_sequence: null,
    usage: {
      input_tokens: usage.prompt_tokens,
      output_tokens: usage.completion_tokens,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      service_tier: 'batch',
    },
  };
}

/** @see https://platform.claude.com/docs/en/api/errors */
function errorBody({ status, message }: ApiError): object {
  const type =
    {
      400: 'invalid_request_error',
      401: 'authentication_error',
      404: 'not_found_error',
      429: 'rate_limit_error',
    }[status] ?? 'api_error';
  return { type: 'error', error: { type, message }, request_id: 'req_simulator' };
}

/** OpenRouter's Batch API, by its documentation (openrouter.ai/docs/batch-quickstart). */

import { isObject, parseJson } from '../../lib/json.js';
import type { Described } from '../batch.js';
import { sendCreated } from '../batches.js';
import { ApiError, readBody, sendJson, type Route } from '../http.js';
import { storeRequests, type InlineRequest } from './inline.js';
import { batchAt, endOf, listed, Mount, orderOf, pageAt, type ProviderParts } from './mount.js';
import { answerOf, failureOf, sendBatchOrResults } from './results.js';

const PATH = '/v1/batches';
const MOST_REQUESTS = 5000;

export function openRouterRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts, ({ status, message }) => ({ error: { code: status, message } }));
  for (const path of ['/v1/chat/', '/v1/models']) mount.also(openai, path);
  const { book, files } = parts;
  mount.on('POST', PATH, async (asked) => {
    const requests = readRequests((await readBody(asked.request)).toString('utf8'));
    const input = storeRequests(files, asked.owner, requests);
    sendCreated(asked.response, book.create(asked.owner, orderOf(input.id), input), describe, 202);
  });
  mount.on('GET', PATH, ({ owner, query, response }) => {
    const all = listed(book, owner, describe, 'id');
    const { page, next } = pageAt(all, query.get('cursor'), Number(query.get('limit') ?? 20));
    sendJson(response, 200, { object: 'list', data: page.map(({ entry }) => entry), next_cursor: next });
  });
  mount.on('GET', `${PATH}/*`, (asked) => {
    const names = { items: 'data', cursor: 'next_cursor' };
    return sendBatchOrResults(asked, batchAt(PATH, asked, book), { files, describe, resultOf, names });
  });
  return mount.routes;
}

/** The body is parsed as it arrives, so that the requests have to come last. */
function readRequests(text: string): InlineRequest[] {
  const body = parseJson(text);
  if (!isObject(body)) throw new ApiError(400, 'The body is not JSON.');
  const names = Object.keys(body);
  if (names.indexOf('requests') < Math.max(names.indexOf('endpoint'), names.indexOf('model'))) {
    throw new ApiError(400, 'endpoint and model must come before requests');
  }
  const { endpoint, model, requests } = body;
  if (endpoint !== '/v1/chat/completions') throw new ApiError(400, 'endpoint is not supported');
  if (typeof model !== 'string') throw new ApiError(400, 'model is required');
  if (!Array.isArray(requests) || requests.length === 0) throw new ApiError(400, 'requests is required');
  if (requests.length > MOST_REQUESTS)
    throw new ApiError(400, `requests may have at most ${MOST_REQUESTS} items`);
  return requests.map((request: unknown) => {
    const { custom_id: id, body: inner } = isObject(request) ? request : {};
    if (typeof id !== 'string' || !isObject(inner))
      throw new ApiError(400, 'a request lacks custom_id or body');
    if (inner['model'] !== undefined && inner['model'] !== model)
      throw new ApiError(400, 'the models differ');
    return { customId: id, body: { model, ...inner } };
  });
}

function describe(batch: Described): object {
  const message = batch.errors?.data[0]?.message;
  return {
    id: batch.id,
    object: 'batch',
    endpoint: '/v1/chat/completions',
    model: batch.model ?? '',
    provider: 'Simulator',
    status: batch.status,
    completion_window: '24h',
    created_at: batch.created_at,
    expires_at: batch.expires_at,
    finalized_at: endOf(batch),
    request_counts: batch.request_counts,
    results: null,
    usage: null,
    error: message === undefined ? null : { message },
  };
}

function resultOf(line: Record<string, unknown>): object {
  const { id, custom_id: customId } = line;
  const body = answerOf(line);
  if (body !== null) return { id, custom_id: customId, response: { status_code: 200, body }, error: null };
  const { status, message } = failureOf(line);
  const type = status === 400 ? 'invalid_request_error' : 'server_error';
  const error = { message: message ?? 'no answer', type, error_type: type, param: null };
  return { id, custom_id: customId, response: null, error };
}

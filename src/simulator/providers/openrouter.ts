/** OpenRouter's Batch API, by its documentation (openrouter.ai/docs/batch-quickstart). */

import { isObject, parseJson } from '../../lib/json.js';
import type { Described } from '../batch.js';
import { ApiError, readBody, sendJson, type Route } from '../http.js';
import { storeRequests, type InlineRequest } from './inline.js';
import {
  createBatch,
  linesIn,
  listed,
  Mount,
  orderOf,
  resultFiles,
  sendBatch,
  type ProviderParts,
} from './mount.js';
import { sendPageOfResults } from './pages.js';

const PATH = '/v1/batches';
const MOST_REQUESTS = 5000;

export function openRouterRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts, ({ status, message }) => ({ error: { code: status, message } }));
  for (const path of ['/v1/chat/', '/v1/models']) mount.also(openai, path, path);
  const { book, files } = parts;
  mount.on('POST', PATH, async (asked) => {
    const requests = readRequests((await readBody(asked.request)).toString('utf8'));
    const input = storeRequests(files, asked.owner, requests);
    createBatch(asked, book, orderOf(input.id), input, describe, 202);
  });
  mount.on('GET', PATH, ({ owner, query, response }) => {
    const all = listed(book, owner, describe, 'id');
    const start = Number(query.get('cursor') ?? 0);
    const page = all.slice(start, start + Number(query.get('limit') ?? 20)).map(({ entry }) => entry);
    const next = start + page.length < all.length ? String(start + page.length) : null;
    sendJson(response, 200, { object: 'list', data: page, next_cursor: next });
  });
  mount.on('GET', `${PATH}/*`, async (asked) => {
    const [id = '', action] = asked.path
      .slice(PATH.length + 1)
      .split('/')
      .map(decodeURIComponent);
    const batch = book.require(id, asked.owner);
    if (action === undefined) {
      sendBatch(asked, batch, describe);
      return;
    }
    const found = resultFiles(files, batch);
    const results = linesIn(found).map((line) =>
      typeof line === 'string' ? { torn: line } : resultOf(line),
    );
    await sendPageOfResults(asked, found, results, { items: 'data', cursor: 'next_cursor' });
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
  const ended = batch.completed_at ?? batch.failed_at ?? batch.expired_at ?? batch.cancelled_at;
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
    finalized_at: ended,
    request_counts: batch.request_counts,
    results: null,
    usage: null,
    error: message === undefined ? null : { message },
  };
}

function resultOf({ id, custom_id: customId, response, error }: Record<string, unknown>): object {
  const { status_code: status, body } = isObject(response) ? response : {};
  if (status === 200) return { id, custom_id: customId, response: { status_code: 200, body }, error: null };
  const inner = isObject(body) && isObject(body['error']) ? body['error'] : error;
  const message = isObject(inner) && typeof inner['message'] === 'string' ? inner['message'] : 'no answer';
  const type = status === 400 ? 'invalid_request_error' : 'server_error';
  return { id, custom_id: customId, response: null, error: { message, type, error_type: type, param: null } };
}

/** xAI's Batch API, by its documentation (docs.x.ai/developers/advanced-api-usage/batch-api). Files are as OpenAI's. */

import { isObject, parseJson } from '../../lib/json.js';
import type { Described } from '../batch.js';
import { requireInput } from '../batches.js';
import { ApiError, readBody, sendJson, type Route } from '../http.js';
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

export function xaiRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts, ({ message }) => ({ code: 'simulated', error: message }));
  for (const path of ['/v1/chat/', '/v1/models', '/v1/files']) mount.also(openai, path, path);
  const { book, files } = parts;
  mount.on('POST', PATH, async (asked) => {
    const body = parseJson((await readBody(asked.request)).toString('utf8'));
    const { name, input_file_id: id } = isObject(body) ? body : {};
    if (typeof name !== 'string' || name === '') throw new ApiError(400, 'name is required');
    if (typeof id !== 'string') throw new ApiError(400, 'input_file_id is required');
    const input = requireInput(files, id, asked.owner);
    createBatch(asked, book, orderOf(id, { name }), input, describe);
  });
  mount.on('GET', PATH, ({ owner, query, response }) => {
    const all = listed(book, owner, describe, 'batch_id');
    const limit = Number(query.get('limit') ?? 100);
    const start = Number(query.get('pagination_token') ?? 0);
    const page = all.slice(start, start + limit).map(({ entry }) => entry);
    const next = start + page.length < all.length ? String(start + page.length) : null;
    sendJson(response, 200, { batches: page, pagination_token: next });
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
    await sendPageOfResults(asked, found, results, { items: 'results', cursor: 'pagination_token' });
  });
  mount.on('POST', `${PATH}/*`, ({ path, owner, response }) => {
    const name = decodeURIComponent(path.slice(PATH.length + 1));
    if (!name.endsWith(':cancel')) throw new ApiError(404, 'not found');
    const batch = book.require(name.slice(0, -':cancel'.length), owner);
    batch.cancel();
    sendJson(response, 200, describe(batch.describe()));
  });
  return mount.routes;
}

/** Counters in place of a status; what expired counts as failed. */
function describe(batch: Described): object {
  const { total, completed, failed } = batch.request_counts;
  const { status, errors } = batch;
  const left = Math.max(0, total - completed - failed);
  const isCancelled = status === 'cancelled' || status === 'cancelling';
  const isOver = status === 'cancelled' || status === 'expired' || status === 'failed';
  const isCounted = status !== 'validating' && status !== 'failed';
  const refusal = status === 'failed' ? (errors?.data[0]?.message ?? 'invalid input') : null;
  return {
    batch_id: batch.id,
    name: batch.metadata?.['name'] ?? '',
    input_file_id: batch.input_file_id,
    create_time: iso(batch.created_at),
    expire_time: iso(batch.expires_at),
    cancel_time: isCancelled || refusal !== null ? iso(batch.cancelling_at ?? batch.failed_at) : null,
    cancel_by_xai_message: refusal,
    state: {
      num_requests: isCounted ? total : 0,
      // Results are there as soon as files are: until then they are on their way.
      num_pending: isOver || !isCounted ? 0 : status === 'completed' ? 0 : Math.max(1, left),
      num_success: completed,
      num_error: status === 'expired' ? failed + left : failed,
      num_cancelled: status === 'cancelled' ? left : 0,
    },
  };
}

function iso(seconds: number | null): string | null {
  return seconds === null ? null : new Date(seconds * 1000).toISOString();
}

function resultOf({ custom_id: id, response, error }: Record<string, unknown>): object {
  const { status_code: status, body } = isObject(response) ? response : {};
  if (status === 200)
    return { batch_request_id: id, batch_result: { response: { chat_get_completion: body } } };
  const inner = isObject(body) && isObject(body['error']) ? body['error'] : error;
  const message =
    isObject(inner) && typeof inner['message'] === 'string' ? inner['message'] : 'internal error';
  return { batch_request_id: id, batch_result: { error: { code: status === 400 ? 3 : 13, message } } };
}

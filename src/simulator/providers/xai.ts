/** xAI's Batch API, by its documentation (docs.x.ai/developers/advanced-api-usage/batch-api). Files are as OpenAI's. */

import type { Described } from '../batch.js';
import { requireInput, sendCancelled, sendCreated } from '../batches.js';
import { ApiError, sendJson, type Route } from '../http.js';
import {
  batchAt,
  isoTime,
  listed,
  Mount,
  nameBelow,
  orderOf,
  pageAt,
  readFields,
  type ProviderParts,
} from './mount.js';
import { answerOf, failureOf, sendBatchOrResults } from './results.js';

const PATH = '/v1/batches';

export function xaiRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts, ({ message }) => ({ code: 'simulated', error: message }));
  for (const path of ['/v1/chat/', '/v1/models', '/v1/files']) mount.also(openai, path);
  const { book, files } = parts;
  mount.on('POST', PATH, async (asked) => {
    const { name, input_file_id: id } = await readFields(asked.request);
    if (typeof name !== 'string' || name === '') throw new ApiError(400, 'name is required');
    if (typeof id !== 'string') throw new ApiError(400, 'input_file_id is required');
    const input = requireInput(files, id, asked.owner);
    sendCreated(asked.response, book.create(asked.owner, orderOf(id, { name }), input), describe);
  });
  mount.on('GET', PATH, ({ owner, query, response }) => {
    const all = listed(book, owner, describe, 'batch_id');
    const { page, next } = pageAt(all, query.get('pagination_token'), Number(query.get('limit') ?? 100));
    sendJson(response, 200, { batches: page.map(({ entry }) => entry), pagination_token: next });
  });
  mount.on('GET', `${PATH}/*`, (asked) => {
    const names = { items: 'results', cursor: 'pagination_token' };
    return sendBatchOrResults(asked, batchAt(PATH, asked, book), { files, describe, resultOf, names });
  });
  mount.on('POST', `${PATH}/*`, ({ path, owner, response }) => {
    const name = nameBelow(PATH, path);
    if (!name.endsWith(':cancel')) throw new ApiError(404, 'not found');
    sendCancelled(response, book.require(name.slice(0, -':cancel'.length), owner), describe);
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
    create_time: isoTime(batch.created_at),
    expire_time: isoTime(batch.expires_at),
    cancel_time: isCancelled || refusal !== null ? isoTime(batch.cancelling_at ?? batch.failed_at) : null,
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

function resultOf(line: Record<string, unknown>): object {
  const body = answerOf(line);
  const { status, message } = failureOf(line);
  const result =
    body === null
      ? { error: { code: status === 400 ? 3 : 13, message: message ?? 'internal error' } }
      : { response: { chat_get_completion: body } };
  return { batch_request_id: line['custom_id'], batch_result: result };
}

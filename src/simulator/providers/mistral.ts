/** Mistral's batch jobs, by its API reference (docs.mistral.ai/api/endpoint/batch). Files are as OpenAI's. */

import type { Described } from '../batch.js';
import { requireInput, sendBatch, sendCreated } from '../batches.js';
import type { StoredFile } from '../files.js';
import { receiveForm } from '../form.js';
import { ApiError, sendJson, type Route } from '../http.js';
import {
  addInput,
  cancelAt,
  endOf,
  listed,
  Mount,
  nameBelow,
  orderOf,
  readFields,
  type ProviderParts,
} from './mount.js';

const JOBS = '/v1/batch/jobs';
const STATUSES: Readonly<Record<Described['status'], string>> = {
  validating: 'QUEUED',
  in_progress: 'RUNNING',
  finalizing: 'RUNNING',
  completed: 'SUCCESS',
  failed: 'FAILED',
  expired: 'TIMEOUT_EXCEEDED',
  cancelling: 'CANCELLATION_REQUESTED',
  cancelled: 'CANCELLED',
};

export function mistralRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts, ({ status, message }) => ({
    object: 'error',
    message,
    type: 'error',
    code: status,
  }));
  for (const path of ['/v1/chat/', '/v1/models']) mount.also(openai, path);
  addFiles(mount, parts, openai);
  const { book, files } = parts;
  mount.on('POST', JOBS, async (asked) => {
    const { input_files: inputs, model, endpoint, metadata } = await readFields(asked.request);
    const id: unknown = Array.isArray(inputs) ? inputs[0] : null;
    if (typeof id !== 'string') throw new ApiError(422, 'input_files: Field required');
    if (typeof model !== 'string') throw new ApiError(422, 'model: Field required');
    if (endpoint !== '/v1/chat/completions')
      throw new ApiError(422, 'endpoint: Input should be a known endpoint');
    const input = requireInput(files, id, asked.owner);
    sendCreated(asked.response, book.create(asked.owner, orderOf(id, metadata), input), describe);
  });
  mount.on('GET', JOBS, ({ owner, query, response }) => {
    const all = listed(book, owner, describe, 'id');
    const size = Number(query.get('page_size') ?? 100);
    const start = Number(query.get('page') ?? 0) * size;
    const data = all.slice(start, start + size).map(({ entry }) => entry);
    sendJson(response, 200, { object: 'list', total: all.length, data });
  });
  mount.on('GET', `${JOBS}/*`, ({ path, owner, response }) => {
    sendBatch(response, book.require(nameBelow(JOBS, path), owner), describe);
  });
  mount.on('POST', `${JOBS}/*`, (asked) => {
    cancelAt(JOBS, asked, book, describe);
  });
  return mount.routes;
}

/** Files as OpenAI's, described with more. */
function addFiles(mount: Mount, parts: ProviderParts, openai: readonly Route[]): void {
  const { files } = parts;
  const content = openai.find(({ method, path }) => method === 'GET' && path === '/v1/files/*');
  mount.on('POST', '/v1/files', async ({ request, response, owner }) => {
    const path = files.newPath();
    const { fields, file } = await receiveForm(request, path);
    if (file === null) throw new ApiError(422, 'file: Field required');
    if (fields.get('purpose') !== 'batch') throw new ApiError(422, 'purpose: Input should be batch');
    sendJson(response, 200, describeFile(addInput(parts, { owner, path, ...file })));
  });
  mount.on('GET', '/v1/files/*', async (asked) => {
    const file = files.find(nameBelow('/v1/files', asked.path), asked.owner);
    if (file === null) await content?.handle(asked);
    else sendJson(asked.response, 200, describeFile(file));
  });
}

function describeFile(file: StoredFile): object {
  return {
    id: file.id,
    object: 'file',
    bytes: file.bytes,
    created_at: file.createdAt,
    filename: file.name,
    purpose: 'batch',
    sample_type: file.purpose === 'batch' ? 'batch_request' : 'batch_result',
    num_lines: null,
    mimetype: 'application/jsonl',
    source: file.purpose === 'batch' ? 'upload' : 'mistral',
    signature: null,
  };
}

function describe(batch: Described): object {
  const { total, completed, failed } = batch.request_counts;
  return {
    id: batch.id,
    object: 'batch',
    input_files: [batch.input_file_id],
    metadata: batch.metadata,
    endpoint: '/v1/chat/completions',
    model: batch.model,
    output_file: batch.output_file_id,
    error_file: batch.error_file_id,
    errors: (batch.errors?.data ?? []).map(({ message }) => ({ message, count: 1 })),
    status: STATUSES[batch.status],
    created_at: batch.created_at,
    started_at: batch.in_progress_at,
    completed_at: endOf(batch),
    total_requests: total,
    completed_requests: completed + failed,
    succeeded_requests: completed,
    failed_requests: failed,
  };
}

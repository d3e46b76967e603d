/**
 * Together's batches, by its documentation (docs.together.ai/docs/batch-inference) and its SDK: an upload to a signed
 * address, statuses in upper case, times as text, no counts and no metadata.
 */

import { once } from 'node:events';
import { createWriteStream, statSync } from 'node:fs';
import { isObject, parseJson } from '../../lib/json.js';
import type { Described } from '../batch.js';
import { requireInput } from '../batches.js';
import { newId } from '../files.js';
import { ApiError, readBody, sendJson, type Exchange, type Route } from '../http.js';
import { createBatch, listed, Mount, orderOf, sendBatch, type ProviderParts } from './mount.js';

const LIFETIME_SECONDS = 2_592_000;

export function togetherRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts);
  const { book, files } = parts;
  /** Files that were announced and have no content yet. */
  const announced = new Map<string, { owner: string; name: string }>();
  mount.also(openai, '/v1/chat/', '/v1/chat/');
  mount.also(
    openai.filter(({ method }) => method === 'GET'),
    '/v1/files/',
    '/v1/files/',
  );
  mount.on('POST', '/v1/files', async ({ request, response, owner, query }) => {
    const form = new URLSearchParams((await readBody(request)).toString('utf8'));
    const field = (name: string): string | null => form.get(name) ?? query.get(name);
    const [name, purpose] = [field('file_name'), field('purpose')];
    if (name === null || purpose !== 'batch-api')
      throw new ApiError(400, 'file_name and purpose batch-api are required');
    const id = newId('file-', 16);
    announced.set(id, { owner, name });
    const host = request.headers.host ?? '';
    response.writeHead(302, { location: `http://${host}${prefix}/signed/${id}`, 'x-together-file-id': id });
    response.end();
  });
  mount.open('PUT', '/signed/*', async (exchange) => {
    const id = exchange.path.slice('/signed/'.length);
    const file = announced.get(id);
    if (file === undefined) throw new ApiError(403, 'the signature is not valid');
    const path = files.newPath();
    await store(exchange, path);
    const stored = {
      ...file,
      path,
      bytes: statSync(path).size,
      purpose: 'batch' as const,
      cuts: null,
      fault: null,
    };
    files.add(stored, LIFETIME_SECONDS, id);
    parts.statistics.count('filesUploaded');
    exchange.response.writeHead(200);
    exchange.response.end();
  });
  mount.on('POST', '/v1/files/*', ({ path, owner, response }) => {
    const [id = '', action] = path.slice('/v1/files/'.length).split('/');
    const file = files.find(id, owner);
    if (file === null || action !== 'preprocess') throw new ApiError(404, 'file not found');
    sendJson(response, 200, {
      id,
      object: 'file',
      filename: file.name,
      bytes: file.bytes,
      created_at: file.createdAt,
      purpose: 'batch-api',
      FileType: 'jsonl',
      Processed: true,
    });
  });
  mount.on('POST', '/v1/batches', async (asked) => {
    const body = parseJson((await readBody(asked.request)).toString('utf8'));
    const id = isObject(body) ? body['input_file_id'] : null;
    if (typeof id !== 'string') throw new ApiError(400, 'input_file_id is required');
    const input = requireInput(files, id, asked.owner);
    createBatch(asked, book, orderOf(id), input, (batch) => ({ job: describe(batch), warning: '' }), 201);
  });
  mount.on('GET', '/v1/batches', ({ owner, response }) => {
    sendJson(
      response,
      200,
      listed(book, owner, describe, 'id').map(({ entry }) => entry),
    );
  });
  mount.on('GET', '/v1/batches/*', (asked) => {
    sendBatch(
      asked,
      book.require(decodeURIComponent(asked.path.slice('/v1/batches/'.length)), asked.owner),
      describe,
    );
  });
  mount.on('POST', '/v1/batches/*', ({ path, owner, response }) => {
    const [id = '', action] = path.slice('/v1/batches/'.length).split('/').map(decodeURIComponent);
    if (action !== 'cancel') throw new ApiError(404, 'not found');
    const batch = book.require(id, owner);
    batch.cancel();
    sendJson(response, 200, describe(batch.describe()));
  });
  return mount.routes;
}

async function store({ request }: Exchange, path: string): Promise<void> {
  const file = createWriteStream(path);
  request.pipe(file);
  await once(file, 'close');
}

/** A cancelled batch is at once what others call cancelling. */
function statusOf(status: Described['status']): string {
  return status === 'finalizing' ? 'IN_PROGRESS' : status.toUpperCase();
}

function describe(batch: Described): object {
  const { total, completed, failed } = batch.request_counts;
  const time = (seconds: number | null): string | undefined =>
    seconds === null ? undefined : new Date(seconds * 1000).toISOString();
  return {
    id: batch.id,
    user_id: 'user-simulator',
    input_file_id: batch.input_file_id,
    status: statusOf(batch.status),
    endpoint: '/v1/chat/completions',
    model_id: batch.model ?? '',
    progress: total === 0 ? 0 : ((completed + failed) / total) * 100,
    output_file_id: batch.output_file_id ?? undefined,
    error_file_id: batch.error_file_id ?? undefined,
    error: batch.errors?.data[0]?.message,
    created_at: time(batch.created_at),
    completed_at: time(batch.completed_at ?? batch.expired_at ?? batch.failed_at ?? batch.cancelled_at),
  };
}

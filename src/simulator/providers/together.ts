/**
 * Together's batches, by its documentation (docs.together.ai/docs/batch-inference) and its SDK: an upload to a signed
 * address, statuses in upper case, times as text, no counts and no metadata.
 */

import type { Described } from '../batch.js';
import { requireInput, sendBatch, sendCreated } from '../batches.js';
import { newId } from '../files.js';
import { ApiError, readBody, sendJson, type Route } from '../http.js';
import {
  addInput,
  cancelAt,
  endOf,
  isoTime,
  listed,
  Mount,
  nameBelow,
  orderOf,
  readFields,
  receiveBody,
  type ProviderParts,
} from './mount.js';

const BATCHES = '/v1/batches';

export function togetherRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts);
  mount.also(openai, '/v1/chat/');
  mount.also(
    openai.filter(({ method }) => method === 'GET' || method === 'DELETE'),
    '/v1/files/',
  );
  // together-ai `resources/files.d.ts`: all files at once.
  const list = openai.find(({ method, path }) => method === 'GET' && path === '/v1/files');
  mount.open('GET', '/v1/files', (exchange) => list?.handle({ ...exchange, query: new URLSearchParams() }));
  addUploads(mount, parts);
  addBatches(mount, parts);
  return mount.routes;
}

/** A file is announced, then uploaded to a signed address. */
function addUploads(mount: Mount, parts: ProviderParts): void {
  const { files } = parts;
  /** Files that were announced and have no content yet. */
  const announced = new Map<string, { owner: string; name: string }>();
  mount.on('POST', '/v1/files', async ({ request, response, owner, query }) => {
    const form = new URLSearchParams((await readBody(request)).toString('utf8'));
    const field = (name: string): string | null => form.get(name) ?? query.get(name);
    const [name, purpose] = [field('file_name'), field('purpose')];
    if (name === null || purpose !== 'batch-api')
      throw new ApiError(400, 'file_name and purpose batch-api are required');
    const id = newId('file-', 16);
    announced.set(id, { owner, name });
    const location = `${mount.addressFor(request)}/signed/${id}`;
    response.writeHead(302, { location, 'x-together-file-id': id });
    response.end();
  });
  mount.open('PUT', '/signed/*', async ({ path: address, request, response }) => {
    const id = nameBelow('/signed', address);
    const file = announced.get(id);
    if (file === undefined) throw new ApiError(403, 'the signature is not valid');
    const path = files.newPath();
    addInput(parts, { ...file, path, bytes: await receiveBody(request, path) }, id);
    response.writeHead(200);
    response.end();
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
}

function addBatches(mount: Mount, { book, files }: ProviderParts): void {
  mount.on('POST', BATCHES, async (asked) => {
    const { input_file_id: id } = await readFields(asked.request);
    if (typeof id !== 'string') throw new ApiError(400, 'input_file_id is required');
    const input = requireInput(files, id, asked.owner);
    const created = book.create(asked.owner, orderOf(id), input);
    sendCreated(asked.response, created, (batch) => ({ job: describe(batch), warning: '' }), 201);
  });
  mount.on('GET', BATCHES, ({ owner, response }) => {
    sendJson(
      response,
      200,
      listed(book, owner, describe, 'id').map(({ entry }) => entry),
    );
  });
  mount.on('GET', `${BATCHES}/*`, ({ path, owner, response }) => {
    sendBatch(response, book.require(nameBelow(BATCHES, path), owner), describe);
  });
  mount.on('POST', `${BATCHES}/*`, (asked) => {
    cancelAt(BATCHES, asked, book, describe);
  });
}

/** A cancelled batch is at once what others call cancelling. */
function statusOf(status: Described['status']): string {
  return status === 'finalizing' ? 'IN_PROGRESS' : status.toUpperCase();
}

function describe(batch: Described): object {
  const { total, completed, failed } = batch.request_counts;
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
    created_at: isoTime(batch.created_at),
    completed_at: isoTime(endOf(batch)) ?? undefined,
  };
}

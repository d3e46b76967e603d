/**
 * Gemini's batches: created, read and cancelled through the OpenAI-compatible endpoint, files and the list natively
 * (ai.google.dev/gemini-api/docs/openai#batch, .../api/files, .../api/batch-mode).
 */

import { isObject } from '../../lib/json.js';
import type { Described } from '../batch.js';
import { requireInput, sendBatch, sendCancelled, sendCreated } from '../batches.js';
import { newId, type StoredFile } from '../files.js';
import { ApiError, sendJson, type Route } from '../http.js';
import {
  addInput,
  endOf,
  isoTime,
  listed,
  Mount,
  nameBelow,
  orderOf,
  pageAt,
  readFields,
  receiveBody,
  type AccountRequest,
  type ProviderParts,
} from './mount.js';

const COMPATIBLE = '/v1beta/openai';
const UPLOADS = '/upload/v1beta/files';
const LIFETIME_SECONDS = 172_800;
const DOWNLOAD = ':download';
const STATES: Readonly<Record<Described['status'], string>> = {
  validating: 'BATCH_STATE_PENDING',
  in_progress: 'BATCH_STATE_RUNNING',
  finalizing: 'BATCH_STATE_RUNNING',
  completed: 'BATCH_STATE_SUCCEEDED',
  failed: 'BATCH_STATE_FAILED',
  expired: 'BATCH_STATE_EXPIRED',
  cancelling: 'BATCH_STATE_RUNNING',
  cancelled: 'BATCH_STATE_CANCELLED',
};

export function geminiRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts, errorBody);
  mount.also(openai, '/v1/chat/', `${COMPATIBLE}/chat/`);
  mount.also(openai, '/v1/models', `${COMPATIBLE}/models`);
  addFiles(mount, parts, openai);
  const { book, files } = parts;
  mount.on('POST', `${COMPATIBLE}/batches`, async (asked) => {
    const { input_file_id: id } = await readFields(asked.request);
    if (typeof id !== 'string') throw new ApiError(400, 'input_file_id is required');
    const input = requireInput(files, id, asked.owner);
    sendCreated(asked.response, book.create(asked.owner, orderOf(id), input), describe);
  });
  mount.on('GET', `${COMPATIBLE}/batches/*`, ({ path, owner, response }) => {
    sendBatch(response, book.require(batchId(path), owner), describe);
  });
  mount.on('POST', `${COMPATIBLE}/batches/*`, ({ path, owner, response }) => {
    if (!path.endsWith('/cancel')) throw new ApiError(404, 'Method not found.');
    sendCancelled(response, book.require(batchId(path.slice(0, -'/cancel'.length)), owner), describe);
  });
  mount.on('GET', '/v1beta/batches', ({ owner, query, response }) => {
    const all = listed(book, owner, operation, 'name');
    const { page, next } = pageAt(all, query.get('pageToken'), Number(query.get('pageSize') ?? 100));
    // What is empty is left out.
    sendJson(response, 200, {
      ...(page.length === 0 ? {} : { operations: page.map(({ entry }) => entry) }),
      ...(next === null ? {} : { nextPageToken: next }),
    });
  });
  return mount.routes;
}

function batchId(path: string): string {
  return nameBelow(`${COMPATIBLE}/batches/batches`, path);
}

/** Uploads in one piece to an address of their own, records, and downloads. */
function addFiles(mount: Mount, parts: ProviderParts, openai: readonly Route[]): void {
  const { files } = parts;
  const sessions = new Map<string, { owner: string; name: string }>();
  mount.on('POST', UPLOADS, async ({ request, response, owner }) => {
    const { file } = await readFields(request);
    if (request.headers['x-goog-upload-command'] !== 'start')
      throw new ApiError(400, 'the upload is not started');
    const session = newId('session-', 8);
    sessions.set(session, { owner, name: displayNameOf(isObject(file) ? file : {}) });
    const address = `${mount.addressFor(request)}${UPLOADS}/${session}`;
    response.writeHead(200, { 'x-goog-upload-url': address, 'x-goog-upload-status': 'active' });
    response.end();
  });
  mount.open('POST', `${UPLOADS}/*`, async ({ path, request, response }) => {
    const session = sessions.get(nameBelow(UPLOADS, path));
    if (session === undefined) throw new ApiError(404, 'no such upload');
    const target = files.newPath();
    const input = { ...session, path: target, bytes: await receiveBody(request, target) };
    const file = addInput(parts, input, newId('files/', 6), LIFETIME_SECONDS);
    sendJson(response, 200, { file: describeFile(file) }, { 'x-goog-upload-status': 'final' });
  });
  const content = openai.find(({ method, path }) => method === 'GET' && path === '/v1/files/*');
  const download = async (asked: AccountRequest, name: string): Promise<void> => {
    const id = decodeURIComponent(name.slice(0, -DOWNLOAD.length));
    const stored = files.find(id, asked.owner) === null ? `files/${id}` : id;
    await content?.handle({ ...asked, path: `/v1/files/${encodeURIComponent(stored)}/content` });
  };
  mount.on('GET', '/download/v1beta/files/*', (asked) =>
    download(asked, asked.path.slice('/download/v1beta/files/'.length)),
  );
  mount.on('GET', '/v1beta/files/*', async (asked) => {
    const { path, owner, response } = asked;
    const name = path.slice('/v1beta/files/'.length);
    // Its own client downloads here.
    if (name.endsWith(DOWNLOAD)) await download(asked, name);
    else
      sendJson(response, 200, describeFile(requireFile(parts, `files/${decodeURIComponent(name)}`, owner)));
  });
}

/** Google's APIs take both spellings. */
function displayNameOf(file: Record<string, unknown>): string {
  const name = file['displayName'] ?? file['display_name'];
  return typeof name === 'string' ? name : '';
}

function requireFile({ files }: ProviderParts, id: string, owner: string): StoredFile {
  const file = files.find(id, owner);
  if (file === null)
    throw new ApiError(403, 'You do not have permission to access the File or it may not exist.');
  return file;
}

function describeFile(file: StoredFile): object {
  return {
    name: file.id,
    displayName: file.name,
    mimeType: 'application/jsonl',
    sizeBytes: String(file.bytes),
    createTime: isoTime(file.createdAt),
    state: 'ACTIVE',
  };
}

/** Result files have names like all others. */
function fileName(id: string | null): string | null {
  return id === null ? null : `files/${id}`;
}

/** As the compatible endpoint has it: no metadata. */
function describe(batch: Described): object {
  const { metadata: _, ...rest } = batch;
  return {
    ...rest,
    id: `batches/${batch.id}`,
    output_file_id: fileName(batch.output_file_id),
    error_file_id: fileName(batch.error_file_id),
    metadata: null,
  };
}

/** As the native list has it. */
function operation(batch: Described): object {
  const { total, completed, failed } = batch.request_counts;
  const ended = endOf(batch);
  return {
    name: `batches/${batch.id}`,
    metadata: {
      '@type': 'type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch',
      displayName: 'openai-batch',
      state: STATES[batch.status],
      inputConfig: { fileName: batch.input_file_id },
      createTime: isoTime(batch.created_at),
      ...(ended === null ? {} : { endTime: isoTime(ended) }),
      batchStats: {
        requestCount: String(total),
        successfulRequestCount: String(completed),
        failedRequestCount: String(failed),
      },
      ...(batch.output_file_id === null ? {} : { output: { responsesFile: fileName(batch.output_file_id) } }),
    },
    done: ended !== null,
  };
}

function errorBody({ status, message }: ApiError): object {
  const names: Readonly<Record<number, string>> = {
    400: 'INVALID_ARGUMENT',
    401: 'UNAUTHENTICATED',
    403: 'PERMISSION_DENIED',
    404: 'NOT_FOUND',
    429: 'RESOURCE_EXHAUSTED',
  };
  return { error: { code: status, message, status: names[status] ?? 'INTERNAL' } };
}

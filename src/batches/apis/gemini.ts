/**
 * Gemini's batches through its OpenAI-compatible endpoint, whose files go the native way, as its documentation has it.
 * Source: ai.google.dev/gemini-api/docs/openai#batch, .../docs/batch-api, .../api/batch-mode; @google/genai.
 */

import { statSync } from 'node:fs';
import { isObject } from '../../lib/json.js';
import { readBatch, type Batch } from '../batch.js';
import { REQUEST_URL } from '../request-line.js';
import type { BatchApi, BatchPage, Download, Submission, UploadedFile } from './batch-api.js';
import { idIn, numberIn, textIn, timeIn } from './fields.js';
import { identifiedBy, markOf, type MarkOwner } from './marks.js';
import { batchPage, readItems, readOne } from './paged.js';
import {
  fileBytes,
  readAnswer,
  refusalWords,
  statusOf,
  Transport,
  UnreadableAnswer,
  type Connection,
} from './transport.js';

const PAGE = 100;

export class GeminiBatches implements BatchApi {
  /** `…/v1beta/openai` */
  readonly #compatible: Transport;
  /** The same server without version, with Google's own header for the key. */
  readonly #native: Transport;

  constructor(
    connection: Connection,
    private readonly owner: MarkOwner,
  ) {
    const { address, apiKey } = connection;
    this.#compatible = new Transport(connection);
    const base = address.base.replace(/\/openai$/, '').replace(/\/v1(?:beta)?$/, '');
    this.#native = new Transport(
      { ...connection, address: { ...address, base } },
      {
        headers: apiKey === null ? {} : { 'x-goog-api-key': apiKey },
        isFile: (path) => path.endsWith(':download'),
      },
    );
  }

  /** A resumable upload in one piece. The file's name says whose it is. */
  async upload({ path, metadata }: Submission): Promise<UploadedFile> {
    const bytes = String(statSync(path).size);
    const started = await this.#native.post('/upload/v1beta/files', {
      body: { file: { display_name: markOf(metadata), mime_type: 'application/jsonl' } },
      headers: {
        'x-goog-upload-protocol': 'resumable',
        'x-goog-upload-command': 'start',
        'x-goog-upload-header-content-length': bytes,
        'x-goog-upload-header-content-type': 'application/jsonl',
      },
    });
    const address = started.headers.get('x-goog-upload-url');
    if (address === null) throw new UnreadableAnswer('the upload', 'no address for the file');
    const response = this.#native.external(address, 'POST', {
      headers: {
        'content-length': bytes,
        'x-goog-upload-offset': '0',
        'x-goog-upload-command': 'upload, finalize',
      },
      body: fileBytes(path),
    });
    const answer = await readAnswer('the upload', response);
    const file = isObject(answer) ? answer['file'] : null;
    const id = idIn(file, 'name');
    if (id === null) throw new UnreadableAnswer('the upload', answer);
    return { id, createdAt: timeIn(file, 'createTime') };
  }

  async create(inputId: string): Promise<Batch> {
    const body = { input_file_id: inputId, endpoint: REQUEST_URL, completion_window: '24h' };
    return readOne(this.#compatible.post('/batches', { body }));
  }

  /** Ids are names such as `batches/x`, whose slash stays one in the path. */
  async retrieve(id: string): Promise<Batch> {
    return readOne(this.#compatible.get(`/batches/${nameInPath(id)}`));
  }

  async cancel(id: string): Promise<Batch> {
    return readOne(this.#compatible.post(`/batches/${nameInPath(id)}/cancel`));
  }

  /** The compatible endpoint does not list batches, the native one does. */
  async list(after: string | null): Promise<BatchPage> {
    const query = { pageSize: PAGE, ...(after === null ? {} : { pageToken: after }) };
    const response = this.#native.get('/v1beta/batches', { query });
    const page = await readItems('the list of batches', response, {
      names: ['operations', 'batches'],
      next: 'nextPageToken',
      isOptional: true,
    });
    // What does not name its input is looked at by itself.
    return batchPage(page, readNative, 'name');
  }

  async identify(batch: Batch): Promise<Batch | null> {
    if (batch.inputFileId === null) return batch;
    const path = `/v1beta/${nameInPath(batch.inputFileId)}`;
    const file = await readAnswer('a file', this.#native.get(path)).catch((error: unknown) => {
      // Files are kept for two days; another account's are answered with 403.
      if ([403, 404].includes(statusOf(error) ?? 0)) return {};
      throw error;
    });
    return identifiedBy(textIn(file, 'displayName'), batch, this.owner);
  }

  async hasFile(id: string): Promise<boolean> {
    const file = await readAnswer('a file', this.#native.get(`/v1beta/${nameInPath(id)}`));
    return textIn(file, 'name') === id;
  }

  async download(fileId: string, from: number): Promise<Download> {
    return this.#native.download(`/download/v1beta/${nameInPath(fileId)}:download?alt=media`, from);
  }

  async requireModel(model: string): Promise<void> {
    await this.#compatible.requireModel(model);
  }

  /** "429 RESOURCE_EXHAUSTED" when the limit of enqueued tokens or of batches is reached (docs/rate-limits). */
  queueRefusal(error: unknown): string | null {
    return refusalWords(
      error,
      /resource_?exhausted|enqueued|batch/i,
      [429],
      ({ message, error: body }) => `${message} ${JSON.stringify(body ?? '')}`,
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#compatible.close(), this.#native.close()]);
  }
}

/** A resource name in a path: each part by itself, so that nothing in it leads elsewhere. */
function nameInPath(name: string): string {
  return name
    .split('/')
    .map((part) => (/^\.{1,2}$/.test(part) ? encodeURIComponent(`${part}/`) : encodeURIComponent(part)))
    .join('/');
}

/** A native batch of the list (an operation); null where it does not name its input. */
function readNative(value: unknown): Batch | null {
  const name = textIn(value, 'name');
  const metadata = isObject(value) && isObject(value['metadata']) ? value['metadata'] : value;
  const input = isObject(metadata) ? metadata['inputConfig'] : null;
  const file = textIn(input, 'fileName');
  if (name === null || file === null || !isObject(metadata)) return null;
  const stats = metadata['batchStats'];
  const output = metadata['output'];
  return readBatch({
    id: name,
    object: 'batch',
    status: textIn(metadata, 'state') ?? 'unknown',
    input_file_id: file,
    output_file_id: textIn(output, 'responsesFile'),
    created_at: metadata['createTime'],
    completed_at: metadata['endTime'],
    request_counts: {
      total: numberIn(stats, 'requestCount'),
      completed: numberIn(stats, 'successfulRequestCount'),
      failed: numberIn(stats, 'failedRequestCount'),
    },
    gemini: value,
  });
}

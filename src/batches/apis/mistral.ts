/**
 * Mistral's batch jobs: files as OpenAI's, jobs with names of their own.
 * Source: docs.mistral.ai/capabilities/batch; @mistralai/mistralai `models/components/batchjob.ts`.
 */

import { APIError } from 'openai';
import { isObject } from '../../lib/json.js';
import { inert } from '../../lib/text.js';
import { readBatch, type Batch } from '../batch.js';
import { isId } from '../id.js';
import { REQUEST_URL } from '../request-line.js';
import type { BatchApi, BatchPage, Download, Submission, UploadedFile } from './batch-api.js';
import { modelOf } from './lines.js';
import { batchPage, numberIn, readOne, textIn } from './paged.js';
import {
  multipartForm,
  pathSegment,
  readAnswer,
  Transport,
  UnreadableAnswer,
  type Connection,
} from './transport.js';

const JOBS = '/batch/jobs';
const PAGE = 100;
/** The longest that a job may take, and the default. */
const TIMEOUT_HOURS = 24;
const MODEL_TIMEOUT_MS = 10_000;

export class MistralBatches implements BatchApi {
  readonly #transport: Transport;

  constructor(connection: Connection) {
    this.#transport = new Transport(connection);
  }

  /** Of a line, the API reads `custom_id` and `body`. */
  async upload({ path, name }: Submission): Promise<UploadedFile> {
    const form = multipartForm({ purpose: 'batch' }, path, name);
    const answer = await readAnswer('the upload', this.#transport.postStream('/files', form));
    const id = textIn(answer, 'id');
    if (id === null || !isId(id)) throw new UnreadableAnswer('the upload', answer);
    return { id, createdAt: numberIn(answer, 'created_at') || null };
  }

  async create(inputId: string, { path, metadata }: Submission): Promise<Batch> {
    const body = {
      input_files: [inputId],
      model: await modelOf(path),
      endpoint: REQUEST_URL,
      timeout_hours: TIMEOUT_HOURS,
      metadata,
    };
    return readOne(this.#transport.post(JOBS, { body }), openAiBatch);
  }

  async retrieve(id: string): Promise<Batch> {
    return readOne(this.#transport.get(`${JOBS}/${encodeURIComponent(id)}`), openAiBatch);
  }

  async cancel(id: string): Promise<Batch> {
    return readOne(this.#transport.post(`${JOBS}/${encodeURIComponent(id)}/cancel`), openAiBatch);
  }

  /** @param after the number of the next page */
  async list(after: string | null): Promise<BatchPage> {
    const page = Number(after ?? 0);
    const query = { page, page_size: PAGE, order_by: '-created' };
    const answer = await readAnswer('the list of batches', this.#transport.get(JOBS, { query }));
    const items: unknown = isObject(answer) ? answer['data'] : null;
    // A list without jobs may lack the field.
    if (!isObject(answer) || !(Array.isArray(items) || numberIn(answer, 'total') === 0)) {
      throw new UnreadableAnswer('the list of batches', answer);
    }
    const found: unknown[] = Array.isArray(items) ? items : [];
    const hasMore = found.length > 0 && (page + 1) * PAGE < numberIn(answer, 'total');
    return batchPage({ items: found, next: hasMore ? String(page + 1) : null }, openAiBatch, 'id');
  }

  identify(batch: Batch): Promise<Batch | null> {
    return Promise.resolve(batch);
  }

  async hasFile(id: string): Promise<boolean> {
    const answer = await readAnswer('a file', this.#transport.get(`/files/${encodeURIComponent(id)}`));
    return textIn(answer, 'id') === id;
  }

  async download(fileId: string, from: number): Promise<Download> {
    return this.#transport.download(`/files/${encodeURIComponent(fileId)}/content`, from);
  }

  async requireModel(model: string): Promise<void> {
    await this.#transport.get(`/models/${pathSegment(model)}`, { timeout: MODEL_TIMEOUT_MS });
  }

  /** A workspace may have so many requests pending (docs.mistral.ai/capabilities/batch). */
  queueRefusal(error: unknown): string | null {
    if (!(error instanceof APIError) || ![400, 422, 429].includes(Number(error.status))) return null;
    return /pending|queue|ongoing (?:requests|jobs)/i.test(error.message) ? inert(error.message, 400) : null;
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }
}

function openAiBatch(value: unknown): Batch | null {
  if (!isObject(value) || typeof value['status'] !== 'string') return null;
  const { input_files: inputs } = value;
  const errors = Array.isArray(value['errors']) ? value['errors'].filter(isObject) : [];
  const batch = readBatch({
    id: value['id'],
    object: 'batch',
    endpoint: value['endpoint'],
    status: value['status'],
    input_file_id: Array.isArray(inputs) ? (inputs[0] as unknown) : null,
    output_file_id: value['output_file'],
    error_file_id: value['error_file'],
    created_at: value['created_at'],
    in_progress_at: value['started_at'],
    request_counts: {
      total: numberIn(value, 'total_requests'),
      completed: numberIn(value, 'succeeded_requests'),
      failed: numberIn(value, 'failed_requests'),
    },
    errors: errors.map(({ message }) => ({ message })),
    metadata: isObject(value['metadata']) ? value['metadata'] : {},
    completed_at: value['completed_at'],
    mistral: value,
  });
  return batch;
}

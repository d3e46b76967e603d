/**
 * Mistral's batch jobs: files as OpenAI's, jobs with names of their own.
 * Source: docs.mistral.ai/capabilities/batch; @mistralai/mistralai `models/components/batchjob.ts`.
 */

import { isObject } from '../../lib/json.js';
import { readBatch, type Batch } from '../batch.js';
import { REQUEST_URL } from '../request-line.js';
import type { BatchApi, BatchPage, Download, Submission, UploadedFile } from './batch-api.js';
import { numberIn } from './fields.js';
import { downloadFile, hasFile, uploadFile } from './files.js';
import { modelOf } from './lines.js';
import { batchPage, readOne } from './paged.js';
import { readAnswer, refusalWords, Transport, UnreadableAnswer, type Connection } from './transport.js';

const JOBS = '/batch/jobs';
const PAGE = 100;
/** The longest that a job may take, and the default. */
const TIMEOUT_HOURS = 24;

export class MistralBatches implements BatchApi {
  readonly #transport: Transport;

  constructor(connection: Connection) {
    this.#transport = new Transport(connection);
  }

  /** Of a line, the API reads `custom_id` and `body`. */
  async upload({ path, name }: Submission): Promise<UploadedFile> {
    return uploadFile(this.#transport, { purpose: 'batch' }, path, name);
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
    return hasFile(this.#transport, id);
  }

  async download(fileId: string, from: number): Promise<Download> {
    return downloadFile(this.#transport, fileId, from);
  }

  async requireModel(model: string): Promise<void> {
    await this.#transport.requireModel(model);
  }

  /** A workspace has a limit of pending requests (docs.mistral.ai/capabilities/batch). */
  queueRefusal(error: unknown): string | null {
    return refusalWords(error, /pending|queue|ongoing (?:requests|jobs)/i, [400, 422, 429]);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }
}

function openAiBatch(value: unknown): Batch | null {
  if (!isObject(value) || typeof value['status'] !== 'string') return null;
  const { input_files: inputs } = value;
  const errors = Array.isArray(value['errors']) ? value['errors'].filter(isObject) : [];
  return readBatch({
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
}

/**
 * xAI's Batch API: an input file in OpenAI's format, counters in place of a status, results in pages.
 * Source: docs.x.ai/developers/advanced-api-usage/batch-api; BerriAI/litellm `llms/xai/batches`.
 */

import { isObject } from '../../lib/json.js';
import { readBatch, type Batch } from '../batch.js';
import type { BatchApi, BatchPage, Download, Submission, UploadedFile } from './batch-api.js';
import { numberIn, textIn } from './fields.js';
import { downloadFile, hasFile, uploadFile } from './files.js';
import type { RequestResult } from './lines.js';
import { markOf, readMark, type MarkOwner } from './marks.js';
import { batchPage, downloadPages, readItems, readOne, type Page } from './paged.js';
import { refusalWords, Transport, type Connection } from './transport.js';
import { listOf, resultFileIds } from './virtual-files.js';

const PAGE = 100;
const RESULTS_PAGE = 1000;

export class XaiBatches implements BatchApi {
  readonly #transport: Transport;

  constructor(
    connection: Connection,
    private readonly owner: MarkOwner,
  ) {
    this.#transport = new Transport(connection);
  }

  async upload({ path, name }: Submission): Promise<UploadedFile> {
    return uploadFile(this.#transport, { purpose: 'batch' }, path, name);
  }

  /** The name of the batch says whose it is. */
  async create(inputId: string, { metadata }: Submission): Promise<Batch> {
    const body = { name: markOf(metadata), input_file_id: inputId };
    return readOne(this.#transport.post('/batches', { body }), this.#read);
  }

  async retrieve(id: string): Promise<Batch> {
    return readOne(this.#transport.get(`/batches/${encodeURIComponent(id)}`), this.#read);
  }

  async cancel(id: string): Promise<Batch> {
    return readOne(this.#transport.post(`/batches/${encodeURIComponent(id)}:cancel`), this.#read);
  }

  async list(after: string | null): Promise<BatchPage> {
    const query = { limit: PAGE, ...(after === null ? {} : { pagination_token: after }) };
    const response = this.#transport.get('/batches', { query });
    const page = await readItems('the list of batches', response, {
      names: ['batches', 'data'],
      next: 'pagination_token',
      isOptional: true,
    });
    // A page without anything ends the list, whatever token it has.
    const next = page.items.length === 0 ? null : page.next;
    return batchPage({ ...page, next }, this.#read, 'batch_id');
  }

  identify(batch: Batch): Promise<Batch | null> {
    return Promise.resolve(batch);
  }

  async hasFile(id: string): Promise<boolean> {
    return hasFile(this.#transport, id);
  }

  async download(fileId: string, from: number): Promise<Download> {
    if (!fileId.includes('/')) return downloadFile(this.#transport, fileId, from);
    const list = listOf(fileId);
    return downloadPages(list, (token) => this.#results(list.batchId, token), readResult);
  }

  async #results(id: string, token: string | null): Promise<Page> {
    const query = { limit: RESULTS_PAGE, ...(token === null ? {} : { pagination_token: token }) };
    const response = this.#transport.get(`/batches/${encodeURIComponent(id)}/results`, { query });
    const page = await readItems('the results', response, {
      names: ['results', 'data'],
      next: 'pagination_token',
      isOptional: true,
    });
    return page.items.length === 0 ? { ...page, next: null } : page;
  }

  async requireModel(model: string): Promise<void> {
    await this.#transport.requireModel(model);
  }

  queueRefusal(error: unknown): string | null {
    return refusalWords(error, /queue|resource.?exhausted|too many batches/i);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  readonly #read = (value: unknown): Batch | null => {
    const id = textIn(value, 'batch_id');
    if (id === null || !isObject(value) || !isObject(value['state'])) return null;
    const { state } = value;
    const [pending, succeeded] = [numberIn(state, 'num_pending'), numberIn(state, 'num_success')];
    const failed = numberIn(state, 'num_error') + numberIn(state, 'num_cancelled');
    const total = numberIn(state, 'num_requests');
    const why = textIn(value, 'cancel_by_xai_message');
    const isCancelled = textIn(value, 'cancel_time') !== null;
    const status = statusOf({ total, pending, isCancelled, isRefused: why !== null });
    const hasEnded = status !== 'validating' && status !== 'in_progress' && status !== 'cancelling';
    const created = fullTimeIn(value, 'create_time');
    return readBatch({
      id,
      object: 'batch',
      endpoint: '/v1/chat/completions',
      status,
      input_file_id: textIn(value, 'input_file_id'),
      ...(hasEnded ? resultFileIds(id, { succeeded, failed }) : {}),
      created_at: created ?? 0,
      in_progress_at: total > 0 ? created : null,
      ...(hasEnded ? { [`${status}_at`]: fullTimeIn(value, 'cancel_time') ?? created ?? 0 } : {}),
      request_counts: { total, completed: succeeded, failed },
      ...(why === null ? {} : { errors: [{ message: why }] }),
      metadata: readMark(textIn(value, 'name') ?? '', this.owner) ?? {},
      xai: value,
    });
  };
}

/** A batch that xAI itself cancelled did not pass the check of its input. */
function statusOf(batch: {
  total: number;
  pending: number;
  isCancelled: boolean;
  isRefused: boolean;
}): string {
  if (batch.isRefused) return 'failed';
  if (batch.isCancelled) return batch.pending > 0 ? 'cancelling' : 'cancelled';
  if (batch.total === 0) return 'validating';
  return batch.pending > 0 ? 'in_progress' : 'completed';
}

/** A time; null for a bare date, which is hours off and would make a batch look older than its input. */
function fullTimeIn(value: unknown, name: string): string | null {
  const text = textIn(value, name);
  return text !== null && /T\d/.test(text) ? text : null;
}

/** The body is in a field that is named after the endpoint, such as `chat_get_completion`. */
function readResult(item: unknown): RequestResult | null {
  const customId = textIn(item, 'batch_request_id');
  if (!isObject(item) || customId === null) return null;
  const { response, error } = isObject(item['batch_result']) ? item['batch_result'] : {};
  const body = isObject(response) ? Object.values(response).find(isObject) : undefined;
  if (body !== undefined) return { customId, response: { status: 200, body }, error: null };
  const code = isObject(error) && error['code'] !== undefined ? JSON.stringify(error['code']) : '';
  return { customId, response: null, error: { code, message: textIn(error, 'message') ?? '' } };
}

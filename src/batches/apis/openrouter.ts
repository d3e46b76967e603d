/**
 * OpenRouter's Batch API: the requests in the call that creates the batch, results in pages.
 * Source: openrouter.ai/docs/batch-quickstart and its API reference (batches).
 */

import { isObject } from '../../lib/json.js';
import { readBatch, type Batch } from '../batch.js';
import { REQUEST_URL } from '../request-line.js';
import type { BatchApi, BatchPage, Download, Submission, UploadedFile } from './batch-api.js';
import { numberIn, textIn } from './fields.js';
import { accountMark, createdFrom, inlineInput, requestIds, rowIdOf } from './inline.js';
import { modelOf, requestsBody, type RequestLine, type RequestResult } from './lines.js';
import { identifiedBy, type MarkOwner } from './marks.js';
import { batchPage, downloadPages, readItems, readOne, type Page } from './paged.js';
import { refusalWords, Transport, type Connection } from './transport.js';
import { listOf, resultFileIds } from './virtual-files.js';

const PATH = '/batches';
const PAGE = 100;

export class OpenRouterBatches implements BatchApi {
  readonly #transport: Transport;

  constructor(
    private readonly connection: Connection,
    private readonly owner: MarkOwner,
  ) {
    this.#transport = new Transport(connection);
  }

  async upload({ path }: Submission): Promise<UploadedFile> {
    await modelOf(path);
    return inlineInput(this.connection, this.#transport.get(PATH, { query: { limit: 1 } }));
  }

  async create(_: string, submission: Submission): Promise<Batch> {
    const idOf = requestIds(submission);
    const translate = ({ row, body }: RequestLine): object => ({ custom_id: idOf(row), body });
    const model = await modelOf(submission.path);
    // The body is parsed as it arrives: what says how to read the requests has to come first.
    const fields = { endpoint: REQUEST_URL, model, completion_window: '24h' };
    const body = await requestsBody(submission.path, fields, translate);
    return createdFrom(await readOne(this.#transport.postStream(PATH, body), openAiBatch), submission);
  }

  async retrieve(id: string): Promise<Batch> {
    return readOne(this.#transport.get(`${PATH}/${encodeURIComponent(id)}`), openAiBatch);
  }

  /** No such call is documented; where there is none, the server says so. */
  async cancel(id: string): Promise<Batch> {
    return readOne(this.#transport.post(`${PATH}/${encodeURIComponent(id)}/cancel`), openAiBatch);
  }

  async list(after: string | null): Promise<BatchPage> {
    const query = { limit: PAGE, ...(after === null ? {} : { cursor: after }) };
    const response = this.#transport.get(PATH, { query });
    return batchPage(
      await readItems('the list of batches', response, { names: ['data', 'batches'], next: 'next_cursor' }),
      openAiBatch,
      'id',
    );
  }

  async identify(batch: Batch): Promise<Batch | null> {
    if (batch.endedAt === null) return null;
    if (batch.outputFileId === null && batch.errorFileId === null) return batch;
    const { items } = await this.#results(batch.id, null, 1);
    return identifiedBy(textIn(items[0], 'custom_id'), batch, this.owner);
  }

  hasFile(id: string): Promise<boolean> {
    return Promise.resolve(id === accountMark(this.connection));
  }

  async download(fileId: string): Promise<Download> {
    const list = listOf(fileId);
    return downloadPages(list, (cursor) => this.#results(list.batchId, cursor, PAGE), readResult);
  }

  #results(id: string, cursor: string | null, limit: number): Promise<Page> {
    const query = { limit, ...(cursor === null ? {} : { cursor }) };
    const response = this.#transport.get(`${PATH}/${encodeURIComponent(id)}/results`, { query });
    return readItems('the results', response, { names: ['data', 'results'], next: 'next_cursor' });
  }

  /** Models are not looked up one by one there. */
  requireModel(): Promise<void> {
    return Promise.resolve();
  }

  queueRefusal(error: unknown): string | null {
    return refusalWords(error, /queue|too many batches|concurrent/i);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }
}

const ENDS: ReadonlySet<unknown> = new Set(['completed', 'failed', 'expired', 'cancelled']);

function openAiBatch(value: unknown): Batch | null {
  if (!isObject(value)) return null;
  // The results may be in it, and are large.
  const { results: _, error, ...batch } = value;
  const counts = value['request_counts'];
  const [completed, failed] = [numberIn(counts, 'completed'), numberIn(counts, 'failed')];
  const hasEnded = ENDS.has(batch['status']);
  const ids = resultFileIds(String(batch['id']), { succeeded: completed, failed });
  return readBatch({
    ...batch,
    input_file_id: null,
    ...(hasEnded ? ids : {}),
    ...(hasEnded ? { [`${String(batch['status'])}_at`]: batch['finalized_at'] ?? batch['created_at'] } : {}),
    ...(isObject(error) ? { errors: [error] } : {}),
    metadata: {},
  });
}

function readResult(item: unknown): RequestResult | null {
  const id = textIn(item, 'custom_id');
  if (!isObject(item) || id === null) return null;
  const customId = rowIdOf(id);
  const { response, error } = item;
  if (isObject(response)) {
    const status = Number(response['status_code'] ?? 200);
    return { customId, response: { status, body: response['body'] ?? response }, error: null };
  }
  const code = textIn(error, 'error_type') ?? textIn(error, 'type') ?? '';
  return { customId, response: null, error: { code, message: textIn(error, 'message') ?? '' } };
}

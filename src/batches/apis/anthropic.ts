/**
 * Anthropic's Message Batches API: native requests in the call that creates the batch, one list of results.
 * Source: anthropics/anthropic-sdk-typescript `resources/messages/batches.ts`.
 */

import { ANSWER_BOUNDS } from '../../http/answer-bounds.js';
import { isObject, parseJson } from '../../lib/json.js';
import { readBatch, type Batch } from '../batch.js';
import type { BatchApi, BatchPage, Download, FileBounds, Submission, UploadedFile } from './batch-api.js';
import { completionOf, errorOf, messagesRequest } from './anthropic-messages.js';
import { numberIn, textIn } from './fields.js';
import { accountMark, createdFrom, inlineInput, requestIds, resultsIn, rowIdOf } from './inline.js';
import { linesOf, requestsBody, requestsIn, type RequestLine, type RequestResult } from './lines.js';
import { identifiedBy, type MarkOwner } from './marks.js';
import { batchPage, readOne } from './paged.js';
import { readAnswer, refusalWords, Transport, UnreadableAnswer, type Connection } from './transport.js';
import { linesOfList, listOf, resultFileIds } from './virtual-files.js';

const VERSION = '2023-06-01';
const PATH = '/messages/batches';
const PAGE = 100;

/** The rest of the stream is not read. */
const FIRST_LINE: FileBounds = { bytes: Infinity, line: ANSWER_BOUNDS };

export class AnthropicBatches implements BatchApi {
  readonly #transport: Transport;

  constructor(
    private readonly connection: Connection,
    private readonly owner: MarkOwner,
  ) {
    const { apiKey } = connection;
    this.#transport = new Transport(connection, {
      headers: { 'anthropic-version': VERSION, ...(apiKey === null ? {} : { 'x-api-key': apiKey }) },
      isFile: (path) => path.endsWith('/results'),
    });
  }

  /** Nothing is sent yet but a look at the list; every request is translated once, so that a wrong one shows now. */
  async upload({ path, warn }: Submission): Promise<UploadedFile> {
    const leftOut = new Set<string>();
    for await (const { body } of requestsIn(path)) {
      for (const name of messagesRequest(body).leftOut) leftOut.add(name);
    }
    if (leftOut.size > 0) warn(`Anthropic does not support ${[...leftOut].join(', ')}; not sent.`);
    return inlineInput(this.connection, this.#transport.get(PATH, { query: { limit: 1 } }));
  }

  async create(_: string, submission: Submission): Promise<Batch> {
    const idOf = requestIds(submission);
    const translate = ({ row, body }: RequestLine): object => ({
      custom_id: idOf(row),
      params: messagesRequest(body).params,
    });
    const body = await requestsBody(submission.path, {}, translate);
    return createdFrom(await readOne(this.#transport.postStream(PATH, body), openAiBatch), submission);
  }

  async retrieve(id: string): Promise<Batch> {
    return readOne(this.#transport.get(`${PATH}/${encodeURIComponent(id)}`), openAiBatch);
  }

  async cancel(id: string): Promise<Batch> {
    return readOne(this.#transport.post(`${PATH}/${encodeURIComponent(id)}/cancel`), openAiBatch);
  }

  async list(after: string | null): Promise<BatchPage> {
    const query = { limit: PAGE, ...(after === null ? {} : { after_id: after }) };
    const answer = await readAnswer('the list of batches', this.#transport.get(PATH, { query }));
    const data: unknown = isObject(answer) ? answer['data'] : null;
    if (!isObject(answer) || !Array.isArray(data)) throw new UnreadableAnswer('the list of batches', answer);
    const hasMore = answer['has_more'] === true;
    const next = hasMore ? textIn(answer, 'last_id') : null;
    return { ...batchPage({ items: data, next }, openAiBatch, 'id'), hasMore };
  }

  async identify(batch: Batch): Promise<Batch | null> {
    if (batch.endedAt === null) return null;
    // Results that are archived cannot be read any more: they are far older than any that we look for.
    if (batch.outputFileId === null && batch.errorFileId === null) return batch;
    const { bytes } = await this.#transport.download(resultsPath(batch.id), 0);
    for await (const { bytes: line } of linesOf(bytes, FIRST_LINE)) {
      return identifiedBy(textIn(parseJson(line.toString('utf8')), 'custom_id'), batch, this.owner);
    }
    return null;
  }

  hasFile(id: string): Promise<boolean> {
    return Promise.resolve(id === accountMark(this.connection));
  }

  async download(fileId: string, _from: number, bounds: FileBounds): Promise<Download> {
    const list = listOf(fileId);
    const { bytes } = await this.#transport.download(resultsPath(list.batchId), 0);
    return { offset: 0, total: null, bytes: linesOfList(resultsIn(bytes, bounds, readResult), list) };
  }

  async requireModel(model: string): Promise<void> {
    await this.#transport.requireModel(model);
  }

  /** The limit of requests in the processing queue (platform.claude.com/docs/en/api/rate-limits). */
  queueRefusal(error: unknown): string | null {
    return refusalWords(error, /queue|batch requests/i);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }
}

function resultsPath(id: string): string {
  return `${PATH}/${encodeURIComponent(id)}/results`;
}

/** A message batch as OpenAI's Batch object; null where it is not one. */
function openAiBatch(value: unknown): Batch | null {
  if (!isObject(value) || typeof value['processing_status'] !== 'string') return null;
  const countOf = (name: string): number => numberIn(value['request_counts'], name);
  const succeeded = countOf('succeeded');
  const [canceled, expired] = [countOf('canceled'), countOf('expired')];
  const failed = countOf('errored') + canceled + expired;
  const hasEnded = value['processing_status'] === 'ended';
  const status = hasEnded ? endOf({ canceled, expired }) : value['processing_status'];
  const files = resultFileIds(String(value['id']), { succeeded, failed });
  return readBatch({
    id: value['id'],
    object: 'batch',
    endpoint: '/v1/messages',
    status,
    input_file_id: null,
    ...(hasEnded && value['results_url'] !== null ? files : {}),
    created_at: value['created_at'],
    in_progress_at: value['created_at'],
    [`${hasEnded ? status : 'completed'}_at`]: value['ended_at'],
    expires_at: value['expires_at'],
    request_counts: { total: countOf('processing') + succeeded + failed, completed: succeeded, failed },
    metadata: {},
    anthropic: value,
  });
}

/** How a batch ended, by what became of its requests. */
function endOf({ canceled, expired }: { canceled: number; expired: number }): string {
  if (canceled > 0) return 'cancelled';
  return expired > 0 ? 'expired' : 'completed';
}

const NOT_ANSWERED: Readonly<Record<string, { code: string; message: string }>> = {
  expired: { code: 'batch_expired', message: 'The batch expired before this request was processed.' },
  canceled: {
    code: 'batch_cancelled',
    message: 'The batch was cancelled before this request was processed.',
  },
};

/** A line of the results; null where it is none. */
function readResult(line: Buffer): RequestResult | null {
  const value = parseJson(line.toString('utf8'));
  if (!isObject(value) || typeof value['custom_id'] !== 'string' || !isObject(value['result'])) return null;
  const customId = rowIdOf(value['custom_id']);
  const { type, message, error } = value['result'];
  const completion = type === 'succeeded' ? completionOf(message) : null;
  if (completion !== null) return { customId, response: { status: 200, body: completion }, error: null };
  if (type === 'errored') return { customId, response: errorOf(error), error: null };
  const why = typeof type === 'string' ? NOT_ANSWERED[type] : undefined;
  return {
    customId,
    response: null,
    error: why ?? { code: String(type), message: 'an unknown kind of result' },
  };
}

/**
 * Fireworks' batch inference: data sets in, jobs, data sets out, all below an account.
 * Source: docs.fireworks.ai/guides/batch-inference, .../api-reference (batchInferenceJobs, datasets).
 */

import { randomUUID } from 'node:crypto';
import { isObject, parseJson } from '../../lib/json.js';
import { UserError } from '../../lib/errors.js';
import { sanitize } from '../../lib/text.js';
import { readBatch, type Batch } from '../batch.js';
import { creationKey } from '../metadata.js';
import { excessOfLine, lineInPlaceOf } from '../too-large.js';
import type { BatchApi, BatchPage, Download, FileBounds, Submission, UploadedFile } from './batch-api.js';
import { numberIn, textIn, timeIn } from './fields.js';
import { linesOf, modelOf, requestsIn } from './lines.js';
import { markOf, readMark, type MarkOwner } from './marks.js';
import { batchPage, readItems, readOne } from './paged.js';
import {
  multipartForm,
  readAnswer,
  readDownload,
  refusalWords,
  Transport,
  type Connection,
} from './transport.js';

const PAGE = 100;
const OUTPUT = '/output';
const ERRORS = '/errors';

export class FireworksBatches implements BatchApi {
  readonly #transport: Transport;
  #account: string | null;

  constructor(
    connection: Connection,
    private readonly owner: MarkOwner,
  ) {
    const { address } = connection;
    const base = address.base.replace(/\/inference(?=\/v1$)/, '');
    this.#transport = new Transport({ ...connection, address: { ...address, base } });
    this.#account = connection.account ?? null;
  }

  async upload({ path, name, metadata }: Submission): Promise<UploadedFile> {
    const account = await this.#requireAccount();
    let requests = 0;
    for await (const _ of requestsIn(path)) requests += 1;
    const id = `reannotate-${randomUUID().replaceAll('-', '').slice(0, 24)}`;
    const dataset = { displayName: markOf(metadata), exampleCount: String(requests), userUploaded: {} };
    const body = { datasetId: id, dataset };
    const made = await readAnswer('the upload', this.#transport.post(`${account}/datasets`, { body }));
    const form = multipartForm({}, path, name);
    await readAnswer('the upload', this.#transport.postStream(`${account}/datasets/${id}:upload`, form));
    return { id, createdAt: timeIn(made, 'createTime') };
  }

  /** The job's own id is made here, so that a second creation of the same one is refused. */
  async create(inputId: string, { path, metadata }: Submission): Promise<Batch> {
    const account = await this.#requireAccount();
    const creation = creationKey(metadata['creation'] ?? randomUUID());
    const resource = account.slice(1);
    const body = {
      displayName: markOf(metadata),
      model: await modelOf(path),
      inputDatasetId: `${resource}/datasets/${inputId}`,
      outputDatasetId: `${resource}/datasets/${inputId}-${creation}`,
    };
    const query = { batchInferenceJobId: `reannotate-${creation}` };
    return readOne(this.#transport.post(`${account}/batchInferenceJobs`, { body, query }), this.#read);
  }

  async retrieve(id: string): Promise<Batch> {
    const account = await this.#requireAccount();
    const path = `${account}/batchInferenceJobs/${encodeURIComponent(id)}`;
    return readOne(this.#transport.get(path), this.#read);
  }

  /** The answer may be empty; what became of the job is read from it. */
  async cancel(id: string): Promise<Batch> {
    const account = await this.#requireAccount();
    const path = `${account}/batchInferenceJobs/${encodeURIComponent(id)}:cancel`;
    await readAnswer('a batch', this.#transport.post(path, { body: {} }));
    return this.retrieve(id);
  }

  async list(after: string | null): Promise<BatchPage> {
    const account = await this.#requireAccount();
    const query = {
      pageSize: PAGE,
      orderBy: 'create_time desc',
      ...(after === null ? {} : { pageToken: after }),
    };
    const response = this.#transport.get(`${account}/batchInferenceJobs`, { query });
    const shape = { names: ['batchInferenceJobs'], next: 'nextPageToken', isOptional: true };
    const page = await readItems('the list of batches', response, shape);
    const { unreadable, ...rest } = batchPage(page, this.#read, 'name');
    return {
      ...rest,
      unreadable: unreadable.map((one) => ({ ...one, id: one.id?.split('/').at(-1) ?? null })),
    };
  }

  identify(batch: Batch): Promise<Batch | null> {
    return Promise.resolve(batch);
  }

  async hasFile(id: string): Promise<boolean> {
    const account = await this.#requireAccount();
    const path = `${account}/datasets/${encodeURIComponent(id)}`;
    const dataset = await readAnswer('a data set', this.#transport.get(path));
    return textIn(dataset, 'name')?.endsWith(`/datasets/${id}`) === true;
  }

  /** A data set has files with answers and files with errors; those of a kind are read one after the other. */
  async download(fileId: string, _from: number, bounds: FileBounds): Promise<Download> {
    const account = await this.#requireAccount();
    const isErrors = fileId.endsWith(ERRORS);
    const dataset = fileId.slice(0, -(isErrors ? ERRORS : OUTPUT).length);
    const path = `${account}/datasets/${encodeURIComponent(dataset)}:getDownloadEndpoint`;
    const answer = await readAnswer('the files of a data set', this.#transport.get(path));
    const urls =
      isObject(answer) && isObject(answer['filenameToSignedUrls']) ? answer['filenameToSignedUrls'] : {};
    const wanted = Object.entries(urls)
      .filter(
        ([name, url]) =>
          /error/i.test(name) === isErrors && name.endsWith('.jsonl') && typeof url === 'string',
      )
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, url]) => url as string);
    return { offset: 0, total: null, isFresh: true, bytes: this.#linesAt(wanted, bounds) };
  }

  async *#linesAt(urls: readonly string[], bounds: FileBounds): AsyncGenerator<Buffer> {
    for (const url of urls) {
      const { bytes } = readDownload(await this.#transport.external(url, 'GET'));
      for await (const line of linesOf(bytes, bounds)) {
        const excess = excessOfLine(line, bounds.line);
        if (excess !== null) yield Buffer.concat([lineInPlaceOf(line.bytes, excess), LINE_END]);
        else if (line.bytes.length > 0) yield withErrorObject(line.bytes);
      }
    }
  }

  /** @throws UserError for a model whose jobs would wait for ever */
  async requireModel(model: string): Promise<void> {
    const name = /^accounts\/[^/]+\/models\/[^/]+$/.test(model)
      ? model
      : `accounts/fireworks/models/${model}`;
    const answer = await readAnswer(
      'the model',
      this.#transport.get(`/${name.split('/').map(encodeURIComponent).join('/')}`),
    );
    const isSupported = isObject(answer)
      ? (answer['batchInferenceSupported'] ?? answer['batch_inference_supported'])
      : null;
    if (isSupported === false) {
      throw new UserError(
        `${sanitize(model, 120)} has no batch inference on Fireworks; run it without --batch.`,
      );
    }
  }

  queueRefusal(error: unknown): string | null {
    return refusalWords(error, /quota|queue|resource_?exhausted|too many/i);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  /** The path of the account, `/accounts/ID`: what FIREWORKS_ACCOUNT_ID says, or the only one that the key sees. */
  async #requireAccount(): Promise<string> {
    this.#account ??= await this.#onlyAccount();
    return `/accounts/${encodeURIComponent(this.#account)}`;
  }

  async #onlyAccount(): Promise<string> {
    const page = await readItems('the accounts', this.#transport.get('/accounts'), {
      names: ['accounts'],
      next: 'nextPageToken',
      isOptional: true,
    });
    const ids = page.items.flatMap((one) => textIn(one, 'name')?.split('/').at(-1) ?? []);
    const [only] = ids;
    if (only !== undefined && ids.length === 1) return only;
    throw new UserError(
      'The key sees several Fireworks accounts, or none: set FIREWORKS_ACCOUNT_ID' +
        `${ids.length > 1 ? ` to one of ${ids.map((id) => sanitize(id, 60)).join(', ')}` : ''}.`,
    );
  }

  readonly #read = (value: unknown): Batch | null => {
    const id = textIn(value, 'name')?.split('/').at(-1);
    if (id === undefined || !isObject(value)) return null;
    const progress = value['jobProgress'];
    const output = textIn(value, 'outputDatasetId')?.split('/').at(-1) ?? null;
    const succeeded = numberIn(progress, 'successfullyProcessedRequests');
    const failed = numberIn(progress, 'failedRequests');
    const status = (textIn(value, 'state') ?? 'unknown').replace(/^JOB_STATE_/, '').toLowerCase();
    const hasEnded = ['completed', 'failed', 'expired', 'cancelled'].includes(status);
    const message = textIn(value['status'], 'message');
    return readBatch({
      id,
      object: 'batch',
      status,
      input_file_id: textIn(value, 'inputDatasetId')?.split('/').at(-1) ?? null,
      output_file_id: hasEnded && output !== null && succeeded > 0 ? output + OUTPUT : null,
      error_file_id: hasEnded && output !== null && failed > 0 ? output + ERRORS : null,
      created_at: value['createTime'],
      ...(hasEnded ? { [`${status}_at`]: value['updateTime'] ?? value['createTime'] } : {}),
      request_counts: { total: numberIn(progress, 'totalInputRequests'), completed: succeeded, failed },
      ...(message === null || status !== 'failed' ? {} : { errors: [{ message }] }),
      metadata: readMark(textIn(value, 'displayName') ?? '', this.owner) ?? {},
      fireworks: value,
    });
  };
}

const LINE_END = Buffer.from('\n');

/** An error that is a plain text, as an object like OpenAI's. */
function withErrorObject(line: Buffer): Buffer {
  const value = line.includes('"error"') ? parseJson(line.toString('utf8')) : null;
  if (!isObject(value) || typeof value['error'] !== 'string') return Buffer.concat([line, LINE_END]);
  return Buffer.from(`${JSON.stringify({ ...value, error: { code: '', message: value['error'] } })}\n`);
}

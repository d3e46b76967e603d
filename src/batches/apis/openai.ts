/** OpenAI's Files and Batch APIs, and the many that have its shapes. What those spell otherwise is in `dialects.ts`. */

import { APIError } from 'openai';
import { isObject } from '../../lib/json.js';
import { sanitize } from '../../lib/text.js';
import { isQueueError, readBatch, type Batch } from '../batch.js';
import type { AccountFiles, BatchApi, BatchPage, Download, Submission, UploadedFile } from './batch-api.js';
import { OPENAI, type Dialect } from './dialects.js';
import { idIn, textIn } from './fields.js';
import { deleteFile, downloadFile, hasFile, listFiles, uploadFile } from './files.js';
import { identifiedBy, markOf, type MarkOwner } from './marks.js';
import { batchPage, readOne } from './paged.js';
import {
  readAnswer,
  REFUSAL_LENGTH,
  statusOf,
  Transport,
  UnreadableAnswer,
  type Connection,
} from './transport.js';

/** The most that one page of the list holds. */
const PAGE = 100;
/** A server's words for a field that it does not know. */
const UNKNOWN_FIELD =
  /unknown|unsupported|unrecogni[sz]ed|unexpected|not (?:supported|permitted|allowed)|extra (?:fields?|inputs?)|no such (?:field|parameter)/i;

/** What the server is sent beyond the necessary. */
interface OptionalFields {
  expiry: boolean;
  metadata: boolean;
  windows: readonly string[];
}

/** The same without the field that a refusal names; the same object where it names none. */
function fieldsAfter(fields: OptionalFields, message: string): OptionalFields {
  if (fields.expiry && /expires_after/.test(message)) return { ...fields, expiry: false };
  if (fields.windows.length > 1 && /completion[_ ]window/i.test(message)) {
    return { ...fields, windows: fields.windows.slice(1) };
  }
  const isUnknown = /\bmetadata\b/.test(message) && UNKNOWN_FIELD.test(message);
  return fields.metadata && isUnknown ? { ...fields, metadata: false } : fields;
}

/** A file to upload. */
export interface Upload {
  path: string;
  name: string;
  /** Seconds until the provider may delete it. */
  keepFor: number;
}

export class OpenAiBatches implements BatchApi {
  readonly files: AccountFiles = {
    add: (path, name, keepFor) => this.#fitting(() => this.uploadOnce({ path, name, keepFor })),
    list: (after) => listFiles(this.transport, this.dialect.purpose, after),
    remove: (id) => deleteFile(this.transport, id),
  };
  protected readonly transport: Transport;
  #fields: OptionalFields;

  constructor(
    connection: Connection,
    private readonly owner: MarkOwner,
    private readonly dialect: Dialect = OPENAI,
  ) {
    this.transport = new Transport(connection);
    this.#fields = { expiry: dialect.takesExpiry, metadata: dialect.keepsMetadata, windows: dialect.windows };
  }

  async upload({ path, name, keepFor, metadata }: Submission): Promise<UploadedFile> {
    return this.files.add(path, this.#fileName(name, metadata), keepFor);
  }

  protected async uploadOnce({ path, name, keepFor }: Upload): Promise<UploadedFile> {
    const fields = {
      purpose: this.dialect.purpose,
      ...(this.#fields.expiry
        ? { 'expires_after[anchor]': 'created_at', 'expires_after[seconds]': keepFor }
        : {}),
    };
    return uploadFile(this.transport, fields, path, name);
  }

  /** Where batches keep no metadata, their input file's name says whose they are. */
  #fileName(name: string, metadata: Submission['metadata']): string {
    return this.dialect.keepsMetadata ? name : `${markOf(metadata)}.jsonl`;
  }

  async create(inputId: string, submission: Submission): Promise<Batch> {
    return this.#fitting(() => this.#create(inputId, submission));
  }

  /**
   * Compatible servers may not know when files are to expire, or have other windows: the request is repeated without
   * the field, or with the next window. A refusal made nothing, so that is safe.
   */
  async #fitting<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      const sent = this.#fields;
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof APIError) || ![400, 422].includes(statusOf(error) ?? 0)) throw error;
        // Another call may have learnt it meanwhile.
        if (this.#fields === sent) this.#fields = fieldsAfter(sent, error.message);
        if (this.#fields === sent) throw error;
      }
    }
  }

  async #create(inputId: string, { url, metadata, keepFor }: Submission): Promise<Batch> {
    const fields = this.#fields;
    const body = {
      input_file_id: inputId,
      endpoint: url,
      completion_window: fields.windows[0] ?? '24h',
      ...(fields.metadata ? { metadata } : {}),
      ...(fields.expiry ? { output_expires_after: { anchor: 'created_at', seconds: keepFor } } : {}),
    };
    return readOne(this.transport.post('/batches', { body }));
  }

  async requireModel(model: string): Promise<void> {
    await this.transport.requireModel(model);
  }

  async retrieve(id: string): Promise<Batch> {
    return readOne(this.transport.get(`/batches/${encodeURIComponent(id)}`));
  }

  async cancel(id: string): Promise<Batch> {
    return readOne(this.transport.post(`/batches/${encodeURIComponent(id)}/cancel`));
  }

  /** Some gateways keep no record of a file, and have the content only. */
  async hasFile(id: string): Promise<boolean> {
    return hasFile(this.transport, id);
  }

  async list(after: string | null): Promise<BatchPage> {
    const query = { limit: PAGE, ...(after === null ? {} : { after }) };
    return readPage(await readAnswer('the list of batches', this.transport.get('/batches', { query })));
  }

  async identify(batch: Batch): Promise<Batch | null> {
    if (this.dialect.keepsMetadata || batch.inputFileId === null) return batch;
    const answer = await readAnswer(
      'a file',
      this.transport.get(`/files/${encodeURIComponent(batch.inputFileId)}`),
    ).catch((error: unknown) => {
      // Its file is deleted; ours are not.
      if (statusOf(error) === 404) return {};
      throw error;
    });
    return identifiedBy(textIn(answer, 'filename'), batch, this.owner);
  }

  async download(fileId: string, from: number): Promise<Download> {
    return downloadFile(this.transport, fileId, from);
  }

  /** OpenAI's words for a full queue, which others copy. */
  queueRefusal(error: unknown): string | null {
    if (!(error instanceof APIError)) return null;
    const code = typeof error.code === 'string' ? error.code : '';
    return isQueueError(code, error.message) ? sanitize(error.message, REFUSAL_LENGTH) : null;
  }

  async close(): Promise<void> {
    await this.transport.close();
  }
}

/**
 * A page of batches: OpenAI's, or a bare array.
 * @throws UnreadableAnswer where it is neither
 */
function readPage(answer: unknown): BatchPage {
  const page = isObject(answer) ? answer : {};
  const list: unknown = Array.isArray(answer) ? answer : page['data'];
  if (!Array.isArray(list)) throw new UnreadableAnswer('the list of batches', answer);
  const data: unknown[] = list;
  const last = idIn(page, 'last_id') ?? idIn(data.at(-1), 'id');
  // Where nothing is said, a full page may have another one after it.
  const hasMore = page['has_more'] === true || (page['has_more'] === undefined && data.length >= PAGE);
  return { ...batchPage({ items: data, next: hasMore ? last : null }, readBatch, 'id', isForeign), hasMore };
}

/** True for an entry whose metadata say that another program made it. */
function isForeign(item: unknown): boolean {
  const metadata = isObject(item) ? item['metadata'] : null;
  return isObject(metadata) && metadata['tool'] !== 'reannotate';
}

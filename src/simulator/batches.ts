/** `/v1/batches`: batches that are checked, worked on as time goes by, and spoilt where a fault is planned or drawn. */

import type { ServerResponse } from 'node:http';
import { faultsOfBatch } from './batch-faults.js';
import { readBatchOrder, type BatchOrder } from './batch-input.js';
import { Batch, type BatchParts, type Described } from './batch.js';
import { listPage, routesOfOwners, SIGN_IN_PAGE, type FileStore, type StoredFile } from './files.js';
import { ApiError, readBody, sendJson, type Exchange, type Route } from './http.js';

const PAGE_SIZES = { usual: 20, most: 100 };
const BUSY_RETRY_MS = 20;

/** A batch that was made, and how the answer to its creation is spoilt. */
interface Created {
  batch: Batch;
  spoilt: 'hang' | 'page' | null;
}

/** All batches, whichever API they were created through: how they are made, found and spoilt is the same in each. */
export class BatchBook {
  readonly #batches = new Map<string, Batch>();
  /** Batches whose creation was refused once, by number. */
  readonly #refused = new Set<number>();
  /** Batches that were created or permanently refused: their faults are drawn by this number. */
  #created = 0;

  constructor(private readonly parts: BatchParts) {}

  /**
   * Makes a batch, and starts it.
   * @throws ApiError where a fault refuses it, or it is made and its creation is answered with an error
   */
  create(owner: string, order: BatchOrder, input: StoredFile): Created {
    const faults = faultsOfBatch(this.parts.settings, this.#created);
    const refusal = faults.has('busy_create') ? busy : faults.has('full_create') ? full : null;
    if (refusal !== null && !this.#refused.has(this.#created)) {
      this.#refused.add(this.#created);
      throw refusal();
    }
    const number = this.#created++;
    if (faults.has('refuse_create')) {
      throw new ApiError(400, 'Your batch could not be created. Please check your request and try again.');
    }
    const batch = new Batch(this.parts, { number, owner, order, input, faults }, () => this.#queue(owner));
    this.#batches.set(batch.id, batch);
    this.parts.statistics.count('batchesCreated');
    batch.start();
    if (faults.has('error_create')) {
      const message = 'The server had an error while processing your request. Sorry about that!';
      throw new ApiError(500, message, { type: 'server_error' });
    }
    const spoilt = faults.has('hang_create') ? 'hang' : faults.has('unreadable_create') ? 'page' : null;
    return { batch, spoilt };
  }

  /** An account's batches, newest first. */
  of(owner: string): Batch[] {
    return [...this.#batches.values()].filter((batch) => batch.owner === owner).reverse();
  }

  /** @throws ApiError (404) */
  require(id: string, owner: string): Batch {
    const batch = this.#batches.get(id);
    if (batch?.owner !== owner) throw noSuchBatch(id);
    return batch;
  }

  /** Stops all work; what was written of results is left to the store of files. */
  async close(): Promise<void> {
    await Promise.all([...this.#batches.values()].map((batch) => batch.stop()));
  }

  /** Tokens of an account's batches that are worked on. */
  #queue(owner: string): number {
    return this.of(owner).reduce((sum, batch) => sum + batch.enqueuedTokens, 0);
  }
}

/** OpenAI's own routes. */
export class Batches {
  constructor(
    private readonly book: BatchBook,
    private readonly parts: Pick<BatchParts, 'settings' | 'statistics' | 'files'>,
  ) {}

  routes(): Route[] {
    const route = routesOfOwners(this.parts.settings, this.parts.statistics);
    return [
      route('POST', '/v1/batches', (exchange, owner) => this.#create(exchange, owner)),
      route('GET', '/v1/batches', (exchange, owner) => {
        this.#list(exchange, owner);
      }),
      route('GET', '/v1/batches/*', ({ path, response }, owner) => {
        this.#read(decodeURIComponent(path.slice('/v1/batches/'.length)), owner, response);
      }),
      route('POST', '/v1/batches/*', (exchange, owner) => {
        this.#cancel(exchange, owner);
      }),
    ];
  }

  async #create({ request, response }: Exchange, owner: string): Promise<void> {
    const order = readBatchOrder(await readBody(request));
    const input = requireInput(this.parts.files, order.inputFileId, owner);
    sendCreated(response, this.book.create(owner, order, input));
  }

  #list({ query, response }: Exchange, owner: string): void {
    const { data, frame } = listPage(this.book.of(owner), query, PAGE_SIZES, noSuchBatch);
    const entries = data.map((batch) => batch.listed()).filter((entry) => entry !== null);
    sendJson(response, 200, { ...frame, data: entries });
  }

  #read(id: string, owner: string, response: ServerResponse): void {
    sendBatch(response, this.book.require(id, owner));
  }

  #cancel({ path, response }: Exchange, owner: string): void {
    const [id = '', action, ...rest] = path.slice('/v1/batches/'.length).split('/').map(decodeURIComponent);
    if (action !== 'cancel' || rest.length > 0) throw new ApiError(404, `Invalid URL (POST ${path})`);
    sendCancelled(response, this.book.require(id, owner));
  }
}

/** How an API shows a batch. */
export type Shape = (batch: Described) => object;

const asOpenAi: Shape = (batch) => batch;

/** Answers with a batch that was just created, unless the answer is what goes wrong. */
export function sendCreated(
  response: ServerResponse,
  { batch, spoilt }: Created,
  shape = asOpenAi,
  status = 200,
): void {
  if (spoilt === 'page') sendPage(response);
  else if (spoilt === null) sendJson(response, status, shape(batch.describe()));
}

/** Answers with a batch, spoilt once where its faults say so. */
export function sendBatch(response: ServerResponse, batch: Batch, shape = asOpenAi): void {
  const fault = batch.spoilRead();
  switch (fault) {
    case null:
      sendJson(response, 200, shape(batch.describe()));
      return;
    case 'absent':
      throw noSuchBatch(batch.id);
    case 'refused':
      throw new ApiError(400, 'The request could not be processed.');
    case 'forbidden':
      throw new ApiError(403, 'You do not have access to this batch.');
    case 'page':
      sendPage(response);
      return;
    case 'redirected':
      response.writeHead(302, { location: '/sign-in', 'content-type': 'text/html' });
      response.end(SIGN_IN_PAGE);
  }
}

/** Cancels a batch, and answers with it. @throws ApiError (409) where it has ended */
export function sendCancelled(response: ServerResponse, batch: Batch, shape = asOpenAi): void {
  batch.cancel();
  sendJson(response, 200, shape(batch.describe()));
}

/** @throws ApiError (400) where the account has no such input file */
export function requireInput(files: FileStore, id: string, owner: string): StoredFile {
  const input = files.find(id, owner);
  if (input?.purpose === 'batch') return input;
  const message =
    input === null
      ? `No such File object: ${id}`
      : `Invalid file purpose: expected 'batch', but got '${input.purpose}' instead.`;
  throw new ApiError(400, message, { param: 'input_file_id' });
}

/** A page where an object should be, with status 200. */
export function sendPage(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/html' });
  response.end(SIGN_IN_PAGE);
}

function noSuchBatch(id: string): ApiError {
  return new ApiError(404, `No batch found with id '${id}'.`);
}

/** In words that hold those of each provider. */
function full(): ApiError {
  const message =
    'Enqueued token limit reached in organization org-simulator: the queue of batches is full. ' +
    'Please try again once some in_progress batches have been completed.';
  return new ApiError(429, message, { code: 'token_limit_exceeded' });
}

function busy(): ApiError {
  const message =
    'Rate limit reached for batch creation in organization org-simulator. ' +
    `Please try again in ${BUSY_RETRY_MS}ms.`;
  const headers = { 'retry-after-ms': String(BUSY_RETRY_MS), 'retry-after': '1' };
  return new ApiError(429, message, { type: 'requests', code: 'rate_limit_exceeded' }, headers);
}

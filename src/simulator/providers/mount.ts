/**
 * Where the simulator has the APIs of other providers: each below its own name, so that one server can have them all.
 * What is the same for each of them: keys, how errors look, and how requests and lists are read.
 */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { isObject, parseJson } from '../../lib/json.js';
import type { Batch, Described } from '../batch.js';
import type { BatchOrder } from '../batch-input.js';
import { sendCancelled, type BatchBook, type Shape } from '../batches.js';
import { ownerOf, type FileStore, type StoredFile } from '../files.js';
import { ApiError, readBody, sendJson, type Exchange, type Route } from '../http.js';
import type { SimulatorSettings } from '../options.js';
import type { Statistics } from '../statistics.js';

/** 30 days, after which files may be deleted. */
export const LIFETIME_SECONDS = 2_592_000;

/** The parts of a provider's API. */
export interface ProviderParts {
  settings: SimulatorSettings;
  statistics: Statistics;
  files: FileStore;
  book: BatchBook;
}

/** A request with the account that sent it. */
export interface AccountRequest extends Exchange {
  owner: string;
}

type Handler = (asked: AccountRequest) => void | Promise<void>;

/** Routes of one provider. */
export class Mount {
  readonly routes: Route[] = [];

  /**
   * @param prefix before all its paths
   * @param errorBody an error in the provider's form; OpenAI's where it is left out
   */
  constructor(
    private readonly prefix: string,
    private readonly parts: ProviderParts,
    private readonly errorBody: (error: ApiError) => unknown = ({ body }) => body,
  ) {}

  /** A route that needs a key. */
  on(method: string, path: string, handle: Handler): void {
    const { settings, statistics } = this.parts;
    this.open(method, path, (exchange) =>
      handle({ ...exchange, owner: ownerOf(exchange, settings, statistics) }),
    );
  }

  /** A route that needs no key, such as a signed address. */
  open(method: string, path: string, handle: Route['handle']): void {
    this.routes.push({
      method,
      path: this.prefix + path,
      handle: async (exchange) => {
        try {
          await handle({ ...exchange, path: exchange.path.slice(this.prefix.length) });
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          exchange.request.resume();
          sendJson(exchange.response, error.status, this.errorBody(error), error.headers);
        }
      },
    });
  }

  /** Routes that the simulator has for OpenAI, at the same or another place. */
  also(routes: readonly Route[], from: string, to = from): void {
    for (const route of routes) {
      if (!route.path.startsWith(from)) continue;
      this.open(route.method, to + route.path.slice(from.length), (exchange) =>
        route.handle({ ...exchange, path: from + exchange.path.slice(to.length) }),
      );
    }
  }

  /** This server's address, as the client wrote it, with the prefix. */
  addressFor({ headers }: IncomingMessage): string {
    return `http://${headers.host ?? ''}${this.prefix}`;
  }
}

/** The fields of a request's JSON body; none where it is no object. */
export async function readFields(request: IncomingMessage): Promise<Record<string, unknown>> {
  const body = parseJson((await readBody(request)).toString('utf8'));
  return isObject(body) ? body : {};
}

/** What follows `base/` in a path, decoded. */
export function nameBelow(base: string, path: string): string {
  return decodeURIComponent(path.slice(base.length + 1));
}

/** The batch of a path such as `/v1/batches/ID/ACTION`, and the action. @throws ApiError (404) */
export function batchAt(
  base: string,
  { path, owner }: AccountRequest,
  book: BatchBook,
): { batch: Batch; action: string | undefined } {
  const [id = '', action] = path
    .slice(base.length + 1)
    .split('/')
    .map(decodeURIComponent);
  return { batch: book.require(id, owner), action };
}

/** Answers `POST BASE/ID/cancel`. @throws ApiError (404) for any other action */
export function cancelAt(base: string, asked: AccountRequest, book: BatchBook, shape: Shape): void {
  const { batch, action } = batchAt(base, asked, book);
  if (action !== 'cancel') throw new ApiError(404, `Invalid URL (POST ${asked.path})`);
  sendCancelled(asked.response, batch, shape);
}

/** A batch in a list. */
export interface Listed {
  id: string;
  entry: object;
}

/** The batches of an account as a list has them; one that is to be unreadable lacks its id. */
export function listed(book: BatchBook, owner: string, shape: Shape, idField: string): Listed[] {
  return book.of(owner).flatMap((batch) => {
    const entry = batch.listed();
    if (entry === null) return [];
    const shaped = shape({ ...entry, id: batch.id } as Described);
    return [{ id: batch.id, entry: entry.id === null ? { ...shaped, [idField]: null } : shaped }];
  });
}

/** The page after the batch with an id; the first page for null. */
export function pageAfter(
  all: readonly Listed[],
  after: string | null,
  limit: number,
): { page: readonly Listed[]; hasMore: boolean } {
  const start = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
  const page = all.slice(start, start + limit);
  return { page, hasMore: start + page.length < all.length };
}

/** A page whose cursor is the number of items before it; `next` is null on the last one. */
export function pageAt<Item>(
  all: readonly Item[],
  cursor: string | null,
  limit: number,
): { page: readonly Item[]; next: string | null } {
  const start = Number(cursor ?? 0);
  const page = all.slice(start, start + limit);
  const end = start + page.length;
  return { page, next: end < all.length ? String(end) : null };
}

/** An order in OpenAI's terms. */
export function orderOf(inputFileId: string, metadata: unknown = null): BatchOrder {
  return {
    inputFileId,
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
    metadata: isObject(metadata) ? (metadata as Record<string, string>) : null,
    resultLifetime: LIFETIME_SECONDS,
  };
}

/** Takes in an input file whose bytes are at `path`. */
export function addInput(
  { files, statistics }: Pick<ProviderParts, 'files' | 'statistics'>,
  input: Pick<StoredFile, 'owner' | 'name' | 'path' | 'bytes'>,
  id?: string,
  lifetime = LIFETIME_SECONDS,
): StoredFile {
  statistics.count('filesUploaded');
  return files.add({ ...input, purpose: 'batch', cuts: null, fault: null }, lifetime, id);
}

/** Writes a request's body to a path as it comes. @returns its size in bytes */
export async function receiveBody(request: IncomingMessage, path: string): Promise<number> {
  const file = createWriteStream(path);
  request.pipe(file);
  await once(file, 'close');
  return file.bytesWritten;
}

/** When a batch ended, in seconds since 1970; null before. */
export function endOf(batch: Described): number | null {
  return batch.completed_at ?? batch.failed_at ?? batch.expired_at ?? batch.cancelled_at;
}

/** A time as text, as most APIs other than OpenAI's write it. */
export function isoTime(seconds: number): string;
export function isoTime(seconds: number | null): string | null;
export function isoTime(seconds: number | null): string | null {
  return seconds === null ? null : new Date(seconds * 1000).toISOString();
}

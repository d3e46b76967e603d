/**
 * `/v1/files`: what is uploaded for batches, and what batches leave behind. The bytes are in a folder of their own on
 * disk, never in memory.
 */

import { randomBytes } from 'node:crypto';
import { createReadStream, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import type { DownloadFault } from './batch-faults.js';
import { inRange, oneOf, readLifetime } from './batch-input.js';
import { missingField, receiveForm } from './form.js';
import { ApiError, bearerToken, requireApiKey, sendJson, type Exchange, type Route } from './http.js';
import type { SimulatorSettings } from './options.js';
import type { Statistics } from './statistics.js';

/** The most that one page of the list holds. */
const MAXIMUM_PAGE = 10_000;

/** A file that somebody uploaded, or that a batch wrote. */
export interface StoredFile {
  id: string;
  /** The bearer token that it belongs to; empty for requests without one. */
  owner: string;
  path: string;
  bytes: number;
  /** Seconds since 1970. */
  createdAt: number;
  expiresAt: number;
  name: string;
  purpose: 'batch' | 'batch_output';
  /** Offsets at which a download was begun and cut; null where none is cut. */
  cuts: Set<number> | null;
  /** What the next download gets in place of the content; null for the content. */
  fault: DownloadFault | null;
}

/** Seconds since 1970, as all times of the API are given. */
export function unixTime(): number {
  return Math.floor(Date.now() / 1_000);
}

/** An id that no other simulator gives either: a client may remember one for longer than a simulator runs. */
export function newId(prefix: string, bytes: number): string {
  return prefix + randomBytes(bytes).toString('hex');
}

/** The id that a gateway makes, which packs routing data into it (BerriAI/litellm#10650). */
export function newLongId(prefix: string): string {
  const bytes = Buffer.concat([Buffer.from(`gateway:${prefix};`), randomBytes(238)]);
  return `${prefix}/${bytes.toString('base64')}==`;
}

/**
 * Counts a request to the Files or Batch API, and says whose it is: files and batches are seen by their owner alone.
 * @throws ApiError (401) where a key is needed and the request carries another one or none
 */
export function ownerOf(
  { request }: Exchange,
  settings: Pick<SimulatorSettings, 'apiKey'>,
  statistics: Statistics,
): string {
  statistics.count('batchRequests');
  requireApiKey(request, settings.apiKey);
  return bearerToken(request) ?? '';
}

/** Makes routes whose handlers get the owner of a request. @see ownerOf for what they count and refuse */
export function routesOfOwners(
  settings: Pick<SimulatorSettings, 'apiKey'>,
  statistics: Statistics,
): (
  method: string,
  path: string,
  handle: (exchange: Exchange, owner: string) => void | Promise<void>,
) => Route {
  return (method, path, handle) => ({
    method,
    path,
    handle: (exchange) => handle(exchange, ownerOf(exchange, settings, statistics)),
  });
}

/**
 * A page of a list.
 * @param items in the order of the list
 * @param missing the error for an `after` that is not in the list
 */
export function listPage<Item extends { id: string }>(
  items: readonly Item[],
  query: URLSearchParams,
  sizes: { usual: number; most: number },
  missing: (id: string) => ApiError,
): {
  data: Item[];
  frame: { object: 'list'; first_id: string | null; last_id: string | null; has_more: boolean };
} {
  const limit = inRange('limit', Number(query.get('limit') ?? sizes.usual), 1, sizes.most);
  const after = query.get('after');
  const before = after === null ? -1 : items.findIndex(({ id }) => id === after);
  if (after !== null && before === -1) throw missing(after);
  const data = items.slice(before + 1, before + 1 + limit);
  return {
    data,
    frame: {
      object: 'list',
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
      has_more: before + 1 + data.length < items.length,
    },
  };
}

export class FileStore {
  readonly #files = new Map<string, StoredFile>();
  #folder: string | null = null;
  #paths = 0;

  constructor(
    private readonly settings: Pick<SimulatorSettings, 'apiKey'>,
    private readonly statistics: Statistics,
  ) {}

  routes(): Route[] {
    const route = routesOfOwners(this.settings, this.statistics);
    return [
      route('POST', '/v1/files', (exchange, owner) => this.#upload(exchange, owner)),
      route('GET', '/v1/files', (exchange, owner) => {
        this.#list(exchange, owner);
      }),
      route('GET', '/v1/files/*', (exchange, owner) => this.#read(exchange, owner)),
      route('DELETE', '/v1/files/*', (exchange, owner) => {
        this.#delete(exchange, owner);
      }),
    ];
  }

  /** A path for a new file. */
  newPath(): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), 'reannotate-simulator-'));
    return join(this.#folder, String(++this.#paths));
  }

  /**
   * Takes in a file that is complete.
   * @param lifetime seconds until it expires
   */
  add(
    file: Omit<StoredFile, 'id' | 'createdAt' | 'expiresAt'>,
    lifetime: number,
    id = newId('file-', 12),
  ): StoredFile {
    const createdAt = unixTime();
    const stored = { ...file, id, createdAt, expiresAt: createdAt + lifetime };
    this.#files.set(stored.id, stored);
    return stored;
  }

  /** Null where there is none, or it is somebody else's. */
  find(id: string, owner: string): StoredFile | null {
    const file = this.#files.get(id);
    return file?.owner === owner ? file : null;
  }

  /** Removes every file from the disk. */
  close(): void {
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true });
  }

  async #upload({ request, response }: Exchange, owner: string): Promise<void> {
    const path = this.newPath();
    try {
      const { fields, file } = await receiveForm(request, path);
      const purpose = fields.get('purpose');
      if (purpose === undefined) throw missingField('purpose');
      oneOf(purpose, ['batch'], 'purpose');
      const seconds = fields.get('expires_after[seconds]');
      const lifetime = readLifetime(
        'expires_after',
        fields.get('expires_after[anchor]'),
        seconds === undefined ? undefined : Number(seconds),
      );
      if (file === null) throw missingField('file');
      const stored = this.add({ owner, path, ...file, purpose: 'batch', cuts: null, fault: null }, lifetime);
      this.statistics.count('filesUploaded');
      sendJson(response, 200, describe(stored));
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
  }

  #list({ query, response }: Exchange, owner: string): void {
    const purpose = query.get('purpose');
    const files = [...this.#files.values()].filter(
      (file) => file.owner === owner && (purpose === null || file.purpose === purpose),
    );
    if (query.get('order') !== 'asc') files.reverse();
    const { data, frame } = listPage(files, query, { usual: MAXIMUM_PAGE, most: MAXIMUM_PAGE }, noSuchFile);
    sendJson(response, 200, { ...frame, data: data.map(describe) });
  }

  async #read(exchange: Exchange, owner: string): Promise<void> {
    const [id = '', ...rest] = partsOf(exchange);
    const file = this.#require(id, owner);
    if (rest.length === 0) sendJson(exchange.response, 200, describe(file));
    else if (rest.join('/') === 'content') await this.#download(exchange, file);
    else throw new ApiError(404, `Invalid URL (GET ${exchange.path})`);
  }

  #delete(exchange: Exchange, owner: string): void {
    const file = this.#require(partsOf(exchange).join('/'), owner);
    this.#files.delete(file.id);
    rmSync(file.path, { force: true });
    sendJson(exchange.response, 200, { id: file.id, object: 'file', deleted: true });
  }

  async #download({ request, response }: Exchange, file: StoredFile): Promise<void> {
    this.statistics.count('fileDownloads');
    const { fault } = file;
    file.fault = null;
    if (fault !== null) {
      sendSpoilt(response, fault, file);
      return;
    }
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = Number(range?.[1] ?? 0);
    const last = file.bytes - 1;
    const end = range === null || range[2] === '' ? last : Math.min(Number(range[2]), last);
    if (range !== null && (start > last || end < start)) {
      throw new ApiError(
        416,
        'The requested range is not satisfiable.',
        {},
        {
          'content-range': `bytes */${file.bytes}`,
        },
      );
    }
    response.writeHead(range === null ? 200 : 206, {
      'content-type': 'application/octet-stream',
      'content-length': end - start + 1,
      'accept-ranges': 'bytes',
      ...(range === null ? {} : { 'content-range': `bytes ${start}-${end}/${file.bytes}` }),
    });
    if (file.bytes === 0) response.end();
    else if (file.cuts === null || file.cuts.has(start)) {
      // A client that breaks off destroys both streams; nothing else is to be done.
      pipeline(createReadStream(file.path, { start, end }), response, () => undefined);
    } else {
      file.cuts.add(start);
      await breakOff(response, file.path, start, start + ((end - start + 1) >> 1));
    }
  }

  #require(id: string, owner: string): StoredFile {
    const file = this.find(id, owner);
    if (file === null) throw noSuchFile(id);
    return file;
  }
}

function partsOf({ path }: Exchange): string[] {
  return path.slice('/v1/files/'.length).split('/').map(decodeURIComponent);
}

/** Sends something else in place of a file's content. */
export function sendSpoilt(response: ServerResponse, fault: DownloadFault, file: StoredFile): void {
  if (fault === 'absent') throw noSuchFile(file.id);
  const [type, body] = spoilt(fault, file);
  response.writeHead(200, { 'content-type': type });
  response.end(body);
}

/** The type and the content of a spoilt download. */
function spoilt(fault: Exclude<DownloadFault, 'absent'>, { path }: StoredFile): [string, string] {
  const binary = 'application/octet-stream';
  switch (fault) {
    case 'empty':
      return [binary, ''];
    case 'page':
      return ['text/html', SIGN_IN_PAGE];
    case 'error':
      return [
        'application/json',
        '{"error":{"message":"The file is being prepared.","type":"server_error"}}',
      ];
    case 'other':
      return [
        binary,
        `${JSON.stringify({ id: 'batch_req_other', custom_id: '99999999', response: null, error: null })}\n`,
      ];
    case 'short':
      return [binary, withoutLastLine(readFileSync(path, 'utf8'))];
  }
}

function withoutLastLine(text: string): string {
  return text.slice(0, text.lastIndexOf('\n', text.length - 2) + 1);
}

/** What gateways send with status 200 to somebody whose session is over. */
export const SIGN_IN_PAGE = '<!doctype html><html><head><title>Sign in</title></head><body></body></html>\n';

function noSuchFile(id: string): ApiError {
  return new ApiError(404, `No such File object: ${id}`, { param: 'id' });
}

/** @see https://platform.openai.com/docs/api-reference/files/object */
function describe(file: StoredFile): object {
  return {
    id: file.id,
    object: 'file',
    bytes: file.bytes,
    created_at: file.createdAt,
    expires_at: file.expiresAt,
    filename: file.name,
    purpose: file.purpose,
    status: 'processed',
    status_details: null,
  };
}

/** Sends bytes of a file, fewer than were promised, and cuts the connection. */
async function breakOff(response: ServerResponse, path: string, start: number, end: number): Promise<void> {
  if (end > start) {
    for await (const chunk of createReadStream(path, { start, end: end - 1 })) {
      await new Promise((resolve) => response.write(chunk, resolve));
      if (response.destroyed) return;
    }
  }
  response.flushHeaders();
  response.socket?.destroy();
}

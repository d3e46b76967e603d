/**
 * Where the simulator has the APIs of other providers: each below its own name, so that one server can have them all.
 * What is the same for each of them: who asks, how errors look, how answers are spoilt.
 */

import { readFileSync } from 'node:fs';
import type { Batch, Described } from '../batch.js';
import type { BatchOrder } from '../batch-input.js';
import { sendPage, type BatchBook } from '../batches.js';
import { ownerOf, sendSpoilt, type FileStore, type StoredFile } from '../files.js';
import { ApiError, sendJson, type Exchange, type Route } from '../http.js';
import type { SimulatorSettings } from '../options.js';
import type { Statistics } from '../statistics.js';

/** What a provider's API is made of. */
export interface ProviderParts {
  settings: SimulatorSettings;
  statistics: Statistics;
  files: FileStore;
  book: BatchBook;
}

/** A request with whom it is from. */
export interface Asked extends Exchange {
  owner: string;
}

type Handler = (asked: Asked) => void | Promise<void>;

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

  /** A route for whoever has a key. */
  on(method: string, path: string, handle: Handler): void {
    const { settings, statistics } = this.parts;
    this.open(method, path, (exchange) =>
      handle({ ...exchange, owner: ownerOf(exchange, settings, statistics) }),
    );
  }

  /** A route for whoever knows its address. */
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

  /** Routes that the simulator has for OpenAI, at another place. */
  also(routes: readonly Route[], from: string, to: string): void {
    for (const route of routes) {
      if (!route.path.startsWith(from)) continue;
      this.open(route.method, to + route.path.slice(from.length), (exchange) =>
        route.handle({ ...exchange, path: from + exchange.path.slice(to.length) }),
      );
    }
  }
}

/** Answers with a batch, spoilt once where its faults say so. */
export function sendBatch({ response }: Exchange, batch: Batch, shape: (batch: Described) => unknown): void {
  const fault = batch.spoilRead();
  if (fault === 'absent') throw new ApiError(404, `No batch found with id '${batch.id}'.`);
  if (fault === 'page') sendPage(response);
  else sendJson(response, 200, shape(batch.describe()));
}

/** Makes a batch and answers with it, unless the answer is what goes wrong. */
export function createBatch(
  { response, owner }: Asked,
  book: BatchBook,
  order: BatchOrder,
  input: StoredFile,
  shape: (batch: Described) => unknown,
  status = 200,
): void {
  const { batch, spoilt } = book.create(owner, order, input);
  if (spoilt === 'page') sendPage(response);
  else if (spoilt === null) sendJson(response, status, shape(batch.describe()));
}

/** The batches of an account as a list has them; one that cannot be read has nothing but what `spoil` leaves. */
export function listed(
  book: BatchBook,
  owner: string,
  shape: (batch: Described) => object,
  idField: string,
): { id: string; entry: object }[] {
  return book.of(owner).flatMap((batch) => {
    const entry = batch.listed();
    if (entry === null) return [];
    const shaped = shape({ ...entry, id: batch.id } as Described);
    return [{ id: batch.id, entry: entry.id === null ? { ...shaped, [idField]: null } : shaped }];
  });
}

/** An order in OpenAI's terms. */
export function orderOf(inputFileId: string, metadata: Record<string, string> | null = null): BatchOrder {
  return {
    inputFileId,
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
    metadata,
    resultLifetime: 2_592_000,
  };
}

/** Both result files of a batch that has ended, as far as there are any. */
export function resultFiles(files: FileStore, batch: Batch): StoredFile[] {
  const { output_file_id: output, error_file_id: errors } = batch.describe();
  return [output, errors].flatMap((id) => {
    const file = id === null ? null : files.find(id, batch.owner);
    return file === null ? [] : [file];
  });
}

/** The lines of result files, in OpenAI's format; the text of a line that is torn. */
export function linesIn(files: readonly StoredFile[]): (Record<string, unknown> | string)[] {
  return files
    .flatMap(({ path }) => readFileSync(path, 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map((line) => {
      try {
        return JSON.parse(line) as Record<string, unknown>;
      } catch {
        return line;
      }
    });
}

/** What spoils the next download of a batch's results; used up by asking. */
export function takeFault(files: readonly StoredFile[]): StoredFile['fault'] {
  const fault = files.find((file) => file.fault !== null)?.fault ?? null;
  for (const file of files) file.fault = null;
  return fault;
}

/** True once for results whose first download is cut. */
export function takeCut(files: readonly StoredFile[]): boolean {
  const cuts = files.find((file) => file.cuts !== null)?.cuts ?? null;
  if (cuts === null || cuts.has(0)) return false;
  cuts.add(0);
  return true;
}

/** Sends all results of a batch as one text, spoilt as its files are. */
export async function sendResults(
  { response }: Exchange,
  files: readonly StoredFile[],
  lines: string[],
): Promise<void> {
  const fault = takeFault(files);
  const [first] = files;
  if (fault !== null && fault !== 'short' && first !== undefined) {
    sendSpoilt(response, fault, first);
    return;
  }
  const sent = fault === 'short' ? lines.slice(0, -1) : lines;
  const bytes = Buffer.from(sent.map((line) => `${line}\n`).join(''));
  response.writeHead(200, { 'content-type': 'application/x-jsonl', 'content-length': bytes.length });
  if (!takeCut(files) || first === undefined) {
    response.end(bytes);
    return;
  }
  await new Promise((resolve) => response.write(bytes.subarray(0, bytes.length >> 1), resolve));
  response.socket?.destroy();
}

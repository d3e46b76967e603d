/** The results of a batch where they are no files of OpenAI's: as one text or in pages, spoilt once as the files are. */

import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { isObject } from '../../lib/json.js';
import type { Batch, Described } from '../batch.js';
import { sendBatch, sendPage } from '../batches.js';
import { sendSpoilt, type FileStore, type StoredFile } from '../files.js';
import { ApiError, sendJson, type Exchange } from '../http.js';
import { pageAt } from './mount.js';

type Line = Record<string, unknown>;

/** Both result files of a batch that has ended, as far as there are any. */
export function resultFiles(files: FileStore, batch: Batch): StoredFile[] {
  const { output_file_id: output, error_file_id: errors } = batch.describe();
  return [output, errors].flatMap((id) => {
    const file = id === null ? null : files.find(id, batch.owner);
    return file === null ? [] : [file];
  });
}

/** The lines of result files, in OpenAI's format; the text of a line that is torn. */
export function linesIn(files: readonly StoredFile[]): (Line | string)[] {
  return files
    .flatMap(({ path }) => readFileSync(path, 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map((line) => {
      try {
        return JSON.parse(line) as Line;
      } catch {
        return line;
      }
    });
}

/** Why a result line has no answer: the error of its response, or its own. */
export function failureOf({ response, error }: Line): { status: unknown; message: string | null } {
  const { status_code: status, body } = isObject(response) ? response : {};
  const inner = isObject(body) && isObject(body['error']) ? body['error'] : error;
  const message = isObject(inner) ? inner['message'] : null;
  return { status, message: typeof message === 'string' ? message : null };
}

/** The body of an answer; null for a result line that has none. */
export function answerOf({ response }: Line): unknown {
  return isObject(response) && response['status_code'] === 200 ? response['body'] : null;
}

/** What spoils the next download of a batch's results; used up by asking. */
function takeFault(files: readonly StoredFile[]): StoredFile['fault'] {
  const fault = files.find((file) => file.fault !== null)?.fault ?? null;
  for (const file of files) file.fault = null;
  return fault;
}

/** True once for results whose first download is cut. */
function takeCut(files: readonly StoredFile[]): boolean {
  const cuts = files.find((file) => file.cuts !== null)?.cuts ?? null;
  if (cuts === null || cuts.has(0)) return false;
  cuts.add(0);
  return true;
}

/** Sends a text, or half of it before the connection breaks. */
async function sendWhole(
  response: ServerResponse,
  files: readonly StoredFile[],
  contentType: string,
  text: string,
): Promise<void> {
  const bytes = Buffer.from(text);
  response.writeHead(200, { 'content-type': contentType, 'content-length': bytes.length });
  if (!takeCut(files)) {
    response.end(bytes);
    return;
  }
  await new Promise((resolve) => response.write(bytes.subarray(0, bytes.length >> 1), resolve));
  response.socket?.destroy();
}

/** Sends all results of a batch as one text. */
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
  await sendWhole(response, files, 'application/x-jsonl', sent.map((line) => `${line}\n`).join(''));
}

/** Answers a request for a batch, or for a page of its results if the path is longer. */
export async function sendBatchOrResults(
  exchange: Exchange,
  { batch, action }: { batch: Batch; action: string | undefined },
  {
    files,
    describe,
    resultOf,
    names,
  }: {
    files: FileStore;
    describe: (batch: Described) => object;
    resultOf: (line: Line) => object;
    names: { items: string; cursor: string };
  },
): Promise<void> {
  if (action === undefined) sendBatch(exchange.response, batch, describe);
  else await sendPageOfResults(exchange, resultFiles(files, batch), resultOf, names);
}

/**
 * Sends the page of results that the query names.
 * @param shape a result in the provider's format
 * @param names the fields of the items and of the next page's cursor, which is a parameter of the query, too
 */
async function sendPageOfResults(
  { query, response }: Exchange,
  files: readonly StoredFile[],
  shape: (line: Line) => object,
  names: { items: string; cursor: string },
): Promise<void> {
  const fault = takeFault(files);
  if (fault === 'absent') throw new ApiError(404, 'the results are not there');
  if (fault === 'page') {
    sendPage(response);
    return;
  }
  if (fault === 'error') {
    sendJson(response, 200, { error: { message: 'The results are being prepared.' } });
    return;
  }
  const results = linesIn(files).map((line) => (typeof line === 'string' ? { torn: line } : shape(line)));
  const { page, next } = pageAt(results, query.get(names.cursor), Number(query.get('limit') ?? 100));
  const sent = fault === 'empty' ? [] : fault === 'short' ? page.slice(0, -1) : page;
  const text = JSON.stringify({ [names.items]: sent, [names.cursor]: fault === 'empty' ? null : next });
  await sendWhole(response, files, 'application/json', text);
}

/** Request lines on their way to a provider, and result lines on their way back, one at a time. */

import { cooperativePause, readLines } from '../../lib/files.js';
import { noteDiscarded } from '../../lib/memory.js';
import { isObject, parseJson } from '../../lib/json.js';
import { UserError } from '../../lib/errors.js';
import { rowOfId } from '../request-line.js';
import { FileTooLarge } from '../result-file.js';
import type { ReadLine } from '../too-large.js';
import type { FileBounds } from './batch-api.js';
import type { StreamedBody } from './transport.js';

const NEWLINE = 0x0a;

/** A request line, read. */
export interface RequestLine {
  row: number;
  body: Record<string, unknown>;
}

/** The requests of a file. @throws UserError where a line is not one */
export async function* requestsIn(path: string): AsyncGenerator<RequestLine> {
  const pause = cooperativePause();
  let number = 0;
  for (const { bytes } of readLines(path)) {
    number += 1;
    const line = parseJson(bytes.toString('utf8'));
    const row = isObject(line) ? rowOfId(line['custom_id']) : null;
    const body = isObject(line) ? line['body'] : null;
    if (row === null || !isObject(body)) {
      throw new UserError(
        `Line ${number} of ${path} is not a request. Delete the file and run the same command with --resume, which rewrites it.`,
      );
    }
    yield { row, body };
    await pause();
  }
}

/** The end of a body whose last field is a list. */
const END = ']}';

/**
 * A JSON body with all requests of a file as its last field, `requests`, streamed. The file is read twice, since the
 * length is sent first.
 * @param fields what comes before them
 * @param translate a request in the provider's format
 */
export async function requestsBody(
  path: string,
  fields: Readonly<Record<string, string>>,
  translate: (request: RequestLine) => object,
): Promise<StreamedBody> {
  const before = JSON.stringify({ ...fields, requests: [] }).slice(0, -END.length);
  const pieces = (): AsyncGenerator<Buffer> => translated(path, before, translate);
  let bytes = 0;
  for await (const piece of pieces()) bytes += piece.length;
  return { pieces: pieces(), bytes, contentType: 'application/json' };
}

async function* translated(
  path: string,
  before: string,
  translate: (request: RequestLine) => object,
): AsyncGenerator<Buffer> {
  let start = before;
  for await (const request of requestsIn(path)) {
    yield Buffer.from(start + JSON.stringify(translate(request)));
    start = ',';
  }
  yield Buffer.from(END);
}

/** The model that a file's requests name: all of them name the same one. */
export async function modelOf(path: string): Promise<string> {
  for await (const { body } of requestsIn(path)) {
    if (typeof body['model'] === 'string') return body['model'];
    break;
  }
  throw new UserError(`The first request of ${path} names no model.`);
}

/** What is kept of a line that is too long. */
const EXCERPT_BYTES = 1024;

/**
 * The lines of a stream, without their ends; the last one may lack its end. Of a line that is longer than allowed only
 * the beginning is kept.
 * @throws FileTooLarge where the stream is longer than the file may be
 */
export async function* linesOf(
  pieces: AsyncIterable<Uint8Array>,
  bounds: FileBounds,
): AsyncGenerator<ReadLine> {
  const line = new PartialLine(bounds.line.bytes);
  let size = 0;
  for await (const piece of pieces) {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    size += bytes.length;
    if (size > bounds.bytes) throw new FileTooLarge(`more than ${bounds.bytes} bytes`);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      line.add(bytes.subarray(start, end));
      yield line.take();
      start = end + 1;
    }
    line.add(bytes.subarray(start));
    noteDiscarded(bytes.length);
  }
  if (!line.isEmpty) yield line.take();
}

/** A line whose end has not arrived yet. */
class PartialLine {
  #kept: Buffer[] = [];
  #size = 0;

  constructor(private readonly most: number) {}

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  add(bytes: Buffer): void {
    const before = this.#size;
    this.#size += bytes.length;
    // The stream may use the memory of a piece again.
    if (this.#size <= this.most) this.#kept.push(Buffer.from(bytes));
    else if (before <= this.most)
      this.#kept = [
        Buffer.concat([...this.#kept, bytes.subarray(0, EXCERPT_BYTES)]).subarray(0, EXCERPT_BYTES),
      ];
  }

  take(): ReadLine {
    const line = { bytes: Buffer.concat(this.#kept), isCut: this.#size > this.most };
    this.#kept = [];
    this.#size = 0;
    return line;
  }
}

/** What came of a request, in the terms of OpenAI's result lines. */
export interface RequestResult {
  customId: string;
  /** Null where there was no answer. */
  response: { status: number; body: unknown } | null;
  error: { code: string; message: string } | null;
}

/** Which of the two files of a batch a result belongs to. */
export function isSuccess({ response }: RequestResult): boolean {
  return response !== null && response.status >= 200 && response.status < 300;
}

/** A result line in OpenAI's format, with its end. */
export function resultLine({ customId, response, error }: RequestResult): Buffer {
  const line = {
    custom_id: customId,
    response: response === null ? null : { status_code: response.status, body: response.body },
    error,
  };
  return Buffer.from(`${JSON.stringify(line)}\n`);
}

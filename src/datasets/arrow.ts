/**
 * Arrow's IPC formats, record batch by record batch: the borders of messages are found here, so that no more than one
 * batch is in memory and no claim of the file is believed; apache-arrow reads what is inside.
 * @see https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
 */

import { closeSync, fstatSync } from 'node:fs';
import type * as ApacheArrow from 'apache-arrow';
import { messageOf, UserError } from '../lib/errors.js';
import { cooperativePause, openInput, readAt } from '../lib/files.js';
import { setOwn } from '../lib/json.js';
import { MOST_COLUMNS } from '../lib/json-scan.js';
import { noteDiscarded } from '../lib/memory.js';
import { sanitize } from '../lib/text.js';
import { arrowReader } from './arrow-values.js';
import type { FileFacts } from './parquet-messages.js';
import { NotText } from './parquet-values.js';

type Arrow = typeof ApacheArrow;

const MAGIC = 'ARROW1';
/** The magic and what fills it up to eight bytes. */
const FILE_START = 8;
/** The footer's length and the magic. */
const FILE_END = 10;
const CONTINUATION = 0xffffffff;
/** Schemas of thousands of columns have a megabyte. */
const LARGEST_METADATA_BYTES = 64 << 20;
/** `datasets` writes batches of 1,000 rows, pandas of 65,536; one of more than this is not read. */
const LARGEST_BATCH_BYTES = 1 << 30;
/** A row takes a bit at least, and compression makes little of many alike. */
const MOST_ROWS_A_BYTE = 1000;
const ROWS_BETWEEN_BREATHS = 1000;

/** A message of a file: metadata that says what it is, and a body. */
interface Message {
  kind: 'schema' | 'dictionary' | 'batch';
  /** Where its metadata begin, with what is before them. */
  start: number;
  bodyStart: number;
  bodyBytes: number;
  /** Of a batch. */
  rows: number;
}

/** What was found in a file, and what reads it. */
interface ScannedFile {
  arrow: Arrow;
  path: string;
  /** The file's name for messages. */
  title: string;
  messages: readonly Message[];
  columns: readonly string[];
  /** Called with the number of bytes that are going to be decoded. */
  onBytes: (bytes: number) => void;
}

/** A file whose messages were looked through. */
export class ArrowFile implements FileFacts {
  readonly columns: string[];
  readonly rows: number;
  readonly groups: number[];
  readonly isCut: boolean;

  private constructor(private readonly file: ScannedFile) {
    const { columns, messages } = file;
    this.isCut = columns.length > MOST_COLUMNS;
    this.columns = [...new Set(columns)].slice(0, MOST_COLUMNS);
    this.groups = messages.filter(({ kind }) => kind === 'batch').map(({ rows }) => rows);
    this.rows = this.groups.reduce((sum, rows) => sum + rows, 0);
  }

  /**
   * Finds the messages of a file and reads its schema.
   * @param title the file's name for messages
   * @param onBytes called with the number of bytes that are going to be decoded
   * @throws UserError where it is no Arrow file, or is damaged or incomplete
   */
  static async open(
    path: string,
    title: string,
    onBytes: (bytes: number) => void = () => undefined,
  ): Promise<ArrowFile> {
    const arrow = await import('apache-arrow');
    const { registerCodecs } = await import('./arrow-codecs.js');
    registerCodecs(arrow);
    const descriptor = openInput(path);
    try {
      const messages: Message[] = [];
      const pause = cooperativePause();
      for (const message of walk(arrow, descriptor)) {
        messages.push(message);
        await pause();
      }
      const [schema] = messages;
      if (schema?.kind !== 'schema') throw new Error('it does not begin with a schema');
      const reader = arrow.RecordBatchReader.from(bytesOf(descriptor, [schema], onBytes)).open();
      const columns = reader.schema.fields.map((field) => field.name);
      return new ArrowFile({ arrow, path, title, messages, columns, onBytes });
    } catch (error) {
      throw damaged(title, error);
    } finally {
      closeSync(descriptor);
    }
  }

  /** The rows from `start` (inclusive) to `end` (exclusive) with the given columns; those that the file lacks are left out. */
  async *read(
    columns: readonly string[],
    start: number,
    end: number,
  ): AsyncGenerator<Record<string, unknown>> {
    const wanted = columns.filter((column) => this.columns.includes(column));
    const descriptor = openInput(this.file.path);
    const pause = cooperativePause();
    try {
      let index = 0;
      const batches = this.#batches(descriptor, start, end);
      for (const { rows, batch } of batches) {
        if (batch === null) {
          index += rows;
          continue;
        }
        const readers = wanted.map((column) => ({ column, read: this.#reader(batch, column, rows) }));
        for (let row = 0; row < rows && index < end; row++, index++) {
          if (index < start) continue;
          yield this.#row(readers, row);
          if (row % ROWS_BETWEEN_BREATHS === 0) await pause();
        }
      }
    } catch (error) {
      throw damaged(this.file.title, error);
    } finally {
      closeSync(descriptor);
    }
  }

  /** The batches in order, decoded where they hold wanted rows, null elsewhere. */
  *#batches(descriptor: number, offset: number, end: number) {
    const batches: { rows: number; isWanted: boolean }[] = [];
    const needed: Message[] = [];
    let first = 0;
    for (const message of this.file.messages) {
      if (message.kind === 'batch') {
        const isWanted = first < end && first + message.rows > offset && message.rows > 0;
        batches.push({ rows: message.rows, isWanted });
        if (isWanted) needed.push(message);
        first += message.rows;
      } else if (first < end) needed.push(message);
    }
    const reader = this.file.arrow.RecordBatchReader.from(bytesOf(descriptor, needed, this.file.onBytes));
    for (const { rows, isWanted } of batches) {
      if (!isWanted) yield { rows, batch: null };
      else {
        const next = reader.next();
        if (next.done === true) throw new Error('it ends too early');
        yield { rows, batch: next.value };
      }
    }
  }

  #reader(batch: ApacheArrow.RecordBatch, column: string, rows: number): (row: number) => unknown {
    const place = batch.schema.fields.findIndex((field) => field.name === column);
    const data = batch.data.children[place];
    if (data === undefined || data.length < rows) throw new Error(`column ${column} is missing in a batch`);
    return arrowReader(this.file.arrow, data);
  }

  #row(readers: readonly { column: string; read: (row: number) => unknown }[], row: number) {
    const value: Record<string, unknown> = {};
    for (const { column, read } of readers) {
      try {
        setOwn(value, column, read(row));
      } catch (error) {
        if (error instanceof NotText)
          throw new UserError(
            `${this.file.title} cannot be read: "${sanitize(column, 60)}" is declared as text and holds other bytes.`,
          );
        throw error;
      }
    }
    return value;
  }
}

/** The messages of a file. @throws Error where one claims more than the file holds */
function* walk(arrow: Arrow, descriptor: number): Generator<Message> {
  const { size } = fstatSync(descriptor);
  const start = readAt(descriptor, 0, FILE_START).toString('latin1');
  if (start.startsWith('FEA1')) throw new Error('it is a Feather file of version 1; write version 2');
  const isFile = start.startsWith(MAGIC);
  const end = isFile ? endOfMessages(descriptor, size) : size;
  let rows = 0;
  for (let at = isFile ? FILE_START : 0; at < end;) {
    const prefix = readAt(descriptor, at, 8);
    if (prefix.length < 4) throw new Error('it ends too early');
    const isCurrent = prefix.readUInt32LE(0) === CONTINUATION;
    if (isCurrent && prefix.length < 8) throw new Error('it ends too early');
    // Before Arrow 0.15 there was only the length.
    const prefixBytes = isCurrent ? 8 : 4;
    const metadataBytes = prefix.readInt32LE(prefixBytes - 4);
    if (metadataBytes === 0) return;
    const bodyStart = at + prefixBytes + metadataBytes;
    if (metadataBytes < 0 || metadataBytes > LARGEST_METADATA_BYTES || bodyStart > end)
      throw new Error('a message claims more bytes than the file has');
    const message = arrow.Message.decode(freshBytes(descriptor, at + prefixBytes, metadataBytes));
    const bodyBytes = message.bodyLength;
    if (!Number.isSafeInteger(bodyBytes) || bodyBytes < 0 || bodyStart + bodyBytes > end)
      throw new Error('a message claims more bytes than the file has, or the file ends too early');
    if (bodyBytes > LARGEST_BATCH_BYTES)
      throw new Error('it has a record batch of more than a gigabyte; write it with smaller ones');
    const found: Message = { kind: kindOf(message), start: at, bodyStart, bodyBytes, rows: 0 };
    if (message.isRecordBatch()) {
      const header = message.header();
      found.rows = rowsOf(header);
    }
    rows += found.rows;
    if (rows > size * MOST_ROWS_A_BYTE) throw new Error(`it claims ${rows} rows`);
    yield found;
    at = bodyStart + bodyBytes;
  }
}

/** Where the messages of the file format end: before the footer, whose length is at the end. */
function endOfMessages(descriptor: number, size: number): number {
  const tail = readAt(descriptor, Math.max(0, size - FILE_END), FILE_END);
  if (tail.length < FILE_END || tail.toString('latin1', 4) !== MAGIC) throw new Error('it ends too early');
  const footerBytes = tail.readInt32LE(0);
  const end = size - FILE_END - footerBytes;
  if (footerBytes < 0 || end < FILE_START) throw new Error('its footer claims more bytes than the file has');
  return end;
}

function kindOf(message: ApacheArrow.Message): Message['kind'] {
  if (message.isSchema()) return 'schema';
  if (message.isDictionaryBatch()) return 'dictionary';
  if (message.isRecordBatch()) return 'batch';
  throw new Error('it has a message that is not part of a table');
}

function rowsOf(header: { length: number | bigint }): number {
  const rows = Number(header.length);
  if (!Number.isSafeInteger(rows) || rows < 0) throw new Error(`a record batch claims ${rows} rows`);
  return rows;
}

/** Messages as one stream: each body is a piece of its own, so that its numbers are aligned as they need to be. */
function* bytesOf(
  descriptor: number,
  messages: readonly Message[],
  onBytes: (bytes: number) => void,
): Generator<Uint8Array> {
  for (const { start, bodyStart, bodyBytes } of messages) {
    onBytes(bodyStart - start + bodyBytes);
    yield freshBytes(descriptor, start, bodyStart - start);
    if (bodyBytes > 0) yield freshBytes(descriptor, bodyStart, bodyBytes);
    noteDiscarded(bodyBytes);
  }
}

function freshBytes(descriptor: number, offset: number, length: number): Uint8Array {
  const buffer = Buffer.from(new ArrayBuffer(length));
  if (readAt(descriptor, offset, length, buffer).length < length) throw new Error('it ends too early');
  return new Uint8Array(buffer.buffer, 0, length);
}

function damaged(title: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  return new UserError(
    `${title} can't be read as Arrow: ${sanitize(messageOf(error), 200)}. It may be damaged or incomplete; download it again.`,
    undefined,
    { cause: error },
  );
}

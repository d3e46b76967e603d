/**
 * The process that decodes Parquet and Arrow. An untrusted file can make a decoder run out of memory or run for minutes; here
 * that ends this process and nothing else. A worker thread would not do: where V8 cannot allocate a large array, it
 * aborts the whole process, whatever the thread's own limits.
 *
 * Started by `parquet-process.ts`, which watches its memory and time.
 */

import { closeSync, statSync } from 'node:fs';
import type { AsyncBuffer } from 'hyparquet';
import { messageOf, UserError } from '../lib/errors.js';
import { openInput, readAt } from '../lib/files.js';
import { ExactNumber, setOwn } from '../lib/json.js';
import {
  forgetFirst,
  type Answer,
  type FileFacts,
  type FromDecoder,
  type ParquetSource,
  type Question,
  type ToDecoder,
} from './parquet-messages.js';
import { ParquetFile } from './parquet.js';
import { excessOfCells, ExcessiveRow } from './row-limits.js';

/** Rows and characters of one answer: enough that messages cost little, and little enough to hold. */
const ROWS_A_MESSAGE = 1000;
const CHARACTERS_A_MESSAGE = 1 << 19;

type Rows = AsyncGenerator<Record<string, unknown> | ExcessiveRow>;

/** An open file of either format. */
interface DecodedFile extends FileFacts {
  read: (columns: readonly string[], start: number, end: number) => Rows;
}

class Decoder {
  readonly #files = new Map<number, DecodedFile>();
  #reading: { rows: Rows; columns: string[] } | null = null;
  /** Bytes read since the last rows were sent. */
  #bytes = 0;
  #place = '';
  /** What waits for bytes from the program. */
  #onBytes: ((bytes: Uint8Array) => void) | null = null;
  #turn: Promise<void> = Promise.resolve();

  receive(message: ToDecoder): void {
    if (message.kind === 'bytes') {
      this.#onBytes?.(message.bytes);
      this.#onBytes = null;
      return;
    }
    const { number } = message;
    this.#turn = this.#turn.then(async () => {
      tell({ ...(await this.#answer(message)), number });
    });
  }

  async #answer(question: Question): Promise<Answer> {
    try {
      switch (question.kind) {
        case 'open':
          return await this.#open(question);
        case 'read':
          return this.#read(question);
        case 'next':
          return await this.#next();
      }
    } catch (error) {
      // Anything but a message of our own means that the decoder cannot cope with the file.
      const message =
        error instanceof UserError ? error.message : `A file cannot be decoded: ${messageOf(error)}.`;
      return { kind: 'refused', message };
    }
  }

  async #open(question: Extract<Question, { kind: 'open' }>): Promise<Answer> {
    const { file } = question;
    this.#at('its metadata');
    const opened = await this.#opened(question);
    this.#files.set(file, opened);
    forgetFirst(this.#files);
    const { columns, rows, groups, isCut } = opened;
    return { kind: 'opened', columns, rows, groups, isCut };
  }

  async #opened({ file, source, title, format }: Extract<Question, { kind: 'open' }>): Promise<DecodedFile> {
    if (format === 'Arrow') {
      if (!('path' in source)) throw new Error('an Arrow file without a path');
      const { ArrowFile } = await import('./arrow.js');
      return ArrowFile.open(source.path, title, (bytes) => {
        this.#count(bytes);
      });
    }
    const onPlace = (place: string): void => {
      this.#at(place);
    };
    return ParquetFile.open(this.#buffer(file, source), title, { onPlace });
  }

  #read({ file, columns, start, end }: Extract<Question, { kind: 'read' }>): Answer {
    const opened = this.#files.get(file);
    if (opened === undefined) throw new Error('a file that is not open');
    const known = columns.filter((column) => opened.columns.includes(column));
    this.#reading = { rows: opened.read(known, start, end), columns: known };
    return { kind: 'started' };
  }

  async #next(): Promise<Answer> {
    if (this.#reading === null) throw new Error('no file is being read');
    const { rows, columns } = this.#reading;
    const cells: (unknown[] | string)[] = [];
    let characters = 0;
    let ended = false;
    while (!ended && cells.length < ROWS_A_MESSAGE && characters < CHARACTERS_A_MESSAGE) {
      const next = await rows.next();
      if (next.done === true) ended = true;
      else if (next.value instanceof ExcessiveRow) cells.push(next.value.problem);
      else {
        const { value } = next;
        const row = columns.map((column) => value[column]);
        const excess = excessOfCells(row, columns);
        if (excess === null) for (const cell of row) characters += sizeOf(cell);
        cells.push(excess ?? row.map(packed));
      }
    }
    this.#bytes = 0;
    return { kind: 'rows', columns, rows: cells, size: characters, ended };
  }

  #buffer(file: number, source: ParquetSource): AsyncBuffer {
    return 'path' in source
      ? this.#localBuffer(source.path)
      : { byteLength: source.size, slice: (start, end = source.size) => this.#range(file, start, end) };
  }

  /** Is open only while it is read: a dataset may have thousands of files, and one that was unpacked gives its space back. */
  #localBuffer(path: string): AsyncBuffer {
    const { size } = statSync(path);
    const slice = (start: number, end = size): ArrayBuffer => {
      // What a damaged file says of itself may point anywhere.
      const from = Math.min(Math.max(0, start), size);
      const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - from));
      this.#count(bytes.length);
      const descriptor = openInput(path);
      try {
        const filled = readAt(descriptor, from, bytes.length, Buffer.from(bytes.buffer));
        return filled.length === bytes.length ? bytes.buffer : bytes.buffer.slice(0, filled.length);
      } finally {
        closeSync(descriptor);
      }
    };
    return { byteLength: size, slice };
  }

  async #range(file: number, start: number, end: number): Promise<ArrayBuffer> {
    const bytes = await new Promise<Uint8Array>((resolve) => {
      this.#onBytes = resolve;
      tell({ kind: 'range', file, start, end });
    });
    this.#count(bytes.length);
    // Messages share a larger buffer.
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    tell({ kind: 'place', place: this.#place, bytes: this.#bytes });
  }

  #at(place: string): void {
    if (place === this.#place) return;
    this.#place = place;
    tell({ kind: 'place', place, bytes: this.#bytes });
  }
}

/** Numbers that keep their spelling lose their class between processes: they travel as maps, which no cell is. */
function packed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return value;
  if (value instanceof ExactNumber) return new Map([['exact', value.text]]);
  if (Array.isArray(value)) return value.map(packed);
  const copy: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) setOwn(copy, name, packed(inner));
  return copy;
}

function sizeOf(cell: unknown): number {
  if (typeof cell === 'string') return cell.length;
  if (typeof cell !== 'object' || cell === null) return 8;
  if (cell instanceof Uint8Array) return cell.length;
  let size = 16;
  for (const inner of Object.values(cell)) size += sizeOf(inner);
  return size;
}

function tell(message: FromDecoder): void {
  process.send?.(message);
}

const decoder = new Decoder();
process.on('message', (message: ToDecoder) => {
  decoder.receive(message);
});
process.on('disconnect', () => process.exit());
// Ctrl-C reaches every process of the terminal's group; whether to stop is the program's decision.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => undefined);

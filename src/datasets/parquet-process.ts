/**
 * Parquet and Arrow files, decoded in a process of their own, so that none of them can take the program down: its memory is
 * bounded by the bytes that it really read, silence ends it, and a signal takes effect at once, whatever it is doing.
 */

import { fork, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { UserError } from '../lib/errors.js';
import { ExactNumber, setOwn } from '../lib/json.js';
import { noteDiscarded } from '../lib/memory.js';
import { packageFile } from '../lib/package.js';
import { sanitize } from '../lib/text.js';
import type { RowSelection, SourceRow } from '../types.js';
import {
  forgetFirst,
  type Answer,
  type DecodedFormat,
  type FileFacts,
  type FromDecoder,
  type ParquetSource,
  type Question,
  type ToDecoder,
} from './parquet-messages.js';
import { ExcessiveRow } from './row-limits.js';

/** Memory of the decoder whatever the file; Node itself takes 50 MB of it. */
const FREE_MEMORY = 256 << 20;
/** Bytes of memory for each byte of a file that was read for the next rows. */
const MEMORY_A_BYTE = 16;
const LARGEST_SHARE = 0.75;
const WATCH_MS = 20;
/** Rows of one message are rarely larger: what few large ones leave behind would pile up to hundreds of megabytes. */
const LARGE_ROWS_BYTES = 1 << 20;
/** What a number takes here beside its eight bytes in the file: as it came, as it is unpacked, and as text. */
const MEMORY_OF_VALUES = 6;
/** How long a decoder is kept that has nothing to do. */
const IDLE_MS = 2000;
/** The longest that decoding may be silent. Hundreds of megabytes of nested columns take about ten seconds. */
const SILENCE_MS = 120_000;

/** Where a file's bytes come from: a local path, or ranges of something farther away. */
export type ParquetOrigin =
  | { path: string; size: number }
  /** @throws UserError where the bytes can't be had */
  | { size: number; range: (start: number, end: number) => Promise<ArrayBuffer> };

/** An open file. */
export interface ParquetTable extends FileFacts {
  /** The rows from `start` (inclusive) to `end` (exclusive), with those of the given columns that the file has. */
  read(
    columns: readonly string[],
    start: number,
    end: number,
    signal?: AbortSignal,
  ): AsyncIterable<Record<string, unknown> | ExcessiveRow>;
}

interface Registered {
  origin: ParquetOrigin;
  title: string;
  format: DecodedFormat;
}

/** What is waited for. */
interface Waiting {
  number: number;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

/** One decoder for the files of a dataset, which are read one after the other. */
export class ParquetProcess {
  readonly #files: Registered[] = [];
  readonly #silence: number;
  #child: ChildProcess | null = null;
  #waiting: Waiting | null = null;
  #number = 0;
  /** Files that the present child has open. */
  #opened = new Set<number>();
  #file = 0;
  #place = '';
  /** The most bytes that were read between two messages of rows: what pages in use may have come from. */
  #largestStretch = 0;
  #lastWord = 0;
  #isFetching = false;
  #isReading = false;
  #idle: NodeJS.Timeout | undefined;

  /** @param silence milliseconds for which decoding may be silent */
  constructor(silence = SILENCE_MS) {
    this.#silence = silence;
  }

  /**
   * Opens a file.
   * @param title the file's name for messages
   * @throws UserError where it is not a file of the format, is damaged, or claims more than it holds
   */
  async open(
    origin: ParquetOrigin,
    title: string,
    signal?: AbortSignal,
    format: DecodedFormat = 'Parquet',
  ): Promise<ParquetTable> {
    const file = this.#files.push({ origin, title, format }) - 1;
    const { columns, rows, groups, isCut } = await this.#open(file, signal);
    return {
      columns,
      rows,
      groups,
      isCut,
      read: (wanted, start, end, readSignal) => this.#read(file, { columns: wanted, start, end }, readSignal),
    };
  }

  async #open(file: number, signal?: AbortSignal): Promise<Extract<Answer, { kind: 'opened' }>> {
    const { origin, title, format } = this.#registered(file);
    const source: ParquetSource = 'path' in origin ? { path: origin.path } : { size: origin.size };
    const answer = await this.#ask({ kind: 'open', file, source, title, format }, file, signal);
    this.#opened.add(file);
    forgetFirst(this.#opened);
    return expected(answer, 'opened');
  }

  async *#read(
    file: number,
    { columns, start, end }: { columns: readonly string[]; start: number; end: number },
    signal?: AbortSignal,
  ): AsyncGenerator<Record<string, unknown> | ExcessiveRow> {
    if (this.#child === null || !this.#opened.has(file)) await this.#open(file, signal);
    this.#isReading = true;
    let next: Promise<Answer> | null = null;
    try {
      await this.#ask({ kind: 'read', file, columns, start, end }, file, signal);
      next = this.#next(file, signal);
      while (next !== null) {
        const chunk: Extract<Answer, { kind: 'rows' }> = expected(await next, 'rows');
        // The next rows are decoded while these are used.
        next = chunk.ended ? null : this.#next(file, signal);
        if (chunk.size > LARGE_ROWS_BYTES) noteDiscarded(chunk.size * MEMORY_OF_VALUES);
        for (const cells of chunk.rows) {
          signal?.throwIfAborted();
          yield typeof cells === 'string' ? new ExcessiveRow(cells) : rowOf(chunk.columns, cells);
        }
      }
    } finally {
      // A reader that stops early leaves rows behind that are still on their way.
      if (next !== null) this.#end(new Error('no more rows are wanted'));
      this.#isReading = false;
      this.#rest();
    }
  }

  /** A decoder without work ends after a while, and another is started where there is some again. */
  #rest(): void {
    clearTimeout(this.#idle);
    if (this.#child === null || this.#isReading) return;
    this.#idle = setTimeout(() => {
      if (!this.#isReading && this.#waiting === null) this.#end(null);
    }, IDLE_MS).unref();
  }

  #next(file: number, signal: AbortSignal | undefined): Promise<Answer> {
    const rows = this.#ask({ kind: 'next' }, file, signal);
    rows.catch(() => undefined);
    return rows;
  }

  #registered(file: number): Registered {
    const registered = this.#files[file];
    if (registered === undefined) throw new Error('a file that was never opened');
    return registered;
  }

  async #ask(question: Question, file: number, signal: AbortSignal | undefined): Promise<Answer> {
    signal?.throwIfAborted();
    const { origin } = this.#registered(file);
    this.#file = file;
    const child = (this.#child ??= this.#start(origin.size));
    const number = ++this.#number;
    const stop = (): void => {
      this.#end(signal?.reason);
    };
    signal?.addEventListener('abort', stop, { once: true });
    const watch = setInterval(() => {
      this.#watch();
    }, WATCH_MS);
    hold(child, true);
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        this.#waiting = { number, resolve, reject };
        this.#lastWord = performance.now();
        send(child, { ...question, number });
      });
      if (answer.kind === 'refused') throw new UserError(answer.message);
      return answer;
    } finally {
      clearInterval(watch);
      signal?.removeEventListener('abort', stop);
      hold(child, false);
      this.#rest();
    }
  }

  #start(size: number): ChildProcess {
    const heap = Math.floor(mostMemory(size) / (1 << 20));
    const child = fork(decoderProgram(), [], {
      // It needs no secrets, and is to print nothing.
      env: processEnvironment(),
      execArgv: [`--max-old-space-size=${heap}`],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#opened = new Set();
    this.#largestStretch = 0;
    const kill = (): void => {
      child.kill('SIGKILL');
    };
    process.once('exit', kill);
    child.on('message', (message) => {
      if (child === this.#child) this.#receive(message as FromDecoder, child);
    });
    child.on('error', (error) => {
      if (child === this.#child) this.#end(this.#problem(`its decoder did not start: ${error.message}`));
    });
    child.on('exit', (code, killedBy) => {
      process.off('exit', kill);
      if (child !== this.#child) return;
      const isMemory = killedBy === 'SIGABRT' || code === 134;
      this.#end(
        isMemory ? this.#tooMuch() : this.#problem(`its decoder ended (${killedBy ?? `code ${code ?? 0}`})`),
      );
    });
    return child;
  }

  #receive(message: FromDecoder, child: ChildProcess): void {
    this.#lastWord = performance.now();
    switch (message.kind) {
      case 'place':
        this.#place = message.place;
        this.#largestStretch = Math.max(this.#largestStretch, message.bytes);
        return;
      case 'range':
        void this.#serve(message, child);
        return;
      case 'started':
      case 'opened':
      case 'rows':
      case 'refused': {
        const waiting = this.#waiting;
        if (waiting?.number !== message.number) return;
        this.#waiting = null;
        waiting.resolve(message);
      }
    }
  }

  async #serve(
    { file, start, end }: Extract<FromDecoder, { kind: 'range' }>,
    child: ChildProcess,
  ): Promise<void> {
    const { origin, title } = this.#registered(file);
    this.#isFetching = true;
    try {
      if (!('range' in origin)) throw new Error('a local file is read by its decoder');
      if (!(start >= 0 && start < end && end <= origin.size)) {
        throw new UserError(`${title} can't be read as Parquet: it points beyond its own end.`);
      }
      const bytes = await origin.range(start, end);
      if (child === this.#child) send(child, { kind: 'bytes', bytes: new Uint8Array(bytes) });
    } catch (error) {
      if (child === this.#child) this.#end(error);
    } finally {
      this.#isFetching = false;
      this.#lastWord = performance.now();
    }
  }

  /** Ends a decoder that has grown beyond what the file justifies, or has gone silent. */
  #watch(): void {
    const { pid } = this.#child ?? {};
    if (pid === undefined) return;
    if (residentMemory(pid) > mostMemory(this.#largestStretch)) this.#end(this.#tooMuch());
    else if (!this.#isFetching && performance.now() - this.#lastWord > this.#silence) {
      this.#end(
        this.#problem(
          `decoding ${this.#place === '' ? 'it' : this.#place} took more than ${Math.round(this.#silence / 1000)} s`,
        ),
      );
    }
  }

  #tooMuch(): UserError {
    return this.#problem(`${this.#place} needs far more memory than its bytes justify`);
  }

  #problem(reason: string): UserError {
    const { title, format } = this.#registered(this.#file);
    return new UserError(
      `${title} can't be read as ${format}: ${sanitize(reason, 300)}. It may be damaged or malicious; download it again, or write it ` +
        `with smaller ${format === 'Arrow' ? 'record batches' : 'row groups'}.`,
    );
  }

  /** Ends the decoder; pending calls are rejected with the reason. */
  #end(reason: unknown): void {
    const child = this.#child;
    const waiting = this.#waiting;
    this.#child = null;
    this.#waiting = null;
    child?.kill('SIGKILL');
    waiting?.reject(reason);
  }
}

function expected<Kind extends Answer['kind']>(answer: Answer, kind: Kind): Extract<Answer, { kind: Kind }> {
  if (answer.kind !== kind) throw new Error(`the decoder answered ${answer.kind}, not ${kind}`);
  return answer as Extract<Answer, { kind: Kind }>;
}

/** @param bytes that were read of the file */
function mostMemory(bytes: number): number {
  return Math.max(FREE_MEMORY, Math.min(FREE_MEMORY + MEMORY_A_BYTE * bytes, LARGEST_SHARE * totalmem()));
}

/** Bytes of memory that a process has; 0 where the system does not say, and then its heap's own limit holds alone. */
function residentMemory(pid: number): number {
  if (process.platform !== 'linux') return 0;
  try {
    const kilobytes = /^VmRSS:\s{1,20}(\d{1,15}) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Built, it lies beside this file; tests that run from source use the built one. */
function decoderProgram(): string {
  const beside = fileURLToPath(new URL('parquet-decoder.js', import.meta.url));
  return existsSync(beside) ? beside : packageFile('dist/parquet-decoder.js');
}

function processEnvironment(): NodeJS.ProcessEnv {
  const { PATH, SystemRoot, TZ } = process.env;
  return Object.fromEntries(
    Object.entries({ PATH, SystemRoot, TZ }).filter(([, value]) => value !== undefined),
  );
}

/** Whether the program stays alive for a decoder: only while it waits for one. */
function hold(child: ChildProcess, isAwaited: boolean): void {
  if (isAwaited) {
    child.ref();
    child.channel?.ref();
  } else {
    child.unref();
    child.channel?.unref();
  }
}

/** A child that has ended is noticed by its `exit`. */
function send(child: ChildProcess, message: ToDecoder): void {
  if (child.connected) child.send(message, () => undefined);
}

/** A row with its own properties, whatever their names. */
function rowOf(columns: readonly string[], cells: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const [place, column] of columns.entries()) setOwn(row, column, unpacked(cells[place]));
  return row;
}

/** The numbers that keep their spelling, again as what they were. */
function unpacked(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (value instanceof Map) return new ExactNumber(String(value.get('exact')));
  for (const [name, inner] of Object.entries(value)) {
    if (typeof inner === 'object') setOwn(value as Record<string, unknown>, name, unpacked(inner));
  }
  return value;
}

/** The first rows of all row groups of some files, which can be read without those before them. */
export function groupStarts(files: readonly ParquetTable[]): number[] {
  const starts: number[] = [];
  let row = 0;
  for (const rows of files.flatMap((file) => file.groups)) {
    starts.push(row);
    row += rows;
  }
  return starts;
}

/** The selected rows of several files that follow each other. */
export async function* readParquetFiles(
  files: readonly ParquetTable[],
  { columns, offset, limit, signal }: RowSelection,
): AsyncGenerator<SourceRow> {
  const end = limit === null ? Infinity : offset + limit;
  let fileStart = 0;
  for (const file of files) {
    let index = Math.max(offset, fileStart);
    const last = Math.min(end - fileStart, file.rows);
    if (index < end && index < fileStart + file.rows) {
      for await (const value of file.read(columns, index - fileStart, last, signal)) {
        yield value instanceof ExcessiveRow
          ? { index, problem: `row ${index} ${value.problem}` }
          : { index, value };
        index += 1;
      }
    }
    fileStart += file.rows;
  }
}

/** Appends to the journal, and saves what arrived if the journal was deleted. */

import { closeSync, existsSync, fdatasync, fdatasyncSync, fstatSync, ftruncateSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { UserError } from '../lib/errors.js';
import { holdsLock, rescuePath } from '../lib/fence.js';
import { fileProblem, makeFolder, openFile, readAt, writeAll } from '../lib/files.js';
import type { JobPart } from '../requests/processor.js';
import { SEGMENT_SPAN, type LinePlace } from './journal-index.js';
import { FILTERED_MARK } from './journal-line.js';
import { partSuffix } from './line-part.js';
import { originFields, type Origin } from './origin.js';

const SYNC_INTERVAL_MS = 1000;
const INITIAL_BUFFER_BYTES = 1 << 18;
const COMMA = 0x2c;
const OPENING_BRACKET = 0x5b;

/** The journal is no longer where it was opened: its folder was deleted, moved or replaced. */
export class JournalGone extends UserError {}

/** What a line is about. */
export interface LineSubject {
  row: number;
  /** Absent for the row as a whole. */
  part?: JobPart | undefined;
  /** Null, or absent, for the answer to the row's unchanged job. */
  origin?: Origin | null;
}

/** Why a row has no answer. */
export interface RowFailure {
  errors: readonly string[];
  /** True where a provider's filter refused it. */
  filtered: boolean;
}

/**
 * Appends to the journal. What arrives in one turn of the event loop goes to the file in one write at its end, well
 * within 50 ms, and is forced to disk at least every second.
 */
export class JournalWriter {
  #descriptor: number;
  #buffer = Buffer.allocUnsafe(INITIAL_BUFFER_BYTES);
  #used = 0;
  /** Bytes of the file that are known to be whole lines. */
  #written: number;
  /** The origin of the last copy, and how its line's metadata begin. */
  #origin: { origin: Origin; fields: Buffer } | null = null;
  #scheduled = false;
  #dirty = false;
  #syncing = false;
  #failure: unknown = null;
  #closed = false;
  /** True once lines go to a file of their own, because the journal is another process's by now. */
  #isDiverted = false;
  readonly #timer: NodeJS.Timeout;
  /** Where the file starts among those of its journal. */
  readonly #base: number;

  /**
   * @param path an existing journal is continued at its end
   * @param onFailure called once when the file can't be written; what is not written stays in memory for `close`
   * @param segment the file's number where the journal has several; no other process ever appends to this one
   */
  constructor(
    readonly path: string,
    private readonly onFailure: (error: Error) => void,
    private readonly segment: number | null = null,
  ) {
    try {
      // Readable, so that it can be saved where its folder is deleted.
      this.#descriptor = openFile(path, 'append and read');
      this.#written = fstatSync(this.#descriptor).size;
    } catch (error) {
      throw fileProblem(error, `write ${path}`);
    }
    this.#base = (segment ?? 0) * SEGMENT_SPAN;
    this.#timer = setInterval(this.#sync, SYNC_INTERVAL_MS);
    this.#timer.unref();
  }

  /**
   * Appends a line of which request and response are JSON already. Returns its place.
   */
  appendAnswer(request: Buffer, response: Buffer, { row, part, origin = null }: LineSubject): LinePlace {
    if (origin !== null)
      return this.appendCopy(Buffer.concat([request, Buffer.of(COMMA), response]), { row, part, origin });
    const end = `,{"request_idx":${row}${partSuffix(part)}}]\n`;
    const length = 1 + request.length + 1 + response.length + end.length;
    this.#reserve(length);
    const offset = this.#base + this.#written + this.#used;
    this.#buffer[this.#used++] = OPENING_BRACKET;
    this.#used += request.copy(this.#buffer, this.#used);
    this.#buffer[this.#used++] = COMMA;
    this.#used += response.copy(this.#buffer, this.#used);
    this.#used += this.#buffer.write(end, this.#used, 'latin1');
    this.#schedule();
    return { offset, length: length - 1 };
  }

  /**
   * Appends a line that another row, or another run, has already. Returns its place.
   * @param content the request and its response as they are in that line, without the brackets around them
   */
  appendCopy(content: Buffer, { row, part, origin }: LineSubject & { origin: Origin }): LinePlace {
    const fields = this.#fieldsOf(origin);
    const end = `${row}${partSuffix(part)}}]\n`;
    const length = 1 + content.length + fields.length + end.length;
    this.#reserve(length);
    const offset = this.#base + this.#written + this.#used;
    this.#buffer[this.#used++] = OPENING_BRACKET;
    this.#used += content.copy(this.#buffer, this.#used);
    this.#used += fields.copy(this.#buffer, this.#used);
    this.#used += this.#buffer.write(end, this.#used, 'latin1');
    this.#schedule();
    return { offset, length: length - 1 };
  }

  /** What comes before the row's number; lines of one origin follow each other. */
  #fieldsOf(origin: Origin): Buffer {
    if (this.#origin?.origin !== origin) {
      const fields = JSON.stringify({ ...originFields(origin), request_idx: 0 }).slice(0, -2);
      this.#origin = { origin, fields: Buffer.from(`,${fields}`) };
    }
    return this.#origin.fields;
  }

  /** Appends a row that failed permanently. */
  appendFailure(request: Buffer, { errors, filtered }: RowFailure, subject: LineSubject): LinePlace {
    const listed = filtered ? [...errors, FILTERED_MARK] : errors;
    return this.appendAnswer(request, Buffer.from(JSON.stringify(listed), 'utf8'), subject);
  }

  #reserve(length: number): void {
    if (this.#used + length <= this.#buffer.length) return;
    if (this.#failure === null) this.flush();
    if (this.#used + length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#used + length));
    this.#buffer.copy(larger, 0, 0, this.#used);
    this.#buffer = larger;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#failure === null) this.flush();
    });
  }

  /** Writes what is collected; after a failure only `close` tries again. */
  flush(): void {
    if (this.#used === 0) return;
    try {
      if (!holdsLock()) this.#divert();
      this.#write();
      this.#written += this.#used;
      this.#used = 0;
      this.#dirty = true;
    } catch (error) {
      this.#failure = error;
      this.#undoPartialWrite();
      this.onFailure(fileProblem(error, `write ${this.path}`));
    }
  }

  #write(): void {
    const bytes = this.#buffer.subarray(0, this.#used);
    writeAll(this.#descriptor, bytes);
    if (!this.#isDiverted || fstatSync(this.#descriptor).nlink > 0) return;
    // A later run has taken the file in and removed it, perhaps before these lines: in a new one they are not lost.
    this.#openRescue();
    writeAll(this.#descriptor, bytes);
  }

  #openRescue(): void {
    closeSync(this.#descriptor);
    this.#descriptor = openFile(rescuePath(this.path), 'append');
    this.#written = fstatSync(this.#descriptor).size;
  }

  /** What came after another process took the run over is paid for, and the journal is no longer this one's to write. */
  #divert(): void {
    // A deleted journal is saved as a whole when it is closed. A segment stays this process's.
    if (this.#isDiverted || this.segment !== null || !this.#isInPlace()) return;
    this.#isDiverted = true;
    this.#openRescue();
  }

  /** A full disk may take half a line; the file ends with whole lines again. */
  #undoPartialWrite(): void {
    try {
      ftruncateSync(this.#descriptor, this.#written);
    } catch {
      // The next start cuts the torn line.
    }
  }

  readonly #sync = (): void => {
    if (this.#failure === null && !this.#isInPlace()) {
      this.#failure = new JournalGone(`${dirname(this.path)} was deleted, moved or replaced.`);
      this.onFailure(this.#failure as Error);
      return;
    }
    if (!this.#dirty || this.#syncing) return;
    this.#dirty = false;
    this.#syncing = true;
    fdatasync(this.#descriptor, (error) => {
      this.#syncing = false;
      if (error !== null && !this.#closed && this.#failure === null) {
        this.#failure = error;
        this.onFailure(fileProblem(error, `write ${this.path}`));
      }
    });
  };

  /**
   * Writes and syncs the rest and closes the file.
   * @throws UserError where answers could not be written: they are lost, and will be asked again
   */
  close(): void {
    clearInterval(this.#timer);
    this.#closed = true;
    try {
      if (this.#used > 0 && !holdsLock()) this.#divert();
      // Space may have been freed since the failure.
      this.#write();
      this.#used = 0;
      fdatasyncSync(this.#descriptor);
      if (!this.#isInPlace()) throw this.#rescue();
    } catch (error) {
      if (error instanceof UserError) throw error;
      this.#undoPartialWrite();
      throw fileProblem(error, `write ${this.path}`);
    } finally {
      closeSync(this.#descriptor);
    }
  }

  /** Whether the path still leads to the open file; true where that cannot be known. */
  #isInPlace(): boolean {
    if (this.#isDiverted) return true;
    try {
      const own = fstatSync(this.#descriptor);
      const found = statSync(this.path, { throwIfNoEntry: false });
      return found?.ino === own.ino && found.dev === own.dev;
    } catch {
      return true;
    }
  }

  /**
   * Saves what a deleted journal held, which is paid for: an open file can be read until it is closed. A journal that
   * was only moved is safe where it is.
   */
  #rescue(): JournalGone {
    const folder = dirname(this.path);
    // A worker of a plan resumes without being asked to, and knows no such flag.
    const resuming = this.segment === null ? ' with --resume' : '';
    if (fstatSync(this.#descriptor).nlink > 0) {
      return new JournalGone(
        `${folder} was moved or replaced while this run used it. Every answer so far is in the moved folder: move it ` +
          `back to ${folder}, then run the command again${resuming}.`,
      );
    }
    if (fstatSync(this.#descriptor).size === 0)
      return new JournalGone(
        `${folder} was deleted while this run used it. No answer was lost; start the run again.`,
      );
    makeFolder(folder);
    const isFree = !existsSync(this.path);
    const target = isFree ? this.path : `${folder}.rescued-${process.pid}-${Date.now()}.jsonl`;
    this.#copyTo(target);
    const next = isFree
      ? `Run the command again${resuming}; no answer is paid for twice.`
      : `Another run uses that folder now. To continue, add the file to ${basename(this.path)} in a folder of its own.`;
    return new JournalGone(
      `${folder} was deleted or replaced while this run used it. Every answer so far was saved to ${target}. ${next}`,
    );
  }

  #copyTo(path: string): void {
    const target = openFile(path, 'create');
    try {
      const { size } = fstatSync(this.#descriptor);
      const buffer = Buffer.allocUnsafe(INITIAL_BUFFER_BYTES);
      for (let offset = 0; offset < size;) {
        const part = readAt(this.#descriptor, offset, Math.min(buffer.length, size - offset), buffer);
        if (part.length === 0) break;
        writeAll(target, part);
        offset += part.length;
      }
      fdatasyncSync(target);
    } finally {
      closeSync(target);
    }
  }
}

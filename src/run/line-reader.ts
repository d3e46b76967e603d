/** Reads single lines of a journal by their places. */

import { closeSync, existsSync } from 'node:fs';
import { openFile, readAt } from '../lib/files.js';
import { SEGMENT_SPAN, type JournalSource, type LinePlace } from './journal.js';

export class LineReader {
  /** Of the journal's files, by their numbers. */
  readonly #descriptors = new Map<number, number>();

  /** @param source the journal, which need not exist; lines that are appended later can be read as well */
  constructor(private readonly source: JournalSource) {}

  /** The line at a place; empty if its file is missing. */
  read({ offset, length }: LinePlace): Buffer {
    const descriptor = this.#open(Math.floor(offset / SEGMENT_SPAN));
    return descriptor === null ? Buffer.alloc(0) : readAt(descriptor, offset % SEGMENT_SPAN, length);
  }

  #open(number: number): number | null {
    const known = this.#descriptors.get(number);
    if (known !== undefined) return known;
    const { source } = this;
    const path = typeof source === 'string' ? source : source.find((one) => one.number === number)?.path;
    if (path === undefined || !existsSync(path)) return null;
    const descriptor = openFile(path, 'read');
    this.#descriptors.set(number, descriptor);
    return descriptor;
  }

  close(): void {
    for (const descriptor of this.#descriptors.values()) closeSync(descriptor);
    this.#descriptors.clear();
  }
}

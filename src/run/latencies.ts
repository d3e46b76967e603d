/**
 * How long each answer took, for the report: `latencies.csv` beside the journal, one line for each answer. A run
 * does not need it: a crash may lose its last seconds, and if it cannot be written, only the recording ends.
 */

import { closeSync, existsSync, fstatSync } from 'node:fs';
import { join } from 'node:path';
import { endOfLine, openFile, readAt, readBlocks, writeAll } from '../lib/files.js';
import { holdsLock } from '../lib/fence.js';
import type { JobPart } from '../requests/processor.js';

/** The file in a folder of working files, a shard's included. */
export function latenciesIn(folder: string): string {
  return join(folder, 'latencies.csv');
}

const HEADER = 'request_idx,part,milliseconds\n';
const NEWLINE = 0x0a;
/** Longer lines are not this file's. */
const LONGEST_LINE = 80;
const LINE = /^(\d{1,15}),(\d{0,15}),(\d{1,12})$/;

/** Appends to a run's `latencies.csv`. Nothing reaches the disk before `flush`. */
export class LatencyLog {
  #lines = '';
  #isBroken = false;

  /** @param path null where nothing is recorded */
  constructor(private readonly path: string | null) {
    this.#isBroken = path === null;
  }

  /**
   * Notes an answer.
   * @param part which of the row's requests it answers; absent where the row takes one
   * @param milliseconds from sending the request to the end of its answer
   */
  note(row: number, part: JobPart | undefined, milliseconds: number): void {
    if (!this.#isBroken) this.#lines += `${row},${part?.number ?? ''},${Math.round(milliseconds)}\n`;
  }

  /** Writes what was noted, unless another process has taken over the run. */
  flush(): void {
    if (this.#isBroken || this.path === null || this.#lines === '') return;
    try {
      if (holdsLock()) append(this.path, this.#lines);
      this.#lines = '';
    } catch {
      // On a full disk the journal fails as well, which ends the run with a message.
      this.#isBroken = true;
      this.#lines = '';
    }
  }
}

function append(path: string, lines: string): void {
  const descriptor = openFile(path, 'append and read');
  try {
    writeAll(descriptor, Buffer.from(startOfAppended(descriptor) + lines));
  } finally {
    closeSync(descriptor);
  }
}

/** The header of a new file; the end of a last line that a crash cut. */
function startOfAppended(descriptor: number): string {
  const { size } = fstatSync(descriptor);
  if (size === 0) return HEADER;
  return readAt(descriptor, size - 1, 1)[0] === NEWLINE ? '' : '\n';
}

/**
 * Reads how long the answers to some rows took. Of a row with several requests it is the sum of them, and of a request
 * that was answered several times the last one counts.
 * @param isWanted rows are counted as in the file
 * @returns milliseconds by row; rows without a line are missing
 */
export function readLatencies(folder: string, isWanted: (row: number) => boolean): Map<number, number> {
  const parts = new Map<number, Map<string, number>>();
  const path = latenciesIn(folder);
  if (!existsSync(path)) return new Map();
  for (const { bytes } of readBlocks(path, LONGEST_LINE)) {
    for (let start = 0; start < bytes.length;) {
      const end = endOfLine(bytes, start);
      const found = parseLatency(bytes.subarray(start, end));
      start = end + 1;
      if (found === null || !isWanted(found.row)) continue;
      const own = parts.get(found.row) ?? new Map<string, number>();
      parts.set(found.row, own.set(found.part, found.milliseconds));
    }
  }
  return new Map([...parts].map(([row, own]) => [row, sumOf([...own.values()])]));
}

/** One line, parsed; null for the header and for a damaged line. */
export function parseLatency(line: Buffer): { row: number; part: string; milliseconds: number } | null {
  const found = line.length > LONGEST_LINE ? null : LINE.exec(line.toString('latin1'));
  return found === null
    ? null
    : { row: Number(found[1]), part: found[2] ?? '', milliseconds: Number(found[3]) };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

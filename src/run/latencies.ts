/**
 * When each request was sent and how long its answer took, for the report: `latencies.csv` beside the journal, one line for
 * each answer. A run does not need it: a crash may lose its last seconds, and if it cannot be written, only the recording
 * ends.
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

const HEADER = 'request_idx,part,milliseconds,sent_at\n';
const NEWLINE = 0x0a;
/** Longer lines are not this file's. */
const LONGEST_LINE = 80;
/** Runs of earlier versions have no time of sending. */
const LINE = /^(\d{1,15}),(\d{0,15}),(\d{1,12})(?:,(\d{1,15}))?$/;

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
   * @param milliseconds from sending the request to the end of its answer, which is now
   * @param now in milliseconds since 1970
   */
  note(row: number, part: JobPart | undefined, milliseconds: number, now: number): void {
    if (this.#isBroken) return;
    const taken = Math.round(milliseconds);
    this.#lines += `${row},${part?.number ?? ''},${taken},${Math.round(now) - taken}\n`;
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

/** One line of the file. */
export interface RequestTime {
  row: number;
  /** The number of one of the row's requests; empty where it takes one. */
  part: string;
  /** From sending the request to the end of its answer. */
  milliseconds: number;
  /** Milliseconds since 1970; null where that was not recorded. */
  sentAt: number | null;
}

/** From when a request was sent to when it was answered, in milliseconds since 1970. */
export interface Span {
  from: number;
  to: number;
}

/** Where the times of requests are kept: a number for each request. */
export interface RequestSlots {
  /** Null for a request that is not wanted, or not known. */
  of: (row: number, part: string) => number | null;
  /** Those of a row. */
  all: (row: number) => Iterable<number>;
}

/** Values by slot; NaN, or nothing, where there is none. */
type Column = Record<number, number>;

/** When requests were sent and how long they took: of one that was answered several times the last answer counts. */
export class RequestTimes {
  /**
   * @param sent null where only latencies are wanted
   */
  constructor(
    private readonly slots: RequestSlots,
    private readonly taken: Column = [],
    private readonly sent: Column | null = [],
  ) {}

  note({ row, part, milliseconds, sentAt }: RequestTime): void {
    const slot = this.slots.of(row, part);
    if (slot === null) return;
    this.taken[slot] = milliseconds;
    if (this.sent !== null) this.sent[slot] = sentAt ?? NaN;
  }

  /** Milliseconds that the answers to a row took together; null where none was recorded. */
  latencyOf(row: number): number | null {
    let sum: number | null = null;
    for (const slot of this.slots.all(row)) {
      const taken = this.taken[slot] ?? NaN;
      if (!Number.isNaN(taken)) sum = (sum ?? 0) + taken;
    }
    return sum;
  }

  /** When a request was sent and answered; null where that is not known. */
  timeOf(row: number, part: JobPart | null): Span | null {
    const slot = this.slots.of(row, String(part?.number ?? ''));
    const taken = slot === null ? NaN : (this.taken[slot] ?? NaN);
    const from = slot === null ? NaN : (this.sent?.[slot] ?? NaN);
    return Number.isNaN(taken + from) ? null : { from, to: from + taken };
  }
}

/** Slots for the requests of some rows, in the order in which they are met. */
class WantedSlots implements RequestSlots {
  readonly #numbers = new Map<string, number>();
  readonly #rows = new Map<number, number[]>();

  constructor(private readonly isWanted: (row: number) => boolean) {}

  of(row: number, part: string): number | null {
    if (!this.isWanted(row)) return null;
    const key = `${row},${part}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const slot = this.#numbers.size;
    this.#numbers.set(key, slot);
    const own = this.#rows.get(row);
    if (own === undefined) this.#rows.set(row, [slot]);
    else own.push(slot);
    return slot;
  }

  all(row: number): Iterable<number> {
    return this.#rows.get(row) ?? [];
  }
}

/**
 * Reads the times of some rows.
 * @param isWanted rows are counted as in the file
 */
export function readTimes(folder: string, isWanted: (row: number) => boolean): RequestTimes {
  const times = new RequestTimes(new WantedSlots(isWanted));
  const path = latenciesIn(folder);
  if (!existsSync(path)) return times;
  for (const { bytes } of readBlocks(path, LONGEST_LINE)) {
    for (let start = 0; start < bytes.length;) {
      const end = endOfLine(bytes, start);
      const found = parseTime(bytes.subarray(start, end));
      start = end + 1;
      if (found !== null) times.note(found);
    }
  }
  return times;
}

/** One line, parsed; null for the header and for a damaged line. */
export function parseTime(line: Buffer): RequestTime | null {
  const found = line.length > LONGEST_LINE ? null : LINE.exec(line.toString('latin1'));
  if (found === null) return null;
  const [, row, part = '', milliseconds, sentAt] = found;
  return {
    row: Number(row),
    part,
    milliseconds: Number(milliseconds),
    sentAt: sentAt === undefined ? null : Number(sentAt),
  };
}

/** What a crash, or a process that lost the run, left of a journal, and the list of its damaged lines. */

import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  readSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileProblem, openFile, readBlocks, readOwnText, replaceFile, writeAll } from '../lib/files.js';
import { parseJson } from '../lib/json.js';
import { parseJournalLine } from './journal-line.js';

const NEWLINE = 0x0a;

/**
 * Cuts a last line that a crash tore; one that is whole but for its newline gets it.
 * @returns the bytes that were cut
 */
export function repairEnd(path: string): number {
  const descriptor = openFile(path, 'change');
  try {
    const size = fstatSync(descriptor).size;
    const lineStart = lastLineStart(descriptor, size);
    if (lineStart === size) return 0;
    const last = Buffer.alloc(size - lineStart);
    readSync(descriptor, last, 0, last.length, lineStart);
    if (parseJournalLine(last) !== null) {
      writeAtEnd(path, '\n');
      return 0;
    }
    ftruncateSync(descriptor, lineStart);
    return size - lineStart;
  } catch (error) {
    throw fileProblem(error, `repair ${path}`);
  } finally {
    closeSync(descriptor);
  }
}

/** Takes in the lines that a process saved elsewhere after it had lost the run to another one. */
export function takeInRescued(path: string): void {
  const folder = dirname(path);
  const names = readdirSync(folder).filter((name) => name.startsWith(`${basename(path)}.rescued-`));
  for (const name of names.sort()) {
    const rescued = join(folder, name);
    const journal = openFile(path, 'append');
    try {
      for (const { bytes } of readBlocks(rescued)) {
        // A torn last line is nobody's answer.
        writeAll(journal, bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1));
      }
      fdatasyncSync(journal);
    } catch (error) {
      throw fileProblem(error, `take ${rescued} into ${path}`);
    } finally {
      closeSync(journal);
    }
    rmSync(rescued);
  }
}

function writeAtEnd(path: string, text: string): void {
  const descriptor = openFile(path, 'append');
  try {
    writeAll(descriptor, Buffer.from(text));
  } finally {
    closeSync(descriptor);
  }
}

/** Where the text after the last newline starts; the size where nothing is there. */
function lastLineStart(descriptor: number, size: number): number {
  const chunk = Buffer.alloc(1 << 16);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunk.length);
    const length = readSync(descriptor, chunk, 0, end - start, start);
    const newline = chunk.subarray(0, length).lastIndexOf(NEWLINE);
    if (newline !== -1) return start + newline + 1;
    end = start;
  }
  return 0;
}

/** Where the damaged lines are listed that only the assembly found: a scan looks at nothing but the ends of a line. */
function damagedPath(journalPath: string): string {
  return join(dirname(journalPath), 'damaged_lines.json');
}

export function readDamaged(journalPath: string): Set<number> {
  const path = damagedPath(journalPath);
  const value = existsSync(path) ? parseJson(readOwnText(path)) : [];
  return new Set(
    Array.isArray(value) ? value.filter((offset): offset is number => typeof offset === 'number') : [],
  );
}

/** Notes lines that can't be read, so that their rows are asked again; the journal itself is never changed. */
export async function noteDamaged(journalPath: string, offsets: readonly number[]): Promise<void> {
  const all = [...new Set([...readDamaged(journalPath), ...offsets])].sort((a, b) => a - b);
  await replaceFile(damagedPath(journalPath), (file) => {
    file.write(`${JSON.stringify(all)}\n`);
  });
}

/** The folders of a run's shards, and the segments of their journals. */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { closeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { systemErrorCode, UserError } from '../lib/errors.js';
import { fileProblem, openFile } from '../lib/files.js';
import { runFolder, type RunFolder } from '../run/folder.js';
import { LAST_SEGMENT, type JournalSegment } from '../run/journal.js';

const SEGMENT = /^output\.([1-9]\d{0,3})\.jsonl$/;

export function shardsDir(runDir: string): string {
  return join(runDir, 'shards');
}

/** The folder of a shard, which is a run's working folder; it has no results of its own. */
export function shardFolder(runDir: string, shard: number): RunFolder {
  const folder = runFolder(shardsDir(runDir), shardsDir(runDir), String(shard));
  return { ...folder, segments: segmentsIn(folder.temp) };
}

/** The folders of a run by its working folder. */
export function planFolder(runDir: string, saveDir: string): RunFolder {
  return runFolder(saveDir, dirname(runDir), basename(runDir));
}

/** The segments of a shard's journal, in the order in which their attempts began; no worker left anything but a file. */
export function segmentsIn(folder: string): JournalSegment[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const number = Number(SEGMENT.exec(entry.name)?.[1] ?? 0);
      const isSegment = number !== 0 && number <= LAST_SEGMENT && entry.isFile();
      return isSegment ? [{ number, path: join(folder, entry.name) }] : [];
    })
    .sort((a, b) => a.number - b.number);
}

/** Bytes of each segment, by its number. */
export function segmentSizes(segments: readonly JournalSegment[]): Record<string, number> {
  return Object.fromEntries(segments.map(({ number, path }) => [number, statSync(path).size]));
}

/**
 * Begins a segment that no other process will ever append to.
 * @returns the shard's folder with it
 */
export function beginSegment(folder: RunFolder): RunFolder {
  const segments = segmentsIn(folder.temp);
  for (let number = (segments.at(-1)?.number ?? 0) + 1; number <= LAST_SEGMENT; number++) {
    const path = join(folder.temp, `output.${number}.jsonl`);
    try {
      closeSync(openFile(path, 'create'));
      return { ...folder, journal: path, segments: [...segments, { number, path }] };
    } catch (error) {
      // An owner that was frozen before it began its own may do so at any time.
      if (systemErrorCode(error) !== 'EEXIST') throw fileProblem(error, `make ${path}`);
    }
  }
  throw new UserError(`${folder.temp} has ${LAST_SEGMENT} attempts, which is as many as a shard can have.`);
}

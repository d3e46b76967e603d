import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Linux's file system in memory. */
const MEMORY = '/dev/shm';

const PREFIX = 'reannotate-tests-';

/** What all tests together write at a time at most, with room to spare; a container has 64 MB there by default. */
const NEEDED_BYTES = 1e9;

/**
 * Vitest's global set-up: temporary folders are made in memory, where there is room. The program flushes its files to the disk,
 * and on a disk that others use the tests would mostly wait for that. What a crash of the machine leaves behind is not
 * tested here, and faults of a disk are injected.
 */
export default function useMemory(): (() => void) | undefined {
  // Each project of a run is set up.
  if (tmpdir().includes(PREFIX)) return undefined;
  const folder = mkdtempSync(join(hasRoom() ? MEMORY : tmpdir(), PREFIX));
  process.env['TMPDIR'] = folder;
  return () => {
    rmSync(folder, { recursive: true, force: true });
  };
}

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize >= NEEDED_BYTES;
  } catch {
    return false;
  }
}

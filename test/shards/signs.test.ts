import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FolderLock, LockWatch } from '../../src/lib/lock.js';
import { hasBeaten, signOf } from '../../src/shards/signs.js';
import { temporaryFolder } from '../support/cli.js';

const NOW = Date.now();
const MINUTES = 60_000;

/** A shard that a worker of another machine holds. */
function elsewhere({ state = 0, file = 0, beat = 1 }: { state?: number; file?: number; beat?: number } = {}) {
  const folder = temporaryFolder();
  const updated = { updated_at: new Date(NOW + state).toISOString() };
  writeFileSync(join(folder, 'state.json'), '{}');
  utimesSync(join(folder, 'state.json'), new Date(NOW + file), new Date(NOW + file));
  const give = (number: number): void => {
    writeFileSync(
      join(folder, 'lock'),
      JSON.stringify({ pid: 7, host: 'n2', boot: 'b2', pid_namespace: 'p2', token: 't', beat: number }),
    );
  };
  give(beat);
  return { folder, updated, give };
}

describe('a worker of another machine', () => {
  it.each([
    ['wrote just now', {}],
    ['wrote half a minute ago', { state: -30_000, file: -30_000 }],
    ['has a clock that is 2 s ahead', { state: 2000, file: 0 }],
  ])('is alive that %s', (_, times) => {
    const { folder, updated } = elsewhere(times);
    expect(signOf(folder, updated, NOW)).toEqual({ kind: 'alive' });
  });

  it.each([
    ['has a clock 10 minutes behind', { state: -10 * MINUTES, file: 0 }],
    ['has a clock 10 minutes ahead', { state: 10 * MINUTES, file: 0 }],
    ['died 10 minutes ago, with a clock that was 10 minutes ahead', { state: 0, file: -10 * MINUTES }],
    ['writes to a file server whose clock is 10 minutes ahead', { state: 0, file: 10 * MINUTES }],
    ['writes to one whose clock is 10 minutes behind', { state: 0, file: -10 * MINUTES }],
    ['is silent by every clock', { state: -2 * MINUTES, file: -2 * MINUTES }],
  ])('is watched that %s: only its growing number tells', (_, times) => {
    const { folder, updated, give } = elsewhere(times);
    const sign = signOf(folder, updated, NOW);
    if (sign.kind !== 'doubtful') throw new Error(`it is ${sign.kind}`);
    expect(hasBeaten(folder, sign.lock)).toBe(false);
    give(2);
    expect(hasBeaten(folder, sign.lock)).toBe(true);
    rmSync(join(folder, 'lock'));
    expect(hasBeaten(folder, sign.lock)).toBe(false);
  });
});

it('a worker of this machine is looked up, whatever the clocks say', () => {
  const { folder, updated } = elsewhere({ state: -10 * MINUTES, file: 10 * MINUTES });
  rmSync(join(folder, 'lock'));
  expect(signOf(folder, updated, NOW)).toEqual({ kind: 'gone' });
  const attempt = FolderLock.attempt(folder, new LockWatch());
  if (attempt.kind !== 'taken') throw new Error('the folder is free');
  expect(signOf(folder, updated, NOW)).toEqual({ kind: 'alive' });
  const lock = readFileSync(join(folder, 'lock'), 'utf8');
  attempt.lock.release();
  // The same lock of a process that has ended.
  writeFileSync(join(folder, 'lock'), lock.replace(/"pid":\d+/, '"pid":999999999'));
  expect(signOf(folder, updated, NOW)).toEqual({ kind: 'gone' });
});

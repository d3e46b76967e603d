import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { latenciesIn, LatencyLog, parseTime, readTimes } from '../../src/run/latencies.js';
import type { JobPart } from '../../src/requests/processor.js';
import { temporaryFolder } from '../support/cli.js';

const all = (): boolean => true;

describe('how long answers took', () => {
  it('is written beside the journal, and read back by row', () => {
    const folder = temporaryFolder();
    const log = new LatencyLog(latenciesIn(folder));
    const turn = (number: number): JobPart => ({ kind: 'turn', number });
    log.note(3, undefined, 1234.5, 1_700_000_001_235);
    log.flush();
    log.note(0, turn(0), 100, 1_700_000_000_100);
    log.note(0, turn(1), 250, 1_700_000_000_500);
    log.flush();
    expect(readFileSync(latenciesIn(folder), 'utf8')).toBe(
      'request_idx,part,milliseconds,sent_at\n3,,1235,1700000000000\n0,0,100,1700000000000\n0,1,250,1700000000250\n',
    );
    const times = readTimes(folder, all);
    expect([times.latencyOf(3), times.latencyOf(0), times.latencyOf(1)]).toEqual([1235, 350, null]);
    expect(times.timeOf(0, turn(1))).toEqual({ from: 1_700_000_000_250, to: 1_700_000_000_500 });
    expect(times.timeOf(3, null)).toEqual({ from: 1_700_000_000_000, to: 1_700_000_001_235 });
    expect(times.timeOf(0, null)).toBeNull();
    expect(readTimes(folder, (row) => row === 3).latencyOf(0)).toBeNull();
  });

  it('survives a kill in the middle of a line, and the last of several answers counts', () => {
    const folder = temporaryFolder();
    const path = latenciesIn(folder);
    writeFileSync(path, 'request_idx,part,milliseconds\n1,,500\n2,,70');
    const log = new LatencyLog(path);
    expect(readTimes(folder, all).timeOf(1, null)).toBeNull();
    log.note(1, undefined, 900, 2_000);
    log.flush();
    appendFileSync(path, 'not,a,line\n');
    const times = readTimes(folder, all);
    expect(times.latencyOf(1)).toBe(900);
    expect(times.timeOf(1, null)).toEqual({ from: 1_100, to: 2_000 });
  });

  it('is missing without a file, and a deleted folder only ends the recording', () => {
    const folder = temporaryFolder();
    expect(readTimes(folder, all).latencyOf(0)).toBeNull();
    const log = new LatencyLog(latenciesIn(folder));
    rmSync(folder, { recursive: true });
    log.note(0, undefined, 1, 1);
    log.flush();
    log.note(1, undefined, 1, 1);
    log.flush();
    expect(readTimes(folder, all).latencyOf(0)).toBeNull();
  });

  it('is read from any bytes without a failure', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const found = parseTime(Buffer.from(bytes));
        expect(found === null || Number.isSafeInteger(found.row)).toBe(true);
      }),
    );
  });
});

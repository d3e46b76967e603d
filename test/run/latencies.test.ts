import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { latenciesIn, LatencyLog, parseLatency, readLatencies } from '../../src/run/latencies.js';
import { temporaryFolder } from '../support/cli.js';

const all = (): boolean => true;

describe('how long answers took', () => {
  it('is written beside the journal, and read back by row', () => {
    const folder = temporaryFolder();
    const log = new LatencyLog(latenciesIn(folder));
    log.note(3, undefined, 1234.5);
    log.flush();
    log.note(0, { kind: 'turn', number: 0 }, 100);
    log.note(0, { kind: 'turn', number: 1 }, 250);
    log.flush();
    expect(readFileSync(latenciesIn(folder), 'utf8')).toBe(
      'request_idx,part,milliseconds\n3,,1235\n0,0,100\n0,1,250\n',
    );
    expect(readLatencies(folder, all)).toEqual(
      new Map([
        [3, 1235],
        [0, 350],
      ]),
    );
    expect(readLatencies(folder, (row) => row === 3).size).toBe(1);
  });

  it('survives a kill in the middle of a line, and the last of several answers counts', () => {
    const folder = temporaryFolder();
    const path = latenciesIn(folder);
    writeFileSync(path, 'request_idx,part,milliseconds\n1,,500\n2,,70');
    const log = new LatencyLog(path);
    log.note(1, undefined, 900);
    log.flush();
    appendFileSync(path, 'not,a,line\n');
    expect(readLatencies(folder, all).get(1)).toBe(900);
  });

  it('is missing without a file, and a deleted folder only ends the recording', () => {
    const folder = temporaryFolder();
    expect(readLatencies(folder, all).size).toBe(0);
    const log = new LatencyLog(latenciesIn(folder));
    rmSync(folder, { recursive: true });
    log.note(0, undefined, 1);
    log.flush();
    log.note(1, undefined, 1);
    log.flush();
    expect(readLatencies(folder, all).size).toBe(0);
  });

  it('is read from any bytes without a failure', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const found = parseLatency(Buffer.from(bytes));
        expect(found === null || Number.isSafeInteger(found.row)).toBe(true);
      }),
    );
  });
});

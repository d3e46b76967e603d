import { describe, expect, it } from 'vitest';
import { readBatch, type Batch } from '../../src/batches/batch.js';
import { assess, BRIEF, LONG, type Delivery } from '../../src/batches/delivery.js';

interface Counts {
  completed: number;
  failed: number;
}

function batch(status: string, counts: Counts | null): Batch {
  const read = readBatch({
    id: 'batch_1',
    status,
    request_counts: counts === null ? null : { total: 10, ...counts },
  });
  if (read === null) throw new Error('no batch');
  return read;
}

function delivery(more: Partial<Delivery>): Delivery {
  const files = { output: 'read', error: 'unnamed' } as const;
  return { requests: 10, accounted: 0, damaged: 0, outputLines: 0, files, ...more };
}

const COMPLETE = 'complete';
const WAIT = { patience: LONG, then: 'short' };
const WAIT_A_LITTLE = { patience: BRIEF, then: 'collected' };

const none = { output: 'unnamed', error: 'unnamed' } as const;
const both = { output: 'read', error: 'read' } as const;
const onlyError = { output: 'unnamed', error: 'read' } as const;

describe('what an ended batch has delivered', () => {
  it.each<[string, string, Counts | null, Partial<Delivery>, unknown]>([
    [
      'a line for every request',
      'completed',
      { completed: 10, failed: 0 },
      { accounted: 10, outputLines: 10 },
      COMPLETE,
    ],
    [
      'a line for every request, whatever the counts',
      'completed',
      { completed: 99, failed: 9 },
      { accounted: 10, outputLines: 4 },
      COMPLETE,
    ],
    [
      'a line that cannot be read in place of one',
      'completed',
      { completed: 10, failed: 0 },
      { accounted: 9, damaged: 1, outputLines: 10 },
      COMPLETE,
    ],
    [
      'counts that agree with an expired batch',
      'expired',
      { completed: 3, failed: 0 },
      { accounted: 3, outputLines: 3, files: both },
      COMPLETE,
    ],
    [
      'failures that have no file',
      'expired',
      { completed: 3, failed: 7 },
      { accounted: 3, outputLines: 3, files: both },
      COMPLETE,
    ],
    [
      'a batch that failed before it started',
      'failed',
      { completed: 0, failed: 0 },
      { files: none },
      COMPLETE,
    ],
    ['a batch that failed, without counts', 'failed', null, { files: none }, COMPLETE],
    [
      'fewer answers than completed',
      'completed',
      { completed: 10, failed: 0 },
      { accounted: 8, outputLines: 8 },
      WAIT,
    ],
    [
      'the error file before the output file',
      'completed',
      { completed: 5, failed: 5 },
      { accounted: 5, files: onlyError },
      WAIT,
    ],
    [
      'the output file before the error file',
      'completed',
      { completed: 5, failed: 5 },
      { accounted: 5, outputLines: 5 },
      WAIT_A_LITTLE,
    ],
    [
      'the error file alone, counts that lag',
      'completed',
      { completed: 0, failed: 5 },
      { accounted: 5, files: onlyError },
      WAIT_A_LITTLE,
    ],
    ['no file yet', 'completed', { completed: 10, failed: 0 }, { files: none }, WAIT],
    ['no file and counts of zero', 'completed', { completed: 0, failed: 0 }, { files: none }, WAIT],
    ['no file and no counts', 'completed', null, { files: none }, WAIT],
    [
      'no file where all failed',
      'completed',
      { completed: 0, failed: 10 },
      { files: none },
      { patience: LONG, then: 'collected' },
    ],
    ['no file of an expired batch yet', 'expired', { completed: 4, failed: 0 }, { files: none }, WAIT],
    [
      'no file of an expired batch that did nothing',
      'expired',
      { completed: 0, failed: 0 },
      { files: none },
      WAIT_A_LITTLE,
    ],
    ['no file of a cancelled batch without counts', 'cancelled', null, { files: none }, WAIT],
    [
      'no file of a failed batch that did something',
      'failed',
      { completed: 4, failed: 0 },
      { files: none },
      WAIT,
    ],
    ['lines missing without counts', 'completed', null, { accounted: 8, outputLines: 8, files: both }, WAIT],
    [
      'lines missing of an expired batch without counts',
      'expired',
      null,
      { accounted: 8, outputLines: 8 },
      WAIT_A_LITTLE,
    ],
    [
      'an output file that is not there',
      'completed',
      { completed: 10, failed: 0 },
      { files: { output: 'missing', error: 'unnamed' } },
      WAIT,
    ],
    [
      'a page in place of the output file',
      'completed',
      { completed: 10, failed: 0 },
      { files: { output: 'foreign', error: 'unnamed' } },
      WAIT,
    ],
    [
      'an empty output file',
      'completed',
      { completed: 10, failed: 0 },
      { files: { output: 'empty', error: 'unnamed' } },
      WAIT,
    ],
    [
      'an error file that is not there',
      'expired',
      { completed: 4, failed: 0 },
      { accounted: 4, outputLines: 4, files: { output: 'read', error: 'missing' } },
      WAIT,
    ],
    [
      'an empty error file where nothing failed',
      'expired',
      { completed: 4, failed: 0 },
      { accounted: 4, outputLines: 4, files: { output: 'read', error: 'empty' } },
      WAIT_A_LITTLE,
    ],
    [
      'a file that is far too large',
      'completed',
      { completed: 10, failed: 0 },
      { files: { output: 'too_large', error: 'unnamed' } },
      { patience: { times: 0, overMs: 0 }, then: 'short' },
    ],
    [
      'an adopted batch of unknown size',
      'completed',
      { completed: 4, failed: 0 },
      { requests: 0, accounted: 4, outputLines: 4 },
      COMPLETE,
    ],
    [
      'an adopted batch of unknown size with answers missing',
      'completed',
      { completed: 6, failed: 0 },
      { requests: 0, accounted: 4, outputLines: 4 },
      WAIT,
    ],
  ])('%s', (_, status, counts, more, expected) => {
    const assessment = assess(batch(status, counts), delivery(more));
    if (expected === COMPLETE) expect(assessment).toEqual({ kind: 'complete' });
    else expect(assessment).toMatchObject({ kind: 'incomplete', ...(expected as object) });
  });
});

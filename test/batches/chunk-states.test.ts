import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_USAGE } from '../../src/models/usage.js';
import { readBatch, type Batch } from '../../src/batches/batch.js';
import { CHUNK_STATES, newChunk, saidOf, type Chunk, type Collected } from '../../src/batches/chunk.js';
import { holdsRows, transition, type ChunkEvent } from '../../src/batches/chunk-states.js';
import type { Delivery } from '../../src/batches/delivery.js';

const MINUTE = 60_000;

function batch(status: string, more: object = {}): Batch {
  const read = readBatch({
    id: 'batch_1',
    status,
    request_counts: { total: 10, completed: 10, failed: 0 },
    ...more,
  });
  if (read === null) throw new Error('no batch');
  return read;
}

function chunk(more: Partial<Chunk>): Chunk {
  return { ...newChunk(0, 'jobs_batch.json', { requests: 10, bytes: 1, tokens: 1 }), ...more };
}

const running = chunk({ state: 'submitted', batch: batch('in_progress') });
const ended = chunk({ state: 'submitted', batch: batch('completed') });

const collected: Collected = {
  ...{ at: 1, processed: 8, answers: 8, usage: NO_USAGE, wasted: NO_USAGE, accounted: 8 },
  said: saidOf(batch('completed')),
};

const all: Delivery = {
  ...{ requests: 10, accounted: 10, damaged: 0, outputLines: 10 },
  files: { output: 'read', error: 'unnamed' },
};
const some: Delivery = { ...all, accounted: 8, outputLines: 8 };
const page: Delivery = {
  ...all,
  accounted: 0,
  outputLines: 0,
  files: { output: 'foreign', error: 'unnamed' },
};

function absent(more: Partial<Extract<ChunkEvent, { kind: 'absent' }>> = {}): ChunkEvent {
  return { kind: 'absent', why: '404', isProven: true, elapsed: 2 * MINUTE, givenUp: false, ...more };
}

function delivered(delivery: Delivery, more: { elapsed?: number; givenUp?: boolean } = {}): ChunkEvent {
  return { kind: 'delivered', collected, delivery, elapsed: 3 * MINUTE, givenUp: false, ...more };
}

function after(start: Chunk, ...events: ChunkEvent[]): Chunk {
  return events.reduce((one, event) => ({ ...one, ...transition(one, event) }), start);
}

function times(count: number, event: ChunkEvent): ChunkEvent[] {
  return new Array<ChunkEvent>(count).fill(event);
}

describe('rows that were answered elsewhere', () => {
  it.each(['short', 'gone', 'collected'] as const)('settle a chunk that is %s', (state) => {
    const settled = after(chunk({ state, batch: batch('completed') }), { kind: 'answered' });
    expect(settled).toMatchObject({ state: 'collected', doubt: null });
    expect(holdsRows(settled)).toBe(false);
  });
});

describe('the states of a chunk', () => {
  const planned = chunk({});
  const uploaded = after(planned, { kind: 'uploaded', fileId: 'file-1', at: 5 });
  const creating = after(uploaded, { kind: 'creating', creation: 'c', at: 1 });
  const gone = after(running, ...times(5, absent()));
  const short = after(ended, ...times(5, delivered(some)));
  const done = after(ended, delivered(all));

  it.each<[string, Chunk, ChunkEvent[], Partial<Chunk>]>([
    [
      'a batch that is made',
      creating,
      [{ kind: 'created', batch: batch('validating') }],
      { state: 'submitted' },
    ],
    ['a creation that certainly made none', creating, [{ kind: 'not_created' }], { state: 'uploaded' }],
    [
      'a creation that was accepted unreadably',
      creating,
      [{ kind: 'accepted' }],
      { state: 'creating', isAccepted: true },
    ],
    ['a creation that the user gave up', creating, [{ kind: 'given_up' }], { state: 'given_up' }],
    [
      'a queue that is full',
      uploaded,
      [{ kind: 'waits', reason: 'full', tryAgainAt: null }],
      { state: 'waiting', refusedBy: 'full' },
    ],

    ['one 404', running, [absent()], { state: 'submitted' }],
    ['four 404s', running, times(4, absent({ elapsed: 60 * MINUTE })), { state: 'submitted' }],
    ['many 404s within a minute', running, times(50, absent({ elapsed: 1000 })), { state: 'submitted' }],
    ['404s for minutes', running, times(5, absent()), { state: 'gone' }],
    [
      '404s of an account that may be another one',
      running,
      times(99, absent({ isProven: false })),
      { state: 'submitted', doubt: null },
    ],
    [
      '404s, of which the account is known for the last',
      running,
      [...times(99, absent({ isProven: false })), absent()],
      { state: 'submitted' },
    ],
    [
      '404s that an answer interrupts',
      running,
      [...times(4, absent()), { kind: 'seen', batch: batch('in_progress') }, ...times(4, absent())],
      { state: 'submitted' },
    ],
    [
      'a 404 that the user confirms',
      running,
      [absent({ isProven: false, givenUp: true })],
      { state: 'given_up' },
    ],
    ['a gone batch that is still gone', gone, [absent()], { state: 'gone' }],
    [
      'a gone batch that runs',
      gone,
      [{ kind: 'seen', batch: batch('in_progress') }],
      { state: 'submitted', doubt: null },
    ],
    [
      'a gone batch that has ended',
      gone,
      [{ kind: 'seen', batch: batch('completed') }],
      { state: 'submitted', doubt: null },
    ],
    ['a gone batch that the user gives up', gone, [absent({ givenUp: true })], { state: 'given_up' }],

    ['a whole delivery', ended, [delivered(all)], { state: 'collected' }],
    ['a page in place of the file', ended, [delivered(page)], { state: 'submitted' }],
    ['a page, then the file', ended, [delivered(page), delivered(all)], { state: 'collected', doubt: null }],
    ['answers that are missing for a moment', ended, times(4, delivered(some)), { state: 'submitted' }],
    [
      'answers that are missing within a minute',
      ended,
      times(50, delivered(some, { elapsed: 1000 })),
      { state: 'submitted' },
    ],
    ['answers that are missing for minutes', ended, times(5, delivered(some)), { state: 'short' }],
    [
      'missing answers that the user gives up',
      ended,
      [delivered(some, { givenUp: true })],
      { state: 'given_up' },
    ],
    [
      'a whole delivery of a batch that was given up',
      ended,
      [delivered(all, { givenUp: true })],
      { state: 'collected' },
    ],
    [
      '404s and missing answers that do not add up',
      ended,
      [...times(4, delivered(some)), absent(), { kind: 'seen', batch: batch('completed') }, delivered(some)],
      { state: 'submitted' },
    ],

    [
      'a short batch that is looked at again',
      short,
      [{ kind: 'seen', batch: batch('completed') }],
      { state: 'submitted' },
    ],
    [
      'a short batch that is still short',
      short,
      [{ kind: 'seen', batch: batch('completed') }, delivered(some, { elapsed: 0 })],
      { state: 'short' },
    ],
    [
      'a short batch that is whole now',
      short,
      [{ kind: 'seen', batch: batch('completed') }, delivered(all)],
      { state: 'collected', doubt: null },
    ],
    ['a short batch that is absent', short, times(9, absent()), { state: 'short' }],
    [
      'a short batch whose rows are answered otherwise',
      short,
      [{ kind: 'answered' }],
      { state: 'collected' },
    ],

    [
      'a collected batch that says the same',
      done,
      [{ kind: 'seen', batch: batch('completed') }],
      { state: 'collected' },
    ],
    [
      'a collected batch that names another file',
      done,
      [{ kind: 'seen', batch: batch('completed', { output_file_id: 'file-2' }) }],
      { state: 'submitted' },
    ],
    ['a collected batch that is deleted', done, times(9, absent()), { state: 'collected' }],
    [
      'a batch that was given up and runs',
      chunk({ state: 'given_up', batch: batch('expired') }),
      [{ kind: 'seen', batch: batch('in_progress') }],
      { state: 'submitted' },
    ],
  ])('%s', (_, start, events, expected) => {
    expect(after(start, ...events)).toMatchObject(expected);
  });

  it('refuses what cannot happen', () => {
    expect(() => transition(planned, { kind: 'created', batch: batch('validating') })).toThrow(/planned/);
    expect(() => transition(done, { kind: 'creating', creation: 'c', at: 1 })).toThrow(/collected/);
    expect(() => transition(gone, { kind: 'not_created' })).toThrow(/gone/);
  });

  it('holds the rows of every state in which a batch may still answer, whatever the account says', () => {
    const free = CHUNK_STATES.filter((state) => !holdsRows({ state }));
    expect(free).toEqual(['collected', 'given_up', 'too_large', 'halved']);
  });

  it('releases rows after a whole delivery or the user’s word alone, in whichever order answers come', () => {
    const event = fc.oneof(
      fc.record({ isProven: fc.boolean(), elapsed: fc.nat(MINUTE * 60) }).map((more) => absent(more)),
      fc
        .constantFrom('validating', 'in_progress', 'completed', 'expired')
        .map((status): ChunkEvent => ({ kind: 'seen', batch: batch(status) })),
      fc
        .record({ delivery: fc.constantFrom(some, page), elapsed: fc.nat(MINUTE * 60) })
        .map(({ delivery, elapsed }) => delivered(delivery, { elapsed })),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        let one = running;
        for (const next of events) {
          // Only what was submitted delivers.
          if (next.kind === 'delivered' && one.state !== 'submitted') continue;
          one = after(one, next);
          expect(holdsRows(one)).toBe(true);
        }
      }),
    );
  });
});

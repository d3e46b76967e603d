import { APIError } from 'openai';
import { describe, expect, it } from 'vitest';
import { readBatch } from '../../src/batches/batch.js';
import { callFailed, CallFailed, withConfirmation } from '../../src/batches/calls.js';
import type { BatchApi } from '../../src/batches/apis/batch-api.js';
import { Outage } from '../../src/batches/outage.js';
import { BatchReader } from '../../src/batches/reader.js';
import { FakeClock } from '../support/fake-clock.js';

const MINUTE = 60_000;

/** An answer with a status, as the SDK throws it; 0 for a connection that fails. */
function failure(status: number, body: object = { error: { message: 'no' } }): CallFailed {
  if (status === 0) return callFailed(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
  return callFailed(APIError.generate(status, body, undefined, new Headers()));
}

/** Polls once a minute, each with the next answer (200 for one that works), the last of them again and again. */
async function poll(
  answers: readonly number[],
  forMs: number,
): Promise<{ ended: number | null; after: number; warnings: string[] }> {
  const clock = new FakeClock();
  const warnings: string[] = [];
  const outage = new Outage({
    waiting: { clock, random: () => 1, signal: new AbortController().signal },
    reporter: { warning: (text: string) => warnings.push(text), info: () => undefined } as never,
    checkInterval: MINUTE,
  });
  let ended: number | null = null;
  let polls = 0;
  const watching = (async (): Promise<void> => {
    for (;;) {
      const status = answers[Math.min(polls, answers.length - 1)] ?? 0;
      polls += 1;
      const isReached = await outage.survive(() =>
        status === 200 ? Promise.resolve() : Promise.reject(failure(status)),
      );
      await clock.sleep(isReached ? MINUTE : outage.pause);
    }
  })().catch((error: unknown) => {
    if (!(error instanceof CallFailed)) throw error;
    ended = error.status;
  });
  await clock.runUntil(forMs);
  void watching;
  return { ended, after: polls, warnings };
}

describe('a watch whose polls fail', () => {
  it.each<[string, number[], number | null]>([
    ['one 400 between answers', [200, 400, 200], null],
    ['one 403 between answers', [200, 403, 200], null],
    ['one redirect between answers', [200, 302, 200], null],
    ['one 401 between answers', [200, 401, 200], null],
    ['one 400 before any answer', [400, 200], null],
    ['one 403 before any answer', [403, 200], null],
    ['one redirect before any answer', [302, 200], null],
    ['one 401 before any answer', [401, 200], null],
    ['four refusals of different kinds in a row', [200, 400, 403, 302, 422, 200], null],
    ['refusals that come again and again between answers', [200, 403, 403, 200, 403, 403, 200], null],
    ['a network that is down', [200, 0], null],
    ['a server that is down', [503], null],
    ['400 from some time on', [200, 400], 400],
    ['403 from some time on', [200, 403], 403],
    ['redirects from some time on', [200, 302], 302],
    ['a key that is withdrawn', [200, 401], 401],
    ['a key that never worked', [401], 401],
    ['a refusal that goes on after an outage', [200, 400, 0, 0, 400], 400],
  ])('%s', async (_, answers, ended) => {
    expect((await poll(answers, 24 * 60 * MINUTE)).ended).toBe(ended);
  });

  it('a refusal must last minutes, and the user is warned immediately', async () => {
    expect(await poll([200, 403], 4 * MINUTE)).toMatchObject({
      ended: null,
      warnings: [expect.stringMatching(/refused a request .*403.*for a few minutes/)],
    });
    expect((await poll([200, 403], 8 * MINUTE)).ended).toBe(403);
  });

  it('a key that never worked is reported within seconds', async () => {
    expect(await poll([401], 10_000)).toMatchObject({ ended: 401, after: 3 });
  });
});

/** Reads batches of which the API says: 200, or why not. The list is not there. */
function reading(statuses: Readonly<Record<string, number>>): Promise<Record<string, string[]> | number> {
  const client = {
    list: () => Promise.reject(failure(404)),
    retrieve: (id: string) => {
      const status = statuses[id] ?? 404;
      const batch = readBatch({ id, status: 'in_progress' });
      return status === 200 && batch !== null ? Promise.resolve(batch) : Promise.reject(failure(status));
    },
  } as unknown as BatchApi;
  return new BatchReader(client).read(Object.keys(statuses)).then(
    ({ found, missing, refused }) => ({
      found: [...found.keys()],
      missing: [...missing.keys()],
      refused: [...refused.keys()],
    }),
    (error: unknown) => (error as CallFailed).status ?? 0,
  );
}

describe('batches that are read one by one', () => {
  it.each<[string, Record<string, number>, Record<string, string[]> | number]>([
    ['all there', { a: 200, b: 200 }, { found: ['a', 'b'], missing: [], refused: [] }],
    ['one absent', { a: 200, b: 404 }, { found: ['a'], missing: ['b'], refused: [] }],
    [
      'one of another project keeps none of the others',
      { a: 403, b: 200 },
      { found: ['b'], missing: [], refused: ['a'] },
    ],
    ['one whose id is refused', { a: 400, b: 200 }, { found: ['b'], missing: [], refused: ['a'] }],
    ['all refused', { a: 403, b: 400 }, 403],
    ['the only one redirected', { a: 302 }, 302],
    ['a server that is down', { a: 200, b: 503 }, 503],
  ])('%s', async (_, statuses, expected) => {
    expect(await reading(statuses)).toEqual(expected);
  });
});

/** A call that is answered like this, one after the other. */
async function insisting(
  answers: readonly number[],
  tries?: number,
): Promise<{ came: number; calls: number }> {
  const clock = new FakeClock();
  let calls = 0;
  const waiting = { clock, random: () => 0, signal: new AbortController().signal };
  const call = (): Promise<number> => {
    const status = answers[Math.min(calls, answers.length - 1)] ?? 0;
    calls += 1;
    return status === 200 ? Promise.resolve(status) : Promise.reject(failure(status));
  };
  const result = withConfirmation(call, tries === undefined ? waiting : { ...waiting, tries }).catch(
    (error: unknown) => (error as CallFailed).status ?? 0,
  );
  await clock.runUntil(10 * MINUTE);
  return { came: await result, calls };
}

it.each<[string, number[], number | undefined, { came: number; calls: number }]>([
  ['one refusal', [403, 200], undefined, { came: 200, calls: 2 }],
  ['one absence', [404, 200], undefined, { came: 200, calls: 2 }],
  ['a redirect, a refusal', [302, 400, 200], undefined, { came: 200, calls: 3 }],
  ['refusals', [403], undefined, { came: 403, calls: 3 }],
  ['a server that is only asked as a courtesy', [404], 1, { came: 404, calls: 1 }],
  ['a server that is down for a moment', [503, 200], undefined, { came: 200, calls: 2 }],
])('what a refusal would decide is asked again: %s', async (_, answers, tries, expected) => {
  expect(await insisting(answers, tries)).toEqual(expected);
});

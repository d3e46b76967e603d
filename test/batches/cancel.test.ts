import { NotFoundError, APIError, AuthenticationError } from 'openai';
import { describe, expect, it } from 'vitest';
import { readBatch, type Batch } from '../../src/batches/batch.js';
import { cancelBatch } from '../../src/batches/cancel.js';
import { CallFailed } from '../../src/batches/calls.js';
import type { BatchApi } from '../../src/batches/apis/batch-api.js';
import { systemClock } from '../../src/lib/clock.js';

const waiting = { clock: systemClock, random: () => 0, signal: new AbortController().signal };

type Answer = string | Error;

const missing = new NotFoundError(404, { message: 'no such batch' }, 'no such batch', new Headers());
const conflict = APIError.generate(409, { message: 'it has ended' }, 'it has ended', new Headers());
const noSuchCall = APIError.generate(405, { message: 'not allowed' }, 'not allowed', new Headers());
const wrongKey = new AuthenticationError(401, { message: 'wrong key' }, 'wrong key', new Headers());

function answered(answer: Answer): Promise<Batch> {
  if (typeof answer !== 'string') return Promise.reject(answer);
  const batch = readBatch({ id: 'batch_1', status: answer });
  return batch === null ? Promise.reject(new Error('no batch')) : Promise.resolve(batch);
}

function cancel(cancelling: Answer, looked: Answer): ReturnType<typeof cancelBatch> {
  const client = { cancel: () => answered(cancelling), retrieve: () => answered(looked) };
  return cancelBatch('batch_1', client as unknown as BatchApi, waiting);
}

describe('cancelling a batch', () => {
  it.each<[string, Answer, Answer, string]>([
    ['the server stops it', 'cancelling', missing, 'stopped'],
    ['it had ended by itself', 'completed', missing, 'ended'],
    ['the answer says nothing, the batch says that it stops', 'in_progress', 'cancelling', 'stopped'],
    ['it ended while it was cancelled', conflict, 'completed', 'ended'],
    ['it was cancelled before', conflict, 'cancelled', 'stopped'],
    ['a 404 for a batch that runs', missing, 'in_progress', 'not_stopped'],
    ['a 404 for a batch that is not to be seen either', missing, missing, 'not_stopped'],
    ['a server without such a call', noSuchCall, 'in_progress', 'not_stopped'],
    ['a status that nobody knows', 'in_progress', 'hibernating', 'not_stopped'],
  ])('%s', async (_, cancelling, looked, kind) => {
    expect(await cancel(cancelling, looked)).toMatchObject({ kind });
  });

  it('a wrong key says nothing about the batch', async () => {
    await expect(cancel(wrongKey, 'in_progress')).rejects.toBeInstanceOf(CallFailed);
    await expect(cancel(missing, wrongKey)).rejects.toBeInstanceOf(CallFailed);
  });

  it('names the reason', async () => {
    const cancelled = await cancel(missing, 'in_progress');
    expect(cancelled.kind === 'not_stopped' && cancelled.why).toContain('no such batch');
  });
});

import { describe, expect, it } from 'vitest';
import { readBatch, type Batch } from '../../src/batches/batch.js';
import { mustYield, rivalry, type Rivalry } from '../../src/batches/rivals.js';
import { FakeClock } from '../support/fake-clock.js';

function batch(id: string, createdAt: number, status = 'validating'): Batch {
  const read = readBatch({ id, status, created_at: createdAt });
  if (read === null) throw new Error('no batch');
  return read;
}

const OPPOSITE: Record<Rivalry, Rivalry> = {
  alone: 'alone',
  older: 'younger',
  younger: 'older',
  first_of_tie: 'last_of_tie',
  last_of_tie: 'first_of_tie',
};

describe('two machines that retry at the same moment', () => {
  it.each<[string, Batch[], Batch[], Rivalry]>([
    ['nobody else', [batch('a', 5)], [], 'alone'],
    ['nothing submitted', [], [batch('b', 5)], 'alone'],
    ['later', [batch('a', 6)], [batch('b', 5)], 'younger'],
    ['earlier', [batch('b', 5)], [batch('a', 6)], 'older'],
    ['the oldest of several', [batch('a', 9), batch('c', 4)], [batch('b', 5)], 'older'],
    ['the same second', [batch('a', 5)], [batch('b', 5)], 'first_of_tie'],
    ['no times at all', [batch('b', 0)], [batch('a', 0)], 'last_of_tie'],
  ])('%s', (_, ours, others, expected) => {
    expect(rivalry(ours, others)).toBe(expected);
    expect(rivalry(others, ours)).toBe(OPPOSITE[expected]);
  });

  /** What the first of a tie does while the other's batch goes through these states, a second each. */
  async function decide(states: readonly (string | null)[]): Promise<{ yields: boolean; looks: number }> {
    const clock = new FakeClock();
    let looks = 0;
    const retrieve = (id: string): Promise<Batch> => {
      const status = states[Math.min(looks++, states.length - 1)] ?? null;
      return status === null ? Promise.reject(new Error('404')) : Promise.resolve(batch(id, 5, status));
    };
    const waiting = { clock, random: () => 0, signal: new AbortController().signal };
    const decision = mustYield([batch('a', 5)], [batch('b', 5)], { retrieve }, waiting);
    await clock.runUntil(60_000);
    return { yields: await decision, looks };
  }

  it.each<[string, (string | null)[], boolean]>([
    ['keeps its batch once the other cancels', ['validating', 'cancelling'], false],
    ['keeps it where the other failed', ['failed'], false],
    ['gives way to one that never saw it', ['validating', 'in_progress'], true],
    ['gives way to one that is done', ['completed'], true],
    ['takes no answer for a cancellation', [null], true],
    ['asks again after a failure', [null, 'cancelled'], false],
  ])('the first of a tie %s', async (_, states, expected) => {
    expect((await decide(states)).yields).toBe(expected);
  });

  it('does not wait where the times differ', async () => {
    const retrieve = (): Promise<Batch> => Promise.reject(new Error('not asked'));
    const waiting = { clock: new FakeClock(), random: () => 0, signal: new AbortController().signal };
    const yields = (mine: number, theirs: number): Promise<boolean> =>
      mustYield([batch('a', mine)], [batch('b', theirs)], { retrieve }, waiting);
    expect([await yields(5, 6), await yields(6, 5)]).toEqual([false, true]);
  });
});

/**
 * Two machines that retry the rows of one run at the same moment. Each looks at the account's list after it has
 * submitted, and all but the oldest cancel before their batches cost anything.
 */

import { hasEnded, type Batch } from './batch.js';
import { pause, type Waiting } from './calls.js';
import type { BatchApi } from './apis/batch-api.js';

/** How long a rival of the same second is given to cancel its batch. */
const TIE_MS = 10_000;
const TIE_POLL_MS = 1000;

/**
 * - `alone`: nobody else submitted;
 * - `older`: the others see ours when they look, and give way;
 * - `younger`: the others may not have seen ours, so ours give way;
 * - `first_of_tie`, `last_of_tie`: the API's times are whole seconds (some servers give none), so either of the two may
 *   have looked before the other submitted.
 */
export type Rivalry = 'alone' | 'older' | 'younger' | 'first_of_tie' | 'last_of_tie';

/** How our batches stand to those of others; both sides come to opposite results. */
export function rivalry(ours: readonly Batch[], others: readonly Batch[]): Rivalry {
  const [mine, theirs] = [oldest(ours), oldest(others)];
  if (mine === undefined || theirs === undefined) return 'alone';
  if (mine.createdAt !== theirs.createdAt) return mine.createdAt < theirs.createdAt ? 'older' : 'younger';
  return mine.id < theirs.id ? 'first_of_tie' : 'last_of_tie';
}

function oldest(batches: readonly Batch[]): Batch | undefined {
  return [...batches].sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))[0];
}

/**
 * Whether our batches have to be cancelled because others submitted the same rows. Of a tie the second gives way; the
 * first gives way too unless the other is seen to do so, since it may have looked too early to know of ours.
 */
export async function mustYield(
  ours: readonly Batch[],
  others: readonly Batch[],
  client: Pick<BatchApi, 'retrieve'>,
  waiting: Waiting,
): Promise<boolean> {
  const standing = rivalry(ours, others);
  if (standing !== 'first_of_tie') return standing === 'younger' || standing === 'last_of_tie';
  const until = waiting.clock.now() + TIE_MS;
  for (;;) {
    if (await haveGivenWay(others, client)) return false;
    if (waiting.clock.now() >= until) return true;
    await pause(TIE_POLL_MS, waiting);
  }
}

async function haveGivenWay(others: readonly Batch[], client: Pick<BatchApi, 'retrieve'>): Promise<boolean> {
  try {
    const now = await Promise.all(others.map(({ id }) => client.retrieve(id)));
    return now.every(
      (batch) => batch.status === 'cancelling' || (hasEnded(batch) && batch.status !== 'completed'),
    );
  } catch {
    // An answer that did not come says nothing; the time limit decides.
    return false;
  }
}

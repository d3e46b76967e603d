import { CallFailed, isTransient } from '../batches/calls.js';
import { cancelBatch } from '../batches/cancel.js';
import type { Chunk } from '../batches/chunk.js';
import { mustYield } from '../batches/rivals.js';
import { submitChunks } from '../batches/submit.js';
import type { Watched } from '../batches/watch.js';
import { sanitize, plural } from '../lib/text.js';
import { findUnknownBatches } from './before-paying.js';
import { onlineElsewhere, refuseOnlineElsewhere } from './online-permit.js';
import { adoptSiblings, type WatchedBatches } from './open-watched-run.js';
import { planRows } from './submit-batches.js';
import type { CommandContext } from './command-context.js';

/** `--retry_failed`: rounds of new batches, bounded, so that a row which fails for its own fault is not sent forever. */
export class RetryRounds {
  /** Why no further round was made although rows are missing; null where there is no particular reason. */
  stop: { reason: 'budget' } | null = null;
  readonly #never = new Set<number>();
  readonly #sentAgain = new Set<number>();
  #made = 0;

  constructor(
    private readonly watched: WatchedBatches,
    private readonly context: CommandContext,
  ) {}

  /** Submits what is missing after a round; false where nothing is, or where another round would change nothing. */
  async next(last: Watched): Promise<boolean> {
    const { call, ledger, submission } = this.watched;
    const { console } = this.context;
    for (const row of last.invalidRows) this.#never.add(row);
    if (this.#made > 0 && last.answers === 0) {
      console.warning('A whole round brought no answers, so no further batches are submitted.');
      return false;
    }
    if (this.#made >= call.limits.attempts) return false;
    await planRows(this.watched, console, (row) => this.#isAllowed(row));
    const chunks = ledger.unsubmitted.filter(({ state }) => state !== 'waiting');
    if (chunks.length === 0) return false;
    await refuseOnlineElsewhere({ ...this.watched, waiting: submission.waiting });
    this.#made += 1;
    const { failed, unaffordable } = await submitChunks(chunks, submission);
    // What an earlier round could not afford may fit now: a collected batch counts with what it cost.
    this.stop = unaffordable.length > 0 ? { reason: 'budget' } : null;
    await this.#yieldToOthers(chunks);
    // What a failing network kept back waits for its turn like what the queue kept back.
    for (const { chunk, reason } of failed) {
      if (reason instanceof CallFailed && isTransient(reason) && isSubmittable(chunk)) {
        ledger.change(chunk, { kind: 'waits', reason: null, tryAgainAt: null });
      }
    }
    await ledger.save();
    const first = failed.find(({ chunk }) => chunk.state !== 'waiting' && chunk.state !== 'creating');
    if (ledger.open.length > 0) {
      if (first !== undefined)
        console.warning(`${plural(failed.length, 'batch file')} not submitted: ${first.reason.message}`);
      return true;
    }
    if (first !== undefined) throw first.reason;
    return ledger.unsubmitted.some(({ state }) => state === 'waiting' || state === 'creating');
  }

  /**
   * Another machine on this run may have retried at the same moment: each looks at the account's lists after it has
   * submitted, and the younger batches are cancelled before they cost anything, as are all where rows are sent online.
   */
  async #yieldToOthers(chunks: readonly Chunk[]): Promise<void> {
    const { submission, client } = this.watched;
    const { console } = this.context;
    const { waiting } = submission;
    const ours = chunks.flatMap(({ batch }) => (batch === null ? [] : [batch]));
    if (ours.length === 0) return;
    const newest = Math.max(...ours.map(({ createdAt }) => createdAt));
    const sender = await onlineElsewhere({ ...this.watched, waiting }, newest);
    if (sender !== null) {
      console.warning(
        'Another machine is sending rows of this run online; cancelling the batches submitted here.',
      );
      await this.#cancel(chunks);
      return;
    }
    const others = await findUnknownBatches({ ...this.watched, waiting, reporter: console }, true);
    if (!(await mustYield(ours, others, client, waiting))) return;
    console.warning(
      'Another machine submitted the rows of this run at the same moment; cancelling the batches submitted here.',
    );
    await this.#cancel(chunks);
    await adoptSiblings(this.watched, true, this.context);
  }

  async #cancel(chunks: readonly Chunk[]): Promise<void> {
    const { submission, ledger, client } = this.watched;
    const { console } = this.context;
    for (const chunk of chunks) {
      if (chunk.batch === null) continue;
      const cancelled = await cancelBatch(chunk.batch.id, client, submission.waiting);
      if (cancelled.kind === 'not_stopped') {
        console.warning(
          `${sanitize(chunk.batch.id, 80)} could not be cancelled: ${sanitize(cancelled.why, 200)}.`,
        );
      } else if (cancelled.batch.id === chunk.batch.id) {
        ledger.change(chunk, { kind: 'seen', batch: cancelled.batch });
      }
    }
    await ledger.save();
  }

  /** A row that failed for its own fault is sent once more, and one that made a whole batch fail is not. */
  #isAllowed(row: number): boolean {
    if (this.#never.has(row)) return false;
    if (this.watched.run.index.state(row) === 'pending') return true;
    if (this.#sentAgain.has(row)) return false;
    this.#sentAgain.add(row);
    return true;
  }
}

function isSubmittable({ state }: Chunk): boolean {
  return state === 'planned' || state === 'uploaded' || state === 'waiting';
}

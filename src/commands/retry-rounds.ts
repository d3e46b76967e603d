import { CallFailed, mayPass } from '../batches/calls.js';
import { submitChunks } from '../batches/submit.js';
import type { Watched } from '../batches/watch.js';
import { plural } from '../text.js';
import type { WatchedRun } from './open-watched-run.js';
import { planRows } from './submit-batches.js';
import type { Surroundings } from './surroundings.js';

/** `--retry_failed`: rounds of new batches, bounded, so that a row which fails for its own fault is not sent for ever. */
export class RetryRounds {
  /** Why no further round was made although rows are missing; null where there is no particular reason. */
  stop: { reason: 'budget' } | null = null;
  readonly #never = new Set<number>();
  readonly #sentAgain = new Set<number>();
  #made = 0;

  constructor(
    private readonly watched: WatchedRun,
    private readonly surroundings: Surroundings,
  ) {}

  /** Submits what is missing after a round; false where nothing is, or where another round would change nothing. */
  async next(last: Watched): Promise<boolean> {
    const { options, ledger, submission } = this.watched;
    const { console } = this.surroundings;
    for (const row of last.invalidRows) this.#never.add(row);
    if (this.#made > 0 && last.answers === 0) {
      console.warning('A whole round brought no answer; no further one is made.');
      return false;
    }
    if (this.#made >= options.maxAttempts) return false;
    await planRows(this.watched, console, (row) => this.#isAllowed(row));
    const chunks = ledger.unsubmitted.filter(({ state }) => state !== 'waiting');
    if (chunks.length === 0) return false;
    this.#made += 1;
    const { failed, unaffordable } = await submitChunks(chunks, submission);
    if (unaffordable.length > 0) this.stop = { reason: 'budget' };
    // What a failing network kept back waits for its turn like what the queue kept back.
    for (const { chunk, reason } of failed) {
      if (reason instanceof CallFailed && mayPass(reason) && chunk.state !== 'creating')
        chunk.state = 'waiting';
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

  /** A row that failed for its own fault is sent once more, and one that made a whole batch fail is not. */
  #isAllowed(row: number): boolean {
    if (this.#never.has(row)) return false;
    if (this.watched.run.index.state(row) === 'pending') return true;
    if (this.#sentAgain.has(row)) return false;
    this.#sentAgain.add(row);
    return true;
  }
}

/** `reannotate work`: one worker on a planned run, wherever it runs; for one shard, or for as many as are left. */

import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, TemporaryError, UserError } from '../lib/errors.js';
import { LockWatch, type FolderLock } from '../lib/lock.js';
import { count, plural, shellWord } from '../lib/text.js';
import type { Price } from '../models/prices.js';
import { priceAtStart } from '../session/off-peak.js';
import { checkFallback } from '../session/check-fallback.js';
import { askAgain } from '../session/requeue.js';
import type { OpenPlan } from '../session/open-plan.js';
import { LeaseLost, takeLease, tryLease, underLease } from '../session/shard-lease.js';
import { runShard, type PlannedWork, type ShardResult } from '../session/shard-run.js';
import { SessionPool } from '../session/session-pool.js';
import type { BatchWatching } from '../session/shard-batches.js';
import { stopError } from '../session/stops.js';
import { roundedUp } from '../session/next-command.js';
import type { CommandContext } from '../session/command-context.js';
import { checkEndpoints } from '../models/endpoint.js';
import { shardFolder } from '../shards/folders.js';
import { LivingWorkers } from '../shards/living.js';
import { isOpen, rotated } from '../shards/order.js';
import { findShards } from '../shards/shard-index.js';
import { readState } from '../shards/state.js';
import { stopAll, stopsAll, stoppedError } from '../shards/stopped.js';

/** Between two looks at shards whose owners can't be looked up from here. */
const WATCH_MS = 2000;

/** What one worker is to do. */
export interface WorkRequest {
  /** Null where the environment decides. */
  shard: number | null;
  /** True to take open shards whatever the environment says. */
  any: boolean;
  /** Where engines say which task this is. */
  variables: NodeJS.ProcessEnv;
  /** True where Slurm is to run this task again if it ends with 75. */
  requeue: boolean;
  /** How batches are watched, where the plan asks for them. */
  watching: BatchWatching;
}

/**
 * Runs `reannotate work`.
 * @returns the exit code: 0 where its shards are done, whatever their rows came to
 * @throws UserError where it can't continue
 */
export async function work(planned: OpenPlan, own: WorkRequest, context: CommandContext): Promise<number> {
  const total = planned.plan.shards.length;
  const shards = own.any ? null : findShards(own.shard, own.variables, total);
  try {
    const exitCode = await (await Worker.start(planned, own, context)).run(shards);
    if (exitCode === EXIT.tryLater && own.requeue) await askAgain(context.console);
    return exitCode;
  } catch (error) {
    // A task whose lease another one took may be the earlier copy of that very task.
    const mayRunAgain = error instanceof TemporaryError && !(error instanceof LeaseLost);
    if (mayRunAgain && own.requeue) await askAgain(context.console);
    throw error;
  }
}

class Worker {
  /** Shards that this worker has finished: one whose retried rows fail again is not taken a second time. */
  readonly #done = new Set<number>();
  readonly #living: LivingWorkers;
  readonly #pool = new SessionPool();

  private constructor(
    private readonly planned: OpenPlan,
    private readonly watching: BatchWatching,
    private readonly price: Price | null,
    private readonly context: CommandContext,
  ) {
    this.#living = new LivingWorkers(planned.runDir);
  }

  static async start(
    planned: OpenPlan,
    { watching }: Pick<WorkRequest, 'watching'>,
    context: CommandContext,
  ): Promise<Worker> {
    const stopped = stoppedError(planned.runDir);
    if (stopped !== null) throw stopped;
    const { call, policy } = planned.settings;
    // A missing key is reported before anything is taken.
    checkEndpoints(call);
    await checkFallback(call, policy);
    const price = await priceAtStart(call, policy);
    return new Worker(planned, watching, price, context);
  }

  async run(shards: readonly number[] | null): Promise<number> {
    try {
      if (shards === null) await this.#takeOpen();
      else await this.#workThrough(shards);
    } finally {
      this.#living.stop();
      await this.#pool.close();
    }
    const { interruption, console, resumeCommand } = this.context;
    if (!interruption.soft.aborted) return EXIT.done;
    this.#refuseStopped();
    const batches = this.planned.settings.policy.batch ? ', and batches continue to run' : '';
    console.warning(`Stopped; everything received is saved${batches}. Resume with: ${resumeCommand}`);
    return interruption.exitCode;
  }

  /** @throws UserError where a worker of this run found what no retry changes */
  #refuseStopped(): void {
    const stopped = stoppedError(this.planned.runDir);
    if (stopped !== null) throw stopped;
  }

  #isOpen(shard: number): boolean {
    const { runDir, plan, settings } = this.planned;
    const state = readState(shardFolder(runDir, shard).temp);
    return isOpen(state, { digest: plan.digest, shard }, settings.policy.retry);
  }

  async #workThrough(shards: readonly number[]): Promise<void> {
    const { console, interruption } = this.context;
    for (const shard of shards) {
      if (interruption.soft.aborted) return;
      if (!this.#isOpen(shard)) {
        console.info(`Shard ${shard} is done.`);
        continue;
      }
      await this.#workOn(shard, await takeLease(this.planned.runDir, shard, this.context));
    }
  }

  /** Takes open shards until none is left that nobody works on. */
  async #takeOpen(): Promise<void> {
    const { plan } = this.planned;
    const { console, interruption } = this.context;
    const watches = new Map<number, LockWatch>();
    const start = Math.random();
    let isFirstWait = true;
    while (!interruption.soft.aborted) {
      const all = rotated([...plan.shards.keys()], start);
      const open = all.filter((shard) => !this.#done.has(shard) && this.#isOpen(shard));
      const { taken, watched } = this.#takeFirst(open, watches);
      if (taken !== null) {
        await this.#workOn(taken.shard, taken.lock);
        continue;
      }
      if (watched === 0) {
        this.#report(open.length);
        return;
      }
      if (isFirstWait)
        console.info(`Waiting for signs of life from the workers of ${plural(watched, 'shard')}.`);
      isFirstWait = false;
      // A worker that waits for a shard needs no share of the limits.
      this.#living.stop();
      await sleep(WATCH_MS, undefined, { signal: interruption.soft }).catch(() => undefined);
    }
  }

  /** The first of some shards that can be taken; those whose owners may still be alive are counted. */
  #takeFirst(
    open: readonly number[],
    watches: Map<number, LockWatch>,
  ): { taken: { shard: number; lock: FolderLock } | null; watched: number } {
    let watched = 0;
    for (const shard of open) {
      const watch = watches.get(shard) ?? new LockWatch();
      watches.set(shard, watch);
      const attempt = tryLease(this.planned.runDir, shard, watch);
      if (attempt.kind === 'taken') return { taken: { shard, lock: attempt.lock }, watched };
      if (attempt.kind === 'watched') watched += 1;
    }
    return { taken: null, watched };
  }

  async #workOn(shard: number, lock: FolderLock): Promise<void> {
    const { runDir, settings } = this.planned;
    const { console, interruption } = this.context;
    const result = await underLease({ lock, runDir, shard }, settings, this.context, async (folder) => {
      // Another worker may have finished it since this one looked.
      if (!this.#isOpen(shard)) return null;
      console.info(`Working on shard ${shard} of ${this.planned.plan.shards.length} (${folder.temp}).`);
      return runShard(this.#work, shard, folder);
    });
    if (result === null) return;
    if (result.stop !== null && !interruption.soft.aborted) throw await this.#stopped(shard, result);
    if (result.stop === null) {
      this.#done.add(shard);
      console.info(`Shard ${shard} is done: ${describeRows(result)}.`);
    }
  }

  get #work(): PlannedWork {
    const { runDir } = this.planned;
    return {
      ...this.planned,
      price: this.price,
      context: this.context,
      pool: this.#pool,
      watching: this.watching,
      share: () => 1 / this.#living.count,
      onSending: () => {
        // It keeps its share between two shards: the others would take it and have to give it back within seconds.
        this.#living.start();
      },
      onNote: () => {
        if (stoppedError(runDir) !== null) this.context.interruption.drain();
      },
    };
  }

  /** The error that ends this worker; where it concerns them all, they get it. */
  async #stopped(shard: number, { stop, call }: ShardResult): Promise<UserError> {
    const { runDir, settings } = this.planned;
    const maxCost = settings.policy.maxCost ?? 0;
    const { resumeCommand } = this.context;
    const next = `(Shard ${shard}; everything received is saved.) Then run again: ${resumeCommand}`;
    if (stop?.reason === 'budget') {
      const message =
        `Shard ${shard}: the next request could exceed its share of --max_cost ${maxCost}, which is divided among the shards ` +
        `by their rows. Continue with a larger one: ${resumeCommand} --max_cost ${roundedUp(2 * maxCost)}`;
      return new UserError(message);
    }
    if (stop?.reason !== 'error') return new TemporaryError(`Shard ${shard} was given up. ${next}`);
    const error = await stopError(stop, call, next);
    if (stopsAll(stop.cause)) await stopAll(runDir, settings.environment.redactor.text(error.message));
    return error;
  }

  #report(open: number): void {
    const { console } = this.context;
    const { runDir, plan } = this.planned;
    const did = `${plural(this.#done.size, 'shard')} done by this worker.`;
    if (open === 0) {
      console.info(
        `${did} All ${count(plan.shards.length)} are done. Merge them with: npx reannotate merge ${shellWord(runDir)}`,
      );
      return;
    }
    console.info(
      `${did} ${open === 1 ? 'The last one is' : `The other ${count(open)} are`} being worked on elsewhere.`,
    );
  }
}

function describeRows({ rows }: ShardResult): string {
  const without = rows.failed + rows.refused + rows.filtered + rows.pending;
  const lacking = without === 0 ? '' : `, ${count(without)} without an answer`;
  return `${plural(rows.total, 'row')}${lacking}`;
}

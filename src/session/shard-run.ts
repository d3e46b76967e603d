/** Works on one shard whose lease this process holds: its rows, its answers, and the file that says how far it is. */

import { existsSync, rmSync } from 'node:fs';
import { Ledger } from '../batches/ledger.js';
import { systemClock } from '../lib/clock.js';
import { UserError } from '../lib/errors.js';
import { digestOfFile } from '../lib/files.js';
import { answerRules } from '../models/answer-rules.js';
import type { ModelCall } from '../models/call.js';
import type { Price } from '../models/prices.js';
import { chooseFormat } from '../formats/index.js';
import { redactedRows } from '../datasets/redacted.js';
import { mostTokensOf, type ParameterChange } from '../requests/parameters.js';
import type { Stop } from '../requests/processor.js';
import type { RowCountsByState } from '../run/assembled.js';
import type { RunFolder } from '../run/folder.js';
import { writeJobs } from '../run/jobs.js';
import type { JournalIndex } from '../run/journal.js';
import { indexRows } from '../run/row-parts.js';
import { onlyReason, readJournal } from '../run/read-journal.js';
import { requestShape, type PreparedRun } from '../run/prepare.js';
import { countRows, writeRows } from '../run/rows.js';
import { Totals } from '../run/totals.js';
import { costShare } from '../shards/cost-share.js';
import { beginSegment, planFolder, segmentsIn, segmentSizes, shardFolder } from '../shards/folders.js';
import { shardIdentity } from '../shards/identity.js';
import type { Plan, PlannedShard } from '../shards/plan.js';
import { copyPrompts, datasetRows, inputDigest } from '../shards/rows.js';
import {
  knownState,
  noteState,
  writeState,
  type Phase,
  type ShardState,
  type StateFigures,
} from '../shards/state.js';
import { checkAgain } from './check-again.js';
import { mayFollow, sendFurtherRounds } from './further-rounds.js';
import { nothingSent, sendOnline, type OnlineResult, type OnlineWork, type RequestSet } from './online.js';
import type { OpenPlan } from './open-plan.js';
import type { BatchShard, BatchWatching } from './shard-batches.js';
import { ShardQueue } from './shard-queue.js';
import type { CommandContext } from './command-context.js';
import type { SessionPool } from './session-pool.js';

/** How often a worker says how far it is. */
const NOTE_MS = 5000;
/** The rows of a shard share no answers. */
const NOTHING_SHARED = { settle: () => Promise.resolve(), spare: () => null };
/** Rows that can't be used are named up to here. */
const PROBLEMS_SHOWN = 5;

/** A planned run as one worker sees it. */
export interface PlannedWork extends OpenPlan {
  price: Price | null;
  context: CommandContext;
  /** The part of the account's limits that is this worker's, from 0 to 1. */
  share: () => number;
  /** Servers that stay open from one shard to the next. */
  pool: SessionPool;
  /** Called before requests are sent. */
  onSending: () => void;
  /** Called every few seconds while requests are sent. */
  onNote: () => void;
  /** How batches are watched, where the plan asks for them. */
  watching: BatchWatching;
}

export interface ShardResult {
  rows: RowCountsByState;
  /** Why it was left before its end; null where it is done. */
  stop: Stop | null;
  /** How the model was called that got the last request, and so the one that stopped the shard. */
  call: ModelCall;
}

/**
 * Sends what has no answer in a shard.
 * @param folder of the shard, whose lock is held
 */
export async function runShard(work: PlannedWork, shard: number, folder: RunFolder): Promise<ShardResult> {
  const ready = await openShard(work, shard, folder);
  const { session, totals, run } = ready;
  const { call, policy } = work.settings;
  const { price, share, pool, context } = work;
  const { index } = run;
  const isSending =
    policy.checkRetry !== null || index.countWanted(policy.retry) > 0 || mayFollow({ policy, run });
  const writable = isSending ? beginSegment(folder) : folder;
  await session.save('working', null);
  const stopNoting = session.keepNoting();
  let asked: OnlineResult;
  try {
    const onChanges = (learnt: readonly ParameterChange[]): void => {
      session.changes = [...learnt];
    };
    const online = {
      ...{ call, policy, folder: writable, run, totals, price, share, pool, onChanges },
      serviceTier: null,
      mostTokens: mostTokensOf(session.changes),
      reserved: reservedFor(work, shard),
    };
    const first = isSending ? await sendRows(work, online, ready) : nothingSent(call);
    const further = await sendFurtherRounds(online, first, NOTHING_SHARED, context);
    asked = await checkAgain(online, folder.rows, further, context);
    await totals.findPrice(call);
  } finally {
    stopNoting();
  }
  const { stop } = asked;
  const message = stop === null ? null : stop.reason === 'error' ? stop.message : stop.reason;
  await session.save(stop === null ? 'done' : 'stopped', message);
  return { rows: session.rows, stop, call: asked.call };
}

/** Sends rows that have no answer: online, or in batches where the plan says so. */
async function sendRows(
  work: PlannedWork,
  online: OnlineWork & Pick<BatchShard, 'folder' | 'run'>,
  { batches }: ReadyShard,
): Promise<OnlineResult> {
  const { settings, context, watching } = work;
  if (batches === null) {
    work.onSending();
    return sendOnline(online, context);
  }
  const { dataset } = settings.selection;
  // What batches need is loaded only for them.
  const { sendInBatches } = await import('./shard-batches.js');
  const sent = await sendInBatches({ ...online, ...batches, dataset, watching }, context);
  // What the answers call for is sent online.
  if (sent.stop === null && mayFollow(online)) work.onSending();
  return sent;
}

/** A shard that is ready to be sent. */
interface ReadyShard {
  session: ShardSession;
  totals: Totals;
  run: PreparedRun & Pick<RequestSet, 'naming'>;
  /** What a shard of a run in batches has besides; null where rows are sent online. */
  batches: Pick<BatchShard, 'ledger' | 'queue' | 'isResumed'> | null;
}

/** A shard's rows, and what earlier attempts have of their answers. */
async function openShard(work: PlannedWork, shard: number, folder: RunFolder): Promise<ReadyShard> {
  const { call } = work.settings;
  const planned = plannedShard(work.plan, shard);
  const before = knownState(folder.temp);
  refuseForeign(work.plan, shard, before, folder);
  const rowsDigest = await ensureRows(work, planned, before, folder);
  if (!existsSync(folder.jobs))
    await writeJobs(folder.rows, folder.jobs, requestShape(call), () => undefined);
  const counts = await countRows(folder.rows);
  const index = await indexRows(folder.rows, counts, work.settings);
  const totals = new Totals(folder.counters, work.price, new Date());
  const report = await readJournal(folder, index, work.context.console, {
    rules: await answerRules(call),
    onEntry: (entry) => {
      totals.addEntry(entry);
    },
  });
  const session = new ShardSession(work, shard, { folder, index, totals, rowsDigest });
  session.changes = before?.parameter_changes ?? [];
  const batches = work.settings.policy.batch ? openBatches(work, shard, folder, session) : null;
  if (batches !== null) totals.setBatches(batches.ledger.totals());
  const naming = { one: 'row', nameOf: (row: number) => `Row ${planned.start + row}` };
  const partialBefore = onlyReason(report.partial, index);
  const { uuid, created, asked, found } = work.plan;
  const identity = shardIdentity({ uuid, created, asked, found }, shard);
  const run = { identity, index, rows: index.rows, unusable: counts.unusable.length, partialBefore, naming };
  const isResumed = before !== null;
  return { session, totals, run, batches: batches === null ? null : { ...batches, isResumed } };
}

/** A shard's own record of batches, and what the other shards have in the account's queue. */
function openBatches(
  { runDir, plan }: PlannedWork,
  shard: number,
  folder: RunFolder,
  session: ShardSession,
): { ledger: Ledger; queue: ShardQueue } {
  const ledger = Ledger.open(folder);
  ledger.learn(session.changes);
  const others = [...plan.shards.keys()].filter((one) => one !== shard);
  const queue = new ShardQueue({
    ledger,
    others: () => others.map((one) => knownState(shardFolder(runDir, one).temp)),
    note: () => {
      session.note();
    },
    clock: systemClock,
  });
  session.queue = queue;
  return { ledger, queue };
}

/** US dollars of `--max_cost` that belong to other shards. */
function reservedFor({ runDir, plan, settings }: PlannedWork, shard: number): number {
  const { maxCost } = settings.policy;
  if (maxCost === null) return 0;
  const shards = plan.shards.map(({ rows }, index) => ({
    rows,
    state: knownState(shardFolder(runDir, index).temp),
  }));
  return maxCost - costShare(maxCost, shards, shard);
}

function plannedShard(plan: Plan, shard: number): PlannedShard {
  const planned = plan.shards[shard];
  if (planned === undefined) throw new RangeError(`shard ${shard} of ${plan.shards.length}`);
  return planned;
}

/** @throws UserError where the folder was copied from elsewhere: its answers are those of other rows */
function refuseForeign(plan: Plan, shard: number, state: ShardState | null, folder: RunFolder): void {
  if (state === null) return;
  const { start } = plannedShard(plan, shard);
  if (state.plan === plan.digest && state.shard === shard && state.start === start) return;
  const what = state.plan === plan.digest ? `a copy of shard ${state.shard}` : 'a shard of another plan';
  throw new UserError(`${folder.temp} contains ${what}. Move it elsewhere and start again.`);
}

/**
 * Makes sure that the shard has its rows, and that they are those of this plan: what another process may have left half
 * done, or what was copied here, is read again.
 * @returns the SHA-256 of `rows.jsonl`, hexadecimal
 */
async function ensureRows(
  work: PlannedWork,
  planned: PlannedShard,
  state: ShardState | null,
  folder: RunFolder,
): Promise<string> {
  if (state !== null && existsSync(folder.rows)) {
    const digest = await digestOfFile(folder.rows);
    if (digest === state.rows_sha256) return digest;
  }
  rmSync(folder.jobs, { force: true });
  if (planned.place.kind === 'prompts') {
    // The dataset can be read only from its start, and the plan did so.
    const { rows } = planFolder(work.runDir, work.settings.output.saveDir);
    await copyPrompts(rows, planned.place, folder.rows);
  } else await readRows(work, planned, folder);
  return digestOfFile(folder.rows);
}

async function readRows({ plan, settings, context }: PlannedWork, planned: PlannedShard, folder: RunFolder) {
  const { console, interruption } = context;
  const { selection, environment } = settings;
  const { dataset, subset, split, encoding } = selection;
  const format = chooseFormat(dataset, plan.columns, selection);
  const access = {
    request: { dataset, subset, split, encoding },
    hub: environment.hub,
    reporter: console,
    signal: interruption.soft,
  };
  const rows = redactedRows(datasetRows(plan, planned, format.columns, access), environment.redactor);
  let problems = 0;
  const onProblem = (_: number, problem: string): void => {
    problems += 1;
    if (problems <= PROBLEMS_SHOWN) console.warning(`Skipped: ${problem}`);
  };
  await writeRows(folder.rows, rows, { format, onProblem });
}

/** A shard's rows and answers. */
interface OpenShard {
  folder: RunFolder;
  index: JournalIndex;
  totals: Totals;
  /** The SHA-256 of `rows.jsonl`, hexadecimal. */
  rowsDigest: string;
}

/** What `state.json` says while a shard is worked on. */
class ShardSession {
  /** Parameters that the API made this worker, or the one before it, change. */
  changes: ParameterChange[] = [];
  /** What it has in the account's queue of batches; null for a shard without batches. */
  queue: ShardQueue | null = null;
  readonly #input: string;

  constructor(
    private readonly work: PlannedWork,
    private readonly shard: number,
    private readonly open: OpenShard,
  ) {
    this.#input = inputDigest(work.plan, plannedShard(work.plan, shard));
  }

  get rows(): RowCountsByState {
    return { total: this.open.index.rows, ...this.open.index.counts };
  }

  keepNoting(): () => void {
    const timer = setInterval(() => {
      this.note();
      this.work.onNote();
    }, NOTE_MS);
    return () => {
      clearInterval(timer);
    };
  }

  /** Says how far it is without waiting for the disk. */
  note(): void {
    noteState(this.open.folder.temp, this.#figures('working', null));
  }

  async save(phase: Phase, message: string | null): Promise<void> {
    await writeState(this.open.folder.temp, this.#figures(phase, message));
  }

  #figures(phase: Phase, message: string | null): StateFigures {
    const { plan, settings } = this.work;
    return {
      plan: plan.digest,
      shard: this.shard,
      start: plannedShard(plan, this.shard).start,
      phase,
      rows: this.rows,
      input: this.#input,
      rows_sha256: this.open.rowsDigest,
      segments: phase === 'done' ? segmentSizes(segmentsIn(this.open.folder.temp)) : {},
      requests: this.open.totals.requests,
      tokens: this.open.totals.tokens,
      cost_usd: this.open.totals.cost,
      parameter_changes: this.changes,
      message: message === null ? null : settings.environment.redactor.text(message),
      ...(this.queue === null ? {} : { queue: this.queue.own }),
    };
  }
}

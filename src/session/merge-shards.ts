/** The results of all shards in one pass over them, one shard in memory at a time, with what the proof needs. */

import { createHash, type Hash } from 'node:crypto';
import type { Batch } from '../batches/batch.js';
import { Ledger } from '../batches/ledger.js';
import { answerRules } from '../models/answer-rules.js';
import { addUsage, NO_USAGE } from '../models/usage.js';
import { assembleFiles, type AssemblyFile, type AssemblyPart } from '../run/assemble.js';
import type { Assembled } from '../run/assembled.js';
import { journalSource, type RunFolder } from '../run/folder.js';
import { scanJournal, type JournalIndex, type ScannedEntry } from '../run/journal.js';
import { indexRows } from '../run/row-parts.js';
import { countRows } from '../run/rows.js';
import { Totals, type BatchTotals } from '../run/totals.js';
import { shardFolder } from '../shards/folders.js';
import { compareCounts, type Problem } from '../shards/proof.js';
import { knownState, type ShardState } from '../shards/state.js';
import { assemblyOf } from './finished-run.js';
import type { OpenPlan } from './open-plan.js';

const NO_BATCHES: BatchTotals = { usage: NO_USAGE, wasted: NO_USAGE, processed: 0, answers: 0 };

/** Something that only reading the shards shows. */
export class ShardsDamaged extends Error {
  constructor(
    readonly problems: readonly Problem[],
    /** Lines of the journals that can't be read, or answer other rows. */
    readonly damaged: Assembled['damaged'],
  ) {
    super('shards are damaged');
  }
}

export interface Merged {
  assembled: Assembled;
  totals: Totals;
  /** The batches of all shards, as their API has them; empty where rows were sent online. */
  batches: readonly Batch[];
}

/** A file of results, and the shards whose rows it holds. */
export interface MergedFile extends Pick<AssemblyFile, 'path' | 'onWritten'> {
  shards: readonly number[];
}

/**
 * Writes the results of shards that are all done.
 * @param target where the figures of the whole run are
 * @param files which have all shards in their order
 * @param onProgress called with the rows so far
 * @throws ShardsDamaged where one does not hold what its worker left; earlier results stay as they are
 */
export async function mergeShards(
  { runDir, settings }: OpenPlan,
  target: Pick<RunFolder, 'counters' | 'failedRows'>,
  files: readonly MergedFile[],
  onProgress: (rows: number) => void,
): Promise<Merged> {
  const rules = await answerRules(settings.call);
  let totals = new Totals(target.counters, null, new Date());
  let problems: Problem[] = [];
  const batches = new ShardBatches(settings.policy.batch);

  async function* parts(shards: readonly number[]): AsyncGenerator<AssemblyPart> {
    // Everything is started over where all rows turn out to need a key.
    if (shards[0] === 0) {
      totals = new Totals(target.counters, null, new Date());
      problems = [];
      batches.startOver();
    }
    for (const shard of shards) {
      const folder = shardFolder(runDir, shard);
      const index = await indexRows(folder.rows, await countRows(folder.rows), settings);
      let answers = 0;
      const journal = journalSource(folder);
      const onEntry = (entry: ScannedEntry): void => {
        if (entry.kind === 'answer' && entry.origin === null) answers += 1;
        totals.addEntry(entry);
      };
      await scanJournal(journal, index, { rules, onEntry });
      totals.takeIn(folder.counters, answers - batches.add(folder));
      const hash = createHash('sha256');
      yield { rows: folder.rows, journal, index, onRows: (bytes) => hash.update(bytes) };
      const state = knownState(folder.temp);
      const what = state === null ? 'is missing its state.json' : lacking(state, index, hash);
      if (what !== null) problems.push({ shard, kind: 'cut', message: `shard ${shard} ${what}` });
    }
  }

  const written = files.map(({ shards, ...file }) => ({ ...file, parts: () => parts(shards) }));
  const assembled = await assembleFiles(target.failedRows, written, {
    ...assemblyOf(settings, rules),
    onProgress,
    check: ({ damaged }) => {
      if (problems.length > 0 || damaged.length > 0) throw new ShardsDamaged(problems, damaged);
    },
  });
  totals.setBatches(batches.totals);
  return { assembled, totals, batches: batches.list };
}

/** What the batches of all shards came to. */
class ShardBatches {
  #list: Batch[] = [];
  #totals: BatchTotals = NO_BATCHES;

  /** @param areThere false for a run that was sent online */
  constructor(private readonly areThere: boolean) {}

  startOver(): void {
    this.#list = [];
    this.#totals = NO_BATCHES;
  }

  /** @returns the answers in the shard's journal that came from batches */
  add(folder: RunFolder): number {
    if (!this.areThere) return 0;
    const ledger = Ledger.open(folder);
    const own = ledger.totals();
    const { usage, wasted, processed, answers } = this.#totals;
    this.#totals = {
      usage: addUsage(usage, own.usage),
      wasted: addUsage(wasted, own.wasted),
      processed: processed + own.processed,
      answers: answers + own.answers,
    };
    this.#list.push(...ledger.batches);
    return own.answers;
  }

  get totals(): BatchTotals {
    return this.#totals;
  }

  get list(): Batch[] {
    return this.#list.sort((a, b) => a.createdAt - b.createdAt);
  }
}

function lacking(state: ShardState, index: JournalIndex, hash: Hash): string | null {
  const rows = { total: index.rows, ...index.counts };
  return compareCounts(state, { rows, rowsDigest: hash.digest('hex') });
}

/** What a run does about answers that need not be paid for, before it sends anything and after answers came. */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { messageOf } from '../lib/errors.js';
import { count, sanitize, plural } from '../lib/text.js';
import { answerRules } from '../models/answer-rules.js';
import type { ModelCall } from '../models/call.js';
import type { AnswerSource, Reading } from '../run/answer-source.js';
import { fallbackOf } from '../run/fallback.js';
import type { RunFolder } from '../run/folder.js';
import type { PreparedRun } from '../run/prepare.js';
import { RequestTable } from '../run/request-table.js';
import type { RunPolicy } from '../run/settings.js';
import { fanOut, reuseAnswers, spareRows, type CopyTarget } from '../run/shared-answers.js';
import type { Totals } from '../run/totals.js';
import type { Console } from '../terminal/progress.js';
import type { RetriableState } from '../types.js';
import { findAnswerSources } from './answer-sources.js';

/** A run that may share answers. */
export interface SharingRun {
  call: ModelCall;
  policy: RunPolicy;
  /** Where runs are looked for that are named without a folder. */
  tempDir: string;
  folder: RunFolder;
  run: PreparedRun;
  totals: Totals;
}

/** How the lines of a run's journal are read, and of those whose answers it takes over. */
export async function readingOf(
  call: ModelCall,
  policy: Pick<RunPolicy, 'escalateTruncated' | 'fallback'>,
): Promise<Reading> {
  return {
    choices: call.generation.n ?? 1,
    rules: await answerRules(call),
    escalation: policy.escalateTruncated ?? 1,
    fallback: fallbackOf(policy)?.annotator ?? null,
  };
}

/**
 * Makes sure that the runs which `--reuse` names have answers, before anything is written.
 * @throws UserError where one of them has none
 */
export async function checkAnswerSources(reuse: readonly string[], tempDir: string): Promise<void> {
  for (const path of reuse) await findAnswerSources(path, tempDir);
}

/**
 * The folders that `--reuse` names. With `--overwrite` it may name the very run that was moved aside: then its new folder
 * is used, also in `config.yaml`. Otherwise a run's own folder is not a source.
 * @param aside where the folders of the earlier run were moved
 */
export function reusingMoved(
  reuse: readonly string[],
  folder: Pick<RunFolder, 'save' | 'temp'>,
  aside: readonly string[],
): string[] {
  const moved = aside.filter((path) => existsSync(join(path, 'jobs.json')));
  const isOwn = (path: string): boolean =>
    [folder.save, folder.temp].some((own) => resolve(own) === resolve(path));
  return [...new Set(reuse.flatMap((path) => (isOwn(path) ? moved : [path])))];
}

/** Answers that rows of one run share. */
export class SharedAnswers {
  /** Null where rows share none. */
  readonly #target: CopyTarget | null;

  private constructor(
    target: CopyTarget | null,
    private readonly sharing: SharingRun,
    private readonly console: Console,
  ) {
    this.#target = target;
  }

  /**
   * Takes over what earlier runs have, and keeps rows back that another row's answer will serve.
   * @throws UserError where the journal can't be written
   */
  static async open(sharing: SharingRun, console: Console): Promise<SharedAnswers> {
    const { call, policy, folder, run, totals } = sharing;
    const { reuse, dedupe, retry, escalateTruncated } = policy;
    const { index } = run;
    const isEscalating = escalateTruncated !== null && index.count('truncated') > 0;
    const isFallingBack = fallbackOf(policy) !== null && index.count('refused') + index.count('filtered') > 0;
    const isSending = isEscalating || isFallingBack || index.countWanted(retry) > 0;
    const isNeeded = (reuse.length > 0 || dedupe) && isSending;
    if (!isNeeded) return new SharedAnswers(null, sharing, console);
    const table = await readTable(folder, run.rows, console);
    const target: CopyTarget = {
      ...{ folder, table, index: run.index, retry, reading: await readingOf(call, policy) },
      onCopy: (answer, origin, part) => {
        if (answer !== null) totals.addCopy(answer, origin, part);
      },
    };
    try {
      for (const path of reuse) await takeOver(path, target, sharing, console);
    } finally {
      table.close();
    }
    const shared = new SharedAnswers(dedupe ? target : null, sharing, console);
    await shared.settle();
    shared.#announce();
    return shared;
  }

  /** Gives answers that came to the rows with the same request, and keeps the rest of these rows back. */
  async settle(): Promise<void> {
    const target = this.#target;
    if (target === null) return;
    const { index } = this.sharing.run;
    index.setAside(null);
    const rows = await fanOut(target);
    if (rows > 0)
      this.console.record('info', `${plural(rows, 'row')} got the answer of an identical request.`);
    index.setAside(spareRows(target.table, index, target.retry));
  }

  /** 1 for each row in some states whose request another one sends again; null where rows share no answers. */
  spare(states: readonly RetriableState[]): Uint8Array | null {
    const target = this.#target;
    if (target === null) return null;
    const { index } = this.sharing.run;
    index.setAside(null);
    return spareRows(target.table, index, states);
  }

  #announce(): void {
    const target = this.#target;
    if (target === null) return;
    const { index } = this.sharing.run;
    const sent = index.countWanted(target.retry);
    const spare = index.countAside;
    this.console.info(
      spare === 0
        ? 'No two rows to send have the same request.'
        : `${plural(spare, 'row')} of ${count(spare + sent)} need no request: another row has an identical one.`,
    );
  }
}

async function readTable(folder: RunFolder, rows: number, console: Console): Promise<RequestTable> {
  let done = 0;
  const endProgress = console.showProgress(() => `Comparing requests: ${count(done)} of ${count(rows)}`);
  try {
    return await RequestTable.read(folder.jobs, rows, (row) => {
      done = row;
    });
  } finally {
    endProgress();
  }
}

async function takeOver(
  path: string,
  target: CopyTarget,
  { policy: { retry }, run, tempDir }: SharingRun,
  console: Console,
): Promise<void> {
  const wanted = run.index.countWanted(retry);
  if (wanted === 0) return;
  const sources = await sourcesAt(path, tempDir, console);
  const [first] = sources;
  if (first === undefined) return;
  let damaged = 0;
  const onDamaged = (): void => {
    damaged += 1;
  };
  const endProgress = console.showProgress(
    () => `Reusing answers: ${count(wanted - run.index.countWanted(retry))} of ${count(wanted)}`,
  );
  try {
    let rows = 0;
    for (const source of sources) rows += await reuseAnswers(source, target, onDamaged);
    const name = sanitize(first.name, 120);
    console.info(
      `Reused ${plural(rows, 'answer')} from ${name}; ${plural(wanted - rows, 'row')} left to send.`,
    );
    if (damaged > 0)
      console.warning(
        `${plural(damaged, 'request')} in jobs.json of ${name} cannot be read, so the answers to them are not reused.`,
      );
  } finally {
    endProgress();
  }
}

/** A source that a resumed run named before may be gone by now; what it had was taken over then. */
async function sourcesAt(path: string, tempDir: string, console: Console): Promise<AnswerSource[]> {
  try {
    return await findAnswerSources(path, tempDir);
  } catch (error) {
    console.warning(`${messageOf(error)} The run continues without them.`);
    return [];
  }
}

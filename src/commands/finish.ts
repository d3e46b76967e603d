/** The end of a run, whichever way its answers came: results, summary, and what is left to do. */

import { FinishRules } from '../annotators/finish-reason.js';
import { EXIT } from '../errors.js';
import { describeExport, exportFile, exportResults } from '../exports/index.js';
import { keepJudgement } from '../judge/figures.js';
import type { RunOptions } from '../options.js';
import type { Console } from '../progress.js';
import { assemble, type Assembled } from '../run/assemble.js';
import { creationDate, writeConfig } from '../run/config.js';
import { noteDamaged, scanJournal } from '../run/journal.js';
import { describeSummary, summarise, writeSummary } from '../run/summary.js';
import { count, inert, plural } from '../text.js';
import { resultShape, type FinishedRun, type Publisher } from './finished-run.js';
import type { Surroundings } from './surroundings.js';

/**
 * What takes the results elsewhere; it is looked at before anything is paid for. Null where they stay here.
 * @throws UserError where it can't work
 */
export async function publisherOf(
  options: RunOptions,
  surroundings: Surroundings,
): Promise<Publisher | null> {
  if (options.push === null) return null;
  const { preparePush } = await import('./push.js');
  return preparePush(options.push, options.environment, surroundings);
}

type AssembledRun = Pick<FinishedRun, 'options' | 'folder' | 'run'>;

/**
 * Writes the results, and remembers lines of the journal that turned out to be damaged, so that no later run takes
 * them. Where a row has another line, that one counts; the rows without one are told in `damaged`.
 */
export async function assembleResults(finished: AssembledRun, console: Console): Promise<Assembled> {
  const { options, folder, run } = finished;
  const rules = new FinishRules(options.acceptFinishReason);
  let damaged: Assembled['damaged'] = [];
  for (;;) {
    const assembled = await assembleOnce(finished, rules, console);
    damaged = [...damaged, ...assembled.damaged];
    if (assembled.damaged.length === 0) return { ...assembled, damaged };
    await noteDamaged(
      folder.journal,
      assembled.damaged.map(({ offset }) => offset),
    );
    for (const { row } of assembled.damaged) run.index.forget(row);
    const lines = plural(assembled.damaged.length, 'line');
    console.warning(`${lines} of ${folder.journal} can't be read or answer another row.`);
    await scanJournal(folder.journal, run.index, options.generation.n > 1, () => undefined, rules);
    const hasOtherLine = ({ row }: { row: number }): boolean => run.index.place(row) !== null;
    if (!assembled.damaged.some(hasOtherLine)) return { ...assembled, damaged };
    damaged = damaged.filter((one) => !hasOtherLine(one));
  }
}

async function assembleOnce(
  { options, folder, run }: AssembledRun,
  rules: FinishRules,
  console: Console,
): Promise<Assembled> {
  let done = 0;
  const endProgress = console.showProgress(
    () => `Writing results: ${count(done)} of ${plural(run.rows, 'row')}`,
  );
  try {
    return await assemble(folder, run.index, {
      includeMetadata: options.includeMetadata,
      several: options.generation.n > 1,
      rules,
      onProgress: (rows) => {
        done = rows;
      },
    });
  } finally {
    endProgress();
  }
}

/** Writes what `--output_format` asks for beside `reannotated.json`, which must be complete. */
async function writeExports(finished: FinishedRun, console: Console): Promise<void> {
  const { options, folder, run } = finished;
  const shape = resultShape(finished);
  for (const name of options.outputFormats) {
    if (name === 'json') continue;
    let done = 0;
    const endProgress = console.showProgress(
      () => `Writing ${exportFile(name)}: ${count(done)} of ${plural(run.rows, 'row')}`,
    );
    const onProgress = (rows: number): void => {
      done = rows;
    };
    try {
      const results = { path: folder.reannotated, shape, onProgress };
      console.info(describeExport(name, await exportResults(name, results, folder.save)));
    } finally {
      endProgress();
    }
  }
}

/**
 * Tells how a run went whose results are written, and publishes them.
 * @returns the exit code
 * @throws UserError where they can't be published
 */
export async function finish(finished: FinishedRun, assembled: Assembled, console: Console): Promise<number> {
  const { options, folder, totals, mode } = finished;
  const now = new Date();
  const summary = summarise(assembled, totals, mode, now);
  const { kept, isOutdated } = await keepJudgement(folder);
  await writeSummary(folder.summary, { ...summary, ...kept });
  if (isOutdated)
    console.info('The results changed, so the judgement of the earlier ones is left out; judge them anew.');
  await writeConfig(folder.config, { ...finished.config, finished_at: creationDate(now) });
  const table = describeSummary(summary, finished.session, folder);
  console.print(table);
  for (const line of table.split('\n')) console.record('info', line);
  await writeExports(finished, console);
  if (assembled.rows.truncated > 0) {
    console.warning(
      `${plural(assembled.rows.truncated, 'answer')} ended at --max_tokens ${options.generation.max_tokens}; ` +
        'a larger value needs a new run (--overwrite).',
    );
  }
  try {
    await finished.publisher?.publish(finished, summary);
  } finally {
    if (assembled.missing > 0) tellMissing(assembled, finished, console);
  }
  return assembled.missing === 0 ? EXIT.done : EXIT.incomplete;
}

function tellMissing(
  assembled: Assembled,
  { options, folder, stop, tryAgain }: FinishedRun,
  console: Console,
): void {
  const why = assembled.reasons.map(({ error, rows }) => `${count(rows)} × ${inert(error, 160)}`).join('; ');
  if (why !== '') console.warning(`Why: ${why}`);
  if (stop?.reason === 'budget') {
    console.warning(
      `Stopped before --max_cost ${options.maxCost ?? 0} would be exceeded; raise it to go on.`,
    );
  }
  const retriable = assembled.rows.failed + assembled.rows.pending - assembled.unusable;
  const again =
    retriable > 0 || assembled.rows.filtered > 0
      ? tryAgain
      : 'Another try would change nothing: mend the rows in the dataset, or the parameters.';
  console.error(
    `${plural(assembled.missing, 'row')} without an annotation (listed in ${folder.failedRows}). ${again}`,
  );
}

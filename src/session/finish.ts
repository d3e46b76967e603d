/** The end of a run, whichever way its answers came: results, summary, and what is left to do. */

import { mostTokensOf } from '../requests/parameters.js';
import { answerRules, type AnswerRules } from '../models/answer-rules.js';
import { EXIT } from '../lib/errors.js';
import { describeExport, exportFile, exportResults } from '../exports/index.js';
import { keepJudgement } from '../judge/figures.js';
import type { ModelCall } from '../models/call.js';
import type { Environment, Push } from '../run/settings.js';
import type { Console } from '../terminal/progress.js';
import { assemble } from '../run/assemble.js';
import type { Assembled } from '../run/assembled.js';
import { creationDate, writeConfig } from '../run/config.js';
import { fallbackOf } from '../run/fallback.js';
import { journalSource } from '../run/folder.js';
import { noteDamaged, scanJournal } from '../run/journal.js';
import type { PreparedRun } from '../run/prepare.js';
import { describeSummary, summarise, writeSummary, type Summary } from '../run/summary.js';
import { count, sanitize, plural } from '../lib/text.js';
import { filterRows } from './filters.js';
import { assemblyOf, resultsOf, type FinishedRun, type Publisher } from './finished-run.js';
import { costToSuggest } from './next-command.js';
import type { CommandContext } from './command-context.js';

/**
 * What takes the results elsewhere; it is checked before anything is paid for. Null where they stay here.
 * @throws UserError where it can't work
 */
export async function publisherOf(
  push: Push | null,
  environment: Environment,
  context: CommandContext,
): Promise<Publisher | null> {
  if (push === null) return null;
  const { preparePush } = await import('./push.js');
  return preparePush(push, environment, context);
}

type AssembledRun = Pick<FinishedRun, 'call' | 'output' | 'policy' | 'folder'> & {
  run: Pick<PreparedRun, 'index' | 'rows'>;
};

/**
 * Writes the results, and remembers lines of the journal that turned out to be damaged, so that no later run takes
 * them. Where a row has another line, that one counts; the rows without one are in `damaged`.
 * @param picks what a judge chose among each row's answers
 */
export async function assembleResults(
  finished: AssembledRun,
  console: Console,
  picks?: Uint8Array,
): Promise<Assembled> {
  const { call, folder, run } = finished;
  const rules = await answerRules(call);
  let damaged: Assembled['damaged'] = [];
  for (;;) {
    const assembled = await assembleOnce(finished, rules, console, picks);
    damaged = [...damaged, ...assembled.damaged];
    if (assembled.damaged.length === 0) return { ...assembled, damaged };
    await noteDamaged(
      folder.journal,
      assembled.damaged.map(({ offset }) => offset),
    );
    for (const { row, offset } of assembled.damaged) run.index.forgetLine(row, offset);
    const lines = plural(assembled.damaged.length, 'line');
    console.warning(`${lines} of ${folder.journal} can't be read or belong to another row.`);
    await scanJournal(journalSource(folder), run.index, { rules });
    const hasOtherLine = ({ row }: { row: number }): boolean => run.index.place(row) !== null;
    if (!assembled.damaged.some(hasOtherLine)) return { ...assembled, damaged };
    damaged = damaged.filter((one) => !hasOtherLine(one));
  }
}

async function assembleOnce(
  finished: AssembledRun,
  rules: AnswerRules,
  console: Console,
  picks: Uint8Array | undefined,
): Promise<Assembled> {
  const { folder, run } = finished;
  let done = 0;
  const endProgress = console.showProgress(
    () => `Writing results: ${count(done)} of ${plural(run.rows, 'row')}`,
  );
  try {
    return await assemble(folder, run.index, {
      ...assemblyOf(finished, rules),
      picks,
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
  const { output, folder, run } = finished;
  const results = resultsOf(finished);
  for (const name of output.formats) {
    if (name === 'json') continue;
    let done = 0;
    const endProgress = console.showProgress(
      () => `Writing ${exportFile(name)}: ${count(done)} of ${plural(run.rows, 'row')}`,
    );
    const onProgress = (rows: number): void => {
      done = rows;
    };
    try {
      const exported = await exportResults(name, { ...results, onProgress }, folder.save);
      console.info(describeExport(name, exported));
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
export async function finish(run: FinishedRun, assembled: Assembled, console: Console): Promise<number> {
  const filtered = await filterRows(run, assembled.rows.total, console);
  const finished = { ...run, keys: assembled.keys, dropped: filtered?.dropped ?? null };
  const { call, folder, totals, mode } = finished;
  const now = new Date();
  const summary: Summary = {
    ...summarise(assembled, totals, { annotator: call.annotator.name, mode, finished: now }),
    ...(filtered === null ? {} : { dropped: filtered.figures }),
  };
  const { kept, isOutdated } = await keepJudgement(folder);
  const { selection } = finished;
  await writeSummary(folder.summary, {
    ...summary,
    ...(selection === undefined ? {} : { selection }),
    ...kept,
  });
  if (isOutdated)
    console.info('The answers changed, so the old verdicts were removed. Run reannotate judge again.');
  await writeConfig(folder.config, { ...finished.config, finished_at: creationDate(now) });
  const { partFolders } = finished;
  const results = partFolders ?? [folder.reannotated];
  const table = describeSummary({ ...summary, selection }, finished.session, { folder, results });
  console.print(table);
  for (const line of table.split('\n')) console.record('info', line);
  if (partFolders === undefined) await writeExports(finished, console);
  if (assembled.rows.truncated > 0) {
    console.warning(
      `${plural(assembled.rows.truncated, 'answer')} ${reached(call)}. ${longerAnswers(finished)}`,
    );
  }
  const isUnaffordable = finished.stop?.reason === 'budget';
  try {
    await finished.publisher?.publish(finished, summary);
  } finally {
    if (assembled.missing > 0) tellMissing(assembled, finished, console);
    else if (isUnaffordable) console.error(describeUnaffordable(assembled, finished));
  }
  return assembled.missing === 0 && !isUnaffordable ? EXIT.done : EXIT.incomplete;
}

function tellMissing(assembled: Assembled, finished: FinishedRun, console: Console): void {
  const { policy, folder, stop, totals, needed = null } = finished;
  const { rows, missing } = assembled;
  const reasons = describeReasons(assembled);
  if (reasons !== '') console.warning(`Reasons: ${reasons}`);
  const states = (['failed', 'refused', 'filtered', 'pending'] as const)
    .filter((state) => rows[state] > 0)
    .map((state) => `${count(rows[state])} ${state === 'pending' ? 'not sent' : state}`);
  // Most truncated rows have an answer; those that were cut off before it are the rest.
  const cutOff = missing - rows.failed - rows.refused - rows.filtered - rows.pending;
  if (cutOff > 0) states.push(`${count(cutOff)} truncated`);
  const what = `${plural(missing, 'row')} ${missing === 1 ? 'has' : 'have'} no answer (${states.join(', ')}; see ${folder.failedRows}).`;
  if (stop?.reason !== 'budget') {
    console.error(`${what} ${adviceFor(assembled, finished)}`);
    return;
  }
  const maximum = policy.maxCost ?? 0;
  const spent = totals.cost ?? 0;
  const withheld = fallbackOf(policy) === null ? 0 : rows.refused + rows.filtered;
  const done = rows.total - rows.pending - assembled.unusable;
  const cost = costToSuggest(maximum, { spent, done, left: rows.pending + withheld, needed });
  console.error(
    `${what} Stopped: the next request could exceed --max_cost ${maximum}. For all rows about ${cost} is needed. ` +
      `Continue with: ${finished.commands.raise(cost)}`,
  );
}

/** `3 × 500 server_error: …; 4 more rows for other reasons` */
function describeReasons({ reasons, rows, missing }: Assembled): string {
  const descriptions = reasons.map(({ error, rows: times }) => `${count(times)} × ${sanitize(error, 160)}`);
  const others = missing - rows.pending - reasons.reduce((sum, { rows: times }) => sum + times, 0);
  if (others > 0 && descriptions.length > 0)
    descriptions.push(`${plural(others, 'more row')} for other reasons`);
  return descriptions.join('; ');
}

/** How to get the missing rows, or why that cannot be done by retrying. */
function adviceFor({ rows, unusable }: Assembled, finished: FinishedRun): string {
  const { tryAgain, commands } = finished;
  const advice: string[] = [];
  const failed = rows.failed - unusable;
  if (failed + rows.pending > 0) advice.push(tryAgain);
  const withheld = (['refused', 'filtered'] as const).filter((state) => rows[state] > 0);
  if (withheld.length > 0) {
    const hasOther = fallbackOf(finished.policy) !== null;
    const elsewhere = hasOther ? null : commands.sendAgain('fallback_annotator', 'NAME');
    if (elsewhere !== null)
      advice.push(`to send ${withheld.join(' and ')} rows to another model: ${elsewhere}`);
    const states = failed > 0 ? (['failed', ...withheld] as const) : withheld;
    advice.push(
      `${withheld.join(' and ')} rows are not retried unless you ask for it: ${commands.retry(states)}`,
    );
  }
  if (unusable > 0)
    advice.push(
      `${plural(unusable, 'row')} cannot be used, and retrying will not help: fix them in the dataset, or change the parameters.`,
    );
  if (advice.length === 0) advice.push(longerAnswers(finished));
  return advice.map((one) => `${one.charAt(0).toUpperCase()}${one.slice(1)}`).join(' — ');
}

/** Every row has an answer, and better ones were not affordable. */
function describeUnaffordable(
  { rows }: Assembled,
  { policy, totals, needed, commands }: FinishedRun,
): string {
  const maximum = policy.maxCost ?? 0;
  const done = rows.total - rows.truncated;
  const left = { spent: totals.cost ?? 0, done, left: rows.truncated, needed: needed ?? null };
  const command = commands.raise(costToSuggest(maximum, left));
  return `Rows were not sent again: the next request could exceed --max_cost ${maximum}. Continue with: ${command}`;
}

/** How truncated rows may get whole answers. */
function longerAnswers({ call, policy, commands, config }: FinishedRun): string {
  const { max_tokens: base } = call.generation;
  const tried = policy.escalateTruncated ?? 1;
  const most = mostTokensOf(config.parameter_changes ?? []);
  if (base === null || (most !== null && base * tried >= most))
    return 'A model with a higher limit may finish its answers.';
  const factor = tried * 4;
  const command = commands.sendAgain('escalate_truncated', String(factor));
  return command === null
    ? 'A new run with a larger --max_tokens may finish these answers.'
    : `To send these rows again with ${factor} times the tokens: ${command}`;
}

/** What cut answers short. */
function reached({ generation: { max_tokens: most } }: ModelCall): string {
  return most === null ? 'ended at the model’s own limit' : `ended at --max_tokens ${most}`;
}

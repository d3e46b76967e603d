/** `reannotate judge`: another annotator compares old and new answers of a finished run, blind and in both orders. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { answerRules, type AnswerRules } from '../models/answer-rules.js';
import { findPrice, type Price } from '../models/prices.js';
import { EXIT, UserError } from '../lib/errors.js';
import { readSummary, type JudgeFigures } from '../judge/figures.js';
import { winRate, winRateInterval } from '../judge/interval.js';
import { refuseParts } from '../exports/parts.js';
import type { JudgeOptions } from '../judge/options.js';
import {
  bodiesOf,
  ORDERS,
  prepareJobs,
  setupOf,
  type JudgeFolder,
  type Setup,
  type JudgeQuestions,
} from '../judge/prepare.js';
import { readJudgePrompts, type JudgePrompts } from '../judge/prompts.js';
import { readPairs, sampleRows, type Sample } from '../judge/sample.js';
import { tally, type Tally } from '../judge/tally.js';
import { checkEndpoints } from '../models/endpoint.js';
import { printResult } from '../terminal/output.js';
import type { Stop } from '../requests/processor.js';
import { priceFor } from '../run/budget.js';
import { readJobs } from '../run/jobs.js';
import { JournalIndex } from '../run/journal.js';
import { readJournal } from '../run/read-journal.js';
import { spendingOf, writeSummary } from '../run/summary.js';
import { Totals } from '../run/totals.js';
import { nearest } from '../lib/suggest.js';
import { count, sanitize, plural, shellWord } from '../lib/text.js';
import { inFolder } from '../session/in-folder.js';
import { describeFigures, RequestEstimate } from './judge-table.js';
import { commandLine, costToSuggest } from '../session/next-command.js';
import { sendOnline, type Naming } from '../session/online.js';
import { stopError } from '../session/stops.js';
import type { CommandContext } from '../session/command-context.js';

/** Runs that are named where the one that is wanted does not exist. */
const RUNS_SHOWN = 5;

/**
 * Runs `judge`.
 * @returns the exit code
 * @throws UserError where there is nothing to judge, or the judge can't be asked
 */
export async function judge(options: JudgeOptions, context: CommandContext): Promise<number> {
  const { settings, folder, judged } = options;
  const { call } = settings;
  const { console } = context;
  requireResults(options);
  const prompts = await readJudgePrompts(options.promptsFile);
  if (options.dryRun) return dryRun(options, prompts, context);
  checkEndpoints(call);
  const price = await priceFor(call, settings.policy);
  if (call.annotator.name === judged)
    console.warning(
      `${judged} judges its own answers, which models tend to prefer; choose another with --judge.`,
    );
  return inFolder({ folder, command: 'judge', settings }, context, async () => {
    const judged = await judgeSample(options, prompts, price, context);
    return typeof judged === 'number' ? judged : finish(judged, options, context);
  });
}

/** What a judgement came to. */
export interface Judged {
  figures: JudgeFigures;
  sums: Tally;
  sample: Sample;
  /** Null where everything was asked. */
  stop: Extract<Stop, { reason: 'budget' }> | null;
}

/**
 * Asks for the verdicts that are missing, and writes them with their figures. The run's folder is locked.
 * @returns the exit code where it was interrupted
 * @throws UserError where the judge can't be asked
 */
export async function judgeSample(
  options: JudgeOptions,
  prompts: JudgePrompts,
  price: Price | null,
  context: CommandContext,
): Promise<Judged | number> {
  const { folder } = options;
  const { call, policy } = options.settings;
  const sample = await chooseRows(options, context);
  const setup = await setupOf(options, prompts);
  const work = await prepare(options, { prompts, setup, sample }, context);
  const totals = new Totals(work.counters, price, new Date());
  const rules = await answerRules(call);
  const index = await readVerdicts(work, { sample, rules, totals }, context);
  const missing = estimateOf(options.settings, work, index);
  if (missing.requests > 0) context.console.info(missing.describe(price));
  const run = { index, rows: index.rows, naming: namingOf(sample) };
  const { stop } = await sendOnline(
    {
      ...{ call, policy, folder: work, run, totals, price, serviceTier: null, reserved: 0 },
      onChanges: () => undefined,
    },
    context,
  );
  if (stop !== null && stop.reason !== 'budget') return endEarly(stop, options, index, context);
  const sums = await tally(folder.judgements, sample, { journal: work.journal, index, rules });
  const figures = figuresOf(setup, sums, totals);
  await writeSummary(folder.summary, { ...readSummary(folder.summary), judge: figures });
  return { figures, sums, sample, stop };
}

/** @throws UserError that names the finished runs nearest to the one that is wanted */
function requireResults({ folder, judged, settings }: JudgeOptions): void {
  if (existsSync(folder.reannotated)) return;
  refuseParts(folder.save);
  const parent = settings.output.saveDir;
  const finished = existsSync(parent)
    ? readdirSync(parent).filter((name) => existsSync(join(parent, name, 'reannotated.json')))
    : [];
  const near = nearest(folder.name, finished, RUNS_SHOWN).map((name) => sanitize(name, 120));
  throw new UserError(
    `No finished run found: there is no ${folder.reannotated}. Finish the run with npx reannotate ` +
      `--dataset ${shellWord(sanitize(settings.selection.dataset, 200))} --annotator ${shellWord(sanitize(judged, 80))}, or name ` +
      `another run with --dataset, --annotator and --save_dir. ` +
      (near.length === 0 ? `${parent} has no finished run.` : `${parent} has ${near.join(', ')}.`),
  );
}

async function chooseRows(
  { folder, sample: size, seed, subject = 'old and new answer' }: JudgeOptions,
  { console, interruption }: CommandContext,
): Promise<Sample> {
  let done = 0;
  const endProgress = console.showProgress(() => `Reading answers: ${plural(done, 'row')}`);
  let sample: Sample;
  try {
    sample = await sampleRows(folder.reannotated, size, seed, (rows) => {
      interruption.soft.throwIfAborted();
      done = rows;
    });
  } finally {
    endProgress();
  }
  const { total, pairs, rows } = sample;
  if (pairs === 0) {
    throw new UserError(
      `None of ${plural(total, 'row')} of ${folder.reannotated} has both an old and a new answer, so there is ` +
        'nothing to compare.',
    );
  }
  const identical = rows.filter(({ isIdentical }) => isIdentical).length;
  console.info(
    `Comparing ${subject} of ${plural(rows.length, 'row')} out of ${count(pairs)} with both` +
      (identical === 0
        ? '.'
        : `; ${count(identical)} have identical answers and count as ties without asking the judge.`),
  );
  return sample;
}

async function prepare(
  options: JudgeOptions,
  questions: JudgeQuestions,
  { console, interruption }: CommandContext,
): Promise<JudgeFolder> {
  let done = 0;
  const endProgress = console.showProgress(
    () => `Writing jobs: ${count(done)} of ${plural(questions.sample.total, 'row')}`,
  );
  try {
    return await prepareJobs(options, questions, (rows) => {
      interruption.soft.throwIfAborted();
      done = rows;
    });
  } finally {
    endProgress();
  }
}

/** What was answered before. */
async function readVerdicts(
  work: JudgeFolder,
  { sample, rules, totals }: { sample: Sample; rules: AnswerRules; totals: Totals },
  { console }: CommandContext,
): Promise<JournalIndex> {
  const index = new JournalIndex(rowsToJudge(sample).length * ORDERS.length);
  // A judgement is small enough to parse every line, so that a damaged one is asked for again at once.
  await readJournal(work, index, console, {
    ...{ isThorough: true, rules },
    onEntry: (entry) => {
      totals.addEntry(entry);
    },
  });
  return index;
}

function rowsToJudge({ rows }: Sample): Sample['rows'] {
  return rows.filter(({ isIdentical }) => !isIdentical);
}

/** The requests that have no answer yet. */
function estimateOf(
  { call, policy }: JudgeOptions['settings'],
  work: JudgeFolder,
  index: JournalIndex,
): RequestEstimate {
  const estimate = new RequestEstimate(call);
  for (const { requestIdx, body } of readJobs(work.jobs)) {
    if (index.isWanted(requestIdx, policy.retry)) estimate.add(body);
  }
  return estimate;
}

function namingOf(sample: Sample): Naming {
  const rows = rowsToJudge(sample);
  return {
    one: 'verdict',
    nameOf: (request) => {
      const { row } = rows[Math.floor(request / ORDERS.length)] ?? { row: -1 };
      return `Row ${row}, ${request % ORDERS.length === 0 ? 'new' : 'old'} answer first`;
    },
  };
}

function figuresOf(setup: Setup, sums: Tally, totals: Totals): JudgeFigures {
  const rounded = (share: number): number => Math.round(share * 1e4) / 1e4;
  const rate = winRate(sums);
  const interval = winRateInterval(sums);
  return {
    annotator: setup.annotator,
    model: setup.model,
    rows: sums.wins + sums.ties + sums.losses + sums.undecided,
    wins: sums.wins,
    ties: sums.ties,
    losses: sums.losses,
    undecided: sums.undecided,
    identical: sums.identical,
    flipped: sums.flipped,
    win_rate: rate === null ? null : rounded(rate),
    confidence_interval_95: interval === null ? null : [rounded(interval[0]), rounded(interval[1])],
    ...spendingOf(totals),
    sample: setup.sample,
    seed: setup.seed,
    template_digest: setup.template_digest,
    results_digest: setup.results_digest,
    judged_at: new Date().toISOString(),
  };
}

function finish(
  { figures, sums, sample, stop }: Judged,
  { folder, settings }: JudgeOptions,
  { console, resumeCommand, words }: CommandContext,
): number {
  const table = describeFigures(figures, sample, folder.judgements);
  console.print(table);
  for (const line of table.split('\n')) console.record('info', line);
  if (sums.unreadable > 0) {
    console.warning(
      `${plural(sums.unreadable, 'answer')} of the judge had no verdict; their pairs are undecided and not counted. ` +
        `The judge’s answers are in ${folder.judgements}.`,
    );
  }
  if (stop?.reason === 'budget') {
    const maximum = settings.policy.maxCost ?? 0;
    const left = sums.unanswered;
    const done = Math.max(0, ORDERS.length * (figures.rows - figures.identical) - left);
    const enough = costToSuggest(maximum, { spent: figures.cost_usd ?? 0, done, left, needed: null });
    console.warning(
      `Stopped: the next request could exceed --max_cost ${maximum}. The verdicts so far are saved. For all of them about ` +
        `${enough} is needed. Continue with: ${words === undefined ? resumeCommand : commandLine(words, { max_cost: String(enough) })}`,
    );
  }
  if (sums.unanswered > 0) {
    const again = stop === null ? ` Retry with the same command: ${resumeCommand}` : '';
    console.error(
      `${plural(sums.unanswered, 'request')} without an answer, so their pairs are undecided.${again}`,
    );
  }
  return figures.win_rate === null || sums.unanswered > 0 ? EXIT.incomplete : EXIT.done;
}

/** A judgement that did not come to its end: every verdict is saved, no figure is written. */
async function endEarly(
  stop: Exclude<Stop, { reason: 'budget' }>,
  { settings }: JudgeOptions,
  index: JournalIndex,
  { console, interruption, resumeCommand }: CommandContext,
): Promise<number> {
  const saved = `${plural(index.rows - index.count('pending'), 'verdict')} of ${count(index.rows)} saved`;
  if (stop.reason === 'interrupted') {
    console.warning(`Stopped; ${saved}. Resume with the same command: ${resumeCommand}`);
    return interruption.exitCode;
  }
  throw await stopError(
    stop,
    settings.call,
    `(${saved}.) Then resume with the same command: ${resumeCommand}`,
  );
}

/** What a judgement would ask and cost; nothing is sent or written. */
async function dryRun(
  options: JudgeOptions,
  prompts: JudgePrompts,
  context: CommandContext,
): Promise<number> {
  const { folder } = options;
  const { call } = options.settings;
  const sample = await chooseRows(options, context);
  const estimate = new RequestEstimate(call);
  const stopIfAsked = (): void => {
    context.interruption.soft.throwIfAborted();
  };
  await readPairs(folder.reannotated, sample, stopIfAsked, (pair) => {
    for (const body of bodiesOf(pair, options, prompts)) estimate.add(Buffer.from(JSON.stringify(body)));
  });
  const price = await findPrice(call.annotator.provider, call.annotator.model);
  await printResult(`${estimate.describe(price)}\n`);
  return EXIT.done;
}

/**
 * `reannotate compare`: the same sample through several annotators, and their answers judged blind, pair by pair. Each
 * annotator's answers are a run of its own below the comparison's folder, and so is each pair's judgement, so that all of
 * it resumes like any run.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { collectFigures } from '../compare/collect.js';
import type { CompareFigures } from '../compare/figures.js';
import { writePair } from '../compare/pair.js';
import {
  costIn,
  foldersOf,
  placeComparison,
  rowsIn,
  type Comparison,
  type Contestant,
  type Pair,
  type PlacedComparison,
} from '../compare/place.js';
import { sampleDataset } from '../compare/sample.js';
import { comparePage, compareTable } from '../compare/table.js';
import { readJudgePrompts, type JudgePrompts } from '../judge/prompts.js';
import { EXIT, UserError } from '../lib/errors.js';
import { digestOfFile, makeFolder, replaceFile } from '../lib/files.js';
import { plural, sanitize, shellWord } from '../lib/text.js';
import { checkEndpoints } from '../models/endpoint.js';
import { priceFor } from '../run/budget.js';
import { earlierFiles, findRunFolder, type RunFolder } from '../run/folder.js';
import { findDataset } from '../run/find-dataset.js';
import { placeOf } from '../run/settings.js';
import { inFolder } from '../session/in-folder.js';
import type { CommandContext } from '../session/command-context.js';
import { printResult } from '../terminal/output.js';
import { compareDryRun, judgeFor } from './compare-calls.js';
import { judgeSample } from './judge.js';
import { reannotate } from './reannotate.js';

/** A comparison that is being carried out. */
interface OpenComparison extends PlacedComparison {
  /** Opens the sample, once for all annotators. */
  find: typeof findDataset;
  context: CommandContext;
}

/**
 * Runs `compare`.
 * @returns the exit code
 * @throws UserError where an annotator or the judge can't be called, or the dataset can't be read
 */
export async function compare(comparison: Comparison, context: CommandContext): Promise<number> {
  const prompts = await readJudgePrompts(comparison.promptsFile);
  const placed = placeComparison(comparison);
  const find = sampleOf(placed);
  if (comparison.dryRun) return compareDryRun(placed, find, prompts, context);
  const open: OpenComparison = { ...placed, find, context };
  await checkCalls(open);
  for (const contestant of open.contestants) {
    const exitCode = await answer(contestant, open);
    if (exitCode !== EXIT.done && exitCode !== EXIT.incomplete) return exitCode;
    if (isUnfinished(contestant)) return outOfMoney(open);
  }
  await requireSameRows(open);
  let unanswered = 0;
  for (const pair of open.pairs) {
    const judged = await judgePair(pair, prompts, open);
    if (typeof judged === 'number') return judged;
    if (judged.isOutOfMoney) return outOfMoney(open);
    unanswered += judged.unanswered;
  }
  const figures = collectFigures(open);
  await save(figures, open);
  await printResult(`${compareTable(figures)}\n`);
  const folders = open.contestants.map(({ folder }) => shellWord(folder.save));
  context.console.info(`All answers and verdicts on one page: npx reannotate report ${folders.join(' ')}`);
  if (unanswered > 0)
    context.console.warning(
      `${plural(unanswered, 'verdict')} missing, so their pairs are undecided. Retry with: ${context.resumeCommand}`,
    );
  const isUndecided = figures.pairs.some(({ win_rate: rate }) => rate === null);
  if (comparison.run === null) return unanswered > 0 || isUndecided ? EXIT.incomplete : EXIT.done;
  return runWhole(comparison.run.annotator ?? bestOf(figures), open);
}

/** Opens the sample of the dataset when it is needed first: annotators that have their rows need none. */
function sampleOf({ comparison, common, place }: PlacedComparison): typeof findDataset {
  const { sample, sampleSeed, dryRun } = comparison;
  let sampled: ReturnType<typeof findDataset> | null = null;
  const open = async (
    ...[, console, signal]: Parameters<typeof findDataset>
  ): ReturnType<typeof findDataset> => {
    const found = await findDataset(common, console, signal);
    const { offset, limit } = common.selection;
    const endProgress = console.showProgress(() => 'Sampling the dataset');
    try {
      const chosen = await sampleDataset(
        found,
        { offset, limit },
        { size: sample, seed: sampleSeed },
        signal,
      );
      if (dryRun) return chosen;
      makeFolder(place.temp);
      await replaceFile(join(place.temp, 'dataset.json'), (file) => {
        file.write(`${JSON.stringify({ rows: chosen.total })}\n`);
      });
      return chosen;
    } finally {
      endProgress();
    }
  };
  return (...given) => (sampled ??= open(...given));
}

/** Everything that can be wrong with a key or a price is said before anything is sent. */
async function checkCalls(open: OpenComparison): Promise<void> {
  const { contestants, comparison, common, context } = open;
  const judging = judgeFor(null, common.policy.maxCost, open);
  for (const settings of [...contestants.map((one) => one.settings), judging.settings]) {
    checkEndpoints(settings.call);
    if (settings.policy.maxCost !== null) await priceFor(settings.call, settings.policy);
  }
  if (contestants.some(({ name }) => name === comparison.judge.name))
    context.console.warning(
      `${sanitize(comparison.judge.name, 80)} judges its own answers, which models tend to prefer; choose another with --judge.`,
    );
}

/** Has the sample answered by one annotator. */
async function answer(contestant: Contestant, open: OpenComparison): Promise<number> {
  const { settings, name } = contestant;
  const { context } = open;
  context.console.info(`${sanitize(name, 80)} is answering the sample.`);
  const maxCost = moneyLeft(settings.policy.maxCost, contestant.folder, open);
  const selection = { ...settings.selection, offset: 0, limit: null };
  const policy = { ...settings.policy, maxCost };
  return reannotate({ ...settings, selection, policy }, quiet(context), open.find);
}

/** Commands to resume are those of the whole comparison. */
function quiet({ console, interruption, resumeCommand }: CommandContext): CommandContext {
  return { console, interruption, resumeCommand };
}

/** What the other parts of the comparison leave of `--max_cost`. */
function moneyLeft(maxCost: number | null, own: RunFolder, open: OpenComparison): number | null {
  if (maxCost === null) return null;
  const others = foldersOf(open).filter((folder) => folder.temp !== own.temp);
  return Math.max(0, maxCost - others.reduce((sum, folder) => sum + (costIn(folder) ?? 0), 0));
}

function isUnfinished({ folder }: Contestant): boolean {
  return (rowsIn(folder)['pending'] ?? 0) > 0;
}

function outOfMoney({ common, context }: OpenComparison): number {
  const { maxCost } = common.policy;
  context.console.error(
    `Stopped: the next request could exceed --max_cost ${maxCost ?? 0}. Everything received is saved; run the same command with a larger ` +
      `amount: ${context.resumeCommand}`,
  );
  return EXIT.incomplete;
}

/** @throws UserError where annotators were added after the dataset had changed */
async function requireSameRows({ contestants, place }: OpenComparison): Promise<void> {
  const digests = await Promise.all(contestants.map(({ folder }) => digestOfFile(folder.rows)));
  if (new Set(digests).size === 1) return;
  throw new UserError(
    `The dataset changed between annotators, so they answered different rows. Compare all of them on the new rows with ` +
      `--run_name NAME, or delete ${place.save} and ${place.temp} to start over.`,
  );
}

/**
 * Has the answers of two annotators judged.
 * @returns the exit code where it was interrupted
 */
async function judgePair(
  pair: Pair,
  prompts: JudgePrompts,
  open: OpenComparison,
): Promise<number | { isOutOfMoney: boolean; unanswered: number }> {
  const { contestants, common, context } = open;
  const options = judgeFor(pair, moneyLeft(common.policy.maxCost, pair.folder, open), open);
  const { settings } = options;
  const price = await priceFor(settings.call, settings.policy);
  let outcome = { isOutOfMoney: false, unanswered: 0 };
  const exitCode = await inFolder(
    { folder: pair.folder, command: 'compare', settings },
    context,
    async () => {
      const paths = [pair.one, pair.other].map((number) => contestants[number]?.folder.reannotated ?? '');
      await writePair(paths[0] ?? '', paths[1] ?? '', pair.folder.reannotated);
      const judged = await judgeSample(options, prompts, price, quiet(context));
      if (typeof judged === 'number') return judged;
      outcome = { isOutOfMoney: judged.stop !== null, unanswered: judged.sums.unanswered };
      return EXIT.done;
    },
  );
  return exitCode === EXIT.done ? outcome : exitCode;
}

async function save(figures: CompareFigures, { place, context }: OpenComparison): Promise<void> {
  mkdirSync(place.save, { recursive: true });
  const [json, page] = ['compare.json', 'compare.html'].map((name) => join(place.save, name)) as [
    string,
    string,
  ];
  await replaceFile(json, (file) => {
    file.write(`${JSON.stringify(figures, null, 2)}\n`);
  });
  await replaceFile(page, (file) => {
    file.write(comparePage(figures));
  });
  context.console.info(`Wrote ${json} and ${page}.`);
}

/** @throws UserError where no verdict says which is best */
function bestOf({ annotators, pairs }: CompareFigures): string {
  const [best] = annotators;
  if (best !== undefined && pairs.some(({ win_rate: rate }) => rate !== null)) return best.annotator;
  throw new UserError('No pair was decided, so there is no best annotator. Choose one with --run NAME.');
}

/** The whole dataset with one annotator, whose answers to the sample are there. */
async function runWhole(annotator: string, open: OpenComparison): Promise<number> {
  const { comparison, contestants, context } = open;
  const number = contestants.findIndex(({ name }) => name === annotator);
  const settings = comparison.contestants[number];
  const contestant = contestants[number];
  if (settings === undefined || contestant === undefined) throw new RangeError(annotator);
  context.console.info(`${sanitize(annotator, 80)} is answering the whole dataset.`);
  const own = { ...settings, output: { ...settings.output, runName: null } };
  const isBegun = earlierFiles(findRunFolder(placeOf(own))).length > 0;
  const { maxCost } = settings.policy;
  const spent = foldersOf(open).reduce((sum, folder) => sum + (costIn(folder) ?? 0), 0);
  return reannotate(
    {
      ...own,
      policy: {
        ...settings.policy,
        earlier: isBegun ? 'resume' : 'refuse',
        reuse: [contestant.folder.temp],
        maxCost: maxCost === null ? null : Math.max(0, maxCost - spent),
      },
    },
    quiet(context),
  );
}

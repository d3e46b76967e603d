/** `--drop` and `--decontaminate`: rows that are left out of what is exported and pushed. Nothing is sent again for them. */

import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { openLocal } from '../datasets/index.js';
import { expandHome, isLocalName } from '../datasets/local-files.js';
import { wholeDataset } from '../datasets/selection.js';
import { parseDropRules } from '../exports/drop-rules.js';
import { dropTests, type EvaluationSet } from '../exports/drop-tests.js';
import { findDroppedRows, type DroppedRows } from '../exports/dropped-rows.js';
import { findFirst } from '../formats/column-names.js';
import { chooseFormat, type ChosenFormat } from '../formats/index.js';
import { UserError } from '../lib/errors.js';
import { count, plural, sanitize } from '../lib/text.js';
import { WordNgrams } from '../lib/word-ngrams.js';
import type { Output } from '../run/settings.js';
import type { Summary } from '../run/summary.js';
import type { Console } from '../terminal/progress.js';
import type { OpenDataset, SourceRow } from '../types.js';
import { reviewFor, type FinishedRun } from './finished-run.js';

/** Words of a sequence that counts as an overlap, as in open-r1. */
const NGRAM_WORDS = 8;
/** Where more than this share of the rows overlaps, what they have in common is more likely a template. */
const SUSPICIOUS_SHARE = 0.5;

/** Which rows are dropped, and their figures for summary and card. */
export interface Filtered {
  dropped: DroppedRows;
  figures: NonNullable<Summary['dropped']>;
}

/** True if rows are left out. */
export function hasFilters({ drop, decontaminate }: Pick<Output, 'drop' | 'decontaminate'>): boolean {
  return (drop ?? []).length + (decontaminate ?? []).length > 0;
}

/**
 * Makes sure that the evaluation sets can be read, before anything is sent.
 * @throws UserError that names the file, and what is wrong with it
 */
export async function checkFilters(output: Output): Promise<void> {
  for (const path of output.decontaminate ?? []) await openEvaluation(path, output);
}

/**
 * Finds the rows of complete results to leave out; null if no flag asks for that.
 * @param rows of the run
 * @throws UserError where an evaluation set can't be read
 */
export async function filterRows(
  finished: Pick<FinishedRun, 'output' | 'folder' | 'config'>,
  rows: number,
  console: Console,
): Promise<Filtered | null> {
  const { output, folder } = finished;
  if (!hasFilters(output)) return null;
  const sets: EvaluationSet[] = [];
  for (const path of output.decontaminate ?? []) {
    const set = await readEvaluation(path, output, console);
    const namesakes = sets.filter(({ name }) => name.startsWith(set.name)).length;
    sets.push(namesakes === 0 ? set : { ...set, name: `${set.name} (${namesakes + 1})` });
  }
  const tests = await dropTests(parseDropRules(output.drop ?? [], '--drop'), sets);
  let done = 0;
  const endProgress = console.showProgress(() => `Filtering rows: ${count(done)} of ${plural(rows, 'row')}`);
  const onProgress = (read: number): void => {
    done = read;
  };
  try {
    const results = { path: folder.reannotated, review: reviewFor(finished), onProgress };
    const dropped = await findDroppedRows(results, { rows, failedRows: folder.failedRows }, tests);
    report(dropped, sets, rows, console);
    return { dropped, figures: figuresOf(dropped, sets, rows) };
  } finally {
    endProgress();
  }
}

function figuresOf(dropped: DroppedRows, sets: readonly EvaluationSet[], rows: number): Filtered['figures'] {
  return {
    rows: dropped.size,
    kept: rows - dropped.size,
    reasons: Object.fromEntries(dropped.counts),
    ...(sets.length === 0
      ? {}
      : {
          evaluation_sets: sets.map(({ name, texts, tooShort, ngrams }) => ({
            file: name,
            texts,
            too_short: tooShort,
            ngrams: ngrams.size,
          })),
        }),
  };
}

function report(dropped: DroppedRows, sets: readonly EvaluationSet[], rows: number, console: Console): void {
  for (const { name, texts, tooShort } of sets) {
    if (tooShort > 0)
      console.warning(
        `${plural(tooShort, 'text')} of ${count(texts)} in ${sanitize(name, 80)} ${tooShort === 1 ? 'has' : 'have'} fewer than ` +
          `${NGRAM_WORDS} words, and cannot be compared.`,
      );
    const overlaps = dropped.counts.get(`overlaps ${name}`) ?? 0;
    if (overlaps > rows * SUSPICIOUS_SHARE)
      console.warning(
        `${count(overlaps)} of ${plural(rows, 'row')} overlap with ${sanitize(name, 80)}. Text that all prompts share, such as a ` +
          'template, counts as well: compare the raw questions.',
      );
  }
}

interface OpenEvaluation {
  dataset: OpenDataset;
  format: ChosenFormat;
}

/** What open-r1's decontamination reads in LiveCodeBench; its other columns are found by their names. */
const PROMPT_COLUMNS = ['question_content'];
const GLOB = /[*?[{]/;

async function openEvaluation(path: string, output: Output): Promise<OpenEvaluation> {
  const shown = `--decontaminate ${sanitize(path, 120)}`;
  if (!isLocalName(path) || (!GLOB.test(path) && !existsSync(expandHome(path))))
    throw new UserError(
      `${shown}: there is no such file. An evaluation set of the Hub has to be saved to a file first; to leave out a filter ` +
        'that the run remembers, add --decontaminate none.',
    );
  const request = { dataset: path, subset: null, split: null, workFolder: output.tempDir };
  try {
    const dataset = await openLocal(request);
    if (dataset.columns.length === 0) throw new UserError('it has no rows.');
    const promptColumn = output.decontaminateColumn ?? findFirst(dataset.columns, PROMPT_COLUMNS);
    const flags = { ...wholeDataset(path), promptColumn, promptFlag: 'decontaminate_column' };
    return { dataset, format: chooseFormat(path, dataset.columns, flags) };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${shown}: ${error.message}`, error.exitCode);
  }
}

async function readEvaluation(path: string, output: Output, console: Console): Promise<EvaluationSet> {
  const { dataset, format } = await openEvaluation(path, output);
  const ngrams = new WordNgrams(NGRAM_WORDS);
  let texts = 0;
  let tooShort = 0;
  const endProgress = console.showProgress(() => `Reading ${basename(path)}: ${plural(texts, 'text')}`);
  try {
    for await (const row of dataset.rows({ columns: format.columns, offset: 0, limit: null })) {
      for (const text of promptsIn(row, format)) {
        texts += 1;
        if (!ngrams.add(text)) tooShort += 1;
      }
    }
  } finally {
    endProgress();
  }
  if (texts === 0) throw new UserError(`--decontaminate ${sanitize(path, 120)} contains no texts.`);
  return { name: basename(path), ngrams, texts, tooShort };
}

/** The prompts of a row as the dataset has them: a template around them would be in every row of the run. */
function promptsIn(row: SourceRow, format: ChosenFormat): string[] {
  if ('problem' in row) return [];
  const { roles } = format;
  const cell = row.value[roles.prompt];
  if (typeof cell === 'string') {
    const inputs = roles.inputs.map((column) => row.value[column]).filter((one) => typeof one === 'string');
    return [[cell, ...inputs].join('\n')];
  }
  try {
    const { messages = [], user_prompt: prompt } = format.apply(row.value);
    const turns = messages.flatMap(({ role, content }) =>
      role === 'user' && content !== null ? [content] : [],
    );
    return turns.length > 0 ? turns : [prompt];
  } catch {
    // A row that cannot be sent has no prompt.
    return [];
  }
}

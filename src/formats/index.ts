/**
 * The dataset formats: how a row becomes a prompt. Each format has a file of its own and one line in `FORMATS`;
 * detection tries them in that order.
 */

import { UsageError, UserError } from '../errors.js';
import { inert } from '../text.js';
import type { PromptRow } from '../types.js';
import { alpaca } from './alpaca.js';
import { columns } from './columns.js';
import type { ColumnRoles, Format } from './format.js';
import { glaive } from './glaive.js';
import { conversations, messages } from './messages.js';

/** Order matters: the first that fits a dataset's columns is taken; `glaive` is taken by name only. */
export const FORMATS = { messages, conversations, alpaca, columns, glaive } satisfies Record<string, Format>;
export type FormatName = keyof typeof FORMATS;

/** The Hub datasets of the Python tool, which keep their prompts to the letter. */
export const KNOWN_DATASETS: Readonly<Record<string, FormatName>> = {
  'sahil2801/CodeAlpaca-20k': 'alpaca',
  'garage-bAInd/Open-Platypus': 'alpaca',
  'causal-lm/cot_alpaca_gpt4': 'alpaca',
  'teknium/GPT4-LLM-Cleaned': 'alpaca',
  'xzuyn/lima-multiturn-alpaca': 'alpaca',
  'glaiveai/glaive-code-assistant': 'glaive',
};

export interface FormatFlags {
  format: string | null;
  promptColumn: string | null;
  responseColumn: string | null;
  systemColumn: string | null;
}

export interface ChosenFormat {
  name: FormatName;
  roles: ColumnRoles;
  /** The columns that are read, each once. */
  columns: string[];
  apply(row: Readonly<Record<string, unknown>>): PromptRow;
}

/**
 * Settles the format of a dataset: the one that `--format` names, the one its id is known by, or the first that fits
 * its columns; `--prompt_column` and the like replace what was found.
 * @throws UserError that lists the columns and the flags where nothing fits
 */
export function chooseFormat(
  dataset: string,
  available: readonly string[],
  flags: FormatFlags,
): ChosenFormat {
  for (const [flag, column] of Object.entries({
    prompt_column: flags.promptColumn,
    response_column: flags.responseColumn,
    system_column: flags.systemColumn,
  })) {
    if (column !== null && !available.includes(column)) throw missingColumn(flag, column, available);
  }
  const name = formatName(dataset, available, flags);
  const format: Format = FORMATS[name];
  const roles = withFlags(format.detect(available), flags);
  if (roles === null) throw lacksColumns(name, format, available);
  const used = [roles.prompt, roles.input, roles.response, roles.system].filter((column) => column !== null);
  return { name, roles, columns: [...new Set(used)], apply: (row) => format.apply(row, roles) };
}

function formatName(dataset: string, available: readonly string[], flags: FormatFlags): FormatName {
  if (flags.format !== null) {
    if (Object.hasOwn(FORMATS, flags.format)) return flags.format as FormatName;
    throw new UsageError(
      `Unknown --format ${inert(flags.format, 40)}. Known are ${Object.keys(FORMATS).join(', ')}.`,
    );
  }
  if (Object.hasOwn(KNOWN_DATASETS, dataset)) {
    const known = KNOWN_DATASETS[dataset] as FormatName;
    if (FORMATS[known].detect(available) !== null) return known;
  }
  if (flags.promptColumn !== null) return 'columns';
  const fitting = Object.entries<Format>(FORMATS).find(([, format]) => format.detect(available) !== null);
  if (fitting !== undefined) return fitting[0] as FormatName;
  throw new UserError(
    `No format fits the columns of ${inert(dataset, 120)}: ${listed(available)}. Name the columns with ` +
      '--prompt_column and --response_column (and --system_column), or a format with --format.',
  );
}

function withFlags(found: ColumnRoles | null, flags: FormatFlags): ColumnRoles | null {
  const prompt = flags.promptColumn ?? found?.prompt;
  if (prompt === undefined) return null;
  return {
    prompt,
    input: found?.input ?? null,
    response: flags.responseColumn ?? found?.response ?? null,
    system: flags.systemColumn ?? found?.system ?? null,
  };
}

function missingColumn(flag: string, column: string, available: readonly string[]): UserError {
  return new UserError(
    `--${flag} ${inert(column, 80)}: the dataset has no such column. It has ${listed(available)}.`,
  );
}

function lacksColumns(name: string, format: Format, available: readonly string[]): UserError {
  return new UserError(
    `Format ${name} needs ${format.needs}, but the dataset has ${listed(available)}. Name the columns with ` +
      '--prompt_column and --response_column, or choose another --format.',
  );
}

function listed(columns: readonly string[]): string {
  if (columns.length === 0) return 'no columns';
  return inert(columns.map((column) => inert(column, 60)).join(', '), 600);
}

/** Which columns of a dataset become the prompt, and how: decided once, before any row is read. */

import { UsageError, UserError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import type { PromptRow } from '../types.js';
import { requireTalk } from './all-turns.js';
import { findFirst, findNumbered, looksLikePrompt } from './column-names.js';
import { FORMAT_NAMES, type ColumnRoles, type FormatFlags, type FormatName, type Row } from './format.js';
import { readAlpaca, readChat, readGlaive, readPlain, readPreference, readReannotated } from './rows.js';
import { withImages } from './images.js';
import { detectShape } from './detect-shape.js';
import { IMAGES, TOOLS } from './known-columns.js';
import { GLAIVE, SHAPES, type Shape } from './shapes.js';
import { withTools } from './row-tools.js';
import {
  keptCells,
  keptColumns,
  readTemplate,
  withSystemPrompt,
  withTemplate,
  type PromptTemplate,
} from './template.js';

export type { FormatName } from './format.js';

/** What reads the rows of each format. */
const READERS: Readonly<Record<FormatName, (row: Row, roles: ColumnRoles) => PromptRow>> = {
  messages: readChat,
  conversations: readChat,
  chat: readChat,
  alpaca: readAlpaca,
  glaive: readGlaive,
  columns: readPlain,
  preference: readPreference,
  reannotated: readReannotated,
};

/** The Hub datasets of the Python tool, whose prompts stay exactly the same. */
export const KNOWN_DATASETS: Readonly<Record<string, FormatName>> = {
  'sahil2801/CodeAlpaca-20k': 'alpaca',
  'garage-bAInd/Open-Platypus': 'alpaca',
  'causal-lm/cot_alpaca_gpt4': 'alpaca',
  'teknium/GPT4-LLM-Cleaned': 'alpaca',
  'xzuyn/lima-multiturn-alpaca': 'alpaca',
  'glaiveai/glaive-code-assistant': 'glaive',
};

export interface ChosenFormat {
  name: FormatName;
  roles: ColumnRoles;
  /** The columns that are read, each once. */
  columns: string[];
  /** The columns that are not. */
  unused: string[];
  /** Those of the latter that look as if they were a part of the prompt. */
  suspicious: string[];
  apply(row: Row): PromptRow;
}

/** The value of a flag for a column that is not to be used. */
const NONE = 'none';

/**
 * Settles the format of a dataset: the one that `--format` names, the one its id is known by, or the first shape that
 * fits its columns; flags that name columns replace what was found.
 * @param imageFolders where images may be that the dataset names by their paths
 * @throws UserError that lists the columns and the flags where nothing fits
 */
export function chooseFormat(
  dataset: string,
  available: readonly string[],
  flags: FormatFlags,
  imageFolders: readonly string[] = [],
): ChosenFormat {
  checkFlags(available, flags);
  const template = flags.promptTemplate === null ? null : readTemplate(flags.promptTemplate, available);
  const { name, roles: found } = findRoles(dataset, available, flags, template);
  const roles = withFlags(found, flags);
  const used = usedColumns(roles);
  const inPrompt = [...new Set([...used, ...(template?.columns ?? [])])];
  const kept =
    flags.keepColumns === null ? null : keptColumns(flags.keepColumns, available, heldInOtherWords(roles));
  const columns = [...new Set([...inPrompt, ...(kept ?? [])])];
  const unused = available.filter((column) => !inPrompt.includes(column));
  const declined = declinedColumns(found, flags);
  return {
    name,
    roles,
    columns,
    unused,
    suspicious: unused.filter(
      (column) => looksLikePrompt(column, holdsChat(name, roles)) && !declined.includes(column),
    ),
    apply: (row) => {
      let prompt = withTools(READERS[name](row, roles), row, roles);
      prompt = withImages(prompt, row, roles, imageFolders);
      if (template !== null) prompt = withTemplate(prompt, row, template);
      if (flags.systemPrompt !== null) prompt = withSystemPrompt(prompt, flags.systemPrompt);
      if (flags.turns === 'all') requireTalk(prompt);
      return kept === null ? prompt : { ...prompt, source: keptCells(row, kept) };
    },
  };
}

/** All columns that play a part. */
function usedColumns(roles: ColumnRoles): string[] {
  const { comparison } = roles;
  return [
    ...[roles.prompt, ...roles.inputs, roles.choices, ...roles.spreadChoices, roles.system, roles.history],
    ...[roles.response, roles.chatAnswer],
    ...(comparison === null ? [] : [comparison.first, comparison.second, comparison.verdict]),
    ...[roles.tools, ...roles.images, ...roles.media, ...roles.requests, roles.originalCalls],
  ].filter((column) => column !== null);
}

/** Columns whose text the results hold as it is. What answers a question with choices may be a number of theirs. */
function heldInOtherWords(roles: ColumnRoles): string[] {
  const hasChoices = roles.choices !== null || roles.spreadChoices.length > 0;
  return usedColumns(roles).filter((column) => !hasChoices || column !== roles.response);
}

/** True where the prompt is a whole dialogue, so that a question beside it is its first turn once more. */
function holdsChat(name: FormatName, { prompt, response }: ColumnRoles): boolean {
  return READERS[name] === readChat || name === 'reannotated' || prompt === response;
}

/** Columns that `none` turned off: their user knows of them. */
function declinedColumns(found: ColumnRoles, flags: FormatFlags): string[] {
  return [
    ...(flags.systemColumn === NONE && found.system !== null ? [found.system] : []),
    ...(flags.inputColumn === NONE ? found.inputs : []),
    ...(flags.toolsColumn === NONE && found.tools !== null ? [found.tools] : []),
  ];
}

function checkFlags(available: readonly string[], flags: FormatFlags): void {
  if (flags.promptColumn === NONE) {
    throw new UsageError('--prompt_column none: a row without a prompt cannot be sent; name a column.');
  }
  if (flags.promptColumn !== null && flags.messagesColumn !== null && flags.messagesColumn !== NONE) {
    throw new UsageError('--prompt_column and --messages_column cannot be combined; give only one of them.');
  }
  for (const [flag, column] of columnFlags(flags)) {
    if (column !== null && column !== NONE && !available.includes(column)) {
      throw new UserError(
        `--${flag} ${sanitize(column, 80)}: the dataset has no such column. It has ${listed(available)}.`,
      );
    }
  }
}

function columnFlags(flags: FormatFlags): [string, string | null][] {
  return [
    [flags.promptFlag ?? 'prompt_column', flags.promptColumn],
    ['response_column', flags.responseColumn],
    ['system_column', flags.systemColumn],
    ['input_column', flags.inputColumn],
    ['messages_column', flags.messagesColumn],
    ['tools_column', flags.toolsColumn],
  ];
}

interface FoundRoles {
  name: FormatName;
  roles: ColumnRoles;
}

function findRoles(
  dataset: string,
  available: readonly string[],
  flags: FormatFlags,
  template: PromptTemplate | null,
): FoundRoles {
  const wanted = formatNamed(flags.format);
  if (wanted !== null) return rolesOf(wanted, available, flags);
  if (flags.messagesColumn !== null && flags.messagesColumn !== NONE) {
    return { name: 'chat', roles: rolesAround(flags.messagesColumn, available) };
  }
  if (flags.promptColumn !== null) {
    return { name: 'columns', roles: detectAround(flags.promptColumn, available, 'columns') };
  }
  const known = Object.hasOwn(KNOWN_DATASETS, dataset) ? (KNOWN_DATASETS[dataset] ?? null) : null;
  if (known !== null) {
    const roles = detect(known, available);
    if (roles !== null) return { name: known, roles };
  }
  refuseMessageTable(available);
  for (const shape of SHAPES) {
    if (flags.messagesColumn === NONE && READERS[shape.format] === readChat) continue;
    const roles = detectShape(shape, available);
    if (roles !== null) return { name: shape.format, roles };
  }
  const [first] = template?.columns ?? [];
  // A template without {prompt} says all that there is to say.
  if (first !== undefined && template?.usesPrompt === false) {
    return { name: 'columns', roles: rolesAround(first, available) };
  }
  const advice =
    flags.promptFlag === undefined
      ? '--prompt_column (or --messages_column for a chat), and the one with the original answer with ' +
        '--response_column; or choose a format with --format.'
      : `--${flags.promptFlag} NAME.`;
  throw new UserError(
    `No format fits the columns of ${sanitize(dataset, 120)}: ${listed(available)}. Name the column with the prompt with ${advice}`,
  );
}

function formatNamed(name: string | null): FormatName | null {
  if (name === null) return null;
  const found = FORMAT_NAMES.find((known) => known === name);
  if (found !== undefined) return found;
  throw new UsageError(`Unknown --format ${sanitize(name, 40)}. Known formats: ${FORMAT_NAMES.join(', ')}.`);
}

function rolesOf(name: FormatName, available: readonly string[], flags: FormatFlags): FoundRoles {
  const prompt = flags.promptColumn ?? (flags.messagesColumn === NONE ? null : flags.messagesColumn);
  const roles = prompt === null ? detect(name, available) : detectAround(prompt, available, name);
  if (roles !== null) return { name, roles };
  const [shape] = shapesOf(name);
  const needs = [shape?.prompt[0], shape?.needsResponse === true ? shape.response[0] : undefined].filter(
    (column) => column !== undefined,
  );
  throw new UserError(
    `Format ${name} needs the ${needs.length === 1 ? 'column' : 'columns'} ${needs.join(' and ')}, but the dataset has ` +
      `${listed(available)}. Name the columns with --prompt_column and --response_column, or choose another --format.`,
  );
}

function shapesOf(name: FormatName): Shape[] {
  return [...SHAPES, GLAIVE].filter((shape) => shape.format === name);
}

function detect(name: FormatName, available: readonly string[]): ColumnRoles | null {
  for (const shape of shapesOf(name)) {
    const roles = detectShape(shape, available);
    if (roles !== null) return roles;
  }
  return null;
}

/** The roles of the other columns where the prompt's is known: as in a shape that it belongs to, if there is one. */
function detectAround(prompt: string, available: readonly string[], name: FormatName): ColumnRoles {
  const lower = prompt.toLowerCase();
  for (const shape of shapesOf(name)) {
    if (!shape.prompt.includes(lower)) continue;
    const roles = detectShape(
      { ...shape, prompt: [prompt], needsInputs: false, needsResponse: false },
      available,
    );
    if (roles !== null && (roles.response !== null || !shape.needsResponse)) return { ...roles, prompt };
  }
  return rolesAround(prompt, available);
}

function rolesAround(prompt: string, available: readonly string[]): ColumnRoles {
  return {
    prompt,
    inputs: [],
    choices: null,
    spreadChoices: [],
    system: findFirst(available, ['system_prompt', 'system']),
    history: null,
    response: null,
    chatAnswer: null,
    comparison: null,
    tools: findFirst(available, TOOLS),
    images: findNumbered(available, IMAGES),
    // A user who names the prompt leaves other media out on purpose.
    media: [],
    requests: [],
    originalCalls: null,
  };
}

/** A table of single messages: rows that are parts of a tree, as OpenAssistant's. */
function refuseMessageTable(available: readonly string[]): void {
  if (!['parent_id', 'role', 'text'].every((column) => available.includes(column))) return;
  throw new UserError(
    'The rows of this dataset are single messages of trees (parent_id, role, text), not conversations. Write one row ' +
      'for each path of a tree, with its turns in a column "messages".',
  );
}

function withFlags(found: ColumnRoles, flags: FormatFlags): ColumnRoles {
  const chosen = (flag: string | null, otherwise: string | null): string | null =>
    flag === NONE ? null : (flag ?? otherwise);
  const inputs =
    flags.inputColumn === null ? found.inputs : flags.inputColumn === NONE ? [] : [flags.inputColumn];
  return {
    ...found,
    inputs,
    response: chosen(flags.responseColumn, found.response),
    ...(flags.responseColumn === null ? {} : { chatAnswer: null, comparison: null }),
    system: chosen(flags.systemColumn, found.system),
    tools: chosen(flags.toolsColumn, found.tools),
  };
}

function listed(columns: readonly string[]): string {
  if (columns.length === 0) return 'no columns';
  // A name with a comma in it would look like two.
  const names = columns.map((column) =>
    /[,"]/.test(column) ? `"${sanitize(column, 60)}"` : sanitize(column, 60),
  );
  return sanitize(names.join(', '), 600);
}

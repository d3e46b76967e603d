/** Which columns of a dataset play which part in a shape. */

import { spreadChoices } from './choices.js';
import { findAll, findColumn, findFirst, findNumbered } from './column-names.js';
import type { Comparison } from './comparisons.js';
import type { ColumnRoles } from './format.js';
import {
  CHOICE_ANSWERS,
  IMAGES,
  IMAGE_PATHS,
  LABELLED_ANSWERS,
  MEDIA,
  QUESTIONS,
  READ_BEFORE_QUESTION,
  TOOLS,
} from './known-columns.js';
import type { Shape } from './shapes.js';

/** Finds the columns of a shape among a dataset's; null where it has another shape. */
export function detectShape(shape: Shape, columns: readonly string[]): ColumnRoles | null {
  const { choices, spread } = choicesIn(shape, columns);
  const response = responseIn(shape, columns, { choices, spread });
  if (response === null && shape.needsResponse) return null;
  const prompt = shape.prompt.length === 0 ? response : findFirst(columns, shape.prompt);
  if (prompt === null) return null;
  if (shape.needsAlso !== undefined && findFirst(columns, shape.needsAlso) === null) return null;
  const comparison = comparisonIn(shape, columns);
  if (comparison === undefined) return null;
  const taken = [prompt, response];
  const inputs = findAll(columns, inputNames(shape, prompt)).filter((column) => !taken.includes(column));
  if (inputs.length === 0 && shape.needsInputs === true) return null;
  const system = findFirst(columns, shape.system ?? []);
  const history = findFirst(columns, shape.history ?? []);
  return {
    prompt,
    inputs,
    choices,
    spreadChoices: spread,
    system,
    history: taken.includes(history) ? null : history,
    response,
    chatAnswer: findFirst(columns, shape.chatAnswer ?? []),
    comparison,
    tools: findFirst(columns, TOOLS),
    images: imagesIn(columns),
    media: findAll(columns, MEDIA),
    requests: (shape.requests ?? []).flatMap((name) => findColumn(columns, name) ?? []),
    originalCalls: findFirst(columns, shape.originalCalls ?? []),
  };
}

interface FoundChoices {
  choices: string | null;
  spread: string[];
}

function choicesIn(shape: Shape, columns: readonly string[]): FoundChoices {
  if (shape.choices === undefined) return { choices: null, spread: [] };
  const named = findFirst(columns, shape.choices);
  if (named !== null) return { choices: named, spread: [] };
  const spread = spreadChoices(columns);
  if (spread.length > 0) return { choices: null, spread };
  const isLabelled =
    findFirst(columns, [LABELLED_ANSWERS.label]) !== null &&
    findFirst(columns, shape.response) === findColumn(columns, LABELLED_ANSWERS.choices);
  return { choices: isLabelled ? findColumn(columns, LABELLED_ANSWERS.choices) : null, spread };
}

/** The column of the original answer; next to choices it may only say which of them is right. */
function responseIn(
  shape: Shape,
  columns: readonly string[],
  { choices, spread }: FoundChoices,
): string | null {
  const found = findFirst(columns, shape.response);
  if (choices === null && spread.length === 0) return found;
  return (found === choices ? null : found) ?? findFirst(columns, CHOICE_ANSWERS);
}

function inputNames({ inputs = [] }: Shape, prompt: string): readonly string[] {
  const isQuestion = inputs.length > 0 && QUESTIONS.includes(prompt.toLowerCase());
  return isQuestion ? [...inputs, ...READ_BEFORE_QUESTION] : inputs;
}

/** Columns with images; a path beside an image is that image's. */
export function imagesIn(columns: readonly string[]): string[] {
  const found = findNumbered(columns, IMAGES);
  const paths = findNumbered(found, IMAGE_PATHS);
  return paths.length < found.length ? found.filter((column) => !paths.includes(column)) : found;
}

/** The columns of a shape's comparison as the dataset spells them; undefined where one is missing, null for none. */
function comparisonIn({ comparison }: Shape, columns: readonly string[]): Comparison | null | undefined {
  if (comparison === undefined) return null;
  const first = findColumn(columns, comparison.first);
  const second = findColumn(columns, comparison.second);
  const verdict = findColumn(columns, comparison.verdict);
  if (first === null || second === null || verdict === null) return undefined;
  return { ...comparison, first, second, verdict };
}

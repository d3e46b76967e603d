/** Which columns of a dataset play which part in a shape. */

import { spreadChoices } from './choices.js';
import { findAll, findColumn, findFirst, findNumbered } from './column-names.js';
import type { Comparison } from './comparisons.js';
import type { ColumnRoles } from './format.js';
import { IMAGES, MEDIA, QUESTIONS, READ_BEFORE_QUESTION, TOOLS } from './known-columns.js';
import type { Shape } from './shapes.js';

/** Finds the columns of a shape among a dataset's; null where it has another shape. */
export function detectShape(shape: Shape, columns: readonly string[]): ColumnRoles | null {
  const response = findFirst(columns, shape.response);
  if (response === null && shape.needsResponse) return null;
  const prompt = shape.prompt.length === 0 ? response : findFirst(columns, shape.prompt);
  if (prompt === null) return null;
  if (shape.needsAlso !== undefined && findFirst(columns, shape.needsAlso) === null) return null;
  const comparison = comparisonIn(shape, columns);
  if (comparison === undefined) return null;
  const taken = [prompt, response];
  const inputs = findAll(columns, inputNames(shape, prompt)).filter((column) => !taken.includes(column));
  if (inputs.length === 0 && shape.needsInputs === true) return null;
  const choices = findFirst(columns, shape.choices ?? []);
  const system = findFirst(columns, shape.system ?? []);
  const history = findFirst(columns, shape.history ?? []);
  return {
    prompt,
    inputs,
    choices,
    spreadChoices: shape.choices === undefined || choices !== null ? [] : spreadChoices(columns),
    system,
    history: taken.includes(history) ? null : history,
    response,
    chatAnswer: findFirst(columns, shape.chatAnswer ?? []),
    comparison,
    tools: findFirst(columns, TOOLS),
    images: findNumbered(columns, IMAGES),
    media: findAll(columns, MEDIA),
    requests: (shape.requests ?? []).flatMap((name) => findColumn(columns, name) ?? []),
    originalCalls: findFirst(columns, shape.originalCalls ?? []),
  };
}

function inputNames({ inputs = [] }: Shape, prompt: string): readonly string[] {
  const isQuestion = inputs.length > 0 && QUESTIONS.includes(prompt.toLowerCase());
  return isQuestion ? [...inputs, ...READ_BEFORE_QUESTION] : inputs;
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

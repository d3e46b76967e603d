/** Answers to choose from, as people write them below a question. */

import { ExactNumber, isObject, jsonText, parseJson } from '../lib/json.js';
import { cell, contextText, scalarText } from './cells.js';
import type { Row } from './format.js';
import { readPythonValue } from './python-calls.js';

/** The answers that a row offers. */
export interface RowChoices {
  /** As they are written below the question; empty where there are none. */
  text: string;
  /** Each of them; empty where their column holds a text of its own, which nothing can be looked up in. */
  list: readonly Choice[];
  /** True where a number may be a place in the list, which `datasets` count from 0; not where each has its own column. */
  isCounted: boolean;
}

/** A row that offers none. */
export const NO_CHOICES: RowChoices = { text: '', list: [], isCounted: false };

export interface Choice {
  label: string;
  text: string;
  /** True for a number in the dataset, which an answer that is a number may repeat. */
  isNumber: boolean;
}

/** The choices of a column as a lettered list (`A. …`), or as the text that it holds; those of a column each otherwise. */
export function readRowChoices(row: Row, column: string | null, spread: readonly string[]): RowChoices {
  const value = column === null ? null : cell(row, column);
  const list = readChoices(typeof value === 'string' ? (parseList(value) ?? value) : value);
  if (list !== null && list.length > 0) return { text: listed(list), list, isCounted: true };
  const text = list === null ? contextText(row, column) : '';
  if (text !== '') return { text, list: [], isCounted: false };
  // A row may have fewer of them.
  const found = spread
    .map((name) => choice(labelOf(name), cell(row, name), contextText(row, name)))
    .filter((one) => one.text !== '');
  return { text: listed(found), list: found, isCounted: false };
}

/** A column whose numbers are counted from 0 in some datasets, and from 1 in others (SIQA). */
const COUNTED_SOMEHOW = /^labels?$/i;

/** What may say whether an answer was right, and not which one is. */
const SAYS_WHETHER = /^(?:labels?|correct|gold)$/i;

/**
 * An answer in the terms of the list that was sent: a place in the list, counted from 0 as MMLU does, becomes that choice's
 * label. A label or the text of a choice stays, and so does whatever names no choice.
 * @param value of one answer, as the dataset has it
 * @param column that holds it
 * @returns null for what is not text, or does not say which choice it means
 */
export function answerAmong({ list, isCounted }: RowChoices, value: unknown, column: string): string | null {
  const text = scalarText(value);
  if (typeof value === 'boolean' && SAYS_WHETHER.test(column)) return null;
  if (text === null || !/^\d{1,3}(?:\.0+)?$/.test(text)) return text;
  const isLabel = list.some((one) => one.label === text);
  // A list labelled 1, 2 … says nothing of how a `label` beside it is counted.
  if (COUNTED_SOMEHOW.test(column) && (isLabel ? list[0]?.label === '1' : !isCounted)) return null;
  const isRepeated = (one: Choice): boolean =>
    one.text === text && (typeof value === 'string' || one.isNumber);
  if (isLabel || !isCounted || list.some(isRepeated)) return text;
  return list[Number(text)]?.label ?? text;
}

/** True where a value is the label of a choice, or its place counted from 0. */
export function isChosen({ list }: RowChoices, value: unknown): boolean {
  const text = scalarText(value);
  if (text === null || list.length < 2) return false;
  return list.some((one) => one.label === text) || (/^\d{1,3}$/.test(text) && Number(text) < list.length);
}

function choice(label: string, value: unknown, text: string): Choice {
  return { label, text, isNumber: typeof value === 'number' || value instanceof ExactNumber };
}

/** `A) 21`, `(B) 34`: AQuA and AGIEval write the labels themselves. */
const LABELLED = /^\s*\(?([A-Z])[).:]\s*\S/;

function listed(choices: readonly Choice[]): string {
  const isLabelled = choices.every(({ label, text }) => LABELLED.exec(text)?.[1] === label);
  return choices.map(({ label, text }) => (isLabelled ? text : `${label}. ${text}`)).join('\n');
}

/** A list in a text: JSON, or Python's spelling of it, as MMMU has. */
function parseList(text: string): unknown {
  return parseJson(text) ?? readPythonValue(text);
}

/** A list of texts, of `{label, text}`, one object of two lists (ARC), or of texts by their label; null for others. */
function readChoices(value: unknown): Choice[] | null {
  if (Array.isArray(value)) return value.map((one: unknown, place) => readChoice(one, place));
  if (!isObject(value)) return null;
  const { label, text } = value;
  if (Array.isArray(label) && Array.isArray(text)) {
    return text.map((one: unknown, place) =>
      choice(scalarText(label[place]) ?? letter(place), one, shown(one)),
    );
  }
  return Object.entries(value).map(([name, one]) => choice(name, one, shown(one)));
}

function readChoice(value: unknown, place: number): Choice {
  if (!isObject(value)) return choice(letter(place), value, shown(value));
  const text = cell(value, 'text') ?? cell(value, 'content') ?? cell(value, 'value');
  return choice(scalarText(cell(value, 'label')) ?? letter(place), text, shown(text ?? value));
}

function letter(place: number): string {
  return place < 26 ? String.fromCharCode(65 + place) : String(place + 1);
}

function shown(value: unknown): string {
  return scalarText(value) ?? jsonText(value);
}

/** Names of columns that hold one choice each, and how many there must be. */
const SPREAD: readonly { pattern: RegExp; least: number; beside?: string }[] = [
  { pattern: /^[a-z]$/i, least: 2 },
  { pattern: /^(?:option|choice)s?[_ -]?[a-z\d]$/i, least: 2 },
  // MedMCQA's `opa`
  { pattern: /^opt?[_ -]?[a-z\d]$/i, least: 2 },
  // SIQA's `answerA`; two of them are the answers of two models
  { pattern: /^answer[_ -]?[a-z]$/i, least: 3 },
  // CosmosQA's `answer0`: without a label they are several answers to one question
  { pattern: /^answer[_ -]?\d$/i, least: 3, beside: 'label' },
];

/** The columns that hold one choice each, from the first on without a gap; none where they mean something else. */
export function spreadChoices(columns: readonly string[]): string[] {
  for (const { pattern, least, beside } of SPREAD) {
    if (beside !== undefined && !columns.includes(beside)) continue;
    const named = columns.filter((column) => pattern.test(column));
    const byLabel = new Map(named.map((column) => [labelOf(column), column]));
    const starts = ['A', '0', '1'].filter((label) => byLabel.has(label));
    for (const start of starts) {
      const found: string[] = [];
      for (let code = start.charCodeAt(0); ; code++) {
        const column = byLabel.get(String.fromCharCode(code));
        if (column === undefined) break;
        found.push(column);
      }
      if (found.length >= least) return found;
    }
  }
  return [];
}

function labelOf(column: string): string {
  return column.slice(-1).toUpperCase();
}

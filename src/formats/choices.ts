/** Answers to choose from, as people write them below a question. */

import { isObject, jsonText, parseJson } from '../lib/json.js';
import { cell, scalarText, contextText } from './cells.js';
import type { Row } from './format.js';

/** A lettered list (`A. …`), or the cell's own text; empty where there is none. */
export function choicesText(row: Row, column: string | null): string {
  const value = column === null ? null : cell(row, column);
  const list = readChoices(typeof value === 'string' ? (parseJson(value) ?? value) : value);
  return list === null ? contextText(row, column) : listed(list);
}

/** The same of choices that have a column each; a row may have fewer of them. */
export function spreadChoicesText(row: Row, columns: readonly string[]): string {
  const choices = columns.map((column) => ({ label: labelOf(column), text: contextText(row, column) }));
  return listed(choices.filter(({ text }) => text !== ''));
}

interface Choice {
  label: string;
  text: string;
}

function listed(choices: readonly Choice[]): string {
  return choices.map(({ label, text }) => `${label}. ${text}`).join('\n');
}

/** A list of texts, of `{label, text}`, one object of two lists (ARC), or of texts by their label; null for others. */
function readChoices(value: unknown): Choice[] | null {
  if (Array.isArray(value)) return value.map((one: unknown, place) => readChoice(one, place));
  if (!isObject(value)) return null;
  const { label, text } = value;
  if (Array.isArray(label) && Array.isArray(text)) {
    return text.map((one: unknown, place) => ({
      label: scalarText(label[place]) ?? letter(place),
      text: shown(one),
    }));
  }
  return Object.entries(value).map(([name, one]) => ({ label: name, text: shown(one) }));
}

function readChoice(value: unknown, place: number): Choice {
  if (!isObject(value)) return { label: letter(place), text: shown(value) };
  const text = cell(value, 'text') ?? cell(value, 'content') ?? cell(value, 'value');
  return { label: scalarText(cell(value, 'label')) ?? letter(place), text: shown(text ?? value) };
}

function letter(place: number): string {
  return place < 26 ? String.fromCharCode(65 + place) : String(place + 1);
}

function shown(value: unknown): string {
  return scalarText(value) ?? jsonText(value);
}

/** Names of columns that hold one choice each, and how many there must be. */
const SPREAD: readonly { pattern: RegExp; least: number }[] = [
  { pattern: /^[a-z]$/i, least: 2 },
  { pattern: /^(?:option|choice)s?[_ -]?[a-z\d]$/i, least: 2 },
  // MedMCQA's `opa`
  { pattern: /^opt?[_ -]?[a-z\d]$/i, least: 2 },
  // SIQA's `answerA`; two of them are the answers of two models
  { pattern: /^answer[_ -]?[a-z]$/i, least: 3 },
];

/** The columns that hold one choice each, from the first on without a gap; none where they mean something else. */
export function spreadChoices(columns: readonly string[]): string[] {
  for (const { pattern, least } of SPREAD) {
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

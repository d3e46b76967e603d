/** Answers to choose from, as people write them below a question. */

import { isObject, jsonText, parseJson } from '../lib/json.js';
import { cell, scalarText, contextText } from './cells.js';
import type { Row } from './format.js';

/** A lettered list (`A. …`), or the cell's own text; empty where there is none. */
export function choicesText(row: Row, column: string | null): string {
  const value = column === null ? null : cell(row, column);
  const list = readChoices(typeof value === 'string' ? (parseJson(value) ?? value) : value);
  if (list === null) return contextText(row, column);
  return list.map(({ label, text }) => `${label}. ${text}`).join('\n');
}

interface Choice {
  label: string;
  text: string;
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

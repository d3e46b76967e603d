/** Calls of tools in the spellings in which datasets hold them, as OpenAI's `tool_calls`. */

import { isObject, jsonText, parseJson } from '../lib/json.js';
import type { ToolCall } from '../types.js';
import { readPythonCalls, readPythonValue } from './python-calls.js';
import { toolName } from './tools.js';

/** A call whose id is null where the dataset has none; it gets one when the whole conversation is known. */
export interface FoundCall {
  id: string | null;
  name: string;
  /** JSON text of an object. */
  arguments: string;
}

/**
 * The calls of a value: one or several objects, with or without `function` around name and arguments, or their text in JSON
 * or Python (Toucan); null for anything else.
 */
export function readCalls(value: unknown): FoundCall[] | null {
  const parsed = typeof value === 'string' ? (parseJson(value) ?? readPythonValue(value)) : value;
  const list = Array.isArray(parsed) ? (parsed as unknown[]) : [parsed];
  const calls = list.map((one) => readCall(typeof one === 'string' ? parseJson(one) : one));
  return calls.length > 0 && calls.every((call) => call !== null) ? calls : null;
}

function readCall(value: unknown): FoundCall | null {
  if (!isObject(value)) return null;
  const call = isObject(value['function']) ? value['function'] : value;
  const name = call['name'];
  if (typeof name !== 'string' || name.trim() === '') return null;
  const given = ['arguments', 'parameters', 'args', 'input'].find((key) => Object.hasOwn(call, key));
  const id = value['id'] ?? value['tool_call_id'];
  return {
    id: typeof id === 'string' && id !== '' ? id : null,
    name: toolName(name),
    arguments: argumentsText(given === undefined ? null : call[given]),
  };
}

/** Arguments as JSON text; those of a table's struct without the members that other calls have. */
function argumentsText(value: unknown): string {
  if (typeof value === 'string') return value.trim() === '' ? '{}' : value;
  if (!isObject(value)) return value === null ? '{}' : jsonText(value);
  return jsonText(Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null)));
}

/** A text with calls in it, taken apart. */
export interface SpokenCalls {
  /** What is said besides; null for nothing. */
  text: string | null;
  calls: FoundCall[];
}

/** Calls between tags: Hermes's and Qwen's, and those of glaive's and of other templates. */
const TAGGED: readonly RegExp[] = [
  /<tool_call>([\s\S]*?)(?:<\/tool_call>|$)/g,
  /<functioncall>([\s\S]*?)(?:<\/functioncall>|<\|endoftext\|>|$)/g,
  /<function_call>([\s\S]*?)(?:<\/function_call>|$)/g,
];

/** The calls that an answer writes into its text; null where it writes none. */
export function callsInText(text: string): SpokenCalls | null {
  for (const pattern of TAGGED) {
    const matches = [...text.matchAll(pattern)];
    if (matches.length === 0) continue;
    const calls = matches.map(([, inner = '']) => readCalls(inner.trim()) ?? readQuoted(inner.trim()));
    if (!calls.every((one) => one !== null)) return null;
    const rest = text.replace(pattern, '').replaceAll('<|endoftext|>', '').trim();
    return { text: rest === '' ? null : rest, calls: calls.flat() };
  }
  return null;
}

/** An answer that is nothing but calls in Python's syntax, as in ToolACE: `[get_tide(harbour="Husum")]`. */
export function pythonCalls(text: string): FoundCall[] | null {
  const calls = readPythonCalls(text.trim());
  if (calls === null) return null;
  return calls.map(({ name, values }) => ({ id: null, name: toolName(name), arguments: jsonText(values) }));
}

/** Glaive's `{"name": "get_tide", "arguments": '{"harbour": "Husum"}'}`, which is no JSON. */
function readQuoted(text: string): FoundCall[] | null {
  const [, name, values] = /^\{\s*"name":\s*"([^"]+)",\s*"arguments":\s*'([\s\S]*)'\s*\}$/.exec(text) ?? [];
  if (name === undefined || values === undefined || parseJson(values) === undefined) return null;
  return [{ id: null, name: toolName(name), arguments: values }];
}

/** A call as the API takes it. */
export function toolCall({ id, name, arguments: values }: FoundCall, given: string): ToolCall {
  return { id: id ?? given, type: 'function', function: { name, arguments: values } };
}

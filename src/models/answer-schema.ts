/**
 * The JSON Schema of `--response_format`: servers are asked to follow it, and some do not. Loaded only where a run has one.
 */

import { createContext, Script } from 'node:vm';
import { dereference, Validator, type OutputUnit, type SchemaDraft } from '@cfworker/json-schema';
import { UsageError } from '../lib/errors.js';
import { isObject } from '../lib/json.js';
import { sanitize } from '../lib/text.js';

/** As it was read from a file. */
type JsonSchema = Readonly<Record<string, unknown>> | boolean;

/** Longer than any honest answer takes; patterns and `uniqueItems` may never end on a hostile one. */
const TIME_LIMIT_S = 1;
/** Keywords whose cost may grow faster than the answer. */
const SUPERLINEAR = new Set([
  'pattern',
  'patternProperties',
  'format',
  'uniqueItems',
  'contains',
  'anyOf',
  'oneOf',
  'dependentSchemas',
  'unevaluatedProperties',
  'unevaluatedItems',
]);
/** Beyond this many characters even plain keywords are watched. */
const LONG_TEXT = 1 << 16;
const TYPES = new Set(['null', 'boolean', 'object', 'array', 'number', 'string', 'integer']);
/** Keywords that hold data, not schemas. */
const DATA = new Set(['const', 'enum', 'default', 'examples', 'required', 'dependentRequired']);
/** Keywords that hold schemas by names of the author's choosing. */
const MAPS = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
  'dependencies',
]);
const LONGEST_PATH = 200;
const LONGEST_MESSAGE = 300;

export class AnswerSchema {
  readonly #validator: Validator;
  readonly #isSuperlinear: boolean;
  readonly #timeLimit: number;
  #value: unknown;
  #violation: string | null = null;
  /** Runs `#check` under a time limit, which nothing else in JavaScript can put on a regular expression. */
  readonly #script = new Script('check()');
  readonly #context = createContext({
    check: () => {
      this.#check();
    },
  });

  /**
   * @param schema left as it is: the library writes into the one that it works with
   * @param timeLimit the longest that one answer is checked for, in seconds
   * @throws UsageError where the schema cannot be used
   */
  constructor(schema: JsonSchema, timeLimit = TIME_LIMIT_S) {
    this.#timeLimit = timeLimit;
    const keywords = checkSchema(structuredClone(schema));
    this.#isSuperlinear = [...keywords].some((keyword) => SUPERLINEAR.has(keyword));
    // With `shortCircuit`, the first violation ends the check.
    this.#validator = new Validator(structuredClone(schema), draftOf(schema), true);
  }

  /** Where and how a text breaks the schema, as a clause; null where it does not. Takes no longer than the time limit. */
  violationIn(text: string): string | null {
    try {
      this.#value = JSON.parse(text) as unknown;
    } catch {
      return 'it is not JSON';
    }
    try {
      if (this.#isSuperlinear || text.length > LONG_TEXT)
        this.#script.runInContext(this.#context, { timeout: 1000 * this.#timeLimit });
      else this.#check();
      return this.#violation;
    } catch (error) {
      return problemOf(error, this.#timeLimit);
    } finally {
      this.#value = undefined;
    }
  }

  #check(): void {
    const { valid, errors } = this.#validator.validate(this.#value);
    this.#violation = valid ? null : describe(errors);
  }
}

/** By name and code: what is thrown under a time limit may be of another realm. */
function problemOf(error: unknown, timeLimit: number): string {
  const { name, code } = isObject(error) ? error : {};
  if (name === 'RangeError') return 'it is nested too deeply to be checked';
  if (code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return `it takes longer than ${timeLimit} s to check`;
  throw error;
}

/** The violation that is deepest on the way of the first one: outer ones only say that something inside is wrong. */
function describe(errors: readonly OutputUnit[]): string {
  let [found] = errors;
  if (found === undefined) return 'it does not match';
  for (const next of errors.slice(1)) {
    const isChoice = found.keyword === 'anyOf' || found.keyword === 'oneOf';
    const isInside = next.keyword === 'false' || next.keywordLocation.startsWith(`${found.keywordLocation}/`);
    if (isChoice || !isInside) break;
    found = next;
  }
  const path = sanitize(decoded(found.instanceLocation), LONGEST_PATH);
  const message = found.keyword === 'false' ? 'Nothing may be here.' : found.error;
  return `${path}: ${sanitize(message, LONGEST_MESSAGE)}`;
}

/** A pointer in a fragment, as people read it; `#` is the answer as a whole. */
function decoded(pointer: string): string {
  try {
    return decodeURI(pointer);
  } catch {
    return pointer;
  }
}

function draftOf(schema: JsonSchema): SchemaDraft {
  const named = typeof schema === 'object' && typeof schema['$schema'] === 'string' ? schema['$schema'] : '';
  return (
    (['4', '7', '2019-09'] as const).find((draft) => new RegExp(`draft[-/]0?${draft}\\b`).test(named)) ??
    '2020-12'
  );
}

/**
 * Looks for what would only turn out with the first answer, or never: unknown types, broken patterns, references that
 * lead nowhere.
 * @returns the keywords that the schema uses
 * @throws UsageError
 */
function checkSchema(schema: JsonSchema): Set<string> {
  const keywords = new Set<string>();
  const targets = dereferenced(schema);
  const visit = (value: unknown, path: string): void => {
    if (Array.isArray(value)) {
      value.forEach((one, index) => {
        visit(one, `${path}/${index}`);
      });
      return;
    }
    if (!isObject(value)) return;
    for (const [keyword, inner] of Object.entries(value)) {
      // Added by the library; not the author's.
      if (keyword.startsWith('__absolute_')) continue;
      keywords.add(keyword);
      checkKeyword({ keyword, value: inner, schema: value, path: `${path}/${keyword}` }, targets);
      if (DATA.has(keyword)) continue;
      if (!MAPS.has(keyword)) visit(inner, `${path}/${keyword}`);
      else if (isObject(inner))
        for (const [name, one] of Object.entries(inner)) visit(one, `${path}/${keyword}/${name}`);
    }
  };
  visit(schema, '#');
  return keywords;
}

function dereferenced(schema: JsonSchema): Readonly<Record<string, unknown>> {
  try {
    return dereference(schema);
  } catch (error) {
    throw unusable('#', error instanceof Error ? error.message : String(error));
  }
}

/** A keyword at its place in a schema. */
interface PlacedKeyword {
  keyword: string;
  value: unknown;
  /** The object that it is a key of. */
  schema: Readonly<Record<string, unknown>>;
  path: string;
}

function checkKeyword(
  { keyword, value, schema, path }: PlacedKeyword,
  targets: Readonly<Record<string, unknown>>,
): void {
  if (keyword === 'type') {
    const wrong = [value].flat().find((one) => !TYPES.has(one as string));
    if (wrong !== undefined) throw unusable(path, `${shown(wrong)} is not a type of JSON Schema`);
  } else if (keyword === 'pattern') checkPattern(value, path);
  else if (keyword === 'patternProperties' && isObject(value))
    for (const pattern of Object.keys(value)) checkPattern(pattern, path);
  else if (keyword === '$ref') {
    const target = schema['__absolute_ref__'] ?? value;
    if (typeof target !== 'string' || targets[target] === undefined)
      throw unusable(path, `${shown(value)} leads nowhere in this file, and other files are not loaded`);
  } else if (MAPS.has(keyword) && !isObject(value))
    throw unusable(path, `takes an object, not ${shown(value)}`);
  else if (keyword === 'required' && !Array.isArray(value))
    throw unusable(path, `takes a list of names, not ${shown(value)}`);
}

function checkPattern(pattern: unknown, path: string): void {
  try {
    new RegExp(pattern as string, 'u');
  } catch (error) {
    throw unusable(path, error instanceof Error ? error.message : String(error));
  }
}

function shown(value: unknown): string {
  return sanitize(JSON.stringify(value), 60);
}

function unusable(path: string, problem: string): UsageError {
  return new UsageError(
    `The schema of --response_format cannot be used: ${sanitize(path, LONGEST_PATH)}: ${sanitize(problem, LONGEST_MESSAGE)}.`,
  );
}

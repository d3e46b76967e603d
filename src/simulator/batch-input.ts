/** Validates a batch: the request that creates it, and each line of its input file. */

import { readSync } from 'node:fs';
import { yieldToEventLoop, readLines } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { ApiError } from './http.js';

/** The endpoints and the time that batches can have here. */
const ENDPOINTS = ['/v1/chat/completions', '/v1/responses'];
const WINDOWS = ['24h'];

const MAXIMUM_METADATA_PAIRS = 16;
const MAXIMUM_KEY_LENGTH = 64;
const MAXIMUM_VALUE_LENGTH = 512;
const SHORTEST_LIFETIME = 3_600;
const LONGEST_LIFETIME = 2_592_000;

/** @see https://platform.openai.com/docs/guides/batch */
const MAXIMUM_LINES = 50_000;
const MAXIMUM_BYTES = 200_000_000;
const MAXIMUM_ERRORS = 100;
const CHARACTERS_PER_TOKEN = 4;
/** Milliseconds of work before others have their turn. */
export const SLICE_MS = 4;

/** What `POST /v1/batches` asks for. */
export interface BatchOrder {
  inputFileId: string;
  endpoint: string;
  completionWindow: string;
  metadata: Record<string, string> | null;
  /** Seconds that the results are kept. */
  resultLifetime: number;
}

/** @throws ApiError (400) where something is missing or wrong */
export function readBatchOrder(bytes: Buffer): BatchOrder {
  const body = parseJson(bytes.toString('utf8'));
  if (!isObject(body)) {
    throw new ApiError(
      400,
      'We could not parse the JSON body of your request. The OpenAI API expects a JSON payload, but what was sent ' +
        'was not valid JSON.',
    );
  }
  const known = ['input_file_id', 'endpoint', 'completion_window', 'metadata', 'output_expires_after'];
  const unknown = Object.keys(body).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new ApiError(400, `Unknown parameter: '${unknown}'.`, {
      param: unknown,
      code: 'unknown_parameter',
    });
  }
  const expiry = body['output_expires_after'];
  return {
    inputFileId: requiredText(body, 'input_file_id'),
    endpoint: oneOf(requiredText(body, 'endpoint'), ENDPOINTS, 'endpoint'),
    completionWindow: oneOf(requiredText(body, 'completion_window'), WINDOWS, 'completion_window'),
    metadata: readMetadata(body['metadata']),
    resultLifetime: isObject(expiry)
      ? readLifetime('output_expires_after', expiry['anchor'], expiry['seconds'])
      : LONGEST_LIFETIME,
  };
}

/**
 * Seconds that a file is kept; 30 days where nothing is said.
 * @param name the parameter with `anchor` and `seconds`
 * @throws ApiError (400) where either is wrong
 */
export function readLifetime(name: string, anchor: unknown, seconds: unknown): number {
  if (anchor === undefined && seconds === undefined) return LONGEST_LIFETIME;
  oneOf(typeof anchor === 'string' ? anchor : String(anchor), ['created_at'], `${name}.anchor`);
  if (!Number.isInteger(seconds)) {
    throw new ApiError(400, `Invalid type for '${name}.seconds': expected an integer.`, {
      param: `${name}.seconds`,
      code: 'invalid_type',
    });
  }
  return inRange(`${name}.seconds`, Number(seconds), SHORTEST_LIFETIME, LONGEST_LIFETIME);
}

/** @throws ApiError (400) where a number is out of its range */
export function inRange(name: string, value: number, lowest: number, highest: number): number {
  if (value >= lowest && value <= highest) return value;
  const below = value < lowest;
  const message =
    `Invalid '${name}': integer ${below ? 'below minimum' : 'above maximum'} value. ` +
    `Expected a value ${below ? '>=' : '<='} ${below ? lowest : highest}, but got ${value} instead.`;
  throw new ApiError(400, message, {
    param: name,
    code: below ? 'integer_below_min_value' : 'integer_above_max_value',
  });
}

/** @throws ApiError (400) where a text is none of those that are supported */
export function oneOf(value: string, supported: readonly string[], name: string): string {
  if (supported.includes(value)) return value;
  throw new ApiError(400, `Invalid value: '${value}'. Supported values are: '${supported.join("', '")}'.`, {
    param: name,
    code: 'invalid_value',
  });
}

function requiredText(body: Record<string, unknown>, name: string): string {
  const value = body[name];
  if (typeof value === 'string' && value !== '') return value;
  if (value === undefined || value === '') {
    throw new ApiError(400, `Missing required parameter: '${name}'.`, {
      param: name,
      code: 'missing_required_parameter',
    });
  }
  throw new ApiError(400, `Invalid type for '${name}': expected a string.`, {
    param: name,
    code: 'invalid_type',
  });
}

function readMetadata(value: unknown): Record<string, string> | null {
  if (value === undefined || value === null) return null;
  if (!isObject(value)) throw badMetadata("Invalid type for 'metadata': expected an object.", 'invalid_type');
  const pairs = Object.entries(value);
  if (pairs.length > MAXIMUM_METADATA_PAIRS) {
    throw badMetadata(
      `Invalid 'metadata': too many properties. Expected an object with at most ${MAXIMUM_METADATA_PAIRS} ` +
        `properties, but got an object with ${pairs.length} properties instead.`,
      'object_above_max_properties',
    );
  }
  for (const [key, text] of pairs) {
    if (key.length > MAXIMUM_KEY_LENGTH)
      throw tooLong("Invalid property name in 'metadata'", MAXIMUM_KEY_LENGTH, key);
    if (typeof text !== 'string')
      throw badMetadata(`Invalid type for 'metadata.${key}': expected a string.`, 'invalid_type');
    if (text.length > MAXIMUM_VALUE_LENGTH)
      throw tooLong(`Invalid 'metadata.${key}'`, MAXIMUM_VALUE_LENGTH, text);
  }
  return value as Record<string, string>;
}

function tooLong(what: string, maximum: number, text: string): ApiError {
  const expected = `Expected a string with maximum length ${maximum}`;
  const message = `${what}: string too long. ${expected}, but got a string with length ${text.length} instead.`;
  return badMetadata(message, 'string_above_max_length');
}

function badMetadata(message: string, code: string): ApiError {
  return new ApiError(400, message, { param: 'metadata', code });
}

/** Why a batch fails before any of its requests is worked on. */
export interface InputError {
  code: string;
  message: string;
  param: string | null;
  /** Counted from 1; null where it is about the whole file. */
  line: number | null;
}

/** What is kept of an input file: where its lines are, and sums. */
export interface BatchInput {
  /** The one model of all requests; null where there is none. */
  model: string | null;
  offsets: number[];
  lengths: number[];
  /** Input tokens of all requests. */
  tokens: number;
  errors: InputError[];
}

/** Reads an input file line by line and finds what is wrong with it; others have their turn now and then. */
export async function readBatchInput(path: string, bytes: number, endpoint: string): Promise<BatchInput> {
  const input: BatchInput = { model: null, offsets: [], lengths: [], tokens: 0, errors: [] };
  if (bytes > MAXIMUM_BYTES) {
    const message = `The batch input file is larger than the maximum of ${MAXIMUM_BYTES} bytes.`;
    input.errors.push({ code: 'file_too_large', message, param: null, line: null });
    return input;
  }
  const ids = new Set<string>();
  let pause = performance.now() + SLICE_MS;
  for (const { bytes: line, offset } of readLines(path)) {
    if (input.offsets.length === MAXIMUM_LINES) {
      const message = `The batch input file has more than the maximum of ${MAXIMUM_LINES} requests.`;
      input.errors = [{ code: 'too_many_tasks', message, param: null, line: null }];
      break;
    }
    input.offsets.push(offset);
    input.lengths.push(line.length);
    const error = checkLine(line.toString('utf8'), endpoint, ids, input);
    if (error !== null) input.errors.push({ ...error, line: input.offsets.length });
    if (input.errors.length === MAXIMUM_ERRORS) break;
    if (performance.now() > pause) {
      await yieldToEventLoop();
      pause = performance.now() + SLICE_MS;
    }
  }
  if (input.offsets.length === 0) {
    const message = 'The batch input file is empty. Please ensure that your batch input file is not empty.';
    input.errors.push({ code: 'empty_file', message, param: null, line: null });
  }
  return input;
}

/** A request of an input file that was found good. */
export interface Row {
  customId: string;
  body: object;
}

/** Reads one line again. */
export function readRow(descriptor: number, { offsets, lengths }: BatchInput, index: number): Row {
  const bytes = Buffer.allocUnsafe(lengths[index] ?? 0);
  readSync(descriptor, bytes, 0, bytes.length, offsets[index] ?? 0);
  const line = JSON.parse(bytes.toString('utf8')) as { custom_id: string; body: object };
  return { customId: line.custom_id, body: line.body };
}

/** What is said of a line that is no JSON. */
export const NO_JSON = {
  code: 'invalid_json_line',
  message: 'This line is not parseable as valid JSON.',
  param: null,
} as const;

function checkLine(
  text: string,
  endpoint: string,
  ids: Set<string>,
  input: BatchInput,
): Omit<InputError, 'line'> | null {
  const line = parseJson(text);
  if (!isObject(line)) return NO_JSON;
  for (const name of ['custom_id', 'method', 'url', 'body']) {
    if (line[name] !== undefined && line[name] !== null && line[name] !== '') continue;
    return {
      code: 'missing_required_parameter',
      message: `Missing required parameter: '${name}'.`,
      param: name,
    };
  }
  const { custom_id: id, method, url, body } = line;
  if (typeof id !== 'string') return wrongType('custom_id', 'a string');
  if (ids.has(id)) {
    const message =
      'The custom_id for this request is a duplicate of another request. ' +
      'The custom_id parameter must be unique for each request in a batch.';
    return { code: 'duplicate_custom_id', message, param: 'custom_id' };
  }
  ids.add(id);
  if (method !== 'POST') {
    const message = 'The HTTP method for this request is not supported. Only POST is supported.';
    return { code: 'invalid_method', message, param: 'method' };
  }
  if (url !== endpoint) {
    const message = `The URL provided for this request does not match the batch endpoint '${endpoint}'.`;
    return { code: 'invalid_url', message, param: 'url' };
  }
  if (!isObject(body)) return wrongType('body', 'an object');
  const { model } = body;
  if (typeof model !== 'string' || model === '') {
    return {
      code: 'missing_required_parameter',
      message: "Missing required parameter: 'model'.",
      param: 'body.model',
    };
  }
  input.model ??= model;
  if (model !== input.model) {
    const message =
      `The model '${model}' does not match the model '${input.model}' of the first request. ` +
      'All requests in a batch must use the same model.';
    return { code: 'mismatched_model', message, param: 'body.model' };
  }
  input.tokens += Math.ceil(charactersOf(body['messages'] ?? body['input']) / CHARACTERS_PER_TOKEN);
  return null;
}

function wrongType(name: string, expected: string): Omit<InputError, 'line'> {
  return { code: 'invalid_type', message: `Invalid type for '${name}': expected ${expected}.`, param: name };
}

/** Characters of all messages; whether these are any good is seen when the request is answered. */
function charactersOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  if (Array.isArray(value)) return value.reduce<number>((sum, one) => sum + charactersOf(one), 0);
  return isObject(value) ? charactersOf(value['content'] ?? value['text']) : 0;
}

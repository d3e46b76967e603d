/**
 * The generation parameters: one entry each, with its flag, what it takes, and the value that changes nothing. The
 * command line, its help, the request bodies and the comparison of runs follow this table.
 */

import { UsageError } from '../lib/errors.js';
import type { FlagReader } from '../cli/options.js';
import { isObject } from '../lib/json.js';
import { jsonArgument } from '../lib/json-argument.js';
import { EFFORTS, type Effort } from './reasoning-effort.js';
import { inert } from '../lib/text.js';

export const DEFAULT_MAX_TOKENS = 2048;
/** The Python tool's, sent where the provider is known to take a seed. */
export const DEFAULT_SEED = 42;

interface Parameter<Value> {
  /** Its value as the help names it; in brackets where the flag alone means something. */
  argument: string;
  help: string;
  /** What the API does when the parameter is left out (https://platform.openai.com/docs/api-reference/chat/create). */
  neutral?: Value;
  /** True where `none` is a value of its own, and not a way to send nothing. */
  takesNone?: boolean;
  /** The value that was given. */
  read(flags: FlagReader): Value | null;
  /** A value as its flag takes it, where that is not obvious. */
  write?(value: unknown): string;
}

function parameter<Value>(entry: Parameter<Value>): Parameter<Value> {
  return entry;
}

/** Under the API's names, in the order in which they are sent. */
export const GENERATION = {
  temperature: parameter({
    argument: '<t>',
    help: 'randomness, 0 to 2 (default: the model’s own)',
    neutral: 1,
    read: (flags) => flags.number('temperature', 0, 2),
  }),
  top_p: parameter({
    argument: '<p>',
    help: 'sample from the most likely tokens up to this probability, 0 to 1 (default: the model’s own)',
    neutral: 1,
    read: (flags) => flags.number('top_p', 0, 1),
  }),
  seed: parameter({
    argument: '<n>',
    help: `for repeatable sampling (default: ${DEFAULT_SEED} where the provider is known to take one)`,
    read: (flags) => flags.integer('seed', Number.MIN_SAFE_INTEGER),
  }),
  max_tokens: parameter({
    argument: '<n>',
    help: `longest answer, in tokens (default: ${DEFAULT_MAX_TOKENS}; none: no limit)`,
    read: (flags) => flags.integer('max_tokens', 1),
  }),
  n: parameter({
    argument: '<n>',
    help: 'answers to each prompt (default: 1)',
    neutral: 1,
    read: (flags) => flags.integer('n', 1, 128),
  }),
  frequency_penalty: parameter({
    argument: '<x>',
    help: 'penalise tokens by how often they have appeared, -2 to 2 (default: the model’s own)',
    neutral: 0,
    read: (flags) => flags.number('frequency_penalty', -2, 2),
  }),
  presence_penalty: parameter({
    argument: '<x>',
    help: 'penalise tokens that have appeared at all, -2 to 2 (default: the model’s own)',
    neutral: 0,
    read: (flags) => flags.number('presence_penalty', -2, 2),
  }),
  stop: parameter({
    argument: '<a,b>',
    help: 'sequences that end an answer, separated by commas',
    read: (flags) => stopSequences(flags.text('stop')),
  }),
  logit_bias: parameter({
    argument: '<json>',
    help: 'such as {"50256": -100}',
    read: (flags) => logitBias(flags.text('logit_bias')),
  }),
  logprobs: parameter<boolean>({
    argument: '[bool]',
    help: 'keep log probabilities in output.jsonl',
    neutral: false,
    read: (flags) => flags.choice('logprobs'),
  }),
  top_logprobs: parameter({
    argument: '<n>',
    help: 'the N most likely tokens at each position, 0 to 20 (implies --logprobs)',
    read: (flags) => flags.integer('top_logprobs', 0, 20),
  }),
  reasoning_effort: parameter({
    argument: '<level>',
    help: `how much the model thinks: ${EFFORTS.join(', ')}; none switches thinking off where the model can (default: the model’s own)`,
    takesNone: true,
    read: (flags) => effort(flags.text('reasoning_effort')),
  }),
  response_format: parameter({
    argument: '<json|@file>',
    help: 'json for any JSON object, or @SCHEMA.json for answers by a JSON Schema',
    read: (flags) => responseFormat(flags.text('response_format')),
    write: writeResponseFormat,
  }),
  service_tier: parameter({
    argument: '<name>',
    help: 'such as flex (OpenAI: half price, slower), priority or default',
    read: (flags) => serviceTier(flags.text('service_tier')),
  }),
  extra_body: parameter({
    argument: '<json|@file>',
    help: 'more fields of every request, merged last, such as {"top_k": 20}',
    read: (flags) => extraBody(flags.text('extra_body')),
  }),
};

export type GenerationName = keyof typeof GENERATION;

/** The parameters of a request besides model and messages, under the API's names; null ones are not sent. */
export type GenerationParameters = {
  [Name in GenerationName]: ReturnType<(typeof GENERATION)[Name]['read']>;
};

export const GENERATION_NAMES = Object.keys(GENERATION) as readonly GenerationName[];

/** Generation parameters as the command line gives them. */
export interface ChosenParameters {
  generation: GenerationParameters;
  /** Those that were named on the command line, with a value or `none`. */
  given: ReadonlySet<string>;
}

/**
 * Reads the flags. What nobody gave is not sent, but for `max_tokens` and, where it is known to be taken, `seed`;
 * `none` sends none.
 * @throws UsageError that names the flag
 */
export function readGeneration(flags: FlagReader, takesSeed: boolean): ChosenParameters {
  const given = new Set(GENERATION_NAMES.filter((name) => flags.isGiven(name)));
  const values = GENERATION_NAMES.map((name): [string, unknown] => {
    const entry: Parameter<unknown> = GENERATION[name];
    const isSent = given.has(name) && (entry.takesNone === true || !flags.isNone(name));
    return [name, isSent ? GENERATION[name].read(flags) : null];
  });
  const generation = Object.fromEntries(values) as GenerationParameters;
  if (!given.has('max_tokens')) generation.max_tokens = DEFAULT_MAX_TOKENS;
  if (!given.has('seed') && takesSeed) generation.seed = DEFAULT_SEED;
  if (!given.has('logprobs') && generation.top_logprobs !== null) generation.logprobs = true;
  return { generation, given };
}

/** The tokens that one request may be answered with, over all its choices; null where there is no limit. */
export function mostTokens({ max_tokens: most, n }: GenerationParameters): number | null {
  return most === null ? null : most * (n ?? 1);
}

/** The same for what is reserved at a rate limit: without a limit of ours, an ordinary answer. */
export function reservedTokens(generation: GenerationParameters): number {
  return mostTokens(generation) ?? DEFAULT_MAX_TOKENS * (generation.n ?? 1);
}

/** True where every row gets several answers. */
export function hasSeveral({ n }: GenerationParameters): boolean {
  return (n ?? 1) > 1;
}

/**
 * True where two values of a parameter ask for the same: one that changes nothing is as good as none. The Python tool
 * and earlier versions of this program sent all of them, and a seed to everybody.
 * @param isGiven true where the later value was named on the command line
 */
export function asksTheSame(name: string, earlier: unknown, now: unknown, isGiven: boolean): boolean {
  if (JSON.stringify(asked(name, earlier)) === JSON.stringify(asked(name, now))) return true;
  return name === 'seed' && !isGiven && earlier === DEFAULT_SEED && now === null;
}

function asked(name: string, value: unknown): unknown {
  return value === undefined || isNeutral(name, value) ? null : value;
}

/** True where leaving a parameter out asks for the same. */
export function isNeutral(name: string, value: unknown): boolean {
  const entry: Parameter<unknown> | undefined = isGenerationName(name) ? GENERATION[name] : undefined;
  return entry?.neutral !== undefined && entry.neutral === value;
}

export function isGenerationName(name: string): name is GenerationName {
  return Object.hasOwn(GENERATION, name);
}

/** A value as its flag takes it. */
export function flagValue(name: string, value: unknown): string {
  const entry: Parameter<unknown> | undefined = isGenerationName(name) ? GENERATION[name] : undefined;
  if (entry?.write !== undefined) return entry.write(value);
  if (Array.isArray(value))
    return value.map((one) => String(one).replaceAll('\n', '\\n').replaceAll('\t', '\\t')).join(',');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function effort(text: string | null): Effort | null {
  if (text === null) return null;
  const level = EFFORTS.find((one) => one === text.toLowerCase());
  if (level === undefined)
    throw new UsageError(`--reasoning_effort takes ${EFFORTS.join(', ')}, not ${inert(text, 40)}.`);
  return level;
}

function serviceTier(text: string | null): string | null {
  if (text === null || /^[a-z][a-z0-9_-]{0,40}$/.test(text)) return text;
  throw new UsageError(`--service_tier takes a name such as flex, not ${inert(text, 40)}.`);
}

/** Fields that `--extra_body` may not have, and why. */
const NOT_EXTRA: Readonly<Record<string, string>> = {
  model: 'name the model with --annotator',
  messages: 'the messages come from the dataset',
  stream: 'whether answers are streamed is decided by the provider',
  metadata: 'it would be mistaken for the row’s own in jobs.json',
  n: 'use --n, which also decides how answers are kept',
  max_tokens: 'use --max_tokens, by which costs are bounded',
  max_completion_tokens: 'use --max_tokens, which is sent under this name where the model wants it',
};

function extraBody(text: string | null): Record<string, unknown> | null {
  if (text === null) return null;
  const fields = jsonArgument('extra_body', text);
  const wrong = Object.keys(fields).find((name) => Object.hasOwn(NOT_EXTRA, name));
  if (wrong !== undefined)
    throw new UsageError(`--extra_body cannot hold "${wrong}": ${NOT_EXTRA[wrong] ?? ''}.`);
  return Object.keys(fields).length === 0 ? null : fields;
}

/** Names of schemas that the API takes. */
const SCHEMA_NAME = /^[\w-]{1,64}$/;

/**
 * `json`, a JSON Schema, or either of the forms in which the API takes a schema.
 * @see https://platform.openai.com/docs/guides/structured-outputs
 */
function responseFormat(text: string | null): Record<string, unknown> | null {
  if (text === null) return null;
  if (text === 'json' || text === 'json_object') return { type: 'json_object' };
  if (!/^[@{]/.test(text))
    throw new UsageError(`--response_format takes json or @SCHEMA.json, not ${inert(text, 40)}.`);
  const value = jsonArgument('response_format', text);
  if (typeof value['type'] === 'string' && ['json_schema', 'json_object', 'text'].includes(value['type']))
    return value;
  if (isObject(value['schema']) && typeof value['name'] === 'string')
    return { type: 'json_schema', json_schema: value };
  const { title } = value;
  const name = typeof title === 'string' && SCHEMA_NAME.test(title) ? title : 'answer';
  return { type: 'json_schema', json_schema: { name, schema: value, strict: true } };
}

function writeResponseFormat(value: unknown): string {
  return isObject(value) && value['type'] === 'json_object' ? 'json' : JSON.stringify(value);
}

function stopSequences(text: string | null): string[] | null {
  if (text === null) return null;
  // A shell makes it hard to write a line break, which is what people stop at most.
  const sequences = text.split(',').map((one) => one.replaceAll('\\n', '\n').replaceAll('\\t', '\t'));
  if (sequences.some((one) => one === ''))
    throw new UsageError(`--stop ${inert(text, 60)}: a sequence is empty.`);
  if (sequences.length > 4) throw new UsageError('--stop takes at most 4 sequences, separated by commas.');
  return sequences;
}

function logitBias(text: string | null): Record<string, number> | null {
  if (text === null) return null;
  const wrong = new UsageError(`--logit_bias takes JSON such as {"50256": -100}, not ${inert(text, 60)}.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong;
  const entries = Object.entries(value as Record<string, unknown>);
  if (
    entries.some(([token, bias]) => !/^\d+$/.test(token) || typeof bias !== 'number' || Math.abs(bias) > 100)
  ) {
    throw wrong;
  }
  return Object.fromEntries(entries) as Record<string, number>;
}

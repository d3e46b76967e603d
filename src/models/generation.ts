/**
 * The generation parameters: one entry each, with its flag, what it takes, and the value that changes nothing. The
 * command line, its help, the request bodies and the comparison of runs follow this table.
 */

import { UsageError } from '../lib/errors.js';
import { isObject } from '../lib/json.js';
import { jsonArgument } from '../lib/json-argument.js';
import {
  integer,
  kind,
  LIST_IN_CODE,
  number,
  OBJECT_IN_CODE,
  oneOf,
  optionalTruth,
  type Kind,
} from '../lib/kinds.js';
import { EFFORTS } from './reasoning-effort.js';
import { sanitize } from '../lib/text.js';

export const DEFAULT_MAX_TOKENS = 2048;
/** The Python tool's, sent where the provider is known to take a seed. */
export const DEFAULT_SEED = 42;

export interface Parameter<Value> {
  kind: Kind<Value>;
  help: string;
  /** What else the reference says, in Markdown. */
  details?: string;
  /** What is sent where nobody named the parameter, as help says it. */
  usual?: string;
  /** What the API does when the parameter is left out (https://platform.openai.com/docs/api-reference/chat/create). */
  neutral?: Value;
  /** Names by which other tools know it, to be suggested for. */
  aliases?: readonly string[];
  /** True where `none` is a value of its own, and not a way to send nothing. */
  takesNone?: boolean;
  /** A value as its flag takes it, where that is not obvious. */
  write?(value: unknown): string;
}

function parameter<Value>(entry: Parameter<Value>): Parameter<Value> {
  return entry;
}

const MODELS_OWN = 'the model’s own';

/** Under the API's names, in the order in which they are sent. */
export const GENERATION = {
  temperature: parameter({
    kind: number(0, 2, '<t>'),
    help: 'randomness, 0 to 2',
    usual: MODELS_OWN,
    neutral: 1,
    aliases: ['temp'],
  }),
  top_p: parameter({
    kind: number(0, 1, '<p>'),
    help: 'sample from the most likely tokens up to this probability, 0 to 1',
    usual: MODELS_OWN,
    neutral: 1,
  }),
  seed: parameter({
    kind: integer(Number.MIN_SAFE_INTEGER),
    help: 'for repeatable sampling',
    details:
      'Sent by default only to models of OpenAI, Groq, Together, Mistral, OpenRouter, vLLM, Ollama and LM Studio.',
    usual: `${DEFAULT_SEED} where the provider is known to take one`,
  }),
  max_tokens: parameter({
    kind: integer(1),
    help: 'longest answer, in tokens; none for no limit',
    usual: String(DEFAULT_MAX_TOKENS),
    aliases: ['max_new_tokens', 'max_completion_tokens', 'max_output_tokens', 'max_length'],
  }),
  n: parameter({
    kind: integer(1, 128),
    help: 'answers to each prompt',
    usual: '1',
    neutral: 1,
    aliases: ['num_completions', 'num_return_sequences', 'best_of'],
  }),
  frequency_penalty: parameter({
    kind: number(-2, 2, '<x>'),
    help: 'penalise tokens by how often they have appeared, -2 to 2',
    usual: MODELS_OWN,
    neutral: 0,
  }),
  presence_penalty: parameter({
    kind: number(-2, 2, '<x>'),
    help: 'penalise tokens that have appeared at all, -2 to 2',
    usual: MODELS_OWN,
    neutral: 0,
  }),
  stop: parameter({
    kind: kind('<a,b>', stopSequences, { inCode: LIST_IN_CODE }),
    help: 'sequences that end an answer, separated by commas',
    details: '`\\n` is a line break, `\\t` a tab.',
    aliases: ['stop_sequences', 'stop_words'],
  }),
  logit_bias: parameter({
    kind: kind('<json>', logitBias, { inCode: OBJECT_IN_CODE }),
    help: 'such as {"50256": -100}',
  }),
  logprobs: parameter({
    kind: optionalTruth,
    help: 'keep log probabilities in output.jsonl',
    neutral: false,
  }),
  top_logprobs: parameter({
    kind: integer(0, 20),
    help: 'the N most likely tokens at each position, 0 to 20 (implies --logprobs)',
    details: 'They are in `output.jsonl`.',
  }),
  reasoning_effort: parameter({
    kind: oneOf('<level>', EFFORTS),
    help: `how much the model thinks: ${EFFORTS.join(', ')}; none switches thinking off where the model can`,
    details: 'Sent in [each provider’s spelling](models.md#reasoning-effort).',
    usual: MODELS_OWN,
    takesNone: true,
    aliases: ['effort', 'thinking', 'think'],
  }),
  response_format: parameter({
    kind: kind('<json|@file>', responseFormat, {
      choices: ['json'],
      completes: 'file',
      inCode: OBJECT_IN_CODE,
    }),
    help: 'json for any JSON object, or @SCHEMA.json for answers by a JSON Schema',
    details:
      'An answer that breaks the schema is requested again, up to `--max_attempts` times ([more](models.md#answers-that-follow-a-schema)).',
    write: writeResponseFormat,
    aliases: ['json_schema', 'json_mode', 'schema', 'guided_json'],
  }),
  service_tier: parameter({
    kind: kind('<name>', serviceTier, { choices: ['flex', 'priority', 'default'] }),
    help: 'such as flex (OpenAI: half price, slower), priority or default',
    details:
      '`flex` waits up to 15 minutes for a request, and as long as it takes for capacity ([more](models.md#service-tiers)). A tier that is refused ends the run, since another one has another price.',
  }),
  extra_body: parameter({
    kind: kind('<json|@file>', extraBody, { completes: 'file', inCode: OBJECT_IN_CODE }),
    help: 'more fields of every request, merged last, such as {"top_k": 20}',
    details:
      'Each replaces the field of its name as a whole. `model`, `messages`, `stream`, `metadata`, `n` and `max_tokens` are refused.',
    aliases: ['extra', 'extra_params', 'model_kwargs', 'top_k'],
  }),
};

/** Parameters that are sent unless `none` is given. */
export const SENT_BY_DEFAULT: ReadonlySet<string> = new Set(['max_tokens', 'seed']);

export type GenerationName = keyof typeof GENERATION;

/** The parameters of a request besides model and messages, under the API's names; null ones are not sent. */
export type GenerationParameters = {
  [Name in GenerationName]: ReturnType<(typeof GENERATION)[Name]['kind']['read']> | null;
};

export const GENERATION_NAMES = Object.keys(GENERATION) as readonly GenerationName[];

/** Generation parameters as a user chose them. */
export interface ChosenParameters {
  generation: GenerationParameters;
  /** Those that were named, with a value or `none`. */
  given: ReadonlySet<string>;
}

/** No parameter at all. */
export const NO_PARAMETERS = Object.fromEntries(
  GENERATION_NAMES.map((name) => [name, null]),
) as GenerationParameters;

/**
 * Fills in what nobody named: `max_tokens`, and `seed` where it is known to be taken.
 * @param values those that were named; null for one that is not to be sent
 */
export function chooseGeneration(
  values: Partial<GenerationParameters>,
  given: ReadonlySet<string>,
  takesSeed: boolean,
): ChosenParameters {
  const named = GENERATION_NAMES.filter((name) => given.has(name));
  const generation: GenerationParameters = { ...NO_PARAMETERS };
  for (const name of named) Object.assign(generation, { [name]: values[name] ?? null });
  if (!given.has('max_tokens')) generation.max_tokens = DEFAULT_MAX_TOKENS;
  if (!given.has('seed') && takesSeed) generation.seed = DEFAULT_SEED;
  if (!given.has('logprobs') && generation.top_logprobs !== null) generation.logprobs = true;
  return { generation, given: new Set(named) };
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

function serviceTier(text: string, source: string): string {
  if (/^[a-z][a-z0-9_-]{0,40}$/.test(text)) return text;
  throw new UsageError(`${source} takes a name such as flex, not ${sanitize(text, 40)}.`);
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

function extraBody(text: string, source: string): Record<string, unknown> | null {
  const fields = jsonArgument(source, text);
  const wrong = Object.keys(fields).find((name) => Object.hasOwn(NOT_EXTRA, name));
  if (wrong !== undefined)
    throw new UsageError(`${source} cannot hold "${wrong}": ${NOT_EXTRA[wrong] ?? ''}.`);
  return Object.keys(fields).length === 0 ? null : fields;
}

/** Names of schemas that the API takes. */
const SCHEMA_NAME = /^[\w-]{1,64}$/;

/**
 * `json`, a JSON Schema, or either of the forms in which the API takes a schema.
 * @see https://platform.openai.com/docs/guides/structured-outputs
 */
function responseFormat(text: string, source: string): Record<string, unknown> {
  if (text === 'json' || text === 'json_object') return { type: 'json_object' };
  if (!/^[@{]/.test(text))
    throw new UsageError(`${source} takes json or @SCHEMA.json, not ${sanitize(text, 40)}.`);
  const value = jsonArgument(source, text);
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

function stopSequences(text: string, source: string): string[] {
  // A shell makes it hard to write a line break, which is what people stop at most.
  const sequences = text.split(',').map((one) => one.replaceAll('\\n', '\n').replaceAll('\\t', '\t'));
  if (sequences.some((one) => one === ''))
    throw new UsageError(`${source} ${sanitize(text, 60)}: a sequence is empty.`);
  if (sequences.length > 4) throw new UsageError(`${source} takes at most 4 sequences, separated by commas.`);
  return sequences;
}

function logitBias(text: string, source: string): Record<string, number> {
  const wrong = new UsageError(`${source} takes JSON such as {"50256": -100}, not ${sanitize(text, 60)}.`);
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

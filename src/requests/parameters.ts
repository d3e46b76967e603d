/**
 * Generation parameters that fit themselves to the model: known rules for reasoning models, and what the first
 * `unsupported_parameter` or `unsupported_value` error of a run teaches, applied to every request after it.
 */

import { isObject } from '../json.js';

/** Parameters that may be left out or renamed; `model` and `messages` never are. */
const ADJUSTABLE = [
  'temperature',
  'top_p',
  'seed',
  'max_tokens',
  'max_completion_tokens',
  'n',
  'frequency_penalty',
  'presence_penalty',
  'stop',
  'logit_bias',
  'logprobs',
  'top_logprobs',
  'stream_options',
] as const;

/** A parameter that is not sent as the flags say. */
export interface ParameterChange {
  parameter: string;
  /** The name it is sent under instead; null where it is left out. */
  renamed_to: string | null;
  reason: string;
}

/** o1, o3-mini, gpt-5-nano …; the `-chat` variants of gpt-5 take the ordinary parameters. */
export function isReasoningModel(model: string): boolean {
  return /^(?:ft:)?(?:o\d(?:$|-)|gpt-5(?!.*-chat))/.test(model);
}

/**
 * What is known of a model before anything is sent. Reasoning models take no sampling parameters, and
 * `max_completion_tokens` in place of `max_tokens` (OpenAI's reasoning guide; the same rules as vercel/ai's
 * `openai-chat-language-model`).
 */
export function knownChanges(model: string, renames: Readonly<Record<string, string>>): ParameterChange[] {
  const changes: ParameterChange[] = Object.entries(renames).map(([parameter, name]) => ({
    parameter,
    renamed_to: name,
    reason: 'the provider’s name for it',
  }));
  if (!isReasoningModel(model)) return changes;
  const reason = `${model} is a reasoning model`;
  changes.push({ parameter: 'max_tokens', renamed_to: 'max_completion_tokens', reason });
  const sampling = [
    'temperature',
    'top_p',
    'frequency_penalty',
    'presence_penalty',
    'logit_bias',
    'logprobs',
  ];
  for (const parameter of [...sampling, 'top_logprobs'])
    changes.push({ parameter, renamed_to: null, reason });
  return changes;
}

/** Applies changes to a request body, in place. */
export function applyChanges(body: Record<string, unknown>, changes: readonly ParameterChange[]): void {
  for (const { parameter, renamed_to: name } of changes) {
    if (!Object.hasOwn(body, parameter)) continue;
    const value = body[parameter];
    Reflect.deleteProperty(body, parameter);
    if (name !== null) body[name] = value;
  }
}

/** What a refused request says of a parameter. */
export type ParameterVerdict =
  /** The model does not take it: change it and send the request again. */
  | { kind: 'change'; change: ParameterChange }
  /** Its value is wrong for every row. */
  | { kind: 'wrong'; parameter: string };

/** The changes in force for a run; they grow when the API refuses a parameter. */
export class ParameterFit {
  readonly #learnt: ParameterChange[] = [];

  /** Changes learnt in this run, in the order they were learnt. */
  get learnt(): readonly ParameterChange[] {
    return this.#learnt;
  }

  /** The body to send: the same bytes where nothing was learnt. */
  apply(body: Buffer): Buffer {
    if (this.#learnt.length === 0) return body;
    const value = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
    applyChanges(value, this.#learnt);
    return Buffer.from(JSON.stringify(value), 'utf8');
  }

  /** Records a change; false where it was in force already (requests that were under way find it so). */
  learn(change: ParameterChange): boolean {
    const known = this.#learnt.some((one) => one.parameter === change.parameter);
    if (!known) this.#learnt.push(change);
    return !known;
  }
}

/**
 * What a 400 or 422 says about a generation parameter; null where it is about something else.
 * @param error the `error` object of the answer
 */
export function parameterVerdict(error: Record<string, unknown>, message: string): ParameterVerdict | null {
  const code = typeof error['code'] === 'string' ? error['code'] : '';
  const parameter = namedParameter(error, message);
  if (parameter === null || code === 'context_length_exceeded') return null;
  const unsupported =
    code === 'unsupported_parameter' ||
    code === 'unsupported_value' ||
    code === 'unknown_parameter' ||
    /unsupported|not supported|does(?:n't| not) support|unknown|unrecognized|not permitted|extra (?:inputs|fields)|extra_forbidden|unexpected/i.test(
      message,
    );
  if (!unsupported) return typeof error['param'] === 'string' ? { kind: 'wrong', parameter } : null;
  const replacement = parameter === 'max_tokens' && /max_completion_tokens/.test(message);
  return {
    kind: 'change',
    change: {
      parameter,
      renamed_to: replacement ? 'max_completion_tokens' : null,
      reason: 'refused by the API',
    },
  };
}

function namedParameter(error: Record<string, unknown>, message: string): string | null {
  const named = error['param'];
  if (typeof named === 'string' && isAdjustable(named)) return named;
  if (typeof named === 'string' && named !== '') return null;
  // FastAPI servers (Mistral, vLLM) name it in `detail[].loc`, others only in a quoted word.
  for (const [, word] of message.matchAll(/['"`]([a-z_]+)['"`]/g)) {
    if (word !== undefined && isAdjustable(word)) return word;
  }
  return null;
}

function isAdjustable(name: string): boolean {
  return (ADJUSTABLE as readonly string[]).includes(name);
}

/** The flag that sets a parameter, for messages. */
export function flagOf(parameter: string): string {
  return `--${parameter === 'max_completion_tokens' ? 'max_tokens' : parameter}`;
}

/** The `error` object of an answer in any of the shapes that compatible servers use; null where there is none. */
export function errorObject(response: unknown): Record<string, unknown> | null {
  const body: unknown = Array.isArray(response) ? response[0] : response;
  if (!isObject(body)) return null;
  const error = body['error'];
  if (isObject(error)) return error;
  if (typeof error === 'string' && error !== '') return { message: error };
  if (body['detail'] !== undefined && body['choices'] === undefined) {
    const detail = body['detail'];
    return { message: typeof detail === 'string' ? detail : JSON.stringify(detail) };
  }
  if (body['object'] === 'error') return body;
  return null;
}

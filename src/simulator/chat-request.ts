/** Checks the body of a chat completion as OpenAI does, with its wording. */

import { isObject } from '../lib/json.js';
import { ApiError } from './http.js';
import { answerFormOf, type AnswerForm } from './structured.js';
import { isReasoningModel, requireModel } from './models.js';

/** What an answer needs to know of a request. */
export interface ChatRequest {
  model: string;
  /** The messages as compact JSON: what identifies a prompt. */
  messagesText: string;
  /** Characters of all messages. */
  characters: number;
  /** The text of the last user message. */
  prompt: string;
  /** The number of choices. */
  choices: number;
  /** Null where the request has none. */
  seed: number | null;
  /** Null where the request sets no maximum. */
  maximumTokens: number | null;
  stream: boolean;
  /** True where the request asks for flex processing. */
  isFlex: boolean;
  includeUsage: boolean;
  /** What is said of the form of the answer. */
  form: AnswerForm;
}

/** What a parameter has to be, in the words of OpenAI's error messages. */
const PARAMETERS: Readonly<Record<string, string>> = {
  frequency_penalty: 'a decimal',
  logit_bias: 'an object',
  logprobs: 'a boolean',
  max_completion_tokens: 'an integer',
  max_tokens: 'an integer',
  metadata: 'an object',
  n: 'an integer',
  parallel_tool_calls: 'a boolean',
  presence_penalty: 'a decimal',
  prompt_cache_key: 'a string',
  // Mistral's name for `seed`.
  random_seed: 'an integer',
  reasoning_effort: 'a string',
  response_format: 'an object',
  safety_identifier: 'a string',
  seed: 'an integer',
  service_tier: 'a string',
  stop: 'a string or an array of strings',
  store: 'a boolean',
  stream: 'a boolean',
  stream_options: 'an object',
  temperature: 'a decimal',
  tool_choice: 'a string or an object',
  tools: 'an array of objects',
  top_logprobs: 'an integer',
  top_p: 'a decimal',
  user: 'a string',
  verbosity: 'a string',
};

const RANGES: Readonly<Record<string, readonly [lowest: number, highest: number]>> = {
  frequency_penalty: [-2, 2],
  max_completion_tokens: [1, Infinity],
  max_tokens: [1, Infinity],
  n: [1, 128],
  presence_penalty: [-2, 2],
  temperature: [0, 2],
  top_logprobs: [0, 20],
  top_p: [0, 1],
};

/** Sampling parameters that reasoning models do not take; `temperature` they take with its default alone. */
const NOT_FOR_REASONING = [
  'frequency_penalty',
  'logit_bias',
  'logprobs',
  'presence_penalty',
  'top_logprobs',
  'top_p',
];

/**
 * Reads and checks a request body.
 * @param existing the models that exist; null for all
 * @throws ApiError as the API answers: 400 for a wrong body, 404 for an unknown model
 */
export function readChatRequest(bytes: Buffer, existing: readonly string[] | null): ChatRequest {
  const body = parseBody(bytes);
  const model = body['model'];
  if (typeof model !== 'string' || model === '')
    throw new ApiError(400, 'you must provide a model parameter');
  requireModel(model, existing);
  const messages = readMessages(body['messages']);
  for (const name in body) checkParameter(name, body[name]);
  if (isReasoningModel(model)) checkReasoningParameters(body);
  if (body['metadata'] !== undefined && body['store'] !== true) {
    throw new ApiError(400, "The 'metadata' parameter is only allowed when 'store' is enabled.", {
      param: 'metadata',
    });
  }
  return {
    model,
    messagesText: JSON.stringify(body['messages']),
    ...messages,
    choices: numberOr(body['n'], 1),
    seed: numberOr(body['seed'] ?? body['random_seed'], null),
    maximumTokens: numberOr(body['max_completion_tokens'] ?? body['max_tokens'], null),
    stream: body['stream'] === true,
    isFlex: body['service_tier'] === 'flex',
    form: answerFormOf(body),
    includeUsage: isObject(body['stream_options']) && body['stream_options']['include_usage'] === true,
  };
}

function parseBody(bytes: Buffer): Record<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString('utf8'));
  } catch {
    body = undefined;
  }
  if (isObject(body)) return body;
  throw new ApiError(
    400,
    'We could not parse the JSON body of your request. (HINT: This likely means you aren’t using your HTTP ' +
      'library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)',
  );
}

function readMessages(messages: unknown): Pick<ChatRequest, 'characters' | 'prompt'> {
  if (messages === undefined) {
    throw new ApiError(400, "Missing required parameter: 'messages'.", {
      param: 'messages',
      code: 'missing_required_parameter',
    });
  }
  if (!Array.isArray(messages)) throw wrongType('messages', 'an array of objects', messages);
  if (messages.length === 0) {
    const message =
      "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
    throw new ApiError(400, message, { param: 'messages', code: 'empty_array' });
  }
  let characters = 0;
  let prompt = '';
  for (const [index, message] of messages.entries()) {
    const { role, text } = readMessage(message, `messages[${index}]`);
    characters += text.length;
    if (role === 'user') prompt = text;
  }
  return { characters, prompt };
}

const ROLES = ['developer', 'system', 'user', 'assistant', 'tool', 'function'];

function readMessage(message: unknown, where: string): { role: string; text: string } {
  if (!isObject(message)) throw wrongType(where, 'an object', message);
  const { role, content } = message;
  if (typeof role !== 'string' || !ROLES.includes(role)) {
    throw new ApiError(
      400,
      `Invalid value: '${String(role)}'. Supported values are: '${ROLES.join("', '")}'.`,
      {
        param: `${where}.role`,
        code: 'invalid_value',
      },
    );
  }
  if (typeof content === 'string') return { role, text: content };
  if (Array.isArray(content)) return { role, text: content.map(textOfPart).join('') };
  if (role === 'assistant' && (message['tool_calls'] !== undefined || message['refusal'] !== undefined)) {
    return { role, text: '' };
  }
  throw new ApiError(400, `Invalid value for 'content': expected a string, got ${typeName(content)}.`, {
    param: `${where}.content`,
  });
}

function textOfPart(part: unknown): string {
  return isObject(part) && typeof part['text'] === 'string' ? part['text'] : '';
}

function checkParameter(name: string, value: unknown): void {
  if (name === 'model' || name === 'messages') return;
  const expected = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : undefined;
  if (expected === undefined) {
    throw new ApiError(400, `Unknown parameter: '${name}'.`, { param: name, code: 'unknown_parameter' });
  }
  if (!isOfType(value, expected)) throw wrongType(name, expected, value);
  const [lowest, highest] = RANGES[name] ?? [-Infinity, Infinity];
  if (typeof value !== 'number' || (value >= lowest && value <= highest)) return;
  const [bound, side] = value < lowest ? [lowest, 'minimum'] : [highest, 'maximum'];
  throw new ApiError(
    400,
    `Invalid '${name}': ${expected.split(' ')[1] ?? 'number'} ${side} value exceeded. ` +
      `Expected a value ${side === 'minimum' ? '>=' : '<='} ${bound}, but got ${value} instead.`,
    {
      param: name,
      code: `${expected.split(' ')[1] ?? 'number'}_${side === 'minimum' ? 'below_min' : 'above_max'}_value`,
    },
  );
}

function isOfType(value: unknown, expected: string): boolean {
  if (value === null) return false;
  if (expected === 'an integer') return Number.isInteger(value);
  if (expected === 'a decimal') return typeof value === 'number';
  if (expected === 'a boolean') return typeof value === 'boolean';
  if (expected === 'a string') return typeof value === 'string';
  if (expected === 'an object') return isObject(value);
  return typeof value === 'string' || typeof value === 'object';
}

/** @see https://platform.openai.com/docs/guides/reasoning */
function checkReasoningParameters(body: Record<string, unknown>): void {
  if (body['max_tokens'] !== undefined) {
    throw unsupportedParameter('max_tokens', " Use 'max_completion_tokens' instead.");
  }
  const temperature = body['temperature'];
  if (typeof temperature === 'number' && temperature !== 1) {
    throw new ApiError(
      400,
      `Unsupported value: 'temperature' does not support ${temperature} with this model. ` +
        'Only the default (1) value is supported.',
      { param: 'temperature', code: 'unsupported_value' },
    );
  }
  for (const name of NOT_FOR_REASONING) if (body[name] !== undefined) throw unsupportedParameter(name, '');
}

function unsupportedParameter(name: string, advice: string): ApiError {
  return new ApiError(400, `Unsupported parameter: '${name}' is not supported with this model.${advice}`, {
    param: name,
    code: 'unsupported_parameter',
  });
}

function wrongType(name: string, expected: string, value: unknown): ApiError {
  const message = `Invalid type for '${name}': expected ${expected}, but got ${typeName(value)} instead.`;
  return new ApiError(400, message, { param: name, code: 'invalid_type' });
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'an array';
  const names: Record<string, string> = { string: 'a string', boolean: 'a boolean', object: 'an object' };
  return names[typeof value] ?? (Number.isInteger(value) ? 'an integer' : 'a decimal');
}

function numberOr<Otherwise>(value: unknown, otherwise: Otherwise): number | Otherwise {
  return typeof value === 'number' ? value : otherwise;
}

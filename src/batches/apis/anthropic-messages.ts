/**
 * A chat completion request as a request of Anthropic's Messages API, and its answer back again. What Anthropic's own
 * OpenAI-compatible endpoint does with a field is done here as well (platform.claude.com/docs/en/api/openai-sdk), so
 * that a batch asks what an online run asks. Types: anthropics/anthropic-sdk-typescript `resources/messages/messages.ts`.
 */

import { isObject, parseJson } from '../../lib/json.js';
import { UserError } from '../../lib/errors.js';

type Json = Record<string, unknown>;

/** A request of the Messages API, and the fields that it has no place for. */
export interface TranslatedRequest {
  params: Json;
  leftOut: string[];
}

/** Fields that the compatible endpoint ignores too. */
const IGNORED: ReadonlySet<string> = new Set([
  'seed',
  'logprobs',
  'top_logprobs',
  'presence_penalty',
  'frequency_penalty',
  'logit_bias',
  'store',
  'stream',
  'stream_options',
  'prediction',
  'modalities',
  'audio',
  'reasoning_effort',
]);
const SYSTEM_ROLES: ReadonlySet<unknown> = new Set(['system', 'developer']);
/** The compatible endpoint caps what is above. */
const HIGHEST_TEMPERATURE = 1;

/**
 * Translates a request.
 * @throws UserError where it asks for something that the API does not have, and that cannot be left out
 */
export function messagesRequest(body: Json): TranslatedRequest {
  const leftOut: string[] = [];
  const params: Json = {};
  for (const [name, value] of Object.entries(body)) {
    if (value === null || value === undefined) continue;
    const translate = FIELDS[name];
    if (translate !== undefined) Object.assign(params, translate(value, body));
    else if (IGNORED.has(name)) leftOut.push(name);
    // Whatever else was asked for by --extra_body is a field of the Messages API.
    else params[name] = value;
  }
  if (params['max_tokens'] === undefined) {
    throw new UserError('Anthropic requires a limit for every request; set --max_tokens.');
  }
  return { params, leftOut };
}

const FIELDS: Readonly<Record<string, (value: unknown, body: Json) => Json>> = {
  max_completion_tokens: (value) => ({ max_tokens: value }),
  messages: (value) => translateMessages(Array.isArray(value) ? value.filter(isObject) : []),
  stop: (value) => ({ stop_sequences: Array.isArray(value) ? value : [value] }),
  temperature: (value) => ({
    temperature: typeof value === 'number' ? Math.min(HIGHEST_TEMPERATURE, value) : value,
  }),
  n: (value) => {
    if (value === 1) return {};
    throw new UserError(`Anthropic gives one answer per request; remove --n ${JSON.stringify(value)}.`);
  },
  response_format: (value) => outputConfig(value),
  tools: (value) => ({ tools: Array.isArray(value) ? value.filter(isObject).map(translateTool) : [] }),
  tool_choice: (value, body) => ({ tool_choice: translateToolChoice(value, body) }),
  // A part of `tool_choice` there.
  parallel_tool_calls: () => ({}),
  user: (value) => ({ metadata: { user_id: value } }),
  // Batches have their own.
  service_tier: () => ({}),
};

/** System messages, wherever they are, come before all others, joined by a line end as the compatible endpoint does. */
function translateMessages(messages: readonly Json[]): Json {
  const system = messages.filter(({ role }) => SYSTEM_ROLES.has(role)).map(({ content }) => textOf(content));
  const turns = messages.filter(({ role }) => !SYSTEM_ROLES.has(role)).map(translateTurn);
  const text = system.filter((one) => one !== '').join('\n');
  return { ...(text === '' ? {} : { system: text }), messages: turns };
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .filter(isObject)
    .map(({ text }) => (typeof text === 'string' ? text : ''))
    .join('\n');
}

function translateTurn(message: Json): Json {
  const { role, content } = message;
  if (role === 'tool') {
    const result = { type: 'tool_result', tool_use_id: message['tool_call_id'], content: textOf(content) };
    return { role: 'user', content: [result] };
  }
  const calls = Array.isArray(message['tool_calls']) ? message['tool_calls'].filter(isObject) : [];
  const translated = translateContent(content);
  if (calls.length === 0) return { role, content: translated };
  const blocks = typeof translated === 'string' ? textBlocks(translated) : translated;
  return { role, content: [...blocks, ...calls.map(translateCall)] };
}

function translateContent(content: unknown): string | Json[] {
  if (!Array.isArray(content)) return typeof content === 'string' ? content : '';
  return content.filter(isObject).map(translatePart);
}

function textBlocks(text: string): Json[] {
  return text === '' ? [] : [{ type: 'text', text }];
}

function translatePart(part: Json): Json {
  if (part['type'] !== 'image_url') return part;
  const image = part['image_url'];
  const url = isObject(image) ? image['url'] : image;
  const [, mediaType, data] = /^data:([^;,]+);base64,(.*)$/s.exec(String(url)) ?? [];
  const source = data === undefined ? { type: 'url', url } : { type: 'base64', media_type: mediaType, data };
  return { type: 'image', source };
}

function translateCall(call: Json): Json {
  const { name, arguments: text } = isObject(call['function']) ? call['function'] : {};
  const input = typeof text === 'string' ? parseJson(text) : text;
  return { type: 'tool_use', id: call['id'], name, input: isObject(input) ? input : {} };
}

function translateTool(tool: Json): Json {
  const { name, description, parameters } = isObject(tool['function']) ? tool['function'] : {};
  if (name === undefined) return tool;
  return {
    name,
    ...(description === undefined ? {} : { description }),
    input_schema: parameters ?? { type: 'object', properties: {} },
  };
}

function translateToolChoice(choice: unknown, body: Json): Json {
  const parallel = body['parallel_tool_calls'] === false ? { disable_parallel_tool_use: true } : {};
  if (choice === 'required') return { type: 'any', ...parallel };
  if (choice === 'none') return { type: 'none' };
  if (!isObject(choice)) return { type: 'auto', ...parallel };
  const { name } = isObject(choice['function']) ? choice['function'] : choice;
  return { type: 'tool', name, ...parallel };
}

/** A schema is one here, too; plain JSON has no such field, and the compatible endpoint ignores it. */
function outputConfig(format: unknown): Json {
  const schema = isObject(format) && isObject(format['json_schema']) ? format['json_schema']['schema'] : null;
  return isObject(schema) ? { output_config: { format: { type: 'json_schema', schema } } } : {};
}

/** Stop reasons by OpenAI's names; the others keep theirs, which `finish-reason.ts` knows or takes for unknown. */
const FINISH_REASONS: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
};

/** A Message as a chat completion; null where it is not one. */
export function completionOf(message: unknown): Json | null {
  if (!isObject(message) || !Array.isArray(message['content'])) return null;
  const blocks = message['content'].filter(isObject);
  const text = joined(blocks, 'text', '');
  const reasoning = joined(blocks, 'thinking', '\n\n');
  const calls = blocks.filter(({ type }) => type === 'tool_use').map(callOf);
  const reason = message['stop_reason'];
  return {
    id: message['id'],
    object: 'chat.completion',
    model: message['model'],
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text,
          ...(reasoning === null ? {} : { reasoning_content: reasoning }),
          ...(calls.length === 0 ? {} : { tool_calls: calls }),
        },
        finish_reason: typeof reason === 'string' ? (FINISH_REASONS[reason] ?? reason) : null,
      },
    ],
    // `usage.ts` reads Anthropic's own names.
    usage: message['usage'] ?? null,
  };
}

/** The texts of one kind of block; null where there is none. Encrypted thinking has no text. */
function joined(blocks: readonly Json[], kind: 'text' | 'thinking', between: string): string | null {
  const texts = blocks.flatMap((block) => {
    const text = block['type'] === kind ? block[kind] : null;
    return typeof text === 'string' && text !== '' ? [text] : [];
  });
  return texts.length === 0 ? null : texts.join(between);
}

function callOf({ id, name, input }: Json): Json {
  return { id, type: 'function', function: { name, arguments: JSON.stringify(input ?? {}) } };
}

/** What each type of error has for a status online (platform.claude.com/docs/en/api/errors). */
const STATUSES: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

/** An error response as OpenAI writes one, with the status that it has online. */
export function errorOf(response: unknown): { status: number; body: Json } {
  const error = isObject(response) && isObject(response['error']) ? response['error'] : {};
  const { type, message } = error;
  const status = typeof type === 'string' ? (STATUSES[type] ?? 500) : 500;
  return {
    status,
    body: { error: { message: message ?? 'no message', type: type ?? null, code: type ?? null } },
  };
}

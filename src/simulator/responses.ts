/**
 * `POST /v1/responses`: its requests as chat requests and completions as its answers, so that everything behind them is
 * the same.
 * @see https://platform.openai.com/docs/api-reference/responses/create
 */

import { isObject, parseJson } from '../lib/json.js';
import type { ChatCompletion, Choice } from './completions.js';
import { ApiError } from './http.js';

type Fields = Record<string, unknown>;

/** Parameters that mean the same there. */
const SAME = ['model', 'stream', 'temperature', 'top_p', 'service_tier', 'store', 'metadata', 'tool_choice'];
/** Parameters that are read, or of no consequence here. */
const OTHERS = [
  'input',
  'instructions',
  'max_output_tokens',
  'reasoning',
  'text',
  'tools',
  'include',
  'user',
];

/**
 * A request of the Responses API as one of chat completions.
 * @throws ApiError (400) where it has a parameter that this API does not know, such as `n` or `messages`
 */
export function chatRequestOf(bytes: Buffer): Buffer {
  const body = parseJson(bytes.toString('utf8'));
  // What is no object is refused by what reads chat requests.
  if (!isObject(body)) return bytes;
  const unknown = Object.keys(body).find((name) => !SAME.includes(name) && !OTHERS.includes(name));
  if (unknown !== undefined)
    throw new ApiError(400, `Unknown parameter: '${unknown}'.`, {
      param: unknown,
      code: 'unknown_parameter',
    });
  const { input, instructions, max_output_tokens: most, text } = body;
  if (input === undefined)
    throw new ApiError(400, "Missing required parameter: 'input'.", {
      param: 'input',
      code: 'missing_required_parameter',
    });
  const turns = typeof input === 'string' ? [{ role: 'user', content: input }] : messagesIn(input);
  const system = typeof instructions === 'string' ? [{ role: 'system', content: instructions }] : [];
  const { tools } = body;
  const chat: Fields = { messages: [...system, ...turns] };
  for (const name of SAME) if (body[name] !== undefined) chat[name] = body[name];
  if (most !== undefined) chat['max_completion_tokens'] = most;
  if (Array.isArray(tools))
    chat['tools'] = tools.map((tool: unknown) => ({ type: 'function', function: tool }));
  const format = isObject(text) ? text['format'] : undefined;
  if (isObject(format)) chat['response_format'] = format;
  return Buffer.from(JSON.stringify(chat), 'utf8');
}

function messagesIn(input: unknown): unknown[] {
  if (!Array.isArray(input)) return [];
  return input.map((item: unknown) => {
    if (!isObject(item)) return item;
    const { type, role, content, output, call_id: callId } = item;
    if (type === 'function_call_output') return { role: 'tool', content: output, tool_call_id: callId };
    if (type === 'function_call') return { role: 'assistant', content: null, tool_calls: [item] };
    return { role, content: Array.isArray(content) ? content.map(partOf) : content };
  });
}

function partOf(part: unknown): unknown {
  if (!isObject(part)) return part;
  const { type, text, image_url: url } = part;
  if (type === 'input_image') return { type: 'image_url', image_url: { url } };
  return type === 'input_text' || type === 'output_text' ? { type: 'text', text } : part;
}

/** A completion as an answer of this API: what the model thought is a summary. */
export function responseOf(completion: ChatCompletion): Fields {
  const { id, created, model, choices, usage, service_tier: tier } = completion;
  const [choice] = choices;
  const isCut = choice?.finish_reason === 'length';
  return {
    id: id.replace('chatcmpl', 'resp'),
    object: 'response',
    created_at: created,
    status: isCut || choice?.finish_reason === 'content_filter' ? 'incomplete' : 'completed',
    incomplete_details: incompleteBy(choice),
    error: null,
    model,
    output: choice === undefined ? [] : outputOf(choice),
    service_tier: tier,
    usage: {
      input_tokens: usage.prompt_tokens,
      input_tokens_details: { cached_tokens: usage.prompt_tokens_details.cached_tokens },
      output_tokens: usage.completion_tokens,
      output_tokens_details: { reasoning_tokens: usage.completion_tokens_details.reasoning_tokens },
      total_tokens: usage.total_tokens,
    },
  };
}

function incompleteBy(choice: Choice | undefined): { reason: string } | null {
  if (choice?.finish_reason === 'length') return { reason: 'max_output_tokens' };
  return choice?.finish_reason === 'content_filter' ? { reason: 'content_filter' } : null;
}

function outputOf({ message, reasoning }: Choice): Fields[] {
  const summary = reasoning === undefined ? [] : [{ type: 'summary_text', text: reasoning }];
  const calls = (message.tool_calls ?? []).filter(isObject).map(callOf);
  if (calls.length > 0) return [{ id: 'rs_simulator', type: 'reasoning', summary }, ...calls];
  const content =
    message.refusal !== null
      ? [{ type: 'refusal', refusal: message.refusal }]
      : [{ type: 'output_text', text: message.content ?? '', annotations: [] }];
  return [
    { id: 'rs_simulator', type: 'reasoning', summary },
    { id: 'msg_simulator', type: 'message', role: 'assistant', status: 'completed', content },
  ];
}

function callOf({ id, function: called }: Fields): Fields {
  const { name, arguments: given } = isObject(called) ? called : {};
  return {
    id: 'fc_simulator',
    type: 'function_call',
    call_id: id,
    name,
    arguments: given,
    status: 'completed',
  };
}

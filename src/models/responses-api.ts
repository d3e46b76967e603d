/**
 * OpenAI's Responses API, on which some models answer and nowhere else: a chat request becomes a request of that API, and
 * its answer becomes a chat completion, so that everything else knows one form.
 * @see https://platform.openai.com/docs/api-reference/responses/create
 * @see https://platform.openai.com/docs/guides/migrate-to-responses
 */

import { isObject } from '../lib/json.js';

type Fields = Record<string, unknown>;

/** Models that answer on no other endpoint (their pages below https://platform.openai.com/docs/models). */
const ONLY_THERE =
  /^(?:ft:)?(?:gpt-\d+(?:\.\d+)?-(?:pro|codex)|o\d-pro|codex-|o\d(?:-mini)?-deep-research|computer-use)/;

/** True for a model that is known to answer on `/responses` alone; others are found by their refusal. */
export function answersOnResponsesOnly(model: string): boolean {
  return ONLY_THERE.test(model);
}

/** Parameters that this API does not have. */
export const NOT_IN_RESPONSES: ReadonlySet<string> = new Set([
  'n',
  'seed',
  'stop',
  'frequency_penalty',
  'presence_penalty',
  'logit_bias',
]);

/** Fields that are put elsewhere, besides those that are left out. */
const MOVED = new Set([
  'messages',
  'max_tokens',
  'max_completion_tokens',
  'reasoning_effort',
  'response_format',
  'verbosity',
  'logprobs',
  'tools',
  'tool_choice',
  'stream_options',
]);

/** The least that the API takes. */
const LEAST_OUTPUT_TOKENS = 16;

/** A chat request as one of this API. Answers are not stored at the provider unless `store` says so. */
export function toResponsesRequest(chat: Readonly<Fields>): Fields {
  const request: Fields = { model: chat['model'], input: inputOf(chat['messages']), store: false };
  for (const [name, value] of Object.entries(chat))
    if (!MOVED.has(name) && !NOT_IN_RESPONSES.has(name)) request[name] = value;
  const most = chat['max_completion_tokens'] ?? chat['max_tokens'];
  if (typeof most === 'number') request['max_output_tokens'] = Math.max(LEAST_OUTPUT_TOKENS, most);
  const { reasoning_effort: effort, response_format: format, verbosity } = chat;
  if (effort !== undefined) request['reasoning'] = { ...fieldsOf(chat['reasoning']), effort };
  const text = { ...fieldsOf(chat['text']) };
  if (isObject(format)) text['format'] = flattened(format, 'json_schema');
  if (verbosity !== undefined) text['verbosity'] = verbosity;
  if (Object.keys(text).length > 0) request['text'] = text;
  if (chat['logprobs'] === true) request['include'] = ['message.output_text.logprobs'];
  const { tools, tool_choice: choice } = chat;
  if (Array.isArray(tools)) request['tools'] = tools.map((tool) => flattened(tool, 'function'));
  if (choice !== undefined) request['tool_choice'] = flattened(choice, 'function');
  return request;
}

/** `{type: "function", function: {name}}` is `{type: "function", name}` here; schemas are treated the same way. */
function flattened(value: unknown, type: string): unknown {
  if (!isObject(value) || value['type'] !== type || !isObject(value[type])) return value;
  const { [type]: inner, ...outer } = value;
  return { ...outer, ...fieldsOf(inner) };
}

function fieldsOf(value: unknown): Fields {
  return isObject(value) ? value : {};
}

function inputOf(messages: unknown): unknown[] {
  return Array.isArray(messages)
    ? messages.flatMap((message) => (isObject(message) ? itemsOf(message) : []))
    : [];
}

/** The items of a turn: one for its text, and one for every call of a tool or its result. */
function itemsOf(message: Fields): unknown[] {
  const { role, content, tool_calls: calls, tool_call_id: callId } = message;
  if (role === 'tool') return [{ type: 'function_call_output', call_id: callId, output: textOf(content) }];
  const turn = isEmpty(content) ? [] : [{ role, content: contentOf(content, role === 'assistant') }];
  if (!Array.isArray(calls)) return turn;
  return [...turn, ...calls.filter(isObject).map(callOf)];
}

function isEmpty(content: unknown): boolean {
  return content === null || content === undefined || (Array.isArray(content) && content.length === 0);
}

function callOf(call: Fields): Fields {
  const { name, arguments: given } = fieldsOf(call['function']);
  return { type: 'function_call', call_id: call['id'], name, arguments: given };
}

/** A text stays one; parts go by other names here. */
function contentOf(content: unknown, isAnswer: boolean): unknown {
  if (!Array.isArray(content)) return content;
  return content.map((part: unknown) => {
    if (!isObject(part)) return part;
    const { type, text, image_url: image, file } = part;
    if (type === 'text') return { type: isAnswer ? 'output_text' : 'input_text', text };
    if (type === 'file') return { type: 'input_file', ...fieldsOf(file) };
    if (type !== 'image_url') return part;
    const { url, detail } = isObject(image) ? image : { url: image, detail: undefined };
    return { type: 'input_image', image_url: url, ...(detail === undefined ? {} : { detail }) };
  });
}

function textOf(content: unknown): unknown {
  if (!Array.isArray(content)) return content;
  return content
    .map((part: unknown) => (isObject(part) && typeof part['text'] === 'string' ? part['text'] : ''))
    .join('');
}

/** How an answer that is not whole ended, by `incomplete_details.reason`. */
const FINISH_REASONS: Readonly<Record<string, string>> = {
  max_output_tokens: 'length',
  content_filter: 'content_filter',
};

/**
 * An answer of this API as a chat completion, with the answer itself as its `response`, since not all of it has a place
 * in the other form. What is no answer of this API is returned as it is.
 */
export function fromResponsesAnswer(answer: unknown): unknown {
  if (!isObject(answer) || answer['object'] !== 'response' || !Array.isArray(answer['output'])) return answer;
  const { id, created_at: created, model, service_tier: tier, error, status } = answer;
  // A failure within the answer is judged as what it says.
  if (status === 'failed') return { error: isObject(error) ? error : { message: 'the response failed' } };
  const { message, logprobs } = messageIn(answer['output'].filter(isObject));
  return {
    id,
    object: 'chat.completion',
    created,
    model,
    choices: [{ index: 0, message, logprobs, finish_reason: finishReasonOf(answer, message) }],
    usage: usageOf(answer['usage']),
    ...(tier === undefined || tier === null ? {} : { service_tier: tier }),
    response: answer,
  };
}

function messageIn(output: readonly Fields[]): { message: Fields; logprobs: unknown } {
  const texts: string[] = [];
  const refusals: string[] = [];
  const reasoning: string[] = [];
  const calls: Fields[] = [];
  const annotations: unknown[] = [];
  const logprobs: unknown[] = [];
  for (const item of output) {
    if (item['type'] === 'reasoning') reasoning.push(...reasoningIn(item));
    else if (item['type'] === 'function_call') calls.push(toolCallOf(item));
    for (const part of partsOf(item, 'content')) {
      if (part['type'] === 'output_text' && typeof part['text'] === 'string') texts.push(part['text']);
      if (part['type'] === 'refusal' && typeof part['refusal'] === 'string') refusals.push(part['refusal']);
      if (Array.isArray(part['annotations'])) annotations.push(...(part['annotations'] as unknown[]));
      if (Array.isArray(part['logprobs'])) logprobs.push(...(part['logprobs'] as unknown[]));
    }
  }
  const message: Fields = {
    role: 'assistant',
    content: texts.length === 0 ? null : texts.join(''),
    refusal: refusals.length === 0 ? null : refusals.join(''),
    ...(reasoning.length === 0 ? {} : { reasoning_content: reasoning.join('\n\n') }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(annotations.length === 0 ? {} : { annotations }),
  };
  return { message, logprobs: logprobs.length === 0 ? null : { content: logprobs } };
}

/** The reasoning as open models give it, or the summary that OpenAI's give in its place. */
function reasoningIn(item: Fields): string[] {
  for (const field of ['content', 'summary']) {
    const texts = partsOf(item, field).flatMap(({ text }) =>
      typeof text === 'string' && text !== '' ? [text] : [],
    );
    if (texts.length > 0) return texts;
  }
  return [];
}

function toolCallOf({ call_id: id, name, arguments: given }: Fields): Fields {
  return { id, type: 'function', function: { name, arguments: given } };
}

function partsOf(item: Fields, field: string): Fields[] {
  const parts = item[field];
  return Array.isArray(parts) ? parts.filter(isObject) : [];
}

/** A status that is none of the known ones is a finish reason that nobody knows, and may be half an answer. */
function finishReasonOf({ status, incomplete_details: details }: Fields, message: Fields): unknown {
  if (status === 'completed') return message['tool_calls'] === undefined ? 'stop' : 'tool_calls';
  if (status !== 'incomplete') return status ?? null;
  const reason = fieldsOf(details)['reason'];
  return (typeof reason === 'string' ? FINISH_REASONS[reason] : undefined) ?? reason ?? 'incomplete';
}

function usageOf(usage: unknown): unknown {
  if (!isObject(usage)) return null;
  const { input_tokens: input, output_tokens: output, total_tokens: total, ...more } = usage;
  const { input_tokens_details: prompt, output_tokens_details: completion, ...others } = more;
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: total,
    ...(prompt === undefined ? {} : { prompt_tokens_details: prompt }),
    ...(completion === undefined ? {} : { completion_tokens_details: completion }),
    ...others,
  };
}

/** Answers of APIs other than chat completions: somebody named the wrong address, and every answer costs money. */

import { isObject } from '../lib/json.js';
import { sanitize } from '../lib/text.js';

interface ForeignApi {
  /** What the answer looks like, after "The server answered with". */
  looksLike: string;
  /** The base URL of the compatible endpoint, if the provider has one. */
  baseUrl: string | null;
  matches: (answer: Record<string, unknown>) => boolean;
}

const text = (value: unknown): value is string => typeof value === 'string';
const startsWith = (value: unknown, start: string): boolean => text(value) && value.startsWith(start);

/** Each with its reference; the more specific ones come first. */
const APIS: readonly ForeignApi[] = [
  {
    // platform.openai.com/docs/api-reference/responses/object, and the first event of its stream.
    looksLike: 'an object of OpenAI’s Responses API',
    baseUrl: 'https://api.openai.com/v1',
    matches: ({ object, output, type }) =>
      (object === 'response' && output !== undefined) || startsWith(type, 'response.'),
  },
  {
    // docs.anthropic.com/en/api/messages; the event is the first of its stream.
    looksLike: 'a message of Anthropic’s Messages API',
    baseUrl: 'https://api.anthropic.com/v1',
    matches: ({ type, content, stop_reason: reason }) =>
      (type === 'message' && (Array.isArray(content) || reason !== undefined)) || type === 'message_start',
  },
  {
    // ai.google.dev/api/generate-content
    looksLike: 'candidates of Gemini’s own API',
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai',
    matches: ({ candidates, promptFeedback, usageMetadata }) =>
      Array.isArray(candidates) || promptFeedback !== undefined || usageMetadata !== undefined,
  },
  {
    // github.com/ollama/ollama/blob/main/docs/api.md: /api/chat, /api/generate, /api/tags
    looksLike: 'an answer of Ollama’s own API',
    baseUrl: 'http://localhost:11434/v1',
    matches: ({ done, message, response, models }) =>
      (typeof done === 'boolean' && (isObject(message) || text(response))) ||
      (Array.isArray(models) && isObject(models[0]) && text(models[0]['digest'])),
  },
  {
    // docs.cohere.com/reference/chat, versions 1 and 2
    looksLike: 'an answer of Cohere’s own API',
    baseUrl: 'https://api.cohere.ai/compatibility/v1',
    matches: ({ generation_id: generation, message, finish_reason: reason }) =>
      text(generation) || (isObject(message) && Array.isArray(message['content']) && text(reason)),
  },
  {
    // docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    looksLike: 'an answer of Bedrock’s Converse API',
    baseUrl: 'https://bedrock-runtime.REGION.amazonaws.com/openai/v1',
    matches: ({ stopReason, output }) => stopReason !== undefined && isObject(output),
  },
  {
    // help.aliyun.com: DashScope's own protocol
    looksLike: 'an answer of DashScope’s own API',
    baseUrl: 'https://dashscope.aliyuncs.com/compatible-mode/v1',
    matches: ({ output, request_id: request }) =>
      text(request) && isObject(output) && (text(output['text']) || Array.isArray(output['choices'])),
  },
  {
    // developers.cloudflare.com/workers-ai
    looksLike: 'an answer of Cloudflare’s own API',
    baseUrl: 'https://api.cloudflare.com/client/v4/accounts/ACCOUNT/ai/v1',
    matches: ({ success, result }) => typeof success === 'boolean' && isObject(result),
  },
  {
    // github.com/ggml-org/llama.cpp/tree/master/tools/server: /completion
    looksLike: 'an answer of llama.cpp’s own /completion',
    baseUrl: 'http://localhost:8080/v1',
    matches: ({ content, generation_settings: settings, tokens_predicted: tokens }) =>
      text(content) && (settings !== undefined || tokens !== undefined),
  },
  {
    // huggingface.co/docs/text-generation-inference: /generate
    looksLike: 'an answer of text-generation-inference’s own /generate',
    baseUrl: 'http://localhost:8080/v1',
    matches: ({ generated_text: generated }) => text(generated),
  },
  {
    // platform.openai.com/docs/api-reference/completions: choices with a text in place of a message
    looksLike: 'a text completion (/completions)',
    baseUrl: null,
    matches: ({ object, choices }) =>
      object === 'text_completion' ||
      (Array.isArray(choices) &&
        isObject(choices[0]) &&
        text(choices[0]['text']) &&
        choices[0]['message'] === undefined),
  },
  {
    // platform.openai.com/docs/api-reference/models/list, embeddings
    looksLike: 'a list, as /models or /embeddings gives',
    baseUrl: null,
    matches: ({ object, data }) => object === 'list' && Array.isArray(data),
  },
];

const EXPECTED =
  '--base_url is the address before /chat/completions, which usually ends in /v1, of an OpenAI-compatible server';

/** Says in sentences which other API an answer is of, and what the address should be; null where it is of none known. */
export function describeForeign(value: unknown): string | null {
  const answer: unknown = Array.isArray(value) ? value[0] : value;
  if (!isObject(answer)) return null;
  const api = APIS.find(({ matches }) => matches(answer));
  if (api === undefined) return null;
  const address = api.baseUrl === null ? '' : `: here ${api.baseUrl}`;
  return `The server answered with ${api.looksLike}, not with a chat completion. ${EXPECTED}${address}.`;
}

/** The same for a web page, as a wrong path, a login or a proxy gives; null where a body is none. */
export function describePage(body: string): string | null {
  if (!/^\s*(?:<!doctype html|<html|<head|<\?xml[^>]*>\s*<!doctype html)/i.test(body)) return null;
  const title = /<title(?:\s[^<>]*)?>([^<]{1,200})<\/title>/i.exec(body.slice(0, 5000))?.[1];
  const named = title === undefined ? '' : ` (“${sanitize(title, 80)}”)`;
  return `The server answered with a web page${named}, not with a chat completion. ${EXPECTED}.`;
}

/** An answer that is JSON and nothing known. */
export function describeUnknown(value: unknown): string {
  if (!isObject(value)) return `JSON that is ${Array.isArray(value) ? 'a list' : 'not an object'}`;
  const keys = Object.keys(value).slice(0, 8);
  const named = keys.length === 0 ? 'no fields' : `the fields ${sanitize(keys.join(', '), 120)}`;
  return `a JSON object with ${named}, which is not a chat completion`;
}

/** The calls of tools that an answer makes. */

import { isObject } from '../lib/json.js';
import type { ToolCall } from '../types.js';

/**
 * The calls of a message as OpenAI has them: servers leave ids and types out, give arguments as an object (Ollama), or
 * answer with the earlier `function_call`. Null where there are none, which is what `[]` says, too.
 * @see https://platform.openai.com/docs/api-reference/chat/object
 */
export function readToolCalls(message: Readonly<Record<string, unknown>>): ToolCall[] | null {
  const { tool_calls: calls, function_call: earlier } = message;
  // Nearly every answer has neither.
  if (calls === undefined && earlier === undefined) return null;
  const given: unknown[] =
    Array.isArray(calls) && calls.length > 0 ? calls : isObject(earlier) ? [earlier] : [];
  const read = given.flatMap((call, place) => readCall(call, place));
  return read.length > 0 ? read : null;
}

function readCall(call: unknown, place: number): ToolCall[] {
  if (!isObject(call)) return [];
  const called = isObject(call['function']) ? call['function'] : call;
  const { name, arguments: values } = called;
  if (typeof name !== 'string' || name === '') return [];
  const { id } = call;
  const text =
    typeof values === 'string'
      ? values
      : values === undefined || values === null
        ? '{}'
        : JSON.stringify(values);
  return [
    {
      id: typeof id === 'string' && id !== '' ? id : `call_${place + 1}`,
      type: 'function',
      function: { name: name.toWellFormed(), arguments: text.toWellFormed() },
    },
  ];
}

import { describe, expect, it } from 'vitest';
import { completionOf, errorOf, messagesRequest } from '../../../src/batches/apis/anthropic-messages.js';
import { classifyResult } from '../../../src/batches/results.js';
import { readAnswer } from '../../../src/models/completion.js';

const HI = [{ role: 'user', content: 'Hi' }];

function paramsOf(body: Record<string, unknown>): Record<string, unknown> {
  return messagesRequest({ model: 'claude', max_tokens: 10, messages: HI, ...body }).params;
}

describe('a request for Anthropic', () => {
  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['the necessary', {}, { model: 'claude', max_tokens: 10, messages: HI }],
    ['max_completion_tokens', { max_tokens: null, max_completion_tokens: 7 }, { max_tokens: 7 }],
    ['one stop text', { stop: 'END' }, { stop_sequences: ['END'] }],
    ['several stop texts', { stop: ['a', 'b'] }, { stop_sequences: ['a', 'b'] }],
    ['a temperature above the highest', { temperature: 1.7 }, { temperature: 1 }],
    ['one answer', { n: 1 }, { messages: HI }],
    ['a switch to think', { thinking: { type: 'disabled' } }, { thinking: { type: 'disabled' } }],
    ['a field of its own API', { top_k: 5 }, { top_k: 5 }],
    ['a user', { user: 'u' }, { metadata: { user_id: 'u' } }],
    [
      'a schema',
      { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' } } } },
      { output_config: { format: { type: 'json_schema', schema: { type: 'object' } } } },
    ],
    [
      'tools',
      {
        tools: [
          { type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' } } },
        ],
        tool_choice: 'required',
        parallel_tool_calls: false,
      },
      {
        tools: [{ name: 'f', description: 'd', input_schema: { type: 'object' } }],
        tool_choice: { type: 'any', disable_parallel_tool_use: true },
      },
    ],
    [
      'system messages, wherever they are',
      {
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'Hello' },
          { role: 'developer', content: [{ type: 'text', text: 'Be kind.' }] },
          { role: 'user', content: 'Again' },
        ],
      },
      {
        system: 'Be brief.\nBe kind.',
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'Hello' },
          { role: 'user', content: 'Again' },
        ],
      },
    ],
    [
      'images',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What?' },
              { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
              { type: 'image_url', image_url: { url: 'https://x/y.png' } },
            ],
          },
        ],
      },
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What?' },
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
              { type: 'image', source: { type: 'url', url: 'https://x/y.png' } },
            ],
          },
        ],
      },
    ],
    [
      'calls of tools and what came of them',
      {
        messages: [
          { role: 'user', content: 'Weather?' },
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ id: 'c1', type: 'function', function: { name: 'w', arguments: '{"at":"x"}' } }],
          },
          { role: 'tool', tool_call_id: 'c1', content: 'sunny' },
        ],
      },
      {
        messages: [
          { role: 'user', content: 'Weather?' },
          { role: 'assistant', content: [{ type: 'tool_use', id: 'c1', name: 'w', input: { at: 'x' } }] },
          { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c1', content: 'sunny' }] },
        ],
      },
    ],
  ])('has %s', (_, body, expected) => {
    expect(paramsOf(body)).toMatchObject(expected);
  });

  it('names what it leaves out', () => {
    const { params, leftOut } = messagesRequest({
      ...{ model: 'claude', max_tokens: 10, messages: HI },
      ...{ seed: 42, presence_penalty: 1, logprobs: true, stop: null },
    });
    expect(leftOut).toEqual(['seed', 'presence_penalty', 'logprobs']);
    expect(Object.keys(params).sort()).toEqual(['max_tokens', 'messages', 'model']);
  });

  it.each([
    [{ n: 2 }, /one answer/],
    [{ max_tokens: null }, /--max_tokens/],
  ])('%j is refused', (body, message) => {
    expect(() => paramsOf(body)).toThrow(message);
  });
});

/** A Message with these blocks. */
function message(content: object[], stopReason: string | null): object {
  const usage = {
    input_tokens: 10,
    output_tokens: 5,
    cache_read_input_tokens: 100,
    cache_creation_input_tokens: 20,
  };
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-1',
    content,
    stop_reason: stopReason,
    usage,
  };
}

const TEXT = { type: 'text', text: 'Hello' };

describe('an answer of Anthropic', () => {
  it.each<[string, string, object[], object]>([
    ['end_turn', 'ok', [TEXT], { annotation: 'Hello' }],
    ['stop_sequence', 'ok', [TEXT], { annotation: 'Hello' }],
    ['max_tokens', 'truncated', [TEXT], { annotation: 'Hello' }],
    ['model_context_window_exceeded', 'truncated', [TEXT], { annotation: 'Hello' }],
    ['refusal', 'refused', [TEXT], { annotation: null }],
    [
      'end_turn',
      'ok',
      [{ type: 'thinking', thinking: 'Hm.', signature: 's' }, { type: 'redacted_thinking', data: 'x' }, TEXT],
      { annotation: 'Hello', reasonings: ['Hm.'] },
    ],
    ['end_turn', 'ok', [TEXT, { type: 'text', text: ', you' }], { annotation: 'Hello, you' }],
  ])('that ended with %s is %s', (reason, state, content, expected) => {
    const answer = readAnswer(completionOf(message(content, reason)));
    expect(answer).toMatchObject({ kind: 'whole', completion: { state, model: 'claude-1', ...expected } });
  });

  it('that paused may be half an answer', () => {
    expect(readAnswer(completionOf(message([TEXT], 'pause_turn')))).toMatchObject({
      kind: 'partial',
      reason: 'pause_turn',
    });
  });

  it('counts all tokens of the prompt', () => {
    expect(readAnswer(completionOf(message([TEXT], 'end_turn')))).toMatchObject({
      completion: { usage: { promptTokens: 130, cachedTokens: 100, completionTokens: 5 } },
    });
  });

  it.each([null, {}, { content: 'text' }, []])('%j is none', (value) => {
    expect(completionOf(value)).toBeNull();
  });
});

it.each<[string, string]>([
  ['invalid_request_error', 'row'],
  ['overloaded_error', 'transient'],
  ['api_error', 'transient'],
  ['rate_limit_error', 'throttle'],
  ['something_new', 'transient'],
])('an error of the type %s means for its row what it means online: %s', (type, kind) => {
  const response = errorOf({ type: 'error', error: { type, message: 'a message' }, request_id: 'r' });
  expect(classifyResult({ id: '1', response, error: null }).kind).toBe(kind);
});

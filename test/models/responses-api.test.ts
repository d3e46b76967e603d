import { describe, expect, it } from 'vitest';
import { readAnswer } from '../../src/models/completion.js';
import {
  answersOnResponsesOnly,
  fromResponsesAnswer,
  toResponsesRequest,
} from '../../src/models/responses-api.js';
import { asksForResponses } from '../../src/requests/other-endpoint.js';
import { Transport } from '../../src/requests/transport.js';
import { play } from '../support/processor-run.js';
import { apiError, completion } from '../support/scripted-api.js';

const USAGE = {
  input_tokens: 20,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 30,
  output_tokens_details: { reasoning_tokens: 25 },
  total_tokens: 50,
};

/** An answer of the API with these items of output. */
function response(output: object[], more: object = {}): Record<string, unknown> {
  const head = { id: 'resp_1', object: 'response', created_at: 1, status: 'completed', model: 'gpt-5-pro' };
  return { ...head, output, usage: USAGE, error: null, incomplete_details: null, ...more };
}
const message = (text: string): object => ({
  type: 'message',
  role: 'assistant',
  content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
});

describe('a chat request for the Responses API', () => {
  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['a prompt', { seed: 42, max_completion_tokens: 2048 }, { max_output_tokens: 2048 }],
    ['less than the API takes', { max_tokens: 5 }, { max_output_tokens: 16 }],
    ['an effort', { reasoning_effort: 'high' }, { reasoning: { effort: 'high' } }],
    [
      'an effort and a summary',
      { reasoning_effort: 'low', reasoning: { summary: 'auto' } },
      { reasoning: { summary: 'auto', effort: 'low' } },
    ],
    ['JSON', { response_format: { type: 'json_object' } }, { text: { format: { type: 'json_object' } } }],
    [
      'a schema and a verbosity',
      {
        response_format: { type: 'json_schema', json_schema: { name: 'a', schema: {}, strict: true } },
        verbosity: 'low',
      },
      { text: { format: { type: 'json_schema', name: 'a', schema: {}, strict: true }, verbosity: 'low' } },
    ],
    [
      'tools',
      {
        tools: [{ type: 'function', function: { name: 'f', parameters: {} } }],
        tool_choice: { type: 'function', function: { name: 'f' } },
      },
      {
        tools: [{ type: 'function', name: 'f', parameters: {} }],
        tool_choice: { type: 'function', name: 'f' },
      },
    ],
    [
      'log probabilities',
      { logprobs: true, top_logprobs: 2 },
      { top_logprobs: 2, include: ['message.output_text.logprobs'] },
    ],
    [
      'what has the same name',
      { service_tier: 'flex', top_p: 0.5, store: true },
      { service_tier: 'flex', top_p: 0.5, store: true },
    ],
    [
      'what it does not have',
      { n: 3, stop: ['x'], presence_penalty: 1, logit_bias: {}, stream_options: {} },
      {},
    ],
  ])('%s', (_, parameters, expected) => {
    const messages = [{ role: 'user', content: 'x' }];
    expect(toResponsesRequest({ model: 'gpt-5-pro', messages, ...parameters })).toEqual({
      model: 'gpt-5-pro',
      input: messages,
      store: false,
      ...expected,
    });
  });

  it('holds the turns of a chat in their order, with images, calls of tools and their results', () => {
    const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
    const messages = [
      { role: 'system', content: 's' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'look' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==', detail: 'low' } },
        ],
      },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_1', content: 'found' },
      { role: 'assistant', content: [{ type: 'text', text: 'done' }] },
    ];
    expect(toResponsesRequest({ messages })['input']).toEqual([
      { role: 'system', content: 's' },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'look' },
          { type: 'input_image', image_url: 'data:image/png;base64,AA==', detail: 'low' },
        ],
      },
      { type: 'function_call', call_id: 'call_1', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'call_1', output: 'found' },
      { role: 'assistant', content: [{ type: 'output_text', text: 'done' }] },
    ]);
  });
});

describe('an answer of the Responses API', () => {
  const read = (answer: unknown): ReturnType<typeof readAnswer> => readAnswer(fromResponsesAnswer(answer));

  it('reads as a chat completion, with itself beside it', () => {
    const summary = { type: 'reasoning', summary: [{ type: 'summary_text', text: 'hm' }] };
    const answer = response([summary, message('yes')], { service_tier: 'flex' });
    expect(fromResponsesAnswer(answer)).toMatchObject({ object: 'chat.completion', response: answer });
    expect(read(answer)).toMatchObject({
      kind: 'whole',
      completion: {
        state: 'ok',
        annotation: 'yes',
        reasonings: ['hm'],
        model: 'gpt-5-pro',
        finishReason: 'stop',
        tier: 'flex',
        usage: { promptTokens: 20, completionTokens: 30, cachedTokens: 4, reasoningTokens: 25 },
      },
    });
  });

  it.each<[string, unknown, object]>([
    [
      'two messages',
      response([message('a'), message('b')]),
      { kind: 'whole', completion: { annotation: 'ab' } },
    ],
    [
      'open reasoning',
      response([
        { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'r' }] },
        message('a'),
      ]),
      { completion: { reasonings: ['r'] } },
    ],
    [
      'encrypted reasoning',
      response([{ type: 'reasoning', summary: [], encrypted_content: 'x' }, message('a')]),
      { completion: { reasonings: [null] } },
    ],
    [
      'a refusal',
      response([{ type: 'message', content: [{ type: 'refusal', refusal: 'no' }] }]),
      { completion: { state: 'refused', note: 'no' } },
    ],
    [
      'the limit of tokens',
      response([message('a')], { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }),
      { completion: { state: 'truncated', annotation: 'a' } },
    ],
    [
      'the limit of tokens before any text',
      response([{ type: 'reasoning', summary: [] }], {
        status: 'incomplete',
        incomplete_details: { reason: 'max_output_tokens' },
      }),
      { completion: { state: 'truncated', annotation: null } },
    ],
    [
      'a filter',
      response([], { status: 'incomplete', incomplete_details: { reason: 'content_filter' } }),
      { completion: { state: 'filtered' } },
    ],
    [
      'another reason',
      response([message('a')], { status: 'incomplete', incomplete_details: { reason: 'new' } }),
      { kind: 'partial', reason: 'new' },
    ],
    [
      'a cancelled one',
      response([message('a')], { status: 'cancelled' }),
      { kind: 'partial', reason: 'cancelled' },
    ],
    ['no text', response([]), { kind: 'empty' }],
    ['a chat completion', completion('a'), { kind: 'whole', completion: { annotation: 'a' } }],
  ])('%s', (_, answer, expected) => {
    expect(read(answer)).toMatchObject(expected);
  });

  it('that failed is the error that it holds', () => {
    const error = { code: 'server_error', message: 'oops' };
    expect(fromResponsesAnswer(response([], { status: 'failed', error }))).toEqual({ error });
  });
});

describe('the Responses API', () => {
  it.each([
    ['gpt-5-pro', true],
    ['gpt-5.5-pro-2026-04-23', true],
    ['gpt-5.1-codex-max', true],
    ['codex-mini-latest', true],
    ['o1-pro', true],
    ['o3-pro-2025-06-10', true],
    ['o4-mini-deep-research', true],
    ['computer-use-preview', true],
    ['gpt-5', false],
    ['gpt-5-mini', false],
    ['o3', false],
    ['o3-mini', false],
    ['gpt-4o', false],
  ])('is the only one for %s: %s', (model, isOnly) => {
    expect(answersOnResponsesOnly(model)).toBe(isOnly);
  });

  it.each([
    ['This model is only supported in v1/responses and not in v1/chat/completions.', true],
    [
      'This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?',
      true,
    ],
    [
      'The chatCompletion operation does not work with the specified model, gpt-5-pro. Please choose different model and try again.',
      true,
    ],
    ['model "gpt-5-codex" is not accessible via the /chat/completions endpoint', true],
    ['Unsupported legacy protocol: /v1/chat/completions is not supported. Please use /v1/responses.', true],
    ['The model `gpt-9` does not exist or you do not have access to it.', false],
    ['Too many responses were requested', false],
    ['Unsupported parameter: seed', false],
  ])('is what “%s” asks for: %s', (text, asks) => {
    expect(asksForResponses(text)).toBe(asks);
  });

  it('takes all requests once one was refused elsewhere, and chat completions are journaled', async () => {
    const posted: (string | undefined)[] = [];
    const client = {
      send: (body: Buffer, api?: string) => {
        posted.push(api);
        const request = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
        const { status, body: answer } =
          api === 'responses'
            ? { status: 200, body: 'input' in request ? response([message('yes')]) : {} }
            : apiError(404, 'This model is only supported in v1/responses and not in v1/chat/completions.');
        return Promise.resolve({ status, headers: {}, body: Buffer.from(JSON.stringify(answer)) });
      },
    };
    const played = await play(4, () => new Error('not used'), { transport: new Transport(client, false) });
    expect(played).toMatchObject({ stop: null, ended: 4, rows: { 0: 'answered', 3: 'answered' } });
    expect(posted).toEqual([undefined, ...new Array<string>(4).fill('responses')]);
    // What is journaled as sent is the chat request.
    expect(played.bodies.get(0)).toHaveProperty('messages');
  });

  it('without such a model ends the run, and never loops', async () => {
    const client = {
      send: () => {
        const { status, body } = apiError(404, 'This model is only supported in v1/responses');
        return Promise.resolve({ status, headers: {}, body: Buffer.from(JSON.stringify(body)) });
      },
    };
    const played = await play(4, () => new Error('not used'), { transport: new Transport(client, false) });
    expect(played.stop).toMatchObject({ reason: 'error', cause: 'model' });
  });
});

import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { FinishRules } from '../../src/models/finish-reason.js';
import { decodeBody } from '../../src/http/decoding.js';
import { asksForStream } from '../../src/requests/stream-only.js';
import { UnusableAnswers, type Reaction } from '../../src/requests/unusable-answers.js';
import { classifyResponse, usageOf, type Verdict } from '../../src/requests/verdict.js';
import { completion } from '../support/scripted-api.js';

const GOOD = JSON.stringify(completion('näw answer'));
const STREAM = [
  { choices: [{ index: 0, delta: { content: 'näw ' }, finish_reason: null }] },
  { choices: [{ index: 0, delta: { content: 'answer' }, finish_reason: 'stop' }] },
]
  .map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`)
  .join('');

function judge(body: string | Buffer, headers: Record<string, string> = {}, rules?: FinishRules): Verdict {
  return classifyResponse({ status: 200, headers, body: Buffer.from(body) }, null, rules);
}

describe('a 200 that is not plain JSON', () => {
  it.each<[string, string | Buffer, Record<string, string>?]>([
    ['blanks and zeros before it', `\n \0\n${GOOD}\n\0`],
    ['several lines', JSON.stringify(completion('näw answer'), null, 2)],
    ['the end of a stream after it', `${GOOD}\n\ndata: [DONE]\n\n`],
    [
      'several lines and the end of a stream',
      `${JSON.stringify(completion('näw answer'), null, 2)}\ndata: [DONE]`,
    ],
    ['a byte order mark', `\ufeff${GOOD}`],
    ['UTF-16', Buffer.from(`\ufeff${GOOD}`, 'utf16le')],
    ['UTF-16 without a mark', Buffer.from(GOOD, 'utf16le')],
    ['UTF-16 of the other order', Buffer.from(`\ufeff${GOOD}`, 'utf16le').swap16()],
    [
      'Latin-1 that is declared',
      Buffer.from(GOOD, 'latin1'),
      { 'content-type': 'application/json; charset=ISO-8859-1' },
    ],
    [
      'numbers that JSON has not',
      GOOD.replace(
        '"finish_reason"',
        '"logprobs":{"a":-Infinity,"b":NaN,"c":nan,"d":"NaN, \\"inf"},"finish_reason"',
      ),
    ],
    ['a stream that nobody asked for', `: PROCESSING\n\n${STREAM}data: [DONE]\n\n`],
    ['a stream in gzip', gzipSync(STREAM)],
    ['one event with the whole answer', `data: ${GOOD}\n\n`],
    ['gzip', gzipSync(GOOD)],
    ['gzip twice', gzipSync(gzipSync(GOOD))],
    ['deflate', deflateSync(GOOD)],
    ['brotli', brotliCompressSync(GOOD)],
    ['a list of one', `[${GOOD}]`],
    ['its text as a JSON string', JSON.stringify(GOOD)],
    ['the data of a platform', `{"code":0,"msg":"success","data":${GOOD}}`],
    ['the result of Cloudflare', `{"success":true,"errors":[],"messages":[],"result":${GOOD}}`],
    ['the body of a Lambda', JSON.stringify({ statusCode: 200, headers: {}, body: GOOD })],
    ['a message that is its text', GOOD.replace(/"message":\{[^}]*\}/, '"message":"näw answer"')],
    ['a delta in place of the message', GOOD.replace('"message"', '"delta"')],
  ])('is read: %s', (_, body, headers) => {
    const verdict = judge(body, headers);
    expect(verdict).toMatchObject({ kind: 'answer', completion: { annotation: 'näw answer', state: 'ok' } });
    const json = verdict.kind === 'answer' ? verdict.json.toString('utf8') : '';
    expect(json).not.toMatch(/[\n\ufeff]/);
    expect(JSON.parse(json)).toMatchObject({ choices: [{ finish_reason: 'stop' }] });
  });

  it.each<[string, Buffer, string]>([
    ['gzip', gzipSync(GOOD), 'gzip'],
    ['zlib', deflateSync(GOOD), 'deflate'],
    ['raw deflate', deflateRawSync(GOOD), 'deflate'],
    ['brotli', brotliCompressSync(GOOD), 'br'],
    ['two layers', brotliCompressSync(gzipSync(GOOD)), 'gzip, br'],
    ['none', Buffer.from(GOOD), 'identity'],
    ['what a proxy unpacked', Buffer.from(GOOD), 'gzip'],
  ])('is unpacked by its header: %s', (_, bytes, encoding) => {
    expect(decodeBody(bytes, encoding).toString('utf8')).toBe(GOOD);
  });

  it('fails its row if it unpacks to more than the limit, and names the limit', () => {
    const packed = gzipSync(Buffer.alloc(17 << 20));
    expect(judge(packed)).toMatchObject({ kind: 'row', message: 'the answer is larger than 16 MB' });
    const bounds = { bytes: 2 << 20, values: 1 };
    expect(() => decodeBody(packed, 'gzip', bounds)).toThrow('the answer is larger than 2 MB');
  });

  it.each([{ logprobs: true }, { n: 8 }])(
    'may be larger for a request with %o, compressed or not',
    (more) => {
      const body = gzipSync(JSON.stringify({ ...completion('näw answer'), padding: ' '.repeat(17 << 20) }));
      const sent = Buffer.from(JSON.stringify({ model: 'm', messages: [], ...more }));
      expect(classifyResponse({ status: 200, headers: {}, body }, sent).kind).toBe('answer');
    },
  );

  it.each<[string, string | Buffer, object]>([
    ['nothing', '', { isTorn: true, isForeign: false }],
    ['half an answer', GOOD.slice(0, 60), { isTorn: true }],
    ['half a text', GOOD.slice(0, GOOD.indexOf('answer') + 3), { isTorn: true }],
    ['Python’s spelling', "{'choices': []}", { isTorn: false }],
    ['text', 'upstream connect error', { isTorn: false, isForeign: false }],
    ['a page', '<!DOCTYPE html><title>Log in</title>', { isForeign: true }],
    ['an unknown object', '{"status":"ok"}', { isForeign: false }],
  ])('is unreadable: %s', (_, body, expected) => {
    expect(judge(body, { 'content-type': 'text/plain' })).toMatchObject({ kind: 'unreadable', ...expected });
  });

  it('says what came, in harmless characters', () => {
    const verdict = judge('\u001b[31moops\u0007 and more', { 'content-type': 'text/plain' });
    expect(verdict).toMatchObject({
      message: 'the answer is not JSON (text/plain, 19 bytes): oops and more',
    });
  });

  it('is a failure where it is a stream that broke off, and counts what it cost', () => {
    const usage = { prompt_tokens: 4, completion_tokens: 2 };
    const half = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x' } }], usage })}\n\n`;
    expect(judge(half)).toMatchObject({ kind: 'transient', usage: { completionTokens: 2 } });
    expect(judge(`${half}data: {"error":{"message":"x","status_code":429}}\n\n`)).toMatchObject({
      kind: 'throttle',
      usage: { completionTokens: 2 },
    });
  });
});

describe('an answer of another API', () => {
  it.each<[string, unknown]>([
    ['Responses', { id: 'resp_1', object: 'response', status: 'completed', output: [] }],
    ['Responses', { type: 'response.created', response: {} }],
    [
      'Anthropic',
      {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        content: [{ type: 'text', text: 'Hi' }],
        stop_reason: 'end_turn',
      },
    ],
    ['Gemini', { candidates: [{ content: { parts: [{ text: 'Hi' }] } }], usageMetadata: {} }],
    ['Gemini', [{ candidates: [] }]],
    ['Ollama', { model: 'm', created_at: 'x', message: { role: 'assistant', content: 'Hi' }, done: true }],
    ['Ollama', { model: 'm', response: 'Hi', done: true }],
    [
      'Cohere',
      {
        id: '1',
        finish_reason: 'COMPLETE',
        message: { role: 'assistant', content: [{ type: 'text', text: 'Hi' }] },
      },
    ],
    ['Cohere', { text: 'Hi', generation_id: '1' }],
    ['Bedrock', { output: { message: {} }, stopReason: 'end_turn' }],
    ['DashScope', { output: { text: 'Hi', finish_reason: 'stop' }, request_id: '1' }],
    ['Cloudflare', { result: { response: 'Hi' }, success: true, errors: [], messages: [] }],
    ['llama.cpp', { content: 'Hi', stop: true, tokens_predicted: 3 }],
    ['text-generation-inference', [{ generated_text: 'Hi' }]],
    [
      'text completion',
      { object: 'text_completion', choices: [{ text: 'Hi', index: 0, finish_reason: 'stop' }] },
    ],
    ['/models', { object: 'list', data: [{ id: 'm', object: 'model' }] }],
  ])('is named: %s', (name, body) => {
    const verdict = judge(JSON.stringify(body));
    expect(verdict).toMatchObject({ kind: 'unreadable', isForeign: true });
    expect(verdict).toMatchObject({ message: expect.stringContaining(name) as string });
    expect(verdict).toMatchObject({ message: expect.stringMatching(/--base_url .*\/v1.*\.$/) as string });
    expect('message' in verdict ? verdict.message.length : 0).toBeLessThan(400);
  });
});

describe('models that answer streamed requests only', () => {
  it.each([
    'This model only support stream mode, please enable the stream parameter to access the model.',
    'This model only supports streaming.',
    'this model can only be used with stream=true',
    "'stream' must be true for this model",
    'Stream must be set to true',
    'stream parameter must be set to true',
    'Responses of this model must be streamed',
    'This model requires streaming',
    'Streaming is required for operations that may take longer than 10 minutes.',
    'Streaming is strongly required for this model',
    'Please set stream=true',
    'Please use streaming mode.',
    'Set "stream": true to use this model',
    'Non-streaming requests are not supported for this model',
    'The model does not support non-streaming output',
    'stream=false is not supported',
    "Unsupported value: 'stream' does not support false with this model. Supported values are: true.",
    'parameter.enable_thinking must be set to false for non-streaming calls',
    '该模型仅支持流式调用',
  ])('say so: %s', (message) => {
    expect(asksForStream(message)).toBe(true);
    const body = Buffer.from(JSON.stringify({ error: { message, type: 'invalid_request_error' } }));
    const response = { status: 400, headers: {}, body };
    expect(classifyResponse(response, Buffer.from('{"model":"m"}'))).toMatchObject({ kind: 'stream' });
    expect(classifyResponse(response, Buffer.from('{"model":"m","stream":true}')).kind).not.toBe('stream');
  });

  it.each([
    "Unsupported value: 'stream' does not support true with this model. Only the default (false) value is supported.",
    'Streaming is not supported for this model',
    'This model does not support streaming',
    'stream_options is only allowed when stream is enabled',
    'Unrecognized request argument supplied: stream',
    'upstream error',
    'Streaming is unsupported',
  ])('are not meant by: %s', (message) => {
    expect(asksForStream(message)).toBe(false);
  });
});

describe('what an answer costs that cannot be used and reports no usage', () => {
  const request = Buffer.from(
    JSON.stringify({ messages: [{ role: 'user', content: 'one two three four five' }] }),
  );
  const event = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
  const piece = event({ choices: [{ index: 0, delta: { content: 'one two three four' } }] });
  const choice = (content: string | null, more: object = {}): string =>
    JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content }, ...more }] });

  it.each<[string, string, number]>([
    ['no text', choice('', { finish_reason: 'stop' }), 0],
    [
      'nothing but reasoning',
      JSON.stringify({ choices: [{ message: { reasoning: 'one two three' }, finish_reason: 'stop' }] }),
      3,
    ],
    ['no choices', JSON.stringify({ choices: [] }), 0],
    ['an error in its choice', choice('one two three', { error: { code: 502, message: 'upstream' } }), 3],
    ['an error beside its choices', choice('one two').replace('{', '{"error":{"message":"upstream"},'), 2],
    ['a stream that breaks off', piece + piece, 8],
    ['a stream that ends with an error', piece + event({ error: { message: 'overloaded', code: 529 } }), 4],
    ['a stream that ends in text', `${piece}Internal Server Error\n`, 4],
    ['half of its JSON', choice('one two three four').slice(0, 60), 18],
    ['JSON of nobody’s', JSON.stringify({ reply: 'one two three' }), 9],
    ['plain text', 'one two three four', 4],
  ])('is counted from what came: %s', (_, body, tokens) => {
    const usage = usageOf(judge(body), request);
    expect(usage).toMatchObject({ promptTokens: 9, estimated: 1, stated: null });
    expect(Math.abs((usage?.completionTokens ?? -1) - tokens)).toBeLessThanOrEqual(2);
  });

  it.each<[string, string]>([
    ['nothing', ''],
    ['a web page', '<!DOCTYPE html><title>Log in</title>'],
    ['an error alone', '{"error":{"message":"upstream","code":502}}'],
    ['a list of models', '{"object":"list","data":[{"id":"m"}]}'],
  ])('is nothing where no model wrote anything: %s', (_, body) => {
    expect(usageOf(judge(body), request)).toBeNull();
  });

  it('is what the server reports where it does', () => {
    const body = JSON.stringify({
      choices: [],
      usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
    });
    expect(usageOf(judge(body), request)).toMatchObject({
      promptTokens: 7,
      completionTokens: 3,
      estimated: 0,
    });
    const half = JSON.stringify({ choices: [], usage: { prompt_tokens: 7 } });
    expect(usageOf(judge(half), request)).toMatchObject({ promptTokens: 7, estimated: 1 });
  });
});

describe('what is done about answers that cannot be used', () => {
  const partial = (reason: string): Extract<Verdict, { kind: 'partial' }> => ({
    kind: 'partial',
    message: '',
    reason,
    json: Buffer.alloc(0),
    usage: null,
    tier: 'standard',
  });
  const unreadable = (shape: string, isForeign = false): Extract<Verdict, { kind: 'unreadable' }> => ({
    kind: 'unreadable',
    message: shape,
    shape,
    isForeign,
    isTorn: false,
    usage: null,
  });
  const kinds = (reactions: Reaction[]): string[] => reactions.map(({ kind }) => kind);

  it('stops at the tenth answer with one unknown reason, and names the flag', () => {
    const answers = new UnusableAnswers();
    const reactions = Array.from({ length: 10 }, () => answers.partial(partial('null'), false, true));
    expect(kinds(reactions)).toEqual([...new Array<string>(9).fill('set aside'), 'stop']);
    expect(reactions.at(-1)).toMatchObject({
      message: expect.stringContaining('--accept_finish_reason null') as string,
    });
  });

  it('stops at the first where an earlier session stopped', () => {
    const answers = new UnusableAnswers({ reason: 'done', answers: 10 });
    expect(answers.partial(partial('done'), false, true).kind).toBe('stop');
    const others = new UnusableAnswers({ reason: 'done', answers: 10 });
    expect(others.partial(partial('abort'), false, true).kind).toBe('set aside');
  });

  it('continues if reasons differ or complete answers arrived', () => {
    const answers = new UnusableAnswers();
    answers.partial(partial('abort'), false, true);
    const mixed = Array.from({ length: 30 }, () => answers.partial(partial('error'), false, true));
    expect(kinds(mixed)).toEqual([
      ...new Array<string>(9).fill('set aside'),
      ...new Array<string>(21).fill('retry'),
    ]);
    const later = Array.from({ length: 30 }, () =>
      new UnusableAnswers().partial(partial('null'), true, true),
    );
    expect(new Set(kinds(later))).toEqual(new Set(['retry']));
  });

  it('asks a third time for one that is unreadable in a way that passed for another row', () => {
    const answers = new UnusableAnswers();
    const ask = (row: number): Reaction['kind'] => answers.unreadable(row, unreadable('a'), true, false).kind;
    expect([ask(1), ask(1)]).toEqual(['retry', 'fail']);
    answers.forget(1);
    expect(ask(2)).toBe('retry');
    answers.answered(2);
    expect([ask(3), ask(3), ask(3)]).toEqual(['retry', 'retry', 'fail']);
  });

  it('pays for an unreadable answer twice at most', () => {
    const same = new UnusableAnswers();
    expect(kinds([0, 0].map((row) => same.unreadable(row, unreadable('a'), false, false)))).toEqual([
      'retry',
      'stop',
    ]);
    const differing = new UnusableAnswers();
    expect(
      kinds(['a', 'b', 'c'].map((shape) => differing.unreadable(0, unreadable(shape), false, false))),
    ).toEqual(['retry', 'retry', 'stop']);
    expect(new UnusableAnswers().unreadable(0, unreadable('x', true), false, false).kind).toBe('stop');
    const later = new UnusableAnswers();
    expect(kinds(['a', 'a'].map((shape) => later.unreadable(7, unreadable(shape), true, false)))).toEqual([
      'retry',
      'fail',
    ]);
    later.forget(7);
    expect(later.unreadable(7, unreadable('a'), true, false).kind).toBe('retry');
  });
});

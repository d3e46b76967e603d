import { request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { promptHash } from '../../src/simulator/chat.js';
import { startSimulator } from '../../src/simulator/server.js';
import { runSimulator } from '../../src/simulator/run.js';
import { ask, complete, post, refused, simulate } from './support.js';

describe('chat completions', () => {
  it('have the shape of the API', async () => {
    const simulator = await simulate();
    const response = await post(simulator, ask('How tall is a giraffe?'));
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{32}$/);
    expect(await response.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl-/) as string,
      object: 'chat.completion',
      created: expect.any(Number) as number,
      model: 'gpt-4o-mini-2024-07-18',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: expect.stringMatching(/^Answer [0-9a-f]{8}: .*How tall is a giraffe\?/) as string,
            refusal: null,
          },
          finish_reason: 'stop',
          logprobs: null,
        },
      ],
      usage: {
        prompt_tokens: 6,
        completion_tokens: expect.any(Number) as number,
        total_tokens: expect.any(Number) as number,
        prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          audio_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
      service_tier: 'default',
      system_fingerprint: 'fp_simulator',
    });
  });

  it('depend on the model and the messages alone', async () => {
    const [first, second] = [await simulate(), await simulate({ seed: 7 })];
    const text = async (simulator: typeof first, body: Record<string, unknown>): Promise<unknown> =>
      (await complete(simulator, body)).choices[0]?.message.content;
    const answer = await text(first, ask('One'));
    expect(await text(first, { ...ask('One'), temperature: 0.3 })).toBe(answer);
    expect(await text(second, ask('One'))).toBe(answer);
    expect(await text(first, ask('Two'))).not.toBe(answer);
    expect(await text(first, { ...ask('One'), model: 'gpt-4o' })).not.toBe(answer);
  });

  it('give n different choices', async () => {
    const { choices } = await complete(await simulate(), { n: 3 });
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(choices.map(({ message }) => message.content)).size).toBe(3);
  });

  it('are cut at the maximum of tokens, never within a character', async () => {
    const simulator = await simulate();
    const cut = await complete(simulator, { max_tokens: 5 });
    expect(cut.choices[0]).toMatchObject({ finish_reason: 'length' });
    expect(cut.choices[0]?.message.content).toHaveLength(20);
    expect(cut.usage.completion_tokens).toBe(5);
    const odd = await complete(simulator, { ...ask('x🎉'.repeat(60)), max_completion_tokens: 11 });
    expect(odd.choices[0]?.message.content?.isWellFormed()).toBe(true);
    expect((await complete(simulator, { max_tokens: 2048 })).choices[0]?.finish_reason).toBe('stop');
  });

  it('survive odd text', async () => {
    const simulator = await simulate();
    for (const text of ['', '\u0000\u2028"\\', '\ud83d', '🎉'.repeat(500), 'a'.repeat(1_000_000)]) {
      expect((await post(simulator, ask(text))).status).toBe(200);
    }
    expect((await post(simulator, ask([{ type: 'text', text: 'in parts' }]))).status).toBe(200);
  });
});

describe('streamed completions', () => {
  it('say the same as whole ones and end with usage and [DONE]', async () => {
    const simulator = await simulate();
    const question = ask('Ελληνικά, עברית, 日本語 and 🎉🎉🎉 please');
    const whole = await complete(simulator, question);
    const response = await post(simulator, {
      ...question,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const chunks = readEvents(await response.text());
    expect(chunks.every(({ object }) => object === 'chat.completion.chunk')).toBe(true);
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(
      whole.choices[0]?.message.content,
    );
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  });

  it('carry usage only where it is asked for', async () => {
    const chunks = readEvents(await (await post(await simulate(), { stream: true })).text());
    expect(chunks.some((chunk) => 'usage' in chunk)).toBe(false);
  });
});

interface Chunk {
  object: string;
  usage?: unknown;
  choices: { delta: { role?: string; content?: string }; finish_reason: string | null }[];
}

function readEvents(text: string): Chunk[] {
  const events = text.split('\n\n').filter((event) => event !== '');
  expect(events.pop()).toBe('data: [DONE]');
  return events.map((event) => JSON.parse(event.replace(/^data: /, '')) as Chunk);
}

describe('the check of a request', () => {
  it.each([
    ['no model', { model: undefined }, { status: 400, message: 'you must provide a model parameter' }],
    [
      'no messages',
      { messages: undefined },
      { status: 400, param: 'messages', code: 'missing_required_parameter' },
    ],
    ['empty messages', { messages: [] }, { status: 400, param: 'messages', code: 'empty_array' }],
    ['a null prompt', ask(null), { status: 400, param: 'messages[0].content' }],
    [
      'an unknown role',
      { messages: [{ role: 'robot', content: '' }] },
      { status: 400, code: 'invalid_value' },
    ],
    ['a null parameter', { logit_bias: null }, { status: 400, param: 'logit_bias', code: 'invalid_type' }],
    ['a wrong type', { n: '2' }, { status: 400, param: 'n', code: 'invalid_type' }],
    [
      'a value out of range',
      { temperature: 3 },
      { status: 400, param: 'temperature', code: 'decimal_above_max_value' },
    ],
    [
      'an unknown parameter',
      { request_idx: 1 },
      { status: 400, param: 'request_idx', code: 'unknown_parameter' },
    ],
    ['a parameter with an inherited name', { constructor: 1 }, { status: 400, code: 'unknown_parameter' }],
    ['metadata', { metadata: { request_idx: 1 } }, { status: 400, param: 'metadata' }],
  ])('refuses %s', async (_, body, expected) => {
    const simulator = await simulate();
    expect(await refused(post(simulator, body))).toMatchObject({
      type: 'invalid_request_error',
      ...expected,
    });
    expect(simulator.statistics()).toMatchObject({ requests: 1, rejected: 1, answered: 0 });
  });

  it('refuses what is no JSON object', async () => {
    const simulator = await simulate();
    for (const body of ['', '{"model":', '[]', 'null', '"text"']) {
      const headers = { 'content-type': 'application/json' };
      const response = fetch(`${simulator.url}/v1/chat/completions`, { method: 'POST', body, headers });

      expect(await refused(response)).toMatchObject({ status: 400, type: 'invalid_request_error' });
    }
  });

  it.each(['o1', 'o3-mini', 'o4-mini-2025-04-16', 'gpt-5-nano'])(
    'keeps %s to its parameters',
    async (model) => {
      const simulator = await simulate();
      expect(await refused(post(simulator, { model, max_tokens: 10 }))).toEqual({
        status: 400,
        message:
          "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        type: 'invalid_request_error',
        param: 'max_tokens',
        code: 'unsupported_parameter',
      });
      expect(await refused(post(simulator, { model, temperature: 0.5 }))).toMatchObject({
        message:
          "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.",
        param: 'temperature',
        code: 'unsupported_value',
      });
      expect(
        (await post(simulator, { model, max_completion_tokens: 10, temperature: 1, seed: 1 })).status,
      ).toBe(200);
    },
  );

  it('lets gpt-5-chat-latest have the ordinary parameters', async () => {
    const body = { model: 'gpt-5-chat-latest', max_tokens: 10, temperature: 0.5 };
    expect((await post(await simulate(), body)).status).toBe(200);
  });

  it('knows only the models it is given', async () => {
    const simulator = await simulate({ models: ['gpt-4o'] });
    expect((await post(simulator, { model: 'gpt-4o' })).status).toBe(200);
    expect(await refused(post(simulator, { model: 'gpt-9' }))).toMatchObject({
      status: 404,
      code: 'model_not_found',
      message: 'The model `gpt-9` does not exist or you do not have access to it.',
    });
  });

  it('requires the key it is given, and never shows it', async () => {
    const simulator = await simulate({ apiKey: 'right' });
    expect((await post(simulator, {}, { authorization: 'Bearer right' })).status).toBe(200);
    expect((await refused(post(simulator))).status).toBe(401);
    const wrong = await refused(post(simulator, {}, { authorization: 'Bearer sk-a-very-secret-key' }));
    expect(wrong).toMatchObject({ status: 401, code: 'invalid_api_key', type: 'invalid_request_error' });
    expect(wrong.message).not.toContain('secret');
    expect((await refused(fetch(`${simulator.url}/v1/models`))).status).toBe(401);
  });
});

describe('the server', () => {
  it('lists its models', async () => {
    const simulator = await simulate({ models: ['one', 'two'] });
    const list = (await (await fetch(`${simulator.url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(list.data.map(({ id }) => id)).toEqual(['one', 'two']);
    expect(await (await fetch(`${simulator.url}/v1/models/two`)).json()).toMatchObject({
      id: 'two',
      object: 'model',
    });
    expect((await refused(fetch(`${simulator.url}/v1/models/three`))).code).toBe('model_not_found');
  });

  it('answers unknown routes, wrong methods and malformed addresses', async () => {
    const { url } = await simulate();
    expect(await refused(fetch(`${url}/v1/nothing`))).toMatchObject({
      status: 404,
      message: 'Invalid URL (GET /v1/nothing)',
    });
    expect((await refused(fetch(`${url}/v1/chat/completions`))).status).toBe(405);
    expect((await fetch(`${url}/v1/models/%zz`)).status).toBeLessThan(500);
    expect((await fetch(`${url}/rows?dataset=%zz%00`)).status).toBe(401);
  });

  it('refuses a body of more than 64 MB', async () => {
    const simulator = await simulate();
    const status = await new Promise((resolve) => {
      const request = httpRequest(
        `${simulator.url}/v1/chat/completions`,
        { method: 'POST', headers: { 'content-type': 'application/json' } },
        ({ statusCode }) => {
          resolve(statusCode);
          request.destroy();
        },
      );
      request.on('error', () => undefined);
      for (let megabytes = 0; megabytes < 66; megabytes++) request.write(Buffer.alloc(1024 * 1024, 'a'));
    });
    expect(status).toBe(413);
  });

  it('survives clients that disconnect or do not speak HTTP', async () => {
    // An answer whose client has disconnected is not awaited, so the latency only has to outlast the test.
    const simulator = await simulate({ latencyMs: 600_000, models: ['gpt-4o-mini'] });
    const received = async (requests: number): Promise<void> => {
      while (simulator.statistics().requests < requests) await new Promise(setImmediate);
    };
    const nonsense = connect(simulator.port, '127.0.0.1').resume();
    nonsense.write('nonsense\r\n\r\n');
    await once(nonsense, 'close');

    const torn = connect(simulator.port, '127.0.0.1');
    torn.write(
      'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{',
    );
    await received(1);
    torn.resetAndDestroy();

    const controller = new AbortController();
    const request = post(simulator, {}, {}, controller.signal);
    await received(2);
    controller.abort();
    await expect(request).rejects.toThrow();
    while (simulator.statistics().aborted < 2) await new Promise(setImmediate);
    expect(simulator.statistics()).toMatchObject({ requests: 2, aborted: 2, answered: 0 });
    // Refusals have no latency.
    expect((await post(simulator, { model: 'gpt-9' })).status).toBe(404);
    expect((await fetch(`${simulator.url}/v1/models`)).status).toBe(200);
  });

  it('counts the answers to each prompt, in process and over HTTP', async () => {
    const simulator = await simulate();
    for (const question of ['one', 'two', 'one']) await (await post(simulator, ask(question))).text();
    const { answersByPrompt, ...counts } = simulator.statistics();
    expect(counts).toMatchObject({ requests: 3, answered: 3, throttled: 0, rejected: 0, faults: {} });
    expect(answersByPrompt).toEqual({
      [promptHash(ask('one').messages)]: 2,
      [promptHash(ask('two').messages)]: 1,
    });
    const response = await fetch(`${simulator.url}/simulator/statistics`);
    expect(await response.json()).toEqual(simulator.statistics());
  });

  it('says that a port is taken', async () => {
    const { port } = await simulate();
    await expect(startSimulator({ port })).rejects.toThrow(
      `Cannot listen on port ${port} of 127.0.0.1: it is in use; choose another.`,
    );
  });

  it('runs until it is stopped', async () => {
    const lines: string[] = [];
    const controller = new AbortController();
    const running = runSimulator({ datasets: {} }, (line) => lines.push(line), controller.signal);
    while (lines.length < 6) await new Promise(setImmediate);
    const url = /OPENAI_BASE_URL=(\S+)\/v1/.exec(lines.join('\n'))?.[1] ?? '';
    expect(lines.join('\n')).toContain(`HF_DATASETS_SERVER_URL=${url}`);
    expect(lines.join('\n')).toContain('OPENAI_API_KEY=simulator');
    expect((await fetch(`${url}/v1/models`)).status).toBe(200);
    controller.abort();
    await running;
    await expect(fetch(`${url}/v1/models`)).rejects.toThrow();
  });
});

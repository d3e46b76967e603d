import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeDelta } from '../../src/http/delta.js';
import { CompletionStream } from '../../src/http/stream.js';

type Fields = Record<string, unknown>;

function event(value: unknown): string {
  return `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
}

function chunk(delta: Fields, finish: unknown = null, more: Fields = {}): Fields {
  return {
    id: 'c1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta, finish_reason: finish, ...more }],
  };
}

/** Assembles a body that arrives in pieces of this many bytes. */
function read(body: string, size = 7): Fields {
  const stream = new CompletionStream();
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; at += size) stream.push(bytes.subarray(at, at + size));
  return JSON.parse(stream.finish().toString('utf8')) as Fields;
}

const HALF = event(chunk({ role: 'assistant', content: '' })) + event(chunk({ content: 'half' }));
const DONE = event('[DONE]');

describe('a stream that comes to its end', () => {
  it('is read where no empty lines separate its events', () => {
    const body = HALF + event(chunk({ content: ' and half' }, 'stop')) + DONE;
    expect(read(body.replaceAll('\n\n', '\n'))).toEqual(read(body));
    expect(read(HALF.replaceAll('\n\n', '\n'))).toEqual(read(HALF));
  });

  it('holds every field that an unstreamed answer would', () => {
    const body =
      ': keep-alive\n\n' +
      event(chunk({ role: 'assistant', content: '', refusal: null })) +
      event(chunk({ reasoning_content: 'First ' })) +
      event(chunk({ reasoning_content: 'then', mood: 'calm' })) +
      event(
        chunk({ content: 'new ' }, null, {
          logprobs: { content: [{ token: 'new', logprob: -0.1 }], refusal: null },
        }),
      ) +
      event(
        chunk({ content: 'answer' }, null, {
          logprobs: { content: [{ token: 'a', logprob: -1 }], refusal: null },
        }),
      ) +
      event({
        ...chunk({}, 'stop', { stop_reason: 128001 }),
        service_tier: 'flex',
        system_fingerprint: 'fp',
      }) +
      event({
        ...chunk({}),
        choices: [],
        usage: { prompt_tokens: 5, completion_tokens: 9 },
        provider: 'X',
        obfuscation: 'abc',
      }) +
      DONE;
    expect(read(body)).toEqual({
      id: 'c1',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: 'new answer',
            refusal: null,
            reasoning_content: 'First then',
            mood: 'calm',
          },
          logprobs: {
            content: [
              { token: 'new', logprob: -0.1 },
              { token: 'a', logprob: -1 },
            ],
            refusal: null,
          },
          stop_reason: 128001,
          finish_reason: 'stop',
        },
      ],
      usage: { prompt_tokens: 5, completion_tokens: 9 },
      service_tier: 'flex',
      system_fingerprint: 'fp',
      provider: 'X',
    });
  });

  it.each<[string, Fields[], Fields]>([
    [
      'calls of tools, by their index',
      [
        { tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } }] },
        { tool_calls: [{ index: 1, id: 'b', type: 'function', function: { name: 'g', arguments: '[' } }] },
        { tool_calls: [{ index: 0, function: { arguments: '{"x":' } }] },
        {
          tool_calls: [
            { index: 1, function: { name: 'g', arguments: ']' } },
            { index: 0, function: { arguments: '1}' } },
          ],
        },
      ],
      {
        tool_calls: [
          { index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{"x":1}' } },
          { index: 1, id: 'b', type: 'function', function: { name: 'g', arguments: '[]' } },
        ],
      },
    ],
    [
      'a call of a function',
      [{ function_call: { name: 'f', arguments: '{' } }, { function_call: { arguments: '}' } }],
      { function_call: { name: 'f', arguments: '{}' } },
    ],
    [
      'Mistral’s content in parts',
      [
        { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'Let ' }] }] },
        { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'me' }] }] },
        { content: 'An ' },
        { content: 'answer' },
      ],
      {
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: 'Let me' }] },
          { type: 'text', text: 'An answer' },
        ],
      },
    ],
    [
      'OpenRouter’s reasoning details',
      [
        { reasoning: 'a', reasoning_details: [{ type: 'reasoning.text', text: 'a', index: 0, format: 'x' }] },
        { reasoning: 'b', reasoning_details: [{ type: 'reasoning.text', text: 'b', index: 0, format: 'x' }] },
        { reasoning_details: [{ type: 'reasoning.encrypted', data: 'zz', index: 1 }] },
      ],
      {
        reasoning: 'ab',
        reasoning_details: [
          { type: 'reasoning.text', text: 'ab', index: 0, format: 'x' },
          { type: 'reasoning.encrypted', data: 'zz', index: 1 },
        ],
      },
    ],
    [
      'a name that would be a prototype’s',
      [JSON.parse('{"__proto__": {"a": 1}, "content": "x"}') as Fields],
      { content: 'x' },
    ],
  ])('puts together %s', (_, deltas, expected) => {
    const body = deltas.map((delta) => event(chunk(delta))).join('') + event(chunk({}, 'stop')) + DONE;
    const { choices } = read(body) as unknown as { choices: { message: Fields }[] };
    expect(choices[0]?.message).toEqual({ role: 'assistant', content: null, ...expected });
  });

  it.each([
    ['without [DONE]', HALF + event(chunk({}, 'stop'))],
    ['without an empty line at its end', HALF + event(chunk({}, 'stop')).trimEnd()],
    ['with CRLF', (HALF + event(chunk({}, 'stop')) + DONE).replaceAll('\n', '\r\n')],
    ['with a byte order mark', `\ufeff${HALF}${event(chunk({}, 'stop'))}`],
    ['with NaN in it', HALF + event(chunk({}, 'stop')).replace('"created":1', '"created":NaN')],
    [
      'as bare lines of JSON',
      `${JSON.stringify(chunk({ content: 'half' }))}\n${JSON.stringify(chunk({}, 'stop'))}\n`,
    ],
    ['with texts that say nothing', `data: ping\n\n${HALF}${event(chunk({}, 'stop'))}data: keep-alive\n\n`],
    [
      'as one whole answer',
      event({ id: 'c1', choices: [{ index: 0, message: { content: 'half' }, finish_reason: 'stop' }] }) +
        DONE,
    ],
    [
      'with an empty id and model first',
      event({ ...chunk({}), id: '', model: '', choices: [] }) + HALF + event(chunk({}, 'stop')),
    ],
  ])('is whole %s', (_, body) => {
    expect(read(body)).toMatchObject({
      id: 'c1',
      choices: [{ message: { content: 'half' }, finish_reason: 'stop' }],
    });
  });

  it('has the usage that Groq reports in its own field, and the last of those that come with every chunk', () => {
    const groq = read(HALF + event({ ...chunk({}, 'stop'), x_groq: { usage: { completion_tokens: 3 } } }));
    expect(groq).toMatchObject({ usage: { completion_tokens: 3 } });
    const each = read(
      event({ ...chunk({ content: 'x' }), usage: { completion_tokens: 1 } }) +
        event({ ...chunk({}, 'stop'), usage: { completion_tokens: 2 } }),
    );
    expect(each).toMatchObject({ usage: { completion_tokens: 2 } });
  });

  it('has the usage that Moonshot reports in the choice, and loses none that a later chunk leaves out', () => {
    const last = { ...chunk({}, 'stop') };
    const moonshot = read(
      HALF +
        event({
          ...last,
          choices: [
            {
              index: 0,
              delta: {},
              finish_reason: 'stop',
              usage: { prompt_tokens: 19, completion_tokens: 13 },
            },
          ],
        }),
    );
    expect(moonshot).toMatchObject({ usage: { prompt_tokens: 19, completion_tokens: 13 } });
    expect(moonshot).not.toHaveProperty('choices.0.usage');
    const parts = read(
      event({ ...chunk({ content: 'x' }), usage: { prompt_tokens: 19, completion_tokens: 1 } }) +
        event({ ...last, usage: { prompt_tokens: 0, completion_tokens: 13 } }),
    );
    expect(parts).toMatchObject({ usage: { prompt_tokens: 19, completion_tokens: 13 } });
  });
});

describe('a stream that does not', () => {
  it.each([
    ['breaks off', HALF, /broke off/],
    [
      'ends with an error event',
      `${HALF}event: error\n${event({ message: 'overloaded' })}${DONE}`,
      /overloaded/,
    ],
    ['ends with an error event in text', `${HALF}event: error\ndata: too busy\n\n`, /too busy/],
    [
      'ends with Anthropic’s error',
      `${HALF}event: error\n${event({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } })}`,
      /Overloaded/,
    ],
    ['holds an error', HALF + event({ error: { message: 'upstream', code: 502 } }) + DONE, /upstream/],
    ['holds an error as text', HALF + event({ error: 'upstream' }) + DONE, /upstream/],
    [
      'holds an error in vLLM’s shape',
      HALF + event({ object: 'error', message: 'bad', code: 400 }) + DONE,
      /bad/,
    ],
    ['ends with text in an event', `${HALF}data: upstream error, aborting\n\n${DONE}`, /upstream error/],
    ['ends with a line of text', `${HALF}Internal Server Error\n`, /Internal Server Error/],
    ['ends with a bare line of JSON', `${HALF}{"error":{"message":"gone"}}\n`, /gone/],
    [
      'has lost a piece',
      `data: {"choices":[{"delta":{"con\n\n${HALF}${event(chunk({}, 'stop'))}`,
      /not valid JSON/,
    ],
  ])('is an error where it %s', (_, body, message) => {
    const { error, choices } = read(body) as { error?: { message?: string }; choices?: unknown };
    expect(error?.message).toMatch(message);
    // What was written is paid for, and is no answer.
    expect(choices).toEqual([{ index: 0, message: { role: 'assistant', content: 'half' } }]);
  });

  it('grows lists in place, so that a long one takes linear time', () => {
    const sum: Fields = {};
    mergeDelta(sum, { content: [{ token: 'a' }] });
    const list = sum['content'];
    mergeDelta(sum, { content: [{ token: 'b' }] });
    expect(sum['content']).toBe(list);
    expect(list).toEqual([{ token: 'a' }, { token: 'b' }]);
  });

  it('keeps the error’s own status and the usage that was reported', () => {
    const error = { message: 'failed to call a function', type: 'invalid_request_error', status_code: 400 };
    const usage = { prompt_tokens: 4, completion_tokens: 2 };
    expect(read(HALF + event({ error, usage }))).toMatchObject({ error, usage });
    expect(read(event({ error, usage }))).toEqual({ error, usage });
  });

  it('has no finish reason where it ends with [DONE] alone', () => {
    expect(read(HALF + DONE)).toMatchObject({ choices: [{ finish_reason: null }] });
    expect(read(HALF + event(chunk({}, '')) + DONE)).toMatchObject({ choices: [{ finish_reason: null }] });
  });

  it('gives back what was not a stream of chunks', () => {
    const whole = '{\n  "id": "x",\n  "choices": []\n}\n';
    const plain = new CompletionStream();
    plain.push(Buffer.from(whole));
    expect(plain.finish().toString()).toBe(whole);
    expect(read(event({ type: 'message_start', message: { id: 'm' } }))).toEqual({
      type: 'message_start',
      message: { id: 'm' },
    });
  });

  it('bounds what a hostile one takes', () => {
    const many = Array.from({ length: 3000 }, (_, index) => ({ index, delta: { content: 'x' } }));
    expect(read(event({ choices: many }), 1 << 20)).toMatchObject({
      error: { message: expect.stringContaining('1024') as string },
    });
    const deep = `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`;
    const body = `data: {"choices":[{"index":0,"delta":{"x":${deep}}}]}\n\n`;
    expect(() => read(body.repeat(2), 1 << 20)).not.toThrow();
  });
});

describe('the same answer, streamed and not', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 30 });
  const token = fc.record({
    token: text,
    logprob: fc.double({ min: -9, max: 0, noNaN: true }).map((x) => x + 0),
  });
  const choice = fc.record({
    content: text.filter((one) => one !== ''),
    reasoning: fc.option(
      text.filter((one) => one !== ''),
      { nil: undefined },
    ),
    unknown: fc.option(
      text.filter((one) => one !== ''),
      { nil: undefined },
    ),
    calls: fc.array(fc.record({ name: fc.constantFrom('f', 'g'), arguments: text }), { maxLength: 2 }),
    tokens: fc.array(token, { maxLength: 4 }),
    finish: fc.constantFrom('stop', 'length', 'tool_calls'),
  });
  type Choice = typeof choice extends fc.Arbitrary<infer Value> ? Value : never;

  function cut(value: string, size: number): string[] {
    const letters = Array.from(value);
    const pieces: string[] = [];
    for (let at = 0; at < letters.length; at += size) pieces.push(letters.slice(at, at + size).join(''));
    return pieces;
  }

  function whole(one: Choice, index: number): Fields {
    const calls = one.calls.map((call, place) => ({
      index: place,
      id: `call_${place}`,
      type: 'function',
      function: call,
    }));
    return {
      index,
      message: {
        role: 'assistant',
        content: one.content,
        ...(one.reasoning === undefined ? {} : { reasoning: one.reasoning }),
        ...(one.unknown === undefined ? {} : { unheard_of: one.unknown }),
        ...(calls.length === 0 ? {} : { tool_calls: calls }),
      },
      logprobs: { content: one.tokens },
      finish_reason: one.finish,
    };
  }

  /** What a server would send for it, a few characters at a time. */
  function parts(one: Choice, index: number, size: number): Fields[] {
    const part = (delta: Fields, more: Fields = {}): Fields => ({
      index,
      delta,
      finish_reason: null,
      ...more,
    });
    return [
      part({ role: 'assistant', content: '' }, { logprobs: { content: [] } }),
      ...cut(one.reasoning ?? '', size).map((reasoning) => part({ reasoning })),
      ...cut(one.unknown ?? '', size).map((unknown) => part({ unheard_of: unknown })),
      ...cut(one.content, size).map((content) => part({ content })),
      ...one.tokens.map((each) => part({}, { logprobs: { content: [each] } })),
      ...one.calls.flatMap((call, place) => [
        part({
          tool_calls: [
            {
              index: place,
              id: `call_${place}`,
              type: 'function',
              function: { name: call.name, arguments: '' },
            },
          ],
        }),
        ...cut(call.arguments, size).map((piece) =>
          part({ tool_calls: [{ index: place, function: { arguments: piece } }] }),
        ),
      ]),
      { index, delta: {}, finish_reason: one.finish },
    ];
  }

  it('give the same record, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(choice, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 300 }),
        fc.boolean(),
        (choices, size, bytes, interleaved) => {
          const usage = { prompt_tokens: 3, completion_tokens: 7 };
          const envelope = { id: 'c1', created: 5, model: 'm', service_tier: 'default' };
          const lists = choices.map((one, index) => parts(one, index, size));
          const sent = interleaved
            ? Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, at) =>
                lists.flatMap((list) => list.slice(at, at + 1)),
              ).flat()
            : lists.flat();
          const body =
            sent
              .map((part) => event({ ...envelope, object: 'chat.completion.chunk', choices: [part] }))
              .join('') +
            event({ ...envelope, choices: [], usage }) +
            DONE;
          expect(read(body, bytes)).toEqual({
            ...envelope,
            object: 'chat.completion',
            choices: choices.map(whole),
            usage,
          });
        },
      ),
      { numRuns: 150 },
    );
  });
});

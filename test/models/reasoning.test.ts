import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAnswer } from '../../src/models/completion.js';
import { isThinkingModel } from '../../src/models/thinking-models.js';
import { readMessage, withReasoning, withoutReasoning } from '../../src/models/reasoning.js';
import { CompletionStream } from '../../src/http/stream.js';
import { endOfText } from '../../src/run/text-end.js';

/** Answers as each provider's documentation shows them; all of them think `hm` and say `42`. */
const SHAPES: [provider: string, message: Record<string, unknown>][] = [
  ['DeepSeek', { role: 'assistant', content: '42', reasoning_content: 'hm' }],
  ['Qwen’s DashScope', { reasoning_content: '\nhm\n', content: '42', role: 'assistant' }],
  ['xAI', { role: 'assistant', content: '42', reasoning_content: 'hm', refusal: null }],
  ['vLLM', { role: 'assistant', content: '42', refusal: null, tool_calls: [], reasoning: 'hm' }],
  ['earlier vLLM', { role: 'assistant', reasoning_content: 'hm', content: '42', tool_calls: [] }],
  ['vLLM without a reasoning parser', { role: 'assistant', content: '<think>\nhm\n</think>\n\n42' }],
  ['vLLM with a template that opens the tag', { role: 'assistant', content: 'hm\n</think>\n\n42' }],
  ['Groq, parsed', { role: 'assistant', content: '42', reasoning: 'hm' }],
  ['Groq, raw', { role: 'assistant', content: '<think>hm</think>42' }],
  [
    'OpenRouter',
    {
      role: 'assistant',
      content: '42',
      refusal: null,
      reasoning: 'hm',
      reasoning_details: [
        { type: 'reasoning.text', text: 'hm', signature: 'x', format: 'unknown', index: 0 },
      ],
    },
  ],
  [
    'OpenRouter, a summary and what is encrypted',
    {
      content: '42',
      reasoning: null,
      reasoning_details: [
        { type: 'reasoning.summary', summary: 'hm' },
        { type: 'reasoning.encrypted', data: 'gAAAA' },
      ],
    },
  ],
  [
    'Mistral',
    {
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
        { type: 'text', text: '42' },
      ],
    },
  ],
  ['Magistral on a server of one’s own', { content: '[THINK]hm[/THINK]42' }],
  [
    'Anthropic’s native blocks through a gateway',
    {
      content: [
        { type: 'thinking', thinking: 'hm', signature: 'x' },
        { type: 'redacted_thinking', data: 'x' },
        { type: 'text', text: '42' },
      ],
    },
  ],
  [
    'LiteLLM',
    {
      content: '42',
      reasoning_content: 'hm',
      thinking_blocks: [{ type: 'thinking', thinking: 'hm', signature: 'x' }],
    },
  ],
  ['LiteLLM, blocks alone', { content: '42', thinking_blocks: [{ type: 'thinking', thinking: 'hm' }] }],
  ['Ollama', { role: 'assistant', content: '42', reasoning: 'hm' }],
  ['Ollama, native', { role: 'assistant', content: '42', thinking: 'hm' }],
  ['Gemini with include_thoughts', { role: 'assistant', content: '<thought>hm</thought>42' }],
  [
    'gpt-oss, unparsed',
    {
      content: '<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>42',
    },
  ],
  ['a server that says it twice', { content: '<think>hm</think>\n42', reasoning_content: 'hm' }],
];

/** Answers without reasoning, whose text is to stay as it is. */
const PLAIN: [what: string, message: Record<string, unknown>][] = [
  ['OpenAI', { role: 'assistant', content: '42', refusal: null, annotations: [] }],
  ['empty fields', { content: '42', reasoning: null, reasoning_content: '', reasoning_details: [] }],
  ['the tag in a sentence', { content: 'The tag <think> opens it and </think> closes it.' }],
  ['the tag in code', { content: 'Split it:\n```\n</think>\n```\nand go on' }],
  ['the tag later on', { content: 'First.\n<think>\nhm\n</think>\nThen.' }],
  ['an opening tag in a sentence', { content: '<think> is a tag of chat templates.' }],
  ['markup', { content: '<thinker>hm</thinker>\n' }],
  ['a list', { content: '[1, 2]' }],
  ['blanks', { content: '\n\n42\n' }],
];

function answer(message: Record<string, unknown>, finish = 'stop'): Record<string, unknown> {
  return { model: 'm', choices: [{ index: 0, message, finish_reason: finish }] };
}

function read(response: unknown): unknown {
  const found = readAnswer(response);
  if (found.kind !== 'whole') return found.kind;
  const { state, annotation, reasonings } = found.completion;
  return { state, annotation, reasoning: reasonings[0] };
}

describe('reasoning', () => {
  it.each(SHAPES)('is read as %s gives it', (_, message) => {
    expect(read(answer(message))).toEqual({ state: 'ok', annotation: '42', reasoning: 'hm' });
  });

  it.each(PLAIN)('is not seen in %s', (_, message) => {
    expect(read(answer(message))).toEqual({ state: 'ok', annotation: message['content'], reasoning: null });
  });

  it.each(SHAPES)('is read from a stream as %s sends it', (_, message) => {
    const stream = new CompletionStream();
    for (const delta of pieces(message)) stream.push(event({ delta, finish_reason: null }));
    stream.push(event({ delta: {}, finish_reason: 'stop' }));
    stream.push(Buffer.from('data: [DONE]\n\n'));
    const response: unknown = JSON.parse(stream.finish().toString('utf8'));
    expect(read(response)).toEqual({ state: 'ok', annotation: '42', reasoning: 'hm' });
  });

  it('of alternating parts is put together in its order', () => {
    const thinking = (text: string): object => ({ type: 'thinking', thinking: [{ type: 'text', text }] });
    const text = (value: string): object => ({ type: 'text', text: value });
    const content = [thinking('one'), text('4'), thinking('two'), text('2')];
    expect(read(answer({ content }))).toEqual({ state: 'ok', annotation: '42', reasoning: 'one\n\ntwo' });
  });

  it.each<[Record<string, unknown>]>([
    [{ content: '', reasoning_content: 'hm' }],
    [{ content: null, reasoning: 'hm' }],
    [{ content: '\n\n', reasoning: 'hm' }],
    [{ content: '<think>\nhm\n</think>\n' }],
    [{ content: '<think>\nhm' }],
    [{ content: [{ type: 'thinking', thinking: 'hm' }] }],
  ])('without a text is truncated or nothing, by its finish reason: %j', (message) => {
    expect(read(answer(message, 'length'))).toEqual({
      state: 'truncated',
      annotation: null,
      reasoning: 'hm',
    });
    expect(read(answer(message, 'stop'))).toBe('empty');
  });

  it('that is empty leaves no tags behind', () => {
    for (const content of ['<think>\n\n</think>\n\n42', '\n</think>\n\n42', '</think>42'])
      expect(readMessage({ content }, true)).toEqual({ text: '42', reasoning: null });
  });

  it('is read again from a text that holds it inline', () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .map((one) => one.replaceAll(/[<[◁`]/g, '').trim());
    fc.assert(
      fc.property(text, text, (reasoning, answered) => {
        fc.pre(reasoning !== '' && answered !== '');
        const content = withReasoning(reasoning, answered);
        expect(readMessage({ content }, true)).toEqual({ text: answered, reasoning });
      }),
    );
  });

  it('is never missed by code that copies a text without parsing it', () => {
    const part = fc.constantFrom(
      '<think>',
      '</think>',
      '\n',
      '\r\n',
      ' ',
      'a',
      '```',
      '>',
      '<',
      '"',
      '[THINK]',
      '[/THINK]',
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 8 }), (parts) => {
        const content = parts.join('');
        const bytes = Buffer.from(`${JSON.stringify(content)},`);
        const isCopied = endOfText(bytes, 0, bytes.length) !== -1;
        if (isCopied) expect(readMessage({ content }, true)).toEqual({ text: content, reasoning: null });
      }),
      { numRuns: 1000 },
    );
  });
});

describe('an answer of an earlier turn', () => {
  it.each([
    ['<think>\nhm\n</think>\n\n42', '42'],
    ['<thinking>hm</thinking>42', '42'],
    ['The tag <think> opens it and </think> closes it.', 'The tag <think> opens it and </think> closes it.'],
    ['Line one\n</think>\nline two', 'Line one\n</think>\nline two'],
    ['<think>nothing but thoughts</think>', '<think>nothing but thoughts</think>'],
    ['', ''],
  ])('is sent without its reasoning: %j', (text, sent) => {
    expect(withoutReasoning(text)).toBe(sent);
  });
});

describe('a reasoning model', () => {
  it('is known by its name', () => {
    const thinking = [
      'o3',
      'o4-mini',
      'openai/o3-mini',
      'gpt-5-nano',
      'openai/gpt-oss-20b',
      'deepseek-r1',
      'qwq-32b',
    ];
    thinking.push(
      'DeepSeek-R1-Distill-Qwen-7B',
      'deepseek-reasoner',
      'magistral-small',
      'gemini-2.5-pro',
      'grok-4',
    );
    const others = [
      'gpt-4o',
      'gpt-4.1',
      'gpt-5-chat-latest',
      'grok-4-fast-non-reasoning',
      'llama-3.3-70b',
      'mistral-r12',
    ];
    expect(thinking.filter((name) => !isThinkingModel(name))).toEqual([]);
    expect(others.filter(isThinkingModel)).toEqual([]);
  });
});

/** A message as deltas, its texts letter by letter. */
function* pieces(message: Record<string, unknown>): Generator<Record<string, unknown>> {
  for (const [name, value] of Object.entries(message)) {
    if (typeof value === 'string' && name !== 'role') for (const letter of value) yield { [name]: letter };
    else yield { [name]: value };
  }
}

function event(choice: Record<string, unknown>): Buffer {
  return Buffer.from(`data: ${JSON.stringify({ model: 'm', choices: [{ index: 0, ...choice }] })}\n\n`);
}

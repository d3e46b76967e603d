import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_FLAGS, type FormatFlags } from '../../src/formats/format.js';
import { chooseFormat } from '../../src/formats/index.js';
import { readPythonCalls } from '../../src/formats/python-calls.js';
import { RowProblem } from '../../src/formats/row-problem.js';
import { readTools, toolsInText } from '../../src/formats/tools.js';
import type { PromptRow } from '../../src/types.js';
import { cpuTimeOf } from '../support/cpu-time.js';

function read(row: Record<string, unknown>, flags: Partial<FormatFlags> = {}): PromptRow {
  return chooseFormat('me/data', Object.keys(row), { ...NO_FLAGS, ...flags }).apply(row);
}

const SCHEMA = { type: 'object', properties: { harbour: { type: 'string' } }, required: ['harbour'] };
const TIDE = { name: 'get_tide', description: 'Tide at a harbour', parameters: SCHEMA };
const TOOL = { type: 'function', function: TIDE };

describe('definitions of tools', () => {
  it.each([
    ['OpenAI’s', [TOOL]],
    ['bare functions', [TIDE]],
    ['one function', TIDE],
    ['JSON text', JSON.stringify([TIDE])],
    ['a list of JSON texts', [JSON.stringify(TOOL)]],
    ['Anthropic’s', [{ name: 'get_tide', description: 'Tide at a harbour', input_schema: SCHEMA }]],
    ['xLAM’s flat parameters', [{ ...TIDE, parameters: { harbour: { type: 'str' } } }]],
    ['BFCL’s and ToolACE’s dict', [{ ...TIDE, parameters: { ...SCHEMA, type: 'dict' } }]],
    [
      'a table’s struct with nulls',
      [{ type: 'function', function: { ...TIDE, strict: null, parameters: { ...SCHEMA, extra: null } } }],
    ],
    ['text with JSON in it', `You may call:\n${JSON.stringify(TIDE)}\nGood luck.`],
  ])('%s', (_, value) => {
    expect(readTools(value, 'tools')).toEqual([TOOL]);
  });

  it.each([null, '', [], '[]'])('%j is none', (value) => {
    expect(readTools(value, 'tools')).toEqual([]);
  });

  it.each([
    ['str, optional', { type: 'string' }],
    ['int', { type: 'integer' }],
    ['float', { type: 'number' }],
    ['bool', { type: 'boolean' }],
    ['List[int]', { type: 'array', items: { type: 'integer' } }],
    ['Dict[str, int]', { type: 'object' }],
    ['Optional[str]', { type: 'string' }],
    ['any', {}],
  ])('the type %s is %j', (type, schema) => {
    const [tool] = readTools([{ name: 'f', parameters: { x: { type } } }], 'tools');
    expect(tool?.function.parameters['properties']).toEqual({ x: schema });
    expect(tool?.function.parameters['required']).toEqual(/optional/i.test(type) ? undefined : ['x']);
  });

  it('names are those that the API takes, in calls as well', () => {
    const row = read({
      tools: [{ name: 'Tides: get.tide (v2)', parameters: {} }],
      messages: [
        { role: 'user', content: 'Tide?' },
        { role: 'assistant', tool_calls: [{ function: { name: 'Tides: get.tide (v2)', arguments: {} } }] },
      ],
    });
    expect(row.tools).toMatchObject([{ function: { name: 'Tides_get_tide_v2_' } }]);
    expect(row.annotation_original_tool_calls?.[0]?.function.name).toBe('Tides_get_tide_v2_');
  });

  it.each(['text', 7, [7], [{ description: 'no name' }]])('%j is refused with its column', (value) => {
    expect(() => readTools(value, 'tools')).toThrow(RowProblem);
  });

  it('are found in system prompts of Hermes and glaive, and nowhere by accident', () => {
    expect(toolsInText(`Within <tools>\n${JSON.stringify([TOOL])}\n</tools>, and {"name": "x"}.`)).toEqual([
      TOOL,
    ]);
    const glaive = `SYSTEM: You have access to the following functions. Use them if required -\n${JSON.stringify(TIDE)}`;
    expect(read({ system: glaive, chat: 'USER: Tide?\n\n\nASSISTANT: Where? <|endoftext|>' })).toMatchObject({
      tools: [TOOL],
      user_prompt: 'Tide?',
      annotation_original: 'Where?',
    });
    expect(toolsInText('Answer as {"name": "…", "arguments": {}} and [1, 2]')).toEqual([]);
    for (const prose of ['Note: [see below. ', 'Write { before a block. ', 'Smile :[ and a 5" pipe [. '])
      expect(toolsInText(`${prose}Functions: ${JSON.stringify(TIDE)}`)).toEqual([TOOL]);
  });

  it('text of any sort is searched without a crash', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '"name"', '\\', 'x')),
        (parts) => {
          expect(Array.isArray(toolsInText(parts.join('')))).toBe(true);
        },
      ),
    );
  });
});

const ASKED = { role: 'user', content: 'Tide?' };
const called = (id: string, values = '{"harbour":"Husum"}'): object => ({
  role: 'assistant',
  content: null,
  tool_calls: [{ id, type: 'function', function: { name: 'get_tide', arguments: values } }],
});
const returned = (id: string, content = '04:12'): object => ({ role: 'tool', content, tool_call_id: id });

describe('turns that call tools', () => {
  it.each([
    [
      'OpenAI’s',
      [
        { role: 'user', content: 'Tide?' },
        called('call_1'),
        returned('call_1'),
        { role: 'assistant', content: 'At 04:12.' },
      ],
    ],
    [
      'OpenAI’s earlier ones, without ids',
      [
        { role: 'user', content: 'Tide?' },
        {
          role: 'assistant',
          content: '',
          function_call: { name: 'get_tide', arguments: '{"harbour":"Husum"}' },
        },
        { role: 'function', name: 'get_tide', content: '04:12' },
        { role: 'assistant', content: 'At 04:12.' },
      ],
    ],
    [
      'LLaMA-Factory’s',
      [
        { from: 'human', value: 'Tide?' },
        { from: 'function_call', value: '{"name":"get_tide","arguments":{"harbour":"Husum"}}' },
        { from: 'observation', value: '04:12' },
        { from: 'gpt', value: 'At 04:12.' },
      ],
    ],
    [
      'Hermes’s',
      [
        { from: 'human', value: 'Tide?' },
        {
          from: 'gpt',
          value: '<tool_call>\n{"name":"get_tide","arguments":{"harbour":"Husum"}}\n</tool_call>',
        },
        { from: 'tool', value: '<tool_response>\n04:12\n</tool_response>' },
        { from: 'gpt', value: 'At 04:12.' },
      ],
    ],
    [
      'ToolACE’s',
      [
        { from: 'user', value: 'Tide?' },
        { from: 'assistant', value: '[get_tide(harbour="Husum")]' },
        { from: 'tool', value: '04:12' },
        { from: 'assistant', value: 'At 04:12.' },
      ],
    ],
    [
      'glaive’s',
      'USER: Tide?\n\n\nASSISTANT: <functioncall> {"name": "get_tide", "arguments": \'{"harbour":"Husum"}\'} <|endoftext|>\n\n\nFUNCTION RESPONSE: 04:12\n\n\nASSISTANT: At 04:12. <|endoftext|>',
    ],
  ])('%s', (_, conversation) => {
    const row = read({ conversation });
    expect(row.messages).toEqual([ASKED, called('call_1'), returned('call_1')]);
    expect([row.user_prompt, row.annotation_original]).toEqual(['Tide?', 'At 04:12.']);
  });

  it('several calls and their results find each other', () => {
    const calls = [
      { name: 'a', arguments: {} },
      { name: 'b', arguments: { x: null, y: 1 } },
    ];
    const row = read({
      conversations: [
        { from: 'human', value: 'Both?' },
        { from: 'gpt', value: 'Let me see.' },
        { from: 'function_call', value: JSON.stringify(calls) },
        { from: 'tool', value: '<tool_response>1</tool_response><tool_response>2</tool_response>' },
      ],
    });
    expect(row.messages?.slice(1)).toMatchObject([
      {
        content: 'Let me see.',
        tool_calls: [{ id: 'call_1' }, { id: 'call_2', function: { name: 'b', arguments: '{"y":1}' } }],
      },
      { content: '1', tool_call_id: 'call_1' },
      { content: '2', tool_call_id: 'call_2' },
    ]);
    expect(row.annotation_original).toBeNull();
  });

  it.each([
    ['a result without a call', [ASKED, returned('x')], 'the result of a tool that was not called'],
    [
      'a call without a result',
      [ASKED, called('x'), { role: 'user', content: 'And?' }, { role: 'assistant', content: 'Hm.' }],
      'turn 2 calls get_tide, and no result follows',
    ],
    [
      'a call that is none',
      [ASKED, { role: 'assistant', tool_calls: 'perhaps' }],
      'calls tools in an unknown way',
    ],
  ])('%s makes the row unusable', (_, messages, problem) => {
    expect(() => read({ messages })).toThrow(problem);
  });

  it('an answer of calls is the original, not its text', () => {
    for (const answers of [
      '[{"name":"get_tide","arguments":{"harbour":"Husum"}}]',
      '[get_tide(harbour="Husum")]',
    ]) {
      const row = read({ query: 'Tide?', tools: [TIDE], answers });
      expect(row.annotation_original).toBeNull();
      expect(row.annotation_original_tool_calls).toMatchObject([
        { id: 'call_1', function: { name: 'get_tide' } },
      ]);
    }
    expect(read({ query: 'Name?', tools: [TIDE], answers: '{"name": "Bob"}' }).annotation_original).toBe(
      '{"name": "Bob"}',
    );
  });
});

it.each([
  ['[f()]', [{ name: 'f', values: {} }]],
  [
    '[f(a="x\\"y", b=-1.5, c=[True, None], d={"k": (1, 2)})]',
    [{ name: 'f', values: { a: 'x"y', b: -1.5, c: [true, null], d: { k: [1, 2] } } }],
  ],
  [
    "[Get Tide(day='Mon'), g.h(x=1)]",
    [
      { name: 'Get Tide', values: { day: 'Mon' } },
      { name: 'g.h', values: { x: 1 } },
    ],
  ],
  ['[f(a=1, a={"k": 1, "k": 2})]', [{ name: 'f', values: { a: { k: 2 } } }]],
  ['[1, 2]', null],
  ['[see (above)]', null],
  ['f(a=1)', null],
])('calls in Python: %s', (text, calls) => {
  expect(readPythonCalls(text)).toEqual(calls);
});

it.each([
  ['brackets', `tools: {} ${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ['tags of tools', `{} ${'<tools>'.repeat(100_000)}`],
  ['tags of results', '<tool_response>'.repeat(100_000)],
])('a chat of nothing but %s is read at once', (_, content) => {
  const messages = [
    { role: 'system', content },
    { role: 'user', content: 'Tide?' },
    { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: '{}' } }] },
    { role: 'tool', content },
    { role: 'assistant', content: 'At 04:12.' },
  ];
  let row: PromptRow | undefined;
  expect(cpuTimeOf(() => (row = read({ messages })))).toBeLessThan(5000);
  expect(row?.tools).toBeUndefined();
  expect(row?.messages?.at(-1)).toMatchObject({ role: 'tool', content });
});

describe('--prompt_template, --system_prompt and --keep_columns', () => {
  const row = { id: 7, question: 'Why {id}?', context: 'Tides.', answer: 'Moon.' };

  it.each([
    ['{prompt}', 'Tides.\n\nWhy {id}?'],
    ['[{id}] {question} {{x}}', '[7] Why {id}? {x}'],
    ['{ID}', '7'],
  ])('%s gives %s', (promptTemplate, prompt) => {
    expect(read(row, { promptTemplate })).toMatchObject({
      user_prompt: prompt,
      annotation_original: 'Moon.',
    });
  });

  it('apply to the last user turn and to the system turn of a chat', () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      ...[ASKED, { role: 'assistant', content: 'Where?' }, { role: 'user', content: 'Husum' }],
    ];
    const flags = { promptTemplate: 'In German: {prompt}', systemPrompt: 'Be kind.' };
    expect(read({ messages }, flags)).toMatchObject({
      ...{ system_prompt: 'Be kind.', user_prompt: 'In German: Husum' },
      messages: [{ content: 'Be kind.' }, ASKED, { content: 'Where?' }, { content: 'In German: Husum' }],
    });
    expect(read(row, { systemPrompt: 'Be kind.' }).system_prompt).toBe('Be kind.');
  });

  it('need no known prompt where the template names its columns', () => {
    expect(read({ a: 'One', b: 2 }, { promptTemplate: '{a} and {b}' }).user_prompt).toBe('One and 2');
  });

  it.each(['{no}', '{', 'a } b', '{"a": 1}'])('%s is refused, with what to write', (promptTemplate) => {
    expect(() => read(row, { promptTemplate })).toThrow(/no such column|for a brace/);
  });

  it('keep the columns that are not used, or those that are named', () => {
    expect(read(row, { keepColumns: ['all'] }).source).toBe('{"id":7}');
    expect(read(row, { keepColumns: ['id', 'answer'] }).source).toBe('{"id":7,"answer":"Moon."}');
    expect(() => read(row, { keepColumns: ['no'] })).toThrow(
      '--keep_columns no: the dataset has no such column',
    );
  });
});

it('any row becomes a request with every text of its prompt, or is refused by name', () => {
  const cell = fc.oneof(
    fc.string(),
    fc.constant(null),
    fc.array(fc.string(), { maxLength: 2 }),
    fc.integer(),
  );
  const row = fc.dictionary(
    fc.constantFrom(
      'question',
      'instruction',
      'input',
      'context',
      'system',
      'choices',
      'answer',
      'tools',
      'id',
    ),
    cell,
    { minKeys: 1 },
  );
  fc.assert(
    fc.property(row, (value) => {
      let prompt: PromptRow;
      let columns: string[];
      try {
        const chosen = chooseFormat('me/data', Object.keys(value), NO_FLAGS);
        columns = [chosen.roles.prompt, ...chosen.roles.inputs];
        expect([...chosen.columns, ...chosen.unused].sort()).toEqual(Object.keys(value).sort());
        prompt = chosen.apply(value);
      } catch (error) {
        expect((error as Error).message).toMatch(/"\w+"|columns|empty/);
        return;
      }
      for (const column of columns) {
        const text = value[column];
        if (typeof text === 'string')
          expect(JSON.stringify(prompt)).toContain(JSON.stringify(text).slice(1, -1));
      }
    }),
    { numRuns: 300 },
  );
});

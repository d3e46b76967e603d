import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/lib/errors.js';
import { looksLikePrompt } from '../../src/formats/column-names.js';
import { FORMAT_NAMES, NO_FLAGS, type FormatFlags } from '../../src/formats/format.js';
import { chooseFormat, KNOWN_DATASETS } from '../../src/formats/index.js';
import { RowProblem } from '../../src/formats/row-problem.js';
import { SHAPES } from '../../src/formats/shapes.js';
import { readConversation } from '../../src/formats/conversation.js';
import { messagesOf } from '../../src/run/jobs.js';

/** The request that a row makes, as role and text, and its original answer. */
function requestOf(row: Record<string, unknown>, flags: Partial<FormatFlags> = {}): unknown {
  const prompt = chooseFormat('me/data', Object.keys(row), { ...NO_FLAGS, ...flags }).apply(row);
  const turns = messagesOf(prompt).map(({ role, content }) => [role, content]);
  return [...turns, ['original', prompt.annotation_original]];
}

describe('every shape', () => {
  it('never mistakes a hostile row for a prompt', () => {
    const columns = [
      ...new Set(SHAPES.flatMap((shape) => shape.examples.flatMap((row) => Object.keys(row)))),
    ];
    const row = fc.dictionary(fc.constantFrom(...columns, '__proto__'), fc.jsonValue(), { minKeys: 1 });
    fc.assert(
      fc.property(row, fc.constantFrom(...FORMAT_NAMES, null), (value, format) => {
        try {
          const chosen = chooseFormat('me/data', Object.keys(value), { ...NO_FLAGS, format });
          const prompt = chosen.apply(value);
          expect(prompt.user_prompt.trim()).not.toBe('');
          expect(typeof prompt.system_prompt).toBe('string');
          expect(prompt.annotation_original === null || typeof prompt.annotation_original === 'string').toBe(
            true,
          );
        } catch (error) {
          expect(error instanceof RowProblem || error instanceof UserError, String(error)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('rows', () => {
  const asked = [
    ['user', 'Name a tree.'],
    ['original', 'Oak.'],
  ];
  const alpaca = (instruction: string, input: string): string =>
    `Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:`;
  it.each<[string, Record<string, unknown>, unknown]>([
    [
      'GPTeacher',
      { instruction: 'Add.', input: '4 and 5', response: '9' },
      [
        ['user', alpaca('Add.', '4 and 5')],
        ['original', '9'],
      ],
    ],
    [
      'Dolly',
      { instruction: 'Which?', context: 'The Elbe.', response: 'Elbe' },
      [
        ['user', alpaca('Which?', 'The Elbe.')],
        ['original', 'Elbe'],
      ],
    ],
    [
      'an input and a context',
      { instruction: 'I', input: 'a', context: 'b', output: 'o' },
      [
        ['user', alpaca('I', 'a\n\nb')],
        ['original', 'o'],
      ],
    ],
    [
      'numbers and lists',
      { instruction: 42, input: ['2', { a: 3 }], output: true },
      [
        ['user', alpaca('42', '["2",{"a":3}]')],
        ['original', 'true'],
      ],
    ],
    [
      'SQuAD',
      { context: 'Built in 1821.', question: 'When?', answers: { text: ['1821'], answer_start: [9] } },
      [
        ['user', 'Built in 1821.\n\nWhen?'],
        ['original', '1821'],
      ],
    ],
    [
      'a question with choices',
      { question: 'A bird?', choices: ['Stone', 'Robin'], answer: 1 },
      [
        ['user', 'A bird?\n\nA. Stone\nB. Robin'],
        ['original', 'B'],
      ],
    ],
    [
      'ARC',
      { question: 'A bird?', choices: { label: ['1', '2'], text: ['Stone', 'Robin'] }, answerKey: '2' },
      [
        ['user', 'A bird?\n\n1. Stone\n2. Robin'],
        ['original', '2'],
      ],
    ],
    [
      'choices as JSON text',
      { question: 'A bird?', options: '{"A": "Stone", "B": "Robin"}', answer: 'B' },
      [
        ['user', 'A bird?\n\nA. Stone\nB. Robin'],
        ['original', 'B'],
      ],
    ],
    [
      'system and history',
      { query: 'Its colour?', response: 'Brown.', system: 'Be a guide.', history: [['A bird?', 'Robin.']] },
      [
        ['system', 'Be a guide.'],
        ['user', 'A bird?'],
        ['assistant', 'Robin.'],
        ['user', 'Its colour?'],
        ['original', 'Brown.'],
      ],
    ],
    ['an empty history', { query: 'Name a tree.', response: 'Oak.', history: [] }, asked],
    ['capitals', { Instruction: 'Name a tree.', Response: 'Oak.' }, asked],
    [
      'HumanEval',
      { task_id: 'X/0', prompt: 'def f(x):', canonical_solution: 'return 2*x', test: '…' },
      [
        ['user', 'def f(x):'],
        ['original', 'return 2*x'],
      ],
    ],
    [
      'a prompt alone',
      { text: 'Name a tree.' },
      [
        ['user', 'Name a tree.'],
        ['original', null],
      ],
    ],
    ['preference', { prompt: 'Name a tree.', chosen: 'Oak.', rejected: 'Chair.' }, asked],
    [
      'preference of messages',
      {
        prompt: [{ role: 'user', content: 'Name a tree.' }],
        chosen: [{ role: 'assistant', content: 'Oak.' }],
        rejected: [],
      },
      asked,
    ],
    [
      'preference of one message',
      {
        conversations: [{ from: 'human', value: 'Name a tree.' }],
        chosen: { from: 'gpt', value: 'Oak.' },
        rejected: {},
      },
      asked,
    ],
    [
      'preference of dialogues',
      {
        chosen: [
          { role: 'user', content: 'Name a tree.' },
          { role: 'assistant', content: 'Oak.' },
        ],
        rejected: [],
      },
      asked,
    ],
    ['HH', { chosen: '\n\nHuman: Name a tree.\n\nAssistant: Oak.', rejected: '\n\nHuman: …' }, asked],
    [
      'UltraFeedback binarized',
      {
        prompt: 'Name a tree.',
        chosen: [
          { role: 'user', content: 'Name a tree.' },
          { role: 'assistant', content: 'Oak.' },
        ],
        rejected: [],
        messages: [],
      },
      asked,
    ],
    [
      'preference of JSON text',
      { prompt: 'Name a tree.', chosen: '[{"role": "assistant", "content": "Oak."}]', rejected: '' },
      asked,
    ],
    [
      'preference whose answer is no text',
      { prompt: 'Name a tree.', chosen: { score: 1 }, rejected: '' },
      [
        ['user', 'Name a tree.'],
        ['original', null],
      ],
    ],
    [
      'OpenAI’s preference',
      {
        input: { messages: [{ role: 'user', content: 'Name a tree.' }], tools: [] },
        preferred_output: [{ role: 'assistant', content: 'Oak.' }],
        non_preferred_output: [],
      },
      asked,
    ],
    [
      'a null last answer',
      {
        messages: [
          { role: 'user', content: 'Name a tree.' },
          { role: 'assistant', content: null },
        ],
      },
      [
        ['user', 'Name a tree.'],
        ['original', null],
      ],
    ],
    [
      'TRL’s prompt and completion',
      {
        prompt: [
          { role: 'system', content: 'S' },
          { role: 'user', content: 'Name a tree.' },
        ],
        completion: [{ role: 'assistant', content: 'Oak.' }],
      },
      [['system', 'S'], ...asked],
    ],
    [
      'ms-swift pairs',
      { system: 'S', conversation: [{ human: 'Name a tree.', assistant: 'Oak.' }] },
      [['system', 'S'], ...asked],
    ],
    ['a struct of lists', { messages: { from: ['human', 'gpt'], value: ['Name a tree.', 'Oak.'] } }, asked],
    ['UltraChat', { id: 1, data: ['Name a tree.', 'Oak.'] }, asked],
    [
      'MT-bench',
      { turns: ['A line.', 'Shorter.'], category: 'x' },
      [
        ['user', 'A line.'],
        ['user', 'Shorter.'],
        ['original', null],
      ],
    ],
    [
      'text for content',
      {
        conversations: [
          { role: 'user', text: 'Name a tree.' },
          { role: 'assistant', text: 'Oak.' },
        ],
      },
      asked,
    ],
    [
      'a chat as JSON text',
      { messages: '[{"role":"User","content":"Name a tree."},{"role":"assistant","content":"Oak."}]' },
      asked,
    ],
    [
      'text parts',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'Name' },
              { type: 'text', text: 'a tree.' },
            ],
          },
          { role: 'assistant', content: 'Oak.' },
        ],
      },
      [
        ['user', 'Name\na tree.'],
        ['original', 'Oak.'],
      ],
    ],
    [
      'own results',
      {
        system_prompt: '',
        user_prompt: 'Name a tree.',
        annotation_original: 'Oak.',
        annotation: 'x',
        messages: null,
      },
      asked,
    ],
    [
      'own results of chats',
      {
        system_prompt: '',
        user_prompt: 'c',
        annotation_original: 'd',
        annotation: 'x',
        request_messages: [
          { role: 'user', content: 'a' },
          { role: 'assistant', content: 'b' },
          { role: 'user', content: 'c' },
        ],
        messages: [],
      },
      [
        ['user', 'a'],
        ['assistant', 'b'],
        ['user', 'c'],
        ['original', 'd'],
      ],
    ],
  ])('of %s become requests', (_, row, expected) => {
    expect(requestOf(row)).toEqual(expected);
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [{ instruction: ['a'], input: '', output: '5' }, /"instruction" is a list, not text/],
    [{ prompt: null, response: 'x' }, /"prompt" is null/],
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      /neither address, path nor bytes/,
    ],
    [
      {
        messages: [
          { role: 'user', content: 'a' },
          { role: 'tool', content: 'b' },
        ],
      },
      /turn 2 .*tool/,
    ],
    [
      {
        messages: [
          { role: 'user', content: 'a' },
          { role: 'assistant', content: null, tool_calls: [{}] },
        ],
      },
      /turn 2 .*tool/,
    ],
    [{ prompt: { role: 'prompter', text: 'a', replies: [] } }, /"prompt" is an object/],
    [{ messages: { role: 'prompter', replies: [] } }, /tree of messages/],
    [{ chosen: 'just text', rejected: 'other' }, /is not a dialogue/],
  ])('that hold none are refused: %j', (row, message) => {
    expect(() => requestOf(row)).toThrow(message);
  });

  it('are taken as flags say', () => {
    const row = {
      question: 'Q',
      context: 'C',
      notes: 'N',
      system: 'S',
      answer: 'A',
      log: [{ role: 'user', content: 'L' }],
    };
    const plain = [
      ['user', 'C\n\nQ'],
      ['original', 'A'],
    ];
    expect(requestOf(row, { systemColumn: 'none' })).toEqual(plain);
    expect(requestOf(row, { inputColumn: 'none', systemColumn: 'none' })).toEqual([
      ['user', 'Q'],
      ['original', 'A'],
    ]);
    expect(requestOf(row, { inputColumn: 'notes' })).toEqual([
      ['system', 'S'],
      ['user', 'N\n\nQ'],
      ['original', 'A'],
    ]);
    expect(requestOf(row, { responseColumn: 'none', systemColumn: 'none' })).toEqual([
      ['user', 'C\n\nQ'],
      ['original', null],
    ]);
    expect(requestOf(row, { promptColumn: 'notes', systemColumn: 'none' })).toEqual([
      ['user', 'N'],
      ['original', null],
    ]);
    expect(requestOf(row, { messagesColumn: 'log', responseColumn: 'answer' })).toEqual([
      ['system', 'S'],
      ['user', 'L'],
      ['original', 'A'],
    ]);
    expect(requestOf({ messages: 'x', prompt: 'Q', response: 'A' }, { messagesColumn: 'none' })).toEqual([
      ['user', 'Q'],
      ['original', 'A'],
    ]);
    expect(() => requestOf(row, { promptColumn: 'none' })).toThrow(/--prompt_column none/);
    expect(() => requestOf(row, { promptColumn: 'notes', messagesColumn: 'log' })).toThrow(
      /give only one of them/,
    );
    const alpacaRow = { instruction: 'Add.', input: '4', response: '9' };
    expect(
      requestOf(alpacaRow, { format: 'alpaca', promptColumn: 'instruction', responseColumn: 'response' }),
    ).toEqual(requestOf(alpacaRow));
  });

  it('of a table of single messages are refused as a whole', () => {
    expect(() => requestOf({ message_id: '1', parent_id: null, role: 'prompter', text: 'Hi' })).toThrow(
      /single messages of trees/,
    );
  });
});

describe('columns that look like part of a prompt', () => {
  it.each([
    'context',
    'Contexts',
    'ctx',
    'system',
    'system_prompt',
    'history',
    'tools',
    'images',
    'image_url',
    'audio_path',
    'choices',
    'options',
    'option_a',
    'choice2',
    'passages',
    'retrievedPassages',
    'source_code',
    'documents',
    'video',
    'hypothesis',
    'few_shot_examples',
    'functions',
    'query',
    'starter-code',
    'image_0',
  ])('%s does', (name) => {
    expect(looksLikePrompt(name, false)).toBe(true);
  });

  it.each([
    'id',
    'category',
    'score',
    'input_tokens',
    'context_length',
    'image_count',
    'language',
    'source',
    'url',
    'answerKey',
    'code_hash',
    'rejected',
    'annotation',
    'difficulty',
    'text_len',
    '',
  ])('%s does not', (name) => {
    expect(looksLikePrompt(name, false)).toBe(false);
  });

  it('are those that another column of the prompt leaves out', () => {
    const columns = ['id', 'images', 'prompt', 'prompt_id', 'messages', 'tools'];
    const { unused, suspicious } = chooseFormat('me/data', columns, { ...NO_FLAGS, toolsColumn: 'none' });
    expect(unused).toEqual(['id', 'prompt', 'prompt_id', 'tools']);
    expect(suspicious).toEqual([]);
    expect(chooseFormat('me/data', [...columns, 'documents'], NO_FLAGS).suspicious).toEqual(['documents']);
    expect(chooseFormat('me/data', ['question', 'instruction', 'answer'], NO_FLAGS).suspicious).toEqual([
      'instruction',
    ]);
    expect(
      chooseFormat('me/data', ['question', 'context', 'answer'], { ...NO_FLAGS, inputColumn: 'none' })
        .suspicious,
    ).toEqual([]);
  });
});

describe('chooseFormat', () => {
  it.each([
    [['instruction', 'input', 'output'], 'alpaca'],
    [['instruction', 'output'], 'alpaca'],
    [['question', 'answer'], 'columns'],
    [['prompt', 'response'], 'columns'],
    [['prompt', 'completion'], 'columns'],
    [['query', 'response'], 'columns'],
    [['problem', 'solution'], 'columns'],
    [['id', 'messages'], 'messages'],
    [['conversations', 'source'], 'conversations'],
  ])('takes %j for %s', (columns, expected) => {
    expect(chooseFormat('me/data', columns, NO_FLAGS).name).toBe(expected);
  });

  it.each(Object.entries(KNOWN_DATASETS))('knows %s as %s', (dataset, format) => {
    const columns = format === 'glaive' ? ['question', 'answer'] : ['input', 'output', 'instruction'];
    expect(chooseFormat(dataset, columns, NO_FLAGS).name).toBe(format);
  });

  it('lets flags name the columns', () => {
    const flags = { ...NO_FLAGS, promptColumn: 'ask', responseColumn: 'said', systemColumn: 'role' };
    const format = chooseFormat('me/data', ['ask', 'said', 'role'], flags);
    expect(format.apply({ ask: 'Why?', said: 'Because', role: 'Be kind' })).toEqual({
      system_prompt: 'Be kind',
      user_prompt: 'Why?',
      annotation_original: 'Because',
    });
  });

  it('lists columns and flags where nothing fits', () => {
    expect(() => chooseFormat('me/data', ['a', 'b'], NO_FLAGS)).toThrow(/a, b.*--prompt_column.*--format/);
    expect(() => chooseFormat('me/data', ['a'], { ...NO_FLAGS, promptColumn: 'x' })).toThrow(
      /--prompt_column x.*It has a/,
    );
    expect(() => chooseFormat('me/data', ['a'], { ...NO_FLAGS, format: 'alpaka' })).toThrow(
      /Known formats: .*alpaca/,
    );
    expect(() => chooseFormat('me/data', ['a'], { ...NO_FLAGS, format: 'alpaca' })).toThrow(
      /needs the columns instruction/,
    );
  });
});

describe('prompts to the letter', () => {
  it('of glaive', () => {
    const format = chooseFormat('glaiveai/glaive-code-assistant', ['question', 'answer'], NO_FLAGS);
    expect(format.apply({ question: 'Q\n', answer: 'A' })).toEqual({
      system_prompt: '',
      user_prompt:
        'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nQ\n\n\n### Response:',
      annotation_original: 'A',
    });
  });

  it('of alpaca with a null input', () => {
    const format = chooseFormat('me/data', ['instruction', 'input', 'output'], NO_FLAGS);
    expect(format.apply({ instruction: 'I', input: null, output: null })).toEqual({
      system_prompt: '',
      user_prompt:
        'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nI\n\n### Response:',
      annotation_original: null,
    });
  });

  it('of chats, in either spelling', () => {
    const format = chooseFormat('me/data', ['messages'], NO_FLAGS);
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
    ];
    expect(format.apply({ messages })).toEqual({
      system_prompt: '',
      user_prompt: 'Hi',
      annotation_original: 'Hello',
    });
    expect(() => format.apply({ messages: [{ role: 'assistant', content: 'Hello' }] })).toThrow(
      /no user turn/,
    );
    expect(() => format.apply({ messages: 'nothing' })).toThrow(/not a list/);
    expect(() => format.apply({ messages: [{ role: 'wizard', content: 'x' }] })).toThrow(
      /turn 1 .* unknown role/,
    );
  });
});

it('leaves the reasoning out of earlier answers, and not out of the original one', () => {
  const thought = '<think>\nhm\n</think>\n\n';
  const { request, answer } = readConversation([
    { role: 'user', content: 'one?' },
    { role: 'assistant', content: `${thought}1` },
    { role: 'user', content: `${thought}two?` },
    { role: 'assistant', content: `${thought}2` },
  ]);
  expect(request.map(({ content }) => content)).toEqual(['one?', '1', `${thought}two?`]);
  expect(answer?.content).toBe(`${thought}2`);
});

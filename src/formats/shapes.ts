/**
 * The shapes that datasets have, in the order in which they are tried. A shape says by which names it finds its columns,
 * and what reads its rows; a new one is an entry here with an example, which docs/datasets.md shows.
 */

import { COMPARISONS, type Comparison } from './comparisons.js';
import type { FormatName, Row } from './format.js';
import { ANSWERS, CHAT_ANSWERS, CHOICES, HISTORY, INPUTS, PROMPTS, SYSTEM } from './known-columns.js';

export interface Shape {
  format: FormatName;
  title: string;
  /** Names of the prompt's column, the likeliest first. Empty where the answer's column holds the prompt, too. */
  prompt: readonly string[];
  /** Names of the original answer's column, the likeliest first. */
  response: readonly string[];
  /** True where a dataset without the latter has another shape. */
  needsResponse: boolean;
  /** Names of which at least one must be there besides. */
  needsAlso?: readonly string[];
  /** Names of columns that go with the prompt; all that are there are taken. */
  inputs?: readonly string[];
  /** True where a dataset without one of these has another shape. */
  needsInputs?: boolean;
  choices?: readonly string[];
  system?: readonly string[];
  history?: readonly string[];
  chatAnswer?: readonly string[];
  requests?: readonly string[];
  originalCalls?: readonly string[];
  comparison?: Comparison;
  examples: readonly Row[];
}

/** A prompt and an answer, unchanged, with what goes with them. */
function pair(prompt: readonly string[], response: readonly string[], examples: readonly Row[]): Shape {
  return {
    format: 'columns',
    title: `\`${prompt[0] ?? ''}\` with \`${response.join('` or `')}\``,
    prompt,
    response,
    needsResponse: true,
    inputs: INPUTS,
    choices: CHOICES,
    system: SYSTEM,
    history: HISTORY,
    examples,
  };
}

function chat(format: FormatName, title: string, prompt: readonly string[], examples: readonly Row[]): Shape {
  return {
    format,
    title,
    prompt,
    // Its last answer is the original one.
    response: [],
    needsResponse: false,
    system: SYSTEM,
    history: HISTORY,
    chatAnswer: CHAT_ANSWERS,
    examples,
  };
}

/** Two answers of which the preferred one is the original; the prompt is beside them, or they are whole dialogues. */
function compared(comparison: Comparison, examples: readonly Row[]): Shape {
  const isWhole = comparison.first.startsWith('conversation');
  return {
    format: 'preference',
    title: `preference: \`${comparison.first}\`, \`${comparison.second}\` and \`${comparison.verdict}\``,
    prompt: isWhole ? [] : ['prompt', 'question', 'query', 'instruction', 'context', 'history'],
    response: [comparison.first],
    needsResponse: true,
    inputs: isWhole ? [] : INPUTS,
    system: SYSTEM,
    history: HISTORY,
    comparison,
    examples,
  };
}

const turn = (role: string, content: string): Row => ({ role, content });

/** Rows of comparisons by the first of their columns. */
const COMPARISON_EXAMPLES: Readonly<Record<string, readonly Row[]>> = {
  response_0: [
    { prompt: 'Name a fruit.', response_0: 'Chair.', response_1: 'Apple.', better_response_id: 1 },
  ],
  human_ref_A: [{ history: 'Name a fruit.', human_ref_A: 'Apple.', human_ref_B: 'Chair.', labels: 1 }],
  response1: [
    {
      context: [turn('user', 'Name a fruit.')],
      response1: 'Apple.',
      response2: 'Chair.',
      overall_preference: -2,
    },
  ],
  conversation_a: [
    {
      conversation_a: [turn('user', 'Name a fruit.'), turn('assistant', 'Chair.')],
      conversation_b: [turn('user', 'Name a fruit.'), turn('assistant', 'Apple.')],
      winner: 'model_b',
    },
  ],
};

export const SHAPES: readonly Shape[] = [
  {
    format: 'reannotated',
    title: 'results of this program',
    prompt: ['user_prompt'],
    response: ['annotation_original'],
    needsResponse: true,
    system: ['system_prompt'],
    requests: ['request_messages', 'messages'],
    originalCalls: ['annotation_original_tool_calls'],
    examples: [
      { system_prompt: '', user_prompt: 'Name a tree.', annotation_original: 'Oak.', annotation: 'A birch.' },
      {
        system_prompt: '',
        user_prompt: 'And a bird?',
        annotation_original: 'Robin.',
        request_messages: [
          turn('user', 'Name a tree.'),
          turn('assistant', 'Oak.'),
          turn('user', 'And a bird?'),
        ],
        annotation: 'A wren.',
      },
    ],
  },
  {
    format: 'preference',
    title: 'preference: a prompt, `chosen`, `rejected`',
    prompt: [
      'prompt',
      'messages',
      'conversations',
      'conversation',
      'trajectory',
      'context_messages',
      'question',
      'query',
      'instruction',
      'problem',
      'input',
    ],
    response: ['chosen', 'preferred_output', 'chosen_response', 'accepted', 'preferred', 'response_j'],
    needsResponse: true,
    needsAlso: [...['rejected', 'non_preferred_output', 'rejected_response', 'dispreferred', 'response_k']],
    inputs: INPUTS,
    system: SYSTEM,
    history: HISTORY,
    examples: [
      { prompt: 'Name a fruit.', chosen: 'Apple.', rejected: 'Chair.' },
      {
        prompt: [turn('user', 'Name a fruit.')],
        chosen: [turn('assistant', 'Apple.')],
        rejected: [turn('assistant', 'Chair.')],
      },
      {
        conversations: [{ from: 'human', value: 'Name a fruit.' }],
        chosen: { from: 'gpt', value: 'Apple.' },
        rejected: { from: 'gpt', value: 'Chair.' },
      },
      {
        input: { messages: [turn('user', 'Name a fruit.')] },
        preferred_output: [turn('assistant', 'Apple.')],
        non_preferred_output: [turn('assistant', 'Chair.')],
      },
    ],
  },
  {
    format: 'preference',
    title: 'preference: `chosen` and `rejected` are whole dialogues',
    prompt: [],
    response: ['chosen'],
    needsResponse: true,
    needsAlso: ['rejected'],
    system: SYSTEM,
    examples: [
      {
        chosen: [turn('user', 'Name a fruit.'), turn('assistant', 'Apple.')],
        rejected: [turn('user', 'Name a fruit.'), turn('assistant', 'Chair.')],
      },
      {
        chosen: '\n\nHuman: Name a fruit.\n\nAssistant: Apple.',
        rejected: '\n\nHuman: Name a fruit.\n\nAssistant: Chair.',
      },
    ],
  },
  ...COMPARISONS.map((comparison) => compared(comparison, COMPARISON_EXAMPLES[comparison.first] ?? [])),
  {
    ...pair(
      ['question'],
      ['answer', 'answers', 'response'],
      [{ dialogue: ['Ann: Tea?', 'Ben: No, coffee.'], question: 'What does Ben want?', answer: 'Coffee.' }],
    ),
    title: '`question` about a `dialogue`',
    needsAlso: ['dialogue', 'dialog', 'transcript'],
  },
  chat(
    'messages',
    'a chat in `messages`',
    ['messages'],
    [
      { messages: [turn('user', 'Name a tree.'), turn('assistant', 'Oak.')] },
      {
        messages: [
          turn('system', 'Be brief.'),
          turn('user', 'Hi'),
          turn('assistant', 'Hello.'),
          turn('user', 'A tree?'),
          turn('assistant', 'Oak.'),
        ],
      },
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'Name a' },
              { type: 'text', text: 'tree.' },
            ],
          },
          { role: 'assistant', content: null },
        ],
      },
      {
        tools: [
          {
            type: 'function',
            function: { name: 'get_tide', parameters: { type: 'object', properties: {} } },
          },
        ],
        messages: [
          turn('user', 'Tide?'),
          {
            role: 'assistant',
            content: null,
            tool_calls: [{ id: 'c1', type: 'function', function: { name: 'get_tide', arguments: '{}' } }],
          },
        ],
      },
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What is shown?' },
              { type: 'image_url', image_url: { url: 'https://example.org/boat.png' } },
            ],
          },
          turn('assistant', 'A boat.'),
        ],
      },
      { messages: [turn('user', '2+2?')], answer: '4' },
    ],
  ),
  chat(
    'conversations',
    'a chat in `conversations`',
    ['conversations'],
    [
      {
        conversations: [
          { from: 'human', value: 'Name a tree.' },
          { from: 'gpt', value: 'Oak.' },
        ],
      },
      { conversations: { role: ['user', 'assistant'], content: ['Name a tree.', 'Oak.'] } },
      {
        conversations: [
          { role: 'user', text: '6*7?' },
          { role: 'assistant', text: '42' },
        ],
      },
      { conversations: '[{"role": "user", "content": "Name a tree."}]' },
      {
        tools:
          '[{"name":"get_tide","parameters":{"type":"object","properties":{"harbour":{"type":"string"}}}}]',
        conversations: [
          { from: 'human', value: 'Tide in Husum?' },
          { from: 'function_call', value: '{"name":"get_tide","arguments":{"harbour":"Husum"}}' },
          { from: 'observation', value: '04:12' },
          { from: 'gpt', value: 'At 04:12.' },
        ],
      },
      {
        conversations: [
          {
            from: 'system',
            value: 'Call functions: <tools>[{"name": "get_tide", "parameters": {}}]</tools>',
          },
          { from: 'human', value: 'Tide?' },
          { from: 'gpt', value: '<tool_call>{"name": "get_tide", "arguments": {}}</tool_call>' },
        ],
      },
      {
        system: 'Call functions: [{"name": "get_tide", "parameters": {"type": "dict", "properties": {}}}]',
        conversations: [
          { from: 'user', value: 'Tide?' },
          { from: 'assistant', value: '[get_tide(harbour="Husum")]' },
        ],
      },
    ],
  ),
  chat(
    'chat',
    'a chat under another name',
    [
      ...['conversation', 'dialog', 'dialogue', 'dialogues', 'chat', 'contents', 'body', 'trajectory'],
      ...['prompt_messages', 'context_messages', 'input_messages', 'chat_messages', 'openai_messages'],
      ...['conversation_input', 'full_conversation', 'dialogs', 'chats'],
    ],
    [
      { conversation: [turn('user', 'Name a tree.'), turn('assistant', 'Oak.')] },
      { system: 'Be kind.', conversation: [{ human: 'Name a tree.', assistant: 'Oak.' }] },
      { dialog: ['Name a tree.', 'Oak.', 'And a bird?', 'Robin.'] },
      { chat: 'USER: Name a tree.\n\nASSISTANT: Oak.' },
      {
        system: 'SYSTEM: You may call: {"name": "get_tide", "parameters": {"type": "object"}}',
        chat: 'USER: Tide?\n\n\nASSISTANT: <functioncall> {"name": "get_tide", "arguments": \'{}\'} <|endoftext|>',
      },
      { chat: { turn_1: { Human: 'Name a tree.', MOSS: 'Oak.' } } },
      {
        contents: [
          { role: 'user', parts: [{ text: 'Name a tree.' }] },
          { role: 'model', parts: [{ text: 'Oak.' }] },
        ],
      },
    ],
  ),
  {
    format: 'alpaca',
    title: '`instruction` and `output`',
    prompt: ['instruction'],
    response: ['output'],
    needsResponse: true,
    inputs: INPUTS,
    choices: CHOICES,
    system: SYSTEM,
    history: HISTORY,
    examples: [
      { instruction: 'Name a tree.', input: '', output: 'Oak.' },
      {
        instruction: 'Add.',
        input: '4 and 5',
        output: '9',
        system: 'Be exact.',
        history: [['Hi', 'Hello.']],
      },
    ],
  },
  {
    format: 'alpaca',
    title: '`instruction` with `input` or `context`',
    prompt: ['instruction'],
    response: ANSWERS,
    needsResponse: false,
    inputs: INPUTS,
    needsInputs: true,
    choices: CHOICES,
    system: SYSTEM,
    history: HISTORY,
    examples: [
      { instruction: 'Add.', input: '4 and 5', response: '9' },
      { instruction: 'Which river?', context: 'The ferry crosses the Elbe.', response: 'The Elbe.' },
      { instruction: 'Add.', input: '4 and 5' },
    ],
  },
  pair(
    ['question'],
    ['answer', 'response', 'solution', 'answers'],
    [
      { question: 'Name a tree.', answer: 'Oak.' },
      {
        context: 'The mill was built in 1821.',
        question: 'When?',
        answers: { text: ['1821'], answer_start: [22] },
      },
      { question: 'Which is a bird?', choices: ['Stone', 'Robin'], answer: 1 },
      { question: 'Which is a bird?', A: 'Stone', B: 'Robin', answer: 'B' },
      { question: { stem: 'Which is a bird?', choices: ['Stone', 'Robin'] }, answer: 'B' },
    ],
  ),
  {
    ...pair(
      ['query'],
      ['response'],
      [{ prompt: 'import math', completion: 'def f(x): …', query: 'Write f.', response: '```py …```' }],
    ),
    title: '`query` and `response` next to `prompt` and `completion`, which hold code',
    needsAlso: ['completion'],
  },
  pair(
    ['prompt'],
    ['response', 'completion', 'answer', 'output', 'canonical_solution'],
    [
      { prompt: 'Name a tree.', response: 'Oak.' },
      { prompt: [turn('user', 'Name a tree.')], completion: [turn('assistant', 'Oak.')] },
      { prompt: 'def double(x):', canonical_solution: ' return 2*x', test: 'assert double(2) == 4' },
    ],
  ),
  pair(
    ['query'],
    ['response', 'answer'],
    [{ query: 'And its colour?', response: 'Brown.', history: [['Name a bird.', 'Robin.']] }],
  ),
  pair(
    ['query'],
    ['answers'],
    [
      {
        query: 'Tide in Husum?',
        tools: '[{"name":"get_tide","parameters":{"harbour":{"type":"str","description":"its name"}}}]',
        answers: '[{"name":"get_tide","arguments":{"harbour":"Husum"}}]',
      },
    ],
  ),
  pair(['problem'], ['solution', 'answer'], [{ problem: '2+2', solution: '4' }]),
  pair(['instruction'], ['response', 'completion', 'answer'], [{ Instruction: 'Double 4', Response: '8' }]),
  pair(['input'], ['output', 'target', 'content'], [{ input: 'Name a tree.', output: 'Oak.' }]),
  {
    // P3 has the tokens of both as well.
    ...pair(
      ['inputs_pretokenized'],
      ['targets_pretokenized'],
      [{ inputs: [363, 19], inputs_pretokenized: 'Name a tree.', targets_pretokenized: 'Oak.' }],
    ),
    inputs: [],
    choices: [],
  },
  {
    ...pair(['inputs'], ['targets', 'outputs'], [{ inputs: 'Name a tree.', targets: 'Oak.' }]),
    inputs: ['definition', ...INPUTS],
  },
  pair(['text'], ['code'], [{ text: 'Write a function that doubles x.', code: 'def f(x): return 2*x' }]),
  pair(
    ['problem_statement'],
    ['patch', 'solution'],
    [{ problem_statement: 'It crashes.', patch: 'diff --git' }],
  ),
  pair(['user', 'human'], ['assistant', 'bot', 'gpt'], [{ user: 'Name a tree.', assistant: 'Oak.' }]),
  pair(['message_1'], ['message_2'], [{ message_1: 'Name a tree.', message_2: 'Oak.' }]),
  {
    ...pair(['prompt'], ['code'], [{ prompt: 'Double x.', code: 'def f(x): return 2*x', test_list: [] }]),
    title: '`prompt`, `code` and tests',
    needsAlso: ['test_list', 'tests', 'test'],
  },
  {
    ...pair(PROMPTS, ANSWERS, [
      { problem: '2+2', generated_solution: '2+2 is 4.', expected_answer: '4' },
      {
        question: 'Which tree?',
        answers: [
          { text: 'Ash.', score: 1 },
          { text: 'Oak.', score: 9 },
        ],
      },
      { instruction: 'Name a tree.', generations: ['Oak.', 'Ash.'] },
      {
        instruction: 'Name a tree.',
        completions: [
          { response: 'A chair.', overall_score: 1 },
          { response: 'Oak.', overall_score: 9 },
        ],
      },
    ]),
    title: 'a prompt and an answer by other names',
  },
  pair(
    ['context'],
    ['response', 'answer', 'output', 'completion', 'reply'],
    [{ Context: 'I cannot sleep.', Response: 'Since when?' }],
  ),
  chat(
    'chat',
    'a chat in `turns`, `data` or `texts`',
    ['turns', 'data', 'texts'],
    [
      { turns: ['Write a line about rain.', 'Make it shorter.'] },
      { data: ['Name a bird.', 'Robin.', 'And a fish?', 'Trout.'] },
    ],
  ),
  {
    format: 'columns',
    title: 'a prompt alone',
    prompt: PROMPTS,
    response: [],
    needsResponse: false,
    inputs: INPUTS,
    choices: CHOICES,
    system: SYSTEM,
    history: HISTORY,
    examples: [
      { prompt: 'Name a tree.' },
      { instruction: 'Name a tree.' },
      { text: 'Name a tree.' },
      { prompt: [turn('user', '2+2?')], reward_model: { ground_truth: '4' } },
      { prompt: '<image> What is shown?', image: 'https://example.org/boat.png' },
      { text: '### Human: Name a tree.### Assistant: Oak.' },
      { text: '<|im_start|>user\nName a tree.<|im_end|>\n<|im_start|>assistant\nOak.<|im_end|>' },
    ],
  },
];

/** A question under `question` in the template of Alpaca; taken by the name of the format alone. */
export const GLAIVE: Shape = {
  format: 'glaive',
  title: '`question` and `answer`, as `glaiveai/glaive-code-assistant` is asked',
  prompt: ['question'],
  response: ['answer'],
  needsResponse: true,
  examples: [{ question: 'Name a tree.', answer: 'Oak.' }],
};

/** Every name that a column with the prompt may have. */
export const PROMPT_NAMES: readonly string[] = [...new Set(SHAPES.flatMap(({ prompt }) => prompt))];

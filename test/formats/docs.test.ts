import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NO_FLAGS } from '../../src/formats/format.js';
import { chooseFormat } from '../../src/formats/index.js';
import { GLAIVE, SHAPES, type Shape } from '../../src/formats/shapes.js';
import { RowProblem } from '../../src/formats/row-problem.js';
import { unfolded } from '../../src/datasets/unfolded.js';
import type { PromptRow, ToolCall } from '../../src/types.js';
import { datasetOf, SILENT } from '../support/rows-in-memory.js';
import { requestOf, type SentMessage } from '../../src/run/jobs.js';

const DOCS = new URL('../../docs/datasets.md', import.meta.url);

type Row = Readonly<Record<string, unknown>>;

/** A line of the table: an example row, the request that it becomes, and its original answer. */
function line(shape: Shape, row: Row): string {
  const format = shape === GLAIVE ? 'glaive' : null;
  const chosen = chooseFormat('me/data', Object.keys(row), { ...NO_FLAGS, format });
  expect(chosen.name, JSON.stringify(row)).toBe(shape.format);
  const prompt = chosen.apply(row);
  const request = shownRequest(prompt);
  return `| ${shape.title} | \`${shape.format}\` | ${code(JSON.stringify(row))} | ${request} | ${shownOriginal(prompt)} |`;
}

function shownRequest(prompt: PromptRow): string {
  const { messages, tools } = requestOf(prompt);
  const turns = messages.map(shownTurn);
  if (tools !== undefined) turns.push(`tools: ${code(JSON.stringify(tools))}`);
  return turns.join('<br>');
}

function shownOriginal({
  annotation_original: text,
  annotation_original_tool_calls: calls,
}: PromptRow): string {
  if (text !== null) return code(text);
  return calls === undefined ? 'none' : `calls ${code(shownCalls(calls))}`;
}

function shownTurn({ role, content, tool_calls: calls }: SentMessage): string {
  return calls === undefined
    ? `${role}: ${code(typeof content === 'string' ? shortened(content) : JSON.stringify(content))}`
    : `${role}: calls ${code(shownCalls(calls))}`;
}

function shownCalls(calls: readonly ToolCall[]): string {
  return calls.map((call) => `${call.function.name}(${call.function.arguments})`).join(', ');
}

/** The template of Alpaca is always the same. */
function shortened(content: string): string {
  return content.replace(/^Below is [^#]*(?=### Instruction:)/, '… ');
}

function code(text: string): string {
  return `\`${text.replaceAll('\n', '↵').replaceAll('|', '\\|')}\``;
}

/** Rows that are several requests, or a part of one. */
const UNFOLDED: readonly (readonly Row[])[] = [
  [
    {
      message_tree_id: 't1',
      prompt: {
        role: 'prompter',
        text: 'Name a tree.',
        replies: [
          { role: 'assistant', text: 'Ash.', rank: 1, replies: [] },
          {
            role: 'assistant',
            text: 'Oak.',
            rank: 0,
            replies: [{ role: 'prompter', text: 'And a bird?', replies: [] }],
          },
        ],
      },
    },
  ],
  [
    { message_id: 'm1', parent_id: null, role: 'prompter', text: 'Name a tree.' },
    { message_id: 'm2', parent_id: 'm1', role: 'assistant', text: 'Oak.' },
  ],
  [
    {
      instruction: 'Add.',
      instances: [
        { input: '4 and 5', output: '9' },
        { input: '1 and 1', output: '2' },
      ],
    },
  ],
];

/** Rows that cannot be sent. */
const REFUSED: readonly Row[] = [
  { prompt: 'Transcribe this.', audio: 'speech.wav' },
  { prompt: '<video> What happens?', videos: ['a.mp4'] },
  { messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: 'AAAA' } }] }] },
  { prompt: '<image> What is shown?', image: null },
  {
    messages: [
      { role: 'user', content: 'Tide?' },
      { role: 'tool', content: '04:12' },
    ],
  },
  { dialogue: 'Anna: Hi!\nBen: Hello.' },
  { prompt: null, response: 'Oak.' },
];

async function unfoldedLine(rows: readonly Row[]): Promise<string> {
  const dataset = await unfolded(datasetOf(rows), SILENT);
  const format = chooseFormat('me/data', dataset.columns, NO_FLAGS);
  const cells: string[] = [];
  for await (const row of dataset.rows({ columns: format.columns, offset: 0, limit: null })) {
    if ('problem' in row) throw new Error(row.problem);
    const prompt = format.apply(row.value);
    cells.push(`${shownRequest(prompt)}<br>original: ${shownOriginal(prompt)}`);
  }
  const shown = rows.map((row) => code(JSON.stringify(row))).join('<br>');
  return `| ${shown} | ${cells.join('<br><br>')} |`;
}

function refusedLine(row: Row): string {
  const format = chooseFormat('me/data', Object.keys(row), NO_FLAGS);
  try {
    format.apply(row);
  } catch (error) {
    if (error instanceof RowProblem)
      return `| ${code(JSON.stringify(row))} | ${error.message.replaceAll('<', '&lt;')} |`;
  }
  throw new Error(`${JSON.stringify(row)} is not refused`);
}

function withTable(text: string, name: string, lines: readonly string[]): string {
  const place = new RegExp(`(<!-- ${name} -->\\n)[^]*(<!-- /${name} -->)`);
  return text.replace(place, (_, open: string, close: string) => `${open}\n${lines.join('\n')}\n\n${close}`);
}

it('docs/datasets.md shows the request of every shape', async () => {
  const before = readFileSync(DOCS, 'utf8');
  let after = withTable(before, 'shapes', [
    '| shape | format | row | request | original answer |',
    '|---|---|---|---|---|',
    ...[...SHAPES, GLAIVE].flatMap((shape) => shape.examples.map((row) => line(shape, row))),
  ]);
  after = withTable(after, 'unfolded', [
    '| rows | requests |',
    '|---|---|',
    ...(await Promise.all(UNFOLDED.map(unfoldedLine))),
  ]);
  after = withTable(after, 'refused', [
    '| row | why it is skipped |',
    '|---|---|',
    ...REFUSED.map(refusedLine),
  ]);
  if (process.env['UPDATE_DOCS'] !== undefined) writeFileSync(DOCS, after);
  else expect(before).toBe(after);
});

import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { NO_FLAGS } from '../../src/formats/format.js';
import { chooseFormat } from '../../src/formats/index.js';
import { GLAIVE, SHAPES, type Shape } from '../../src/formats/shapes.js';
import type { ToolCall } from '../../src/types.js';
import { requestOf, type SentMessage } from '../../src/run/jobs.js';

const DOCS = new URL('../../docs/datasets.md', import.meta.url);
const TABLE = /(<!-- shapes -->\n)[^]*(<!-- \/shapes -->)/;

/** A line of the table: an example row, the request that is really made of it, and its original answer. */
function line(shape: Shape, row: Readonly<Record<string, unknown>>): string {
  const format = shape === GLAIVE ? 'glaive' : null;
  const chosen = chooseFormat('me/data', Object.keys(row), { ...NO_FLAGS, format });
  expect(chosen.name, JSON.stringify(row)).toBe(shape.format);
  const prompt = chosen.apply(row);
  const { messages, tools } = requestOf(prompt);
  const turns = messages.map(shownTurn);
  if (tools !== undefined) turns.push(`tools: ${code(JSON.stringify(tools))}`);
  const calls = prompt.annotation_original_tool_calls;
  const original =
    prompt.annotation_original === null
      ? calls === undefined
        ? 'none'
        : `calls ${code(shownCalls(calls))}`
      : code(prompt.annotation_original);
  return `| ${shape.title} | \`${shape.format}\` | ${code(JSON.stringify(row))} | ${turns.join('<br>')} | ${original} |`;
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

it('docs/datasets.md shows the request of every shape', () => {
  const rows = [...SHAPES, GLAIVE].flatMap((shape) => shape.examples.map((row) => line(shape, row)));
  const table = [
    '| shape | format | row | request | original answer |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n');
  const before = readFileSync(DOCS, 'utf8');
  const after = before.replace(TABLE, (_, open: string, close: string) => `${open}\n${table}\n\n${close}`);
  if (process.env['UPDATE_DOCS'] !== undefined) writeFileSync(DOCS, after);
  else expect(before).toBe(after);
});

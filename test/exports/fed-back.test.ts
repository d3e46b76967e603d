/** Every file that this program writes is a dataset that it reads: the same requests, and no answer lost. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDataset } from '../../src/datasets/index.js';
import type { ResultShape } from '../../src/exports/exporter.js';
import { exportFile, exportResults } from '../../src/exports/index.js';
import type { ResultRow } from '../../src/exports/rows.js';
import { NO_FLAGS } from '../../src/formats/format.js';
import { chooseFormat } from '../../src/formats/index.js';
import { requestOf } from '../../src/run/jobs.js';
import type { ChatMessage, PromptRow, ToolCall } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';
import { SILENT } from '../support/rows-in-memory.js';

const call = (values: string, id = 'c1'): ToolCall => ({
  id,
  type: 'function',
  function: { name: 'tide', arguments: values },
});
const TOOL = {
  type: 'function',
  function: { name: 'tide', description: 'Tides.', parameters: { type: 'object', properties: {} } },
};
const CHAT: ChatMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'A tree?' },
  { role: 'assistant', content: 'Ash.' },
  { role: 'user', content: 'Another?' },
];
const WITH_CALL: ChatMessage[] = [
  { role: 'user', content: 'Tide?' },
  { role: 'assistant', content: null, tool_calls: [call('{"a":1}')] },
  { role: 'tool', content: '04:12', tool_call_id: 'c1' },
];

const row = (more: Partial<ResultRow>): ResultRow => ({
  system_prompt: '',
  user_prompt: 'Name a tree.',
  annotation_original: 'Oak.',
  request_messages: null,
  annotation: 'Birch.',
  ...more,
});

const PLAIN: ResultRow[] = [
  row({}),
  row({ system_prompt: 'Be kind.', annotation_original: null }),
  row({ system_prompt: 'Be brief.', user_prompt: 'Another?', request_messages: CHAT }),
];
const withTools = (more: Partial<ResultRow>): ResultRow =>
  row({ tools: null, annotation_original_tool_calls: null, annotation_tool_calls: null, ...more });
const TOOLS: ResultRow[] = [
  withTools({}),
  withTools({
    user_prompt: 'Tide?',
    tools: JSON.stringify([TOOL]),
    annotation_original: null,
    annotation_original_tool_calls: [call('{"a":1}')],
    annotation: null,
    annotation_tool_calls: [call('{"a":2}', 'call_9')],
  }),
  withTools({
    user_prompt: 'Tide?',
    request_messages: WITH_CALL,
    tools: JSON.stringify([TOOL]),
    annotation_original: 'At four.',
    annotation: 'At 04:12.',
  }),
];
const IMAGES: ResultRow[] = [
  row({ user_prompt: '<image>\nWhat is shown?', images: ['https://example.org/boat.png'] }),
  row({ images: [] }),
];
const FULL: ResultRow[] = PLAIN.map((one) => ({
  ...one,
  reasoning: 'Hm.',
  annotations: [one.annotation, 'Fir.'],
  reasonings: ['Hm.', null],
  source: { id: 7, nested: { a: [1] } },
  metadata: { state: 'ok', model: 'm', finish_reason: 'stop', usage: { prompt_tokens: 1 } },
}));

const PLAIN_SHAPE: ResultShape = {
  ...{ several: false, metadata: false, compared: false, reasoning: false },
  ...{ chats: true, tools: false, images: false, source: false },
};

const RUNS: [string, ResultRow[], ResultShape][] = [
  ['chats', PLAIN, PLAIN_SHAPE],
  ['tools', TOOLS, { ...PLAIN_SHAPE, tools: true }],
  ['images', IMAGES, { ...PLAIN_SHAPE, images: true }],
  ['everything else', FULL, { ...PLAIN_SHAPE, several: true, reasoning: true, source: true, metadata: true }],
];

/** A row's request and original answer, without the ids of calls, which ShareGPT does not have. */
interface Read {
  request: unknown;
  original: string | null;
  calls: string[];
}

function shown(prompt: PromptRow): Read {
  const text = JSON.stringify(requestOf(prompt)).replaceAll(/"(?:tool_call_)?id":"[^"]*",?/g, '');
  return {
    request: JSON.parse(text.replaceAll(',}', '}')) as unknown,
    original: prompt.annotation_original,
    calls: (prompt.annotation_original_tool_calls ?? []).map(({ function: made }) => made.arguments),
  };
}

async function readBack(path: string): Promise<Read[]> {
  const dataset = await openDataset(
    { dataset: path, subset: null, split: null },
    { endpoint: '', datasetsServerUrl: '', token: null },
    SILENT,
  );
  const format = chooseFormat(path, dataset.columns, NO_FLAGS);
  expect(format.suspicious, path).toEqual([]);
  const found: Read[] = [];
  for await (const one of dataset.rows({ columns: format.columns, offset: 0, limit: null })) {
    if ('problem' in one) throw new Error(one.problem);
    found.push(shown(format.apply(one.value)));
  }
  return found;
}

/** The request of a result, and one of its answers as the original. */
function wanted(result: ResultRow, answer: 'new' | 'old'): Read {
  const { request_messages: messages = null, tools = null } = result;
  const [text, calls] =
    answer === 'new'
      ? [result.annotation, result.annotation_tool_calls]
      : [result.annotation_original, result.annotation_original_tool_calls];
  const prompt: PromptRow = {
    system_prompt: result.system_prompt,
    user_prompt: result.user_prompt ?? '',
    annotation_original: text,
    ...(messages === null ? {} : { messages }),
    ...(tools === null ? {} : { tools: JSON.parse(tools) as object[] }),
    ...(calls === null || calls === undefined ? {} : { annotation_original_tool_calls: calls }),
    ...(result.images === undefined || result.images === null || result.images.length === 0
      ? {}
      : { images: result.images.map((url) => ({ reference: url, url })) }),
  };
  return shown(prompt);
}

/** Writes results, and a format of them; returns its path and the rows that it leaves out. */
async function write(
  format: Parameters<typeof exportResults>[0] | 'json',
  rows: readonly ResultRow[],
  shape: ResultShape,
): Promise<{ path: string; left: number }> {
  const folder = temporaryFolder();
  const path = join(folder, 'reannotated.json');
  writeFileSync(path, `[\n${rows.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`);
  if (format === 'json') return { path, left: 0 };
  const { leftOut } = await exportResults(format, { path, shape, onProgress: () => undefined }, folder);
  const left = [...leftOut.values()].reduce((sum, count) => sum + count, 0);
  return { path: join(folder, exportFile(format)), left };
}

const hasOriginal = (one: ResultRow): boolean =>
  one.annotation_original !== null || (one.annotation_original_tool_calls ?? null) !== null;

describe.each(RUNS)('results with %s', (_, rows, shape) => {
  it.each(['json', 'jsonl', 'parquet'] as const)('keep their original answers as %s', async (format) => {
    const { path } = await write(format, rows, shape);
    expect(await readBack(path)).toEqual(rows.map((one) => wanted(one, 'old')));
  });

  it.each(['messages', 'sharegpt', 'sft', 'dpo', 'dpo_llamafactory', 'kto'] as const)(
    'have the new answer as the original one as %s',
    async (format) => {
      const { path, left } = await write(format, rows, shape);
      const kept = format.startsWith('dpo') ? rows.filter(hasOriginal) : rows;
      const expected = kept.flatMap((one) =>
        format === 'kto' && hasOriginal(one)
          ? [wanted(one, 'new'), wanted(one, 'old')]
          : [wanted(one, 'new')],
      );
      expect((await readBack(path)).map(withoutThoughts)).toEqual(expected);
      expect(left).toBe(rows.length - kept.length);
    },
  );
});

/** ShareGPT has no field for reasoning, so it is in the text. */
function withoutThoughts(read: Read): Read {
  return { ...read, original: read.original?.replace(/^<think>[^]*<\/think>\s*/, '') ?? null };
}

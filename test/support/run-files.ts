/** Runs of any kind as files, for what only reads them. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROW_STATES, type RowState } from '../../src/types.js';

/** A row of `reannotated.json`, and how it ended where that was not well. */
export interface WrittenRow {
  system_prompt?: string;
  user_prompt?: string;
  annotation_original?: string | null;
  annotation?: string | null;
  state?: RowState;
  error?: string;
  [more: string]: unknown;
}

export interface WrittenRun {
  rows: readonly WrittenRow[];
  summary?: Record<string, unknown>;
  params?: Record<string, unknown>;
  judgements?: readonly { request_idx: number; verdict: string; reason?: string }[];
  timeline?: Record<string, unknown>;
}

const BASIS = { system_prompt: '', user_prompt: 'A question', annotation_original: null, annotation: null };

/**
 * Writes the files of a finished run.
 * @returns the folder of its results
 */
export function writeRun(root: string, name: string, written: WrittenRun): string {
  const { rows, summary, params, judgements, timeline } = written;
  const save = join(root, 'saved', name);
  const temp = join(root, 'temp', name);
  for (const folder of [save, temp]) mkdirSync(folder, { recursive: true });
  const states = rows.map(
    ({ state, annotation }) => state ?? (typeof annotation === 'string' ? 'ok' : 'pending'),
  );
  const lines = rows.map((row) => JSON.stringify({ ...BASIS, ...row, state: undefined, error: undefined }));
  writeFileSync(join(save, 'reannotated.json'), `[\n${lines.join(',\n')}\n]\n`);
  const failed = rows.flatMap(({ error = null }, row) => {
    const state = states[row];
    return state === 'ok' ? [] : [`${JSON.stringify({ request_idx: row, state, error })}\n`];
  });
  writeFileSync(join(save, 'failed_rows.jsonl'), failed.join(''));
  const counts = ROW_STATES.map((state) => [state, states.filter((one) => one === state).length] as const);
  const common = {
    rows: { total: rows.length, ...(Object.fromEntries(counts) as object) },
    cost_usd: 0.5,
    mode: 'online',
  };
  writeFileSync(join(save, 'summary.json'), JSON.stringify({ ...common, ...summary }));
  const all = { dataset: 'a/b', annotator: name, save_dir: 'saved', temp_dir: 'temp', ...params };
  writeFileSync(join(save, 'config.yaml'), `uuid: ${name}\nparams: ${JSON.stringify(all)}\n`);
  writeFileSync(join(temp, 'run.json'), JSON.stringify({ uuid: name }));
  if (timeline !== undefined)
    writeFileSync(
      join(temp, 'counters.json'),
      JSON.stringify({ startedAt: '2026-01-31T12:00:00.000Z', timeline }),
    );
  if (judgements !== undefined) {
    const judged = judgements.map((one) => `${JSON.stringify(one)}\n`);
    writeFileSync(join(save, 'judgements.jsonl'), judged.join(''));
  }
  return save;
}

/** Something of everything: chats, tools, reasoning, images, code, text from right to left, and every state. */
export function everyKindOfRow(): WrittenRow[] {
  const code = 'Here:\n\n```python\ndef f(x):\n    return x + 1\n```\n\nThat is all.';
  const call = { id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } };
  const none = {
    ...{ request_messages: null, tools: null, images: null, source: null, reasoning: null },
    ...{ annotation_original_tool_calls: null, annotation_tool_calls: null },
  };
  const rows: WrittenRow[] = [
    { user_prompt: 'Plain', annotation_original: 'Old words here', annotation: 'New words here' },
    {
      system_prompt: 'Be brief.',
      user_prompt: 'And in summer?',
      request_messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'How is the weather in winter?' },
        { role: 'assistant', content: 'Cold, and the days are short.' },
        { role: 'user', content: 'And in summer?' },
      ],
      annotation_original: 'Warm.',
      annotation: 'Warm, and the days are long.',
    },
    {
      user_prompt: 'The weather in Rome?',
      tools: JSON.stringify([{ type: 'function', function: { name: 'weather', parameters: {} } }]),
      annotation_original: null,
      annotation_original_tool_calls: [call],
      annotation: null,
      annotation_tool_calls: [call],
      state: 'ok',
    },
    { user_prompt: 'Think', reasoning: 'First, second, third. '.repeat(30), annotation: 'Thought.' },
    { user_prompt: 'What is in <image>?', images: ['https://example.com/cat.png'], annotation: 'A cat.' },
    { user_prompt: 'Code?', annotation_original: code, annotation: code.replace('x + 1', 'x + 2') },
    {
      user_prompt: 'اكتب دالة',
      annotation_original: 'هذه دالة قديمة',
      annotation: `هذه دالة:\n\n\`\`\`js\nconst a = (b) => b * 2;\n\`\`\`\n\nوهي تعمل.`,
    },
    { user_prompt: 'Refused', state: 'refused', error: 'the model refused', annotation_original: 'x' },
    { user_prompt: 'Filtered', state: 'filtered', error: 'content_filter' },
    {
      user_prompt: 'Failed',
      state: 'failed',
      error: '500 at http://gpu7.corp:8000/v1',
      annotation_original: 'y',
    },
    { user_prompt: 'Cut', annotation: 'It goes on and', annotation_original: 'Long', state: 'truncated' },
    { user_prompt: 'Pending', annotation_original: 'z' },
    { user_prompt: 'Columns', annotation: 'Yes.', source: { topic: 'maths', level: 3 } },
    { user_prompt: 'Hidden \u202e characters', annotation_original: 'a\u200bb', annotation: '<b>bold</b>' },
  ];
  return rows.map((row) => ({ ...none, ...row }));
}

/** Steps of a timeline with some answers each. */
export function timelineOf(steps: number, step = 1000): Record<string, unknown> {
  const one = { answers: 9, tokens: 900, throttled: 1, failures: 0, latencies: [0, 0, 4, 3, 2] };
  return { step, length: step * steps, steps: Array.from({ length: steps }, () => one) };
}

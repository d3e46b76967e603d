import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { expect, it } from 'vitest';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { scriptedApi } from '../support/scripted-api.js';

const TOOL = {
  type: 'function',
  function: { name: 'get_tide', parameters: { type: 'object', properties: {} } },
};
const CALL = {
  id: 'c1',
  type: 'function',
  function: { name: 'get_tide', arguments: '{"harbour": "Büsum"}' },
};
const USER = { role: 'user', content: 'Tide?' };

/** A text alone; a tool that is called by the original; one whose result is answered. */
const ROWS = [
  {
    id: 12345678901234567890n,
    messages: [
      { role: 'user', content: 'Hi \ud800' },
      { role: 'assistant', content: 'Hello.' },
    ],
  },
  {
    id: 2n,
    messages: [USER, { role: 'assistant', content: null, tool_calls: [CALL] }],
    tools: JSON.stringify([TOOL.function]),
  },
  {
    id: 3n,
    messages: [
      ...[USER, { role: 'assistant', content: '', tool_calls: [CALL] }],
      ...[
        { role: 'tool', tool_call_id: 'c1', content: '04:12' },
        { role: 'assistant', content: 'At 04:12.' },
      ],
    ],
    tools: [TOOL],
  },
];

const answer = (message: object, finish: string): object => ({
  ...{ id: 'x', object: 'chat.completion', created: 1, model: 'm' },
  choices: [{ index: 0, message: { role: 'assistant', refusal: null, ...message }, finish_reason: finish }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
});

it('tools are sent, calls are answers, and every output carries them', async () => {
  const api = await scriptedApi(({ body }) => {
    const turns = body['messages'] as { role: string }[];
    if (body['tools'] === undefined) return { body: answer({ content: 'Hello!' }, 'stop') };
    return turns.at(-1)?.role === 'tool'
      ? { body: answer({ content: 'At twelve past four.' }, 'stop') }
      : { body: answer({ content: null, tool_calls: [{ ...CALL, id: 'n1' }] }, 'tool_calls') };
  });
  const folder = temporaryFolder();
  const lines = ROWS.map((row) =>
    JSON.stringify(row, (_, value: unknown) => (typeof value === 'bigint' ? `@${value}@` : value)),
  );
  writeFileSync(
    join(folder, 'data.jsonl'),
    lines.map((line) => `${line.replace(/"@(\d+)@"/, '$1')}\n`).join(''),
  );
  const formats = 'jsonl,parquet,messages,sharegpt,dpo,dpo_llamafactory,kto,sft';
  const flags = [
    '--annotator',
    'gpt-4o-mini',
    '--keep_columns',
    'all',
    '--system_prompt',
    'Be brief.',
    '--output_format',
    formats,
  ];
  const run = await runCli(['--dataset', join(folder, 'data.jsonl'), ...flags, ...foldersIn(folder)], {
    env: pointingAt(api),
    cwd: folder,
  });
  expect(run.code, run.stderr).toBe(0);

  const sent = api.requests.filter(({ body }) => body['tools'] !== undefined).map(({ body }) => body);
  expect(sent[0]?.['tools']).toEqual([TOOL]);
  const { rows, saved } = resultsIn(folder);
  const [plain, calls, round] = rows() as unknown as Record<string, unknown>[];
  const keys = [
    ...['system_prompt', 'user_prompt', 'annotation_original', 'annotation', 'request_messages', 'tools'],
    ...['annotation_original_tool_calls', 'annotation_tool_calls', 'source'],
  ];
  for (const row of [plain, calls, round]) expect(Object.keys(row ?? {}).sort()).toEqual([...keys].sort());
  expect(plain).toMatchObject({
    system_prompt: 'Be brief.',
    annotation: 'Hello!',
    tools: null,
    annotation_tool_calls: null,
  });
  expect(readFileSync(saved('reannotated.json'), 'utf8')).toContain('"source":{"id":12345678901234567890}');
  expect(JSON.parse(String(calls?.['tools']))).toEqual([TOOL]);
  expect(calls).toMatchObject({
    ...{ annotation_original: null, annotation_original_tool_calls: [CALL] },
    ...{ annotation: null, annotation_tool_calls: [{ ...CALL, id: 'n1' }], request_messages: null },
  });
  expect(round).toMatchObject({ annotation: 'At twelve past four.', annotation_original: 'At 04:12.' });
  expect(readFileSync(saved('reannotated.json'), 'utf8')).not.toMatch(/\\ud[89a-f]/);

  const read = (name: string): Record<string, unknown>[] =>
    readFileSync(saved(name), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const messages = read('messages.jsonl');
  const [first] = messages as { messages: object[] }[];
  expect(Object.keys(first?.messages[0] ?? {})).toEqual(['role', 'content', 'tool_calls', 'tool_call_id']);
  expect(messages[1]).toMatchObject({
    messages: [{ role: 'system' }, USER, { role: 'assistant', content: '', tool_calls: [{ id: 'n1' }] }],
    tools: JSON.stringify([TOOL]),
  });
  const call = { from: 'function_call', value: '{"name":"get_tide","arguments":{"harbour":"Büsum"}}' };
  expect(read('sharegpt.jsonl')[2]).toEqual({
    conversations: [
      ...[{ from: 'system', value: 'Be brief.' }, { from: 'human', value: 'Tide?' }, call],
      ...[
        { from: 'observation', value: '04:12' },
        { from: 'gpt', value: 'At twelve past four.' },
      ],
    ],
    tools: JSON.stringify([TOOL]),
  });
  expect(read('dpo_llamafactory.jsonl').at(-1)).toMatchObject({
    ...{
      chosen: { from: 'gpt', value: 'At twelve past four.' },
      rejected: { from: 'gpt', value: 'At 04:12.' },
    },
  });
  // The same call twice teaches no preference.
  expect(read('dpo.jsonl')).toHaveLength(2);
  expect(read('kto.jsonl').map((row) => row['label'])).toEqual([true, false, true, true, false]);
  expect(read('sft.jsonl')[1]).toMatchObject({ completion: [{ tool_calls: [{ id: 'n1' }] }] });

  const bytes = readFileSync(saved('reannotated.parquet'));
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const table = (await parquetReadObjects({ file, compressors })) as Record<string, unknown>[];
  expect(Object.keys(table[0] ?? {}).sort()).toEqual([...keys].sort());
  expect(table[1]).toMatchObject({ annotation_tool_calls: [{ id: 'n1', function: { name: 'get_tide' } }] });
  expect(table[2]).toMatchObject({
    request_messages: [{}, {}, { tool_calls: [{ id: 'c1' }] }, { tool_call_id: 'c1' }],
  });
});

import { readFileSync } from 'node:fs';
import { parquetReadObjects } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import { foldersIn, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { completion, scriptedApi } from '../support/scripted-api.js';

/** The messages that answer the rows, one after the other. */
const MESSAGES = [
  { content: 'plain', refusal: null },
  { content: 'a field', reasoning_content: 'hm 1' },
  { content: '<think>\nhm 2\n</think>\n\ntags' },
  { content: 'hm 3\n</think>\n\nthe template opened it' },
  { content: '', reasoning: 'no end' },
];

describe('reasoning', () => {
  it('has its own field in every format, and moves where a later command puts it', async () => {
    const folder = temporaryFolder();
    const dataset = writeJson(folder, 'data.json', alpacaRows(MESSAGES.length));
    const rows: unknown[] = [];
    const api = await scriptedApi(({ prompt }) => {
      if (!rows.includes(prompt)) rows.push(prompt);
      const message = MESSAGES[rows.indexOf(prompt)];
      const finish = message?.content === '' ? 'length' : 'stop';
      const body = completion('');
      body['choices'] = [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finish }];
      return { body };
    });
    const args = ['--annotator', 'own-model', '--base_url', api.url, '--dataset', dataset];
    args.push('--max_concurrency', '1', ...foldersIn(folder));
    const first = await runCli([...args, '--output_format', 'jsonl,parquet,sharegpt,messages,dpo']);
    expect(first.code, first.stderr).toBe(3);
    const { rows: results, saved } = resultsIn(folder);
    const found = results().map((row) => [row.annotation, row.reasoning]);
    expect(found).toEqual([
      ['plain', null],
      ['a field', 'hm 1'],
      ['tags', 'hm 2'],
      ['the template opened it', 'hm 3'],
      [null, 'no end'],
    ]);
    const keys = results().map((row) => Object.keys(row).join());
    expect(new Set(keys).size).toBe(1);

    const file = readFileSync(saved('reannotated.parquet'));
    const columns = await parquetReadObjects({
      file: file.buffer.slice(file.byteOffset, file.byteOffset + file.length),
    });
    expect(columns.map(({ reasoning }) => reasoning as unknown)).toEqual(
      found.map(([, reasoning]) => reasoning),
    );
    const last = (name: string, key: string): unknown[] =>
      readFileSync(saved(name), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => ((JSON.parse(line) as Record<string, unknown[]>)[key] ?? []).at(-1));
    const turn = (content: string, reasoning: string): object => ({
      role: 'assistant',
      content,
      reasoning_content: reasoning,
    });
    const turns = [
      turn('plain', ''),
      turn('a field', 'hm 1'),
      turn('tags', 'hm 2'),
      turn('the template opened it', 'hm 3'),
    ];
    expect(last('messages.jsonl', 'messages')).toEqual(turns);
    expect(last('dpo.jsonl', 'chosen')).toEqual(turns);
    const inline = [
      'plain',
      '<think>\nhm 1\n</think>\n\na field',
      '<think>\nhm 2\n</think>\n\ntags',
      '<think>\nhm 3\n</think>\n\nthe template opened it',
    ];
    expect(last('sharegpt.jsonl', 'conversations')).toEqual(inline.map((value) => ({ from: 'gpt', value })));

    const second = await runCli([...args, '--resume', '--reasoning', 'inline']);
    expect(second.code, second.stderr).toBe(3);
    expect(results().map(({ annotation }) => annotation as unknown)).toEqual([...inline, null]);
    expect(results().some((row) => 'reasoning' in row)).toBe(false);
    expect(last('messages.jsonl', 'messages')).toEqual(
      inline.map((content) => ({ role: 'assistant', content })),
    );
    expect(api.requests).toHaveLength(MESSAGES.length);
  });
});

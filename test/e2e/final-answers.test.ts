import { readFileSync } from 'node:fs';
import { parquetReadObjects } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import { foldersIn, resultsIn, runCli, temporaryFolder, type ResultRow } from '../support/cli.js';
import { writeJson } from '../support/data.js';
import { completion, scriptedApi } from '../support/scripted-api.js';

/** Each row's original, the model's three answers, and its reasoning for them. */
const ROWS: readonly { original: string; answers: string[] }[] = [
  { original: '2 + 40 is 42.\n#### 42', answers: ['So 41', 'The answer is **42**.', '\\boxed{42}'] },
  { original: '#### 7', answers: ['8', '8', '7'] },
  { original: 'A poem.\nIt has lines.\nNo numbers.', answers: ['One.\nTwo.\nThree', 'x', 'y'] },
];

describe('several answers and the old one', () => {
  it('give the majority, how far they agree, and whether the original agrees', async () => {
    const folder = temporaryFolder();
    const data = ROWS.map(({ original }, row) => ({
      instruction: `row ${row}`,
      input: '',
      output: original,
    }));
    const dataset = writeJson(folder, 'data.json', data);
    const api = await scriptedApi(({ prompt }) => {
      const row = Number(/row (\d)/.exec(prompt)?.[1]);
      const body = completion('');
      body['choices'] = ROWS[row]?.answers.map((content, index) => ({
        index,
        message: { role: 'assistant', content, reasoning: `thought ${index}` },
        finish_reason: 'stop',
      }));
      return { body };
    });
    const args = ['--annotator', 'own-model', '--base_url', api.url, '--dataset', dataset, '--n', '3'];
    args.push(...foldersIn(folder));
    const first = await runCli([...args, '--include_metadata', '--output_format', 'parquet']);
    expect(first.code, first.stderr).toBe(0);
    const { rows, summary, saved } = resultsIn(folder);
    expect(rows().map(({ annotation }) => annotation)).toEqual(['So 41', '8', 'One.\nTwo.\nThree']);
    expect(rows()[0]).not.toHaveProperty('agrees');
    const sent = api.requests.filter(({ path }) => path === '/chat/completions').length;

    const second = await runCli([...args, '--resume', '--select', 'majority', '--check', 'answer']);
    expect(second.code, second.stderr).toBe(0);
    expect(second.stderr).toContain('1 of 2 agree with the original (50.0 %); 1 cannot be compared');
    const results = rows() as (ResultRow & { agrees: boolean | null; reasoning: string })[];
    expect(results.map(({ annotation, reasoning, agrees }) => [annotation, reasoning, agrees])).toEqual([
      ['The answer is **42**.', 'thought 1', true],
      ['8', 'thought 0', false],
      ['One.\nTwo.\nThree', 'thought 0', null],
    ]);
    expect(results.map(({ metadata }) => metadata?.['agreement'])).toEqual([
      { answers: 3, agreeing: 2, final: '42' },
      { answers: 3, agreeing: 2, final: '8' },
      { answers: 3, agreeing: 1, final: null },
    ]);
    expect(summary()).toMatchObject({ agreement: { agree: 1, disagree: 1, unknown: 1 } });
    const file = readFileSync(saved('reannotated.parquet'));
    const columns = await parquetReadObjects({
      file: file.buffer.slice(file.byteOffset, file.byteOffset + file.length),
    });
    expect(columns.map(({ agrees }) => agrees as unknown)).toEqual([true, false, null]);
    // Nothing was paid for the second command.
    expect(api.requests.filter(({ path }) => path === '/chat/completions')).toHaveLength(sent);
  });
});

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

  it('are requested one by one where a server gives one; a failed one is sent for again alone', async () => {
    const folder = temporaryFolder();
    const data = [0, 1].map((row) => ({ instruction: `row ${row}`, input: '', output: '7' }));
    const dataset = writeJson(folder, 'data.json', data);
    let isWell = false;
    const api = await scriptedApi(({ prompt, body }) => {
      const row = /row \d/.exec(prompt)?.[0] ?? '';
      const seed = body['seed'] as number;
      if (row === 'row 1' && seed === 44 && !isWell)
        return {
          status: 400,
          body: { error: { message: 'too long', code: 'context_length_exceeded' } },
        };
      return `${row}, answer ${seed}`;
    });
    const args = ['--annotator', 'own-model', '--base_url', api.url, '--dataset', dataset, '--n', '3'];
    args.push('--seed', '42', ...foldersIn(folder));
    const first = await runCli(args);
    expect(first.code, first.stderr).toBe(3);
    expect(first.stderr).toContain('From now on each answer of --n is requested separately');
    const { rows, summary } = resultsIn(folder);
    const answers = (row: number): string[] => [42, 43, 44].map((seed) => `row ${row}, answer ${seed}`);
    expect(rows()).toMatchObject([
      { annotation: 'row 0, answer 42', annotations: answers(0) },
      { annotation: null, annotations: [...answers(1).slice(0, 2), null] },
    ]);
    expect(summary()).toMatchObject({ rows: { ok: 1, failed: 1 }, requests: { sent: 6 } });

    isWell = true;
    const second = await runCli([...args, '--resume']);
    expect(second.code, second.stderr).toBe(0);
    expect(rows().map(({ annotations }) => annotations)).toEqual([answers(0), answers(1)]);
    expect(api.requests.map(({ body }) => [body['n'], body['seed']])).toEqual(
      expect.arrayContaining([
        [3, 42],
        [undefined, 44],
      ]),
    );
    expect(summary()).toMatchObject({ rows: { ok: 2 }, requests: { sent: 7 } });
  });

  it('that disagree with the original are sent again, and the majority is kept', async () => {
    const folder = temporaryFolder();
    // Each row's answers in the order of the seeds.
    const answers = [
      ['\\boxed{7}'],
      ['8', '7', 'It is 7.'],
      ['8', '9', '10'],
      ['8', '9', 'no final answer here.\nNone.'],
    ];
    const data = answers.map((_, row) => ({ instruction: `row ${row}`, input: '', output: '#### 7' }));
    const dataset = writeJson(folder, 'data.json', data);
    const api = await scriptedApi(({ prompt, body }) => {
      const row = Number(/row (\d)/.exec(prompt)?.[1]);
      return answers[row]?.[(body['seed'] as number) - 42] ?? 'too many';
    });
    const args = [
      '--annotator',
      'own-model',
      '--base_url',
      api.url,
      '--dataset',
      dataset,
      '--check',
      'answer',
    ];
    args.push('--seed', '42', '--include_metadata', ...foldersIn(folder));
    const first = await runCli(args);
    expect(first.code, first.stderr).toBe(0);
    const second = await runCli([...args, '--resume', '--check_retry', '2']);
    expect(second.code, second.stderr).toBe(0);
    expect(second.stderr).toContain('Sending 3 rows again');
    const { rows, summary } = resultsIn(folder);
    const results = rows() as (ResultRow & { agrees: boolean | null })[];
    expect(results.map(({ annotation, agrees }) => [annotation, agrees])).toEqual([
      ['\\boxed{7}', true],
      ['7', true],
      ['8', false],
      ['8', false],
    ]);
    expect(results.map(({ metadata }) => metadata?.['agreement'])).toMatchObject([
      undefined,
      { answers: 3, agreeing: 2, final: '7' },
      { answers: 3, agreeing: 1, final: '8' },
      { answers: 3, agreeing: 1, final: '8' },
    ]);
    expect(results[0]).not.toHaveProperty('annotations');
    expect(summary()).toMatchObject({ requests: { sent: 10 }, agreement: { agree: 2, disagree: 2 } });
    // Nothing is left to be sent.
    const third = await runCli([...args, '--resume']);
    expect(third.code, third.stderr).toBe(0);
    expect(rows()).toEqual(results);
    expect(api.requests.filter(({ path }) => path === '/chat/completions')).toHaveLength(10);
  });

  it('are chosen among by a judge, blind, in both orders and for each pair once', async () => {
    const folder = temporaryFolder();
    // Of each row's three answers the judge prefers the longest; in row 1 always the one that is first.
    const data = [0, 1].map((row) => ({ instruction: `row ${row}`, input: '', output: 'x' }));
    const dataset = writeJson(folder, 'data.json', data);
    const answers = ['short', 'much longer than that', 'middling one'];
    const judged: string[] = [];
    const api = await scriptedApi(({ prompt, body }) => {
      if (body['model'] === 'own-model') {
        const whole = completion('');
        whole['choices'] = answers.map((content, index) => ({
          index,
          message: { role: 'assistant', content },
          finish_reason: 'stop',
        }));
        return { body: whole };
      }
      judged.push(prompt);
      const [first = ''] = answers
        .filter((text) => prompt.includes(text))
        .sort((a, b) => prompt.indexOf(a) - prompt.indexOf(b));
      const isLongest = answers.every((text) => !prompt.includes(text) || text.length <= first.length);
      return `Thoughts.\nVerdict: ${prompt.includes('row 1') || isLongest ? 'A' : 'B'}`;
    });
    const args = ['--annotator', 'own-model', '--base_url', api.url, '--dataset', dataset, '--n', '3'];
    args.push('--include_metadata', ...foldersIn(folder));
    const first = await runCli([...args, '--select', 'judge', '--judge', 'other-model']);
    expect(first.code, first.stderr).toBe(0);
    const { rows, summary } = resultsIn(folder);
    expect(rows().map(({ annotation }) => annotation)).toEqual(['much longer than that', 'short']);
    expect(judged).toHaveLength(8);
    expect(judged.join('')).not.toContain('own-model');
    expect(summary()).toMatchObject({
      requests: { sent: 2 },
      selection: { judge: 'other-model', requests: { sent: 8 } },
    });
    const second = await runCli([...args, '--resume']);
    expect(second.code, second.stderr).toBe(0);
    expect(rows().map(({ annotation }) => annotation)).toEqual(['much longer than that', 'short']);
    expect(api.requests.filter(({ path }) => path === '/chat/completions')).toHaveLength(10);
  });
});

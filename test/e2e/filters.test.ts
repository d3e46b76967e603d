import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { writeJsonl } from '../support/data.js';
import { completion, scriptedApi } from '../support/scripted-api.js';

const EVALUATED = 'How many positive whole-number divisors does 196 have in all?';

it('--drop and --decontaminate leave rows out of exports, at any time and without another request', async () => {
  const folder = temporaryFolder();
  const rows = [
    EVALUATED,
    ...Array.from({ length: 7 }, (_, index) => `Explain number ${index} to me, please.`),
  ].map((instruction, index) => ({ instruction, input: '', output: `Old answer ${index}` }));
  const data = writeJsonl(folder, 'data.jsonl', rows);
  const evaluation = writeJsonl(folder, 'math.jsonl', [
    { Problem: EVALUATED },
    { Problem: 'What is 2 + 2?' },
  ]);
  const api = await scriptedApi(({ prompt }) => {
    const number = /number (\d)/.exec(prompt)?.[1] ?? '9';
    const whole = completion(
      number === '3' ? 'Old answer 4' : `A new answer about number ${number}, with its reasons.`,
    );
    const [choice] = whole['choices'] as [object];
    return { body: number === '5' ? { ...whole, choices: [{ ...choice, finish_reason: 'length' }] } : whole };
  });
  const args = ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(folder)];
  const env = pointingAt(api);
  const exported = (): string[] =>
    readFileSync(resultsIn(folder).saved('reannotated.jsonl'), 'utf8').trim().split('\n');

  // An evaluation set that cannot be read ends the run before it sends anything.
  const odd = writeJsonl(folder, 'odd.jsonl', [{ first: 'a b', second: 'c d' }]);
  const unread = await runCli([...args, '--decontaminate', odd], { env });
  expect(unread.code).toBe(1);
  expect(unread.stderr).toMatch(
    /--decontaminate .*odd\.jsonl: No format fits the columns .* Name the column with the prompt with --decontaminate_column NAME\./,
  );
  expect(api.requests).toHaveLength(0);

  const flags = ['--drop', 'truncated,identical', '--decontaminate', evaluation];
  const run = await runCli([...args, ...flags], { env });
  expect(run.code, run.stderr).toBe(0);
  expect(run.stderr).toContain('Dropped:  3 rows (truncated 1, identical 1, overlaps math.jsonl 1); 5 kept');
  expect(run.stderr).toContain('1 text of 2 in math.jsonl has fewer than 8 words, and cannot be compared.');
  const sent = api.requests.length;
  expect(exported()).toHaveLength(5);
  expect(exported().join()).not.toContain(EVALUATED);
  // Every row stays in the results themselves.
  expect(resultsIn(folder).rows()).toHaveLength(8);
  expect(resultsIn(folder).summary()).toMatchObject({
    rows: { total: 8 },
    dropped: {
      ...{ rows: 3, kept: 5, reasons: { truncated: 1, identical: 1, 'overlaps math.jsonl': 1 } },
      evaluation_sets: [{ file: 'math.jsonl', texts: 2, too_short: 1, ngrams: 3 }],
    },
  });

  // The run remembers them; other ones replace them, and none is none.
  expect((await runCli([...args, '--resume'], { env })).code).toBe(0);
  expect(exported()).toHaveLength(5);
  const other = await runCli([...args, '--resume', '--drop', 'longer=20', '--decontaminate', 'none'], {
    env,
  });
  expect(other.code).toBe(0);
  expect(exported()).toHaveLength(1);
  const all = await runCli([...args, '--resume', '--drop', 'none'], { env });
  expect(all.code).toBe(0);
  expect(exported()).toHaveLength(8);
  expect(resultsIn(folder).summary()).not.toHaveProperty('dropped');
  expect(api.requests).toHaveLength(sent);

  const column = join(folder, 'named.jsonl');
  writeFileSync(column, `${JSON.stringify({ first: EVALUATED, second: 'x' })}\n`);
  const named = ['--decontaminate', column, '--decontaminate_column', 'first'];
  const pushed = await runCli([...args, '--resume', ...named], { env });
  expect(pushed.code, pushed.stderr).toBe(0);
  expect(exported()).toHaveLength(7);
  expect(api.requests).toHaveLength(sent);
});

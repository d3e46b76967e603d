import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { it, vi } from 'vitest';
import { codePoint } from '../support/code-point.js';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { scriptedApi } from '../support/scripted-api.js';
import { cases, Tally } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS_A_RUN = 100;
/** What must reach neither a terminal nor a log: everything that moves, colours, hides or reorders. */
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.string({ unit: codePoint, maxLength: 60 }),
  fc.constantFrom(
    '\u001b]0;x\u0007',
    '\u202edrow',
    '<|endoftext|>',
    '"}],"usage":{',
    '{"request_idx":0}]\n',
    '\ud83d',
    '__proto__',
    '\u2028\u0085\u0000',
  ),
);
const prompt = fc.array(text, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
/** A row of any kind: nearly all are usable, some hold anything at all. */
const row = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ prompt, response: fc.oneof(prompt, fc.constant(null)), system: text }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ prompt: fc.jsonValue(), response: fc.jsonValue(), system: fc.jsonValue() }),
  },
  { weight: 1, arbitrary: fc.jsonValue() },
);

it('saves any rows as they are, each in one state, and shows them sanitized', async () => {
  const tally = new Tally('fuzz: rows of anything, through the whole program');
  const rows = fc.sample(row, cases(1, 100) * ROWS_A_RUN);
  const runs = Array.from({ length: rows.length / ROWS_A_RUN }, (_, number) => number);
  await tally.play(
    runs,
    (number) => `rows from ${number * ROWS_A_RUN}`,
    async (number) => {
      const folder = temporaryFolder();
      const data = join(folder, 'data.jsonl');
      const own = rows.slice(number * ROWS_A_RUN, (number + 1) * ROWS_A_RUN);
      // The first row decides what the columns are.
      const first = { prompt: 'first', response: 'r', system: '' };
      writeFileSync(data, [first, ...own].map((one) => `${JSON.stringify(one)}\n`).join(''));
      const api = await scriptedApi(({ prompt: asked }) => `answer: ${asked}`);
      const columns = [
        '--prompt_column',
        'prompt',
        '--response_column',
        'response',
        '--system_column',
        'system',
      ];
      const args = ['--dataset', data, ...columns, '--logging_level', 'debug', ...foldersIn(folder)];
      const run = await runCli(args, { env: pointingAt(api) });
      if (run.code !== 0 && run.code !== 3) throw new Error(`code ${run.code}: ${run.stderr}`);
      const shown = run.stdout + run.stderr + readFileSync(resultsIn(folder).temp('output.log'), 'utf8');
      const control = CONTROLS.exec(shown);
      if (control !== null) return { problem: `shows ${JSON.stringify(control[0])}` };
      const results = resultsIn(folder).rows();
      const states = Object.entries(resultsIn(folder).summary().rows);
      const sum = states.reduce((all, [state, count]) => (state === 'total' ? all : all + count), 0);
      if (sum !== own.length + 1) return { problem: `${sum} states for ${own.length + 1} rows` };
      const lost = own.filter((one, index) => {
        const { user_prompt: asked = null, annotation = null } = results[index + 1] ?? {};
        const wanted = promptOf(one);
        return wanted !== null && (asked !== wanted || annotation !== `answer: ${wanted}`);
      });
      return { lost: lost.length, paidTwice: Math.max(0, api.requests.length - own.length - 1) };
    },
  );
  tally.expectAll();
});

/** The prompt of a row that must be usable, as it is sent; null where a row may as well be refused. */
function promptOf(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const { prompt: asked, response, system } = value as Record<string, unknown>;
  const isUsable = typeof asked === 'string' && asked.trim() !== '' && typeof system === 'string';
  return isUsable && (response === null || typeof response === 'string') ? asked.toWellFormed() : null;
}

import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { foldersIn, pointingAt, runCli, simulator, temporaryFolder, type Finished } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { apiError, scriptedApi } from '../support/scripted-api.js';

/** One message at the end of stderr, a sentence without a stack trace. */
function expectSentence(run: Finished, code: number, ...parts: (string | RegExp)[]): void {
  expect(run.code).toBe(code);
  expect(run.stdout).toBe('');
  const last = run.stderr.trimEnd().split('\n').at(-1) ?? '';
  expect(last).toMatch(/^error: .{20,}/);
  expect(run.stderr).not.toMatch(/\n\s+at .*:\d+:\d+/);
  for (const part of parts) expect(run.stderr).toMatch(part);
}

describe('mistakes of newcomers', () => {
  it.each([
    ['no --dataset', ['--limit', '3'], 2, /--dataset is missing/],
    [
      '--limit 0',
      ['--dataset', 'a.json', '--limit', '0'],
      2,
      /--limit takes a whole number of at least 1, not 0/,
    ],
    [
      'a limit that is no number',
      ['--dataset', 'a.json', '--limit', 'many'],
      2,
      /--limit takes a whole number/,
    ],
    ['an unknown flag', ['--datset', 'a.json'], 2, /--datset.*\n.*Did you mean --dataset/],
    [
      'two ways to go on',
      ['--dataset', 'a.json', '--resume', '--overwrite'],
      2,
      /--resume and --overwrite cannot be combined/,
    ],
    [
      'a batch that is too large',
      ['--dataset', 'a.json', '--max_batch_size', '50001'],
      2,
      /--max_batch_size .* from 1 to 50000/,
    ],
    [
      'an unknown annotator',
      ['--dataset', 'a.json', '--annotator', 'gtp-4o-mini'],
      2,
      /Unknown annotator "gtp-4o-mini".*gpt-4o-mini/,
    ],
    [
      'an unknown provider',
      ['--dataset', 'a.json', '--annotator', 'gorq/llama'],
      2,
      /Unknown provider "gorq".*groq/,
    ],
    [
      'an unknown level',
      ['--dataset', 'a.json', '--logging_level', 'loud'],
      2,
      /--logging_level takes debug, info/,
    ],
    [
      'a wrong address',
      ['--dataset', 'a.json', '--base_url', 'localhost:8000'],
      2,
      /--base_url takes an address/,
    ],
    ['a wrong logit bias', ['--dataset', 'a.json', '--logit_bias', '{a}'], 2, /--logit_bias takes JSON/],
    ['a file that is not there', ['--dataset', 'nothing/here.json'], 1, /nothing\/here.json does not exist/],
    ['a name that is no id', ['--dataset', 'what is this'], 1, /neither a file nor a Hub dataset id/],
    ['a folder', ['--dataset', './'], 1, /is a folder/],
  ])('%s', async (_, args, code, message) => {
    const run = await runCli(args, { env: { OPENAI_API_KEY: 'sk-test-key' } });
    expect(run.code).toBe(code);
    expect(run.stderr).toMatch(message);
    expect(run.stderr).not.toMatch(/\n\s+at /);
  });

  it('no key', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3));
    const run = await runCli(['--dataset', data, ...foldersIn(folder)]);
    expectSentence(run, 1, /No API key/, /OPENAI_API_KEY/);
  });

  it('a wrong key: one request, and the key is never shown', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(30));
    const api = await scriptedApi(({ headers }) =>
      apiError(401, `Incorrect API key provided: ${String(headers.authorization)}`, 'invalid_api_key'),
    );
    const run = await runCli(['--dataset', data, ...foldersIn(folder)], { env: pointingAt(api) });
    expectSentence(run, 1, /refused the key in OPENAI_API_KEY/, /--resume$/m);
    expect(run.stderr).not.toContain('sk-test-key-0001');
    expect(api.requests).toHaveLength(1);
  });

  it('a model that the server does not have, with the nearest it has', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3));
    const api = await simulator({ models: ['gpt-4o-mini', 'gpt-4o', 'o3-mini'] });
    const run = await runCli(['--dataset', data, '--annotator', 'gpt-4o-mimi', ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expectSentence(run, 1, /no model gpt-4o-mimi/, /The nearest it has: gpt-4o-mini/);
  });

  it('an unknown dataset, a gated one, one with several subsets, one without data', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3));
    const api = await simulator({
      datasets: { 'me/gated': data, 'me/empty': writeJson(folder, 'empty.json', []) },
      gated: ['me/gated'],
      hubToken: 'hf_good_token',
    });
    const args = (dataset: string): string[] => ['--dataset', dataset, ...foldersIn(folder)];
    expectSentence(
      await runCli(args('me/nothing'), { env: pointingAt(api) }),
      1,
      /me\/nothing does not exist/,
      /HF_TOKEN/,
    );
    expectSentence(
      await runCli(args('me/gated'), { env: pointingAt(api) }),
      1,
      /accept its terms at \S+\/datasets\/me\/gated and set HF_TOKEN/,
    );
    expect(
      await runCli(args('me/gated'), { env: pointingAt(api, { HF_TOKEN: 'hf_good_token' }) }),
    ).toMatchObject({ code: 0 });
    expectSentence(await runCli(args('me/empty'), { env: pointingAt(api) }), 1, /me\/empty/);
    const hub = await scriptedApi(() => ({
      body: { splits: ['en', 'fr'].map((config) => ({ dataset: 'x', config, split: 'train' })) },
    }));
    const env = { ...pointingAt(hub) };
    expectSentence(
      await runCli(args('me/several'), { env }),
      1,
      /several subsets: en, fr. Choose one with --subset/,
    );
    expectSentence(
      await runCli([...args('me/several'), '--subset', 'de'], { env }),
      1,
      /no subset "de". It has en, fr/,
    );
  });

  it('no network', async () => {
    const folder = temporaryFolder();
    const env = {
      OPENAI_API_KEY: 'sk-test-key',
      HF_DATASETS_SERVER_URL: 'http://127.0.0.1:9',
      OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
    };
    expectSentence(
      await runCli(['--dataset', 'me/data', ...foldersIn(folder)], { env }),
      75,
      /Cannot reach 127.0.0.1:9/,
    );
    const data = writeJson(folder, 'data.json', alpacaRows(3));
    const run = await runCli(['--dataset', data, '--max_attempts', '2', ...foldersIn(folder)], { env });
    expectSentence(
      run,
      75,
      /Cannot connect to .*: connection refused \(ECONNREFUSED\)\. Is the server running\?/,
    );
  });

  it('files that are not what they seem', async () => {
    const folder = temporaryFolder();
    const cases: [string, string, RegExp][] = [
      ['a.json', 'hello', /not JSON/],
      ['b.json', '', /is empty/],
      ['c.json', '[{"instruction": "x", "output": "y"}, {"ins', /not complete JSON/],
      ['d.json', '[{"instruction": "x" "output"}]', /not JSON/],
      ['e.json', '{"test": [{"a": 1}], "dev": [{"a": 2}]}', /no split "train"; it has test, dev/],
      ['f.json', '[1, 2]', /not an object/],
      ['g.jsonl', 'no\njson\n', /line 1 of g.jsonl is not JSON/],
      ['h.parquet', 'PAR1 nothing', /can't be read as Parquet/],
      ['i.csv', '', /is empty/],
      ['j.jsonl', '{"label": "x"}\n', /No format fits the columns.*label.*--prompt_column/],
      ['k.json', '[]', /no rows/],
      ['l.jsonl', '', /no rows/],
      ['m.pkl', 'x', /can't be recognised from its name/],
    ];
    for (const [name, content, message] of cases) {
      const path = join(folder, name);
      writeFileSync(path, content);
      const run = await runCli(['--dataset', path, ...foldersIn(folder)], {
        env: { OPENAI_API_KEY: 'sk-test-key' },
      });
      expectSentence(run, 1, message);
    }
    const missing = writeJson(folder, 'n.json', alpacaRows(2));
    const run = await runCli(['--dataset', missing, '--prompt_column', 'question', ...foldersIn(folder)], {
      env: { OPENAI_API_KEY: 'sk-test-key' },
    });
    expectSentence(
      run,
      1,
      /--prompt_column question: the dataset has no such column. It has instruction, input, output/,
    );
  });

  it('a folder whose path is a file, and one that is not writable', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(2));
    const env = { OPENAI_API_KEY: 'sk-test-key' };
    const blocked = join(folder, 'blocked');
    writeFileSync(blocked, '');
    expectSentence(
      await runCli(['--dataset', data, '--save_dir', blocked], { env, cwd: folder }),
      1,
      /Cannot use .*blocked.*: a part of the path is a file, not a folder\./,
    );
    chmodSync(folder, 0o500);
    const run = await runCli(['--dataset', data, '--save_dir', '/proc/nothing'], { env });
    chmodSync(folder, 0o700);
    expectSentence(run, 1, /Cannot make the folder \/proc\/nothing/);
  });

  it('a request that can never fit fails immediately', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3));
    const api = await simulator();
    // The prompt alone is longer.
    const run = await runCli(['--dataset', data, '--max_tokens_per_minute', '10', ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expectSentence(run, 3, /more than the limit of 10 tokens per minute/);
    expect(api.statistics().requests).toBe(0);
  });
});

describe('help', () => {
  it('shows flags and examples on stdout, and the version', async () => {
    const help = await runCli(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain('--annotator <name>');
    expect(help.stdout).toContain('Examples:');
    expect((await runCli(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('shows the commands where nothing is asked for, and a run that the environment names is one', async () => {
    const bare = await runCli([]);
    expect(bare).toMatchObject({ code: 0, stderr: '' });
    expect(bare.stdout).toMatch(/^Commands:[^]*^ {2}watch-batch [^]*^Examples:/m);
    expect((await runCli(['help', 'judge'])).stdout).toMatch(
      /^Usage: reannotate judge [^]*^ {2}--sample <n>/m,
    );
    const run = await runCli([], { env: { OPENAI_API_KEY: 'k', REANNOTATE_DATASET: 'nothing.json' } });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('nothing.json does not exist');
  });

  it('takes kebab-case spellings', async () => {
    const run = await runCli(['--dataset', 'a.json', '--max-batch-size=50001'], {
      env: { OPENAI_API_KEY: 'sk-test-key' },
    });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('--max_batch_size');
  });
});

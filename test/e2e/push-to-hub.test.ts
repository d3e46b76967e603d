import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { batchArguments, paste, submit } from '../support/batch-cli.js';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  runCli,
  simulator,
  startCli,
  temporaryFolder,
  wordsOf,
  type Finished,
} from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { faultyProxy, type Fault, type PassingRequest } from '../support/faulty-proxy.js';
import { apiError, completion, scriptedApi } from '../support/scripted-api.js';

vi.setConfig({ testTimeout: 60_000 });

const TOKEN = 'hf_test+token/0001="&x';
const DATA = 'data/train-00000-of-00001.parquet';

interface Api {
  url: string;
}

/** The flags of a run of a small file in its own folder. */
function rehearse(rows = 12, name = 'data.json'): { folder: string; args: string[] } {
  const folder = temporaryFolder();
  const data = writeJson(folder, name, alpacaRows(rows));
  return { folder, args: ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(folder)] };
}

function push(api: Api, args: string[], ...more: string[]): Promise<Finished> {
  return runCli([...args, '--push_to_hub', ...more], { env: pointingAt(api, { HF_TOKEN: TOKEN }) });
}

function get({ url }: Api, path: string): Promise<Response> {
  return fetch(`${url}${path}`, { headers: { authorization: `Bearer ${TOKEN}` } });
}

async function getJson(api: Api, path: string): Promise<Record<string, unknown>> {
  return (await (await get(api, path)).json()) as Record<string, unknown>;
}

async function fileOf(api: Api, repository: string, path: string): Promise<string> {
  const response = await get(api, `/datasets/${repository}/resolve/main/${path}`);
  return response.status === 200 ? response.text() : `${response.status}`;
}

async function rowsOf(api: Api, repository: string): Promise<unknown[]> {
  const response = await get(api, `/datasets/${repository}/resolve/main/${DATA}`);
  return parquetReadObjects({ file: await response.arrayBuffer() });
}

/** The titles of a repository's commits, newest first. */
async function commitsOf(api: Api, repository: string): Promise<unknown[]> {
  const commits: unknown = await (await get(api, `/api/datasets/${repository}/commits/main`)).json();
  return (commits as { title: string }[]).map(({ title }) => title);
}

function metadataOf(card: string): Record<string, unknown> {
  return parse(/^---\n([\s\S]*?)\n---\n/.exec(card)?.[1] ?? '') as Record<string, unknown>;
}

/** A row of a table of the card, by its first cell. */
function told(card: string, title: string): string | undefined {
  const line = card.split('\n').find((one) => one.startsWith(`| ${title} |`));
  return line?.slice(`| ${title} | `.length, -2);
}

/** Makes a repository that holds some files, as somebody would. */
async function makeRepository(api: Api, name: string, files: Record<string, string>): Promise<void> {
  const [organization, repository] = name.split('/');
  const post = (path: string, body: string): Promise<Response> =>
    fetch(`${api.url}${path}`, { method: 'POST', body, headers: { authorization: `Bearer ${TOKEN}` } });
  await post('/api/repos/create', JSON.stringify({ name: repository, organization, type: 'dataset' }));
  const lines = [
    { key: 'header', value: { summary: 'by hand' } },
    ...Object.entries(files).map(([path, content]) => ({
      key: 'file',
      value: { path, content, encoding: 'utf-8' },
    })),
  ];
  const commit = await post(
    `/api/datasets/${name}/commit/main`,
    lines.map((line) => JSON.stringify(line)).join('\n'),
  );
  expect(commit.status).toBe(200);
}

describe('a push to the Hub', () => {
  it('says in the card what changed since the last one, and nothing new where nothing did', async () => {
    const { folder, args } = rehearse(12);
    const api = await simulator();
    const first = await push(api, args, 'me/answers');
    expect(first.code, first.stderr).toBe(0);
    expect(await fileOf(api, 'me/answers', 'README.md')).not.toContain('Since the last push');
    // The dataset lost two rows, and got three; another run takes over what is left of it.
    const rows = [...alpacaRows(12).slice(2), ...alpacaRows(15).slice(12)];
    const grown = writeJson(folder, 'grown.json', rows);
    const reusing = [
      '--annotator',
      'gpt-4o-mini',
      '--dataset',
      grown,
      ...foldersIn(folder),
      '--run_name',
      'grown',
    ];
    const earlier = join(folder, 'temp', readdirSync(join(folder, 'temp'))[0] ?? '');
    const second = await push(api, [...reusing, '--reuse', earlier], 'me/answers', '--yes');
    expect(second.code, second.stderr).toBe(0);
    expect(second.stderr).toContain(
      'Since the last push: 3 rows are new, 0 have another answer, 2 were removed.',
    );
    const card = await fileOf(api, 'me/answers', 'README.md');
    expect(['new', 'with another answer', 'gone', 'unchanged'].map((title) => told(card, title))).toEqual([
      '3',
      '0',
      '2',
      '10',
    ]);
    expect(card).toContain('had answers of gpt-4o-mini-2024-07-18 (12 rows).');
    // Pushing the same again makes no commit, and the card keeps its text.
    const again = await push(api, [...reusing, '--resume'], 'me/answers', '--yes');
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain('Nothing to push');
    expect(await commitsOf(api, 'me/answers')).toHaveLength(3);
    // Other answers to two of the prompts, as a longer limit of a chat or another judge would give.
    const review = join(folder, 'review.jsonl');
    const edits = [0, 1].map((row) =>
      JSON.stringify({ request_idx: row, mark: 'edit', annotation: 'By hand' }),
    );
    writeFileSync(review, edits.join('\n'));
    const edited = await push(api, [...reusing, '--resume', '--review', review], 'me/answers', '--yes');
    expect(edited.stderr).toContain(
      'Since the last push: 0 rows are new, 2 have another answer, 0 were removed.',
    );
  });

  it.each([
    ['public', []],
    ['private', ['--private']],
  ])('makes a %s dataset with data, card and summary in one commit', async (visibility, flags) => {
    const { folder, args } = rehearse(30);
    const api = await simulator();
    const run = await push(api, args, 'me/answers', ...flags);
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toContain(`Pushed 30 rows to ${api.url}/datasets/me/answers\n`);
    const info = await getJson(api, '/api/datasets/me/answers');
    expect(info).toMatchObject({ id: 'me/answers', private: visibility === 'private' });
    expect(await commitsOf(api, 'me/answers')).toEqual([
      'Add 30 rows annotated by gpt-4o-mini',
      'initial commit',
    ]);
    const results = resultsIn(folder);
    expect(await rowsOf(api, 'me/answers')).toEqual(results.rows());
    expect(await fileOf(api, 'me/answers', 'summary.json')).toBe(
      readFileSync(results.saved('summary.json'), 'utf8'),
    );
    // Files made only for the push are deleted.
    expect(readdirSync(results.temp('.'))).not.toContain('reannotated.parquet');
  });

  it('states in the card where rows come from and how they ended', async () => {
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(40));
    const folder = temporaryFolder();
    const api = await simulator({
      datasets: { 'them/source': data },
      datasetCards: { 'them/source': { license: 'cc-by-4.0' } },
      faults: { refusal: 0.2 },
    });
    const run = await push(
      api,
      [
        ...['--annotator', 'gpt-4o-mini', '--dataset', 'them/source', '--limit', '35', ...foldersIn(folder)],
        ...['--temperature', '0.5', '--stop', 'END,\\n', '--include_metadata', '--output_format', 'parquet'],
      ],
      'me/answers',
    );
    expect(run.code, run.stderr).toBe(3);
    const results = resultsIn(folder);
    const { rows, tokens, cost_usd: cost } = results.summary();
    expect(rows['refused']).toBeGreaterThan(0);
    const card = await fileOf(api, 'me/answers', 'README.md');
    expect(metadataOf(card)).toEqual({
      license: 'cc-by-4.0',
      tags: ['reannotate', 'synthetic'],
      source_datasets: ['them/source'],
      size_categories: ['n<1K'],
      configs: [{ config_name: 'default', data_files: [{ split: 'train', path: DATA }] }],
    });
    const info = await getJson(api, '/api/datasets/them/source/revision/HEAD');
    expect(told(card, 'Source')).toContain('them/source');
    expect(told(card, 'Subset, split')).toBe('default, train');
    expect(told(card, 'Revision')).toBe(info['sha']);
    expect(told(card, 'Licence of the source')).toBe('cc-by-4.0');
    expect(told(card, 'Annotator')).toBe('gpt-4o-mini (OpenAI)');
    expect(told(card, 'Models that answered')).toContain('gpt-4o-mini-2024-07-18');
    expect(told(card, 'Parameters')).toContain('`temperature` 0.5');
    expect(told(card, 'Tokens')?.replaceAll(',', '')).toBe(
      `${tokens['prompt'] ?? 0} prompt ${tokens['completion'] ?? 0} completion`,
    );
    expect(cost).toBeGreaterThan(0);
    expect(told(card, 'Cost')).toMatch(/^\$0\.\d+ by the list price$/);
    expect(told(card, 'Date')).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(told(card, 'Made with')).toMatch(/^reannotate \d+\.\d+\.\d+$/);
    expect(told(card, '`ok`: answered')).toBe(String(rows['ok']));
    expect(told(card, '`refused`: the model refused to answer')).toBe(String(rows['refused']));
    expect(told(card, 'all')).toBe('35');
    expect(card).toContain(
      "npx reannotate --annotator gpt-4o-mini --dataset them/source --limit 35 --temperature 0.5 --stop 'END,\\n'",
    );
    expect(card).toContain('load_dataset("me/answers", split="train")');
    const pushed = (await rowsOf(api, 'me/answers')) as { state: string }[];
    expect(pushed).toHaveLength(35);
    expect(pushed.filter(({ state }) => state === 'refused')).toHaveLength(rows['refused'] ?? 0);
    expect(existsSync(results.saved('reannotated.parquet'))).toBe(true);
  });

  it('also works later: a finished run is pushed without a request', async () => {
    const { args } = rehearse();
    const api = await simulator();
    expect((await runCli(args, { env: pointingAt(api) })).code).toBe(0);
    const { requests } = api.statistics();
    const run = await runCli([...args, '--resume', '--push_to_hub', 'me/later'], {
      // Not even a key is needed.
      env: pointingAt(api, { HF_TOKEN: TOKEN, OPENAI_API_KEY: '' }),
    });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toContain('Pushed 12 rows');
    expect(api.statistics().requests).toBe(requests);
    expect(await rowsOf(api, 'me/later')).toHaveLength(12);
  });

  it('is split into parts if the Hub requires it', async () => {
    const { folder, args } = rehearse(200);
    const api = await simulator({ hubPartBytes: 5000 });
    const run = await push(api, args, 'me/answers');
    expect(run.code, run.stderr).toBe(0);
    expect(await rowsOf(api, 'me/answers')).toEqual(resultsIn(folder).rows());
  });

  it('is a part of the demo', async () => {
    const folder = temporaryFolder();
    const run = await runCli(['demo', '--push_to_hub', 'you/demo', ...foldersIn(folder)]);
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toMatch(/Pushed 134 rows to http:\/\/127\.0\.0\.1:\d+\/datasets\/you\/demo/);
  });

  it('is kept in the watch-batch line, which pushes what it collects', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(20));
    const api = await simulator();
    const flags = ['--push_to_hub', 'me/batched', '--private', '--yes'];
    const submitted = await submit(api, data, folder, flags, { env: { HF_TOKEN: TOKEN } });
    expect(submitted.code, submitted.stderr).toBe(0);
    const line = submitted.stdout.trim().split('\n').at(-1) ?? '';
    expect(line).toContain('--push_to_hub me/batched --private --yes');
    expect((await get(api, '/api/datasets/me/batched')).status).toBe(404);
    const refused = await paste(line, api, folder);
    expect(refused.stderr).toContain('No token: --push_to_hub needs one');
    const [, , ...words] = wordsOf(line);
    const watched = await runCli([...words, '--check_interval', '0.05'], {
      cwd: folder,
      program: 'watch-batch',
      env: pointingAt(api, { HF_TOKEN: TOKEN }),
    });
    expect(watched.code, watched.stderr).toBe(0);
    expect(watched.stderr).toContain('Pushed 20 rows');
    expect(await getJson(api, '/api/datasets/me/batched')).toMatchObject({ private: true });
    expect(told(await fileOf(api, 'me/batched', 'README.md'), 'Asked')).toBe('in batches');
    expect(await rowsOf(api, 'me/batched')).toEqual(resultsIn(folder).rows());
  });

  it('waits for rows that were not asked', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(10));
    const api = await simulator({ batchPlans: [['expire']] });
    const env = { HF_TOKEN: TOKEN };
    expect((await submit(api, data, folder, [], { env })).code).toBe(0);
    const run = await runCli(
      [...batchArguments(data, folder), '--check_interval', '0.05', '--push_to_hub', 'me/answers'],
      { cwd: folder, program: 'watch-batch', env: pointingAt(api, env) },
    );
    expect(run.code, run.stderr).toBe(3);
    expect(run.stderr).toMatch(/Not pushed to me\/answers: \d+ rows? not sent yet/);
    expect(run.stderr).toMatch(/--push_to_hub me\/answers --finish_online\n$/);
    expect((await get(api, '/api/datasets/me/answers')).status).toBe(404);
  });
});

describe('what is there already', () => {
  it('is only replaced with --yes, announced before any request, and never deleted', async () => {
    const { folder, args } = rehearse();
    const api = await simulator();
    const theirs = { 'README.md': '# Mine\n', 'notes.txt': 'keep' };
    await makeRepository(api, 'me/answers', theirs);
    const refused = await push(api, args, 'me/answers');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('me/answers has files that a push would replace: README.md. Give --yes');
    expect(api.statistics().requests).toBe(0);
    expect(existsSync(join(folder, 'saved'))).toBe(false);
    const pushed = await push(api, args, 'me/answers', '--yes');
    expect(pushed.code, pushed.stderr).toBe(0);
    expect(await fileOf(api, 'me/answers', 'README.md')).toContain('## Provenance');
    expect(await fileOf(api, 'me/answers', 'notes.txt')).toBe('keep');
  });

  it('needs no --yes where none of our files is among it', async () => {
    const { args } = rehearse();
    const api = await simulator();
    await makeRepository(api, 'me/answers', { 'notes.txt': 'keep' });
    const run = await push(api, args, 'me/answers');
    expect(run.code, run.stderr).toBe(0);
    expect(await fileOf(api, 'me/answers', 'notes.txt')).toBe('keep');
  });

  it('gets no further commit where it is the same', async () => {
    const { args } = rehearse();
    const api = await simulator();
    expect((await push(api, args, 'me/answers')).code).toBe(0);
    const again = await push(api, args, 'me/answers', '--yes', '--resume');
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain('Nothing to push');
    expect(await commitsOf(api, 'me/answers')).toHaveLength(2);
  });

  it('is not taken for private where it is public', async () => {
    const { args } = rehearse();
    const api = await simulator();
    await makeRepository(api, 'me/answers', { 'notes.txt': 'keep' });
    const run = await push(api, args, 'me/answers', '--private', '--yes');
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('me/answers is already public');
    expect(api.statistics().requests).toBe(0);
  });

  it('is not replaced where it came during the run', async () => {
    const { folder, args } = rehearse();
    const api = await simulator();
    const proxy = await faultyProxy(
      () => api.url,
      async ({ line, number }) => {
        if (line === 'POST /v1/chat/completions' && number === 0)
          await makeRepository(api, 'me/answers', { 'README.md': 'new' });
        return null;
      },
    );
    const run = await push(proxy, args, 'me/answers');
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/The results are saved, but not pushed.*has files that a push would replace/);
    expect(await fileOf(api, 'me/answers', 'README.md')).toBe('new');
    expect(resultsIn(folder).rows()).toHaveLength(12);
  });

  it('is not replaced where it came at the last moment', async () => {
    const { args } = rehearse();
    const api = await simulator();
    const proxy = await faultyProxy(
      () => api.url,
      async ({ line }) => {
        if (line === 'POST /api/datasets/me/answers/commit/main')
          await makeRepository(api, 'me/answers', { 'README.md': 'new' });
        return null;
      },
    );
    const run = await push(proxy, args, 'me/answers');
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('me/answers changed while it was pushed to');
    expect(await fileOf(api, 'me/answers', 'README.md')).toBe('new');
  });
});

describe('before anything is asked', () => {
  it.each([
    ['no token', {}, { HF_TOKEN: '' }, 'No token: --push_to_hub needs one that may write to me/answers'],
    ['a token of another shape', {}, { HF_TOKEN: 'hf_a b c' }, 'HF_TOKEN contains a space'],
    ['a wrong token', { hubToken: 'hf_right' }, {}, 'The Hub refused HF_TOKEN'],
    ['a token that may only read', { hubRole: 'read' as const }, {}, 'HF_TOKEN may only read'],
    ['somebody else’s name', { hubUser: 'you' }, {}, 'HF_TOKEN belongs to you, who is not in me'],
  ])('%s ends it', async (_, settings, environment, message) => {
    const { folder, args } = rehearse();
    const api = await simulator(settings);
    const run = await runCli([...args, '--push_to_hub', 'me/answers'], {
      env: pointingAt(api, { HF_TOKEN: TOKEN, ...environment }),
    });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain(message);
    expect(api.statistics().requests).toBe(0);
    expect(existsSync(join(folder, 'saved'))).toBe(false);
  });

  it('a fine-grained token for something else ends it', async () => {
    const { args } = rehearse();
    const api = await simulator();
    const fineGrained = { scoped: [{ entity: { name: 'me/other' }, permissions: ['repo.write'] }] };
    const body = { name: 'me', orgs: [], auth: { accessToken: { role: 'fineGrained', fineGrained } } };
    const proxy = await faultyProxy(
      () => api.url,
      ({ line }) => (line === 'GET /api/whoami-v2' ? { status: 200, body: JSON.stringify(body) } : null),
    );
    const run = await push(proxy, args, 'me/answers');
    expect(run.code, run.stderr).toBe(1);
    expect(run.stderr).toContain('HF_TOKEN may not write to me/answers');
  });

  it('an app’s token is left to the Hub, which has the last word', async () => {
    const { args } = rehearse();
    const api = await simulator();
    const body = { type: 'app', name: 'some-app', auth: { type: 'app_token' } };
    const proxy = await faultyProxy(
      () => api.url,
      ({ line }) => (line === 'GET /api/whoami-v2' ? { status: 200, body: JSON.stringify(body) } : null),
    );
    expect((await push(proxy, args, 'me/answers')).code).toBe(0);
    const refused = await push(proxy, rehearse().args, 'them/answers');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('The account of HF_TOKEN may not write to them/answers');
  });

  it('a name that the Hub has for no dataset is a wrong command line', async () => {
    const { args } = rehearse();
    const run = await runCli([...args, '--push_to_hub', 'answers']);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('--push_to_hub takes USER/NAME');
  });

  it.each(['--private', '--yes'])('%s alone is a wrong command line', async (flag) => {
    const { args } = rehearse();
    const run = await runCli([...args, flag]);
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(`${flag} requires --push_to_hub`);
  });

  it('a Hub that leads elsewhere gets no token there', async () => {
    const { args } = rehearse();
    const other = await scriptedApi(() => ({ body: { name: 'me', orgs: [], auth: {} } }));
    const api = await simulator();
    const proxy = await faultyProxy(
      () => api.url,
      ({ line }) =>
        line === 'GET /api/whoami-v2' ? { status: 307, headers: { location: `${other.url}/x` } } : null,
    );
    const run = await push(proxy, args, 'me/answers');
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('which is not followed with a token');
    expect(other.requests).toHaveLength(0);
  });
});

describe('a Hub that fails', () => {
  const STEPS = [
    'GET /api/whoami-v2',
    'GET /api/datasets/me/answers/revision/HEAD',
    'POST /api/repos/create',
    'POST /api/datasets/me/answers/paths-info/main',
    'POST /api/datasets/me/answers/preupload/main',
    'POST /datasets/me/answers.git/info/lfs/objects/batch',
    'PUT /simulator/uploads/',
    'POST /api/datasets/me/answers/commit/main',
  ];
  const first =
    (fault: Fault) =>
    ({ line, number }: PassingRequest): Fault =>
      number === 0 && STEPS.some((step) => line.startsWith(step)) ? fault : null;

  /** A simulator behind a proxy, with the large files. */
  async function behind(
    script: (request: PassingRequest) => Fault | Promise<Fault>,
  ): Promise<{ api: Awaited<ReturnType<typeof simulator>>; proxy: Awaited<ReturnType<typeof faultyProxy>> }> {
    let address = '';
    const proxy = await faultyProxy(() => address, script);
    const api = await simulator({ hubStorageUrl: proxy.url });
    address = api.url;
    return { api, proxy };
  }

  it.each<[string, Fault]>([
    ['503', { status: 503, headers: { 'retry-after': '0' } }],
    ['a reset', 'reset'],
    ['no answer to what was done', 'unanswered'],
  ])('once at every step, with %s, is asked again', async (_, fault) => {
    const { folder, args } = rehearse();
    const { api, proxy } = await behind(first(fault));
    const run = await push(proxy, args, 'me/answers');
    expect(run.code, run.stderr).toBe(0);
    for (const step of STEPS) {
      const times = proxy.requests.filter(({ line }) => line.startsWith(step)).length;
      const made = step.includes('/commit/') && fault === 'unanswered' ? 1 : 2;
      expect(times, step).toBeGreaterThanOrEqual(made);
    }
    expect(await commitsOf(api, 'me/answers')).toHaveLength(2);
    expect(await rowsOf(api, 'me/answers')).toEqual(resultsIn(folder).rows());
  });

  it.each<[string, string, Fault, string]>([
    ['forbids the commit', 'POST /api/datasets/me/answers/commit/main', { status: 403 }, 'may not write to'],
    ['has no room', 'POST /datasets/me/answers.git/info/lfs/objects/batch', { status: 413 }, 'too large'],
    [
      'sends no JSON',
      'POST /api/datasets/me/answers/preupload/main',
      { status: 200, body: '<html>' },
      'something unexpected',
    ],
  ])(
    'for good (%s): the results are saved, and the printed command pushes them',
    async (_, step, fault, why) => {
      const { folder, args } = rehearse();
      let isBroken = true;
      const { api, proxy } = await behind(({ line }) => (isBroken && line === step ? fault : null));
      const run = await push(proxy, args, 'me/answers');
      expect(run.code).toBe(1);
      expect(run.stderr).toContain('The results are saved, but not pushed to me/answers.');
      expect(run.stderr).toContain(why);
      expect(resultsIn(folder).rows()).toHaveLength(12);
      const { requests } = api.statistics();
      isBroken = false;
      const command = /Push them with: (.*)\n$/.exec(run.stderr)?.[1] ?? '';
      const [npx, program, ...words] = wordsOf(command);
      expect([npx, program]).toEqual(['npx', 'reannotate']);
      const again = await runCli(words, { env: pointingAt(proxy, { HF_TOKEN: TOKEN }) });
      expect(again.code, again.stderr).toBe(0);
      expect(api.statistics().requests).toBe(requests);
      expect(await rowsOf(api, 'me/answers')).toEqual(resultsIn(folder).rows());
    },
  );

  it('permanently: the printed command leaves failed rows alone', async () => {
    const { folder, args } = rehearse();
    let isBroken = true;
    const chat = await scriptedApi(({ prompt }) =>
      prompt.includes('number 3 ') ? apiError(400, 'not this one') : 'new',
    );
    const { api, proxy } = await behind(({ line }) =>
      isBroken && line.endsWith('/preupload/main') ? { status: 403 } : null,
    );
    const env = { ...pointingAt(proxy, { HF_TOKEN: TOKEN }), OPENAI_BASE_URL: `${chat.url}/v1` };
    const run = await runCli([...args, '--push_to_hub', 'me/answers'], { env });
    expect(run.code).toBe(1);
    expect(resultsIn(folder).summary().rows['failed']).toBe(1);
    const asked = chat.requests.length;
    isBroken = false;
    const [, , ...words] = wordsOf(/Push them with: (.*)\n$/.exec(run.stderr)?.[1] ?? '');
    const again = await runCli(words, { env });
    expect(again.code, again.stderr).toBe(3);
    expect(again.stderr).toContain('Pushed 12 rows');
    expect(chat.requests).toHaveLength(asked);
    const card = await fileOf(api, 'me/answers', 'README.md');
    expect(told(card, '`failed`: without an answer')).toBe('1');
  });

  it('can be interrupted with Ctrl-C: the results are safe', async () => {
    const { folder, args } = rehearse();
    let interrupt = (): void => undefined;
    const { proxy } = await behind(({ line }) => {
      if (!line.endsWith('/commit/main')) return null;
      interrupt();
      return 'silence';
    });
    const { child, finished } = startCli([...args, '--push_to_hub', 'me/answers'], {
      env: pointingAt(proxy, { HF_TOKEN: TOKEN }),
    });
    interrupt = () => child.kill('SIGINT');
    const run = await finished;
    expect(run.code, run.stderr).toBe(130);
    expect(run.stderr).toMatch(/the results are saved\. Push them with: npx reannotate .* --resume\n$/);
    expect(resultsIn(folder).rows()).toHaveLength(12);
  });
});

describe('text from outside', () => {
  const HOSTILE =
    '<script>alert(1)</script> | **x** `y` [z](http://evil.example) www.evil.example \u202e\u001b[31m';

  it('has no effect in a card', async () => {
    const folder = join(temporaryFolder(), 'secret-folder');
    mkdirSync(folder);
    const name = 'a|b <img src=x onerror=alert(1)> [c](http:x) `d`.json';
    const data = writeJson(folder, name, alpacaRows(5));
    const api = await scriptedApi(() => ({ body: completion('new', { model: HOSTILE }) }));
    const hub = await simulator();
    const run = await runCli(
      [...['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(folder)], '--push_to_hub', 'me/a'],
      { env: { ...pointingAt(hub, { HF_TOKEN: TOKEN }), OPENAI_BASE_URL: `${api.url}/v1` } },
    );
    expect(run.code, run.stderr).toBe(0);
    const card = await fileOf(hub, 'me/a', 'README.md');
    expect(metadataOf(card)).not.toHaveProperty('source_datasets');
    expect(card).not.toContain('secret-folder');
    // Code is shown unchanged, and the metadata was checked.
    const text = card.replace(/^---[\s\S]*?\n---\n|```[\s\S]*?```/g, '');
    expect(text).not.toMatch(/(?<!\\)[<>]|\*\*|(?<!\\)\]\(|(?<!\\):\/\/|www\.|[\u202e\u001b]/);
    const model = told(card, 'Models that answered') ?? '';
    expect(model.match(/(?<!\\)\|/g)).toBeNull();
    expect(model).toContain('(5 rows)');
    expect(told(card, 'Source')).toContain('the file a\\|b');
  });

  it('omits unknown licences from the metadata', async () => {
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(3));
    const api = await simulator({
      datasets: { 'them/source': data },
      datasetCards: { 'them/source': { license: [HOSTILE, 'mit'] } },
    });
    const run = await push(
      api,
      ['--annotator', 'gpt-4o-mini', '--dataset', 'them/source', ...foldersIn(temporaryFolder())],
      'me/answers',
    );
    expect(run.code, run.stderr).toBe(0);
    const card = await fileOf(api, 'me/answers', 'README.md');
    expect(metadataOf(card)['license']).toBe('mit');
    expect(metadataOf(card)['tags']).toEqual(['reannotate', 'synthetic']);
  });
});

describe('the token', () => {
  it('is shown nowhere, even if the Hub echoes it', async () => {
    const shown = [TOKEN, JSON.stringify(TOKEN).slice(1, -1), encodeURIComponent(TOKEN)];
    const { folder, args } = rehearse();
    const api = await simulator();
    let isKind = true;
    const proxy = await faultyProxy(
      () => api.url,
      ({ line, headers, number }) => {
        const said = JSON.stringify({ error: `no ${String(headers.authorization)}` });
        const echo = { 'x-request-id': String(headers.authorization) };
        if (line.endsWith('/commit/main') && !isKind) return { status: 400, headers: echo, body: said };
        return number === 0 && !line.includes('/v1/') ? { status: 500, headers: echo, body: said } : null;
      },
    );
    isKind = false;
    const run = await push(proxy, args, 'me/answers', '--logging_level', 'debug');
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('[redacted]');
    isKind = true;
    const again = await push(proxy, args, 'me/answers', '--resume', '--logging_level', 'debug');
    expect(again.code, again.stderr).toBe(0);
    expect(proxy.requests.some(({ headers }) => headers.authorization === `Bearer ${TOKEN}`)).toBe(true);
    const texts = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'));
    for (const path of ['README.md', 'summary.json']) texts.push(await fileOf(api, 'me/answers', path));
    for (const text of [...texts, run.stdout, run.stderr, again.stdout, again.stderr])
      for (const secret of shown) expect(text).not.toContain(secret);
  });

  it('goes to the Hub alone, not to where large files are stored', async () => {
    const { args } = rehearse();
    let address = '';
    const store = await faultyProxy(
      () => address,
      () => null,
    );
    const api = await simulator({ hubStorageUrl: store.url });
    address = api.url;
    const run = await push(api, args, 'me/answers');
    expect(run.code, run.stderr).toBe(0);
    const uploads = store.requests.filter(({ line }) => line.startsWith('PUT '));
    expect(uploads.length).toBeGreaterThan(0);
    for (const { headers } of uploads) expect(headers.authorization).toBeUndefined();
  });
});

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Simulator } from '../../src/simulator/server.js';
import {
  batchArguments,
  idsOf,
  impatient,
  online,
  paste,
  startWatch,
  submit,
  watch,
} from '../support/batch-cli.js';
import { pointingAt, resultsIn, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { faultyProxy } from '../support/faulty-proxy.js';

/** A dataset in its own folder, and the folder of a run. */
function dataset(rows: number): { data: string; folder: string; root: string } {
  const root = temporaryFolder();
  return { root, folder: join(root, 'batch'), data: writeJson(root, 'data.json', alpacaRows(rows)) };
}

/** Answers that the simulator gave to each prompt: more than one is paid twice. */
function answersToEach(api: Simulator): number[] {
  return Object.values(api.statistics().answersByPrompt);
}

function paidOnce(api: Simulator, rows: number): void {
  expect(answersToEach(api)).toEqual(new Array<number>(rows).fill(1));
}

async function bytesOnline(api: Simulator, data: string, root: string): Promise<string> {
  expect((await online(api, data, root)).code).toBe(0);
  return resultsIn(join(root, 'online')).bytes();
}

describe('a run in batches', () => {
  it('of a model that answers on the Responses API alone goes there, and its results hold the reasoning', async () => {
    const { data, folder, root } = dataset(3);
    const api = await simulator({ reasoning: 'reasoning_content' });
    const submitted = await submit(api, data, folder, ['--annotator', 'o3-pro'], { cwd: root });
    expect(submitted.code, submitted.stderr).toBe(0);
    const watched = await paste(submitted.stdout, api, root);
    expect(watched.code, watched.stderr).toBe(0);
    const { rows, temp } = resultsIn(folder);
    expect(readFileSync(temp('jobs_batch.json'), 'utf8')).toContain('"url":"/v1/responses"');
    const results = rows() as { annotation: string | null; reasoning?: string | null }[];
    expect(
      results.every(({ annotation, reasoning }) => annotation !== null && (reasoning ?? '') !== ''),
    ).toBe(true);
    paidOnce(api, 3);
  });

  it('submits chunks, prints the command that watches, and ends with the bytes of an online run', async () => {
    const { data, folder, root } = dataset(40);
    const api = await simulator();
    const submitted = await submit(api, data, folder, ['--max_batch_size', '15'], { cwd: root });
    expect(submitted.code, submitted.stderr).toBe(0);
    expect(submitted.stdout.trim().split('\n')).toHaveLength(1);
    expect(idsOf(submitted)).toHaveLength(3);
    const { temp, saved } = resultsIn(folder);
    const files = readdirSync(temp('.')).filter((name) => name.startsWith('jobs_batch'));
    expect(files.sort()).toEqual(['jobs_batch_0.json', 'jobs_batch_1.json', 'jobs_batch_2.json']);
    const objects = JSON.parse(readFileSync(saved('batch_objects.json'), 'utf8')) as { id: string }[];
    expect(objects.map(({ id }) => id).sort()).toEqual(idsOf(submitted).sort());

    const watched = await paste(submitted.stdout, api, root);
    expect(watched.code, watched.stderr).toBe(0);
    expect(watched.stdout).toBe('');
    paidOnce(api, 40);
    const summary = resultsIn(folder).summary();
    expect(summary).toMatchObject({
      mode: 'batch',
      requests: { sent: 40 },
      rows: { total: 40, ok: 40, pending: 0 },
    });
    expect(resultsIn(folder).bytes()).toBe(await bytesOnline(api, data, root));
    // Half the price of the online run.
    expect(summary.cost_usd).toBeCloseTo((resultsIn(join(root, 'online')).summary().cost_usd ?? 0) / 2, 6);
    const raw = readFileSync(join(root, 'batch_results.jsonl'), 'utf8').trim().split('\n');
    expect(
      raw.map((line) => Number((JSON.parse(line) as { custom_id: string }).custom_id)).sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 40 }, (_, row) => row));
    expect(existsSync(join(root, 'batch_errors.jsonl'))).toBe(false);
  });

  it('names the only file jobs_batch.json, with one request a line as the Batch API wants it', async () => {
    const { data, folder } = dataset(5);
    const api = await simulator();
    expect((await submit(api, data, folder)).code).toBe(0);
    const lines = resultsIn(folder).lines('jobs_batch.json') as Record<string, unknown>[];
    expect(lines.map(({ custom_id: id }) => id)).toEqual(['0', '1', '2', '3', '4']);
    expect(lines[0]).toMatchObject({
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model: 'gpt-4o-mini', seed: 42 },
    });
    expect(lines[0]?.['body']).not.toHaveProperty('metadata');
  });

  it('cuts at bytes as well, and fails a row that is too large for any file', async () => {
    const root = temporaryFolder();
    const rows = alpacaRows(12).map((row, index) => ({
      ...row,
      instruction: index === 7 ? 'x'.repeat(5000) : row.instruction,
    }));
    const data = writeJson(root, 'data.json', rows);
    const api = await simulator();
    const folder = join(root, 'run');
    const submitted = await submit(api, data, folder, ['--max_batch_bytes', '3000']);
    expect(submitted.code, submitted.stderr).toBe(0);
    const { temp } = resultsIn(folder);
    for (const name of readdirSync(temp('.')).filter((file) => file.startsWith('jobs_batch'))) {
      expect(statSync(temp(name)).size).toBeLessThanOrEqual(3000);
    }
    const watched = await watch(api, data, folder);
    expect(watched.code).toBe(3);
    expect(resultsIn(folder).summary().rows).toMatchObject({ ok: 11, failed: 1 });
    expect(resultsIn(folder).lines('failed_rows.jsonl')).toMatchObject([
      { request_idx: 7, state: 'failed', error: expect.stringContaining('--max_batch_bytes') as string },
    ]);
  });

  it('submits nothing twice: --resume finds all submitted, and online refuses while batches are in progress', async () => {
    const { data, folder } = dataset(20);
    const api = await simulator({ batchDurationMs: 60_000 });
    expect((await submit(api, data, folder, ['--max_batch_size', '10'])).code).toBe(0);
    const again = await submit(api, data, folder, ['--max_batch_size', '10', '--resume']);
    expect(again.code, again.stderr).toBe(0);
    expect(idsOf(again)).toHaveLength(2);
    expect(api.statistics()).toMatchObject({ batchesCreated: 2, filesUploaded: 2 });
    const onlineRun = await runCli([...batchArguments(data, folder), '--resume'], { env: pointingAt(api) });
    expect(onlineRun.code).toBe(1);
    expect(onlineRun.stderr).toMatch(
      /in 2 batches that may still answer them; sending them online would pay twice.*npx watch-batch/,
    );
    expect(api.statistics().requests).toBe(0);
  });

  it('stays below --max_cost by the worst case of what is in progress', async () => {
    const { data, folder } = dataset(30);
    const api = await simulator();
    const args = ['--max_batch_size', '10', '--max_tokens', '1000', '--max_cost', '0.0045'];
    const submitted = await submit(api, data, folder, args);
    expect(submitted.code, submitted.stderr).toBe(3);
    expect(submitted.stderr).toMatch(
      /2 batches not submitted: --max_cost 0\.0045 .*allow more with: .*--max_cost 0\.0\d+ --resume/,
    );
    expect(api.statistics().batchesCreated).toBe(1);
    expect(idsOf(submitted)).toHaveLength(1);
  });
});

describe('what goes wrong while batches are submitted', () => {
  it('leaves the others submitted and recorded, and says what is missing', async () => {
    const { data, folder } = dataset(30);
    const api = await simulator({ batchPlans: [[], ['refuse_create'], []] });
    const size = ['--max_batch_size', '10'];
    const submitted = await submit(api, data, folder, size);
    expect(submitted.code).toBe(1);
    expect(submitted.stderr).toMatch(/1 of 3 batches not submitted: 400 .*--max_batch_size 10 --resume/);
    expect(idsOf(submitted)).toHaveLength(2);
    const objects = JSON.parse(
      readFileSync(resultsIn(folder).saved('batch_objects.json'), 'utf8'),
    ) as unknown[];
    expect(objects).toHaveLength(2);
    expect((await submit(api, data, folder, [...size, '--resume'])).code).toBe(0);
    expect((await watch(api, data, folder)).code).toBe(0);
    paidOnce(api, 30);
  });

  it('reports a model that does not exist before anything is uploaded', async () => {
    const { data, folder } = dataset(5);
    const api = await simulator({ models: ['gpt-4o'] });
    const submitted = await submit(api, data, folder);
    expect(submitted.code).toBe(1);
    expect(submitted.stderr).toMatch(
      /has no model gpt-4o-mini for this key .* The nearest it has: gpt-4o\. Start again .*--annotator gpt-4o$/m,
    );
    expect(api.statistics()).toMatchObject({ filesUploaded: 0, batchesCreated: 0 });
  });

  it('is fixed if a batch file was deleted before it was submitted', async () => {
    const { data, folder } = dataset(20);
    const api = await simulator({ batchPlans: [[], ['refuse_create']] });
    const size = ['--max_batch_size', '10'];
    expect((await submit(api, data, folder, size)).code).toBe(1);
    const { temp } = resultsIn(folder);
    const { chunks } = JSON.parse(readFileSync(temp('batches.json'), 'utf8')) as {
      chunks: { state: string; file: string }[];
    };
    rmSync(temp(chunks.find(({ state }) => state !== 'submitted')?.file ?? ''));
    expect((await submit(api, data, folder, [...size, '--resume'])).code).toBe(0);
    expect((await watch(api, data, folder)).code).toBe(0);
    paidOnce(api, 20);
  });
});

describe('what goes wrong in batches', () => {
  const plans = [[], ['expire'], [], ['queue'], ['row_errors'], [], ['lying_counts']] as const;

  it('is fixed by --retry_failed: every row, the bytes of an online run, nothing paid twice', async () => {
    const { data, folder, root } = dataset(350);
    const api = await simulator({ batchPlans: plans });
    expect((await submit(api, data, folder, ['--max_batch_size', '50'])).code).toBe(0);
    const first = await watch(api, data, folder);
    expect(first.code, first.stderr).toBe(3);
    expect(resultsIn(folder).summary().rows).toMatchObject({ total: 350, failed: 0, pending: 28 });
    expect(first.stderr).toMatch(/--retry_failed/);
    expect(first.stderr).toMatch(/--finish_online/);
    const second = await watch(api, data, folder, ['--retry_failed']);
    expect(second.code, second.stderr).toBe(0);
    paidOnce(api, 350);
    expect(resultsIn(folder).bytes()).toBe(await bytesOnline(api, data, root));
  });

  it('is fixed by --finish_online, which sends exactly the missing rows', async () => {
    const { data, folder, root } = dataset(350);
    const api = await simulator({ batchPlans: plans });
    expect((await submit(api, data, folder, ['--max_batch_size', '50'])).code).toBe(0);
    const watched = await watch(api, data, folder, ['--finish_online']);
    expect(watched.code, watched.stderr).toBe(0);
    expect(api.statistics().requests).toBe(28);
    paidOnce(api, 350);
    expect(resultsIn(folder).bytes()).toBe(await bytesOnline(api, data, root));
  });

  it('is finished in the flex tier at the price of a batch, where the model has it', async () => {
    const { data, folder } = dataset(20);
    const api = await simulator({ batchPlans: [['expire']] });
    const flags = ['--annotator', 'gpt-5-nano'];
    expect((await submit(api, data, folder, flags)).code).toBe(0);
    const watched = await watch(api, data, folder, [...flags, '--finish_online', '--service_tier', 'flex']);
    expect(watched.code, watched.stderr).toBe(0);
    const { cost_usd: cost } = resultsIn(folder).summary();
    const whole = join(folder, 'online');
    expect((await runCli([...batchArguments(data, whole), ...flags], { env: pointingAt(api) })).code).toBe(0);
    expect(cost).toBeCloseTo((resultsIn(whole).summary().cost_usd ?? 0) / 2, 6);
  });

  it('is found in the account where its creation is never answered', async () => {
    const { data, folder } = dataset(10);
    const api = await simulator({ batchPlans: [['hang_create']] });
    const first = await submit(api, data, folder, ['--request_timeout', '0.5']);
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toMatch(
      /Found batch_\w+, which was created from jobs_batch\.json although its creation was not confirmed/,
    );
    expect((await watch(api, data, folder)).code).toBe(0);
    expect(api.statistics().batchesCreated).toBe(1);
  });

  it('is handled immediately if nothing is lost by it', async () => {
    // One batch each.
    const harmless = [
      'null_error_missing',
      'cut_download',
      'duplicate_line',
      'foreign_line',
      'error_create',
      'busy_create',
    ] as const;
    const { data, folder, root } = dataset(20 * harmless.length);
    const api = await simulator({ batchPlans: harmless.map((fault) => [fault]) });
    const env = impatient(60);
    const submitted = await submit(api, data, folder, ['--max_batch_size', '20'], { env });
    expect(submitted.code, submitted.stderr).toBe(0);
    const watched = await watch(api, data, folder, [], { env });
    expect(watched.code, watched.stderr).toBe(0);
    expect(api.statistics().batchesCreated).toBe(harmless.length);
    paidOnce(api, 20 * harmless.length);
    expect(resultsIn(folder).bytes()).toBe(await bytesOnline(api, data, root));
  });

  it('leaves rows pending where they have no answer, says why, and --retry_failed sends them again', async () => {
    // One batch each.
    const reasons = {
      status_zero: /1 × no answer \(status 0, empty body\)/,
      torn_line: /1 line of .* can't be read, even after a second download/,
      no_output: /20 × 500 server_error/,
      validation: /failed: line 2: /,
    };
    const { data, folder } = dataset(80);
    const faults = Object.keys(reasons) as (keyof typeof reasons)[];
    const api = await simulator({ batchPlans: faults.map((fault) => [fault]) });
    await submit(api, data, folder, ['--max_batch_size', '20']);
    const watched = await watch(api, data, folder);
    expect(watched.code).toBe(3);
    for (const why of Object.values(reasons)) expect(watched.stderr).toMatch(why);
    // A line of each of the first two batches and all of the others; the line that is wrong is the row's own fault.
    expect(resultsIn(folder).summary().rows).toMatchObject({ total: 80, ok: 38, pending: 41, failed: 1 });
    const retried = await watch(api, data, folder, ['--retry_failed']);
    // The row whose line made the batch fail is the only one that is not simply sent again.
    expect(retried.code, retried.stderr).toBe(0);
  });

  it('retries a row with a fault of its own once', async () => {
    const { data, folder } = dataset(20);
    const api = await simulator({ batchFaults: { row_refused: 1 } });
    await submit(api, data, folder);
    const watched = await watch(api, data, folder, ['--retry_failed']);
    expect(watched.code).toBe(3);
    expect(api.statistics().batchesCreated).toBe(2);
    expect(resultsIn(folder).summary().rows).toMatchObject({ ok: 19, failed: 1 });
    expect(resultsIn(folder).lines('failed_rows.jsonl')).toMatchObject([
      { state: 'failed', error: expect.stringMatching(/^400 .*context length/) as string },
    ]);
  });

  it('submits in waves and in halves where the queue is small', async () => {
    const { data, folder, root } = dataset(60);
    // Ten rows of about 70 tokens fit; the first chunks of twenty never do.
    const api = await simulator({ enqueuedTokenLimit: 1000, batchDurationMs: 100 });
    expect((await submit(api, data, folder, ['--max_batch_size', '20'])).code).toBe(0);
    const watched = await watch(api, data, folder);
    expect(watched.code, watched.stderr).toBe(0);
    expect(watched.stderr).toMatch(/larger than the whole queue .* two halves/);
    paidOnce(api, 60);
    expect(resultsIn(folder).bytes()).toBe(await bytesOnline(api, data, root));
  });

  it('survives a network that fails', async () => {
    const { data, folder } = dataset(10);
    const api = await simulator({ batchDurationMs: 50 });
    await submit(api, data, folder);
    let isDown = true;
    const proxy = await faultyProxy(
      () => api.url,
      () => (isDown ? 'reset' : null),
    );
    const { finished, child } = startWatch(proxy, data, folder);
    await new Promise<void>((resolve) => {
      child.stderr.on('data', (text: string) => {
        if (text.includes('Cannot reach the API')) resolve();
      });
    });
    isDown = false;
    const run = await finished;
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toMatch(/The API is reachable again after/);
    paidOnce(api, 10);
  });
});

describe('watching', () => {
  it('resumes where it was stopped, downloads nothing twice, and costs nothing', async () => {
    const { data, folder } = dataset(40);
    const api = await simulator({ batchPlans: [[], ['stuck']] });
    await submit(api, data, folder, ['--max_batch_size', '20']);
    const { child, finished } = startWatch(api, data, folder);
    await new Promise<void>((resolve) => {
      child.stderr.on('data', (text: string) => {
        if (text.includes('20 of 20 answered')) resolve();
      });
    });
    child.kill('SIGINT');
    const stopped = await finished;
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toMatch(
      /Stopped; the batches continue to run. Resume watching with: npx watch-batch /,
    );
    const { fileDownloads } = api.statistics();
    const cancelled = await watch(api, data, folder, ['--cancel', '--yes']);
    expect(cancelled.code, cancelled.stderr).toBe(3);
    expect(resultsIn(folder).summary().rows).toMatchObject({ ok: 30, pending: 10 });
    // The cancelled batch has two files; the collected one is not downloaded again.
    expect(api.statistics().fileDownloads).toBe(fileDownloads + 2);
    const again = await watch(api, data, folder);
    expect(again.code).toBe(3);
    expect(api.statistics().fileDownloads).toBe(fileDownloads + 2);
    expect((await watch(api, data, folder, ['--finish_online'])).code).toBe(0);
    paidOnce(api, 40);
  });

  it('works from another folder with the ids, the dataset and the annotator alone', async () => {
    const { data, folder, root } = dataset(40);
    const api = await simulator({ batchPlans: [[], ['row_errors']] });
    const submitted = await submit(api, data, folder, [
      '--max_batch_size',
      '20',
      '--limit',
      '35',
      '--temperature',
      '0.5',
    ]);
    const elsewhere = join(root, 'elsewhere');
    const ids = ['--batch_ids', idsOf(submitted).join(',')];
    const watched = await watch(api, data, elsewhere, [...ids, '--retry_failed'], { cwd: root });
    expect(watched.code, watched.stderr).toBe(0);
    expect(resultsIn(elsewhere).summary().rows).toMatchObject({ total: 35, ok: 35 });
    paidOnce(api, 35);
    expect((await watch(api, data, folder)).code).toBe(3);
    const uuid = (where: string): string =>
      /^uuid: (.*)$/m.exec(readFileSync(resultsIn(where).saved('config.yaml'), 'utf8'))?.[1] ?? '';
    expect(uuid(elsewhere)).toBe(uuid(folder));
  });

  it('takes batches that another tool made, from a file', async () => {
    const { data, folder, root } = dataset(10);
    const api = await simulator();
    await submit(api, data, folder);
    const objects = JSON.parse(readFileSync(resultsIn(folder).saved('batch_objects.json'), 'utf8')) as {
      metadata?: unknown;
    }[];
    for (const object of objects) delete object.metadata;
    const file = writeJson(root, 'objects.json', objects);
    const elsewhere = join(root, 'elsewhere');
    const watched = await watch(api, data, elsewhere, ['--batch_objects_file', file], { cwd: root });
    expect(watched.code, watched.stderr).toBe(0);
    expect(resultsIn(elsewhere).summary().rows).toMatchObject({ total: 10, ok: 10 });
  });

  it('adopts batches that only batch_objects.json lists, and sends none of their rows before', async () => {
    const { data, folder, root } = dataset(10);
    const api = await simulator();
    await submit(api, data, folder);
    const elsewhere = join(root, 'elsewhere');
    const run = basename(resultsIn(folder).saved('.'));
    mkdirSync(join(elsewhere, 'saved', run), { recursive: true });
    cpSync(
      resultsIn(folder).saved('batch_objects.json'),
      join(elsewhere, 'saved', run, 'batch_objects.json'),
    );
    for (const more of [['--batch'], []]) {
      const refused = await runCli([...batchArguments(data, elsewhere), '--resume', ...more], {
        env: pointingAt(api),
      });
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(/lists batches that were already submitted.*npx watch-batch/);
    }
    const watched = await watch(api, data, elsewhere);
    expect(watched.code, watched.stderr).toBe(0);
    paidOnce(api, 10);
  });

  it.each([
    ['the ledger', ['temp/batches.json', 'saved/batch_objects.json']],
    ['everything', ['temp', 'saved']],
  ])('recovers the batches from the account when %s is lost', async (_, lost) => {
    const { data, folder, root } = dataset(30);
    const api = await simulator();
    await submit(api, data, folder, ['--max_batch_size', '10', '--limit', '25']);
    const { temp, saved } = resultsIn(folder);
    for (const what of lost) {
      if (what === 'temp/batches.json') rmSync(temp('batches.json'));
      else if (what === 'saved/batch_objects.json') rmSync(saved('batch_objects.json'));
      else rmSync(join(folder, what), { recursive: true });
    }
    const blind = await watch(api, data, folder);
    expect(blind.code).toBe(1);
    expect(blind.stderr).toMatch(/--recover/);
    const watched = await watch(api, data, folder, ['--recover']);
    expect(watched.code, watched.stderr).toBe(0);
    expect(resultsIn(folder).summary().rows).toMatchObject({ total: 25, ok: 25 });
    expect(JSON.parse(readFileSync(resultsIn(folder).saved('batch_objects.json'), 'utf8'))).toHaveLength(3);
    paidOnce(api, 25);
    expect(root).not.toBe('');
  });

  it('reports ids that do not belong to the dataset', async () => {
    const { data, folder, root } = dataset(10);
    const api = await simulator();
    const ids = ['--batch_ids', idsOf(await submit(api, data, folder)).join(',')];
    const elsewhere = join(root, 'elsewhere');
    const wrongName = await watch(api, writeJson(root, 'other.json', alpacaRows(10)), elsewhere, ids, {
      cwd: root,
    });
    expect(wrongName.code).toBe(1);
    expect(wrongName.stderr).toMatch(
      /was submitted for the dataset .*data\.json and the annotator gpt-4o-mini, but --dataset and --annotator name another/,
    );
    renameSync(data, `${data}.kept`);
    writeFileSync(data, JSON.stringify(alpacaRows(12).slice(2)));
    const wrongRows = await watch(api, data, join(root, 'third'), ids, { cwd: root });
    expect(wrongRows.code).toBe(1);
    expect(wrongRows.stderr).toMatch(
      /was submitted for another file of this name \(.*data\.json\): its content differs/,
    );
  });

  it('keeps lines of other batches in its output file', async () => {
    const { data, folder } = dataset(10);
    const api = await simulator();
    await submit(api, data, folder);
    const file = join(folder, 'batch_results.jsonl');
    writeFileSync(file, 'another run’s lines\n');
    const watched = await watch(api, data, folder);
    expect(watched.code, watched.stderr).toBe(0);
    expect(watched.stderr).toMatch(/contained lines of other batches and was renamed to/);
    expect(readFileSync(file, 'utf8').trim().split('\n')).toHaveLength(10);
    const aside = readdirSync(folder).find((name) => name.startsWith('batch_results.jsonl.')) ?? '';
    expect(readFileSync(join(folder, aside), 'utf8')).toBe('another run’s lines\n');
  });
});

describe('one sentence each', () => {
  const cases: [
    string,
    (root: string, data: string, api: Simulator) => Promise<{ code: number | null; stderr: string }>,
    number,
    RegExp,
  ][] = [
    [
      'a provider without batches',
      (root, data, api) =>
        runCli(['--annotator', 'llama3-405b', '--dataset', data, '--batch'], {
          cwd: root,
          env: pointingAt(api, { SAMBANOVA_API_KEY: 'sk-samba-1' }),
        }),
      2,
      /SambaNova has no known Batch API, so llama3-405b cannot run in batches/,
    ],
    [
      'a batch that does not exist',
      (root, data, api) => watch(api, data, root, ['--batch_ids', 'batch_nothere']),
      1,
      /There is no batch batch_nothere for this key .*another account or project/,
    ],
    [
      'a batch of another account',
      async (root, data, api) => {
        const ids = idsOf(await submit(api, data, join(root, 'first')));
        return watch(api, data, root, ['--batch_ids', ids.join(',')], {
          env: { OPENAI_API_KEY: 'sk-another-account' },
        });
      },
      1,
      /There is no batch batch_\w+ for this key/,
    ],
    [
      'ids that are none',
      (root, data, api) => watch(api, data, root, ['--batch_ids', 'batch_a,..']),
      2,
      /--batch_ids takes ids such as batch_abc,batch_def/,
    ],
    [
      'nothing to watch',
      (root, data, api) => watch(api, data, root),
      1,
      /No batches of .* are recorded here .*--batch_ids.*--recover/,
    ],
    [
      'a cancellation that nobody can confirm',
      (root, data, api) => watch(api, data, root, ['--cancel']),
      2,
      /--cancel asks for confirmation.*--yes/,
    ],
    [
      'a flex tier that the model does not have',
      (root, data, api) => watch(api, data, root, ['--finish_online', '--service_tier', 'flex']),
      2,
      /gpt-4o-mini has no flex tier/,
    ],
    [
      'a creation that is refused',
      async (root, data) => submit(await simulator({ batchPlans: [['refuse_create']] }), data, root),
      1,
      /1 of 1 batch not submitted: 400 .*--resume/,
    ],
    [
      'an address without /v1',
      async (root, data, { url }) => submit({ url }, data, root, ['--base_url', url]),
      1,
      /has no Batch API .*Most addresses end in \/v1.*Resume with: .*--resume --base_url http:\S+\/v1/,
    ],
    [
      'a wrong key',
      async (root, data) => submit(await simulator({ apiKey: 'sk-the-right-key' }), data, root),
      1,
      /refused the key in OPENAI_API_KEY/,
    ],
  ];

  it.each(cases)('%s', async (_, run, code, sentence) => {
    const root = temporaryFolder();
    const data = writeJson(root, 'data.json', alpacaRows(5));
    const finished = await run(root, data, await simulator());
    expect(finished.stderr).toMatch(sentence);
    expect(finished.code).toBe(code);
    expect(finished.stderr).not.toMatch(/\n\s+at /);
    expect(finished.stderr).not.toContain('sk-test-key');
  });
});

describe('a key that the server echoes', () => {
  it('appears in no file', async () => {
    const key = 'sk-test-key-0001';
    const root = temporaryFolder();
    const rows = alpacaRows(4).map((row) => ({ ...row, instruction: `${row.instruction} answer me` }));
    const data = writeJson(root, 'data.json', rows);
    const answers = join(root, 'answers.jsonl');
    writeFileSync(
      answers,
      rows.map((row) => `${JSON.stringify({ ...row, output: `your key is ${key}` })}\n`).join(''),
    );
    const api = await simulator({ answersFile: answers });
    const folder = join(root, 'run');
    expect((await submit(api, data, folder)).code).toBe(0);
    expect((await watch(api, data, folder)).code).toBe(0);
    expect(resultsIn(folder).rows()[0]?.annotation).toBe('your key is [redacted]');
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) {
      expect(readFileSync(join(file.parentPath, file.name), 'utf8'), file.name).not.toContain(key);
    }
  });
});

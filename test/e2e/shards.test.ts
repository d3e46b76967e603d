import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  runCli,
  simulator,
  startCli,
  temporaryFolder,
} from '../support/cli.js';
import { completion, scriptedApi } from '../support/scripted-api.js';

const ROWS = 40;

function dataset(folder: string): string {
  const path = join(folder, 'data.jsonl');
  const row = (number: number): string => JSON.stringify({ prompt: `Question ${number}?`, response: 'old' });
  writeFileSync(path, `${Array.from({ length: ROWS }, (_, number) => row(number)).join('\n')}\n{"prompt":\n`);
  return path;
}

/** The flags of a run whose folders are below another one. */
function flags(folder: string, path: string): string[] {
  return ['--annotator', 'gpt-4o-mini', '--dataset', path, ...foldersIn(folder)];
}

it('workers that share a plan give what one machine gives, byte for byte, and ask each row once', async () => {
  let onRequest = (): void => undefined;
  const api = await scriptedApi(({ prompt }) => {
    onRequest();
    return { body: completion(`Answer to ${prompt}`) };
  });
  const [folder, alone] = [temporaryFolder(), temporaryFolder()];
  const [env, path] = [pointingAt(api), dataset(folder)];
  expect(await runCli([...flags(alone, path), '--output_format', 'jsonl'], { env })).toMatchObject({
    code: 3,
  });
  api.requests.length = 0;

  const planned = await runCli(
    ['plan', ...flags(folder, path), '--output_format', 'jsonl', '--shards', '6'],
    { env },
  );
  expect(planned.code).toBe(0);
  const runDir = planned.stdout.trim();
  expect(runDir.startsWith(join(folder, 'temp'))).toBe(true);
  const isWorking = new Promise<void>((resolve) => (onRequest = resolve));
  const fifth = runCli(['work', runDir], { env: { ...env, SLURM_ARRAY_TASK_ID: '5' } });
  // The others take any open shard: had they this one, its own worker would have to try again later.
  await Promise.race([isWorking, fifth]);
  const workers = [fifth, ...[env, env].map((own) => runCli(['work', runDir], { env: own }))];
  for (const { code, stderr } of await Promise.all(workers))
    expect({ code, stderr }).toMatchObject({ code: 0 });

  const status = await runCli(['status', runDir, '--json'], { env });
  expect(JSON.parse(status.stdout)).toMatchObject({
    shards: { total: 6, done: 6 },
    rows: { total: ROWS + 1, ok: ROWS, failed: 1, pending: 0 },
    requests: { sent: ROWS },
  });
  expect(await runCli(['merge', runDir], { env })).toMatchObject({ code: 3 });
  expect(new Set(api.requests.map(({ prompt }) => prompt)).size).toBe(ROWS);
  expect(api.requests).toHaveLength(ROWS);
  for (const name of ['reannotated.json', 'failed_rows.jsonl', 'reannotated.jsonl'])
    expect(readFileSync(resultsIn(folder).saved(name), 'utf8')).toBe(
      readFileSync(resultsIn(alone).saved(name), 'utf8'),
    );
  const times = { started_at: '', finished_at: '' };
  expect({ ...resultsIn(folder).summary(), ...times }).toEqual({ ...resultsIn(alone).summary(), ...times });

  const resumed = await runCli([...flags(folder, path), '--resume'], { env });
  expect(resumed).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('was divided into shards') as string,
  });
});

it('a stopped worker finishes what is in flight, and the next one sends only the rest', async () => {
  let open = (): void => undefined;
  const isOpen = new Promise<void>((resolve) => (open = resolve));
  const [folder, waiting] = [temporaryFolder(), new Set<string>()];
  const api = await scriptedApi(async ({ prompt }, number) => {
    if (number >= 8) {
      waiting.add(prompt);
      if (waiting.size === 4) worker.child.kill('SIGTERM');
      setTimeout(open, 100);
      await isOpen;
    }
    return { body: completion(`Answer to ${prompt}`) };
  });
  const env = pointingAt(api);
  const plan = ['plan', ...flags(folder, dataset(folder)), '--shards', '2', '--max_concurrency', '4'];
  const runDir = (await runCli(plan, { env })).stdout.trim();
  const worker = startCli(['work', runDir, '--shard', '0'], { env });
  expect(await worker.finished).toMatchObject({ code: 143 });
  expect(await runCli(['merge', runDir], { env })).toMatchObject({
    code: 75,
    stderr: expect.stringMatching(
      /Shard 0 is not done \(1\d of 21 rows; interrupted\)[^]*Shard 1 was never worked on/,
    ) as string,
  });
  expect(await runCli(['work', runDir], { env })).toMatchObject({ code: 0 });
  expect(api.requests).toHaveLength(ROWS);
});

it('a refused key stops all workers, and a changed dataset those that would read it', async () => {
  const api = await scriptedApi(({ headers }) =>
    headers.authorization === 'Bearer sk-right-key-0001'
      ? { body: completion('fine') }
      : { status: 401, body: { error: { message: 'Incorrect API key provided', code: 'invalid_api_key' } } },
  );
  const folder = temporaryFolder();
  const path = dataset(folder);
  const right = pointingAt(api, { OPENAI_API_KEY: 'sk-right-key-0001' });
  const runDir = (
    await runCli(['plan', ...flags(folder, path), '--shards', '4'], { env: right })
  ).stdout.trim();
  const wrong = await runCli(['work', runDir, '--shard', '0'], { env: pointingAt(api) });
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('refused the key') as string });
  expect(await runCli(['work', runDir], { env: right })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`delete ${join(runDir, 'stopped.json')}`) as string,
  });
  expect(api.requests).toHaveLength(1);
  rmSync(join(runDir, 'stopped.json'));

  writeFileSync(path, readFileSync(path, 'utf8').replace('Question 35', 'Question XY'));
  expect(await runCli(['work', runDir, '--shard', '3'], { env: right })).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/data\.jsonl has changed since it was planned: rows 31 to 40/) as string,
  });
  expect(api.requests).toHaveLength(1);
});

it('workers that share the account’s queue of batches give what one machine gives online', async () => {
  // Room for the batches of one shard at a time.
  const api = await simulator({ enqueuedTokenLimit: 700, batchDurationMs: 100 });
  const [folder, alone] = [temporaryFolder(), temporaryFolder()];
  const [env, path] = [pointingAt(api), dataset(folder)];
  expect(await runCli(flags(alone, path), { env })).toMatchObject({ code: 3 });
  const plan = ['plan', ...flags(folder, path), '--batch', '--max_batch_size', '5', '--workers', '3'];
  const planned = await runCli(plan, { env });
  const runDir = planned.stdout.trim();
  const work = ['work', runDir, '--check_interval', '0.05'];
  const workers = await Promise.all(
    [0, 1, 2].map((shard) => runCli([...work, '--shard', String(shard)], { env })),
  );
  for (const { code, stderr } of workers) expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(await runCli(['merge', runDir], { env })).toMatchObject({ code: 3 });
  for (const name of ['reannotated.json', 'failed_rows.jsonl'])
    expect(readFileSync(resultsIn(folder).saved(name), 'utf8')).toBe(
      readFileSync(resultsIn(alone).saved(name), 'utf8'),
    );
  expect(resultsIn(folder).summary()).toMatchObject({ mode: 'batch', requests: { sent: ROWS } });
  const { answersByPrompt } = api.statistics();
  expect(new Set(Object.values(answersByPrompt))).toEqual(new Set([2]));
});

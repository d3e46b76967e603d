import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { batchArguments, submit, watch } from '../support/batch-cli.js';
import { foldersIn, pointingAt, resultsIn, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson, writeJsonl } from '../support/data.js';

const ANNOTATOR = ['--annotator', 'gpt-4o-mini'];

/** Requests that were answered, by prompt: more than one is money spent twice. */
function paidTwice(api: Awaited<ReturnType<typeof simulator>>): number {
  return Object.values(api.statistics().answersByPrompt).filter((times) => times > 1).length;
}

/** As if an earlier version had started the run, which took fewer columns for the same requests. */
function readAsEarlier(folder: string): void {
  const path = resultsIn(folder).temp('run.json');
  const identity = JSON.parse(readFileSync(path, 'utf8')) as { found: { columns: string[] } };
  expect(identity.found.columns).toContain('output');
  identity.found.columns = identity.found.columns.filter((column) => column !== 'output');
  writeFileSync(path, JSON.stringify(identity));
}

describe('a trial that grows', () => {
  it('extends a finished run of the Hub to the whole dataset, and pays for the new rows only', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(9));
    const api = await simulator({ datasets: { 'me/data': data } });
    const env = pointingAt(api);
    const args = (own: string): string[] => [
      ...ANNOTATOR,
      '--dataset',
      'me/data',
      '--offset',
      '1',
      ...foldersIn(own),
    ];
    const own = join(folder, 'own');
    expect(await runCli([...args(own), '--limit', '3'], { env })).toMatchObject({ code: 0 });
    const grown = await runCli([...args(own), '--limit', '5', '--resume'], { env });
    expect(grown).toMatchObject({ code: 0 });
    expect(grown.stderr).toContain('Extending this run from 3 rows to --limit 5');
    expect(resultsIn(own).summary().rows).toMatchObject({ total: 5, ok: 5 });
    const smaller = await runCli([...args(own), '--limit', '4', '--resume'], { env });
    expect(smaller.code).toBe(1);
    expect(smaller.stderr).toContain('--limit 4 would leave rows out. Use --limit 5');
    expect(await runCli([...args(own), '--resume'], { env })).toMatchObject({ code: 0 });
    expect(api.statistics().answered).toBe(8);
    expect(paidTwice(api)).toBe(0);
    const config = parse(readFileSync(resultsIn(own).saved('config.yaml'), 'utf8')) as {
      params: Record<string, unknown>;
      dataset: { rows: number };
    };
    expect(config).toMatchObject({ params: { limit: null }, dataset: { rows: 8 } });
    const whole = join(folder, 'whole');
    expect(await runCli(args(whole), { env })).toMatchObject({ code: 0 });
    expect(resultsIn(own).bytes()).toBe(resultsIn(whole).bytes());
  });

  it('grows online, then in a batch, from a local file, and finishes without the file', async () => {
    const root = temporaryFolder();
    const folder = join(root, 'run');
    const data = writeJsonl(root, 'data.jsonl', alpacaRows(6));
    const api = await simulator();
    const env = pointingAt(api);
    const args = batchArguments(data, folder);
    expect(await runCli([...args, '--limit', '2'], { env })).toMatchObject({ code: 0 });
    readAsEarlier(folder);
    expect(await submit(api, data, folder, ['--resume', '--limit', '4'])).toMatchObject({ code: 0 });
    expect(await watch(api, data, folder)).toMatchObject({ code: 0 });
    expect(resultsIn(folder).summary().rows).toMatchObject({ total: 4, ok: 4 });
    rmSync(data);
    const without = await runCli([...args, '--resume'], { env });
    expect(without.code).toBe(1);
    expect(without.stderr).toContain(
      'no rows can be added to the 4 of this run. Finish these with --limit 4',
    );
    const finished = await runCli([...args, '--resume', '--limit', '4'], { env });
    expect(finished).toMatchObject({ code: 0 });
    expect(finished.stderr).toContain('no longer exists');
    writeJsonl(root, 'data.jsonl', alpacaRows(6));
    expect(await runCli([...args, '--resume'], { env })).toMatchObject({ code: 0 });
    expect(resultsIn(folder).summary().rows).toMatchObject({ total: 6, ok: 6 });
    expect(api.statistics().answered).toBe(6);
    expect(paidTwice(api)).toBe(0);
    appendFileSync(data, '{"instruction":"new","output":"row"}\n');
    const changed = await runCli([...args, '--resume'], { env });
    expect(changed.code).toBe(1);
    expect(changed.stderr).toContain('37 bytes of rows were appended');
  });
});

describe('which run it is', () => {
  it('refuses to resume what is not there, and names the nearest runs with their flags', async () => {
    const cwd = temporaryFolder();
    const data = writeJson(cwd, 'train.json', alpacaRows(1));
    const api = await simulator();
    const env = pointingAt(api);
    const args = ['--annotator', 'gpt-4o-mini-2024-07-18', '--dataset', 'train.json'];
    expect(
      await runCli([...args, '--save_dir', 'full', '--temp_dir', 'full/temp'], { env, cwd }),
    ).toMatchObject({
      code: 0,
    });
    for (const wrong of [
      ['--annotator', 'gpt-4o-mini', '--dataset', 'train.json'],
      ['--annotator', 'gpt-4o-mini-2024-07-18', '--dataset', data],
    ]) {
      for (const flag of ['--resume', '--resume_no_retry']) {
        const run = await runCli([...wrong, flag], { env, cwd });
        expect(run.code).toBe(1);
        expect(run.stderr).toContain('Nothing to resume');
        expect(run.stderr).toContain(
          '--dataset train.json --annotator gpt-4o-mini-2024-07-18 --temp_dir full/temp --save_dir full',
        );
        expect(run.stderr).toContain(`leave out ${flag}.`);
      }
    }
    expect(existsSync(join(cwd, 'datasets'))).toBe(false);
    rmSync(join(cwd, 'full/temp'), { recursive: true });
    const lost = await runCli([...args, '--save_dir', 'full', '--temp_dir', 'full/temp', '--resume'], {
      env,
      cwd,
    });
    expect(lost.code).toBe(1);
    expect(lost.stderr).toContain('would pay for every row again');
    expect(api.statistics().answered).toBe(1);
  });

  it('distinguishes two files with the same name, and keeps both with --run_name', async () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'a_train.json'), JSON.stringify(alpacaRows(2)));
    const api = await simulator();
    const options = { env: pointingAt(api), cwd };
    const args = [...ANNOTATOR, ...foldersIn(cwd)];
    expect(await runCli([...args, '--dataset', 'a_train.json'], options)).toMatchObject({ code: 0 });
    const other = writeJson(cwd, 'other.json', alpacaRows(1));
    for (const flags of [[], ['--resume']]) {
      const run = await runCli(
        [...args, '--dataset', other, '--run_name', 'a_train.json_gpt-4o-mini', ...flags],
        options,
      );
      expect(run.code).toBe(1);
      expect(run.stderr).toMatch(/another (?:dataset|file).*a_train\.json/);
      expect(run.stderr).toContain('--run_name');
    }
    const named = await runCli([...args, '--dataset', other, '--run_name', 'second'], options);
    expect(named).toMatchObject({ code: 0 });
    expect(existsSync(join(cwd, 'saved', 'second', 'reannotated.json'))).toBe(true);
    // A lost or damaged config is rebuilt as the same run, and what the results hold besides survives.
    const config = join(cwd, 'saved', 'second', 'config.yaml');
    const { uuid } = parse(readFileSync(config, 'utf8')) as { uuid: string };
    writeFileSync(config, ': not [ yaml');
    const resumed = [...args, '--dataset', other, '--run_name', 'second', '--resume'];
    expect(await runCli([...resumed, '--include_metadata'], options)).toMatchObject({ code: 0 });
    expect(await runCli(resumed, options)).toMatchObject({ code: 0 });
    expect(parse(readFileSync(config, 'utf8'))).toMatchObject({ uuid, params: { include_metadata: true } });
    expect(readFileSync(join(cwd, 'saved', 'second', 'reannotated.json'), 'utf8')).toContain('"metadata"');
    expect(api.statistics().answered).toBe(3);
  });
});

import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Validator, type Schema } from '@cfworker/json-schema';
import { beforeAll, expect, it } from 'vitest';
import { foldersIn, pointingAt, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { writeJsonl } from '../support/data.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

const ROWS = [1, 2, 3, 4].map((number) => ({
  prompt: `What is ${number} + 2?`,
  response: String(number + 2),
}));

let tarball: string;
let packed: string;

beforeAll(() => {
  packed = execFileSync('mktemp', ['-d'], { encoding: 'utf8' }).trim();
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', packed];
  const [{ filename }] = JSON.parse(execFileSync('npm', pack, { cwd: ROOT, encoding: 'utf8' })) as [
    { filename: string },
  ];
  tarball = join(packed, filename);
  return () => execFileSync('rm', ['-r', packed]);
});

/** An empty project that has the package from its tarball, and the packages that it depends on. */
function project(): string {
  const folder = temporaryFolder();
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, 'reannotate'), { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(modules, 'reannotate')]);
  for (const name of readdirSync(join(ROOT, 'node_modules')))
    if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeJsonl(folder, 'answers.jsonl', ROWS);
  return folder;
}

it('the example of docs/library.md compiles and runs in a project that has the package from its tarball', async () => {
  const folder = project();
  const [, example = ''] =
    /^```ts\n([^]*?)^```$/m.exec(readFileSync(join(ROOT, 'docs/library.md'), 'utf8')) ?? [];
  writeFileSync(join(folder, 'example.ts'), example);
  const options = { strict: true, noEmit: false, target: 'es2022', module: 'nodenext', types: ['node'] };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: options, files: ['example.ts'] }),
  );
  await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder]);

  const env = { PATH: process.env['PATH'], ...pointingAt(await simulator()) };
  const { stdout } = await run(process.execPath, ['example.js'], { cwd: folder, env });

  expect(stdout).toMatch(/^info: Loaded 3 rows of answers\.jsonl\.$/m);
  expect(stdout).toMatch(/^3 of 3 rows$/m);
  expect(stdout).toMatch(/^3 answers in results\/answers\.jsonl_gpt-4o-mini\/reannotated\.json$/m);
  expect(stdout).toMatch(/^[01] ok /m);
  expect(stdout).toMatch(/^2 of 2 answered$/m);
});

it('a program submits and collects batches and gets errors; the files match their schemas', async () => {
  const folder = project();
  writeFileSync(
    join(folder, 'program.js'),
    `import { reannotate, watchBatch } from 'reannotate';
     const dirs = { dataset: 'answers.jsonl', annotator: 'gpt-4o-mini', save_dir: 'saved', temp_dir: 'temp' };
     const shown = (error) => console.log(error.name, error.exitCode, error.message);
     const { watchCommand, isComplete, summary } = await reannotate({ ...dirs, batch: true });
     console.log(watchCommand, isComplete, summary);
     const collected = await watchBatch({ ...dirs, check_interval: 0.1 });
     console.log(collected.isComplete, collected.summary.rows.ok, collected.watchCommand);
     await reannotate({ ...dirs, limti: 3 }).result.catch(shown);
     await reannotate({ ...dirs, run_name: 'new', limit: 'many' }).result.catch(shown);
     await reannotate({ ...dirs, run_name: 'stopped' }, { signal: AbortSignal.abort() }).result.catch(shown);
     await reannotate({ ...dirs, run_name: 'keyless' }, { env: {} }).result.catch(shown);
     const first = reannotate({ ...dirs, run_name: 'first' });
     await reannotate({ ...dirs, run_name: 'second' }).result.catch(shown);
     console.log((await first).isComplete);`,
  );
  const env = { PATH: process.env['PATH'], ...pointingAt(await simulator({ batchDurationMs: 100 })) };
  const { stdout, stderr } = await run(process.execPath, ['program.js'], { cwd: folder, env });

  expect(stderr).toBe('');
  expect(stdout.split('\n')).toEqual([
    expect.stringMatching(/^npx watch-batch --batch_ids \S+ .* false null$/),
    'true 4 null',
    'UsageError 2 There is no option limti. Did you mean limit?',
    'UsageError 2 The option limit takes a whole number of at least 1, not many.',
    expect.stringMatching(/^RunInterrupted 130 /),
    expect.stringMatching(/^UserError 1 No API key: /),
    expect.stringMatching(/^UserError 1 Another run is in progress/),
    'true',
    '',
  ]);

  const planned = ['plan', '--annotator', 'gpt-4o-mini', '--dataset', join(folder, 'answers.jsonl')];
  const { code } = await runCli([...planned, '--shards', '2', ...foldersIn(folder)], { env });
  expect(code).toBe(0);
  const name = 'answers.jsonl_gpt-4o-mini';
  expect(violations('summary', join(folder, 'saved', name, 'summary.json'))).toEqual([]);
  expect(violations('batch_objects', join(folder, 'saved', name, 'batch_objects.json'))).toEqual([]);
  expect(violations('run', join(folder, 'temp', name, 'run.json'))).toEqual([]);
  const [plan = ''] = readdirSync(join(folder, 'temp'), { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('plan.json'),
  );
  expect(violations('plan', join(folder, 'temp', plan))).toEqual([]);
});

/** What a file has that its schema does not allow. */
function violations(name: string, path: string): string[] {
  const schema = JSON.parse(readFileSync(join(ROOT, 'schemas', `${name}.json`), 'utf8')) as Schema;
  const { errors } = new Validator(schema, '2020-12', false).validate(JSON.parse(readFileSync(path, 'utf8')));
  return errors.map(({ instanceLocation, error }) => `${instanceLocation}: ${error}`);
}

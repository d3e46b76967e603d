import { once } from 'node:events';
import { basename } from 'node:path';
import { expect, it } from 'vitest';
import { foldersIn, pointingAt, runCli, simulator, startCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';

/** What a run says, without what differs between two runs of the same rows. */
function sayings({ code, signal, stdout, stderr }: Awaited<ReturnType<typeof runCli>>, root: string): object {
  const plain = (text: string): string =>
    text.replaceAll(basename(root), 'ROOT').replace(/^Time: .*$/m, 'Time:');
  return { code, signal, stdout: plain(stdout), stderr: plain(stderr) };
}

/** Command lines, the exit code, and the share of rows that the model refuses; `runCli` starts no process for most of them, so their codes are seen here. */
const cases: [what: string, args: (data: string) => string[], code: number, refused?: number][] = [
  ['the version', () => ['--version'], 0],
  ['help', () => ['judge', '--help'], 0],
  ['a finished run', (data) => ['--dataset', data], 0],
  ['a run without a key', (data) => ['--dataset', data, '--api_key_env', 'NOT_SET'], 1],
  ['a wrong flag', () => ['compare', '--no_such_flag'], 2],
  ['a missing argument', () => ['status'], 2],
  ['a run with a refused row', (data) => ['--dataset', data], 3, 1],
];

it.each(cases)('%s ends the same in its own process', async (_, args, code, refused = 0) => {
  const api = await simulator({ faults: { refusal: refused } });
  const run = async (isNewProcess: boolean): Promise<object> => {
    const root = temporaryFolder();
    const words = args(writeJson(root, 'data.json', alpacaRows(3)));
    const folders = words.includes('--dataset') ? foldersIn(root) : [];
    const options = { env: pointingAt(api), cwd: root, isNewProcess };
    return sayings(await runCli([...words, ...folders], options), root);
  };
  const own = await run(true);
  expect(own).toMatchObject({ code, signal: null });
  expect([await run(false), await run(false)]).toEqual([own, own]);
});

it('keeps its exit code if signals arrive until it exits', async () => {
  const { child, finished } = startCli(['simulate', '--port', '0']);
  await once(child.stderr, 'data');
  const repeated = setInterval(() => child.kill('SIGTERM'), 1);
  const { code, signal } = await finished;
  clearInterval(repeated);
  expect({ code, signal }).toEqual({ code: 0, signal: null });
});

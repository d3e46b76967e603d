import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { it, vi } from 'vitest';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  resuming,
  runCli,
  temporaryFolder,
  type Finished,
} from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { countCalls, describeFault, withFault, type DiskFault } from '../support/disk-fault.js';
import { journalLines, leftovers } from '../support/journal.js';
import { scriptedApi } from '../support/scripted-api.js';
import { spread, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = 6;
const CODES: Record<string, string[]> = {
  openSync: ['EMFILE', 'EROFS', 'EACCES'],
  writeSync: ['ENOSPC', 'EIO', 'EDQUOT'],
  writeFileSync: ['ENOSPC', 'EROFS'],
  fsyncSync: ['EIO'],
  fdatasyncSync: ['EIO', 'ENOSPC'],
  renameSync: ['EROFS', 'ENOSPC'],
  linkSync: ['EROFS', 'ENOSPC'],
  mkdirSync: ['ENOSPC', 'EROFS'],
  readSync: ['EIO'],
  closeSync: ['EIO'],
};

/** Runs with a fault, and then without one until the run is whole. */
async function survive(fault: DiskFault, data: string): Promise<Outcome> {
  const folder = join(temporaryFolder(), 'work');
  const api = await scriptedApi(({ prompt }) => `Answer to ${prompt}`);
  const args = ['--dataset', data, '--max_concurrency', '2', ...foldersIn(folder)];
  const env = pointingAt(api);
  const broken = await runCli(args, { env: { ...env, ...withFault(fault, folder) } });
  const answered = api.requests.length;
  const onDisk = journalLines(folder).length;
  const advice = adviceProblem(broken, resuming(folder).length > 0, hasFiles(folder));
  const mended = await runCli([...args, ...resuming(folder)], { env });
  if (mended.code !== 0) throw new Error(`it does not go on: ${mended.stderr}`);
  const rows = resultsIn(folder).rows();
  const left = leftovers(folder);
  return {
    lost:
      ROWS -
      rows.filter(({ annotation, user_prompt: prompt }) => annotation === `Answer to ${prompt ?? ''}`).length,
    // Whatever was on the disk is not asked again.
    paidTwice: Math.max(0, api.requests.length - answered - (ROWS - onDisk)),
    problem: problemOf(broken) ?? advice ?? (left.length > 0 ? `left behind: ${left.join(', ')}` : null),
  };
}

/**
 * A run that has started is resumed; before that, `--resume` would find nothing. Where its folders are still empty, the same
 * command works with `--resume` and without.
 */
function adviceProblem({ code, stderr }: Finished, hasBegun: boolean, hasFile: boolean): string | null {
  if (code !== 75 || /--resume\b/.test(stderr) === hasBegun || (hasBegun && !hasFile)) return null;
  return `the run has ${hasBegun ? '' : 'not '}begun, and the advice is: ${stderr}`;
}

function hasFiles(folder: string): boolean {
  if (!existsSync(folder)) return false;
  return readdirSync(folder, { recursive: true, withFileTypes: true }).some((entry) => entry.isFile());
}

/** What is wrong with the end of a run that met a fault, which must be reported in a sentence or harmless. */
function problemOf({ code, stderr }: Finished): string | null {
  if (code !== 0 && code !== 1 && code !== 75) return `exit code ${code}: ${stderr}`;
  if (/\n\s+at |unexpected problem|injected/i.test(stderr)) return `not for users: ${stderr}`;
  const last = stderr.trimEnd().split('\n').at(-1) ?? '';
  return code !== 0 && !/^error: .{20,}/.test(last) ? `no sentence: ${stderr}` : null;
}

it('a disk that fails at any call costs a sentence, no row and no second payment', async () => {
  const tally = new Tally('disk: ENOSPC, EIO, EROFS, EMFILE … at each call');
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
  const api = await scriptedApi(({ prompt }) => `Answer to ${prompt}`);
  const folder = join(temporaryFolder(), 'work');
  const calls = await countCalls(folder, (env) =>
    runCli(['--dataset', data, '--max_concurrency', '2', ...foldersIn(folder)], {
      env: { ...pointingAt(api), ...env },
    }),
  );
  // The sample has one fault of every kind of call.
  const faults = Object.entries(CODES).flatMap(([call, codes]) =>
    spread(
      Array.from({ length: calls[call] ?? 0 }, (_, at) => at).flatMap((at) =>
        codes.flatMap((code) => [false, true].map((lasting) => ({ call, at, code, lasting }))),
      ),
      1,
    ),
  );
  await tally.play(faults, describeFault, (fault) => survive(fault, data));
  tally.expectAll();
});

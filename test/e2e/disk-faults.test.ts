import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder, type Finished } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { scriptedApi } from '../support/scripted-api.js';

vi.setConfig({ testTimeout: 600_000 });

const PRELOAD = fileURLToPath(new URL('../support/fail-nth-call.js', import.meta.url));
const ROWS = 6;
/** Every call of every kind with EVERY_CALL=1; else some of each, which differ from kind to kind. */
const every = process.env['EVERY_CALL'] !== undefined;
const SAMPLE = 3;

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

interface Fault {
  call: string;
  at: number;
  code: string;
  lasting: boolean;
}

/** Runs with a fault, and then without one until the run is whole. */
async function survive(fault: Fault): Promise<string> {
  const what = `${fault.call} ${fault.at} ${fault.code}${fault.lasting ? ' from then on' : ''}`;
  const folder = join(temporaryFolder(), 'work');
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
  const api = await scriptedApi(({ prompt }) => `Answer to ${prompt}`);
  const args = ['--dataset', data, '--max_concurrency', '2', ...foldersIn(folder)];
  const env = pointingAt(api);
  const broken = await runCli(args, {
    env: {
      ...env,
      NODE_OPTIONS: `--import ${PRELOAD}`,
      FAIL_CALL: fault.call,
      FAIL_AT: String(fault.at),
      FAIL_CODE: fault.code,
      FAIL_BELOW: folder,
      FAIL_LASTING: fault.lasting ? '1' : undefined,
    },
  });
  expectSentence(broken, what);
  const answered = api.requests.length;
  const onDisk = wholeAnswers(folder);
  const mended = await runCli([...args, '--resume'], { env });
  expect(mended.code, `${what}: ${mended.stderr}`).toBe(0);
  expect(
    resultsIn(folder)
      .rows()
      .map(({ annotation, user_prompt: prompt }) => annotation === `Answer to ${prompt ?? ''}`),
    what,
  ).toEqual(new Array(ROWS).fill(true));
  // Whatever was on the disk is not asked again.
  expect(api.requests.length - answered, what).toBeLessThanOrEqual(ROWS - onDisk);
  const left = readdirSync(folder, { recursive: true }).map(String);
  expect(
    left.filter((name) => /reannotate-tmp|lock/.test(name)),
    what,
  ).toEqual([]);
  return resultsIn(folder).bytes();
}

function expectSentence(run: Finished, what: string): void {
  expect([0, 1], `${what}: ${run.stderr}`).toContain(run.code);
  expect(run.stderr, what).not.toMatch(/\n\s+at |unexpected problem|injected/i);
  if (run.code === 1) expect(run.stderr.trimEnd().split('\n').at(-1), what).toMatch(/^error: .{20,}/);
}

function wholeAnswers(folder: string): number {
  if (!existsSync(join(folder, 'temp'))) return 0;
  const [name] = readdirSync(join(folder, 'temp'));
  const journal = join(folder, 'temp', name ?? '', 'output.jsonl');
  if (!existsSync(journal)) return 0;
  return readFileSync(journal, 'utf8').split('\n').slice(0, -1).length;
}

/** How many calls of each kind an undisturbed run makes. */
async function countCalls(): Promise<Record<string, number>> {
  const folder = join(temporaryFolder(), 'work');
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
  const api = await scriptedApi(({ prompt }) => `Answer to ${prompt}`);
  const counts = join(temporaryFolder(), 'counts.json');
  const run = await runCli(['--dataset', data, '--max_concurrency', '2', ...foldersIn(folder)], {
    env: { ...pointingAt(api), NODE_OPTIONS: `--import ${PRELOAD}`, FAIL_BELOW: folder, FAIL_COUNTS: counts },
  });
  expect(run.code, run.stderr).toBe(0);
  return JSON.parse(readFileSync(counts, 'utf8')) as Record<string, number>;
}

describe('a disk that fails', () => {
  it.each(Object.entries(CODES))('at %s: a sentence, and nothing lost or paid twice', async (call, codes) => {
    const calls = (await countCalls())[call] ?? 0;
    const places = Array.from({ length: calls }, (_, at) => at).filter(
      (at) =>
        every ||
        at % Math.max(1, Math.ceil(calls / SAMPLE)) === call.length % Math.max(1, Math.ceil(calls / SAMPLE)),
    );
    const results = new Set<string>();
    for (const [turn, at] of places.entries()) {
      const some = every ? codes : [codes[turn % codes.length] ?? ''];
      for (const code of some) {
        for (const lasting of every ? [false, true] : [turn % 2 === 1])
          results.add(await survive({ call, at, code, lasting }));
      }
    }
    if (calls > 0) expect(results.size).toBe(1);
  });
});

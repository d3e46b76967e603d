import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { foldersIn, pointingAt, resultsIn, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { journalLines } from '../support/journal.js';
import { scriptedApi, type ScriptedApi } from '../support/scripted-api.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const hasDevFull = existsSync('/dev/full');

/** A run in a shell of its own process group, as a terminal starts it; `script` finds its words in "$@". */
function inShell(script: string, args: string[], env: Record<string, string>): ChildProcess {
  return spawn('bash', ['-c', script, 'bash', process.execPath, CLI, ...args], {
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...env },
    cwd: temporaryFolder(),
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore'],
  });
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.on('close', resolve));
}

interface Rehearsal {
  folder: string;
  args: string[];
  api: ScriptedApi;
  env: Record<string, string>;
  /** Resolves once this many requests were received. */
  received: (requests: number) => Promise<void>;
}

/** A run of which every answer takes a moment. */
async function rehearse(rows: number, latency: number): Promise<Rehearsal> {
  const folder = temporaryFolder();
  const waiting: { requests: number; wake: () => void }[] = [];
  const api = await scriptedApi(async (_, number) => {
    for (const { requests, wake } of waiting) if (number >= requests) wake();
    await new Promise((resolve) => setTimeout(resolve, latency));
    return 'an answer';
  });
  const data = writeJson(folder, 'data.json', alpacaRows(rows));
  return {
    folder,
    api,
    args: ['--dataset', data, '--max_concurrency', '4', ...foldersIn(folder)],
    env: pointingAt(api),
    received: (requests) => new Promise((wake) => waiting.push({ requests, wake })),
  };
}

describe('signals to a whole process group', () => {
  it('Ctrl-C ends tee first, and no answer in flight is lost', async () => {
    const { folder, args, api, env, received } = await rehearse(60, 300);
    const shell = inShell('"$@" 2>&1 | tee log; exit ${PIPESTATUS[0]}', args, env);
    await received(8);
    // To the group, as a terminal does it; tee does not drain.
    process.kill(-(shell.pid ?? 0), 'SIGINT');
    // bash itself dies of the signal once its children have ended.
    await ended(shell);
    await processesGone(folder);
    expect(journalLines(folder)).toHaveLength(api.requests.length);
    expect(api.requests.length).toBeLessThan(60);
  });

  it('two SIGTERM, as a scheduler and a wrapper send them, lose nothing', async () => {
    const { folder, args, api, env, received } = await rehearse(60, 300);
    const script = '"$@" & pid=$!; trap "kill -TERM $pid" TERM; wait $pid; wait $pid; exit $?';
    const shell = inShell(script, args, env);
    await received(8);
    process.kill(-(shell.pid ?? 0), 'SIGTERM');
    expect(await ended(shell)).toBe(143);
    expect(journalLines(folder)).toHaveLength(api.requests.length);
  });

  it.each([
    ['a closed terminal drains', 'setsid --wait "$@"', 'SIGHUP', 129],
    ['one that nohup was started for does not matter', 'nohup "$@"; exit $?', 'SIGHUP', 0],
  ] as const)('%s', async (_, script, signal, code) => {
    const { folder, args, api, env, received } = await rehearse(14, 200);
    const shell = inShell(script, args, env);
    await received(6);
    process.kill(lockHolder(folder), signal);
    expect(await ended(shell)).toBe(code);
    expect(journalLines(folder)).toHaveLength(api.requests.length);
    expect(api.requests.length === 14).toBe(code === 0);
  });
});

/** The process that works on the only run below a folder. */
function lockHolder(folder: string): number {
  const path = resultsIn(folder).temp('lock');
  return (JSON.parse(readFileSync(path, 'utf8')) as { pid: number }).pid;
}

/** A run that has ended has given its lock back. */
async function processesGone(folder: string): Promise<void> {
  const path = resultsIn(folder).temp('lock');
  while (existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 20));
}

const hasTmux = spawnSync('tmux', ['-V']).status === 0;

describe('a terminal', () => {
  it.skipIf(!hasTmux)(
    'that is made narrower and wider shows one progress line, without colours under NO_COLOR',
    async () => {
      const { folder, args, env, received } = await rehearse(400, 250);
      const socket = join(temporaryFolder(), 'tmux');
      const tmux = (...words: string[]): string =>
        spawnSync('tmux', ['-S', socket, '-f', '/dev/null', ...words], {
          env: {
            PATH: process.env['PATH'],
            HOME: '/nonexistent',
            TERM: 'xterm-256color',
            LANG: 'C.UTF-8',
            ...env,
            NO_COLOR: '1',
          },
          encoding: 'utf8',
        }).stdout;
      const shown = (): string[] =>
        tmux('capture-pane', '-p', '-e', '-t', 'run')
          .split('\n')
          .filter((line) => /^\S (?:.*\d+\/400|\d+ %)/.test(line));
      onTestFinished(async () => {
        tmux('kill-server');
        await processesGone(folder);
      });
      tmux('new-session', '-d', '-s', 'run', '-x', '200', '-y', '30', process.execPath, CLI, ...args);
      await received(8);
      for (const width of [80, 40, 120, 25]) {
        while (shown().length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
        tmux('resize-window', '-t', 'run', '-x', String(width));
        // Two more frames.
        await new Promise((resolve) => setTimeout(resolve, 250));
        expect(shown()).toHaveLength(1);
        expect(shown()[0]).not.toContain('\u001b');
      }
    },
  );
});

describe('output that cannot be written', () => {
  it.skipIf(!hasDevFull)('a full disk behind stderr costs no row and no exit code', async () => {
    const { args, env } = await rehearse(6, 1);
    const first = inShell('"$@" --limit 1 2>/dev/full', args, env);
    expect(await ended(first)).toBe(0);
    const refused = inShell('"$@" 2>/dev/full', args, env);
    expect(await ended(refused)).toBe(1);
  });

  it.skipIf(!hasDevFull).each([
    ['a dry run', '"$@" --dry_run --json >/dev/full', 1],
    ['help', '"$1" "$2" --help >/dev/full', 1],
    ['help that nobody reads', '"$1" "$2" --help | true; exit ${PIPESTATUS[0]}', 0],
  ])('what was asked for and can’t be written: %s', async (_, script, code) => {
    const { args, folder } = await rehearse(2, 1);
    const env = {
      PATH: process.env['PATH'],
      HOME: '/nonexistent',
      OPENAI_API_KEY: 'sk-test-0001',
      OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
    };
    const run = spawnSync('bash', ['-c', script, 'bash', process.execPath, CLI, ...args], {
      env,
      cwd: folder,
      encoding: 'utf8',
    });
    expect(run.status).toBe(code);
    const errors = run.stderr.split('\n').filter((line) => line.startsWith('error: '));
    expect(errors).toEqual(
      code === 0
        ? []
        : [expect.stringMatching(/^error: Cannot write to standard output: the disk is full\./)],
    );
    expect(run.stderr).not.toMatch(/\n\s+at /);
  });

  it('a batch run whose line can’t be written says what to run', async () => {
    const { args } = await rehearse(2, 1);
    const api = await simulator();
    const env = { PATH: process.env['PATH'], HOME: '/nonexistent', ...pointingAt(api) };
    const child = spawn('bash', ['-c', '"$@" --batch >/dev/full', 'bash', process.execPath, CLI, ...args], {
      env,
    });
    let stderr = '';
    child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
    expect(await ended(child)).toBe(1);
    expect(stderr).toMatch(
      /error: Cannot write .* watch and collect them with: npx watch-batch --batch_ids \S+/,
    );
  });
});

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { it, vi } from 'vitest';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, alpacaText, writeJson } from '../support/data.js';
import { journalLines, leftovers, rowOf } from '../support/journal.js';
import { scriptedApi } from '../support/scripted-api.js';
import { generator, pick } from '../support/server-model.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const ROWS = 40;
const IN_FLIGHT = 4;
const LATENCY_MS = 40;

/** Signals that stop a run, and the exit code of each. */
const CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGUSR2: 75 } as const;
/** Signals that do not. */
const HARMLESS = ['SIGWINCH', 'SIGCONT', 'freeze'] as const;
type Sent = keyof typeof CODES | (typeof HARMLESS)[number];

/** Where the output goes: readers that stay, die of the signal, or never read. */
const PIPES = ['', '2>&1 | cat', '2>&1 | tee log', '2>&1 | head -n 1', '2>&1 | true'] as const;

interface Plan {
  seed: number;
  pipe: (typeof PIPES)[number];
  /** To the whole group, as a terminal does it, or to the program alone. */
  toGroup: boolean;
  signals: { request: number; signal: Sent }[];
}

function planOf(seed: number): Plan {
  const random = generator(seed);
  const all = [...Object.keys(CODES), ...HARMLESS] as Sent[];
  const signals = Array.from({ length: 1 + Math.floor(random() * 3) }, () => ({
    request: 2 + Math.floor(random() * (ROWS - 8)),
    signal: pick(random, all),
  }));
  signals.sort((one, other) => one.request - other.request);
  return { seed, pipe: pick(random, PIPES), toGroup: random() < 0.5, signals };
}

/** The program in a shell of its own process group; the shell outlives signals and passes the program's exit code on. */
function start(plan: Plan, args: string[], env: Record<string, string>): ChildProcess {
  const script = `trap : INT TERM HUP USR2; "$@" ${plan.pipe}; exit "\${PIPESTATUS[0]}"`;
  return spawn('bash', ['-c', script, 'bash', process.execPath, CLI, ...args], {
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...env },
    cwd: temporaryFolder(),
    detached: true,
    stdio: 'ignore',
  });
}

/** The process that works on the only run below a folder; null where none does any more. */
function lockHolder(folder: string): number | null {
  const path = resultsIn(folder).temp('lock');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { pid: number }).pid : null;
}

function send(signal: Sent, pid: number): void {
  if (signal !== 'freeze') {
    process.kill(pid, signal);
    return;
  }
  process.kill(pid, 'SIGSTOP');
  setTimeout(() => process.kill(pid, 'SIGCONT'), 200);
}

async function survive(plan: Plan): Promise<Outcome> {
  const folder = temporaryFolder();
  const rows = alpacaRows(ROWS);
  const data = writeJson(folder, 'data.json', rows);
  const rowOfPrompt = new Map(rows.map((row, index) => [alpacaText(row), index]));
  const sent: Sent[] = [];
  let shell: ChildProcess | null = null;
  const api = await scriptedApi(async (_, number) => {
    for (const { request, signal } of plan.signals) {
      const pid = number === request && shell !== null ? lockHolder(folder) : null;
      if (pid === null) continue;
      sent.push(signal);
      // A frozen group would freeze what waits for its end as well.
      send(signal, plan.toGroup && signal !== 'freeze' ? -(shell?.pid ?? 0) : pid);
    }
    await new Promise((resolve) => setTimeout(resolve, LATENCY_MS));
    return 'an answer';
  });
  const args = ['--dataset', data, '--max_concurrency', String(IN_FLIGHT), ...foldersIn(folder)];
  shell = start(plan, args, pointingAt(api));
  const code = await new Promise<number | null>((resolve) => shell?.on('close', resolve));
  shell = null;
  const onDisk = new Set(journalLines(folder).map(rowOf));
  const answered = api.requests.length;
  const stopping = sent.filter((signal): signal is keyof typeof CODES => signal in CODES);
  const [first] = stopping;
  const expected = first === undefined ? 0 : CODES[first];
  // Only a second Ctrl-C drops what is in flight.
  const mayDrop = stopping.filter((signal) => signal === 'SIGINT').length > 1;
  const dropped = answered - onDisk.size;
  const run = await runCli([...args, '--resume'], { env: pointingAt(api) });
  if (run.code !== 0) throw new Error(run.stderr);
  const again = api.requests.slice(answered).map(({ prompt }) => rowOfPrompt.get(prompt) ?? -1);
  const left = leftovers(folder);
  return {
    lost: resultsIn(folder)
      .rows()
      .filter(({ annotation }) => annotation === null).length,
    paidTwice: again.filter((row) => onDisk.has(row)).length,
    problem:
      code !== expected
        ? `code ${code}, not ${expected}, after ${sent.join(', ')}`
        : dropped > (mayDrop ? IN_FLIGHT : 0)
          ? `${dropped} answers dropped after ${sent.join(', ')}`
          : left.length > 0
            ? `left behind: ${left.join(', ')}`
            : null,
  };
}

it.skipIf(process.platform === 'win32')(
  'signals and dying readers cost no answer, and the exit code says what came first',
  async () => {
    const tally = new Tally('signals: random sequences to the program or its group, with readers that die');
    const plans = Array.from({ length: cases(1, 150) }, (_, number) => planOf(number + 1));
    await tally.play(plans, (plan) => JSON.stringify(plan), survive);
    tally.expectAll();
  },
);

import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { it, vi } from 'vitest';
import { foldersIn, pointingAt, resultsIn, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { journalLines } from '../support/journal.js';
import { hasNamespaces, startPod } from '../support/pod.js';
import { scriptedApi } from '../support/scripted-api.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const isSoak = process.env['SOAK'] !== undefined;
const ROWS = 24;
const IN_FLIGHT = 4;

/** The program's own process, which `unshare` forked. */
function processIn({ pid = 0 }: ChildProcess): number {
  const [child = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  return Number(child);
}

function rescuedFiles(folder: string): string[] {
  const runFolder = dirname(resultsIn(folder).temp('output.jsonl'));
  return readdirSync(runFolder).filter((name) => name.includes('.rescued-'));
}

/** One pod is frozen for longer than its lock holds, a second one takes the run over, and the first wakes. */
async function survive(number: number, data: string): Promise<Outcome> {
  const folder = join(temporaryFolder(), 'run');
  const api = await scriptedApi(async ({ prompt }) => {
    await new Promise((resolve) => setTimeout(resolve, 400));
    return `answer to ${prompt}`;
  });
  const args = ['--dataset', data, '--max_concurrency', String(IN_FLIGHT), ...foldersIn(folder)];
  const first = startPod(args, pointingAt(api));
  while (journalLines(folder).length < 2 + number) await new Promise((resolve) => setTimeout(resolve, 20));
  const frozen = processIn(first.child);
  process.kill(frozen, 'SIGSTOP');
  const inFlight = api.requests.length - journalLines(folder).length;
  const second = await startPod([...args, '--resume'], pointingAt(api)).ended;
  process.kill(frozen, 'SIGCONT');
  const { code, stderr } = await first.ended;
  const rescued = rescuedFiles(folder).length;
  const sent = api.requests.length;
  const third = await startPod([...args, '--resume'], pointingAt(api)).ended;
  const missing = resultsIn(folder)
    .rows()
    .filter(({ annotation }) => annotation === null).length;
  if (second.code !== 0) return { problem: `the second ended with ${second.code}: ${second.stderr}` };
  if (third.code !== 0) return { problem: `the third ended with ${third.code}: ${third.stderr}` };
  return {
    lost: missing,
    // Requests in flight in the frozen process had no answer when the second process started. Requests may still have been on
    // their way to the server when it was frozen, so the most that may be in flight is allowed.
    paidTwice: Math.max(0, api.requests.length - ROWS - IN_FLIGHT),
    problem:
      code !== 75
        ? `the frozen one ended with ${code}: ${stderr}`
        : inFlight > 0 && rescued === 0
          ? 'nothing was rescued'
          : rescuedFiles(folder).length > 0
            ? 'what was rescued was not taken in'
            : api.requests.length > sent
              ? 'rows were sent again after all were answered'
              : null,
  };
}

// The lock of a process that cannot be seen holds for a minute.
it.skipIf(!isSoak || !hasNamespaces)(
  'a run that is frozen for longer than its lock holds is taken over, and its answers in flight are kept (takes over a minute: soak only)',
  async () => {
    const tally = new Tally('locks: an owner frozen beyond its lock’s expiry, its answers rescued');
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
    await tally.play(
      Array.from({ length: cases(1, 12) }, (_, number) => number),
      (number) => `after ${2 + number} answers`,
      (number) => survive(number, data),
      12,
    );
    tally.expectAll();
  },
);

import { it, vi } from 'vitest';
import { foldersIn, pointingAt, resultsIn, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { cpSync } from 'node:fs';
import { alpacaRows, writeJsonl } from '../support/data.js';
import { countCalls, describeFault, withFault } from '../support/disk-fault.js';
import { leftovers } from '../support/journal.js';
import { spread, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const TRIAL_ROWS = 5;
const ROWS = 12;

it('killed at any file operation while a run grows, it resumes and pays for no row twice', async () => {
  const tally = new Tally('SIGKILL while a trial is extended: at each file operation');
  const data = writeJsonl(temporaryFolder(), 'data.jsonl', alpacaRows(ROWS));
  const args = (folder: string): string[] => [
    ...['--annotator', 'gpt-4o-mini', '--dataset', data, '--max_concurrency', '1'],
    ...foldersIn(folder),
  ];
  const first = await simulator();
  const trial = temporaryFolder();
  const begun = await runCli([...args(trial), '--limit', String(TRIAL_ROWS)], { env: pointingAt(first) });
  if (begun.code !== 0) throw new Error(begun.stderr);
  const whole = temporaryFolder();
  await runCli(args(whole), { env: pointingAt(first) });
  const bytes = resultsIn(whole).bytes();

  const counted = temporaryFolder();
  cpSync(trial, counted, { recursive: true });
  const calls = await countCalls(counted, (env) =>
    runCli([...args(counted), '--resume'], { env: { ...pointingAt(first), ...env } }),
  );
  const faults = Object.entries(calls).flatMap(([call, times]) =>
    Array.from({ length: times }, (_, at) => ({ call, at, code: 'SIGKILL' })),
  );
  await tally.play(spread(faults, 2), describeFault, async (fault): Promise<Outcome> => {
    const api = await simulator();
    const env = pointingAt(api);
    const folder = temporaryFolder();
    cpSync(trial, folder, { recursive: true });
    const killed = await runCli([...args(folder), '--resume'], {
      env: { ...env, ...withFault(fault, folder) },
    });
    // What was loaded of the new rows, and what was not, is both a state to resume from.
    const run = await runCli([...args(folder), '--resume'], { env });
    if (run.code !== 0) throw new Error(run.stderr);
    const rows = resultsIn(folder).rows();
    const left = leftovers(folder);
    return {
      lost: ROWS - rows.filter(({ annotation }) => annotation !== null).length,
      // The one request that was in flight at the kill may be sent again.
      paidTwice: Math.max(0, api.statistics().requests - (ROWS - TRIAL_ROWS) - 1),
      untried: killed.signal !== 'SIGKILL',
      problem:
        resultsIn(folder).bytes() !== bytes
          ? 'other bytes than without a kill'
          : left.length > 0
            ? `left behind: ${left.join(', ')}`
            : null,
    };
  });
  tally.expectAll();
});

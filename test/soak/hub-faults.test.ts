import { it, vi } from 'vitest';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  resuming,
  runCli,
  simulator,
  temporaryFolder,
} from '../support/cli.js';
import { chaosProxy, type FaultName } from '../support/chaos-api.js';
import { alpacaRows, alpacaText, writeJson } from '../support/data.js';
import { leftovers } from '../support/journal.js';
import { scriptedApi } from '../support/scripted-api.js';
import { measured } from '../support/usage.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const SHARE = 0.3;
const ROWS = 1500;
/** Sessions in which the dataset is to be loaded: each tries a page several times. */
const SESSIONS = 3;
const MOST_MEGABYTES = 250;
const KINDS: readonly FaultName[] = [
  '429 without headers',
  '429 with a date',
  '429 with nonsense',
  '500 with HTML',
  '502 with HTML',
  '503 with HTML',
  'reset before the headers',
  'reset within the headers',
  'reset within the body',
  'torn JSON',
  'an empty body',
  'a gzip bomb',
  'a connection closed after each answer',
];

/** Loads a dataset page by page through a proxy that breaks answers, and annotates it. */
async function survive(kinds: readonly FaultName[], number: number): Promise<Outcome> {
  const folder = temporaryFolder();
  const rows = alpacaRows(ROWS);
  const hub = await simulator({ datasets: { [`me/data-${number}`]: writeJson(folder, 'data.json', rows) } });
  const proxy = await chaosProxy(hub.url, kinds, SHARE);
  const api = await scriptedApi(({ prompt }) => prompt);
  const args = ['--dataset', `me/data-${number}`, '--max_concurrency', '16', ...foldersIn(folder)];
  for (let session = 0; session < SESSIONS; session++) {
    const { env, usage } = measured();
    const run = await runCli([...args, ...resuming(folder)], {
      env: { ...pointingAt(proxy, { OPENAI_BASE_URL: `${api.url}/v1` }), ...env },
    });
    if (/\n\s+at |unexpected problem/.test(run.stderr)) throw new Error(run.stderr);
    if (usage().megabytes > MOST_MEGABYTES) throw new Error(`${Math.round(usage().megabytes)} MB of memory`);
    if (run.code === 0) break;
  }
  const results = resultsIn(folder).rows();
  const wrong = rows.filter((row, index) => results[index]?.annotation !== alpacaText(row)).length;
  const left = leftovers(folder);
  return {
    lost: wrong,
    paidTwice: api.requests.length - ROWS,
    problem: left.length > 0 ? `left behind: ${left.join(', ')}` : null,
  };
}

it('loads every row although 30 % of the Hub’s answers are faulty', async () => {
  const tally = new Tally('Hub: each fault in 30 % of the answers, and all of them mixed');
  const single = cases(0, 1) === 0 ? KINDS.slice(9, 10) : KINDS;
  const mixed = Array.from({ length: cases(1, 10) }, () => KINDS);
  await tally.play(
    [...single.map((kind) => [kind]), ...mixed].map((kinds, number) => ({ kinds, number })),
    ({ kinds, number }) => `${kinds.length > 1 ? 'mixed' : (kinds[0] ?? '')} ${number}`,
    ({ kinds, number }) => survive(kinds, number),
  );
  tally.expectAll();
});

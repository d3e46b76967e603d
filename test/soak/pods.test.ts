import { join } from 'node:path';
import { it, vi } from 'vitest';
import { foldersIn, pointingAt, resultsIn, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { journalLines } from '../support/journal.js';
import { hasNamespaces, startPod } from '../support/pod.js';
import { scriptedApi } from '../support/scripted-api.js';
import { cases, Tally } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

/** Every pod of an index has the name of the others. */
const HOST = 'worker-0';

it.skipIf(!hasNamespaces)(
  'pods with the same name and process id do not touch each other’s runs',
  async () => {
    const tally = new Tally('locks: two pods with one host name and process id, the first alive or killed');
    const rows = 16;
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(rows));
    await tally.play(
      Array.from({ length: cases(1, 12) }, (_, number) => ({ number, isKilled: number % 2 === 1 })),
      ({ number, isKilled }) => `${isKilled ? 'killed' : 'alive'} ${number}`,
      async ({ number, isKilled }) => {
        const folder = join(temporaryFolder(), 'run');
        let letGo = (): void => undefined;
        const isTried = new Promise<void>((resolve) => (letGo = resolve));
        const api = await scriptedApi(async () => {
          // A first that lives must not be done before the second has tried.
          if (!isKilled && api.requests.length > rows / 2) await isTried;
          else await new Promise((resolve) => setTimeout(resolve, 500));
          return 'an answer';
        });
        const args = ['--dataset', data, '--max_concurrency', '4', ...foldersIn(folder)];
        const first = startPod(args, pointingAt(api), HOST);
        while (journalLines(folder).length < 1 + (number % 8))
          await new Promise((resolve) => setTimeout(resolve, 20));
        if (isKilled) {
          first.child.kill('SIGKILL');
          await first.ended;
        }
        const saved = journalLines(folder).length;
        const inFlight = api.requests.length - saved;
        const second = await startPod([...args, '--resume'], pointingAt(api), HOST).ended;
        letGo();
        const { code } = await first.ended;
        if (second.code !== (isKilled ? 0 : 75)) throw new Error(second.stderr);
        if (!isKilled && code !== 0) throw new Error('the first did not finish');
        const missing = resultsIn(folder)
          .rows()
          .filter(({ annotation }) => annotation === null).length;
        // What was in flight at a kill is lost with it, and asked again.
        return { lost: missing, paidTwice: api.requests.length - rows - (isKilled ? inFlight : 0) };
      },
      4,
    );
    tally.expectAll();
  },
);

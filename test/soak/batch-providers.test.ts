import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { BatchApiName } from '../../src/models/batch-terms.js';
import type { BatchFault } from '../../src/simulator/batch-faults.js';
import { impatient } from '../support/batch-cli.js';
import { resultsIn, resuming, simulator, temporaryFolder, type Finished } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { killingProxy, MOMENTS, type KillingProxy, type KillPoint } from '../support/killing-proxy.js';
import { PROVIDER_NAMES, runWith, startWith, watchWith, type ProviderRun } from '../support/provider-cli.js';
import { cases, spread, Tally, type Outcome } from './tally.js';

const ROWS = 6;
const SIZE = ['--max_batch_size', '3'];
const BATCHES = 2;
const TRY_LATER = 75;
/** How often "run the same command again later" is followed. */
const TRIES = 6;

vi.setConfig({ testTimeout: 3_600_000 });

interface Scene {
  run: ProviderRun;
  proxy: KillingProxy;
  answers: () => Record<string, number>;
  batches: () => number;
}

async function scene(provider: BatchApiName, batchPlans: BatchFault[][] = []): Promise<Scene> {
  const root = temporaryFolder();
  const api = await simulator({ batchPlans });
  const proxy = await killingProxy(api.url);
  const dataset = writeJson(root, 'data.json', alpacaRows(ROWS));
  return {
    run: { provider, api: proxy, dataset, folder: join(root, 'run') },
    proxy,
    answers: () => api.statistics().answersByPrompt,
    batches: () => api.statistics().batchesCreated,
  };
}

/** What an online run of the same rows gives. */
const online = new Map<BatchApiName, string>();

async function onlineResult(provider: BatchApiName): Promise<string> {
  const known = online.get(provider);
  if (known !== undefined) return known;
  const { run } = await scene(provider);
  const finished = await runWith(run);
  expect(finished.code, finished.stderr).toBe(0);
  online.set(provider, resultsIn(run.folder).bytes());
  return resultsIn(run.folder).bytes();
}

/** A command, run again as long as it says that it may work later. */
async function persistently(command: () => Promise<Finished>): Promise<Finished> {
  let finished = await command();
  for (let tries = 1; tries < TRIES && finished.code === TRY_LATER; tries++) finished = await command();
  return finished;
}

/** Ends a run that was disturbed: nothing is lost, nothing paid twice, and the results are those of an online run. */
async function expectWhole({ run, proxy, answers, batches }: Scene): Promise<Outcome> {
  proxy.aim(null, () => undefined);
  const env = impatient();
  const submitted = await persistently(() =>
    runWith(run, ['--batch', ...SIZE, ...resuming(run.folder)], { env }),
  );
  expect(submitted.code, submitted.stderr).toBe(0);
  let watched = await persistently(() => watchWith(run, [], { env }));
  // Patience passes fast here, so it may end before files that come late: the next watch looks again.
  if (watched.code !== 0) watched = await persistently(() => watchWith(run, [], { env }));
  const result = resultsIn(run.folder);
  const given = Object.values(answers());
  const isSame = result.bytes() === (await onlineResult(run.provider));
  return {
    lost: result.rows().filter(({ annotation }) => annotation === null).length,
    paidTwice: given.reduce((sum, times) => sum + times - 1, 0),
    problem:
      watched.code === 0 && batches() === BATCHES && isSame
        ? null
        : `code ${watched.code ?? ''}, ${batches()} batches, ${isSame ? '' : 'other results, '}${watched.stderr.slice(-600)}`,
  };
}

/** Requests that a program of an undisturbed run makes. */
async function requestsOf(provider: BatchApiName): Promise<{ submitting: number; watching: number }> {
  const { run, proxy } = await scene(provider);
  const submitted = await runWith(run, ['--batch', ...SIZE]);
  expect(submitted.code, submitted.stderr).toBe(0);
  const submitting = proxy.requests.length;
  const watched = await watchWith(run);
  expect(watched.code, watched.stderr).toBe(0);
  return { submitting, watching: proxy.requests.length - submitting };
}

interface Death {
  provider: BatchApiName;
  program: 'reannotate' | 'watch-batch';
  point: KillPoint;
}

/** A death before, during and after every request of every provider. */
async function deaths(): Promise<Death[]> {
  // The sample knows that both programs make three requests at least.
  const counted = cases(0, 1) === 0 ? null : requestsOf;
  const all: Death[] = [];
  for (const provider of PROVIDER_NAMES) {
    const { submitting, watching } =
      counted === null ? { submitting: 3, watching: 3 } : await counted(provider);
    const count = { reannotate: submitting, 'watch-batch': watching };
    for (const program of ['reannotate', 'watch-batch'] as const) {
      for (let number = 0; number < count[program]; number++) {
        all.push(...MOMENTS.map((moment) => ({ provider, program, point: { step: '', number, moment } })));
      }
    }
  }
  return all;
}

it('a run that is killed before, during and after each request to any provider gives the same results', async () => {
  const tally = new Tally('Batches of every provider: SIGKILL at each request');
  const all = await deaths();
  // Anthropic has the longest way to find a batch again.
  const sample = all.filter(
    ({ provider, program, point }) =>
      provider === 'anthropic' &&
      program === 'reannotate' &&
      point.moment === 'unanswered' &&
      point.number === 2,
  );
  await tally.play(
    cases(0, 1) === 0 ? sample : spread(all, all.length),
    ({ provider, program, point }) => `${provider}: ${program}, request ${point.number}, ${point.moment}`,
    async ({ provider, program, point }) => {
      const one = await scene(provider);
      const { run, proxy } = one;
      const env = impatient();
      if (program === 'watch-batch') await runWith(run, ['--batch', ...SIZE], { env });
      const flags = program === 'reannotate' ? ['--batch', ...SIZE] : [];
      const { child, finished } = startWith(run, program, flags, { env });
      proxy.aim(point, () => child.kill('SIGKILL'));
      await finished;
      const untried = !proxy.fired();
      return { ...(await expectWhole(one)), untried };
    },
    4,
  );
  tally.expectAll();
});

/** What one read is answered with once, or for a while. */
const DOUBTS = [
  'absent_once',
  'page_once',
  'refused_once',
  'forbidden_once',
  'redirected_once',
  'late_files',
  'unreadable_entry',
  'unreadable_create',
  'error_create',
  'hang_create',
  'cut_download',
  'file_absent',
  'file_empty',
  'file_page',
  'file_error',
  'file_short',
  'torn_line',
  'lost_line',
  'duplicate_line',
  'foreign_line',
] as const satisfies readonly BatchFault[];

/** A line that never arrives, or is unreadable, leaves its row without an answer: it is not sent again automatically. */
const LOSES_A_ROW: ReadonlySet<BatchFault> = new Set<BatchFault>(['torn_line', 'lost_line']);

it('one negative answer of any provider: nothing is paid twice, all is collected', async () => {
  const tally = new Tally('Batches of every provider: one negative answer');
  const cells = PROVIDER_NAMES.flatMap((provider) => DOUBTS.map((doubt) => ({ provider, doubt })));
  await tally.play(
    // The sample goes down the matrix at a slant: openai absent_once, azure lost_line, parasail file_error, novita
    // file_absent, mistral error_create, gemini late_files, openrouter refused_once.
    spread(cells, 7),
    ({ provider, doubt }) => `${provider}: ${doubt}`,
    async ({ provider, doubt }) => {
      const one = await scene(provider, [[doubt]]);
      const env = impatient();
      const more = doubt === 'hang_create' ? ['--request_timeout', '0.5'] : [];
      await persistently(() =>
        runWith(one.run, ['--batch', ...SIZE, ...more, ...resuming(one.run.folder)], { env }),
      );
      if (LOSES_A_ROW.has(doubt)) return expectHeld(one);
      return expectWhole(one);
    },
    4,
  );
  tally.expectAll();
});

/** One row has no answer, and is not paid for again. */
async function expectHeld({ run, answers, batches }: Scene): Promise<Outcome> {
  const env = impatient();
  for (let looks = 0; looks < 2; looks++) await watchWith(run, [], { env });
  const missing = resultsIn(run.folder)
    .rows()
    .filter(({ annotation }) => annotation === null).length;
  return {
    lost: Math.max(0, missing - 1),
    paidTwice: Object.values(answers()).reduce((sum, times) => sum + times - 1, 0),
    problem: missing === 1 && batches() === BATCHES ? null : `${missing} rows missing, ${batches()} batches`,
  };
}

/** What is done about a run whose batches went wrong, and how it ends. */
const COMMANDS = ['recover', 'cancel_and_finish_online', 'retry_failed', 'waves'] as const;
type Command = (typeof COMMANDS)[number];

const FAULTS: Readonly<Record<Command, BatchFault[][]>> = {
  recover: [],
  cancel_and_finish_online: [['stuck']],
  retry_failed: [['expire']],
  waves: [[], ['full_create']],
};

it('--recover, --cancel, --finish_online, --retry_failed and waves work with every provider', async () => {
  const tally = new Tally('Batches of every provider: each command');
  const all = PROVIDER_NAMES.flatMap((provider) => COMMANDS.map((command) => ({ provider, command })));
  const sample = all.filter(
    ({ provider, command }) => provider === 'mistral' && command === 'cancel_and_finish_online',
  );
  await tally.play(
    cases(0, 1) === 0 ? sample : spread(all, all.length),
    ({ provider, command }) => `${provider}: ${command}`,
    ({ provider, command }) => playCommand(provider, command),
    4,
  );
  tally.expectAll();
});

async function playCommand(provider: BatchApiName, command: Command): Promise<Outcome> {
  const { run, answers, batches } = await scene(provider, FAULTS[command]);
  const env = impatient();
  const submitted = await runWith(run, ['--batch', ...SIZE], { env });
  expect(submitted.code, submitted.stderr).toBe(0);
  const { finished, folder } = await finishBy(command, run, env);
  const given = Object.values(answers());
  const paidTwice = given.reduce((sum, times) => sum + times - 1, 0);
  if (provider === 'openrouter' && command === 'cancel_and_finish_online') {
    // It has no call that cancels, so nothing is sent online.
    return { paidTwice, problem: finished.code === 1 ? null : `code ${finished.code ?? ''}` };
  }
  const result = resultsIn(folder);
  const isSame = result.bytes() === (await onlineResult(provider));
  const expected = command === 'retry_failed' ? BATCHES + 1 : BATCHES;
  const isFine = finished.code === 0 && batches() === expected && isSame;
  return {
    lost: result.rows().filter(({ annotation }) => annotation === null).length,
    paidTwice,
    problem: isFine
      ? null
      : `code ${finished.code ?? ''}, ${batches()} batches, ${isSame ? '' : 'other results, '}${finished.stderr.slice(-600)}`,
  };
}

/** Ends a submitted run, in its own folder or in another one. */
async function finishBy(
  command: Command,
  run: ProviderRun,
  env: Record<string, string>,
): Promise<{ finished: Finished; folder: string }> {
  switch (command) {
    case 'recover': {
      const folder = `${run.folder}-elsewhere`;
      const watch = (): Promise<Finished> => watchWith({ ...run, folder }, ['--recover'], { env });
      let finished = await watch();
      // Batches that show nothing but the ids of their requests are recognised once they have ended.
      for (let tries = 1; tries < TRIES && finished.code === 1; tries++) finished = await watch();
      return { finished, folder };
    }
    case 'cancel_and_finish_online': {
      // Here time passes as it does for users: markers are compared by the server's clock.
      const finished = await watchWith(run, ['--cancel', '--yes', '--finish_online']);
      return { finished, folder: run.folder };
    }
    case 'retry_failed': {
      const finished = await watchWith(run, ['--retry_failed'], { env });
      return { finished, folder: run.folder };
    }
    case 'waves': {
      const finished = await watchWith(run, [], { env });
      return { finished, folder: run.folder };
    }
  }
}

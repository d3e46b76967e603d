/** `watch-batch`: a run's batches, watched, collected and finished. It reads as the story of a watch. */

import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { FinishRules } from '../annotators/finish-reason.js';
import { hasEnded } from '../batches/batch.js';
import { CallFailed, Interrupted, persist } from '../batches/calls.js';
import { LineIndex } from '../batches/line-index.js';
import { collect, resultPath } from '../batches/collect.js';
import { BatchDisplay } from '../batches/display.js';
import { RawFile } from '../batches/raw-files.js';
import { BatchReader } from '../batches/reader.js';
import { resolveCreation, submitChunks } from '../batches/submit.js';
import { watch, type Watched } from '../batches/watch.js';
import { EXIT, messageOf, UsageError } from '../errors.js';
import { priceFor } from '../run/budget.js';
import { findRunFolder } from '../run/folder.js';
import { readJob } from '../run/jobs.js';
import { plural } from '../text.js';
import type { WatchOptions } from '../watch-options.js';
import { openBatchClient } from './batch-tools.js';
import { assembleResults, finish, publisherOf } from './finish.js';
import type { FinishedRun, Publisher } from './finished-run.js';
import { inFolder } from './in-folder.js';
import { askOnline } from './online.js';
import { openWatchedRun, readObjects, requireRecord, type WatchedRun } from './open-watched-run.js';
import { stopError } from './stops.js';
import { RetryRounds } from './retry-rounds.js';
import { describing } from './submit-batches.js';
import type { Surroundings } from './surroundings.js';
import { requireBatches, watchCommandLine } from './watch-command.js';

/**
 * Runs `watch-batch`.
 * @returns the exit code
 * @throws UserError where it can't go on
 */
export async function watchBatch(watching: WatchOptions, surroundings: Surroundings): Promise<number> {
  const { run: options } = watching;
  const { console, interruption } = surroundings;
  requireBatches(options);
  if (watching.cancel && !watching.yes && !process.stdin.isTTY) {
    throw new UsageError('--cancel asks before it cancels, and nobody is here to answer; give --yes.');
  }
  const folder = findRunFolder({ ...options, annotator: options.annotator.name });
  const price = await priceFor(options);
  const client = openBatchClient(options, interruption.soft);
  try {
    const fromFile = watching.batchObjectsFile === null ? null : readObjects(watching.batchObjectsFile);
    if (watching.batchIds === null && fromFile === null && !watching.recover) requireRecord(folder, options);
    const publisher = await publisherOf(options, surroundings);
    return await inFolder(folder, 'watch-batch', options, surroundings, () =>
      describing(options, async () => {
        const watched = await openWatchedRun(watching, fromFile, folder, client, price, surroundings);
        if (watching.cancel && !(await cancelBatches(watched, surroundings))) return EXIT.done;
        return follow(watched, publisher, surroundings);
      }),
    );
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    console.warning(`Stopped; the batches go on. Watch them again with: ${surroundings.resumeCommand}`);
    return interruption.exitCode;
  } finally {
    await client.close();
  }
}

/** Watches, and does what was asked about the rows that have no answer then. */
async function follow(
  watched: WatchedRun,
  publisher: Publisher | null,
  surroundings: Surroundings,
): Promise<number> {
  const { watching, options, ledger } = watched;
  const { console, interruption, resumeCommand } = surroundings;
  const started = performance.now();
  const rounds = new RetryRounds(watched, surroundings);
  let answered = 0;
  for (;;) {
    const outcome = await watchOnce(watched, surroundings);
    answered += outcome.answers;
    const goesOn = !outcome.interrupted && watching.then === 'retry_failed' && (await rounds.next(outcome));
    // Ctrl-C may also come while a round is submitted.
    if (outcome.interrupted || interruption.soft.aborted) {
      console.warning(`Stopped; the batches go on. Watch them again with: ${resumeCommand}`);
      return interruption.exitCode;
    }
    if (!goesOn) break;
  }
  const session = { answered, milliseconds: performance.now() - started, bound: null };
  const finished = {
    ...watched,
    ...{ mode: 'batch' as const, tryAgain: tryAgain(watched), stop: rounds.stop, publisher },
  };
  if (watching.then !== 'finish_online') return end({ ...finished, session }, watched, surroundings);
  // What was never submitted is asked online like the rest.
  ledger.forget(ledger.unsubmitted);
  await ledger.save();
  const asked = await finishOnline(watched, surroundings);
  if (asked.stop?.reason === 'interrupted') {
    console.warning(`Stopped; what came is saved. Go on with: ${resumeCommand}`);
    return interruption.exitCode;
  }
  if (asked.stop?.reason === 'error') {
    throw await stopError(asked.stop, options, `Then resume with: ${resumeCommand}`);
  }
  session.answered += asked.answered;
  session.milliseconds = performance.now() - started;
  return end({ ...finished, session, stop: asked.stop }, watched, surroundings);
}

async function end(finished: FinishedRun, watched: WatchedRun, surroundings: Surroundings): Promise<number> {
  const { config } = finished;
  const known = (config.parameter_changes ?? []).map(({ parameter }) => parameter);
  const learnt = watched.ledger.learnt.filter(({ parameter }) => !known.includes(parameter));
  if (learnt.length > 0) config.parameter_changes = [...(config.parameter_changes ?? []), ...learnt];
  if (watched.watching.graph) await saveGraphs(watched, surroundings);
  const assembled = await assembleResults(finished, surroundings.console);
  return finish(finished, assembled, surroundings.console);
}

/** What brings the rows that are still missing. */
function tryAgain({ options, ledger }: WatchedRun): string {
  const left = ledger.unsubmitted.length;
  const never = left === 0 ? '' : `${plural(left, 'batch file')} never submitted. `;
  const retry = watchCommandLine(options, [], ['--retry_failed']);
  return `${never}Submit them as a new batch with: ${retry} — or ask them online with: ${watchCommandLine(options, [], ['--finish_online'])}`;
}

async function finishOnline(
  { watching, options, folder, run, totals, price, config }: WatchedRun,
  surroundings: Surroundings,
): ReturnType<typeof askOnline> {
  const known = config.parameter_changes ?? [];
  return askOnline(
    options,
    folder,
    run,
    totals,
    price,
    surroundings,
    (learnt) => {
      config.parameter_changes = [...known, ...learnt];
    },
    watching.serviceTier,
  );
}

/** Watches until every batch has ended and is collected. */
async function watchOnce(watched: WatchedRun, { console }: Surroundings): Promise<Watched> {
  const { watching, options, folder, run, ledger, totals, client, submission } = watched;
  const { waiting } = submission;
  const display = new BatchDisplay(ledger);
  const raw = new RawResults(watched, console);
  const jobs = ledger.chunks.some(({ file }) => file === null)
    ? (await LineIndex.build(folder.jobs, run.rows, (line) => readJob(line)?.requestIdx ?? null)).index
    : null;
  await raw.update();
  const endProgress = console.showTable((rows) => display.table(new Date(), rows));
  try {
    return await watch({
      folder,
      ledger,
      reader: new BatchReader(client),
      waiting,
      reporter: console,
      checkInterval: watching.checkInterval,
      mayResubmit: !watching.cancel,
      resolve: (chunk) => resolveCreation(chunk, submission),
      submit: (chunks) => submitChunks(chunks, submission),
      collect: async (chunk, batch) => {
        const outcome = await collect(chunk, batch, {
          folder,
          ledger,
          client,
          waiting,
          reporter: console,
          index: run.index,
          redactor: options.environment.redactor,
          requestOf: (row) => readJob(jobs?.read(row) ?? Buffer.alloc(0))?.body ?? Buffer.from('{}'),
          rules: new FinishRules(options.acceptFinishReason),
          onAnswer: (completion) => {
            totals.addAnswer(completion);
          },
          onPartial: (usage) => {
            totals.addUnusable(usage);
          },
        });
        totals.setBatches(ledger.totals());
        await raw.update();
        return outcome;
      },
      onPoll: () => {
        for (const line of display.changes(new Date())) {
          if (console.isTerminal) console.record('info', line);
          else console.info(line);
        }
      },
    });
  } finally {
    endProgress();
    jobs?.close();
    totals.save();
  }
}

/** `--output_file` and `--error_file`, brought up to date whenever a batch was collected. */
class RawResults {
  readonly #files: { kind: 'output' | 'error'; file: RawFile }[];

  constructor(
    private readonly watched: WatchedRun,
    console: Surroundings['console'],
  ) {
    const { outputFile, errorFile } = watched.watching;
    this.#files = [
      { kind: 'output', file: new RawFile(outputFile, '--output_file', console) },
      { kind: 'error', file: new RawFile(errorFile, '--error_file', console) },
    ];
  }

  async update(): Promise<void> {
    const { ledger, folder } = this.watched;
    const collected = ledger.chunks
      .filter((chunk) => chunk.collected !== null)
      .sort((a, b) => (a.collected?.at ?? 0) - (b.collected?.at ?? 0) || a.number - b.number);
    for (const { kind, file } of this.#files) {
      const paths = collected.flatMap(({ batch }) =>
        batch === null ? [] : [resultPath(folder, batch, kind)],
      );
      await file.update(paths.filter((path) => existsSync(path)));
    }
  }
}

/** `--graph`: how long the batches took. */
async function saveGraphs({ folder, ledger }: WatchedRun, { console }: Surroundings): Promise<void> {
  const { saveBatchGraphs } = await import('../batches/graph.js');
  const times = ledger.batches.map(({ createdAt, endedAt, counts }) => ({
    createdAt,
    endedAt,
    completed: counts.completed,
  }));
  try {
    const paths = await saveBatchGraphs(folder.save, times, folder.name);
    console.info(`Graphs: ${paths.join(', ')}`);
  } catch (error) {
    // The results are worth more than a picture of how they came.
    console.warning(`The graphs could not be saved: ${messageOf(error)}`);
  }
}

/** Stops the run's batches. Returns false where the user would rather not. */
async function cancelBatches(
  { watching, ledger, client, submission }: WatchedRun,
  { console }: Surroundings,
): Promise<boolean> {
  // A batch whose creation was not answered is one of them, if it exists.
  for (const chunk of ledger.unanswered) await resolveCreation(chunk, submission);
  const open = ledger.open.flatMap(({ batch }) => (batch === null || hasEnded(batch) ? [] : [batch]));
  if (
    !watching.yes &&
    !(await confirm(
      `Cancel ${plural(open.length, 'batch', 'batches')}? What was answered so far is paid for, and is collected.`,
    ))
  ) {
    console.info('Nothing was cancelled.');
    return false;
  }
  for (const { id } of open) {
    try {
      await persist(() => client.cancel(id), submission.waiting);
    } catch (error) {
      // It ended meanwhile.
      if (!(error instanceof CallFailed) || ![400, 404, 409].includes(error.status ?? 0)) throw error;
    }
  }
  // What waits for the queue is not submitted any more.
  ledger.forget(ledger.unsubmitted.filter(({ state }) => state !== 'creating'));
  await ledger.save();
  console.info(`${plural(open.length, 'batch', 'batches')} told to stop.`);
  return true;
}

async function confirm(question: string): Promise<boolean> {
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // Ctrl-C belongs to the question while it stands.
    reader.once('SIGINT', () => {
      process.stderr.write('\n');
      reader.close();
    });
    const closed = new Promise<never>((_, reject) => {
      reader.once('close', () => {
        reject(new Interrupted());
      });
    });
    const answer = await Promise.race([reader.question(`${question} [y/N] `), closed]);
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    reader.close();
  }
}

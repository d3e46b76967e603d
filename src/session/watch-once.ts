/** One watch of a run's batches, with everything that it shows and writes on the way. */

import { existsSync } from 'node:fs';
import { answerRules, type AnswerRules } from '../models/answer-rules.js';
import { ownsInput } from '../batches/account.js';
import type { Chunk } from '../batches/chunk.js';
import { collect, type CollectParts } from '../batches/collect.js';
import { answerBounds } from '../http/answer-bounds.js';
import type { FileBounds } from '../batches/apis/batch-api.js';
import { batchProgress, BatchDisplay } from '../batches/display.js';
import { rowsIn } from '../batches/held-rows.js';
import { LineIndex } from '../batches/line-index.js';
import { RawFile } from '../batches/raw-files.js';
import { BatchReader } from '../batches/reader.js';
import { resultPath } from '../batches/result-files.js';
import { resolveCreation, submitChunks } from '../batches/submit.js';
import { watch, type Watched } from '../batches/watch.js';
import type { ModelCall } from '../models/call.js';
import { batchesOnResponses } from '../models/endpoint.js';
import { readJob } from '../run/jobs.js';
import type { WatchedBatches } from './open-watched-run.js';
import type { CommandContext } from './command-context.js';

/** The least that a result file may have. */
const LEAST_MAXIMUM_BYTES = 64 << 20;
/** What surrounds an answer, with an error's text or the echo of a request. */
const BYTES_A_REQUEST = 64 << 10;
/** A token of text escaped as JSON, with room for reasoning that is there twice. */
const BYTES_A_TOKEN = 64;
/** A token with up to 20 alternatives, each with its bytes. */
const BYTES_A_TOKEN_WITH_LOGPROBS = 6000;

/** Of an answer where nothing bounds it: no model gives more. */
const MOST_TOKENS = 128 << 10;

/** How much the result file of this many requests can have; anything far larger is not a result file. */
function boundsOf({ generation }: ModelCall, requests: number): FileBounds {
  const { max_tokens: tokens, n, logprobs } = generation;
  const bytesAToken = logprobs === true ? BYTES_A_TOKEN_WITH_LOGPROBS : BYTES_A_TOKEN;
  const bytesARequest = BYTES_A_REQUEST + (tokens ?? MOST_TOKENS) * (n ?? 1) * bytesAToken;
  return { bytes: LEAST_MAXIMUM_BYTES + requests * bytesARequest, line: answerBounds(generation) };
}

/** Where each row's request is, for batches whose input file is not here. */
export async function indexJobs({ folder, run }: WatchedBatches): Promise<LineIndex> {
  const identify = (line: Buffer): number | null => readJob(line)?.requestIdx ?? null;
  return (await LineIndex.build(folder.jobs, run.rows, identify)).index;
}

/**
 * What collecting needs.
 * @param jobs null where every batch's input file is here, and holds requests as the journal does
 */
export function collectParts(
  { call, folder, run, ledger, totals, client, submission }: WatchedBatches,
  jobs: LineIndex | null,
  rules: AnswerRules,
  reporter: CommandContext['console'],
): CollectParts {
  return {
    folder,
    ledger,
    client,
    waiting: submission.waiting,
    reporter,
    index: run.index,
    redactor: call.environment.redactor,
    bounds: (requests) => boundsOf(call, requests),
    requestOf: (row) => readJob(jobs?.read(row) ?? Buffer.alloc(0))?.body ?? Buffer.from('{}'),
    rules,
    onAnswer: (completion) => {
      totals.addAnswer(completion);
    },
    onPartial: (answer) => {
      totals.addUnused(answer);
    },
  };
}

/** Watches until every batch has ended and is collected. */
export async function watchOnce(
  watched: WatchedBatches,
  { console, onBatches }: CommandContext,
): Promise<Watched> {
  const { watching, call, folder, ledger, totals, client, submission, isGivenUp } = watched;
  const { waiting } = submission;
  const display = new BatchDisplay(ledger);
  const raw = new RawResults(watched, console);
  // The journal holds chat requests, which the files of batches to the Responses API do not.
  const isNeeded =
    batchesOnResponses(call) || ledger.chunks.some((chunk) => !existsSync(ledger.pathOf(chunk) ?? ''));
  const jobs = isNeeded ? await indexJobs(watched) : null;
  const parts = collectParts(watched, jobs, await answerRules(call), console);
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
      ownsInput: (chunk) => ownsInput(client, waiting, chunk, ledger),
      isAnswered: (chunk) => isAnswered(chunk, watched),
      isGivenUp,
      collect: async (chunk, batch, look) => {
        const outcome = await collect(chunk, batch, look, parts);
        totals.setBatches(ledger.totals());
        await raw.update();
        return outcome;
      },
      ...(submission.queue === undefined ? {} : { queue: submission.queue }),
      onPoll: () => {
        onBatches?.(batchProgress(ledger));
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

/** True where every row of a chunk has an answer. */
async function isAnswered(chunk: Chunk, { ledger, run }: WatchedBatches): Promise<boolean> {
  const asked = await rowsIn([chunk], ledger, run.rows);
  return !asked.some((isSubmitted, row) => isSubmitted === 1 && !run.index.isAnswered(row));
}

/** `--output_file` and `--error_file`, brought up to date whenever a batch was collected. */
export class RawResults {
  readonly #files: { kind: 'output' | 'error'; file: RawFile }[] = [];

  constructor(
    private readonly watched: WatchedBatches,
    console: CommandContext['console'],
  ) {
    const { outputFile, errorFile } = watched.watching;
    if (outputFile !== null)
      this.#files.push({ kind: 'output', file: new RawFile(outputFile, '--output_file', console) });
    if (errorFile !== null)
      this.#files.push({ kind: 'error', file: new RawFile(errorFile, '--error_file', console) });
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
      await file.update(paths.filter((path): path is string => path !== null && existsSync(path)));
    }
  }
}

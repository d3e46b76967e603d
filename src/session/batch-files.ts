/** `--batch_file_only`: the files of a batch, for the user to run (`vllm run-batch`, SGLang, an upload by hand). */

import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Chunk } from '../batches/chunk.js';
import { handRunBatch, isHandRun } from '../batches/hand-run.js';
import type { Ledger } from '../batches/ledger.js';
import { EXIT, UserError } from '../lib/errors.js';
import { count, plural, shellWord } from '../lib/text.js';
import { printResult } from '../terminal/output.js';
import { describeOutstanding, holdRows } from './before-paying.js';
import { planRows, type BatchRun } from './submit-batches.js';
import type { CommandContext } from './command-context.js';

/**
 * Writes the files of all rows that have no answer and are in no batch, and says what to do with them.
 * @returns the exit code; null where there is nothing to write
 * @throws UserError where a batch may exist whose creation was not answered
 */
export async function writeBatchFiles(batchRun: BatchRun, context: CommandContext): Promise<number | null> {
  const { folder, run, ledger, watchCommand } = batchRun;
  const { console } = context;
  refuseUnsettled(batchRun);
  ledger.forget(ledger.unsubmitted.filter((chunk) => !existsSync(ledger.pathOf(chunk) ?? '')));
  const outstanding = describeOutstanding(ledger, watchCommand);
  if ((await holdRows({ folder, run, ledger })) > 0 && outstanding !== null) console.warning(outstanding);
  await planRows(batchRun, console, () => true);
  for (const chunk of ledger.unsubmitted) handOut(chunk, ledger);
  await ledger.save();
  const chunks = ledger.open.filter(isHandRun);
  if (chunks.length === 0) return null;
  await explain(chunks, batchRun, context);
  return EXIT.done;
}

function refuseUnsettled({ ledger, watchCommand }: BatchRun): void {
  const unsettled = ledger.chunks.filter(({ state }) => state === 'creating' || state === 'waiting');
  if (unsettled.length === 0) return;
  throw new UserError(
    `${plural(unsettled.length, 'batch file')} of this run ${unsettled.length === 1 ? 'is' : 'are'} being submitted. Let them ` +
      `finish first: ${watchCommand()}`,
  );
}

/** From now on the file is the user's: its rows are held until results are given, or it is given up. */
function handOut(chunk: Chunk, ledger: Ledger): void {
  const { file, requests } = chunk;
  const now = Date.now();
  const name = file ?? `chunk-${chunk.number}`;
  ledger.change(chunk, { kind: 'uploaded', fileId: name, at: null });
  ledger.change(chunk, { kind: 'creating', creation: name, at: now });
  ledger.change(chunk, { kind: 'created', batch: handRunBatch(name, requests, now) });
}

async function explain(
  chunks: readonly Chunk[],
  { call, folder, ledger, watchCommand }: BatchRun,
  { console, output = printResult }: CommandContext,
): Promise<void> {
  const requests = chunks.reduce((sum, chunk) => sum + chunk.requests, 0);
  const files = chunks.map((chunk) => ledger.pathOf(chunk) ?? '');
  const results = files.map((file) => join(folder.temp, basename(file).replace('jobs_', 'results_') + 'l'));
  console.info(
    `Nothing was sent. ${plural(files.length, 'file')} with ${plural(requests, 'request')} in OpenAI's batch format: ` +
      files.map(shellWord).join(' '),
  );
  console.info('Run them anywhere, for example with vLLM:');
  for (const [index, file] of files.entries()) {
    const model = shellWord(call.annotator.model);
    console.info(
      `  vllm run-batch -i ${shellWord(file)} -o ${shellWord(results[index] ?? '')} --model ${model}`,
    );
  }
  console.info(
    `Then import the results. Until then, the ${count(requests)} rows are not sent anywhere else; --give_up FILE releases them.`,
  );
  const command = watchCommand([], ['--results', results.join(',')]);
  await output(`${command}\n`, `The files are written; import their results with: ${command}`);
}

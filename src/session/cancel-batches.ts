/** `--cancel`: stops the run's batches, after asking. */

import { createInterface } from 'node:readline/promises';
import { hasEnded } from '../batches/batch.js';
import { Interrupted } from '../batches/calls.js';
import { cancelBatch } from '../batches/cancel.js';
import { isHandRun } from '../batches/hand-run.js';
import type { Chunk } from '../batches/chunk.js';
import { resolveCreation } from '../batches/submit.js';
import { UserError } from '../lib/errors.js';
import { sanitize, plural } from '../lib/text.js';
import type { WatchedRun } from './open-watched-run.js';
import type { CommandContext } from './command-context.js';

/** Stops the run's batches. Returns false where the user would rather not. */
export async function cancelBatches(
  { watching, ledger, submission, client }: WatchedRun,
  { console }: CommandContext,
): Promise<boolean> {
  // A batch whose creation was not answered is one of them, if it exists.
  for (const chunk of ledger.unanswered) await resolveCreation(chunk, submission);
  const isRunning = (chunk: Chunk): boolean =>
    chunk.batch !== null && !hasEnded(chunk.batch) && !isHandRun(chunk);
  const open = ledger.open.filter(isRunning);
  if (
    !watching.yes &&
    !(await confirm(
      `Cancel ${plural(open.length, 'batch', 'batches')}? Answers so far are paid for and will be collected.`,
    ))
  ) {
    console.info('Nothing was cancelled.');
    return false;
  }
  const running: string[] = [];
  let stopped = 0;
  for (const chunk of open) {
    const why = await cancel(chunk, { ledger, client, submission });
    if (why === null) stopped += 1;
    else running.push(`${sanitize(chunk.batch?.id ?? '', 80)} (${sanitize(why, 200)})`);
  }
  // What waits for the queue is no longer submitted.
  ledger.forget(ledger.unsubmitted);
  await ledger.save();
  console.info(`${plural(stopped, 'batch', 'batches')} cancelled.`);
  if (running.length > 0) refuseRunning(running, watching.then === 'finish_online', console);
  return true;
}

/**
 * What could not be stopped may still run and be billed.
 * @throws UserError where its rows were to be sent online
 */
function refuseRunning(
  running: readonly string[],
  isToBePaid: boolean,
  console: CommandContext['console'],
): void {
  const what = `${plural(running.length, 'batch', 'batches')} could not be cancelled and may still run: ${running.join('; ')}.`;
  if (!isToBePaid) {
    console.warning(`${what} Watching until it ends.`);
    return;
  }
  throw new UserError(
    `${what} Nothing is sent online, because its rows would be paid for twice. Cancel it in the account, or run the same ` +
      'command without --cancel, which waits until it ends.',
  );
}

/** Returns why a batch was not stopped; null where it was, or has ended. */
async function cancel(
  chunk: Chunk,
  { ledger, client, submission }: Pick<WatchedRun, 'ledger' | 'client' | 'submission'>,
): Promise<string | null> {
  const cancelled = await cancelBatch(chunk.batch?.id ?? '', client, submission.waiting);
  if (cancelled.kind === 'not_stopped') return cancelled.why;
  // Some servers answer with another id than the one that they were asked for.
  if (cancelled.batch.id === chunk.batch?.id)
    await ledger.apply(chunk, { kind: 'seen', batch: cancelled.batch });
  return null;
}

async function confirm(question: string): Promise<boolean> {
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  try {
    // Ctrl-C belongs to the question while it is open.
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

/** What an online run does about the batches of its folder: none of their rows may be sent. */

import type { Chunk } from '../batches/chunk.js';
import { isHandRun } from '../batches/hand-run.js';
import type { Ledger } from '../batches/ledger.js';
import { UserError } from '../lib/errors.js';
import type { RunPolicy } from '../run/settings.js';
import type { RunFolder } from '../run/folder.js';
import type { PreparedRun } from '../run/prepare.js';
import { count, plural } from '../lib/text.js';
import { hasOwnServer } from '../models/endpoint.js';
import { openBatchClient, waitingUntil, type BatchAccount } from './batch-tools.js';
import {
  describeOutstanding,
  holdRows,
  refuseBatchesElsewhere,
  permitted,
  type PayingRun,
} from './before-paying.js';
import { describing } from './submit-batches.js';
import type { OnlinePermit } from './online-permit.js';
import type { CommandContext } from './command-context.js';
import type { WatchCommand } from './watch-command.js';

/** A server of the user's own, which may have no Batch API, is asked briefly. */
const COURTESY_TIMEOUT_MS = 10_000;
const COURTESY_TRIES = 2;

/** A run that is resumed online. */
interface ResumedRun extends BatchAccount {
  policy: Pick<RunPolicy, 'retry'>;
  folder: RunFolder;
  run: PreparedRun;
  ledger: Ledger;
  watchCommand: WatchCommand;
}

/** @throws UserError where files were written for the user to run, and have no results yet */
function refuseHandRun(running: readonly Chunk[], watchCommand: WatchCommand): void {
  const files = running.filter(isHandRun).map(({ file }) => file ?? '');
  if (files.length === 0) return;
  const what = `${files.slice(0, 3).join(', ')}${files.length > 3 ? ', …' : ''}`;
  throw new UserError(
    `${what} ${files.length === 1 ? 'was' : 'were'} written for you to run, and what came of ${files.length === 1 ? 'it' : 'them'} is ` +
      `not known here; sending the rows again may pay twice. Take the results in with: ` +
      `${watchCommand([], ['--results', 'FILE'])} — if you did not run a file, add --give_up ${files[0] ?? ''} ` +
      'in place of --results.',
  );
}

/**
 * Before rows are sent online: none of them may be in a batch, now or later, and no other machine may send them.
 * @returns what is to be done about rows that are held back (null where none is), and what keeps others off
 * @throws UserError where batches are running, here or submitted from elsewhere
 */
export async function leaveBatches(
  resumed: ResumedRun,
  context: CommandContext,
): Promise<{ outstanding: string | null; permit: OnlinePermit | null }> {
  const { policy, folder, run, ledger, watchCommand } = resumed;
  const { console, interruption } = context;
  const running = ledger.chunks.filter(({ state }) => state === 'submitted' || state === 'creating');
  refuseHandRun(running, watchCommand);
  if (running.length > 0) {
    throw new UserError(
      `Rows of this run are in ${plural(running.length, 'batch', 'batches')} that may still answer them; sending them online ` +
        `would pay twice. Collect them first with: ${watchCommand()} (--cancel stops them before).`,
    );
  }
  if (ledger.unsubmitted.length > 0) {
    ledger.forget(ledger.unsubmitted);
    await ledger.save();
  }
  const held = await holdRows({ folder, run, ledger });
  let permit: OnlinePermit | null = null;
  if (run.index.countWanted(policy.retry) > 0) {
    const client = openBatchClient(resumed, console, interruption.soft);
    const paying = { ...resumed, client, waiting: waitingUntil(interruption.soft), reporter: console };
    await lookUp(paying, async () => {
      permit = await permitted(paying, false, context);
    });
  }
  const outstanding = held > 0 ? describeOutstanding(ledger, watchCommand) : null;
  if (outstanding !== null) console.warning(`${count(held)} rows are not sent. ${outstanding}`);
  return { outstanding, permit };
}

/**
 * Before rows are sent online in a folder that has no record of batches: the run may have some that were submitted from
 * a copy of the folder. Costs one list call where nothing is found.
 * @param hadBatches true where the run's settings name batches whose record is missing
 * @throws UserError where the account has batches of this run
 */
export async function refuseCopiesBatches(
  resumed: ResumedRun,
  hadBatches: boolean,
  { console, interruption }: CommandContext,
): Promise<void> {
  const { call, policy, run } = resumed;
  if (!call.annotator.provider.batches || run.index.countWanted(policy.retry) === 0) return;
  const mustKnow = hadBatches || !hasOwnServer(call);
  const { soft: signal } = interruption;
  const client = openBatchClient(resumed, console, signal, mustKnow ? undefined : COURTESY_TIMEOUT_MS);
  const waiting = { ...waitingUntil(signal), ...(mustKnow ? {} : { tries: COURTESY_TRIES }) };
  await lookUp({ ...resumed, client, waiting, reporter: console }, (paying) =>
    refuseBatchesElsewhere(paying, mustKnow),
  );
}

async function lookUp(paying: PayingRun, look: (paying: PayingRun) => Promise<void>): Promise<void> {
  try {
    await describing(paying.call, () => look(paying));
  } finally {
    await paying.client.close();
  }
}

/** Before rows are paid for: none of them may be in a batch, whether this folder knows of it or not. */

import { listsNothing } from '../batches/account.js';
import { describeUndecided, findSiblings, type Siblings } from '../batches/adopt.js';
import type { Batch } from '../batches/batch.js';
import { CallFailed, type Waiting } from '../batches/calls.js';
import { nameOf } from '../batches/chunk.js';
import type { BatchApi } from '../batches/apis/batch-api.js';
import { rowsHeld } from '../batches/held-rows.js';
import type { Ledger } from '../batches/ledger.js';
import { TemporaryError, UserError } from '../lib/errors.js';
import type { RunPolicy } from '../run/settings.js';
import type { RunFolder } from '../run/folder.js';
import type { PreparedRun } from '../run/prepare.js';
import { count, sanitize, plural } from '../lib/text.js';
import type { Reporter } from '../types.js';
import { openPermit, type OnlinePermit } from './online-permit.js';
import type { CommandContext } from './command-context.js';
import type { BatchAccount } from './batch-tools.js';
import type { WatchCommand } from './watch-command.js';

/** A run starts at a local time of an unknown zone, by a clock that may be a little off: seconds. */
const START_MARGIN_S = 26 * 3600;
/** Batches that a message names. */
const NAMED = 3;

/** What the look-up needs. */
export interface PayingRun extends BatchAccount {
  policy: Pick<RunPolicy, 'retry'>;
  watchCommand: WatchCommand;
  folder: RunFolder;
  run: PreparedRun;
  ledger: Ledger;
  client: BatchApi;
  waiting: Waiting;
  reporter: Reporter;
}

/**
 * Batches of this run that were submitted from elsewhere (another machine, a copied folder), as the account lists them.
 * @param isOurAccount true where this key has just seen one of the run's batches
 * @throws TemporaryError where the account does not say for certain: nothing may be paid for then
 */
export async function findUnknownBatches(paying: PayingRun, isOurAccount: boolean): Promise<Batch[]> {
  const { reporter } = paying;
  const found = await siblingsOf(paying, isOurAccount);
  if (found.batches.length === 0 && found.doubt !== null) {
    throw inDoubt(found.doubt);
  }
  tellUndecided(found, reporter);
  if (found.isBlind) {
    reporter.warning(
      'The server does not list the account’s batches. Batches of this run that another machine submitted would go unnoticed.',
    );
  }
  return found.batches;
}

/** Where batches do not say whose they are, only the user knows whether another machine works on this run. */
function tellUndecided({ undecided }: Siblings, reporter: Reporter): void {
  const what = describeUndecided(undecided);
  if (what === null) return;
  reporter.warning(
    `Of the account’s batches, ${what}. If another machine or a copy of this folder submitted rows of this run, wait for ` +
      'its batches to end before sending anything.',
  );
}

function inDoubt(doubt: string): TemporaryError {
  return new TemporaryError(
    `Rows may be in batches that this folder does not know of: ${sanitize(doubt, 200)}. Nothing was sent. Run the same ` +
      'command again later, with the key that the batches were submitted with.',
  );
}

function siblingsOf({ run, ledger, client, waiting }: PayingRun, isOurAccount: boolean): Promise<Siblings> {
  const { uuid, created } = run.identity;
  return findSiblings({ run: uuid, ledger, earliest: earliestBatch(created), isOurAccount }, client, waiting);
}

/** Seconds since 1970 before which a run that was created at `YYYY_MM_DD-HH_MM_SS` had no batch; null if unreadable. */
function earliestBatch(created: string): number | null {
  const [, year, month, day] = /^(\d{4})_(\d\d)_(\d\d)-/.exec(created) ?? [];
  const time = Date.parse(`${year ?? ''}-${month ?? ''}-${day ?? ''}T00:00:00Z`);
  return Number.isNaN(time) ? null : time / 1000 - START_MARGIN_S;
}

/**
 * The same for commands that do not watch batches.
 * @throws UserError where the account has some
 */
export async function refuseUnknownBatches(paying: PayingRun): Promise<void> {
  refuse(paying, await findUnknownBatches(paying, false));
}

/**
 * Before rows are sent online: keeps other machines from sending them, and looks for batches that one has submitted. In
 * that order, so that a machine that submits batches from now on sees the marker.
 * @param isOurAccount true where this key has just seen one of the run's batches
 * @returns null where nothing keeps other machines off
 * @throws UserError where the account has batches that this folder does not know of, or another machine sends the rows
 */
export async function permitted(
  paying: PayingRun,
  isOurAccount: boolean,
  context: CommandContext,
): Promise<OnlinePermit | null> {
  const permit = await openPermit(paying, context);
  try {
    refuse(paying, await findUnknownBatches(paying, isOurAccount));
    return permit;
  } catch (error) {
    await permit?.release();
    throw error;
  }
}

/**
 * The same for an online run whose folder shows no trace of a batch. A copy of the folder may have submitted some all
 * the same: every run can be continued in batches. Found ones are refused; a server that cannot say stops the run only
 * where `mustKnow`, since most servers have no Batch API, and keys may be restricted to chat requests.
 * @param mustKnow true where the provider is known to list batches
 * @throws UserError where the account has some
 */
export async function refuseBatchesElsewhere(paying: PayingRun, mustKnow: boolean): Promise<void> {
  let found: Siblings;
  try {
    found = await siblingsOf(paying, false);
  } catch (error) {
    if (!(error instanceof CallFailed) || (mustKnow && !isRefused(error))) throw error;
    tellUnknown(paying, error.message, listsNothing(error) || error.isAccepted);
    return;
  }
  refuse(paying, found.batches);
  tellUndecided(found, paying.reporter);
  if (found.doubt === null) return;
  if (mustKnow) throw inDoubt(found.doubt);
  tellUnknown(paying, found.doubt, false);
}

/** True where the server has no list, or none for this key. */
function isRefused(failure: CallFailed): boolean {
  return listsNothing(failure) || failure.status === 401 || failure.status === 403;
}

function tellUnknown({ reporter }: PayingRun, why: string, isUsual: boolean): void {
  const text =
    `The account’s batches cannot be listed (${sanitize(why, 200)}), so batches of this run that were submitted from ` +
    'another machine would go unnoticed.';
  if (isUsual) reporter.debug(text);
  else reporter.info(text);
}

/** @throws UserError where there are batches */
function refuse(paying: PayingRun, found: readonly Batch[]): void {
  const ids = found.map(({ id }) => id);
  if (ids.length === 0) return;
  throw new UserError(
    `The account has ${plural(ids.length, 'batch', 'batches')} of this run that this folder does not know of (submitted from ` +
      `another machine or folder); sending their rows again would pay twice. Collect them first with: ` +
      paying.watchCommand(ids),
  );
}

/**
 * Keeps the rows that a batch may still answer from being sent.
 * @returns how many rows that lack an answer are kept back
 */
export async function holdRows({
  folder,
  run,
  ledger,
}: Pick<PayingRun, 'folder' | 'run' | 'ledger'>): Promise<number> {
  const held = await rowsHeld(ledger, folder, run.rows);
  run.index.hold(held);
  let rows = 0;
  for (let row = 0; row < run.rows; row++) if (held[row] === 1 && !run.index.isAnswered(row)) rows += 1;
  return rows;
}

/** What is to be done about rows that are held back; null where nothing is outstanding. */
export function describeOutstanding(ledger: Ledger, watchCommand: WatchCommand): string | null {
  const { outstanding } = ledger;
  if (outstanding.length === 0) return null;
  const names = outstanding.slice(0, NAMED).map((chunk) => sanitize(nameOf(chunk), 80));
  const more = outstanding.length > NAMED ? ` and ${count(outstanding.length - NAMED)} more` : '';
  const what = plural(outstanding.length, 'batch', 'batches');
  return (
    `Rows of ${what} (${names.join(', ')}${more}) are held back, because their answers may be paid for without having ` +
    `arrived. Check again later with: ${watchCommand()} — if a batch is certainly lost, add --give_up ID.`
  );
}

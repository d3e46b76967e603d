/**
 * Before rows of a run with batches are sent online: no other machine with a copy of its folder may send them at the same
 * time. How that is known is in `batches/online-marker.ts`; here it becomes words, and a part of a run.
 */

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, realpathSync, rmSync, statSync } from 'node:fs';
import type { AccountFiles, BatchApi } from '../batches/apis/batch-api.js';
import { CallFailed, type Waiting } from '../batches/calls.js';
import { isHandRun } from '../batches/hand-run.js';
import type { Ledger } from '../batches/ledger.js';
import {
  findMarkers,
  giveUpMarkers,
  hasNoFiles,
  isStale,
  OnlineMarker,
  readMarker,
  STALE_AFTER_S,
  type Marker,
} from '../batches/online-marker.js';
import { TemporaryError } from '../lib/errors.js';
import { replaceQuickly, readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { systemVantage } from '../lib/lock-owner.js';
import { duration, sanitize } from '../lib/text.js';
import { batchTermsOf } from '../models/endpoint.js';
import type { RunFolder } from '../run/folder.js';
import type { PreparedRun } from '../run/prepare.js';
import type { RunPolicy } from '../run/settings.js';
import type { Reporter } from '../types.js';
import { openBatchClient, waitingUntil, type BatchAccount } from './batch-tools.js';
import type { CommandContext } from './command-context.js';
import type { WatchCommand } from './watch-command.js';

/** Seconds by which this machine's clock may be wrong where only it says how old a marker is. */
const CLOCK_MARGIN_S = 3600;

/** A run with rows to send. */
interface SendingRun extends BatchAccount {
  policy: Pick<RunPolicy, 'retry'>;
  watchCommand: WatchCommand;
  folder: RunFolder;
  run: PreparedRun;
  ledger: Ledger;
}

/** What a process holds while it sends rows online. */
export interface OnlinePermit {
  /** False once another machine may send the rows: nothing more may be sent. */
  isHeld(): boolean;
  /** @param onLost called once when that happens */
  keep(onLost: (why: string) => void): void;
  release(): Promise<void>;
}

/**
 * Keeps other machines from sending the rows of a run online, as far as the provider makes that possible.
 * @returns null where nothing keeps them from it: a warning says so where another machine is known to work on the run
 * @throws TemporaryError where another machine sends them
 */
export async function openPermit(
  sending: SendingRun,
  { console, interruption }: CommandContext,
): Promise<OnlinePermit | null> {
  const { call, policy, run, ledger } = sending;
  const hasBatches = ledger.chunks.some((chunk) => chunk.batch !== null && !isHandRun(chunk));
  if (!hasBatches || batchTermsOf(call) === null) return null;
  if (run.index.countWanted(policy.retry) === 0) return null;
  // After Ctrl-C the marker is still to be removed.
  const client = openBatchClient(sending, console, interruption.hard);
  let permit: OnlinePermit | null = null;
  try {
    permit = await claim(sending, client, waitingUntil(interruption.soft), console);
    return permit;
  } finally {
    if (permit === null) await client.close();
  }
}

async function claim(
  { folder, run, ledger, watchCommand }: SendingRun,
  client: BatchApi,
  waiting: Waiting,
  reporter: Reporter,
): Promise<OnlinePermit | null> {
  const { files } = client;
  if (files === undefined) {
    tellUnprotected('this provider has no list of files', ledger, reporter);
    return null;
  }
  const [path, token] = [folder.onlineMarker, ownToken(folder)];
  const claimed = await OnlineMarker.claim({ run: run.identity.uuid, token, path, files, waiting });
  if (claimed.kind === 'held') return permitOf(claimed.marker, client, path, reporter);
  rmSync(path, { force: true });
  if (claimed.kind === 'taken') throw taken(claimed.by, claimed.secondsAgo, watchCommand);
  tellUnprotected(claimed.why, ledger, reporter);
  return null;
}

function permitOf(marker: OnlineMarker, client: BatchApi, path: string, reporter: Reporter): OnlinePermit {
  return {
    isHeld: () => marker.isHeld(),
    keep: (onLost) => {
      marker.keep(onLost);
    },
    release: async () => {
      const isRemoved = await marker.release();
      await client.close();
      // The folder's own leftover is recognised by this file.
      if (isRemoved) rmSync(path, { force: true });
      else {
        reporter.warning(
          `${marker.name} could not be deleted from the account's files. For ${duration(STALE_AFTER_S * 1000)} it keeps other ` +
            'machines from sending rows of this run.',
        );
      }
    },
  };
}

function tellUnprotected(why: string, ledger: Ledger, reporter: Reporter): void {
  const text =
    `Nothing prevents another machine from sending the same rows online (${sanitize(why, 200)}). If one has a copy of this run, ` +
    'do not send its rows online from there, too.';
  if (ledger.chunks.some(({ isAdopted }) => isAdopted)) reporter.warning(text);
  else reporter.debug(text);
}

function taken({ name }: Marker, secondsAgo: number | null, watchCommand: WatchCommand): TemporaryError {
  const when = secondsAgo === null ? '' : `, renewed ${duration(secondsAgo * 1000)} ago`;
  return new TemporaryError(
    `Another machine is sending rows of this run online (its marker among the account's files is ${sanitize(name, 160)}${when}), so ` +
      'nothing was sent from here. Run the same command again when it has finished. If it is certainly no longer running, ' +
      `its marker expires after ${duration(STALE_AFTER_S * 1000)}, or at once with: ` +
      watchCommand([], ['--give_up', name]),
  );
}

/** What a folder calls itself. A copy of it elsewhere calls itself something else. */
function ownToken({ onlineMarker: path, temp }: RunFolder): string {
  const known = readOwnToken({ onlineMarker: path, temp });
  if (known !== null) return known;
  const token = randomBytes(8).toString('hex');
  // A line that the Batch API could read: some servers look at what is uploaded for batches.
  const line = {
    custom_id: 'reannotate-online',
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'none', messages: [] },
    token,
    place: placeOf(temp),
  };
  replaceQuickly(path, `${JSON.stringify(line)}\n`);
  return token;
}

/** The token of this very folder; null where it has none, or that of another folder. */
function readOwnToken({ onlineMarker: path, temp }: Pick<RunFolder, 'onlineMarker' | 'temp'>): string | null {
  const value = existsSync(path) ? parseJson(readOwnText(path)) : null;
  if (!isObject(value) || value['place'] !== placeOf(temp)) return null;
  const { token } = value;
  return typeof token === 'string' && /^[0-9a-f]{16}$/.test(token) ? token : null;
}

/** A digest of what no copy of a folder has in common with it. */
function placeOf(folder: string): string {
  const { boot, host } = systemVantage(folder);
  const { ino, dev } = statSync(folder);
  const text = JSON.stringify([boot ?? host, realpathSync(folder), ino, dev]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** What a look for other machines' markers needs. */
interface LookingRun {
  watchCommand: WatchCommand;
  folder: RunFolder;
  run: Pick<PreparedRun, 'identity'>;
  client: Pick<BatchApi, 'files'>;
  waiting: Waiting;
}

/**
 * Before rows are submitted as batches.
 * @throws TemporaryError where another machine sends rows of the run online
 */
export async function refuseOnlineElsewhere(looking: LookingRun): Promise<void> {
  const now = Math.floor(Date.now() / 1000);
  const by = await onlineElsewhere(looking, now - CLOCK_MARGIN_S);
  if (by !== null) throw taken(by, null, looking.watchCommand);
}

/**
 * The marker of another machine that sends rows of the run online; null where there is none.
 * @param now seconds since 1970 by the server's clock, as far as it is known
 */
export async function onlineElsewhere(
  { folder, run, client: { files }, waiting }: LookingRun,
  now: number,
): Promise<Marker | null> {
  if (files === undefined) return null;
  const own = readOwnToken(folder);
  try {
    const markers = await findMarkers(run.identity.uuid, files, waiting);
    return markers.find((one) => one.token !== own && !isStale(one, now)) ?? null;
  } catch (error) {
    // Without a list of files no machine has a marker.
    if (error instanceof CallFailed && hasNoFiles(error)) return null;
    throw error;
  }
}

/** True for what `--give_up` calls a marker of this run. */
export function isMarkerName(run: string, name: string): boolean {
  return readMarker(run, { id: '', name, createdAt: null }) !== null;
}

/** `--give_up` with names of markers. */
export async function giveUpByName(
  names: readonly string[],
  run: string,
  { files, waiting, reporter }: { files: AccountFiles | undefined; waiting: Waiting; reporter: Reporter },
): Promise<void> {
  if (names.length === 0 || files === undefined) return;
  const removed = await giveUpMarkers(run, files, waiting, ({ name }) => names.includes(name));
  for (const name of names) {
    reporter.info(
      removed.includes(name)
        ? `${sanitize(name, 160)} is given up: it no longer prevents others from sending rows of this run.`
        : `${sanitize(name, 160)} is not among the account's files, or no longer.`,
    );
  }
}

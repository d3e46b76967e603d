/** A run's folders, taken for one process at a time, with their log. */

import { existsSync } from 'node:fs';
import { TemporaryError, UserError } from '../lib/errors.js';
import { workUnder } from '../lib/fence.js';
import { failedAction, fileProblem, isFileProblem, makeFolder, removeTemporaryFiles } from '../lib/files.js';
import { FolderLock } from '../lib/lock.js';
import type { RunSettings } from '../run/settings.js';
import { earlierFiles, moveAside, type RunFolder } from '../run/folder.js';
import { JournalGone } from '../run/journal.js';
import { requireOwnRun } from '../run/own-run.js';
import { sanitize } from '../lib/text.js';
import type { CommandContext } from './command-context.js';
import { withLog } from './with-log.js';

/** A command's work in a run's folders. */
export interface FolderUse {
  folder: RunFolder;
  /** The name of the command, for the log. */
  command: string;
  settings: RunSettings;
}

/**
 * Works in a run's folders and gives them back whatever happens.
 * @param work gets the folders that an overwritten run was moved to; none where there was no such run
 * @throws TemporaryError where another process works on the run, or took it over while this one was frozen
 */
export async function inFolder(
  { folder, command, settings }: FolderUse,
  context: CommandContext,
  work: (aside: readonly string[]) => Promise<number>,
): Promise<number> {
  const { console } = context;
  makeFolder(folder.save);
  makeFolder(folder.temp);
  requireOwnRun(folder);
  let lock = await takeLock(folder, context);
  let aside: string[] = [];
  try {
    if (settings.policy.earlier === 'overwrite' && earlierFiles(folder).length > 0) {
      lock.release();
      aside = moveAside(folder, new Date());
      lock = await takeLock(folder, context);
      console.info(`Moved the earlier run to ${aside.join(', ')}.`);
    }
    removeTemporaryFiles(folder.save);
    removeTemporaryFiles(folder.temp);
    const exitCode = await withLog(folder, settings, console, () => {
      const { call, selection } = settings;
      console.record('info', `${command} ${call.annotator.name} on ${sanitize(selection.dataset, 200)}`);
      return work(aside);
    });
    if (lock.lost !== null) throw lockLost(lock.lost, folder, context);
    return exitCode;
  } catch (error) {
    // The message about a deleted folder says where its answers are.
    throw lock.lost === null || error instanceof JournalGone
      ? withResumption(error, context)
      : lockLost(lock.lost, folder, context);
  } finally {
    workUnder(null);
    lock.release();
  }
}

/** The run has started, so the same command would be refused or start over: a disk error says how to resume. */
function withResumption(error: unknown, { resumeCommand }: CommandContext): unknown {
  // An error that was converted already keeps its own advice and exit code.
  const isBare = isFileProblem(error) && !(error instanceof UserError);
  const problem = isBare ? fileProblem(error, failedAction(error)) : error;
  if (!(problem instanceof TemporaryError) || !isFileProblem(problem.cause)) return error;
  if (problem.message.includes(resumeCommand)) return problem;
  return new TemporaryError(`${problem.message} Then resume with: ${resumeCommand}`, {
    cause: problem.cause,
  });
}

async function takeLock(folder: RunFolder, { console, interruption }: CommandContext): Promise<FolderLock> {
  const lock = await FolderLock.acquire(folder.temp, {
    signal: interruption.soft,
    onWait: (message) => {
      console.warning(message);
    },
  });
  lock.onLost(() => {
    interruption.drain();
  });
  workUnder(lock);
  return lock;
}

function lockLost(reason: string, folder: RunFolder, { resumeCommand }: CommandContext): TemporaryError {
  if (!existsSync(folder.temp)) {
    const batches = existsSync(folder.batchObjects)
      ? ` The run’s batches are listed in ${folder.batchObjects}, and their answers can still be collected.`
      : '';
    return new TemporaryError(
      `${folder.temp} was deleted while this command used it, so it stopped.${batches} Run it again with: ${resumeCommand}`,
    );
  }
  return new TemporaryError(
    `${reason} Answers that were in flight are saved next to the journal, and the next run imports them: ${resumeCommand}`,
  );
}

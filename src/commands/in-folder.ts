/** A run's folders, taken for one process at a time, with their log. */

import { messageOf } from '../errors.js';
import { makeFolder, removeTemporaryFiles } from '../files.js';
import { lockFolder } from '../lock.js';
import { LogFile } from '../log.js';
import type { RunOptions } from '../options.js';
import type { Console } from '../progress.js';
import { earlierFiles, moveAside, type RunFolder } from '../run/folder.js';
import { inert } from '../text.js';

/**
 * Works in a run's folders and gives them back whatever happens.
 * @param command the name of the command, for the log
 */
export async function inFolder(
  folder: RunFolder,
  command: string,
  options: RunOptions,
  console: Console,
  work: () => Promise<number>,
): Promise<number> {
  makeFolder(folder.save);
  makeFolder(folder.temp);
  let unlock = lockFolder(folder.temp);
  try {
    if (options.earlier === 'overwrite' && earlierFiles(folder).length > 0) {
      unlock();
      const moved = moveAside(folder, new Date());
      unlock = lockFolder(folder.temp);
      console.info(`Moved the earlier run aside: ${moved.join(', ')}.`);
    }
    removeTemporaryFiles(folder.save);
    removeTemporaryFiles(folder.temp);
    const log = new LogFile(folder.log, options.loggingLevel, options.environment.redactor);
    console.attachLog(log);
    console.record('info', `${command} ${options.annotator.name} on ${inert(options.dataset, 200)}`);
    try {
      return await work();
    } catch (error) {
      console.record('error', messageOf(error));
      throw error;
    } finally {
      console.detachLog();
      log.close();
      if (log.problem !== null) console.warning(log.problem);
    }
  } finally {
    unlock();
  }
}

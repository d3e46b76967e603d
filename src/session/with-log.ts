/** What a run's `output.log` holds: everything that a command says while it works in the run's folders. */

import { messageOf } from '../lib/errors.js';
import type { RunFolder } from '../run/folder.js';
import type { RunSettings } from '../run/settings.js';
import { LogFile } from '../terminal/log.js';
import type { Console } from '../terminal/progress.js';

/** Works with the log attached to the console; an error that ends the work is its last entry. */
export async function withLog<T>(
  { log: path }: Pick<RunFolder, 'log'>,
  { loggingLevel, environment }: Pick<RunSettings, 'loggingLevel' | 'environment'>,
  console: Console,
  work: () => Promise<T>,
): Promise<T> {
  const log = new LogFile(path, loggingLevel, environment.redactor);
  console.attachLog(log);
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
}

/** What a run's `output.log` holds: everything that a command says while it works in the run's folders. */

import { messageOf } from '../lib/errors.js';
import type { RunFolder } from '../run/folder.js';
import type { Redactor } from '../secrets/redactor.js';
import { LogFile, type LogLevel } from '../terminal/log.js';
import type { Console } from '../terminal/progress.js';

/** What is written to a log, and what is taken out of it. */
export interface LogSettings {
  loggingLevel: LogLevel;
  environment: { redactor: Redactor };
}

/** Works with the log attached to the console; an error that ends the work is its last entry. */
export async function withLog<T>(
  { log: path }: Pick<RunFolder, 'log'>,
  { loggingLevel, environment }: LogSettings,
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

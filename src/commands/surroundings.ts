import type { Interruption } from '../interruption.js';
import type { Console } from '../progress.js';

/** What a command needs besides its options. */
export interface Surroundings {
  console: Console;
  interruption: Interruption;
  /** The command line that goes on with this run, for messages. */
  resumeCommand: string;
}

import type { Interruption } from '../terminal/interruption.js';
import type { Console } from '../terminal/progress.js';

/** What a command needs besides its options. */
export interface Surroundings {
  console: Console;
  interruption: Interruption;
  /** The command line that resumes this run, for messages. */
  resumeCommand: string;
  /** The words of the command line after the program; absent where it is not `reannotate` with flags. */
  words?: readonly string[];
}

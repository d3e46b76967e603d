import type { BatchProgress } from '../batches/display.js';
import type { Interruption } from '../terminal/interruption.js';
import type { printResult } from '../terminal/output.js';
import type { Console } from '../terminal/progress.js';
import type { Progress } from './progress.js';

/** What a command needs besides its options. */
export interface CommandContext {
  console: Console;
  interruption: Interruption;
  /** The command line that resumes this run, for messages. */
  resumeCommand: string;
  /** The words of the command line after the program; absent where it is not `reannotate` with flags. */
  words?: readonly string[];
  /** Takes what a command was run for, such as the next command for scripts; standard output where absent. */
  output?: typeof printResult;
  /** Learns every second, and at the end, how far requests are. */
  onProgress?: (progress: Progress) => void;
  /** Learns how far batches are, at each look at them. */
  onBatches?: (progress: BatchProgress) => void;
  /** Learns when nothing is sent until a time, and, with null, when requests are sent again. */
  onPause?: (until: Date | null) => void;
}

#!/usr/bin/env node
/** The command `watch-batch`. */

import { runProgram } from './main.js';
import { watchBatchProgram } from './program.js';

await runProgram((version, handlers) => watchBatchProgram(version, handlers));

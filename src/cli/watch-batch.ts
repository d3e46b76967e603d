#!/usr/bin/env node
/** The command `watch-batch`. */

import { runProgram } from './main.js';

await runProgram('watch-batch');

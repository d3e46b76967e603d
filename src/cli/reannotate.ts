#!/usr/bin/env node
/** The command `reannotate`: the boundary where errors become sentences and exit codes. */

import { runProgram } from './main.js';

await runProgram('reannotate');

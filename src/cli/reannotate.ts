#!/usr/bin/env node
/** The command `reannotate`: the boundary where errors become sentences and exit codes. */

import { runProgram } from './main.js';
import { reannotateProgram } from './program.js';

await runProgram((version, handlers) => reannotateProgram(version, handlers));

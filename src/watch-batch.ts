#!/usr/bin/env node
/** The command `watch-batch`; batch mode is not there yet, and says so. */

import { EXIT } from './errors.js';

process.stderr.write(
  'error: watch-batch is not there yet in this version; run reannotate without --batch.\n',
);
process.exitCode = EXIT.cannotGoOn;

// Preloaded into the program: kills it, as a power cut would, just before its n-th rename. Every file that must be whole
// is put in place by a rename, so these are the moments between one state on disk and the next.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const deadly = Number(process.env.KILL_AT_RENAME);
const { renameSync } = fs;
let renames = 0;
fs.renameSync = (from, to) => {
  renames += 1;
  if (renames === deadly) process.kill(process.pid, 'SIGKILL');
  renameSync(from, to);
};
syncBuiltinESMExports();

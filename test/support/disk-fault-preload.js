// Preloaded into the program: one call of a file operation below a folder fails, or all from that one on; with SIGKILL
// for its code the program dies there, as in a power cut. FAIL_CALL, FAIL_AT (from 0), FAIL_CODE, FAIL_LASTING and
// FAIL_BELOW; FAIL_COUNTS names a file for the numbers of calls.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const { FAIL_CALL, FAIL_AT, FAIL_CODE, FAIL_LASTING, FAIL_BELOW = '', FAIL_COUNTS } = process.env;
const OPERATIONS = [
  'openSync',
  'writeSync',
  'writeFileSync',
  'fsyncSync',
  'fdatasyncSync',
  'ftruncateSync',
  'renameSync',
  'linkSync',
  'mkdirSync',
  'readSync',
  'readFileSync',
  'closeSync',
];
const counts = Object.fromEntries(OPERATIONS.map((name) => [name, 0]));
/** Descriptors of files below the folder. */
const ours = new Set();
const openPlain = fs.openSync;
const writePlain = fs.writeFileSync;

for (const name of OPERATIONS) {
  const plain = fs[name];
  fs[name] = (target, ...more) => {
    const isOurs = typeof target === 'number' ? ours.has(target) : String(target).startsWith(FAIL_BELOW);
    // A descriptor whose close fails is closed nevertheless, as on Linux.
    if (name === 'closeSync') ours.delete(target);
    if (isOurs) {
      const number = counts[name] ?? 0;
      counts[name] = number + 1;
      const isChosen =
        name === FAIL_CALL &&
        (FAIL_LASTING === undefined ? number === Number(FAIL_AT) : number >= Number(FAIL_AT));
      if (isChosen) {
        if (name === 'closeSync') plain(target);
        // A disk that becomes full, and a program that dies, leave a part of what is written.
        if (
          name === 'writeSync' &&
          (FAIL_CODE === 'ENOSPC' || FAIL_CODE === 'SIGKILL') &&
          FAIL_LASTING === undefined &&
          more[0].length > 8
        ) {
          return plain(target, more[0], 0, Math.floor(more[0].length / 2)) && fail(name);
        }
        fail(name);
      }
    }
    const result = plain(target, ...more);
    if (name === 'openSync' && isOurs) ours.add(result);
    return result;
  };
}
syncBuiltinESMExports();

function fail(name) {
  if (FAIL_CODE === 'SIGKILL') process.kill(process.pid, 'SIGKILL');
  throw Object.assign(new Error(`${FAIL_CODE}: injected, ${name}`), { code: FAIL_CODE, syscall: name });
}

if (FAIL_COUNTS !== undefined) {
  process.on('exit', () => {
    const descriptor = openPlain(FAIL_COUNTS, 'w');
    writePlain(descriptor, JSON.stringify(counts));
  });
}

// A process that runs the built program again and again, as test/support/warm-program.ts tells it to: what takes long, which is
// starting Node and loading and compiling the program, happens once. Each run has a command line, an environment and
// its own working folder, and ends as a process does: when nothing keeps it alive any more.
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds between two looks at what keeps a run alive. */
const LOOK_MS = 2;

// A stream counts from its first use on.
const streams = [process.stdin, process.stdout, process.stderr];
/** How much keeps this process alive between two runs: these, and the channel that orders come through. */
let idle = -1;
const listeners = { exit: new Set(process.rawListeners('exit')), error: streamListeners() };
let number = 0;

process.on('message', (order) => void run(order));
process.on('disconnect', () => process.exit());

/** @param {any} order */
async function run({ program, args, env, cwd, mark }) {
  await sleep(LOOK_MS);
  if (idle < 0) idle = alive();
  for (const name of Object.keys(process.env).filter((one) => !(one in env)))
    Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, env);
  process.chdir(cwd);
  process.argv = [process.execPath, fileURLToPath(program), ...args];
  process.exitCode = undefined;
  // The query makes Node evaluate the first module again, which starts the program; what it imports stays loaded.
  number += 1;
  await import(`${program}?run=${number}`);
  while (alive() > idle) await sleep(LOOK_MS);
  const code = endOfRun();
  process.stdout.write(mark);
  process.stderr.write(mark);
  process.send?.({ code });
}

/** What Node does at the end of a process, and forgets with it. */
function endOfRun() {
  const code = process.exitCode ?? 0;
  for (const listener of process.rawListeners('exit').filter((one) => !listeners.exit.has(one))) {
    process.off('exit', /** @type {() => void} */ (listener));
    listener.call(process, code);
  }
  for (const [stream, known] of listeners.error) {
    for (const listener of stream.rawListeners('error').filter((one) => !known.has(one)))
      stream.off('error', /** @type {() => void} */ (listener));
  }
  process.exitCode = undefined;
  return code;
}

function streamListeners() {
  return new Map(streams.map((stream) => [stream, new Set(stream.rawListeners('error'))]));
}

/** How much there is that keeps this process alive; Node lists what it keeps of a file that was read for the next one. */
function alive() {
  return process.getActiveResourcesInfo().filter((name) => name !== 'FileHandleReadWrap').length;
}

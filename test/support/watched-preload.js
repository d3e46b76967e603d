// Preloaded into the program: how long its event loop stood still at most, and how much memory it had, in the file that
// WATCHED_FILE names. Of a standstill only the time in which this process itself was busy counts: on a busy machine it
// may have to wait for a processor.
import { readFileSync, writeFileSync } from 'node:fs';

const TICK_MS = 20;
const busy = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
let longest = 0;
let lastTurn = performance.now();
let lastBusy = busy();

const turn = () => {
  const now = performance.now();
  const used = busy();
  longest = Math.max(longest, Math.min(now - lastTurn - TICK_MS, used - lastBusy));
  lastTurn = now;
  lastBusy = used;
};

setInterval(turn, TICK_MS).unref();
process.on('exit', () => {
  turn();
  const megabytes = Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
  writeFileSync(process.env.WATCHED_FILE ?? '', JSON.stringify({ megabytes, stillMs: longest }));
});

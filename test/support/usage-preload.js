// Preloaded into the program: writes what it used to the file that USAGE_FILE names when it ends.
import { readFileSync, writeFileSync } from 'node:fs';

process.on('exit', () => {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  writeFileSync(
    process.env.USAGE_FILE ?? '',
    JSON.stringify({ megabytes: peakMegabytes(), cpuSeconds: (userCPUTime + systemCPUTime) / 1e6 }),
  );
});

/** Linux hands the parent's peak down in `maxRSS`; the process's own is in its status. */
function peakMegabytes() {
  try {
    return Number(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
  } catch {
    return process.resourceUsage().maxRSS / 1024;
  }
}

/** Milliseconds of CPU that something takes: unlike the time on the clock, no other process adds to it. */
export function cpuTimeOf(run: () => unknown): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

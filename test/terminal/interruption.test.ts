import { describe, expect, it } from 'vitest';
import { isHangUpIgnored, type HangUpEvidence } from '../../src/terminal/hang-up.js';
import { Interruption } from '../../src/terminal/interruption.js';

describe('signals', () => {
  it.each<[string, [NodeJS.Signals, number][], number, boolean]>([
    ['Ctrl-C drains', [['SIGINT', 0]], 130, false],
    ['a second Ctrl-C stops at once', [['SIGINT', 0], ['SIGINT', 150]], 130, true], // prettier-ignore
    ['one key press that arrives twice counts once', [['SIGINT', 0], ['SIGINT', 2]], 130, false], // prettier-ignore
    ['two deliveries of one press, then a second press', [['SIGINT', 0], ['SIGINT', 2], ['SIGINT', 900]], 130, true], // prettier-ignore
    ['SIGTERM drains, however often it comes', [['SIGTERM', 0], ['SIGTERM', 500], ['SIGTERM', 9000]], 143, false], // prettier-ignore
    ['a hang-up drains', [['SIGHUP', 0], ['SIGHUP', 500]], 129, false], // prettier-ignore
    ['SIGUSR2 drains, and asks to be run again', [['SIGUSR2', 0]], 75, false],
    ['the first signal decides the exit code', [['SIGUSR2', 0], ['SIGTERM', 60_000]], 75, false], // prettier-ignore
    ['one Ctrl-C after SIGTERM is a first one', [['SIGTERM', 0], ['SIGINT', 500]], 143, false], // prettier-ignore
    ['two Ctrl-C after SIGTERM stop at once', [['SIGTERM', 0], ['SIGINT', 500], ['SIGINT', 900]], 143, true], // prettier-ignore
  ])('%s', (_, signals, exitCode, atOnce) => {
    let now = 0;
    const interruption = new Interruption(() => now);
    for (const [signal, at] of signals) {
      now = at;
      interruption.receive(signal);
    }
    expect(interruption.soft.aborted).toBe(true);
    expect(interruption.hard.aborted).toBe(atOnce);
    expect(interruption.exitCode).toBe(exitCode);
  });
});

describe('whether hang-ups were ignored at the start', () => {
  const stat = (pid: number, parent: number, session: number, name = 'bash'): Record<string, string> => ({
    [`/proc/${pid}/stat`]: `${pid} (${name}) S ${parent} ${pid} ${session} 0 -1`,
  });
  const ignoring = (pid: number, mask: string): Record<string, string> => ({
    [`/proc/${pid}/status`]: `Name:\tx\nSigIgn:\t${mask}\nSigCgt:\t0000000000000000\n`,
  });
  const self = { '/proc/self/stat': '50 (node) R 40 50 7 0 -1' };
  const evidence = (files: Record<string, string>, more: Partial<HangUpEvidence> = {}): HangUpEvidence => ({
    shellCommand: '/usr/bin/node',
    parent: 40,
    read: (path) => files[path] ?? null,
    link: () => '/dev/pts/1',
    writesToNohupFile: () => false,
    ...more,
  });
  const nohupInput = { link: () => '/dev/null' };

  it.each<[string, HangUpEvidence, boolean]>([
    ['a shell that started nohup', evidence({}, { shellCommand: '/usr/bin/nohup' }), true],
    ['nohup.out as output', evidence({}, { writesToNohupFile: () => true }), true],
    ['the input that nohup leaves', evidence({ '/proc/self/fdinfo/0': 'pos:\t0\nflags:\t02100001\n' }, nohupInput), true], // prettier-ignore
    ['an input from /dev/null', evidence({ '/proc/self/fdinfo/0': 'pos:\t0\nflags:\t02100000\n' }, nohupInput), false], // prettier-ignore
    ['an input from /dev/null, read and write', evidence({ '/proc/self/fdinfo/0': 'flags:\t02100002\n' }, nohupInput), false], // prettier-ignore
    ['a script that ignores them', evidence({ ...self, ...stat(40, 7, 7), ...ignoring(40, '0000000000000005') }), true], // prettier-ignore
    [
      'one above npx, which does not',
      evidence({
        ...self,
        ...stat(40, 30, 7, 'npm (exec) x'),
        ...ignoring(40, '0000000000000000'),
        ...stat(30, 7, 7),
        ...ignoring(30, '0000000000000001'),
      }),
      true,
    ],
    ['a daemon of another session', evidence({ ...self, ...stat(40, 1, 3), ...ignoring(40, '0000000000000001') }), false], // prettier-ignore
    ['an ordinary shell', evidence({ ...self, ...stat(40, 7, 7), ...ignoring(40, '0000000000384004') }), false], // prettier-ignore
    ['a system without /proc', evidence({}), false],
  ])('%s', (_, given, expected) => {
    expect(isHangUpIgnored(given)).toBe(expected);
  });
});

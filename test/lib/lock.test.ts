import { spawn } from 'node:child_process';
import { once, setMaxListeners } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FolderLock, LockWatch, type LockAttempt } from '../../src/lib/lock.js';
import {
  stateOf,
  systemVantage,
  type LockOwner,
  type OwnerState,
  type Vantage,
} from '../../src/lib/lock-owner.js';
import { temporaryFolder } from '../support/cli.js';
import { FakeClock } from '../support/fake-clock.js';

const HERE: Vantage = {
  pid: 10,
  host: 'node-1',
  boot: 'boot-1',
  pidNamespace: 'pid:[1]',
  folder: '/runs/a',
  isBareSystem: false,
  isRunning: (pid) => pid === 10 || pid === 20,
  startOf: (pid) => (pid === 10 || pid === 20 ? `start-${pid}` : null),
};

const OWNER: LockOwner = {
  pid: 20,
  host: 'node-1',
  started: 'start-20',
  inode: 5,
  folder: '/runs/a',
  boot: 'boot-1',
  pidNamespace: 'pid:[1]',
  token: 'abc',
  since: '2026-01-31T12:00:00.000Z',
};
const OLD = { boot: null, pidNamespace: null, token: null, folder: null, since: null };
const MAC = { boot: null, pidNamespace: null, isBareSystem: true, startOf: () => null };

describe('what is known of a lock’s owner', () => {
  it.each<[string, Partial<LockOwner>, Partial<Vantage>, OwnerState]>([
    ['it runs here', {}, {}, 'alive'],
    ['it has ended', { pid: 30 }, {}, 'dead'],
    ['its number belongs to a later process', { started: 'start-19' }, {}, 'dead'],
    ['this very process', { pid: 10, started: 'start-10' }, {}, 'alive'],
    ['a pod of the same name, process 1 in both', { pid: 1, pidNamespace: 'pid:[2]' }, { pid: 1 }, 'unknown'],
    ['the same on another node', { pid: 1, boot: 'boot-2' }, { pid: 1 }, 'unknown'],
    ['a machine before its restart', { boot: 'boot-0' }, {}, 'unknown'],
    ['another machine', { host: 'node-2', boot: 'boot-2' }, {}, 'unknown'],
    ['a copy of the folder made on this machine', { inode: 4, folder: '/runs/b' }, {}, 'dead'],
    ['the folder under another path', { folder: '/mnt/runs/a' }, {}, 'alive'],
    ['a file system whose inodes change', { inode: 4 }, {}, 'alive'],
    ['a copy from another machine', { inode: 4, folder: '/runs/b', boot: 'boot-2' }, {}, 'unknown'],
    ['Linux without a boot id', { boot: null }, { boot: null }, 'unknown'],
    ['macOS: nobody has that number', { pid: 30, ...MAC_OWNER() }, MAC, 'dead'],
    ['macOS: somebody has it', MAC_OWNER(), MAC, 'unknown'],
    ['macOS: another machine', { ...MAC_OWNER(), host: 'mac-2' }, MAC, 'unknown'],
    ['an old lock of a process that runs here', OLD, {}, 'alive'],
    ['an old lock of one that has ended', { ...OLD, pid: 30 }, {}, 'dead'],
    ['an old lock of another machine', { ...OLD, host: 'node-2' }, {}, 'silent'],
    ['an old lock of process 1, seen by process 1', { ...OLD, pid: 1 }, { pid: 1 }, 'silent'],
    ['an old lock that was copied', { ...OLD, host: 'node-2', inode: 4 }, {}, 'dead'],
  ])('%s', (_, owner, vantage, expected) => {
    expect(stateOf({ ...OWNER, ...owner }, 5, { ...HERE, ...vantage })).toBe(expected);
  });
});

function MAC_OWNER(): Partial<LockOwner> {
  return { boot: null, pidNamespace: null, started: null };
}

interface Contender {
  lock: Promise<FolderLock>;
  /** The lock, or the message of the error; null while it waits. */
  outcome: () => FolderLock | string | null;
  waits: string[];
  controller: AbortController;
}

/** A process in its own pod: it sees no other process. */
function contender(
  folder: string,
  clock: FakeClock,
  pod: string,
  wallClock: () => number = () => clock.now(),
): Contender {
  let outcome: FolderLock | string | null = null;
  const waits: string[] = [];
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  const lock = FolderLock.acquire(folder, {
    clock,
    wallClock,
    signal: controller.signal,
    onWait: (message) => waits.push(message),
    vantage: { ...HERE, pid: 1, host: 'worker-0', pidNamespace: pod, folder, startOf: () => '1' },
  });
  lock.then(
    (taken) => {
      outcome = taken;
      onTestFinished(() => {
        taken.release();
      });
    },
    (error: unknown) => (outcome = error instanceof Error ? error.message : String(error)),
  );
  return { lock, outcome: () => outcome, waits, controller };
}

/** A lock whose owner shows no further sign of life: its timer does not belong to the fake clock. */
async function frozen(folder: string, clock: FakeClock, pod = 'pod-a'): Promise<FolderLock> {
  return contender(folder, clock, pod).lock;
}

it.runIf(process.platform === 'linux')(
  'a process that was killed and that nobody waits for has ended',
  async () => {
    // The shell becomes a program that never asks what became of its child.
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => void parent.kill('SIGKILL'));
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const child = Number(line.toString());
    await vi.waitUntil(() => readFileSync(`/proc/${parent.pid ?? 0}/comm`, 'utf8') === 'sleep\n');
    const { isRunning } = systemVantage(temporaryFolder());
    expect(isRunning(child)).toBe(true);
    process.kill(child, 'SIGKILL');
    await vi.waitUntil(() => !isRunning(child), { timeout: 10_000 });
    // It still has its number.
    expect(() => process.kill(child, 0)).not.toThrow();
  },
);

describe('a lock on a shared folder', () => {
  it('is not stolen from a pod of the same name that shows signs of life', async () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    const first = await frozen(folder, clock);
    const second = contender(folder, clock, 'pod-b');
    await clock.runUntil(1000);
    expect(second.outcome()).toBeNull();
    expect(second.waits).toEqual([expect.stringMatching(/locked by process 1 on worker-0.*up to 60 s/)]);
    writeFileSync(
      join(folder, 'lock'),
      readFileSync(join(folder, 'lock'), 'utf8').replace(/"beat":"\d+"/, '"beat":"2"'),
    );
    await clock.runUntil(2000);
    expect(second.outcome()).toMatch(/Another process works on this run \(process 1 on worker-0, since /);
    expect(first.verify()).toBe(true);
  });

  it('ends by itself a minute after the last sign of life, for one of those who wait', async () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    const dead = await frozen(folder, clock);
    const waiting = ['pod-b', 'pod-c', 'pod-d'].map((pod) => contender(folder, clock, pod));
    await clock.runUntil(59_000);
    expect(waiting.map(({ outcome }) => outcome())).toEqual([null, null, null]);
    await clock.runUntil(125_000);
    const taken = waiting.filter(({ outcome }) => outcome() instanceof FolderLock);
    expect(taken).toHaveLength(1);
    expect(readFileSync(join(folder, 'lock'), 'utf8')).toContain((await taken[0]?.lock)?.token);
    // The process that was frozen wakes up, and finds out before it does anything.
    let told = 0;
    dead.onLost(() => (told += 1));
    expect(dead.verify()).toBe(false);
    expect(dead.verify()).toBe(false);
    expect(dead.lost).toMatch(/took this run over \(process 1 on worker-0/);
    expect(told).toBe(1);
    dead.release();
    expect(existsSync(join(folder, 'lock'))).toBe(true);
  });

  it('is not measured by other clocks', async () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    await frozen(folder, clock);
    // Ten years ahead, and then ten years behind.
    let wall = 3e11;
    const second = contender(folder, clock, 'pod-b', () => wall);
    await clock.runUntil(30_000);
    wall = -3e11;
    await clock.runUntil(55_000);
    expect(second.outcome()).toBeNull();
  });

  it('is checked again after the machine slept, and kept if no other process took it', async () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    let wall = 0;
    const lock = await contender(folder, clock, 'pod-a', () => wall).lock;
    const before = readFileSync(join(folder, 'lock'), 'utf8');
    // The monotonic clock stops while a machine sleeps.
    expect(lock.verify()).toBe(true);
    expect(readFileSync(join(folder, 'lock'), 'utf8')).toBe(before);
    wall = 3_600_000;
    expect(lock.verify()).toBe(true);
    const after = readFileSync(join(folder, 'lock'), 'utf8');
    expect(after).toContain(lock.token);
    expect(after).not.toBe(before);
  });

  it('is created again if its file is deleted while this process is alive', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    const lock = await contender(folder, clock, 'pod-a').lock;
    rmSync(join(folder, 'lock'));
    vi.advanceTimersByTime(2000);
    expect(readFileSync(join(folder, 'lock'), 'utf8')).toContain(lock.token);
    expect(lock.verify()).toBe(true);
  });

  it('is lost if another process took the run over, finished it and released the lock', async () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    const slept = await frozen(folder, clock);
    const second = contender(folder, clock, 'pod-b');
    await clock.runUntil(61_000);
    (await second.lock).release();
    expect(readdirSync(folder)).toEqual([]);
    expect(slept.verify()).toBe(false);
    expect(slept.lost).toMatch(/took this run over.*Nothing more was sent/);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('is lost with its folder', async () => {
    const [folder, clock] = [join(temporaryFolder(), 'run'), new FakeClock()];
    mkdirSync(folder);
    const lock = await frozen(folder, clock);
    rmSync(folder, { recursive: true });
    await clock.runUntil(31_000);
    expect(lock.verify()).toBe(false);
    expect(lock.lost).toBe('The working folder was deleted.');
  });

  it('waits for content that is not a lock, as for an unfinished lock', async () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    writeFileSync(join(folder, 'lock'), '{"pid":');
    const { lock, outcome } = contender(folder, clock, 'pod-a');
    await clock.runUntil(59_000);
    expect(outcome()).toBeNull();
    await clock.runUntil(61_000);
    expect((await lock).verify()).toBe(true);
  });

  it('stops waiting at a signal', async () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    await frozen(folder, clock);
    const second = contender(folder, clock, 'pod-b');
    await clock.runUntil(1000);
    second.controller.abort();
    await expect(second.lock).rejects.toThrow();
  });

  it('is taken immediately from a process on this machine that has ended', async () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    await frozen(folder, clock);
    const vantage = { ...HERE, pid: 10, pidNamespace: 'pod-a', folder, isRunning: () => false };
    const lock = await FolderLock.acquire(folder, {
      clock,
      vantage,
      signal: new AbortController().signal,
      onWait: () => expect.unreachable(),
    });
    lock.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  it.skipIf(process.getuid?.() === 0)('says so if the folder is not writable', async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o500);
    await expect(frozen(folder, new FakeClock())).rejects.toThrow(/Cannot write .*permission denied/);
    chmodSync(folder, 0o700);
  });
});

describe('one attempt to take a lock', () => {
  function attempt(folder: string, clock: FakeClock, pod: string, watch: LockWatch): LockAttempt {
    const vantage = { ...HERE, pid: 1, host: 'worker-0', pidNamespace: pod, folder, startOf: () => '1' };
    const made = FolderLock.attempt(folder, watch, { clock, wallClock: () => clock.now(), vantage });
    if (made.kind === 'taken')
      onTestFinished(() => {
        made.lock.release();
      });
    return made;
  }

  it('does not wait, and takes over a lock without signs of life for a minute', async () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    const watch = new LockWatch(clock);
    const first = attempt(folder, clock, 'pod-a', watch);
    expect(first.kind).toBe('taken');
    expect(attempt(folder, clock, 'pod-b', watch)).toMatchObject({
      kind: 'watched',
      owner: { host: 'worker-0' },
    });
    await clock.runUntil(59_000);
    expect(attempt(folder, clock, 'pod-b', watch).kind).toBe('watched');
    await clock.runUntil(61_000);
    expect(attempt(folder, clock, 'pod-b', watch).kind).toBe('taken');
    expect(first.kind === 'taken' && first.lock.verify()).toBe(false);
  });

  it('sees an owner that lives', () => {
    const [folder, clock] = [temporaryFolder(), new FakeClock()];
    const watch = new LockWatch(clock);
    attempt(folder, clock, 'pod-a', watch);
    expect(attempt(folder, clock, 'pod-b', watch).kind).toBe('watched');
    const path = join(folder, 'lock');
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"beat":"\d+"/, '"beat":"2"'));
    expect(attempt(folder, clock, 'pod-b', watch).kind).toBe('held');
  });
});

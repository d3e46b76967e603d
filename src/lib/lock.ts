/**
 * A lock that keeps a second process off a run's folder, also on a file system that several machines share.
 *
 * Its owner gives a sign of life every few seconds by writing a growing number into the file. Another process that can't
 * look the owner up (another machine, another container) watches that number by its own clock, so that clocks need not
 * agree: a number that changes is a living owner, and one that stays the same for a minute is taken over. The owner, for
 * its part, makes sure that the lock is still its own before it sends or saves anything after a pause of half a minute
 * (a frozen process, a sleeping machine, a network file system that hung).
 *
 * Taking over is a race that one wins: the lock is made by `link`, which fails where there is one, and moved aside by
 * `rename`; a lock that turns out to have changed meanwhile is put back. The owner writes before it looks, and the other
 * moves before it reads, so one of the two always notices.
 */

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  linkSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode, TemporaryError, UserError } from './errors.js';
import { fileProblem, openFile, TEMPORARY_SUFFIX } from './files.js';
import {
  ownerOf,
  parseOwner,
  stateOf,
  systemVantage,
  type LockOwner,
  type OwnerState,
  type Vantage,
} from './lock-owner.js';
import { systemClock, type Clock } from './clock.js';
import { sanitize } from './text.js';

/** How often the owner gives a sign of life. */
const BEAT_MS = 2000;
const POLL_MS = 500;
/** A lock without a sign of life for this long is taken over. */
export const EXPIRY_MS = 60_000;
/** After this long without a sign of life, the owner checks whether the lock is still its own. */
const SURE_MS = EXPIRY_MS / 2;
const BEAT_DIGITS = 12;

/** What a lock is made with; tests pass their own. */
export interface LockTools {
  clock?: Clock;
  /** Milliseconds of a clock that keeps running while the machine sleeps. */
  wallClock?: () => number;
  vantage?: Vantage;
}

/** What waiting for a lock needs besides the folder. */
export interface LockWaitOptions extends LockTools {
  /** Says that the lock is being watched. */
  onWait: (message: string) => void;
  /** Ends the wait. */
  signal: AbortSignal;
}

interface Found {
  content: string;
  inode: number;
}

/** How one attempt to take a folder went. */
export type LockAttempt =
  | { kind: 'taken'; lock: FolderLock }
  /** Another process certainly works on the folder. */
  | { kind: 'held'; owner: LockOwner | null; advice: string }
  /** The owner can't be checked from here; only time will show whether it is alive. */
  | { kind: 'watched'; owner: LockOwner | null };

export class FolderLock {
  readonly token = randomBytes(12).toString('hex');
  readonly #path: string;
  readonly #clock: Clock;
  readonly #wallClock: () => number;
  readonly #vantage: Vantage;
  readonly #since = new Date().toISOString();
  /** Of this lock's own file, whatever happens to its name. */
  #descriptor: number | null = null;
  #beats = 0;
  #timer: NodeJS.Timeout | null = null;
  /** When the last sign of life was given, by both clocks: one of them stops while a machine sleeps. */
  #renewed = 0;
  #renewedAt = 0;
  #lost: string | null = null;
  #onLost: (() => void) | null = null;

  /**
   * Takes a folder for this process, waiting for a sign of life where the lock's owner can't be looked up from here.
   * @throws TemporaryError that names the process which holds it
   */
  static async acquire(folder: string, context: LockWaitOptions): Promise<FolderLock> {
    const { onWait, signal, clock = systemClock } = context;
    const watch = new LockWatch(clock);
    for (let isFirst = true; ; isFirst = false) {
      const attempt = FolderLock.attempt(folder, watch, context);
      if (attempt.kind === 'taken') return attempt.lock;
      if (attempt.kind === 'held') throw held(attempt.owner, attempt.advice);
      if (isFirst) onWait(waiting(attempt.owner));
      await clock.sleep(POLL_MS, signal);
      signal.throwIfAborted();
    }
  }

  /**
   * Takes a folder if that is possible now. Where its lock has to be watched, call this again with the same `watch`.
   * @throws UserError where the folder can't be written to
   */
  static attempt(folder: string, watch: LockWatch, context: LockTools = {}): LockAttempt {
    const lock = new FolderLock(folder, context);
    const obstacle = lock.#take(watch);
    if (obstacle !== null) {
      lock.#close();
      return obstacle;
    }
    lock.#timer = setInterval(() => lock.#renew(), BEAT_MS);
    lock.#timer.unref();
    return { kind: 'taken', lock };
  }

  private constructor(folder: string, { clock, wallClock, vantage }: LockTools) {
    this.#path = join(folder, 'lock');
    this.#clock = clock ?? systemClock;
    this.#wallClock = wallClock ?? Date.now;
    this.#vantage = vantage ?? systemVantage(realpathSync(folder));
  }

  /** Why this process no longer holds the lock, as a sentence; null while it does. */
  get lost(): string | null {
    return this.#lost;
  }

  /** Called once when the lock turns out to be lost; nothing may be sent or written to the folder from then on. */
  onLost(handler: () => void): void {
    this.#onLost = handler;
  }

  /** True where this process certainly holds the lock: costs two looks at a clock, and after a pause one at the file. */
  verify(): boolean {
    if (this.#lost !== null) return false;
    return this.#silence() < SURE_MS || this.#renew();
  }

  /** Gives the folder back. A lock that another process has taken stays. */
  release(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    try {
      if (this.#lost === null && this.#isOwn(readIfThere(this.#path))) unlinkSync(this.#path);
    } catch {
      // A folder that cannot be written to any more: the lock gives no more signs of life, and what was done in it is saved.
    }
    this.#close();
  }

  /** What keeps the lock from being taken; null where it is taken. */
  #take(watch: LockWatch): Exclude<LockAttempt, { kind: 'taken' }> | null {
    while (!this.#create()) {
      const found = readIfThere(this.#path);
      if (found === null) continue;
      const owner = parseOwner(found.content);
      const state = owner === null ? 'unknown' : stateOf(owner, found.inode, this.#vantage);
      if (state === 'alive') return { kind: 'held', owner, advice: '' };
      if (state === 'silent') {
        const advice = ` If that process is certainly gone, delete ${this.#path}.`;
        return { kind: 'held', owner, advice };
      }
      if (state === 'dead') {
        moveAside(this.#path, found.content, this.token);
        continue;
      }
      if (watch.look(found.content)) return { kind: 'held', owner, advice: '' };
      if (watch.unchanged < EXPIRY_MS) return { kind: 'watched', owner };
      moveAside(this.#path, found.content, this.token);
      watch.restart();
    }
    return null;
  }

  /** Makes the lock together with its content, so that nobody ever sees it empty; false where there is one. */
  #create(): boolean {
    const name = `${process.pid}.${randomBytes(12).toString('hex')}${TEMPORARY_SUFFIX}`;
    const temporary = `${this.#path}.${name}`;
    let isWritten = false;
    try {
      this.#write(temporary);
      isWritten = true;
      linkSync(temporary, this.#path);
      return this.#made();
    } catch (error) {
      const code = systemErrorCode(error);
      // A network file system may repeat a request whose answer was lost, and report its own success as EEXIST.
      if (code === 'EEXIST' && isWritten) return this.#hasTwoNames() && this.#made();
      // Whoever took the lock meanwhile removed what dead processes left, and took this for such.
      if (code === 'ENOENT' && isWritten) return false;
      // Some file systems have no hard links.
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS')
        throw fileProblem(error, `write ${this.#path}`);
      return this.#createExclusively();
    } finally {
      rmSync(temporary, { force: true });
    }
  }

  #createExclusively(): boolean {
    try {
      this.#write(this.#path);
      return this.#made();
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST') return false;
      rmSync(this.#path, { force: true });
      throw fileProblem(error, `write ${this.#path}`);
    }
  }

  #hasTwoNames(): boolean {
    return this.#descriptor !== null && fstatSync(this.#descriptor).nlink === 2;
  }

  #write(path: string): void {
    this.#close();
    this.#descriptor = openFile(path, 'create');
    this.#beat(this.#descriptor);
  }

  #made(): true {
    this.#noteRenewal();
    return true;
  }

  /** The content has the same length every time, so that readers find the old one or the new one. */
  #beat(descriptor: number): void {
    this.#beats += 1;
    const content = Buffer.from(
      JSON.stringify({
        ...ownerOf(this.#vantage, this.token, this.#since),
        inode: fstatSync(descriptor).ino,
        beat: String(this.#beats).padStart(BEAT_DIGITS, '0'),
      }),
    );
    for (let written = 0; written < content.length;)
      written += writeSync(descriptor, content, written, content.length - written, written);
  }

  /** Gives a sign of life and makes sure that the lock is still this process's. Writes first: see above. */
  #renew(): boolean {
    if (this.#lost !== null || this.#descriptor === null) return false;
    try {
      this.#beat(this.#descriptor);
      this.#publish(this.#descriptor);
      const found = readIfThere(this.#path, true);
      if (this.#isOwn(found)) this.#noteRenewal();
      else if (found !== null) this.#lose(takenBy(parseOwner(found.content)));
      // After a while without a sign of life, another process may have taken the run over, finished it and left.
      else if (this.#silence() >= SURE_MS && this.#hasFolder()) this.#lose(takenBy(null));
      // Someone deleted the file. The folder is still this process's unless another one is faster.
      else if (!this.#create()) this.#lose(takenBy(null));
    } catch (error) {
      if (!this.#hasFolder()) this.#lose('The working folder was deleted.');
      else if (this.#silence() >= SURE_MS) {
        const { message } = error instanceof UserError ? error : fileProblem(error, `renew ${this.#path}`);
        this.#lose(message);
      }
    }
    return this.lost === null;
  }

  /**
   * Sends the sign of life to the server of a network file system, where it would otherwise stay in this machine's cache
   * for half a minute. After a pause it has to be there before this process looks at the lock.
   */
  #publish(descriptor: number): void {
    if (this.#silence() >= SURE_MS) fdatasyncSync(descriptor);
    else fdatasync(descriptor, () => undefined);
  }

  #hasFolder(): boolean {
    return existsSync(join(this.#path, '..'));
  }

  #silence(): number {
    const clocks = [this.#clock.now() - this.#renewed, Math.abs(this.#wallClock() - this.#renewedAt)];
    return Math.max(...clocks);
  }

  #noteRenewal(): void {
    this.#renewed = this.#clock.now();
    this.#renewedAt = this.#wallClock();
  }

  #isOwn(found: Found | null): boolean {
    return found !== null && found.content.includes(this.token);
  }

  #lose(reason: string): void {
    this.#lost = reason;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#onLost?.();
  }

  #close(): void {
    if (this.#descriptor === null) return;
    try {
      closeSync(this.#descriptor);
    } catch {
      // A file of a server that is no longer reachable.
    }
    this.#descriptor = null;
  }
}

/** The holder of a folder's lock, for people; null where there is none, or one that has ended for certain. */
export function lockHolder(folder: string): string | null {
  const { owner, state } = lookAtLock(folder);
  return state === 'none' || state === 'dead' ? null : describe(owner);
}

/** What one look at a folder's lock shows. */
export interface LockSight {
  owner: LockOwner | null;
  state: OwnerState | 'none';
  /** Changes with each sign of life; null where there is no lock. */
  content: string | null;
}

/** Looks at the lock of a folder that is there. @throws UserError where it can't be read */
export function lookAtLock(folder: string): LockSight {
  const found = readIfThere(join(folder, 'lock'));
  if (found === null) return { owner: null, state: 'none', content: null };
  const { content, inode } = found;
  const owner = parseOwner(content);
  const state = owner === null ? 'unknown' : stateOf(owner, inode, systemVantage(realpathSync(folder)));
  return { owner, state, content };
}

/** How long a lock has not changed, by this process's own clock. */
export class LockWatch {
  #content: string | null = null;
  #since = 0;

  constructor(private readonly clock: Clock = systemClock) {}

  /** Notes what a look at the lock showed; true where it changed since the last one. */
  look(content: string): boolean {
    const hasChanged = this.#content !== null && this.#content !== content;
    if (this.#content !== content) this.#since = this.clock.now();
    this.#content = content;
    return hasChanged;
  }

  /** Milliseconds. */
  get unchanged(): number {
    return this.clock.now() - this.#since;
  }

  restart(): void {
    this.#content = null;
  }
}

/**
 * @param mustBeReadable true to throw where the file is there and can't be read
 */
function readIfThere(path: string, mustBeReadable = false): Found | null {
  try {
    const descriptor = openFile(path, 'read');
    try {
      return { content: readFileSync(descriptor, 'utf8'), inode: fstatSync(descriptor).ino };
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'ENOENT' && (mustBeReadable || code !== 'ESTALE')) throw fileProblem(error, `read ${path}`);
    return null;
  }
}

/** Of two processes that find the same stale lock one wins, and neither takes away the other's new one. */
function moveAside(path: string, stale: string, token: string): void {
  const aside = `${path}.stale.${process.pid}.${token}${TEMPORARY_SUFFIX}`;
  try {
    renameSync(path, aside);
    if (readIfThere(aside)?.content !== stale) linkSync(aside, path);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'ENOENT' && code !== 'EEXIST') throw fileProblem(error, `replace ${path}`);
  } finally {
    rmSync(aside, { force: true });
  }
}

function held(owner: LockOwner | null, advice: string): TemporaryError {
  return new TemporaryError(
    `Another process works on this run (${describe(owner)}). Wait until it ends, or stop it.${advice}`,
  );
}

function waiting(owner: LockOwner | null): string {
  return (
    `This run is locked by ${describe(owner)}, which cannot be checked from here. Waiting up to ` +
    `${EXPIRY_MS / 1000} s for a sign of life; without one, this process takes over the run.`
  );
}

function takenBy(owner: LockOwner | null): string {
  return (
    `Another process took this run over${owner === null ? '' : ` (${describe(owner)})`}, because this one gave no sign ` +
    'of life for a while. Nothing more was sent.'
  );
}

function describe(owner: LockOwner | null): string {
  if (owner === null) return 'an unknown process';
  const since = owner.since === null ? '' : `, since ${sanitize(owner.since, 30)}`;
  return `process ${owner.pid} on ${sanitize(owner.host, 100)}${since}`;
}

/**
 * The workers of a run that send requests, so that each takes its part of the account's limits. Each has a small file with a
 * number that grows every second. A process of this machine that has ended is noticed at once; any other worker counts as
 * gone when its number has not changed for a while, by the clock of the process that looks.
 */

import { randomBytes } from 'node:crypto';
import { readdirSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, type Clock } from '../lib/clock.js';
import { makeFolder, replaceQuickly, readOwnText } from '../lib/files.js';
import { ownerOf, parseOwner, stateOf, systemVantage, type Vantage } from '../lib/lock-owner.js';

/** Between two signs of life. */
const BEAT_MS = 1000;
/** Between two looks at others, for each of them: many workers must not read each other's files all the time. */
const LOOK_MS_PER_WORKER = 100;
/**
 * After this long without a sign of life a worker counts as gone; until then its part of the limits is not used. A worker
 * that is only frozen or busy sends nothing in that time either, so a mistake costs nothing.
 */
const GONE_MS = 3000;
/** The same in looks, where these are rare. */
const GONE_LOOKS = 3;
/** The same in pauses between a worker's last signs of life: some network file systems show them late. */
const GONE_PAUSES = 2.5;
const LONGEST_PATIENCE_MS = 30_000;
/** The file of a worker that has ended is removed after this long. */
const FORGOTTEN_MS = 10 * 60_000;
const LARGEST_FILE = 1 << 12;
const NAME = /^[0-9a-f]{16}$/;

/** What was seen of another worker. */
interface Sighting {
  content: string;
  /** When that was seen first. */
  at: number;
  /** Milliseconds between the last three changes; 0 where there were fewer. */
  pauses: [number, number];
}

/** What counting the workers needs besides their folder; tests pass their own. */
export interface LivingTools {
  clock?: Clock;
  vantage?: Vantage;
}

export class LivingWorkers {
  readonly #folder: string;
  readonly #name = randomBytes(8).toString('hex');
  readonly #since = new Date().toISOString();
  readonly #seen = new Map<string, Sighting>();
  readonly #clock: Clock;
  #vantage: Vantage | null;
  #beats = 0;
  #count = 1;
  #nextLook = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(runDir: string, { clock = systemClock, vantage }: LivingTools = {}) {
    this.#folder = join(runDir, 'workers');
    this.#clock = clock;
    this.#vantage = vantage ?? null;
  }

  /** How many workers send requests, this one included. */
  get count(): number {
    return this.#count;
  }

  /** Shows signs of life, and looks for those of others, until `stop`. */
  start(): void {
    if (this.#timer !== null) return;
    makeFolder(this.#folder);
    this.#vantage ??= systemVantage(realpathSync(this.#folder));
    this.#nextLook = 0;
    this.beat();
    this.#timer = setInterval(() => {
      this.beat();
    }, BEAT_MS);
    this.#timer.unref();
  }

  /** Leaves its part of the limits to the others. */
  stop(): void {
    if (this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    rmSync(join(this.#folder, this.#name), { force: true });
  }

  /** One sign of life, and a look where one is due. A folder that cannot be reached leaves the count as it was. */
  beat(): void {
    if (this.#vantage === null) return;
    try {
      this.#beats += 1;
      const sign = { ...ownerOf(this.#vantage, this.#name, this.#since), beat: this.#beats };
      replaceQuickly(join(this.#folder, this.#name), JSON.stringify(sign));
      const now = this.#clock.now();
      if (now >= this.#nextLook) this.#count = this.#look(now, this.#vantage);
    } catch {
      // The lease notices what matters; until then the limits stay shared as they were.
    }
  }

  #look(now: number, here: Vantage): number {
    let living = 1;
    const names = readdirSync(this.#folder);
    const interval = LOOK_MS_PER_WORKER * names.length;
    // Beats are timers, which are a little early or late.
    this.#nextLook = now + Math.max(0, interval - BEAT_MS / 2);
    for (const name of names) {
      if (name === this.#name || !NAME.test(name)) continue;
      const content = contentOf(join(this.#folder, name));
      if (content === null) continue;
      const sighting = this.#note(name, content, now);
      const silence = now - sighting.at;
      if (silence < patienceWith(sighting, interval) && !hasEnded(content, here)) living += 1;
      // What was killed leaves its file behind.
      else if (silence > FORGOTTEN_MS) rmSync(join(this.#folder, name), { force: true });
    }
    return living;
  }

  #note(name: string, content: string, now: number): Sighting {
    const before = this.#seen.get(name);
    if (before?.content === content) return before;
    const pauses: Sighting['pauses'] = before === undefined ? [0, 0] : [before.pauses[1], now - before.at];
    const sighting = { content, at: now, pauses };
    this.#seen.set(name, sighting);
    return sighting;
  }
}

/** Milliseconds without a sign of life after which a worker counts as gone. */
function patienceWith({ pauses }: Sighting, interval: number): number {
  const learnt = Math.min(LONGEST_PATIENCE_MS, GONE_PAUSES * Math.max(...pauses));
  return Math.max(GONE_MS, GONE_LOOKS * interval, learnt);
}

/** True for a process that ran on this machine and has ended. */
function hasEnded(content: string, here: Vantage): boolean {
  const owner = parseOwner(content);
  return owner !== null && stateOf(owner, owner.inode ?? 0, here) === 'dead';
}

function contentOf(path: string): string | null {
  try {
    return readOwnText(path, LARGEST_FILE);
  } catch {
    // It has ended by now, or the file is not a worker's.
    return null;
  }
}

/**
 * The workers of a run that live, so that each takes its part of the account's limits. Each has a small file whose number
 * grows every few seconds; one whose number has not changed for a while, by the clock of the process that looks, has ended.
 */

import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, type Clock } from '../lib/clock.js';
import { makeFolder, replaceQuickly } from '../lib/files.js';

/** Between two signs of life. */
const BEAT_MS = 2000;
/** Between two looks at others, for each of them: many workers must not read each other's files all the time. */
const LOOK_MS_A_WORKER = 100;
/** Without a sign of life for so long, a worker counts as gone: until then its part of the limits is not used. */
const GONE_MS = 9000;
/** The same in looks, where these are rare. */
const GONE_LOOKS = 3;
/** The file of a worker that is gone is removed after so long. */
const FORGOTTEN_MS = 10 * 60_000;
const LARGEST_FILE = 1 << 10;
const NAME = /^[0-9a-f]{16}$/;

export class LivingWorkers {
  readonly #folder: string;
  readonly #name = randomBytes(8).toString('hex');
  readonly #seen = new Map<string, { content: string; at: number }>();
  #beats = 0;
  #count = 1;
  #nextLook = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(
    runDir: string,
    private readonly clock: Clock = systemClock,
  ) {
    this.#folder = join(runDir, 'workers');
  }

  /** How many workers live, this one included. */
  get count(): number {
    return this.#count;
  }

  /** Shows signs of life, and looks for those of others, until `stop`. */
  start(): void {
    makeFolder(this.#folder);
    this.beat();
    this.#timer = setInterval(() => {
      this.beat();
    }, BEAT_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    rmSync(join(this.#folder, this.#name), { force: true });
  }

  /** One sign of life, and a look where one is due. A folder that cannot be reached leaves the count as it was. */
  beat(): void {
    try {
      this.#beats += 1;
      replaceQuickly(join(this.#folder, this.#name), String(this.#beats));
      const now = this.clock.now();
      if (now >= this.#nextLook) this.#count = this.#look(now);
    } catch {
      // The lease notices what matters; until then the limits stay shared as they were.
    }
  }

  #look(now: number): number {
    let living = 1;
    const names = readdirSync(this.#folder);
    const pause = LOOK_MS_A_WORKER * names.length;
    const gone = Math.max(GONE_MS, GONE_LOOKS * pause);
    // Beats are timers, which are a little early or late.
    this.#nextLook = now + Math.max(0, pause - BEAT_MS / 2);
    for (const name of names) {
      if (name === this.#name || !NAME.test(name)) continue;
      const content = contentOf(join(this.#folder, name));
      if (content === null) continue;
      const before = this.#seen.get(name);
      if (before?.content !== content) this.#seen.set(name, { content, at: now });
      const silence = now - (this.#seen.get(name)?.at ?? now);
      if (silence < gone) living += 1;
      // What was killed leaves its file behind.
      else if (silence > FORGOTTEN_MS) rmSync(join(this.#folder, name), { force: true });
    }
    return living;
  }
}

function contentOf(path: string): string | null {
  try {
    return statSync(path).size > LARGEST_FILE ? null : readFileSync(path, 'utf8');
  } catch {
    // It ended between the two looks.
    return null;
  }
}

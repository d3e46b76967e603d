/**
 * The workers of a run that live, so that each takes its part of the account's limits. Each has a small file whose number
 * grows every few seconds; one whose number has not changed for a while, by the clock of the process that looks, has ended.
 */

import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, type Clock } from '../lib/clock.js';
import { makeFolder, replaceQuickly } from '../lib/files.js';

/** Between two signs of life, and two looks at those of others. */
const BEAT_MS = 5000;
/** Without a sign of life for so long, a worker counts as gone. */
const GONE_MS = 20_000;
const LARGEST_FILE = 1 << 10;
const NAME = /^[0-9a-f]{16}$/;

export class LivingWorkers {
  readonly #folder: string;
  readonly #name = randomBytes(8).toString('hex');
  readonly #seen = new Map<string, { content: string; at: number }>();
  #beats = 0;
  #count = 1;
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

  /** One sign of life, and one look. A folder that cannot be reached leaves the count as it was. */
  beat(): void {
    try {
      this.#beats += 1;
      replaceQuickly(join(this.#folder, this.#name), String(this.#beats));
      this.#count = this.#look();
    } catch {
      // The lease notices what matters; until then the limits stay shared as they were.
    }
  }

  #look(): number {
    const now = this.clock.now();
    let living = 1;
    for (const name of readdirSync(this.#folder)) {
      if (name === this.#name || !NAME.test(name)) continue;
      const content = contentOf(join(this.#folder, name));
      if (content === null) continue;
      const before = this.#seen.get(name);
      if (before?.content !== content) this.#seen.set(name, { content, at: now });
      if (now - (this.#seen.get(name)?.at ?? now) < GONE_MS) living += 1;
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

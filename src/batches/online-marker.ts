/**
 * Markers: requests that are sent online leave no trace in an account. So before a process sends rows of a run that also
 * has batches, it uploads a small file that is named after the run. Another machine with a copy of the run's folder sees
 * the file and sends nothing.
 *
 * Of several markers the oldest counts. Ages are compared by the server's clock alone (each side uploads before it looks),
 * so the clocks of the machines do not matter. A marker is renewed every few minutes, and one that was not renewed for
 * half an hour no longer counts: its holder has stopped sending by then, whatever happened to it.
 */

import type { Clock } from '../lib/clock.js';
import type { AccountFile, AccountFiles, FilePage } from './apis/batch-api.js';
import { CallFailed, withConfirmation, isTransient, pause, withRetry, type Waiting } from './calls.js';

/** How often a marker is renewed. */
export const RENEW_EVERY_MS = 5 * 60_000;
/** A holder that has not been able to renew its marker for this long stops sending. */
export const HELD_FOR_MS = 15 * 60_000;
/** Seconds after which a marker that was not renewed no longer counts: requests of its holder may take ten minutes. */
export const STALE_AFTER_S = 30 * 60;
/** Seconds until the provider may delete a marker that nobody removed; OpenAI takes no less. */
const KEPT_FOR_S = 3600;
/** Longer than the whole seconds of the server's clock, so that of two markers of one second both are seen. */
const SETTLE_MS = 2000;
/** How long a server may take to list a file that it has accepted. */
const LISTED_WITHIN_MS = 10_000;
const POLL_MS = 1000;
/** Bounds the pages of a server that makes up new files for every page. */
const MOST_PAGES = 100;

/** A marker as the account lists it. Times are in seconds since 1970 by the server's clock; null where it has none. */
export interface Marker {
  id: string;
  name: string;
  /** Unique to one folder. */
  token: string;
  /** When its holder began to send. */
  since: number | null;
  renewedAt: number | null;
}

/**
 * The name of a marker's file.
 * @param since of a renewed marker: when the first one was made
 */
export function markerName(run: string, token: string, since: number | null): string {
  return `${prefixOf(run)}${token}${since === null ? '' : `-${since}`}.jsonl`;
}

function prefixOf(run: string): string {
  return `reannotate-${run.replace(/[^\w-]/g, '_')}-online-`;
}

/** The marker that a file is; null for any other file. */
export function readMarker(run: string, { id, name, createdAt }: AccountFile): Marker | null {
  const prefix = prefixOf(run);
  if (!name.startsWith(prefix)) return null;
  const [, token, since] = /^([0-9a-f]{8,64})(?:-(\d{1,12}))?\.jsonl$/.exec(name.slice(prefix.length)) ?? [];
  if (token === undefined) return null;
  return { id, name, token, since: since === undefined ? createdAt : Number(since), renewedAt: createdAt };
}

/** True where a marker's holder has certainly stopped. @param now seconds since 1970 by the server's clock */
export function isStale({ renewedAt }: Marker, now: number | null): boolean {
  return now !== null && renewedAt !== null && now - renewedAt > STALE_AFTER_S;
}

/**
 * The marker that goes before ours; null where ours is the first.
 * @param mine as it was just uploaded
 */
export function firstBefore(mine: Marker, all: readonly Marker[]): Marker | null {
  const goesFirst = ({ since, token }: Marker): boolean => {
    // Without times both give way: nobody knows who looked first.
    if (since === null || mine.since === null) return true;
    return since === mine.since ? token < mine.token : since < mine.since;
  };
  return (
    all.find((one) => one.token !== mine.token && !isStale(one, mine.renewedAt) && goesFirst(one)) ?? null
  );
}

/**
 * Whether another machine sends the rows by now.
 * @param before our marker until now: if it was removed, it was given up, and any other marker took our place
 * @param mine the new one
 */
export function isOvertaken(before: Marker, mine: Marker, all: readonly Marker[]): boolean {
  const others = all.filter((one) => one.token !== mine.token && !isStale(one, mine.renewedAt));
  const isGivenUp = !all.some(({ id }) => id === before.id);
  return (isGivenUp && others.length > 0) || firstBefore(mine, others) !== null;
}

/** The markers of a run that the account lists. @throws CallFailed */
export async function findMarkers(run: string, files: AccountFiles, waiting: Waiting): Promise<Marker[]> {
  const found = new Map<string, Marker>();
  let after: string | null = null;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const from: string | null = after;
    const page: FilePage = await withConfirmation(() => files.list(from), waiting);
    for (const file of page.files) {
      const marker = readMarker(run, file);
      if (marker !== null) found.set(marker.id, marker);
    }
    if (page.next === null || page.next === after) break;
    after = page.next;
  }
  return [...found.values()];
}

/** What a marker is made with. */
export interface MarkerParts {
  /** The run's uuid. */
  run: string;
  /** Of the folder: a marker with the same one is its own, left by a process that was killed. */
  token: string;
  /** A file on this disk, which is what is uploaded. */
  path: string;
  files: AccountFiles;
  waiting: Waiting;
  /** Milliseconds of a clock that keeps running while the machine sleeps. */
  wallClock?: () => number;
}

/** How it went to put a marker up. */
export type Claim =
  | { kind: 'held'; marker: OnlineMarker }
  /** Another machine sends rows of this run. */
  | { kind: 'taken'; by: Marker; secondsAgo: number | null }
  /** The provider does not list files, or not for this key. */
  | { kind: 'unavailable'; why: string };

/** The marker of this process. */
export class OnlineMarker {
  #mine: Marker;
  #timer: NodeJS.Timeout | null = null;
  #renewing: Promise<void> | null = null;
  #lost: string | null = null;
  #onLost: ((why: string) => void) | null = null;
  /** When it was last renewed, by both clocks: one of them stops while a machine sleeps. */
  #renewed: { steady: number; wall: number };

  private constructor(
    private readonly parts: MarkerParts,
    mine: Marker,
    begun: { steady: number; wall: number },
  ) {
    this.#mine = mine;
    this.#renewed = begun;
  }

  /**
   * Puts a marker up unless another machine has one.
   * @throws CallFailed where the server cannot be reached, Interrupted
   */
  static async claim(parts: MarkerParts): Promise<Claim> {
    try {
      return await claim(parts, (mine, begun) => new OnlineMarker(parts, mine, begun));
    } catch (error) {
      if (!(error instanceof CallFailed) || !hasNoFiles(error)) throw error;
      return { kind: 'unavailable', why: error.message };
    }
  }

  /** True as long as no other machine may take this one for stopped. */
  isHeld(): boolean {
    const { steady, wall } = clocks(this.parts);
    const silence = Math.max(steady - this.#renewed.steady, Math.abs(wall - this.#renewed.wall));
    if (silence >= HELD_FOR_MS) {
      this.#lose('The marker that keeps other machines from sending the same rows could not be renewed.');
    }
    return this.#lost === null;
  }

  /** Renews the marker from now on. @param onLost called once if another machine may send rows from then on */
  keep(onLost: (why: string) => void): void {
    this.#onLost = onLost;
    this.#timer ??= setInterval(() => void this.renew(), RENEW_EVERY_MS).unref();
  }

  /** A failure is for the next renewal to make up for; `isHeld` ends where none succeeds in time. */
  async renew(): Promise<void> {
    this.#renewing ??= this.#renew().catch(() => void this.isHeld());
    await this.#renewing;
    this.#renewing = null;
  }

  async #renew(): Promise<void> {
    const { files, waiting, run } = this.parts;
    const begun = clocks(this.parts);
    const before = this.#mine;
    this.#mine = await upload(this.parts, before.since);
    const markers = await findMarkers(run, files, waiting);
    await remove(before, this.parts);
    if (!this.isHeld()) return;
    if (isOvertaken(before, this.#mine, markers))
      this.#lose('Another machine sends rows of this run online.');
    else this.#renewed = begun;
  }

  /** Removes the marker. @returns false where it stays, and keeps others off for a while */
  async release(): Promise<boolean> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#renewing;
    return remove(this.#mine, this.parts);
  }

  /** What it is called in the account. */
  get name(): string {
    return this.#mine.name;
  }

  #lose(why: string): void {
    if (this.#lost !== null) return;
    this.#lost = why;
    this.#onLost?.(why);
  }
}

async function claim(
  parts: MarkerParts,
  open: (mine: Marker, begun: { steady: number; wall: number }) => OnlineMarker,
): Promise<Claim> {
  const { waiting } = parts;
  const begun = clocks(parts);
  const mine = await upload(parts, null);
  let isKept = false;
  try {
    // A holder with few rows may be done, and its marker gone, before the second look.
    const early = await findMarkers(parts.run, parts.files, waiting);
    await pause(SETTLE_MS, waiting);
    const markers = await seenWith(mine, parts);
    if (markers === null) return { kind: 'unavailable', why: 'its list of files does not show a new one' };
    const by = firstBefore(mine, [...early, ...markers]);
    if (by !== null) return { kind: 'taken', by, secondsAgo: secondsBetween(by, mine) };
    isKept = true;
    const stale = markers.filter(
      (one) => one.id !== mine.id && (one.token === mine.token || isStale(one, mine.renewedAt)),
    );
    for (const one of stale) await remove(one, parts);
    return { kind: 'held', marker: open(mine, begun) };
  } finally {
    if (!isKept) await remove(mine, parts);
  }
}

/** All markers of the run, once ours is among them; null where it never is. */
async function seenWith(mine: Marker, { run, files, waiting }: MarkerParts): Promise<Marker[] | null> {
  const until = waiting.clock.now() + LISTED_WITHIN_MS;
  for (;;) {
    const markers = await findMarkers(run, files, waiting);
    if (markers.some(({ id }) => id === mine.id)) return markers;
    if (waiting.clock.now() >= until) return null;
    await pause(POLL_MS, waiting);
  }
}

async function upload(
  { run, token, path, files, waiting }: MarkerParts,
  since: number | null,
): Promise<Marker> {
  const name = markerName(run, token, since);
  const { id, createdAt } = await withRetry(() => files.add(path, name, KEPT_FOR_S), waiting);
  return { id, name, token, since: since ?? createdAt, renewedAt: createdAt };
}

/** @returns false if the server does not confirm that it is deleted */
async function remove(
  { id }: Marker,
  { files, waiting }: Pick<MarkerParts, 'files' | 'waiting'>,
): Promise<boolean> {
  try {
    // Also after Ctrl-C: what is left behind keeps other machines waiting.
    await withRetry(() => files.remove(id), { ...waiting, signal: NEVER, tries: 2 });
    return true;
  } catch (error) {
    return error instanceof CallFailed && error.isAbsence;
  }
}

const NEVER = new AbortController().signal;

function secondsBetween({ renewedAt }: Marker, mine: Marker): number | null {
  return renewedAt === null || mine.renewedAt === null ? null : Math.max(0, mine.renewedAt - renewedAt);
}

/** True where the server has no files, or none for this key, or something else in their place. */
export function hasNoFiles(failure: CallFailed): boolean {
  const { status, isAccepted } = failure;
  return isAccepted || status === 501 || (status !== null && status < 500 && !isTransient(failure));
}

function clocks({ waiting, wallClock = Date.now }: { waiting: { clock: Clock }; wallClock?: () => number }): {
  steady: number;
  wall: number;
} {
  return { steady: waiting.clock.now(), wall: wallClock() };
}

/**
 * Removes markers that the user gives up.
 * @param isGivenUp by name or id
 * @returns the names of those that were there
 */
export async function giveUpMarkers(
  run: string,
  files: AccountFiles,
  waiting: Waiting,
  isGivenUp: (marker: Marker) => boolean,
): Promise<string[]> {
  const given = (await findMarkers(run, files, waiting)).filter(isGivenUp);
  for (const marker of given) await remove(marker, { files, waiting });
  return given.map(({ name }) => name);
}

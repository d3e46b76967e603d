/**
 * Whether a folder, or a file, is this user's alone to write to. Anyone else who can write there can plant links, read
 * what is written later, or replace results that are themselves private.
 *
 * Only the folders of a run are looked at, never their parents: `mkdir` with mode 0700 below a group-writable project
 * folder or in `/tmp` gives a folder that nobody else can write to, and what happens to its name is noticed elsewhere
 * (the journal checks that its path still leads to it).
 */

import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, lstatSync, readdirSync, rmSync, statSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from './errors.js';
import { fileProblem, linkRefused, makeFolder, openFile, TEMPORARY_SUFFIX } from './files.js';
import { shellWord } from './text.js';

const ROOT = 0;
const WRITABLE_BY_OTHERS = 0o022;
const OPEN_TO_OTHERS = 0o011;
const ELSEWHERE = 'or choose another folder with --save_dir and --temp_dir';

/** What a file looks like that this process makes in a folder. */
interface Habits {
  uid: number;
  mode: number;
}

/**
 * Makes sure that nobody else (but root) owns a folder or what is in it, or can write to it. A folder that does not
 * exist is fine, and so is every folder on Windows, where access is a matter of the user's profile.
 *
 * Some file systems don't keep owners or modes: NFS makes root's files `nobody`'s, and vfat or SMB shows every file as
 * `0777`. There a folder may look like any file that this process makes in it.
 * @throws UserError with the path, its owner or mode, and what to do
 */
export function requireOwnFolder(path: string): void {
  const named = lstatSync(path, { throwIfNoEntry: false });
  if (process.geteuid === undefined || named === undefined) return;
  const judge = new Judge(path);
  // A link to a larger disk is the user's own decision; one that somebody else made is not.
  if (named.isSymbolicLink()) judge.requireOwner(path, named);
  const folder = statSync(path);
  judge.requireOwner(path, folder);
  judge.requireClosed(path, folder);
  for (const name of readdirSync(path)) {
    const entry = lstatSync(join(path, name), { throwIfNoEntry: false });
    if (entry === undefined) continue;
    judge.requireOwner(join(path, name), entry);
    // Below a folder that others can't enter, an entry's own mode opens nothing.
    if (!entry.isSymbolicLink() && (folder.mode & OPEN_TO_OTHERS) !== 0)
      judge.requireClosed(join(path, name), entry);
    if (!entry.isFile() && !entry.isDirectory() && !entry.isSymbolicLink())
      throw new UserError(`${join(path, name)} is neither a file nor a folder. Remove it, ${ELSEWHERE}.`);
  }
}

/** Makes a folder that only its owner can read, with its parents, or makes sure that it is this user's alone. */
export function makeOwnFolder(path: string): void {
  makeFolder(path);
  requireOwnFolder(path);
}

/**
 * Makes sure that a file that will be added to is not a link and not another user's, who could read what is added. One
 * that does not exist is fine.
 * @throws UserError with the path and what to do
 */
export function requireOwnFile(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isSymbolicLink()) throw fileProblem(linkRefused(), `write ${path}`);
  if (process.geteuid !== undefined) new Judge(dirname(path)).requireOwner(path, found);
}

class Judge {
  #habits: Habits | null = null;

  constructor(private readonly folder: string) {}

  requireOwner(path: string, { uid }: Stats): void {
    const self = process.geteuid?.();
    if (uid === self || uid === ROOT || uid === this.#ours.uid) return;
    throw new UserError(
      `${path} belongs to another user (id ${uid}; you are ${self ?? 0}), who can read or replace what is saved there. ` +
        `Remove it, run the command as that user, ${ELSEWHERE}.`,
    );
  }

  requireClosed(path: string, { mode }: Stats): void {
    const open = mode & WRITABLE_BY_OTHERS;
    if (open === 0 || (open & ~this.#ours.mode) === 0) return;
    const shown = (mode & 0o7777).toString(8).padStart(4, '0');
    throw new UserError(
      `Other users can write to ${path} (mode ${shown}), and so replace what is saved there. If you trust what is in ` +
        `it, run chmod go-w ${shellWord(path)} and try again, ${ELSEWHERE}.`,
    );
  }

  /** Looked at only where something is not as it should be: nearly never. */
  get #ours(): Habits {
    this.#habits ??= habitsOf(this.folder);
    return this.#habits;
  }
}

function habitsOf(folder: string): Habits {
  const probe = join(folder, `.${randomBytes(8).toString('hex')}${TEMPORARY_SUFFIX}`);
  try {
    const descriptor = openFile(probe, 'create');
    try {
      return fstatSync(descriptor);
    } finally {
      closeSync(descriptor);
      rmSync(probe, { force: true });
    }
  } catch {
    // Where nothing can be written, owner and mode are taken at their word.
    return { uid: ROOT, mode: 0 };
  }
}

/** Whether a run's folders and files are this user's alone. */

import { lstatSync } from 'node:fs';
import { fileProblem, linkRefused } from '../lib/files.js';
import { requireOwnFolder } from '../lib/own-folder.js';
import type { RunFolder } from './folder.js';

/**
 * Makes sure that nobody else owns, can write to or has led elsewhere what a run reads and writes. What does not exist
 * yet is fine.
 * @throws UserError that names the path and says what to do
 */
export function requireOwnRun(folder: RunFolder): void {
  const folders = [folder.save, folder.temp, folder.downloads, folder.judge];
  for (const path of folders) requireOwnFolder(path);
  const segments = folder.segments?.map((segment) => segment.path) ?? [];
  for (const [what, path] of [...Object.entries(folder), ...segments.entries()] as [
    string | number,
    unknown,
  ][]) {
    if (what === 'name' || typeof path !== 'string' || folders.includes(path)) continue;
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true)
      throw fileProblem(linkRefused(), `use ${path}`);
  }
}

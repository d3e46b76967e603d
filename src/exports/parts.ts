/** Results in parts: a folder for each format, such as `parquet/part-00000-of-00042.parquet`. */

import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import { UserError } from '../lib/errors.js';
import { EXPORT_NAMES, exportFile, type ExportName } from './index.js';

const DIGITS = 5;
const PART = /^part-\d{5,}-of-\d{5,}\.(?:jsonl|parquet)$/;

/** The name of a part, counted from 0: in the order of names the rows are in theirs. */
export function partName(part: number, parts: number, format: ExportName): string {
  const padded = (number: number): string => String(number).padStart(DIGITS, '0');
  return `part-${padded(part)}-of-${padded(parts)}${extname(exportFile(format))}`;
}

/**
 * For what reads results from one file.
 * @param save the folder of the results
 * @throws UserError where they are in parts
 */
export function refuseParts(save: string): void {
  const [folder] = partFolders(save);
  if (folder === undefined) return;
  throw new UserError(
    `The results are in parts (${folder}), and this command reads one file. Write it with npx reannotate merge RUN_DIR --part_rows none.`,
  );
}

/** Removes the parts of an earlier merge, apart from those of some formats. */
export function removeParts(save: string, kept: readonly ExportName[] = []): void {
  for (const name of EXPORT_NAMES) {
    const folder = join(save, name);
    if (!kept.includes(name) && isOwn(folder)) rmSync(folder, { recursive: true, force: true });
  }
}

/** The folders of parts that a run's results are in; empty where they are in one file. */
export function partFolders(save: string): string[] {
  return EXPORT_NAMES.map((name) => join(save, name)).filter(isOwn);
}

/** True for a folder that holds nothing but parts. */
function isOwn(folder: string): boolean {
  if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
  const names = readdirSync(folder);
  return names.length > 0 && names.every((name) => PART.test(name));
}

/** @throws UserError where a folder is in the place of parts and holds something else */
export function refuseOtherFiles(folder: string): void {
  if (!existsSync(folder) || isOwn(folder)) return;
  throw new UserError(
    `${folder} contains files that are not parts of results, so it is not replaced. Move it elsewhere and merge again.`,
  );
}

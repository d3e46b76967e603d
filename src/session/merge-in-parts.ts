/**
 * The results of a planned run in parts, for runs of which one file would be too large: a folder for each format
 * (`parquet/part-00000-of-00042.parquet`), which datasets, pyarrow, Spark and others read as one table. A folder appears as a
 * whole, once everything is written and proved.
 */

import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileProblem, makeFolder, temporaryName } from '../lib/files.js';
import { count, plural } from '../lib/text.js';
import { giveTypes, TYPED_FIRST_ROW } from '../exports/early-types.js';
import type { Exported, ResultShape } from '../exports/exporter.js';
import { exportFiles, exportTo, type ExportName } from '../exports/index.js';
import { mayBeLate } from '../exports/leading-rows.js';
import { leadAcrossParts } from '../exports/part-types.js';
import { partName, refuseOtherFiles, removeParts } from '../exports/parts.js';
import type { OptionalKeys } from '../run/assembled.js';
import type { RunFolder } from '../run/folder.js';
import type { MergedFile } from './merge-shards.js';

/** What parts are written as where `--output_format` names nothing but `json`. */
const USUAL_FORMATS: readonly ExportName[] = ['jsonl', 'parquet'];

/** One format, while it is written. */
interface Staged {
  name: ExportName;
  folder: string;
  parts: Exported[];
  /** Rows that were moved to the start of the first part. */
  moved: number;
  /** Whether some rows may have types that others lack. */
  isMixed: boolean;
  /** Parts that have rows. */
  files: number;
}

export class ResultParts {
  readonly #staged: Staged[];

  /**
   * @param shards of each part
   * @param formats what `--output_format` asks for
   * @param shapeOf what rows hold, by the keys that all of them have
   * @throws UserError where a folder of results holds something else
   */
  constructor(
    private readonly folder: Pick<RunFolder, 'save' | 'reannotated'>,
    private readonly shards: readonly (readonly number[])[],
    formats: readonly ExportName[],
    private readonly shapeOf: (keys: OptionalKeys) => ResultShape,
  ) {
    const names = formats.length === 0 ? USUAL_FORMATS : formats;
    for (const name of names) refuseOtherFiles(join(folder.save, name));
    this.#staged = names.map((name) => ({
      name,
      folder: temporaryName(join(folder.save, name)),
      parts: [],
      moved: 0,
      isMixed: false,
      files: shards.length,
    }));
  }

  /** The files that the rows go through: JSON as a single machine writes it, of which the formats are made. */
  get files(): MergedFile[] {
    for (const { folder } of this.#staged) makeFolder(folder);
    const between = temporaryName(this.folder.reannotated);
    return this.shards.map((shards, part) => ({
      path: between,
      shards,
      onWritten: async (keys) => {
        await this.#export(between, part, keys);
        rmSync(between, { force: true });
      },
    }));
  }

  async #export(path: string, part: number, keys: OptionalKeys): Promise<void> {
    const results = { path, shape: this.shapeOf(keys), onProgress: () => undefined };
    for (const staged of this.#staged) {
      const { name, folder, parts } = staged;
      staged.isMixed = name !== 'parquet' && mayBeLate(results.shape);
      parts[part] = await exportTo(name, results, join(folder, this.#nameOf(part, name)));
    }
  }

  #nameOf(part: number, name: ExportName): string {
    return partName(part, this.shards.length, name);
  }

  /**
   * Puts the parts in their places, and removes earlier results.
   * @returns a line about each format
   */
  async publish(): Promise<string[]> {
    const lines: string[] = [];
    for (const staged of this.#staged) {
      if (staged.isMixed) await this.#moveTypes(staged);
      await this.#settleTypes(staged);
      this.#dropEmpty(staged);
      replaceFolder(staged.folder, join(this.folder.save, staged.name));
      lines.push(describe(staged));
    }
    const names = this.#staged.map(({ name }) => name);
    removeParts(this.folder.save, names);
    for (const path of [this.folder.reannotated, ...exportFiles(this.folder.save)])
      rmSync(path, { force: true });
    return lines;
  }

  /** Rows that the first part needs for their types move there, from where its readers look. */
  async #moveTypes(staged: Staged): Promise<void> {
    const { name, folder, parts } = staged;
    const written = [...parts.entries()].filter(([, { rows }]) => rows > 0);
    const paths = written.map(([part]) => join(folder, this.#nameOf(part, name)));
    const taken = await leadAcrossParts(paths, name === 'jsonl' ? TYPED_FIRST_ROW : null);
    staged.moved = taken.reduce((sum, rows) => sum + rows, 0);
    for (const [place, [, part]] of written.entries()) part.rows -= taken[place] ?? 0;
    const first = written[0]?.[1];
    if (first !== undefined) first.rows += staged.moved;
  }

  /** Readers refuse a file without rows, which a format has where it leaves all rows of a part out. */
  #dropEmpty(staged: Staged): void {
    const { name, folder, parts } = staged;
    const written = [...parts.entries()].filter(([, { rows }]) => rows > 0);
    const kept = written.length === 0 ? [...parts.entries()].slice(0, 1) : written;
    if (kept.length === parts.length) return;
    for (const part of parts.keys())
      if (!kept.some(([one]) => one === part))
        rmSync(join(folder, this.#nameOf(part, name)), { force: true });
    for (const [place, [part]] of kept.entries())
      renameSync(join(folder, this.#nameOf(part, name)), join(folder, partName(place, kept.length, name)));
    staged.files = kept.length;
  }

  /** A column that is null throughout a part has the type there that other parts give it. */
  async #settleTypes({ name, folder, parts }: Staged): Promise<void> {
    const isTyped = (column: string): boolean =>
      parts.some(({ rows, untyped = [] }) => rows > 0 && !(untyped as readonly string[]).includes(column));
    for (const [part, { rows, untyped = [] }] of parts.entries()) {
      const columns = untyped.filter(isTyped);
      if (rows > 0 && columns.length > 0) await giveTypes(join(folder, this.#nameOf(part, name)), columns);
    }
  }

  /** Removes what was not published. */
  discard(): void {
    for (const { folder } of this.#staged) rmSync(folder, { recursive: true, force: true });
  }
}

/** @throws UserError where the folder cannot be replaced */
function replaceFolder(from: string, to: string): void {
  const aside = temporaryName(to);
  try {
    if (existsSync(to)) renameSync(to, aside);
    renameSync(from, to);
  } catch (error) {
    throw fileProblem(error, `replace ${to}`);
  }
  rmSync(aside, { recursive: true, force: true });
}

function describe({ name, parts, moved, files }: Staged): string {
  const leftOut = new Map<string, number>();
  for (const part of parts)
    for (const [why, rows] of part.leftOut) leftOut.set(why, (leftOut.get(why) ?? 0) + rows);
  const reasons = [...leftOut].map(([why, rows]) => `${count(rows)} ${why}`);
  if (moved > 0)
    reasons.push(`${count(moved)} moved to the start of the first part, from which readers take the types`);
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const others = reasons.length === 0 ? '' : ` (${reasons.join(', ')})`;
  return `${name}: ${plural(rows, 'row')} in ${plural(files, 'part')}${others}`;
}

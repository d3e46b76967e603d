/**
 * The results of a planned run in parts, for runs of which one file would be too large: a folder for each format
 * (`parquet/part-00000-of-00042.parquet`), which datasets, pyarrow, Spark and others read as one table. A folder appears as a
 * whole, once everything is written and proved.
 */

import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileProblem, makeFolder, temporaryName } from '../lib/files.js';
import { count, plural } from '../lib/text.js';
import { giveTypes } from '../exports/early-types.js';
import type { Exported, ResultShape } from '../exports/exporter.js';
import { exportFiles, exportTo, type ExportName } from '../exports/index.js';
import { partName, refuseOtherFiles, removeParts } from '../exports/parts.js';
import type { OptionalKeys } from '../run/assemble.js';
import type { RunFolder } from '../run/folder.js';
import type { MergedFile } from './merge-shards.js';

/** What parts are written as where `--output_format` names nothing but `json`. */
const USUAL_FORMATS: readonly ExportName[] = ['jsonl', 'parquet'];

/** One format, while it is written. */
interface Staged {
  name: ExportName;
  folder: string;
  parts: Exported[];
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
    this.#staged = names.map((name) => ({ name, folder: temporaryName(join(folder.save, name)), parts: [] }));
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
    for (const { name, folder, parts } of this.#staged)
      parts[part] = await exportTo(name, results, join(folder, this.#nameOf(part, name)));
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
      await this.#settleTypes(staged);
      replaceFolder(staged.folder, join(this.folder.save, staged.name));
      lines.push(describe(staged));
    }
    const names = this.#staged.map(({ name }) => name);
    removeParts(this.folder.save, names);
    for (const path of [this.folder.reannotated, ...exportFiles(this.folder.save)])
      rmSync(path, { force: true });
    return lines;
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

function describe({ name, parts }: Staged): string {
  const leftOut = new Map<string, number>();
  for (const part of parts)
    for (const [why, rows] of part.leftOut) leftOut.set(why, (leftOut.get(why) ?? 0) + rows);
  const reasons = [...leftOut].map(([why, rows]) => `${count(rows)} ${why}`);
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const others = reasons.length === 0 ? '' : ` (${reasons.join(', ')})`;
  return `${name}: ${plural(rows, 'row')} in ${plural(parts.length, 'part')}${others}`;
}

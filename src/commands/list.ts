/** `reannotate list`: the runs below a folder of results. */

import { existsSync } from 'node:fs';
import { EXIT, UserError } from '../lib/errors.js';
import { fileProblem } from '../lib/files.js';
import { sanitize } from '../lib/text.js';
import { listRuns, type ListedRun, type ListPlace } from '../session/run-list.js';
import { printResult } from '../terminal/output.js';
import type { Console } from '../terminal/progress.js';
import { runTable } from './run-table.js';

/** What `reannotate list` is to do. */
export interface ListRequest extends ListPlace {
  /** True for JSON on stdout. */
  json: boolean;
  /** True where the folder was named, so that it should exist. */
  isNamed: boolean;
}

/**
 * Runs `reannotate list`.
 * @returns the exit code
 * @throws UserError where the folder does not exist or can't be read
 */
export async function list(request: ListRequest, console: Console): Promise<number> {
  const { saveDir, json } = request;
  const runs = await runsIn(request);
  if (json) await printResult(`${JSON.stringify(runs, null, 2)}\n`);
  else if (runs.length === 0)
    console.info(`There are no runs in ${sanitize(saveDir, 200)}. Name another folder with --save_dir.`);
  else await printResult(`${runTable(runs, columnsOfOutput()).join('\n')}\n`);
  return EXIT.done;
}

async function runsIn(request: ListRequest): Promise<ListedRun[]> {
  const { saveDir, isNamed } = request;
  if (!existsSync(saveDir)) {
    if (!isNamed) return [];
    throw new UserError(
      `${sanitize(saveDir, 300)} does not exist. Give the --save_dir that the runs were started with.`,
    );
  }
  try {
    return await listRuns(request);
  } catch (error) {
    throw fileProblem(error, `read ${saveDir}`);
  }
}

/** Columns of the terminal; a pipe or a file has any number. */
function columnsOfOutput(): number {
  return process.stdout.isTTY ? process.stdout.columns : Infinity;
}

/** Where datasets come from. A new kind of file is one entry in `FILES` and a file of its own. */

import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { extname, join } from 'node:path';
import { systemErrorCode, UserError } from '../lib/errors.js';
import { fileProblem } from '../lib/files.js';
import { inert } from '../lib/text.js';
import { DEFAULT_ENCODING } from './encodings.js';
import type { LocalRequest } from './local.js';
import type { DatasetRequest, HubEnvironment, OpenDataset, Reporter } from '../types.js';

type OpenFile = (request: LocalRequest) => Promise<OpenDataset>;

const jsonl = async (): Promise<OpenFile> => (await import('./local-jsonl.js')).openLocalJsonl;
const csv = async (): Promise<OpenFile> => (await import('./local-csv.js')).openLocalCsv;

/** Readers of local files by the ending of their name; each is loaded when it is needed. */
export const FILES: Readonly<Record<string, () => Promise<OpenFile>>> = {
  '.json': async () => (await import('./local-json.js')).openLocalJson,
  '.jsonl': jsonl,
  '.ndjson': jsonl,
  '.csv': csv,
  '.tsv': csv,
  '.parquet': async () => (await import('./local-parquet.js')).openLocalParquet,
};

const HUB_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:\/[A-Za-z0-9._-]{1,96})?$/;

/**
 * Finds a dataset: a local file where the name has the ending of one or looks like a path, else one of the Hub.
 * @throws UserError where there is none, or where it can't be read
 */
export async function openDataset(
  request: DatasetRequest,
  hub: HubEnvironment,
  reporter: Reporter,
  signal?: AbortSignal,
): Promise<OpenDataset> {
  const name = request.dataset;
  const files = localFiles(name);
  if (files !== null) {
    const dataset = await openFile({ ...request, dataset: expandHome(name) }, readerOf(name), signal);
    return { ...dataset, files };
  }
  if (!HUB_ID.test(name) || name.includes('..') || name.includes('--')) {
    throw new UserError(
      `--dataset ${inert(name, 120)} is neither a file nor a Hub id. An id looks like glaiveai/glaive-code-assistant; ` +
        `files end in ${Object.keys(FILES).join(', ')}.`,
    );
  }
  refuseEncoding(request, 'a dataset of the Hub');
  const { openHubDataset } = await import('./hub.js');
  return openHubDataset(request, hub, reporter, signal);
}

function refuseEncoding({ dataset, encoding }: DatasetRequest, what: string): void {
  if (encoding === undefined || encoding === DEFAULT_ENCODING) return;
  throw new UserError(
    `--encoding is for local text files; ${inert(dataset, 120)} is ${what}, whose text is always UTF-8. Leave it out.`,
  );
}

/**
 * The files that a local dataset is read from, whether or not they exist; null where the name is one of the Hub.
 * Every name that `openDataset` takes for a local one has files here: a run recognises its dataset by their content.
 */
export function localFiles(name: string): string[] | null {
  const isLocal = readerOf(name) !== undefined || /^[./~]|^[A-Za-z]:\\/.test(name) || isFile(name);
  return isLocal ? [expandHome(name)] : null;
}

function readerOf(name: string): (() => Promise<OpenFile>) | undefined {
  return FILES[extname(name).toLowerCase()];
}

async function openFile(
  request: DatasetRequest,
  load: (() => Promise<OpenFile>) | undefined,
  signal: AbortSignal | undefined,
): Promise<OpenDataset> {
  const path = request.dataset;
  const shown = inert(path, 300);
  checkReadable(path, shown);
  if (load === undefined) {
    throw new UserError(
      `The format of ${shown} can't be told from its name; files end in ${Object.keys(FILES).join(', ')}.`,
    );
  }
  if (request.subset !== null)
    throw new UserError(`--subset is for datasets of the Hub; ${shown} is a file.`);
  if (extname(path).toLowerCase() === '.parquet') refuseEncoding(request, 'a Parquet file');
  try {
    const open = await load();
    const encoding = request.encoding ?? DEFAULT_ENCODING;
    return await open({ file: { path, encoding }, split: request.split, signal });
  } catch (error) {
    throw error instanceof UserError || systemErrorCode(error) === undefined
      ? error
      : fileProblem(error, `read ${shown}`);
  }
}

function checkReadable(path: string, shown: string): void {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
    accessSync(path, constants.R_OK);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new UserError(`The file ${shown} does not exist; check the path given to --dataset.`);
    }
    if (code === 'EACCES') throw new UserError(`The file ${shown} can't be read: permission denied.`);
    throw fileProblem(error, `read ${shown}`);
  }
  if (isFolder) throw new UserError(`${shown} is a folder; --dataset takes a file or a Hub id.`);
}

function isFile(name: string): boolean {
  try {
    return statSync(name).isFile();
  } catch {
    return false;
  }
}

function expandHome(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path;
}

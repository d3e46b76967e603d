/**
 * What a batch carries with it, so that it can be found and understood when everything here is lost: the tool, the
 * run, the chunk, and the flags that decide which rows it asks and how.
 */

import { basename } from 'node:path';
import type { AskedFor, RunIdentity } from '../run/identity.js';
import { isObject, parseJson } from '../json.js';

/** The API takes 16 pairs with values of at most 512 characters. */
const LONGEST_VALUE = 512;
const SETTINGS_PARTS = 8;
const TOOL = 'reannotate';

/** What a batch says of where it belongs. */
export interface BatchOrigin {
  run: string;
  chunk: number;
  /** Counts the times that this chunk was submitted. */
  attempt: number;
  dataset: string;
  annotator: string;
  revision: string | null;
  /** When the run began, `YYYY_MM_DD-HH_MM_SS`; empty where it is not told. */
  created: string;
  /** The flags that differ from their defaults; null where they were too long to be told. */
  asked: Partial<AskedFor> | null;
}

/** The metadata of a run's batch. */
export function batchMetadata(identity: RunIdentity, chunk: number, attempt: number): Record<string, string> {
  const { dataset, annotator } = identity.asked;
  return {
    tool: TOOL,
    run: identity.uuid,
    chunk: String(chunk),
    attempt: String(attempt),
    dataset: cut(dataset),
    annotator: cut(annotator),
    created: identity.created,
    ...(identity.found.revision === null ? {} : { revision: cut(identity.found.revision) }),
    ...settingsParts(identity.asked),
  };
}

function cut(text: string): string {
  return text.slice(0, LONGEST_VALUE).toWellFormed();
}

function settingsParts(asked: AskedFor): Record<string, string> {
  const told = Object.entries(asked).filter(
    ([name, value]) => value !== null && name !== 'dataset' && name !== 'annotator',
  );
  const text = JSON.stringify(Object.fromEntries(told));
  if (text.length > LONGEST_VALUE * SETTINGS_PARTS) return {};
  const parts: Record<string, string> = {};
  for (let start = 0, part = 1; start < text.length; part++) {
    // A value that begins or ends within a surrogate pair would not survive.
    let end = Math.min(text.length, start + LONGEST_VALUE);
    if (/[\ud800-\udbff]/.test(text.charAt(end - 1)) && end < text.length) end -= 1;
    parts[`settings_${part}`] = text.slice(start, end);
    start = end;
  }
  return parts;
}

/** Reads what `batchMetadata` wrote; null for a batch that another tool made. */
export function readOrigin(metadata: Readonly<Record<string, string>>): BatchOrigin | null {
  const { tool, run, chunk, attempt, dataset, annotator, revision, created } = metadata;
  if (tool !== TOOL || run === undefined || dataset === undefined || annotator === undefined) return null;
  const number = Number(chunk);
  if (!Number.isSafeInteger(number) || number < 0) return null;
  return {
    run,
    chunk: number,
    attempt: Number.isSafeInteger(Number(attempt)) ? Number(attempt) : 1,
    dataset,
    annotator,
    revision: revision ?? null,
    created: created ?? '',
    asked: readSettings(metadata),
  };
}

function readSettings(metadata: Readonly<Record<string, string>>): Partial<AskedFor> | null {
  let text = '';
  for (let part = 1; part <= SETTINGS_PARTS; part++) text += metadata[`settings_${part}`] ?? '';
  const value = parseJson(text);
  return isObject(value) ? value : null;
}

/**
 * True where a batch was submitted for this dataset and annotator. A local file may stand in another folder now, so its
 * name is enough; its rows are compared with what was submitted anyway.
 */
export function isFor(origin: BatchOrigin, dataset: string, annotator: string): boolean {
  const isFile = /\.(?:jsonl?|csv|parquet)$/i.test(dataset);
  const isSame = isFile
    ? basename(origin.dataset) === basename(cut(dataset))
    : origin.dataset === cut(dataset);
  return isSame && origin.annotator === cut(annotator);
}

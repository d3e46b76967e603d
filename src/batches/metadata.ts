/**
 * What a batch carries with it, so that it can be found and understood when everything here is lost: the tool, the
 * run, the chunk, and the flags that decide which rows it asks and how.
 */

import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { hasFileEnding } from '../datasets/file-names.js';
import { digestOfFile } from '../lib/files.js';
import type { IdentityFlags, RunIdentity } from '../run/identity.js';
import { isObject, parseJson } from '../lib/json.js';

/** The API takes 16 pairs with values of at most 512 characters. */
const LONGEST_VALUE = 512;
/** Earlier versions wrote up to 8 parts, which are still read. */
const SETTINGS_PARTS = { written: 6, read: 8 };
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
  /** Differs for each creation of a batch; null where an earlier version made it. */
  creation: string | null;
  /** Which local file the dataset is; null for one of the Hub, or where an earlier version made the batch. */
  source: DatasetSource | null;
  /** When the run began, `YYYY_MM_DD-HH_MM_SS`; empty where it is not known. */
  created: string;
  /** The flags that differ from their defaults; null where they were too long to be recorded. */
  asked: Partial<IdentityFlags> | null;
}

/** What distinguishes local datasets with the same name: digests, so that no path of this machine leaves it. */
export interface DatasetSource {
  /** Of the resolved path. */
  path: string;
  /** Of the content; null where the run does not know it. */
  content: string | null;
}

/** A run as far as it says which files its dataset is. */
interface WithSource {
  uuid: string;
  source?: { files: readonly { sha256: string }[] } | null;
}

/** The source of a run's dataset; null for one of the Hub. */
export function sourceOf(dataset: string, identity: WithSource | null): DatasetSource | null {
  const files = identity?.source?.files ?? [];
  if (files.length === 0 && !existsSync(dataset)) return null;
  const content = files.length === 0 ? null : contentDigest(files.map(({ sha256 }) => sha256));
  return { path: shortDigest(resolve(dataset)), content };
}

/** The same, with the file read where the run does not know its content. */
export async function readSource(
  dataset: string,
  identity: WithSource | null,
): Promise<DatasetSource | null> {
  const source = sourceOf(dataset, identity);
  if (source === null || source.content !== null || !statSync(dataset).isFile()) return source;
  return { ...source, content: contentDigest([await digestOfFile(dataset)]) };
}

function contentDigest(digests: readonly string[]): string {
  return shortDigest(JSON.stringify(digests));
}

function shortDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** Which batch of a run it is. */
export interface BatchNumber {
  chunk: number;
  attempt: number;
  creation: string | null;
}

/** The metadata of a run's batch: 8 to 10 pairs, and up to 6 with the settings. */
export function batchMetadata(
  identity: RunIdentity,
  { chunk, attempt, creation }: BatchNumber,
): Record<string, string> {
  const { dataset, annotator } = identity.asked;
  const source = sourceOf(dataset, identity);
  return {
    tool: TOOL,
    run: identity.uuid,
    chunk: String(chunk),
    attempt: String(attempt),
    dataset: cut(dataset),
    annotator: cut(annotator),
    created: identity.created,
    ...(creation === null ? {} : { creation }),
    ...(source === null ? {} : { source: JSON.stringify(source) }),
    ...(identity.found.revision === null ? {} : { revision: cut(identity.found.revision) }),
    ...settingsParts(identity.asked),
  };
}

function cut(text: string): string {
  return text.slice(0, LONGEST_VALUE).toWellFormed();
}

function settingsParts(asked: IdentityFlags): Record<string, string> {
  const told = Object.entries(asked).filter(
    ([name, value]) => value !== null && name !== 'dataset' && name !== 'annotator',
  );
  const text = JSON.stringify(Object.fromEntries(told));
  if (text.length > LONGEST_VALUE * SETTINGS_PARTS.written) return {};
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
  const { tool, run, chunk, attempt, dataset, annotator, revision, created, creation } = metadata;
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
    creation: creation ?? null,
    source: parseSource(metadata['source']),
    created: created ?? '',
    asked: readSettings(metadata),
  };
}

function readSettings(metadata: Readonly<Record<string, string>>): Partial<IdentityFlags> | null {
  let text = '';
  for (let part = 1; part <= SETTINGS_PARTS.read; part++) text += metadata[`settings_${part}`] ?? '';
  const value = parseJson(text);
  return isObject(value) ? value : null;
}

function parseSource(text: string | undefined): DatasetSource | null {
  const value = text === undefined ? null : parseJson(text);
  if (!isObject(value) || typeof value['path'] !== 'string') return null;
  return { path: value['path'], content: typeof value['content'] === 'string' ? value['content'] : null };
}

/**
 * True where a batch was submitted for a dataset of this name and this annotator. A local file may be in another
 * folder now, so its name is enough; `isOtherFile` and the prompts themselves distinguish files with the same name.
 */
export function isFor(origin: BatchOrigin, dataset: string, annotator: string): boolean {
  const isFile = origin.source !== null || hasFileEnding(dataset);
  const isSame = isFile
    ? basename(origin.dataset) === basename(cut(dataset))
    : origin.dataset === cut(dataset);
  return isSame && origin.annotator === cut(annotator);
}

/** The part of a creation's random text that every provider keeps. */
const CREATION_KEY = 12;

/** The same, without what a shorter place for it may lack. */
export function creationKey(creation: string): string {
  return creation.replaceAll('-', '').slice(0, CREATION_KEY);
}

/** True where two creations are known to be one. */
export function isCreation(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && creationKey(one) === creationKey(other);
}

/** True where a batch is known to be of another file than the one that is asked for: `a/train.jsonl`, `b/train.jsonl`. */
export function isOtherFile(origin: BatchOrigin, wanted: DatasetSource | null): boolean {
  const { source } = origin;
  if (source === null || wanted === null) return false;
  if (source.content !== null && wanted.content !== null) return source.content !== wanted.content;
  return source.path !== wanted.path;
}

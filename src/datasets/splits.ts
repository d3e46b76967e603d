/**
 * Which split a file belongs to, by its path: the rules of Hugging Face `datasets` for files without a configuration
 * (https://huggingface.co/docs/datasets/repository_structure).
 */

import { UserError } from '../lib/errors.js';
import { count, sanitize } from '../lib/text.js';

/** The words for the usual splits, as `datasets` knows them (`src/datasets/data_files.py`). */
const WORDS: readonly (readonly [string, readonly string[]])[] = [
  ['train', ['train', 'training']],
  ['validation', ['validation', 'valid', 'dev', 'val']],
  ['test', ['test', 'testing', 'eval', 'evaluation']],
];

/** `NAME-00000-of-00012`, as sharded files are called. */
const SHARD = /^(.+)-\d{5}-of-\d{5}/;
/** What `save_to_disk` calls its files. */
const NO_SPLIT = 'data';
const SPLITS_SHOWN = 20;

/** The split that a path names, relative to the dataset's folder; null where it names none. */
export function splitOfPath(path: string): string | null {
  const parts = path.split(/[\\/]/);
  const name = parts.at(-1) ?? '';
  // The file's own name counts for more than that of its folder.
  for (const part of [name, ...parts.slice(0, -1).reverse()]) {
    const words = part.toLowerCase().split(/[^a-z]+/);
    const found = WORDS.find(([, spellings]) => spellings.some((one) => words.includes(one)));
    if (found !== undefined) return found[0];
  }
  const shard = SHARD.exec(name)?.[1] ?? null;
  return shard === NO_SPLIT ? null : shard;
}

/**
 * The split that is read: the one that is wanted, else `train`, else the only one.
 * @param title of what has the splits, for messages
 * @throws UserError that lists them
 */
export function splitAmong(splits: readonly string[], wanted: string | null, title: string): string {
  const usual = splits.includes('train') ? 'train' : splits.length === 1 ? splits[0] : undefined;
  const split = wanted ?? usual;
  if (split !== undefined && splits.includes(split)) return split;
  const has = listed(splits);
  throw new UserError(
    split === undefined
      ? `${title} has several splits: ${has}. Choose one with --split.`
      : `${title} has no split "${sanitize(split, 40)}". It has ${has}.`,
  );
}

function listed(splits: readonly string[]): string {
  const shown = splits.slice(0, SPLITS_SHOWN).map((one) => sanitize(one, 40));
  const more = splits.length - shown.length;
  return [...shown, ...(more > 0 ? [`${count(more)} more`] : [])].join(', ');
}

export interface ChosenSplit<File> {
  /** Null where the names of the files say nothing of splits. */
  split: string | null;
  files: File[];
}

/**
 * The files of one split; see `splitAmong`.
 * @param title of the folder, for messages
 * @throws UserError where there is no such split, or some files belong to one and others to none
 */
export function chooseSplit<File extends { relative: string }>(
  files: readonly File[],
  wanted: string | null,
  title: string,
): ChosenSplit<File> {
  const bySplit = new Map<string | null, File[]>();
  for (const file of files) {
    const split = splitOfPath(file.relative);
    const known = bySplit.get(split);
    if (known === undefined) bySplit.set(split, [file]);
    else known.push(file);
  }
  const named = [...bySplit.keys()].filter((split) => split !== null);
  if (named.length === 0) {
    if (wanted === null || wanted === 'train') return { split: null, files: [...files] };
    throw new UserError(
      `The files in ${title} belong to no split; remove --split ${sanitize(wanted, 40)}, or use a glob.`,
    );
  }
  const split = splitAmong(named, wanted, title);
  const without = bySplit.get(null);
  if (without !== undefined && wanted === null) {
    throw new UserError(
      `Some files in ${title} belong to a split (${listed(named)}) and others to none, such as ` +
        `${sanitize(without[0]?.relative ?? '', 120)}. Choose with --split, or name the files with a glob such as ` +
        `'${title}/*.jsonl'.`,
    );
  }
  return { split, files: bySplit.get(split) ?? [] };
}

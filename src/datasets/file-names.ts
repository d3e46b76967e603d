/** What the name of a file says about its content. A new kind of file is an entry in `KIND_OF_ENDING`. */

import { basename } from 'node:path';

/** What a file contains, compressed or not. */
export type FileKind = 'json' | 'jsonl' | 'csv' | 'text' | 'parquet' | 'arrow';

const KIND_OF_ENDING: Readonly<Record<string, FileKind>> = {
  '.json': 'json',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.jsonlines': 'jsonl',
  '.csv': 'csv',
  '.tsv': 'csv',
  '.parquet': 'parquet',
  '.pq': 'parquet',
  '.arrow': 'arrow',
  '.feather': 'arrow',
  '.txt': 'text',
};

/** How a file is compressed. */
export type Compression = 'gzip' | 'zstd' | 'bzip2';

const COMPRESSION_OF_ENDING: Readonly<Record<string, Compression>> = {
  '.gz': 'gzip',
  '.gzip': 'gzip',
  '.zst': 'zstd',
  '.zstd': 'zstd',
  '.bz2': 'bzip2',
};

/** Other ways to pack files, with what unpacks them. */
const UNPACKED_BY: Readonly<Record<string, string>> = {
  '.xz': 'xz -d',
  '.lzma': 'xz -d',
  '.lz4': 'lz4 -d',
  '.br': 'brotli -d',
  '.zip': 'unzip',
  '.7z': '7z x',
  '.tar': 'tar -xf',
  '.tgz': 'tar -xf',
  '.tbz2': 'tar -xf',
};

/** Kinds that a folder may mix: they are read alike. */
const FAMILY_OF_KIND: Readonly<Record<FileKind, string>> = {
  json: 'JSON',
  jsonl: 'JSON',
  csv: 'CSV',
  text: 'text',
  parquet: 'Parquet',
  arrow: 'Arrow',
};

export interface FileName {
  /** Null where the name does not say. */
  kind: FileKind | null;
  compression: Compression | null;
  /** True where cells are probably separated by tabs. */
  isTabbed: boolean;
  /** The command that unpacks a kind of archive that is not read here; null for any other file. */
  unpackedBy: string | null;
}

/** Reads the endings of a file's name, such as `.jsonl.gz`. */
export function readFileName(path: string): FileName {
  const outer = endingOf(path);
  const compression = ownValue(COMPRESSION_OF_ENDING, outer);
  const inner = compression === null ? outer : endingOf(path.slice(0, -outer.length));
  return {
    kind: ownValue(KIND_OF_ENDING, inner),
    compression,
    isTabbed: inner === '.tsv',
    unpackedBy: ownValue(UNPACKED_BY, inner),
  };
}

/** The family of a kind; a folder may have files of one family only. */
export function familyOf(kind: FileKind): string {
  return FAMILY_OF_KIND[kind];
}

/** The endings that are known, for messages. */
export function knownEndings(): string {
  const shown = Object.keys(KIND_OF_ENDING).filter((ending) => !['.jsonlines', '.pq'].includes(ending));
  return `${shown.join(', ')}, or one of these with .gz, .zst or .bz2`;
}

/** True where a name ends as that of a data file does, whether or not the file exists. */
export function hasFileEnding(path: string): boolean {
  const { kind, unpackedBy } = readFileName(path);
  return kind !== null || unpackedBy !== null;
}

function endingOf(path: string): string {
  const name = basename(path).toLowerCase();
  const dot = name.lastIndexOf('.');
  return dot === -1 ? '' : name.slice(dot);
}

function ownValue<Value>(table: Readonly<Record<string, Value>>, key: string): Value | null {
  return Object.hasOwn(table, key) ? (table[key] ?? null) : null;
}

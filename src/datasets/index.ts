/** Where datasets come from: the Hub, local files, standard input. A new kind of file is one entry in `READERS`. */

import { accessSync, constants, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { withoutSecrets } from '../http/address.js';
import { systemErrorCode, UserError } from '../lib/errors.js';
import { cooperativePause, fileProblem, kindOfFile } from '../lib/files.js';
import { noteDiscarded } from '../lib/memory.js';
import { sanitize } from '../lib/text.js';
import type {
  DatasetRequest,
  HubEnvironment,
  OpenDataset,
  Reporter,
  RowSelection,
  SourceRow,
} from '../types.js';
import { DEFAULT_ENCODING } from './encodings.js';
import { knownEndings, readFileName, type Compression, type FileKind } from './file-names.js';
import { findLocalFiles, isLocalName, STANDARD_INPUT, type LocalFile } from './local-files.js';
import { concatenated, unseekable, type OpenFile } from './local.js';
import { nearestFile } from './near-files.js';
import { unfolded } from './unfolded.js';
import { UnpackedFiles } from './unpacked.js';

/** Readers of local files by what these hold; each is loaded when it is needed. */
const READERS: Readonly<Record<FileKind, () => Promise<OpenFile>>> = {
  json: async () => (await import('./local-json.js')).openLocalJson,
  jsonl: async () => (await import('./local-jsonl.js')).openLocalJsonl,
  csv: async () => (await import('./local-csv.js')).openLocalCsv,
  text: async () => (await import('./local-text.js')).openLocalText,
  parquet: async () => (await import('./local-columnar.js')).columnarOpener('Parquet'),
  // What `datasets` saves is a stream, what pandas and polars write (Feather 2) a file; both are read.
  arrow: async () => (await import('./local-columnar.js')).columnarOpener('Arrow'),
};
/** Kinds whose text has no encoding to choose. */
const BINARY_KINDS: readonly FileKind[] = ['parquet', 'arrow'];

const STANDARD_INPUT_SHOWN = 'standard input';

const HUB_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:\/[A-Za-z0-9._-]{1,96})?$/;

/**
 * Finds a dataset: local files where the name is one, looks like one, or is that of a folder; else one of the Hub. Rows
 * that hold several prompts are unfolded.
 * @throws UserError where there is none, or where it can't be read
 */
export async function openDataset(
  request: DatasetRequest,
  hub: HubEnvironment,
  reporter: Reporter,
  signal?: AbortSignal,
): Promise<OpenDataset> {
  const name = request.dataset;
  if (isLocalName(name)) return unfolded(await openLocal(request, signal), reporter);
  if (!HUB_ID.test(name) || name.includes('..') || name.includes('--')) {
    throw new UserError(
      `--dataset ${sanitize(withoutSecrets(name), 120)} is neither a file nor a Hub dataset id. An id looks like glaiveai/glaive-code-assistant; ` +
        `files end in ${knownEndings()}.`,
    );
  }
  refuseMistypedFile(name);
  refuseEncoding(request, `${sanitize(name, 120)} is a dataset of the Hub`);
  const { openHubDataset } = await import('./hub.js');
  return unfolded(await openHubDataset(request, hub, reporter, signal), reporter);
}

/**
 * A name such as `data/rows.jsnol` has the form of a Hub id, but is one letter from a file that is here.
 * @throws UserError that names the file
 */
function refuseMistypedFile(name: string): void {
  const hint = /\.[a-z]{2,8}$/i.test(name) ? didYouMean(name) : '';
  if (hint === '') return;
  throw new UserError(
    `There is no file ${sanitize(name, 200)}, and its extension is not that of a dataset file.${hint}`,
  );
}

/** ` Did you mean data/rows.jsonl?`; empty where no file has a name like it. */
function didYouMean(path: string): string {
  const near = nearestFile(path);
  return near === null ? '' : ` Did you mean ${sanitize(near, 200)}?`;
}

/** @param what a clause that says what the dataset is */
function refuseEncoding({ encoding }: DatasetRequest, what: string): void {
  if (encoding === undefined || encoding === DEFAULT_ENCODING) return;
  throw new UserError(`--encoding is for local text files; ${what}, whose text is always UTF-8. Remove it.`);
}

/**
 * The files that a local dataset is read from, whether or not they exist; null where the name is one of the Hub, and
 * empty for standard input and for folders and globs without any. A run recognises its dataset by their content.
 */
export async function localFiles(name: string, split: string | null): Promise<string[] | null> {
  if (!isLocalName(name)) return null;
  if (name === STANDARD_INPUT) return [];
  try {
    return (await findLocalFiles(name, split)).files.map(({ path }) => path);
  } catch (error) {
    if (error instanceof UserError) return [];
    throw error;
  }
}

/** About what opening a file leaves behind, which adds up where there are a hundred thousand. */
const OPENING_BYTES = 4 << 10;

/**
 * Opens local files.
 * @throws UserError where there are none, or where they can't be read
 */
export async function openLocal(request: DatasetRequest, signal?: AbortSignal): Promise<OpenDataset> {
  const { dataset: name, split } = request;
  const unpacked = new UnpackedFiles(request.workFolder ?? tmpdir());
  const found =
    name === STANDARD_INPUT
      ? { files: [await standardInput(unpacked, signal)], split: null }
      : await findLocalFiles(name, split);
  if (request.subset !== null) {
    throw new UserError(`--subset is for datasets of the Hub; ${sanitize(name, 300)} is local.`);
  }
  // Where file names decide the split, their content has none of its own.
  const opener = new LocalOpener(
    { ...request, split: found.split === null ? split : null },
    unpacked,
    signal,
  );
  const parts: OpenDataset[] = [];
  const pause = cooperativePause();
  for (const file of found.files) {
    parts.push(await opener.open(file));
    noteDiscarded(OPENING_BYTES);
    await pause();
    signal?.throwIfAborted();
  }
  const dataset = concatenated(parts);
  return {
    ...(name === STANDARD_INPUT ? unseekable(dataset) : dataset),
    split: found.split ?? dataset.split,
    files: found.files.map(({ path }) => path),
    isStandardInput: name === STANDARD_INPUT,
  };
}

async function standardInput(unpacked: UnpackedFiles, signal: AbortSignal | undefined): Promise<LocalFile> {
  const { standardInputStream } = await import('./unpacked.js');
  return { path: await unpacked.keep(standardInputStream(), signal), shown: STANDARD_INPUT_SHOWN };
}

/** Opens the files of one dataset one after the other. */
class LocalOpener {
  readonly #readers = new Map<FileKind, OpenFile>();

  constructor(
    private readonly request: DatasetRequest,
    private readonly unpacked: UnpackedFiles,
    private readonly signal: AbortSignal | undefined,
  ) {}

  async open(file: LocalFile): Promise<OpenDataset> {
    checkReadable(file);
    try {
      return await this.#open(file);
    } catch (error) {
      throw error instanceof UserError ||
        systemErrorCode(error) === undefined ||
        this.signal?.aborted === true
        ? error
        : fileProblem(error, `read ${sanitize(file.shown, 300)}`);
    }
  }

  async #open(file: LocalFile): Promise<OpenDataset> {
    const { compression, kind } = await this.#contentOf(file);
    const plain = async (): Promise<string> =>
      compression === null ? file.path : this.unpacked.pathOf(file, compression, this.signal);
    const path = await plain();
    const what = kind ?? (await sniffed(file, path));
    if (BINARY_KINDS.includes(what))
      refuseEncoding(this.request, `${sanitize(file.shown, 120)} is a binary file`);
    const { encoding = DEFAULT_ENCODING, split } = this.request;
    const read = await this.#reader(what);
    const dataset = await read({ file: { path, shown: file.shown, encoding }, split, signal: this.signal });
    return compression === null
      ? dataset
      : { ...unseekable(dataset), rows: (selection) => unpackedRows(dataset, plain, selection) };
  }

  /** @throws UserError where the name is that of an archive, or of a compression that is not read here */
  async #contentOf({
    path,
    shown,
  }: LocalFile): Promise<{ compression: Compression | null; kind: FileKind | null }> {
    const { kind, compression, unpackedBy } = readFileName(shown);
    if (unpackedBy !== null) {
      throw new UserError(
        `${sanitize(shown, 300)} is compressed in an unsupported way. Unpack it with ${unpackedBy}.`,
      );
    }
    if (kind !== null && kind !== 'text') return { compression, kind };
    const { sniffCompression } = await import('./sniff.js');
    return { compression: compression ?? sniffCompression(path), kind: null };
  }

  async #reader(kind: FileKind): Promise<OpenFile> {
    const reader = this.#readers.get(kind) ?? (await READERS[kind]());
    this.#readers.set(kind, reader);
    return reader;
  }
}

/** @throws UserError where neither name nor content shows it */
async function sniffed({ shown }: LocalFile, path: string): Promise<FileKind> {
  const { sniffKind } = await import('./sniff.js');
  const kind = sniffKind(path);
  const isText = readFileName(shown).kind === 'text' || shown === STANDARD_INPUT_SHOWN;
  if (kind !== 'text' || isText) return kind;
  throw new UserError(
    `The format of ${sanitize(shown, 300)} can't be recognised from its name or its content; files end in ${knownEndings()}.`,
  );
}

/** Another file of the dataset may have been unpacked since this one was opened. */
async function* unpackedRows(
  dataset: OpenDataset,
  unpack: () => Promise<string>,
  selection: RowSelection,
): AsyncGenerator<SourceRow> {
  await unpack();
  yield* dataset.rows(selection);
}

function checkReadable({ path, shown }: LocalFile): void {
  const name = sanitize(shown, 300);
  try {
    const kind = kindOfFile(statSync(path));
    if (kind === 'folder') throw new UserError(`${name} is a folder, but a file is needed.`);
    if (kind !== 'file')
      throw new UserError(
        `${name} is a ${kind}, which, unlike a file, cannot be read twice. Pipe its content into the command with --dataset -.`,
      );
    accessSync(path, constants.R_OK);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new UserError(`The file ${name} does not exist; check the path in --dataset.${didYouMean(path)}`);
    }
    if (code === 'ELOOP')
      throw new UserError(`The file ${name} can't be read: its symbolic links form a loop.`);
    if (code === 'EACCES') throw new UserError(`The file ${name} can't be read: permission denied.`);
    throw fileProblem(error, `read ${name}`);
  }
}

/**
 * The seam between batches and the providers that run them. Everything else in `src/batches` works with these values;
 * only the files of this folder know how a provider spells them. Input files are OpenAI's request lines and results are
 * OpenAI's result lines everywhere: an implementation translates both on their way.
 */

import type { AnswerBounds } from '../../http/answer-bounds.js';
import type { Batch } from '../batch.js';
import type { RequestUrl } from '../request-line.js';

/** A file of requests that is to become a batch. */
export interface Submission {
  /** Request lines in OpenAI's format, on this disk. */
  path: string;
  /** The endpoint that its lines are for. */
  url: RequestUrl;
  /** How the provider's pages show the file. */
  name: string;
  /** The run that the batch belongs to, for providers that keep metadata; the others get a mark that is derived from it. */
  metadata: Readonly<Record<string, string>>;
  /** Seconds until the provider may delete the input and the results. */
  keepFor: number;
  /** Warns the user of what the provider does not support. */
  warn: (text: string) => void;
}

/** A file that the API has. */
export interface UploadedFile {
  id: string;
  /** Seconds since 1970 by the server's clock; null where it does not say. */
  createdAt: number | null;
}

/** A file as the account's list of files has it. */
export interface AccountFile {
  id: string;
  name: string;
  /** Seconds since 1970 by the server's clock; null where it does not say. */
  createdAt: number | null;
}

/** A page of the account's files. */
export interface FilePage {
  files: AccountFile[];
  /** What to request the next page with; null at the end. */
  next: string | null;
}

/** The account's files, where the provider lists and deletes them. Each method sends its request once. */
export interface AccountFiles {
  /**
   * Uploads a small file.
   * @param keepFor seconds until the provider may delete it
   */
  add(path: string, name: string, keepFor: number): Promise<UploadedFile>;
  /**
   * A page of the list, newest first where the provider sorts it.
   * @param after `next` of the page before; null for the first
   */
  list(after: string | null): Promise<FilePage>;
  remove(id: string): Promise<void>;
}

/** A file's content from some byte on. */
export interface Download {
  /** Where the bytes begin: not where they were requested, if the server does not know ranges. */
  offset: number;
  /** Bytes of the whole file; null where the server does not say. */
  total: number | null;
  /** True where another download may have other bytes, so that a part of an earlier one is of no use. */
  isFresh?: boolean;
  bytes: AsyncIterable<Uint8Array>;
}

/** How much of a file is accepted. */
export interface FileBounds {
  /** A larger file is refused. */
  bytes: number;
  /** Of each line; a larger one is replaced by an error. */
  line: AnswerBounds;
}

/** An entry of the list that is not a batch. */
export interface UnreadableEntry {
  /** Null where it has none. */
  id: string | null;
  /** True where it says that this program did not make it. */
  isForeign: boolean;
}

/** A page of the account's batches. */
export interface BatchPage {
  batches: Batch[];
  unreadable: UnreadableEntry[];
  hasMore: boolean;
  /** What to request the next page with; null at the end, or where the page does not say. */
  next: string | null;
}

/**
 * A provider's batch API. Each method sends its request once, and fails with an `APIError`, a network error, or
 * `UnreadableAnswer`; retries are decided in `calls.ts`.
 */
export interface BatchApi {
  /** Absent where the provider has no list of files, or it is not known. */
  readonly files?: AccountFiles;
  /** Uploads the input. Costs nothing, and may be repeated. */
  upload(submission: Submission): Promise<UploadedFile>;
  /**
   * Creates a batch, which is paid for.
   * @throws UnreadableAnswer where the server accepted the order and its answer has no id: the batch exists
   */
  create(inputId: string, submission: Submission): Promise<Batch>;
  retrieve(id: string): Promise<Batch>;
  cancel(id: string): Promise<Batch>;
  /**
   * A page of the account's batches, newest first where the provider sorts them.
   * @param after `next` of the page before; null for the first
   */
  list(after: string | null): Promise<BatchPage>;
  /**
   * A batch with the metadata that identify its run.
   * @returns null where that is not known yet: only its requests identify it, and they are not shown while it runs
   */
  identify(batch: Batch): Promise<Batch | null>;
  /** Whether an input is the account's own: then what this key lists of batches can be trusted, too. */
  hasFile(id: string): Promise<boolean>;
  /**
   * Opens a result file, in OpenAI's format, from a byte on.
   * @param bounds for what is held in memory to translate it; bytes that are passed on unchanged are bounded by their reader
   */
  download(fileId: string, from: number, bounds: FileBounds): Promise<Download>;
  /** Throws where the account has no such model, or the key is wrong; costs nothing. */
  requireModel(model: string): Promise<void>;
  /** The words of a refusal because the queue is full; null for any other error of `create`. */
  queueRefusal(error: unknown): string | null;
  close(): Promise<void>;
}

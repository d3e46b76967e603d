/** A chunk: rows that are submitted together, what is known of their batch, and how sure that is. */

import type { Usage } from '../models/usage.js';
import type { Batch } from './batch.js';

/**
 * - `planned`: its file is written, nothing is uploaded;
 * - `uploaded`: the API has its file;
 * - `creating`: a batch is being created from it; without an answer, only the account's list shows whether it exists;
 * - `submitted`: its batch is running, or has ended and is still to be collected;
 * - `waiting`: the queue was full; it is submitted when there is room;
 * - `collected`: everything that its batch says it did is in the journal;
 * - `short`: its batch ended, and something that it should have delivered never arrived;
 * - `gone`: the account that made its batch has said for minutes that there is no such batch;
 * - `given_up`: the user gave up its remaining answers (`--give_up`);
 * - `too_large`: one request that is larger than the whole queue; there is no batch;
 * - `halved`: it did not fit into the queue at all; two smaller ones took its place.
 */
export type ChunkState =
  | 'planned'
  | 'uploaded'
  | 'creating'
  | 'submitted'
  | 'waiting'
  | 'collected'
  | 'short'
  | 'gone'
  | 'given_up'
  | 'too_large'
  | 'halved';

export const CHUNK_STATES: readonly ChunkState[] = [
  'planned',
  'uploaded',
  'creating',
  'submitted',
  'waiting',
  'collected',
  'short',
  'gone',
  'given_up',
  'too_large',
  'halved',
];

/** Rows that are submitted together. Only the ledger changes one. */
export interface Chunk {
  /** Counts the run's chunks from 0. */
  readonly number: number;
  /** Its input file, below the run's folder of working files; null where it is not available (another tool's batch). */
  readonly file: string | null;
  /** True for a batch that was not submitted from this folder, but found by its id or in the account. */
  readonly isAdopted: boolean;
  readonly requests: number;
  readonly bytes: number;
  /** Tokens of its prompts, roughly: what the queue's limit counts. */
  readonly tokens: number;
  readonly state: ChunkState;
  readonly inputFileId: string | null;
  /** Seconds since 1970 by the server's clock: no batch of this file is older. Null where the server did not say. */
  readonly uploadedAt: number | null;
  /** How many times a batch was created from it, or may have been. */
  readonly attempt: number;
  /** Milliseconds since 1970; when the last of them was about to be made. */
  readonly creatingAt: number | null;
  /** A random text in the metadata of the last of them, which no other creation has. */
  readonly creation: string | null;
  /** True where the server accepted the creation with an answer that could not be read: a batch exists. */
  readonly isAccepted: boolean;
  /** Why the queue refused it, and when it may be tried again (milliseconds since 1970). */
  readonly refusedBy: string | null;
  readonly tryAgainAt: number | null;
  readonly refusals: number;
  readonly batch: Batch | null;
  /** What speaks against its batch so far; null where nothing does. */
  readonly doubt: Doubt | null;
  /** What its batch came to so far; null until something is collected. */
  readonly collected: Collected | null;
}

/** Negative answers about a batch that followed each other. */
export interface Doubt {
  /** `absent`: there is no such batch; `undelivered`: it ended without all that it should have delivered. */
  readonly kind: 'absent' | 'undelivered';
  readonly times: number;
  /** Milliseconds of watching between the first and the last; time in which nobody asked does not count. */
  readonly overMs: number;
  readonly why: string;
}

/** What a collected batch came to. */
export interface Collected {
  /** Milliseconds since 1970; when it was first collected. */
  readonly at: number;
  /** Requests that the API worked on, whatever came of them. */
  readonly processed: number;
  /** Answers that went into the journal. */
  readonly answers: number;
  /** Tokens that were billed, at the batch price. */
  readonly usage: Usage;
  /** The part of them that was spent on answers which could not be used. */
  readonly wasted: Usage;
  /** Rows that have a line in a result file; null where an earlier version collected it. */
  readonly accounted: number | null;
  /** What the batch said of itself then: anything else is a reason to look again. */
  readonly said: string | null;
}

/** The part of a batch that decides what there is to collect. */
export function saidOf({ status, outputFileId, errorFileId, counts }: Batch): string {
  return JSON.stringify([status, outputFileId, errorFileId, counts.completed, counts.failed]);
}

/** A chunk that nothing has happened to. */
export function newChunk(
  number: number,
  file: string | null,
  size: { requests: number; bytes: number; tokens: number },
): Chunk {
  return {
    number,
    file,
    isAdopted: false,
    ...size,
    state: 'planned',
    inputFileId: null,
    uploadedAt: null,
    attempt: 0,
    creatingAt: null,
    creation: null,
    isAccepted: false,
    refusedBy: null,
    tryAgainAt: null,
    refusals: 0,
    batch: null,
    doubt: null,
    collected: null,
  };
}

/** How messages name a chunk: by its batch, or by its file where there is none. */
export function nameOf({ batch, file, number }: Pick<Chunk, 'batch' | 'file' | 'number'>): string {
  return batch?.id ?? file ?? `chunk ${number}`;
}

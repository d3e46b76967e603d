/**
 * Marks: what a batch's metadata say, in one short word, for providers that keep no metadata. A mark goes where the
 * provider keeps a text for us: the name of an input file, the name of a batch, or before the number of each request.
 * It has letters, digits, `-` and `_` only, and at most 50 of them (Anthropic allows 64 for a whole `custom_id`).
 */

import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { UserError } from '../../lib/errors.js';
import type { Batch } from '../batch.js';
import { creationKey } from '../metadata.js';

/** Which run a client works for: what a mark is compared with. */
export interface MarkOwner {
  dataset: string;
  annotator: string;
}

const KEY_LENGTH = 6;
const RUN_LENGTH = 22;
/** Hexadecimal digits of a creation's random number that fit. */
const CREATION_LENGTH = 12;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const MARK = new RegExp(
  `re([\\w-]{${RUN_LENGTH}})([\\w-]{${KEY_LENGTH}})c(\\d{1,6})(?:x([0-9a-f]{${CREATION_LENGTH}}))?(?![0-9a-f])`,
);

/**
 * The mark of a batch.
 * @param metadata as `batchMetadata` writes them; without `creation` the mark is that of its input
 * @throws UserError where the run's identity does not fit into a mark
 */
export function markOf(metadata: Readonly<Record<string, string>>): string {
  const { run = '', chunk = '', creation, dataset = '', annotator = '' } = metadata;
  if (!UUID.test(run)) {
    throw new UserError(
      'This run has no UUID, which is needed to find its batches again at this provider. Start a new run with ' +
        '--run_name NAME.',
    );
  }
  const runPart = Buffer.from(run.replaceAll('-', ''), 'hex').toString('base64url');
  const end = creation === undefined ? '' : `x${creationKey(creation)}`;
  return `re${runPart}${ownerKey({ dataset, annotator })}c${chunk}${end}`;
}

/**
 * The metadata that the mark in a text encodes; null if it has none. Dataset and annotator are filled in
 * where the mark is of these.
 */
export function readMark(text: string, owner: MarkOwner): Record<string, string> | null {
  const [, run = '', key, chunk = '', creation] = MARK.exec(text) ?? [];
  const bytes = Buffer.from(run, 'base64url');
  if (bytes.length !== 16 || bytes.toString('base64url') !== run) return null;
  const hex = bytes.toString('hex');
  const uuid = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join(
    '-',
  );
  const isOwn = key === ownerKey(owner);
  return {
    tool: 'reannotate',
    run: uuid,
    chunk,
    attempt: '1',
    dataset: isOwn ? owner.dataset : '?',
    annotator: isOwn ? owner.annotator : '?',
    ...(creation === undefined ? {} : { creation }),
  };
}

/** A batch with the metadata of the mark in a text; the batch as it is where the text has none. */
export function identifiedBy(text: string | null, batch: Batch, owner: MarkOwner): Batch {
  const metadata = text === null ? null : readMark(text, owner);
  return metadata === null ? batch : withMetadata(batch, metadata);
}

/** A batch with metadata that were found elsewhere, also in what the ledger keeps of it. */
export function withMetadata(batch: Batch, metadata: Readonly<Record<string, string>>): Batch {
  return { ...batch, metadata, raw: { ...batch.raw, metadata } };
}

/** A local file may be in another folder now, so its name is enough. */
function ownerKey({ dataset, annotator }: MarkOwner): string {
  const text = JSON.stringify([basename(dataset), annotator]);
  return createHash('sha256').update(text).digest('base64url').slice(0, KEY_LENGTH);
}

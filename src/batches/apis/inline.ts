/**
 * What the APIs have in common that take the requests in the call that creates a batch (Anthropic, OpenRouter). There is
 * no input file, so the batch is found again by the ids of its requests alone: each one has the run's mark before its row.
 */

import { createHash } from 'node:crypto';
import { secondsOf, type Batch } from '../batch.js';
import { creationKey } from '../metadata.js';
import { excessOfLine, lineInPlaceOf } from '../too-large.js';
import type { FileBounds, Submission, UploadedFile } from './batch-api.js';
import { linesOf, type RequestResult } from './lines.js';
import { markOf, withMetadata } from './marks.js';
import type { Connection } from './transport.js';

const OWN_ID = /^(re[\w-]{28}c\d+x[0-9a-f]{12})_(\d+)$/;

/** The ids of a batch's requests. */
export function requestIds(submission: Submission): (row: number) => string {
  const mark = markOf(submission.metadata);
  return (row) => `${mark}_${row}`;
}

/** The row's number of an id of ours; the id itself where another tool made it. */
export function rowIdOf(customId: string): string {
  return OWN_ID.exec(customId)?.[2] ?? customId;
}

/**
 * In place of an input file: which account the batch is created in, as far as the key says it. Another key sees another
 * list, whose silence proves nothing.
 */
export function accountMark({ address, apiKey }: Connection): string {
  const text = JSON.stringify(['reannotate', address.base, apiKey]);
  return `inline-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}

/** What replaces an upload: the account, and its time now. */
export async function inlineInput(connection: Connection, look: Promise<Response>): Promise<UploadedFile> {
  const response = await look;
  await response.body?.cancel();
  return { id: accountMark(connection), createdAt: secondsOf(response.headers.get('date')) };
}

/** The metadata of a batch that this call created: what the API itself does not keep. */
export function createdFrom(batch: Batch, { metadata }: Submission): Batch {
  const { creation } = metadata;
  return withMetadata(batch, {
    ...metadata,
    ...(creation === undefined ? {} : { creation: creationKey(creation) }),
  });
}

/** The results in a stream of JSON Lines. Other lines are passed on as they are, too large ones as errors of their rows. */
export async function* resultsIn(
  pieces: AsyncIterable<Uint8Array>,
  bounds: FileBounds,
  read: (line: Buffer) => RequestResult | null,
): AsyncGenerator<RequestResult | Buffer> {
  for await (const line of linesOf(pieces, bounds)) {
    const excess = excessOfLine(line, bounds.line);
    if (excess !== null) yield lineInPlaceOf(line.bytes, excess, rowIdOf);
    else if (line.bytes.length > 0) yield read(line.bytes) ?? line.bytes;
  }
}

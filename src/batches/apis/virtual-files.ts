/**
 * Batches of providers that give the results of a batch as one list, and not as OpenAI's two files: what succeeded is
 * called one file and everything else another, so that what is missing shows as with OpenAI.
 */

import { isSuccess, resultLine, type RequestResult } from './lines.js';

const SUCCEEDED = '/succeeded';
const FAILED = '/failed';

/** One of the two lists of a batch. */
export interface ResultList {
  batchId: string;
  succeeded: boolean;
}

/** The ids of the two lists, for a Batch object in OpenAI's format; null for one that has nothing in it. */
export function resultFileIds(
  batchId: string,
  { succeeded, failed }: { succeeded: number; failed: number },
): { output_file_id: string | null; error_file_id: string | null } {
  return {
    output_file_id: succeeded > 0 ? batchId + SUCCEEDED : null,
    error_file_id: failed > 0 ? batchId + FAILED : null,
  };
}

/** The list that an id means. */
export function listOf(fileId: string): ResultList {
  const succeeded = fileId.endsWith(SUCCEEDED);
  return { batchId: fileId.slice(0, -(succeeded ? SUCCEEDED : FAILED).length), succeeded };
}

/**
 * The lines of one list.
 * @param results of the whole batch; bytes are a line that cannot be read, and belong to the answers
 */
export async function* linesOfList(
  results: AsyncIterable<RequestResult | Buffer>,
  { succeeded }: ResultList,
): AsyncGenerator<Buffer> {
  for await (const result of results) {
    if (Buffer.isBuffer(result)) {
      if (succeeded) yield Buffer.concat([result, Buffer.from('\n')]);
    } else if (isSuccess(result) === succeeded) yield resultLine(result);
  }
}

/** Stops a batch, and makes sure that it is stopped: a 404 from a server without such a call stops nothing. */

import { hasEnded, type Batch } from './batch.js';
import { CallFailed, withRetry, type Waiting } from './calls.js';
import type { BatchApi } from './apis/batch-api.js';

const STOPPING: ReadonlySet<string> = new Set(['cancelling', 'cancelled']);

export type Cancellation =
  | { kind: 'stopped'; batch: Batch }
  /** It ended by itself before. */
  | { kind: 'ended'; batch: Batch }
  | { kind: 'not_stopped'; why: string };

/**
 * Cancels a batch.
 * @throws CallFailed where the API cannot be reached or refuses the key
 */
export async function cancelBatch(id: string, client: BatchApi, waiting: Waiting): Promise<Cancellation> {
  let why = 'the server does not confirm the cancellation';
  try {
    const batch = await withRetry(() => client.cancel(id), waiting);
    if (STOPPING.has(batch.status)) return { kind: 'stopped', batch };
    if (hasEnded(batch)) return { kind: 'ended', batch };
  } catch (error) {
    if (!isAboutBatch(error)) throw error;
    why = error.message;
  }
  return lookUp(id, why, client, waiting);
}

/** What the batch itself says after an answer that proves nothing. */
async function lookUp(id: string, why: string, client: BatchApi, waiting: Waiting): Promise<Cancellation> {
  try {
    const batch = await withRetry(() => client.retrieve(id), waiting);
    if (STOPPING.has(batch.status)) return { kind: 'stopped', batch };
    return hasEnded(batch) ? { kind: 'ended', batch } : { kind: 'not_stopped', why };
  } catch (error) {
    if (!isAboutBatch(error)) throw error;
    return { kind: 'not_stopped', why: error.message };
  }
}

/** True for an answer about this batch, and not about the key, the server or the network. */
function isAboutBatch(error: unknown): error is CallFailed {
  if (!(error instanceof CallFailed)) return false;
  return error.isAccepted || [400, 404, 405, 409, 410, 422, 501].includes(error.status ?? 0);
}

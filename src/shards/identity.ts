/** Which run the batches of a shard say that they are of. */

import { createHash } from 'node:crypto';
import type { RunIdentity } from '../run/identity.js';

/** The identity of a shard's batches: a UUID (version 8 of RFC 9562) derived from the run's own and the shard's number. */
export function shardIdentity(run: Omit<RunIdentity, 'source' | 'version'>, shard: number): RunIdentity {
  const hex = createHash('sha256').update(`${run.uuid}/${shard}`).digest('hex');
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`];
  return { ...run, version: 1, uuid: [...parts, hex.slice(20, 32)].join('-'), source: null };
}

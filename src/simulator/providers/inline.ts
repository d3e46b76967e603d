/** Requests that come in the call which creates a batch: kept as an input file like any other. */

import { writeFileSync } from 'node:fs';
import type { FileStore, StoredFile } from '../files.js';
import { LIFETIME_SECONDS } from './mount.js';

/** A request in OpenAI's terms. */
export interface InlineRequest {
  customId: string;
  body: object;
}

/** Stores requests as an input file. */
export function storeRequests(
  files: FileStore,
  owner: string,
  requests: readonly InlineRequest[],
): StoredFile {
  const lines = requests.map(({ customId, body }) =>
    JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body }),
  );
  const text = lines.map((line) => `${line}\n`).join('');
  const path = files.newPath();
  writeFileSync(path, text);
  const file = {
    owner,
    path,
    bytes: Buffer.byteLength(text),
    name: 'inline.jsonl',
    purpose: 'batch' as const,
  };
  return files.add({ ...file, cuts: null, fault: null }, LIFETIME_SECONDS);
}

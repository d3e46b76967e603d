/** Requests that come in the call which creates a batch: kept as an input file like any other. */

import { writeFileSync } from 'node:fs';
import type { FileStore, StoredFile } from '../files.js';

/** A request in OpenAI's terms. */
export interface InlineRequest {
  customId: string;
  body: object;
}

const LIFETIME_SECONDS = 2_592_000;

/** Stores requests as an input file. */
export function storeRequests(
  files: FileStore,
  owner: string,
  requests: readonly InlineRequest[],
): StoredFile {
  const lines = requests.map(({ customId, body }) =>
    JSON.stringify({ custom_id: customId, method: 'POST', url: '/v1/chat/completions', body }),
  );
  return storeText(files, owner, lines.map((line) => `${line}\n`).join(''), 'inline.jsonl');
}

/** Stores a text as an input file. */
export function storeText(
  files: FileStore,
  owner: string,
  text: string | Buffer,
  name: string,
  id?: string,
): StoredFile {
  const path = files.newPath();
  writeFileSync(path, text);
  const bytes = Buffer.byteLength(text);
  const file = { owner, path, bytes, name, purpose: 'batch' as const, cuts: null, fault: null };
  return files.add(file, LIFETIME_SECONDS, id);
}

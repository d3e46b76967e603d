/** Files as OpenAI's Files API has them, and as some other APIs have them too. */

import { isId } from '../id.js';
import type { Download, UploadedFile } from './batch-api.js';
import { textIn, timeIn } from './fields.js';
import { multipartForm, readAnswer, UnreadableAnswer, type Transport } from './transport.js';

/**
 * Uploads a file as a form with some fields.
 * @throws UnreadableAnswer where the server accepted it and its answer has no id
 */
export async function uploadFile(
  transport: Transport,
  fields: Readonly<Record<string, string | number>>,
  path: string,
  name: string,
): Promise<UploadedFile> {
  const form = multipartForm(fields, path, name);
  const answer = await readAnswer('the upload', transport.postStream('/files', form));
  const id = textIn(answer, 'id');
  if (id === null || !isId(id)) throw new UnreadableAnswer('the upload', answer);
  return { id, createdAt: timeIn(answer, 'created_at') };
}

/** Whether the server knows a file. @throws APIError (404) where it does not */
export async function hasFile(transport: Transport, id: string): Promise<boolean> {
  const answer = await readAnswer('a file', transport.get(`/files/${encodeURIComponent(id)}`));
  return textIn(answer, 'id') === id;
}

/** Opens a file's content from a byte on. */
export function downloadFile(transport: Transport, id: string, from: number): Promise<Download> {
  return transport.download(`/files/${encodeURIComponent(id)}/content`, from);
}

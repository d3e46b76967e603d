/** Files as OpenAI's Files API has them, and as some other APIs have them too. */

import { isId } from '../id.js';
import { isObject } from '../../lib/json.js';
import type { Download, FilePage, UploadedFile } from './batch-api.js';
import { idIn, textIn, timeIn } from './fields.js';
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

/** The most that one page of the list of files holds; OpenAI would give up to 10,000. */
const PAGE = 100;

/**
 * A page of the account's files of a purpose, newest first; entries that are no files are left out.
 * @throws UnreadableAnswer where the answer is no list
 */
export async function listFiles(
  transport: Transport,
  purpose: string,
  after: string | null,
): Promise<FilePage> {
  const query = { purpose, limit: PAGE, order: 'desc', ...(after === null ? {} : { after }) };
  const answer = await readAnswer('the list of files', transport.get('/files', { query }));
  const page = isObject(answer) ? answer : {};
  const list: unknown = Array.isArray(answer) ? answer : page['data'];
  if (!Array.isArray(list)) throw new UnreadableAnswer('the list of files', answer);
  const files = list.flatMap((item: unknown) => {
    const [id, name] = [idIn(item, 'id'), textIn(item, 'filename')];
    return id === null || name === null ? [] : [{ id, name, createdAt: timeIn(item, 'created_at') }];
  });
  const last = idIn(page, 'last_id') ?? idIn(list.at(-1), 'id');
  return { files, next: page['has_more'] === true ? last : null };
}

/** Deletes a file. @throws APIError (404) where there is none */
export async function deleteFile(transport: Transport, id: string): Promise<void> {
  await transport.delete(`/files/${encodeURIComponent(id)}`);
}

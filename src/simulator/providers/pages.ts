/** Results in pages, spoilt once as a file's download is. */

import { SIGN_IN_PAGE, type StoredFile } from '../files.js';
import { ApiError, sendJson } from '../http.js';
import { takeCut, takeFault, type Asked } from './mount.js';

/** Sends the page that the query names. */
export async function sendPageOfResults(
  { query, response }: Asked,
  files: readonly StoredFile[],
  results: readonly unknown[],
  names: { items: string; cursor: string },
): Promise<void> {
  const start = Number(query.get(names.cursor) ?? 0);
  const end = start + Number(query.get('limit') ?? 100);
  const next = end < results.length ? String(end) : null;
  const fault = takeFault(files);
  if (fault === 'absent') throw new ApiError(404, 'the results are not there');
  if (fault === 'page') {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(SIGN_IN_PAGE);
    return;
  }
  if (fault === 'error') {
    sendJson(response, 200, { error: { message: 'The results are being prepared.' } });
    return;
  }
  const page = results.slice(start, end);
  const sent = fault === 'empty' ? [] : fault === 'short' ? page.slice(0, -1) : page;
  const text = JSON.stringify({ [names.items]: sent, [names.cursor]: fault === 'empty' ? null : next });
  if (!takeCut(files)) {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
    });
    response.end(text);
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  await new Promise((resolve) => response.write(text.slice(0, text.length >> 1), resolve));
  response.socket?.destroy();
}

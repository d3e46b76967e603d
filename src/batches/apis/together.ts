/**
 * Together's batches: OpenAI's shapes in upper case and without metadata (`batch.ts` reads them), and an upload that goes
 * to a signed address.
 * Source: together-ai `lib/upload.ts`, `resources/batches.ts`; docs.together.ai/docs/batch-inference.
 */

import { statSync } from 'node:fs';
import { APIError } from 'openai';
import { isId } from '../id.js';
import type { UploadedFile } from './batch-api.js';
import { TOGETHER } from './dialects.js';
import { timeIn } from './fields.js';
import type { MarkOwner } from './marks.js';
import { OpenAiBatches, type Upload } from './openai.js';
import { fileBytes, readAnswer, statusOf, UnreadableAnswer, type Connection } from './transport.js';

export class TogetherBatches extends OpenAiBatches {
  constructor(connection: Connection, owner: MarkOwner) {
    super(connection, owner, TOGETHER);
  }

  /** Requests an address, uploads the file there, and has it registered. A gateway may know OpenAI's way instead. */
  protected override async uploadOnce(upload: Upload): Promise<UploadedFile> {
    const signed = await this.#signedAddress(upload.name);
    if (signed === null) return super.uploadOnce(upload);
    const { path } = upload;
    await this.transport.external(signed.address, 'PUT', {
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(statSync(path).size),
      },
      body: fileBytes(path),
    });
    const file = await this.#register(signed.id);
    return { id: signed.id, createdAt: timeIn(file, 'created_at') };
  }

  /** @returns null where the server does not redirect */
  async #signedAddress(name: string): Promise<{ id: string; address: string } | null> {
    const fields = { file_name: name, file_type: 'jsonl', purpose: TOGETHER.purpose };
    const headers = await this.transport
      .post('/files', {
        query: fields,
        body: new URLSearchParams(fields).toString(),
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      })
      .then(
        () => null,
        (error: unknown) => {
          if (!(error instanceof APIError)) throw error;
          // The SDK takes a redirect for an error.
          if (statusOf(error) === 302) return error.headers as Headers;
          if ([400, 404, 405, 415, 422].includes(statusOf(error) ?? 0)) return null;
          throw error;
        },
      );
    if (headers === null) return null;
    const [address, id] = [headers.get('location'), headers.get('x-together-file-id')];
    if (address === null || id === null || !isId(id))
      throw new UnreadableAnswer('the upload', 'no address for the file');
    return { id, address };
  }

  async #register(id: string): Promise<unknown> {
    const path = `/files/${encodeURIComponent(id)}`;
    try {
      return await readAnswer('the upload', this.transport.post(`${path}/preprocess`));
    } catch (error) {
      // Its JavaScript SDK only looks at the file.
      if (![404, 405].includes(statusOf(error) ?? 0)) throw error;
      return readAnswer('the upload', this.transport.get(path));
    }
  }
}

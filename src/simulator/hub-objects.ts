/** Large files as the Hub stores them: by their SHA-256, on disk, uploaded whole or in parts. */

import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HubError } from './hub-error.js';

/** What may be stored altogether. */
const MAXIMUM_STORED_BYTES = 16 * 2 ** 30;
const OID = /^[0-9a-f]{64}$/;

/** A file that was announced; `complete` once its content is there and is what it was announced as. */
interface StoredObject {
  bytes: number;
  complete: boolean;
}

export class HubObjects {
  readonly #objects = new Map<string, StoredObject>();
  #folder: string | null = null;
  #announced = 0;

  /** Whether an object is there as a whole. */
  holds(oid: string, bytes: number): boolean {
    const object = this.#objects.get(oid);
    return object?.complete === true && object.bytes === bytes;
  }

  /** Makes room for an object. */
  announce(oid: string, bytes: number): void {
    if (!OID.test(oid) || !Number.isSafeInteger(bytes) || bytes < 0)
      throw new HubError(422, 'InvalidObject', 'Not an object.');
    if (this.#objects.has(oid)) return;
    this.#announced += bytes;
    if (this.#announced > MAXIMUM_STORED_BYTES)
      throw new HubError(413, 'StorageLimit', 'The simulator stores no more than 16 GB.');
    this.#objects.set(oid, { bytes, complete: false });
    writeFileSync(this.path(oid), '', { mode: 0o600 });
  }

  /** Where an object's bytes are. */
  path(oid: string): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), 'reannotate-hub-'));
    return join(this.#folder, oid);
  }

  /** Takes bytes from `offset` on, `limit` at most. */
  async receive(request: IncomingMessage, oid: string, offset: number, limit: number): Promise<void> {
    const object = this.#require(oid);
    const most = Math.min(limit, object.bytes - offset);
    let received = 0;
    const bounded = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        received += chunk.length;
        done(
          received > most ? new HubError(400, 'EntityTooLarge', 'More bytes than announced.') : null,
          chunk,
        );
      },
    });
    await pipeline(request, bounded, createWriteStream(this.path(oid), { start: offset, flags: 'r+' }));
  }

  /** Checks what was uploaded. */
  async complete(oid: string): Promise<void> {
    const object = this.#require(oid);
    const path = this.path(oid);
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    if (statSync(path).size !== object.bytes || hash.digest('hex') !== oid)
      throw new HubError(400, 'BadDigest', 'The content is not what was announced.');
    object.complete = true;
  }

  close(): void {
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = null;
  }

  #require(oid: string): StoredObject {
    const object = this.#objects.get(oid);
    if (object === undefined) throw new HubError(404, 'NoSuchKey', 'No such object was announced.');
    return object;
  }
}

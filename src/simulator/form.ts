/** Multipart forms, streamed: a file goes to disk as it comes, whatever its size. */

import { closeSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { openFile, writeAll } from '../lib/files.js';
import { ApiError } from './http.js';

const MAXIMUM_UPLOAD_BYTES = 512 * 1024 * 1024;
const MAXIMUM_FIELD_BYTES = 64 * 1024;
const MAXIMUM_HEAD_BYTES = 16 * 1024;

/** Receives a multipart form; its file is streamed to a path. */
export function receiveForm(request: IncomingMessage, path: string): Promise<FormReader> {
  const type = request.headers['content-type'] ?? '';
  const boundary = /^multipart\/form-data;.*\bboundary=(?:"([^"]+)"|([^\s;]+))/i.exec(type);
  if (boundary === null) {
    throw new ApiError(400, `Invalid Content-Type header (${type}), expected multipart/form-data.`);
  }
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > MAXIMUM_UPLOAD_BYTES) throw tooLarge(announced);
  const form = new FormReader(boundary[1] ?? boundary[2] ?? '', path);
  return new Promise((resolve, reject) => {
    let received = 0;
    const fail = (error: Error): void => {
      request.removeAllListeners('data');
      request.resume();
      form.close();
      reject(error);
    };
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
      try {
        if (received > MAXIMUM_UPLOAD_BYTES) throw tooLarge(received);
        form.push(chunk);
      } catch (error) {
        fail(error as Error);
      }
    });
    request.on('end', () => {
      form.close();
      if (form.complete) resolve(form);
      else reject(badForm());
    });
    request.on('error', fail);
  });
}

/** A part of a form whose content is being read. */
interface Part {
  name: string;
  /** Null for a field that is no file. */
  fileName: string | null;
  content: Buffer;
}

/**
 * Reads a form piece by piece, as the pieces come; only the head of a part and small fields are ever in memory.
 * @see https://www.rfc-editor.org/rfc/rfc7578
 */
export class FormReader {
  readonly fields = new Map<string, string>();
  file: { name: string; bytes: number } | null = null;
  complete = false;
  readonly #delimiter: Buffer;
  /** What may be the beginning of a delimiter or of a head. The first delimiter has no line end before it. */
  #pending: Buffer = Buffer.from('\r\n');
  #atHead = false;
  #part: Part | null = null;
  #descriptor: number | null = null;

  constructor(
    boundary: string,
    private readonly path: string,
  ) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`);
  }

  /** @throws ApiError (400) where the form is malformed */
  push(chunk: Buffer): void {
    let data: Buffer | null = Buffer.concat([this.#pending, chunk]);
    while (data !== null && !this.complete)
      data = this.#atHead ? this.#readHead(data) : this.#readContent(data);
  }

  /** Closes the file that was written. */
  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  /** What follows a head; null where more has to come first. */
  #readHead(data: Buffer): Buffer | null {
    this.complete = data.subarray(0, 2).toString('latin1') === '--';
    if (this.complete) return null;
    const end = data.indexOf('\r\n\r\n');
    if (end === -1) {
      if (data.length > MAXIMUM_HEAD_BYTES) throw badForm();
      this.#pending = data;
      return null;
    }
    this.#open(data.subarray(0, end).toString('utf8'));
    this.#atHead = false;
    return data.subarray(end + 4);
  }

  /** What follows the content of a part; null where more has to come first. */
  #readContent(data: Buffer): Buffer | null {
    const end = data.indexOf(this.#delimiter);
    if (end === -1) {
      const sure = Math.max(0, data.length - this.#delimiter.length + 1);
      this.#write(data.subarray(0, sure));
      this.#pending = data.subarray(sure);
      return null;
    }
    this.#write(data.subarray(0, end));
    this.#finishPart();
    this.#atHead = true;
    return data.subarray(end + this.#delimiter.length);
  }

  #open(head: string): void {
    const disposition = /^content-disposition:\s*form-data;(.*)$/im.exec(head)?.[1];
    const name = /[;\s]name="([^"]*)"/i.exec(disposition ?? '')?.[1];
    if (name === undefined) throw badForm();
    const fileName = /[;\s]filename="([^"]*)"/i.exec(disposition ?? '')?.[1] ?? null;
    this.#part = { name, fileName, content: Buffer.alloc(0) };
    if (fileName === null) return;
    if (name !== 'file' || this.file !== null) throw badForm();
    this.#descriptor = openFile(this.path, 'create');
    this.file = { name: fileName, bytes: 0 };
  }

  #write(bytes: Buffer): void {
    if (this.#part === null) return;
    if (this.file !== null && this.#descriptor !== null) {
      writeAll(this.#descriptor, bytes);
      this.file.bytes += bytes.length;
      return;
    }
    this.#part.content = Buffer.concat([this.#part.content, bytes]);
    if (this.#part.content.length > MAXIMUM_FIELD_BYTES) throw badForm();
  }

  #finishPart(): void {
    if (this.#part?.fileName === null) this.fields.set(this.#part.name, this.#part.content.toString('utf8'));
    this.#part = null;
    this.close();
  }
}

function badForm(): ApiError {
  return new ApiError(400, 'Could not parse multipart form.');
}

export function missingField(name: string): ApiError {
  return new ApiError(400, `'${name}' is a required property`, { param: name });
}

function tooLarge(bytes: number): ApiError {
  const message = `Maximum content size limit (${MAXIMUM_UPLOAD_BYTES}) exceeded (${bytes} bytes read)`;
  return new ApiError(413, message, {}, { connection: 'close' });
}

/**
 * What is in the body of an answer. Nearly always it is one JSON object, and its bytes are kept as they came. Where
 * it is not, what can be read is read: it has been paid for.
 */

import { isUtf8 } from 'node:buffer';
import { ANSWER_BOUNDS, beyondBounds, type AnswerBounds } from '../http/answer-bounds.js';
import { parseJson } from '../lib/json.js';
import { holdsMoreValues } from '../lib/json-scan.js';
import { isTornJson, parseLooseJson } from '../lib/loose-json.js';
import { decodeUnannounced } from '../http/decoding.js';
import { inEnvelope } from './envelope.js';
import { CompletionStream } from '../http/stream.js';
import type { Redactor } from '../secrets/redactor.js';
import { sanitize, plural } from '../lib/text.js';
import type { Headers } from '../http/limit-headers.js';

const OPENING_BRACE = 0x7b;
const NEWLINE = 0x0a;
/** Characters of an unreadable body that are shown. */
const SHOWN = 80;
/** Characters that distinguish kinds of unreadable bodies. */
const TELLING = 24;

/** A body that holds JSON, in whatever wrapping. */
export interface ReadableBody {
  kind: 'json';
  value: unknown;
  /** The bytes that the value was read from as they are; null where something had to be unwrapped first. */
  plain: Buffer | null;
}

/** A body that holds none. */
export interface UnreadableBody {
  kind: 'unreadable';
  /** For people: content type, length, first characters. */
  description: string;
  /** The same for bodies that are broken in the same way. */
  shape: string;
  /** True for JSON that breaks off, and for nothing at all. */
  isTorn: boolean;
  /** The text that was found. */
  text: string;
}

/**
 * Reads a body to its end.
 * @param bytes without secrets, as far as these can be seen in them
 * @param redactor for what unpacking brings to light: a compressed text, or one that was streamed in pieces
 * @param boundsOf what it may unpack to
 */
export function readBody(
  bytes: Buffer,
  headers: Headers,
  redactor: Redactor,
  boundsOf: () => AnswerBounds = () => ANSWER_BOUNDS,
): ReadableBody | UnreadableBody {
  const value = isInOtherCharset(bytes, headers) ? undefined : parseJson(bytes.toString('utf8'));
  if (value !== undefined) {
    const inner = inEnvelope(value);
    return inner === null
      ? { kind: 'json', value, plain: bytes }
      : { kind: 'json', value: redactor.value(inner), plain: null };
  }
  const bounds = boundsOf();
  const unpacked = decodeUnannounced(bytes, bounds);
  if (unpacked !== bytes && holdsMoreValues(unpacked, bounds.values)) throw beyondBounds(bounds, 'values');
  const text = redactor.text(textOf(unpacked, headers));
  const found = parseWrapped(text);
  return found === undefined
    ? unreadable(bytes, text, redactor.headers(headers))
    : { kind: 'json', value: redactor.value(inEnvelope(found) ?? found), plain: null };
}

/** A body as one line of JSON: the bytes as they came where they are that, and otherwise the value written again. */
export function lineOf({ value, plain }: ReadableBody): Buffer {
  const isLine = plain !== null && plain[0] === OPENING_BRACE && !plain.includes(NEWLINE) && isUtf8(plain);
  return isLine ? plain : Buffer.from(JSON.stringify(value), 'utf8');
}

/** Text by its byte order mark, by the zeros of UTF-16, or by the charset of its content type; without its mark. */
function textOf(bytes: Buffer, headers: Headers): string {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return decode(bytes, 'utf-16le');
  if (first === 0xfe && second === 0xff) return decode(bytes, 'utf-16be');
  if (second === 0 && first !== 0) return decode(bytes, 'utf-16le');
  if (first === 0 && second !== 0) return decode(bytes, 'utf-16be');
  if (isUtf8(bytes)) return decode(bytes, 'utf-8');
  return decode(bytes, charsetOf(headers) ?? 'utf-8');
}

function decode(bytes: Buffer, encoding: string): string {
  try {
    return new TextDecoder(encoding).decode(bytes);
  } catch {
    // Not every build of Node knows every encoding.
    return bytes.toString('utf8');
  }
}

function charsetOf(headers: Headers): string | null {
  return /charset="?([\w-]{1,40})/i.exec(contentType(headers))?.[1] ?? null;
}

/** Read as UTF-8, such a body would still be JSON, with its letters lost. */
function isInOtherCharset(bytes: Buffer, headers: Headers): boolean {
  return contentType(headers).includes('charset') && !/utf-?8/i.test(contentType(headers)) && !isUtf8(bytes);
}

function contentType(headers: Headers): string {
  const type = headers['content-type'];
  return typeof type === 'string' ? type : '';
}

/**
 * JSON with what some servers put around it: blanks and zeros that keep a connection open, the `data: [DONE]` of a
 * stream, or a whole stream that nobody asked for (QuantumNous/new-api#5230).
 */
function parseWrapped(text: string): unknown {
  const trimmed = withoutEnd(text.replace(/^[\s\0\uFEFF]+/, ''));
  const value = parseLooseJson(trimmed);
  if (value !== undefined) return value;
  if (!/^(?:data|event|id|retry)?:|^\{[^\n]*\n/.test(trimmed)) return undefined;
  const stream = new CompletionStream();
  stream.push(Buffer.from(trimmed, 'utf8'));
  return parseJson(stream.finish().toString('utf8'));
}

/** Without blanks, zeros and the `data: [DONE]` of a stream at the end. */
function withoutEnd(text: string): string {
  let end = text.trimEnd();
  while (end.endsWith('\0')) end = end.slice(0, -1).trimEnd();
  if (!end.endsWith('[DONE]') || end.startsWith('data:')) return end;
  end = end.slice(0, -'[DONE]'.length).trimEnd();
  return end.endsWith('data:') ? end.slice(0, -'data:'.length).trimEnd() : end;
}

function unreadable(bytes: Buffer, text: string, headers: Headers): UnreadableBody {
  const type = sanitize(contentType(headers), 60) || 'no content type';
  const start = text.trimStart();
  const isTorn = /^[[{]/.test(start) && isTornJson(start);
  if (start === '') {
    return { kind: 'unreadable', description: `an empty body (${type})`, shape: 'empty', isTorn: true, text };
  }
  // A torn answer that is torn elsewhere the next time is bad luck; at the same place it is the server's way.
  const shape = `${type}|${start.slice(0, TELLING).replace(/\d+/g, '0')}|${isTorn ? bytes.length : 'whole'}`;
  const what = isTorn ? 'incomplete JSON' : 'not JSON';
  const description = `${what} (${type}, ${plural(bytes.length, 'byte')}): ${sanitize(start, SHOWN)}`;
  return { kind: 'unreadable', description, shape, isTorn, text };
}

/**
 * What the API charges a prompt against the limit of tokens a minute: its characters / 4, not what a tokenizer counts
 * (community.openai.com 360359 and 358525). What answers add to it is in `limits/token-charge.ts`.
 */

import { wordsBehind, zeroByte } from '../lib/bytes.js';
import { isObject } from '../lib/json.js';

export const CHARACTERS_PER_TOKEN = 4;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;

/**
 * Characters of JSON text once its escapes are read: no parsing, one pass over the bytes, four at a time where none of
 * them is special.
 */
export function decodedLength(json: Uint8Array): number {
  const words = wordsBehind(json);
  const { byteOffset, length } = json;
  let characters = 0;
  for (let index = 0; index < length; index++) {
    while (((byteOffset + index) & 3) === 0 && index + 4 <= length) {
      const word = words[(byteOffset + index) >> 2] as number;
      if ((word & 0x80808080) !== 0 || zeroByte(word ^ 0x5c5c5c5c) !== 0) break;
      characters += 4;
      index += 4;
    }
    if (index >= length) break;
    const byte = json[index] as number;
    // Continuation bytes of UTF-8 belong to the character before them.
    if ((byte & 0xc0) === 0x80) continue;
    characters += 1;
    if (byte === BACKSLASH) index += json[index + 1] === LETTER_U ? 5 : 1;
  }
  return characters;
}

/** Estimates the prompt tokens of the jobs of one run, which differ in their messages and tools alone. */
export class TokenEstimate {
  /** Characters of a job that are no part of its prompt: names of fields, parameters, roles. */
  #envelope: number | null = null;

  /** Tokens of a request body's prompt. */
  of(body: Buffer): number {
    const media = body.includes(LIST_OF_PARTS) ? mediaIn(body) : NO_MEDIA;
    this.#envelope ??= envelopeLength(body, media.characters);
    const characters = Math.max(0, decodedLength(body) - media.characters - this.#envelope);
    return Math.ceil(characters / CHARACTERS_PER_TOKEN) + media.parts * TOKENS_PER_MEDIA;
  }
}

/**
 * What a picture, a recording or a document is taken to be charged: a picture of 1024 × 1024 in gpt-4o's high detail
 * (platform.openai.com/docs/guides/images-vision: 85 + 4 tiles × 170), whatever the length of its data.
 */
const TOKENS_PER_MEDIA = 765;
/** Only a message with parts has this; inside a text its quotes would be escaped. */
const LIST_OF_PARTS = Buffer.from('"content":[');
const NO_MEDIA = { parts: 0, characters: 0 };

/** Parts of messages that hold something else than text, and the characters that these take. */
function mediaIn(body: Buffer): { parts: number; characters: number } {
  const { messages } = JSON.parse(body.toString('utf8')) as { messages?: unknown };
  const parts = (Array.isArray(messages) ? messages : [])
    .filter(isObject)
    .flatMap(({ content }) => (Array.isArray(content) ? content.filter(isObject) : []))
    .filter((part) => typeof part['text'] !== 'string');
  return { parts: parts.length, characters: parts.reduce((sum, part) => sum + lengthOfJson(part), 0) };
}

/** @param media characters of parts that hold something else than text */
function envelopeLength(body: Buffer, media: number): number {
  const { messages, tools } = JSON.parse(body.toString('utf8')) as { messages?: unknown; tools?: unknown };
  const text = (Array.isArray(messages) ? messages : [])
    .filter(isObject)
    .reduce((sum, { content, tool_calls: calls }) => sum + textLength(content) + lengthOfJson(calls), 0);
  return decodedLength(body) - media - text - lengthOfJson(tools);
}

/** Characters of a message's text: a text, or parts of which some have one. */
function textLength(content: unknown): number {
  if (typeof content === 'string') return Array.from(content).length;
  if (!Array.isArray(content)) return 0;
  return content.reduce((sum: number, part) => sum + (isObject(part) ? textLength(part['text']) : 0), 0);
}

/** Characters of a value as JSON; 0 where there is none. */
function lengthOfJson(value: unknown): number {
  return value === undefined ? 0 : decodedLength(Buffer.from(JSON.stringify(value), 'utf8'));
}

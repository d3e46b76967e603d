/**
 * What the API charges a prompt against the limit of tokens a minute: its characters / 4, not what a tokenizer counts
 * (community.openai.com 360359 and 358525). What answers add to it is in `limits/token-charge.ts`.
 */

import { wordsBehind, zeroByte } from '../lib/bytes.js';
import { messageText } from '../models/message-text.js';
import type { ChatMessage } from '../types.js';

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

/** Estimates the prompt tokens of the jobs of one run, which differ in their messages alone. */
export class TokenEstimate {
  /** Characters of a job that are not message text: names of fields, parameters, roles. */
  #envelope: number | null = null;

  /** Tokens of a request body's prompt. */
  of(body: Buffer): number {
    this.#envelope ??= envelopeLength(body);
    const characters = Math.max(0, decodedLength(body) - this.#envelope);
    return Math.ceil(characters / CHARACTERS_PER_TOKEN);
  }
}

function envelopeLength(body: Buffer): number {
  const { messages, tools } = JSON.parse(body.toString('utf8')) as {
    messages: ChatMessage[];
    tools?: unknown;
  };
  const texts = [...messages.map(messageText), tools === undefined ? '' : JSON.stringify(tools)];
  return decodedLength(body) - texts.reduce((sum, text) => sum + Array.from(text).length, 0);
}

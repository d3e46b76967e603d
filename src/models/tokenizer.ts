/** Counts tokens as a model's tokenizer does: for prices alone, since it is far too slow for the path of a request. */

import type { ChatMessage } from '../types.js';
import { messageText } from './message-text.js';

const PIECE_CHARACTERS = 1024;
/** Tokens that every message and every answer's start add (OpenAI cookbook, "How to count tokens with tiktoken"). */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_PER_REQUEST = 3;

export interface Tokenizer {
  /** For the user: `o200k_base`. */
  name: string;
  count(text: string): number;
}

/** The tokenizer of a model; models of other providers are counted with OpenAI's newest, which is near. */
export async function loadTokenizer(model: string): Promise<Tokenizer> {
  const isOlder = /^(?:gpt-4(?:-|$)|gpt-3\.5)/.test(model);
  const { encode } = isOlder
    ? await import('gpt-tokenizer/encoding/cl100k_base')
    : await import('gpt-tokenizer/encoding/o200k_base');
  return {
    name: isOlder ? 'cl100k_base' : 'o200k_base',
    count: (text) => {
      let tokens = 0;
      // Text that looks like a special token is ordinary text in a dataset.
      for (const piece of pieces(text)) tokens += encode(piece, { disallowedSpecial: new Set() }).length;
      return tokens;
    },
  };
}

/** Tokens of a chat request. */
export function countMessages(tokenizer: Tokenizer, messages: readonly ChatMessage[]): number {
  const perMessage = messages.map((message) => tokenizer.count(messageText(message)) + TOKENS_PER_MESSAGE);
  return perMessage.reduce((sum, tokens) => sum + tokens, TOKENS_PER_REQUEST);
}

/**
 * Tokenizers take time quadratic in the longest unbroken run of characters, so a hostile cell is fed in pieces, cut
 * at a space where there is one: the count stays the same but for a handful of tokens.
 */
export function* pieces(text: string): Generator<string> {
  let start = 0;
  while (text.length - start > PIECE_CHARACTERS) {
    const space = text.lastIndexOf(' ', start + PIECE_CHARACTERS);
    let end = space > start ? space : start + PIECE_CHARACTERS;
    const code = text.charCodeAt(end - 1);
    if (end - 1 > start && code >= 0xd800 && code <= 0xdbff) end -= 1;
    yield text.slice(start, end);
    start = end;
  }
  yield text.slice(start);
}

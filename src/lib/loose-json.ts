/** JSON from servers that do not keep to it, or that was cut off. */

import { parseLenient } from './json.js';

/** The value of JSON text, with `NaN` and infinities as null; undefined where it is not JSON even so. */
export function parseLooseJson(text: string): unknown {
  try {
    return parseLenient(text);
  } catch {
    return undefined;
  }
}

/** True where text begins as JSON and ends within it: something cut it off. */
export function isTornJson(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      at = endOfString(text, at);
      if (at === -1) return true;
    } else if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') depth -= 1;
  }
  return depth > 0;
}

/** Where the closing quote is of the string that begins at a place; -1 where it has none. */
function endOfString(text: string, quote: number): number {
  for (let at = quote + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x5c) at += 1;
    else if (code === 0x22) return at;
  }
  return -1;
}

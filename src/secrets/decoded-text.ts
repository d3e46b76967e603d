/** Text without its escapes, layer by layer, and where each character of it came from. */

/**
 * JSON's escapes (those of JSON inside JSON are the next layer's), percent-encoding, and what HTML writes for characters
 * that matter to it. No part of it can match in two ways, and every repetition is bounded, so that it is linear.
 */
const ESCAPE =
  /\\u([0-9a-f]{4})|\\(["\\/])|%([0-9a-f]{2})|&#(?:x0{0,5}([0-9a-f]{2,4})|0{0,5}(\d{2,5}));|&(quot|amp|lt|gt|apos);/gi;

/** More layers than that are nobody's accident. */
const MOST_LAYERS = 8;
const NAMED: Readonly<Record<string, string>> = { quot: '"', amp: '&', lt: '<', gt: '>', apos: "'" };

/** A text, and for each of its characters, and its end, where that stands in the text that it was decoded from. */
export interface DecodedText {
  text: string;
  places: Int32Array | null;
}

/** The text as it is, and then without one layer of escapes after the other. */
export function* layersOf(text: string): Generator<DecodedText> {
  let layer: DecodedText | null = { text, places: null };
  for (let depth = 0; layer !== null && depth <= MOST_LAYERS; depth++) {
    yield layer;
    layer = withoutLayer(layer);
  }
}

/** The text without any escapes. */
export function fullyDecoded(text: string): string {
  let last = text;
  for (const layer of layersOf(text)) last = layer.text;
  return last;
}

/** Takes one layer off; null where there is none. */
function withoutLayer({ text, places }: DecodedText): DecodedText | null {
  const parts: string[] = [];
  let decoded: Int32Array | null = null;
  let length = 0;
  let from = 0;
  const keep = (end: number, target: Int32Array): void => {
    for (let at = from; at < end; at++) target[length++] = places === null ? at : (places[at] ?? 0);
    parts.push(text.slice(from, end));
  };
  for (const match of text.matchAll(ESCAPE)) {
    decoded ??= new Int32Array(text.length + 1);
    keep(match.index, decoded);
    decoded[length++] = places === null ? match.index : (places[match.index] ?? 0);
    parts.push(characterOf(match));
    from = match.index + match[0].length;
  }
  if (decoded === null) return null;
  keep(text.length, decoded);
  decoded[length] = places === null ? text.length : (places[text.length] ?? 0);
  return { text: parts.join(''), places: decoded };
}

/** The one UTF-16 unit that an escape stands for. */
function characterOf([whole, unicode, plain, percent, hex, decimal, name]: RegExpExecArray): string {
  if (plain !== undefined) return plain;
  if (name !== undefined) return NAMED[name.toLowerCase()] ?? whole.slice(0, 1);
  const digits = unicode ?? percent ?? hex;
  if (digits !== undefined) return String.fromCharCode(parseInt(digits, 16));
  return String.fromCharCode(Number(decimal) & 0xffff);
}

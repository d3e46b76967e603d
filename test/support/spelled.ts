/** Ways in which servers write a key that they repeat, whole or mixed. */

import fc from 'fast-check';

const unicode = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
const percent = (character: string): string =>
  [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

/** How one character may be written, by the number that a generator gives it. */
const CHARACTERS: readonly ((character: string) => string)[] = [
  (character) => character,
  unicode,
  (character) => unicode(character).toUpperCase().replace('\\U', '\\u'),
  (character) => (/["/\\]/.test(character) ? `\\${character}` : character),
  percent,
  (character) => percent(character).toUpperCase(),
  (character) => `&#${character.charCodeAt(0)};`,
  (character) => `&#x${character.charCodeAt(0).toString(16)};`,
  (character) => unicode(character).replaceAll('\\', '\\\\'),
  (character) => percent(character).replaceAll('%', '%25'),
];

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** How the whole key may be written. */
const WHOLES: readonly ((key: string) => string)[] = [
  (key) => key,
  (key) => JSON.stringify(key).slice(1, -1),
  (key) => JSON.stringify(JSON.stringify(key)).slice(1, -1),
  (key) => encodeURIComponent(key),
  (key) =>
    encodeURIComponent(key)
      .toLowerCase()
      .replace(encodeURIComponent(key).toLowerCase(), () => encodeURIComponent(key)),
  (key) => key.replaceAll('/', '\\/'),
  (key) => Array.from(key, unicode).join(''),
  base64,
  (key) => base64(`Bearer ${key}`),
  (key) => `Basic ${base64(`:${key}`)}`,
  (key) => `Basic ${base64(`me:${key}`)}`,
  (key) => `Basic ${base64(`${key}:`)}`,
  (key) => Buffer.from(`ab${key}cd`).toString('base64url'),
  (key) => base64(key).replaceAll('/', '\\/'),
  (key) => encodeURIComponent(base64(key)),
  (key) => Buffer.from(key).toString('hex'),
  (key) => Buffer.from(key).toString('hex').toUpperCase(),
  (key) => key.replaceAll('&', '&amp;').replaceAll('"', '&quot;'),
  (key) => key.replace(/[^A-Za-z0-9]/g, ''),
  (key) => key.replace(/[^A-Za-z0-9_.-]/g, '_'),
  (key) => key.replace(/[^A-Za-z0-9-]/g, '-').toLowerCase(),
  (key) => key.toUpperCase(),
];

/** A key in any spelling that is to be recognised. */
export function spellings(key: string): fc.Arbitrary<string> {
  const mixed = fc
    .array(fc.nat(CHARACTERS.length - 1), { minLength: key.length, maxLength: key.length })
    .map((ways) =>
      Array.from(key, (character, index) => CHARACTERS[ways[index] ?? 0]?.(character) ?? '').join(''),
    );
  return fc.oneof(mixed, fc.constantFrom(...WHOLES.map((write) => write(key))));
}

/** What is wrong with a text that must not hold a key: the spelling that a reader would find in it; null for nothing. */
export function secretIn(text: string, keys: readonly string[]): string | null {
  for (const layer of decodings(text)) {
    for (const key of keys) {
      const bytes = Buffer.from(key);
      const forms = [key, bytes.toString('hex')];
      for (const before of [0, 1, 2]) {
        const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
        const core = encoded.slice(
          before + (before > 0 ? 1 : 0),
          Math.floor(((before + bytes.length) * 8) / 6),
        );
        forms.push(core, core.replaceAll('+', '-').replaceAll('/', '_'));
      }
      const found = forms.find(
        (form) => layer.includes(form) || layer.toLowerCase().includes(form.toLowerCase()),
      );
      if (found !== undefined) return found;
    }
  }
  return null;
}

/** The text, and what a patient reader makes of it, one decoding after the other. */
function decodings(text: string): string[] {
  const all = [text];
  for (let depth = 0; depth < 6; depth++) {
    const last = all.at(-1) ?? '';
    const next = last
      .replace(/\\+u([0-9a-f]{4})/gi, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)))
      .replace(/\\+(["/])/g, '$1')
      .replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)))
      .replace(/&#x([0-9a-f]+);/gi, (_, digits: string) => String.fromCharCode(parseInt(digits, 16)))
      .replace(/&#(\d+);/g, (_, digits: string) => String.fromCharCode(Number(digits)))
      .replaceAll('&quot;', '"')
      .replaceAll('&amp;', '&');
    if (next === last) break;
    all.push(next);
  }
  return all;
}

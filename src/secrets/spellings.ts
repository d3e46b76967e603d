/** The ways in which a secret is written when it is not written as it is, apart from escapes (see `readings.ts`). */

import { withoutEscapes } from './readings.js';
import { isHidden } from './secret.js';

/** Base64 of fewer bytes says too little to be recognised. */
const FEWEST_BASE64 = 8;

/** One spelling of a secret. */
export interface Spelling {
  text: string;
  /** True where upper and lower case are the same. */
  anyCase: boolean;
  /** True for the secret as it is. */
  isItself: boolean;
}

/** Shorter secrets may be words once something is left out of them. */
const SHORTEST_VARIANT = 12;
/** The characters of ids, file names and hosts: servers leave out anything else, or replace it with one of these. */
const KEPT_IN_NAMES = [/[^A-Za-z0-9]/g, /[^A-Za-z0-9_-]/g, /[^A-Za-z0-9_.-]/g];

/**
 * The secret itself, as bytes of UTF-8 that were read one by one, in hexadecimal and in base64, and as the part of a
 * name: in letters of one case, and without its punctuation or with another.
 */
export function spellingsOf(secret: string): Spelling[] {
  const bytes = Buffer.from(secret, 'utf8');
  const exact = [
    secret,
    withoutEscapes(secret),
    bytes.toString('latin1'),
    ...base64Of(bytes),
    ...variantsOf(secret),
  ];
  return [
    ...[...new Set(exact)].map((text) => ({ text, anyCase: false, isItself: text === secret })),
    { text: bytes.toString('hex'), anyCase: true, isItself: false },
  ];
}

function variantsOf(secret: string): string[] {
  const named = KEPT_IN_NAMES.flatMap((other) => ['', '-', '_'].map((mark) => secret.replace(other, mark)));
  const variants = [secret, ...named].flatMap((text) => [text, text.toLowerCase(), text.toUpperCase()]);
  return variants.filter((text) => text.length >= SHORTEST_VARIANT && isHidden(text));
}

/**
 * The characters of base64 that the secret alone decides, for each of the three places in a group of three bytes at
 * which it can begin: `Basic …` and `Bearer …` put something before it.
 */
function base64Of(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    // Six bits a character; those with a bit of the neighbours are left out.
    const core = encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    if (core.length < FEWEST_BASE64) return [];
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

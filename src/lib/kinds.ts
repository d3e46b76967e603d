/** Kinds of values that people write: how a text is read, and what an error says of one that cannot be. */

import { bareFileReason } from './files.js';
import { isUtf8 } from 'node:buffer';
import { UsageError } from './errors.js';
import { readSmallBytes } from './small-file.js';
import { alternatives, didYouMean } from './suggest.js';
import { sanitize } from './text.js';

/** A kind of value. */
export interface Kind<Value> {
  /** As help names it, such as `<n>`; in brackets where a flag may have no value, and empty where it never has one. */
  argument: string;
  /** What the flag means without a value; undefined where it needs one. */
  alone?: Value;
  /** Values to suggest; others may be valid as well. */
  choices?: readonly string[];
  /** What a shell completes. */
  completes?: 'file' | 'folder';
  /** True where a flag may be given several times: the texts are joined by commas. */
  repeats?: boolean;
  /** The TypeScript type of the values that code may give instead of a text; `string` where absent. */
  inCode?: string;
  /**
   * @param text as it was given, never empty
   * @param source what gave it, for messages, such as `--limit`
   * @throws UsageError that says what the source takes
   */
  read: (text: string, source: string) => Value;
}

type KindParts = Omit<Kind<unknown>, 'argument' | 'read' | 'alone'>;

/** A kind of its own. */
export function kind<Value>(argument: string, read: Kind<Value>['read'], parts: KindParts = {}): Kind<Value> {
  return { argument, read, ...parts };
}

/** Any text. */
export function text(argument: string, parts: KindParts = {}): Kind<string> {
  return kind(argument, (given) => given, parts);
}

export const file = text('<file>', { completes: 'file' });
export const folder = text('<dir>', { completes: 'folder' });

/** A text of a prompt's size at most. */
const MOST_TEXT_BYTES = 4 << 20;

/** A text, or `@FILE` for the content of a file, without the line break at its end. */
export const textOrFile: Kind<string> = kind('<text or @file>', (given, source) => {
  if (!given.startsWith('@')) return given;
  const path = given.slice(1);
  let content: Buffer;
  try {
    content = readSmallBytes(path, MOST_TEXT_BYTES);
  } catch (error) {
    throw new UsageError(
      `${source} ${sanitize(given, 80)}: the file cannot be read (${sanitize(bareFileReason(error), 120)}).`,
    );
  }
  if (!isUtf8(content)) throw new UsageError(`${source} ${sanitize(given, 80)}: the file is not UTF-8.`);
  const read = content
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .replace(/\r?\n$/, '');
  if (read.trim() === '') throw new UsageError(`${source} ${sanitize(given, 80)}: the file is empty.`);
  return read;
});

/** A flag that is on or off. */
export const toggle: Kind<boolean> = {
  argument: '',
  alone: true,
  inCode: 'boolean',
  read: truth('true or false'),
};

/** The same with a value that may be left out. */
export const optionalTruth: Kind<boolean> = {
  argument: '[bool]',
  alone: true,
  choices: ['true', 'false'],
  inCode: 'boolean',
  read: truth('true, false or none'),
};

function truth(takes: string): Kind<boolean>['read'] {
  return (given, source) => {
    if (/^(?:true|yes|on|1)$/i.test(given)) return true;
    if (/^(?:false|no|off|0)$/i.test(given)) return false;
    throw new UsageError(`${source} takes ${takes}, not ${sanitize(given, 40)}.`);
  };
}

/** A whole number from `minimum` to `maximum`. */
export function integer(minimum: number, maximum = Number.MAX_SAFE_INTEGER, argument = '<n>'): Kind<number> {
  return numeric({ minimum, maximum, argument, noun: 'a whole number', isValid: Number.isSafeInteger });
}

/** A number from `minimum` (`Number.MIN_VALUE`: anything above 0) to `maximum`. */
export function number(minimum: number, maximum = Number.MAX_VALUE, argument = '<n>'): Kind<number> {
  return numeric({ minimum, maximum, argument, noun: 'a number', isValid: Number.isFinite });
}

interface NumericKind {
  minimum: number;
  maximum: number;
  argument: string;
  noun: string;
  isValid: (value: number) => boolean;
}

function numeric({ minimum, maximum, argument, noun, isValid }: NumericKind): Kind<number> {
  const read: Kind<number>['read'] = (given, source) => {
    const value = /^[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(given)
      ? Number(given.replaceAll('_', ''))
      : NaN;
    if (isValid(value) && value >= minimum && value <= maximum) return value;
    throw new UsageError(`${source} takes ${noun}${range(minimum, maximum)}, not ${sanitize(given, 40)}.`);
  };
  return kind(argument, read, { inCode: 'number' });
}

function range(minimum: number, maximum: number): string {
  const low = minimum === Number.MIN_VALUE ? 'above 0' : `of at least ${minimum}`;
  const isOpen = maximum === Number.MAX_SAFE_INTEGER || maximum === Number.MAX_VALUE;
  if (minimum === Number.MIN_SAFE_INTEGER) return '';
  return isOpen ? ` ${low}` : ` from ${minimum} to ${maximum}`;
}

/** One of some names, in any case. */
export function oneOf<const Name extends string>(argument: string, names: readonly Name[]): Kind<Name> {
  return kind(
    argument,
    (given, source) => {
      const found = names.find((name) => name === given.toLowerCase());
      if (found !== undefined) return found;
      throw new UsageError(
        `${source} takes ${alternatives(names)}, not ${sanitize(given, 40)}.${didYouMean(given, names)}`,
      );
    },
    { choices: names, inCode: names.map((name) => `'${name}'`).join(' | ') },
  );
}

/** Of a kind that reads a list: as one text, or as its parts. */
export const LIST_IN_CODE = 'string | readonly string[]';
/** Of a kind that reads JSON: as text, or as what it says. */
export const OBJECT_IN_CODE = 'string | Readonly<Record<string, unknown>>';

/** Names separated by commas, each once. */
export function list(argument: string): Kind<readonly string[]> {
  return kind(
    argument,
    (given) => {
      const parts = given.split(',').map((part) => part.trim());
      return [...new Set(parts.filter((part) => part !== ''))];
    },
    { repeats: true, inCode: LIST_IN_CODE },
  );
}

/** The same kind, of which `none` means null. */
export function orNone<Value>(of: Kind<Value>): Kind<Value | null> {
  return {
    ...of,
    // A type that has `string` has `none`.
    inCode: /\bstring\b/.test(of.inCode ?? 'string') ? (of.inCode ?? 'string') : `${of.inCode} | 'none'`,
    read: (given, source) => (given.toLowerCase() === 'none' ? null : of.read(given, source)),
  };
}

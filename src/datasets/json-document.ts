/**
 * The rows of a JSON document larger than memory: an array of rows, an object of splits (`{"train": [...]}`), or objects
 * that follow each other. Only borders are found here; a row is parsed once it is whole.
 */

import { UserError } from '../lib/errors.js';
import { inert } from '../lib/text.js';
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  endOfValue,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  skipSpace,
} from '../lib/json-scan.js';
import { utf8Pieces, type TextFile } from './text-file.js';

/** How a document holds its rows. */
export type Layout = { kind: 'array' } | { kind: 'splits'; split: string } | { kind: 'objects' };

/**
 * Finds out how a document holds its rows.
 * @param wanted the split that the user named
 * @throws UserError where it holds none, or not that split
 */
export function findLayout(file: TextFile, wanted: string | null): Layout {
  const text = new Window(file);
  const first = text.peek();
  const path = inert(file.path, 300);
  if (first === null) throw new UserError(`${path} is empty.`);
  if (first === OPEN_BRACKET) {
    if (wanted !== null && wanted !== 'train') {
      throw new UserError(`${path} is an array without splits; leave --split ${inert(wanted, 40)} out.`);
    }
    return { kind: 'array' };
  }
  if (first !== OPEN_BRACE)
    throw new UserError(`${path} is not JSON: it begins with "${inert(text.start(), 4)}".`);
  const lists = topLevelNames(text);
  const split = wanted ?? 'train';
  if (lists.get(split) === OPEN_BRACKET) return { kind: 'splits', split };
  const more = text.peek();
  const holdsLists = [...lists.values()].some((byte) => byte === OPEN_BRACKET || byte === OPEN_BRACE);
  if (wanted === null && (more === OPEN_BRACE || !holdsLists)) return { kind: 'objects' };
  throw noSplit(file, split, lists);
}

/** Names at the top of the object that follows, with the first byte of each value. */
function topLevelNames(text: Window): Map<string, number> {
  const names = new Map<string, number>();
  text.expect(OPEN_BRACE);
  if (text.peek() === CLOSE_BRACE) text.expect(CLOSE_BRACE);
  else {
    do {
      const name = text.name();
      text.expect(COLON);
      const first = text.peek() ?? 0;
      if (names.size < 1000) names.set(name, first);
      if (first === OPEN_BRACKET) skipItems(text);
      else text.value();
    } while (text.follows(CLOSE_BRACE));
  }
  return names;
}

/** The rows of a document as JSON text, each valid until the next is asked for. */
export function* documentRows(file: TextFile, layout: Layout): Generator<Buffer> {
  const text = new Window(file);
  if (layout.kind === 'array') yield* items(text);
  else if (layout.kind === 'splits') yield* splitItems(text, layout.split);
  else {
    while (text.peek() !== null) {
      yield text.value();
      text.rows += 1;
      // Some writers put a comma between the objects.
      if (text.peek() === COMMA) text.expect(COMMA);
    }
  }
  if (text.peek() !== null) throw text.problem('text follows its end');
}

function* splitItems(text: Window, split: string): Generator<Buffer> {
  text.expect(OPEN_BRACE);
  do {
    const name = text.name();
    text.expect(COLON);
    if (text.peek() !== OPEN_BRACKET) text.value();
    else if (name === split) yield* items(text);
    else skipItems(text);
  } while (text.follows(CLOSE_BRACE));
}

/** The items of the array that follows. */
function* items(text: Window): Generator<Buffer> {
  text.expect(OPEN_BRACKET);
  if (text.peek() === CLOSE_BRACKET) {
    text.expect(CLOSE_BRACKET);
    return;
  }
  do {
    yield text.value();
    text.rows += 1;
  } while (text.follows(CLOSE_BRACKET));
}

/** Passes over the array that follows, whose items are no rows. */
function skipItems(text: Window): void {
  const before = text.rows;
  const skipped = items(text);
  while (skipped.next().done !== true);
  text.rows = before;
}

/** What was read of a document and is not done with. */
class Window {
  readonly #pieces: Generator<Buffer>;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Bytes of text before `#bytes`. */
  #before = 0;
  #ended = false;
  /** Rows that were passed, for messages. */
  rows = 0;

  constructor(private readonly file: TextFile) {
    this.#pieces = utf8Pieces(file);
  }

  /** The next byte that is no white space, which stays; null at the end. */
  peek(): number | null {
    do {
      this.#at = skipSpace(this.#bytes, this.#at);
      const byte = this.#bytes[this.#at];
      if (byte !== undefined) return byte;
    } while (this.#more());
    return null;
  }

  /** A few characters from here on, for a message. */
  start(): string {
    return this.#bytes.toString('utf8', this.#at, this.#at + 8);
  }

  expect(byte: number): void {
    const found = this.peek();
    if (found === null) throw this.#incomplete();
    if (found !== byte)
      throw this.problem(`"${String.fromCharCode(byte)}" is missing before "${inert(this.start(), 8)}"`);
    this.#at += 1;
  }

  /** True after a comma, false after the byte that closes; anything else is an error. */
  follows(closing: number): boolean {
    if (this.peek() !== COMMA) {
      this.expect(closing);
      return false;
    }
    this.#at += 1;
    return true;
  }

  /** The value that follows, as it stands. */
  value(): Buffer {
    if (this.peek() === null) throw this.#incomplete();
    let end = endOfValue(this.#bytes, this.#at);
    while (end === -1) {
      if (!this.#more()) {
        // A number may end with the file.
        if (this.#bytes[this.#at] === QUOTE || this.#isContainer()) throw this.#incomplete();
        end = this.#bytes.length;
        break;
      }
      end = endOfValue(this.#bytes, this.#at);
    }
    if (end === this.#at) throw this.problem(`a value is missing before "${inert(this.start(), 8)}"`);
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return value;
  }

  name(): string {
    if (this.peek() !== QUOTE)
      throw this.peek() === null ? this.#incomplete() : this.problem('a name is missing');
    try {
      return JSON.parse(this.value().toString('utf8')) as string;
    } catch {
      throw this.problem('a name is no proper string');
    }
  }

  problem(reason: string): UserError {
    return new UserError(
      `${inert(this.file.path, 300)} is not JSON: ${reason} (after row ${this.rows}, near byte ${this.#before + this.#at}).`,
    );
  }

  #isContainer(): boolean {
    const byte = this.#bytes[this.#at];
    return byte === OPEN_BRACE || byte === OPEN_BRACKET;
  }

  #incomplete(): UserError {
    return new UserError(
      `${inert(this.file.path, 300)} is not complete JSON: it ends after row ${this.rows}, in the middle of a value.`,
    );
  }

  /** Reads on until at least twice as much is there as before: a long row is then gone through twice, not for each piece. */
  #more(): boolean {
    if (this.#ended) return false;
    const parts: Buffer[] = [Buffer.from(this.#bytes.subarray(this.#at))];
    this.#before += this.#at;
    this.#at = 0;
    const held = parts[0]?.length ?? 0;
    let length = held;
    while (length === held || length < 2 * held) {
      const next = this.#pieces.next();
      if (next.done === true) {
        this.#ended = true;
        break;
      }
      parts.push(Buffer.from(next.value));
      length += next.value.length;
    }
    this.#bytes = Buffer.concat(parts, length);
    return length > held;
  }
}

function noSplit(file: TextFile, split: string, lists: Map<string, number>): UserError {
  const known = [...lists]
    .filter(([, byte]) => byte === OPEN_BRACKET || byte === OPEN_BRACE)
    .slice(0, 20)
    .map(([name]) => inert(name, 40))
    .join(', ');
  const has = known === '' ? 'no array of rows' : known;
  return new UserError(
    `${inert(file.path, 300)} has no split "${inert(split, 40)}"; it has ${has}. Name one with --split.`,
  );
}

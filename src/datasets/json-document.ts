/**
 * The rows of a JSON document larger than memory: an array of rows, an object of splits (`{"train": [...]}`) or of columns
 * (`{"prompt": [...], "answer": [...]}`), or objects that follow each other. Only borders are found here; a row is parsed
 * once it is whole.
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
import { splitOfPath } from './splits.js';
import { MOST_ROW_BYTES, tooLong, utf8Pieces, type TextFile } from './text-file.js';

/** How a document holds its rows. */
export type Layout =
  | { kind: 'array' }
  | { kind: 'splits'; split: string }
  | { kind: 'columns'; names: string[] }
  | { kind: 'objects' };

/**
 * Finds out how a document holds its rows.
 * @param wanted the split that the user named
 * @throws UserError where it holds none, or not that split
 */
export function findLayout(file: TextFile, wanted: string | null): Layout {
  const text = new Window(file);
  const first = text.peek();
  const path = inert(file.shown, 300);
  if (first === null) throw new UserError(`${path} is empty.`);
  if (first === OPEN_BRACKET) {
    if (wanted !== null && wanted !== 'train') {
      throw new UserError(`${path} is an array without splits; leave --split ${inert(wanted, 40)} out.`);
    }
    return { kind: 'array' };
  }
  if (first !== OPEN_BRACE)
    throw new UserError(`${path} is not JSON: it begins with "${inert(text.start(), 4)}".`);
  const members = topLevelMembers(text);
  const isAlone = text.peek() === null;
  const split = wanted ?? 'train';
  if (members.get(split)?.isList === true) return { kind: 'splits', split };
  if (isAlone && isColumns(members)) {
    if (split === 'train') return { kind: 'columns', names: [...members.keys()] };
    throw new UserError(`${path} is a table without splits; leave --split ${inert(split, 40)} out.`);
  }
  const only = onlyList(members);
  if (isAlone && only !== null && wanted === null) return { kind: 'splits', split: only };
  const holdsRows = [...members.values()].some(({ first }) => first === OPEN_BRACE);
  const isEmpty = [...members.values()].every(({ isList, values }) => isList && values === 0);
  if (wanted === null && (!isAlone || !(holdsRows || isEmpty) || isRow(members))) return { kind: 'objects' };
  throw noSplit(file, split, members);
}

/** What an object holds under a name. */
interface Member {
  /** True for a list, also one that is written as an object of numbered values, as pandas does. */
  isList: boolean;
  /** The first byte of its first value; 0 where it has none. */
  first: number;
  /** Its values where it is a list. */
  values: number;
  /** True where the first value looks like a turn of a chat. */
  isChat: boolean;
}

const MOST_MEMBERS = 1000;
/** The first value of a list of turns. */
const TURN = /^\s*\{\s*"(?:role|from)"\s*:/;

/** What stands at the top of the object that follows. */
function topLevelMembers(text: Window): Map<string, Member> {
  const members = new Map<string, Member>();
  text.expect(OPEN_BRACE);
  if (text.peek() === CLOSE_BRACE) text.expect(CLOSE_BRACE);
  else {
    do {
      const name = text.name();
      text.expect(COLON);
      const member = readMember(text);
      if (members.size < MOST_MEMBERS) members.set(name, member);
    } while (text.follows(CLOSE_BRACE));
  }
  return members;
}

function readMember(text: Window): Member {
  const opening = text.peek();
  const member: Member = { isList: opening === OPEN_BRACKET, first: 0, values: 0, isChat: false };
  if (opening !== OPEN_BRACKET && opening !== OPEN_BRACE) {
    text.value();
    return member;
  }
  const before = text.rows;
  member.isList = true;
  for (const { name, value } of entries(text)) {
    if (member.values === 0) {
      member.first = value[0] ?? 0;
      member.isChat = TURN.test(value.toString('utf8', 0, 200));
    }
    if (name !== null && name !== String(member.values)) member.isList = false;
    member.values += 1;
  }
  if (opening === OPEN_BRACE && member.values === 0) member.isList = false;
  text.rows = before;
  return member;
}

/** True for a table of columns: lists of one length, none of which is a chat, as that of a single row would be. */
function isColumns(members: ReadonlyMap<string, Member>): boolean {
  const all = [...members.values()];
  const [first] = all;
  return (
    first !== undefined &&
    first.values > 0 &&
    all.length < MOST_MEMBERS &&
    all.every(({ isList, values, isChat }) => isList && values === first.values && !isChat) &&
    // One list of objects is a list of rows, and so are lists of objects that are called train, test and the like.
    (first.first !== OPEN_BRACE || (all.length > 1 && !areSplits(members)))
  );
}

function areSplits(members: ReadonlyMap<string, Member>): boolean {
  return [...members].every(([name, { first }]) => first === OPEN_BRACE && splitOfPath(name) !== null);
}

/** The name of the one list of objects among values that are none, such as `{"version": "1.1", "data": [...]}`. */
function onlyList(members: ReadonlyMap<string, Member>): string | null {
  const lists = [...members].filter(([, { isList, values }]) => isList && values > 0);
  const [only] = lists;
  return only !== undefined && lists.length === 1 && only[1].first === OPEN_BRACE && !only[1].isChat
    ? only[0]
    : null;
}

/** True for an object that is a row itself: it holds a chat. */
function isRow(members: ReadonlyMap<string, Member>): boolean {
  return [...members.values()].some(({ isChat }) => isChat);
}

/** The rows of a document as JSON text, each valid until the next is asked for. */
export function* documentRows(file: TextFile, layout: Layout): Generator<Buffer> {
  if (layout.kind === 'columns') {
    yield* columnRows(file, layout.names);
    return;
  }
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
    if (name === split) for (const { value } of entries(text)) yield value;
    else skipEntries(text);
  } while (text.follows(CLOSE_BRACE));
}

/** The rows of a table of columns: each column is read at its own place of the file. */
function* columnRows(file: TextFile, names: readonly string[]): Generator<Buffer> {
  const columns = names.map((name) => ({
    quoted: Buffer.from(`${JSON.stringify(name)}:`),
    cells: cellsOf(file, name),
  }));
  for (;;) {
    const parts: Buffer[] = [];
    for (const { quoted, cells } of columns) {
      const next = cells.next();
      if (next.done === true) return;
      parts.push(parts.length === 0 ? ROW_START : NEXT_CELL, quoted, Buffer.from(next.value));
    }
    yield Buffer.concat([...parts, ROW_END]);
  }
}

const ROW_START = Buffer.from('{');
const NEXT_CELL = Buffer.from(',');
const ROW_END = Buffer.from('}');

function* cellsOf(file: TextFile, column: string): Generator<Buffer> {
  const text = new Window(file);
  text.expect(OPEN_BRACE);
  do {
    const name = text.name();
    text.expect(COLON);
    if (name !== column) skipEntries(text);
    else {
      for (const { value } of entries(text)) yield value;
      return;
    }
  } while (text.follows(CLOSE_BRACE));
}

/** Passes over the value that follows, whatever its size. */
function skipEntries(text: Window): void {
  const opening = text.peek();
  if (opening !== OPEN_BRACE && opening !== OPEN_BRACKET) text.value();
  else {
    const before = text.rows;
    const skipped = entries(text);
    while (skipped.next().done !== true);
    text.rows = before;
  }
}

interface Entry {
  /** Null in an array. */
  name: string | null;
  value: Buffer;
}

/** The values of the array or object that follows. */
function* entries(text: Window): Generator<Entry> {
  if (text.peek() === OPEN_BRACKET) {
    for (const value of items(text)) yield { name: null, value };
    return;
  }
  text.expect(OPEN_BRACE);
  if (text.peek() === CLOSE_BRACE) {
    text.expect(CLOSE_BRACE);
    return;
  }
  do {
    const name = text.name();
    text.expect(COLON);
    yield { name, value: text.value() };
    text.rows += 1;
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
      `${inert(this.file.shown, 300)} is not JSON: ${reason} (after row ${this.rows}, near byte ${this.#before + this.#at}).`,
    );
  }

  #isContainer(): boolean {
    const byte = this.#bytes[this.#at];
    return byte === OPEN_BRACE || byte === OPEN_BRACKET;
  }

  #incomplete(): UserError {
    return new UserError(
      `${inert(this.file.shown, 300)} is not complete JSON: it ends after row ${this.rows}, in the middle of a value.`,
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
    if (length > MOST_ROW_BYTES) throw tooLong(this.file, `the value after row ${this.rows}`);
    this.#bytes = Buffer.concat(parts, length);
    return length > held;
  }
}

function noSplit(file: TextFile, split: string, members: ReadonlyMap<string, Member>): UserError {
  const known = [...members]
    .filter(([, { isList, first }]) => isList || first !== 0)
    .slice(0, 20)
    .map(([name]) => inert(name, 40))
    .join(', ');
  const has = known === '' ? 'no array of rows' : known;
  return new UserError(
    `${inert(file.shown, 300)} has no split "${inert(split, 40)}"; it has ${has}. Name one with --split.`,
  );
}

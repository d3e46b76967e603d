/**
 * The rows of a JSON document larger than memory: an array of rows, an object of splits (`{"train": [...]}`) or of columns
 * (`{"prompt": [...], "answer": [...]}`), or objects that follow each other. Only borders are found here; a row is parsed
 * once it is whole.
 */

import { UserError } from '../lib/errors.js';
import { cooperativePause } from '../lib/files.js';
import { sanitize } from '../lib/text.js';
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
  ValueScanner,
} from '../lib/json-scan.js';
import { EXCERPT_BYTES, LONGEST_ROW_BYTES, type RawRow } from './row-limits.js';
import { splitOfPath } from './splits.js';
import { utf8Pieces, type TextFile } from './text-file.js';

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
export async function findLayout(
  file: TextFile,
  wanted: string | null,
  signal?: AbortSignal,
): Promise<Layout> {
  const text = new Window(file, signal);
  try {
    return await layoutOf(text, file, wanted);
  } finally {
    text.close();
  }
}

async function layoutOf(text: Window, file: TextFile, wanted: string | null): Promise<Layout> {
  const first = await text.peek();
  const path = sanitize(file.shown, 300);
  if (first === null) throw new UserError(`${path} is empty.`);
  if (first === OPEN_BRACKET) {
    if (wanted !== null && wanted !== 'train') {
      throw new UserError(`${path} is an array without splits; remove --split ${sanitize(wanted, 40)}.`);
    }
    return { kind: 'array' };
  }
  if (first !== OPEN_BRACE)
    throw new UserError(`${path} is not JSON: it begins with "${sanitize(text.start(), 4)}".`);
  const members = await topLevelMembers(text);
  const isAlone = (await text.peek()) === null;
  const split = wanted ?? 'train';
  if (members.get(split)?.isList === true) return { kind: 'splits', split };
  if (isAlone && isColumns(members)) {
    if (split === 'train') return { kind: 'columns', names: [...members.keys()] };
    throw new UserError(`${path} is a table without splits; remove --split ${sanitize(split, 40)}.`);
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

/** What is at the top of the object that follows. */
async function topLevelMembers(text: Window): Promise<Map<string, Member>> {
  const members = new Map<string, Member>();
  await text.expect(OPEN_BRACE);
  if ((await text.peek()) === CLOSE_BRACE) await text.expect(CLOSE_BRACE);
  else {
    do {
      const name = await text.name();
      await text.expect(COLON);
      const member = await readMember(text);
      if (members.size < MOST_MEMBERS) members.set(name, member);
    } while (await text.follows(CLOSE_BRACE));
  }
  return members;
}

async function readMember(text: Window): Promise<Member> {
  const opening = await text.peek();
  const member: Member = { isList: opening === OPEN_BRACKET, first: 0, values: 0, isChat: false };
  if (opening !== OPEN_BRACKET && opening !== OPEN_BRACE) {
    await text.skip();
    return member;
  }
  const before = text.rows;
  member.isList = true;
  for await (const { name, value } of entries(text)) {
    if (member.values === 0) {
      member.first = value.bytes[0] ?? 0;
      member.isChat = TURN.test(value.bytes.toString('utf8', 0, 200));
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

/** The rows of a document as JSON text, each valid until the next is requested. */
export async function* documentRows(
  file: TextFile,
  layout: Layout,
  signal?: AbortSignal,
): AsyncGenerator<RawRow> {
  if (layout.kind === 'columns') {
    yield* columnRows(file, layout.names, signal);
    return;
  }
  const text = new Window(file, signal);
  try {
    if (layout.kind === 'array') yield* items(text);
    else if (layout.kind === 'splits') yield* splitItems(text, layout.split);
    else yield* objects(text);
    if ((await text.peek()) !== null) throw text.problem('there is text after its end');
  } finally {
    text.close();
  }
}

/** Objects that follow each other; some writers put a comma between them. */
async function* objects(text: Window): AsyncGenerator<RawRow> {
  while ((await text.peek()) !== null) {
    yield await text.value();
    text.rows += 1;
    if ((await text.peek()) === COMMA) await text.expect(COMMA);
  }
}

async function* splitItems(text: Window, split: string): AsyncGenerator<RawRow> {
  await text.expect(OPEN_BRACE);
  do {
    const name = await text.name();
    await text.expect(COLON);
    if (name === split) for await (const { value } of entries(text)) yield value;
    else await text.skip();
  } while (await text.follows(CLOSE_BRACE));
}

/** The rows of a table of columns: each column is read at its own place of the file. */
async function* columnRows(
  file: TextFile,
  names: readonly string[],
  signal: AbortSignal | undefined,
): AsyncGenerator<RawRow> {
  const columns = names.map((name) => ({
    quoted: Buffer.from(`${JSON.stringify(name)}:`),
    cells: cellsOf(file, name, signal),
  }));
  try {
    for (;;) {
      const parts: Buffer[] = [];
      let isCut = false;
      let length = 0;
      for (const { quoted, cells } of columns) {
        const next = await cells.next();
        if (next.done === true) return;
        const { bytes } = next.value;
        length += bytes.length;
        isCut ||= next.value.isCut || length > LONGEST_ROW_BYTES;
        // Of a row that is too long no more is kept.
        const kept = isCut ? bytes.subarray(0, EXCERPT_BYTES) : bytes;
        parts.push(parts.length === 0 ? ROW_START : NEXT_CELL, quoted, Buffer.from(kept));
      }
      yield { bytes: Buffer.concat([...parts, ROW_END]), isCut };
    }
  } finally {
    for (const { cells } of columns) await cells.return(undefined);
  }
}

const ROW_START = Buffer.from('{');
const NEXT_CELL = Buffer.from(',');
const ROW_END = Buffer.from('}');

async function* cellsOf(
  file: TextFile,
  column: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<RawRow> {
  const text = new Window(file, signal);
  try {
    await text.expect(OPEN_BRACE);
    do {
      const name = await text.name();
      await text.expect(COLON);
      if (name !== column) await text.skip();
      else {
        for await (const { value } of entries(text)) yield value;
        return;
      }
    } while (await text.follows(CLOSE_BRACE));
  } finally {
    text.close();
  }
}

interface Entry {
  /** Null in an array. */
  name: string | null;
  value: RawRow;
}

/** The values of the array or object that follows. */
async function* entries(text: Window): AsyncGenerator<Entry> {
  if ((await text.peek()) === OPEN_BRACKET) {
    for await (const value of items(text)) yield { name: null, value };
    return;
  }
  await text.expect(OPEN_BRACE);
  if ((await text.peek()) === CLOSE_BRACE) {
    await text.expect(CLOSE_BRACE);
    return;
  }
  do {
    const name = await text.name();
    await text.expect(COLON);
    yield { name, value: await text.value() };
    text.rows += 1;
  } while (await text.follows(CLOSE_BRACE));
}

/** The items of the array that follows. */
async function* items(text: Window): AsyncGenerator<RawRow> {
  await text.expect(OPEN_BRACKET);
  if ((await text.peek()) === CLOSE_BRACKET) {
    await text.expect(CLOSE_BRACKET);
    return;
  }
  do {
    yield await text.value();
    text.rows += 1;
  } while (await text.follows(CLOSE_BRACKET));
}

/** What was read of a document and is not done with. The file is open until `close`. */
class Window {
  readonly #pieces: Generator<Buffer>;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Bytes of text before `#bytes`. */
  #before = 0;
  #ended = false;
  readonly #pause = cooperativePause();
  /** Rows that were passed, for messages. */
  rows = 0;

  constructor(
    private readonly file: TextFile,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.#pieces = utf8Pieces(file);
  }

  close(): void {
    this.#pieces.return(undefined);
  }

  /** The next byte that is not white space, without consuming it; null at the end. */
  async peek(): Promise<number | null> {
    do {
      this.#at = skipSpace(this.#bytes, this.#at);
      const byte = this.#bytes[this.#at];
      if (byte !== undefined) return byte;
    } while (await this.#more());
    return null;
  }

  /** A few characters from here on, for a message. */
  start(): string {
    return this.#bytes.toString('utf8', this.#at, this.#at + 8);
  }

  async expect(byte: number): Promise<void> {
    const found = await this.peek();
    if (found === null) throw this.#incomplete();
    if (found !== byte)
      throw this.problem(`"${String.fromCharCode(byte)}" is missing before "${sanitize(this.start(), 8)}"`);
    this.#at += 1;
  }

  /** True after a comma, false after the byte that closes; anything else is an error. */
  async follows(closing: number): Promise<boolean> {
    if ((await this.peek()) !== COMMA) {
      await this.expect(closing);
      return false;
    }
    this.#at += 1;
    return true;
  }

  /** The value that follows, as it is written; of one that is too long for a row its beginning. */
  async value(): Promise<RawRow> {
    if ((await this.peek()) === null) throw this.#incomplete();
    let end = endOfValue(this.#bytes, this.#at);
    while (end === -1) {
      if (this.#bytes.length - this.#at > LONGEST_ROW_BYTES) {
        const bytes = Buffer.from(this.#bytes.subarray(this.#at, this.#at + EXCERPT_BYTES));
        await this.skip();
        return { bytes, isCut: true };
      }
      if (!(await this.#more())) {
        // A number may end with the file.
        if (this.#bytes[this.#at] === QUOTE || this.#isContainer()) throw this.#incomplete();
        end = this.#bytes.length;
        break;
      }
      end = endOfValue(this.#bytes, this.#at);
    }
    if (end === this.#at) throw this.problem(`a value is missing before "${sanitize(this.start(), 8)}"`);
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    const isCut = value.length > LONGEST_ROW_BYTES;
    return { bytes: isCut ? value.subarray(0, EXCERPT_BYTES) : value, isCut };
  }

  /** Passes over the value that follows, which is not kept. */
  async skip(): Promise<void> {
    if ((await this.peek()) === null) throw this.#incomplete();
    const scanner = new ValueScanner();
    const isWord = this.#bytes[this.#at] !== QUOTE && !this.#isContainer();
    for (let end = -1; end === -1;) {
      end = scanner.endIn(this.#bytes, this.#at);
      this.#at = end === -1 ? this.#bytes.length : end;
      if (end === -1 && !(await this.#more())) {
        if (isWord) return;
        throw this.#incomplete();
      }
    }
  }

  async name(): Promise<string> {
    if ((await this.peek()) !== QUOTE)
      throw (await this.peek()) === null ? this.#incomplete() : this.problem('a name is missing');
    const { bytes, isCut } = await this.value();
    if (isCut) throw this.problem('a name is longer than any');
    try {
      return JSON.parse(bytes.toString('utf8')) as string;
    } catch {
      throw this.problem('a name is not a valid string');
    }
  }

  problem(reason: string): UserError {
    return new UserError(
      `${sanitize(this.file.shown, 300)} is not JSON: ${reason} (after row ${this.rows}, near byte ${this.#before + this.#at}).`,
    );
  }

  #isContainer(): boolean {
    const byte = this.#bytes[this.#at];
    return byte === OPEN_BRACE || byte === OPEN_BRACKET;
  }

  #incomplete(): UserError {
    return new UserError(
      `${sanitize(this.file.shown, 300)} is not complete JSON: it ends after row ${this.rows}, in the middle of a value.`,
    );
  }

  /** Reads on until at least twice as much is there as before: a long row is then gone through twice, not for each piece. */
  async #more(): Promise<boolean> {
    this.signal?.throwIfAborted();
    await this.#pause();
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

function noSplit(file: TextFile, split: string, members: ReadonlyMap<string, Member>): UserError {
  const known = [...members]
    .filter(([, { isList, first }]) => isList || first !== 0)
    .slice(0, 20)
    .map(([name]) => sanitize(name, 40))
    .join(', ');
  const has = known === '' ? 'no array of rows' : known;
  return new UserError(
    `${sanitize(file.shown, 300)} has no split "${sanitize(split, 40)}"; it has ${has}. Choose one with --split.`,
  );
}

/** Calls of functions in Python's syntax with literal arguments, as ToolACE and BFCL write them. */

import { setOwn } from '../lib/json.js';

/** A call and its arguments by name. */
export interface PythonCall {
  name: string;
  values: Record<string, unknown>;
}

const LONGEST_TEXT = 100_000;
const DEEPEST = 30;

/** `[f(a="x", b=1), g()]`; null for any other text. */
export function readPythonCalls(text: string): PythonCall[] | null {
  if (!text.startsWith('[') || !text.endsWith(']') || text.length > LONGEST_TEXT) return null;
  const reader = new Reader(text.slice(1, -1));
  try {
    const calls: PythonCall[] = [];
    do calls.push(reader.call());
    while (reader.takes(','));
    return reader.isAtEnd() ? calls : null;
  } catch (error) {
    if (error instanceof NoCall) return null;
    throw error;
  }
}

/** A list or a dictionary as Python writes it, such as `['a', "b", 3]`; undefined for any other text. */
export function readPythonValue(text: string): unknown {
  const trimmed = text.trim();
  if (!/^(?:\[[\s\S]*\]|\{[\s\S]*\})$/.test(trimmed) || trimmed.length > LONGEST_TEXT) return undefined;
  const reader = new Reader(trimmed);
  try {
    const value = reader.value();
    return reader.isAtEnd() ? value : undefined;
  } catch (error) {
    if (error instanceof NoCall) return undefined;
    throw error;
  }
}

class NoCall extends Error {}

const WORDS: Readonly<Record<string, unknown>> = {
  ...{ True: true, False: false, None: null, true: true, false: false, null: null },
};
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  call(): PythonCall {
    const open = this.text.indexOf('(', this.#at);
    const name = open === -1 ? '' : this.text.slice(this.#at, open).trim();
    // Names of ToolACE hold spaces, slashes and dots.
    if (!/^[\p{L}_][^()[\]{}"'=,]{0,200}$/u.test(name)) throw new NoCall();
    this.#at = open + 1;
    const values: Record<string, unknown> = {};
    if (this.takes(')')) return { name, values };
    do {
      const key = this.#match(/\s*([\p{L}_][\p{L}\p{N}_.-]*)\s*=\s*/uy);
      setOwn(values, key, this.#value(0));
    } while (this.takes(','));
    if (!this.takes(')')) throw new NoCall();
    return { name, values };
  }

  value(): unknown {
    return this.#value(0);
  }

  /** Passes over a character, after blanks; false where another one is there. */
  takes(character: string): boolean {
    this.#skipBlanks();
    if (this.text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  isAtEnd(): boolean {
    this.#skipBlanks();
    return this.#at === this.text.length;
  }

  #value(depth: number): unknown {
    if (depth > DEEPEST) throw new NoCall();
    this.#skipBlanks();
    const first = this.text[this.#at] ?? '';
    if (first === '"' || first === "'") return this.#string(first);
    if (this.takes('[')) return this.#list(']', depth);
    if (this.takes('(')) return this.#list(')', depth);
    if (this.takes('{')) return this.#dictionary(depth);
    const word = this.#match(/([-+\w.]+)/y);
    if (Object.hasOwn(WORDS, word)) return WORDS[word];
    const number = Number(word);
    if (Number.isNaN(number)) throw new NoCall();
    return number;
  }

  #list(closing: string, depth: number): unknown[] {
    const values: unknown[] = [];
    while (!this.takes(closing)) {
      values.push(this.#value(depth + 1));
      if (this.takes(',')) continue;
      if (!this.takes(closing)) throw new NoCall();
      break;
    }
    return values;
  }

  #dictionary(depth: number): Record<string, unknown> {
    const values: Record<string, unknown> = {};
    while (!this.takes('}')) {
      const key = this.#value(depth + 1);
      if (!this.takes(':')) throw new NoCall();
      setOwn(values, String(key), this.#value(depth + 1));
      if (this.takes(',')) continue;
      if (!this.takes('}')) throw new NoCall();
      break;
    }
    return values;
  }

  #string(quote: string): string {
    let value = '';
    for (let at = this.#at + 1; at < this.text.length; at++) {
      const character = this.text[at] ?? '';
      if (character === quote) {
        this.#at = at + 1;
        return value;
      }
      if (character === '\\') {
        at += 1;
        const escaped = this.text[at] ?? '';
        value += ESCAPES[escaped] ?? escaped;
      } else value += character;
    }
    throw new NoCall();
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const [whole, found] = pattern.exec(this.text) ?? [];
    if (whole === undefined || found === undefined) throw new NoCall();
    this.#at += whole.length;
    return found;
  }

  #skipBlanks(): void {
    while (/\s/.test(this.text[this.#at] ?? '')) this.#at += 1;
  }
}

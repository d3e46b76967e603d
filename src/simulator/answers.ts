/** What the simulated model says: a replayed answer where the file has one, else one made up from the prompt. */

import { createHash } from 'node:crypto';
import { closeSync, readSync } from 'node:fs';
import { fileProblem, openInput, readLines } from '../lib/files.js';
import { UserError, messageOf } from '../lib/errors.js';
import { alpacaPrompt } from '../formats/alpaca.js';
import { isObject } from '../lib/json.js';

/** A hash of 32 hexadecimal digits. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

interface Place {
  offset: number;
  length: number;
}

/**
 * The answers of a JSONL file of `{"instruction", "input"?, "output"}`, found by the hash of their prompt.
 * Only the places of the lines are in memory.
 */
export class ReplayedAnswers {
  readonly #places = new Map<string, Place>();
  readonly #descriptor: number;

  /** @throws UserError where the file can't be read or a line is no such pair */
  constructor(readonly path: string) {
    try {
      this.#descriptor = openInput(path);
    } catch (error) {
      throw fileProblem(error, `read the answers ${path}`);
    }
    let number = 0;
    for (const { bytes, offset } of readLines(path)) {
      number++;
      const line = bytes.toString('utf8');
      if (line.trim() !== '')
        this.#index(parsePair(line, `${path}, line ${number}`), { offset, length: bytes.length });
    }
  }

  /** The answer to a request whose last user message is this; null where the file has none. */
  find(prompt: string): string | null {
    const place = this.#places.get(hashOf(prompt));
    if (place === undefined) return null;
    const bytes = Buffer.allocUnsafe(place.length);
    readSync(this.#descriptor, bytes, 0, place.length, place.offset);
    return parsePair(bytes.toString('utf8'), this.path).output;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** A request asks for a pair with the Alpaca template around it, or with the bare instruction. */
  #index(pair: Pair, place: Place): void {
    for (const prompt of [alpacaPrompt(pair.instruction, pair.input), pair.instruction]) {
      const key = hashOf(prompt);
      if (!this.#places.has(key)) this.#places.set(key, place);
    }
  }
}

interface Pair {
  instruction: string;
  input: string;
  output: string;
}

function parsePair(line: string, where: string): Pair {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new UserError(`${where}: no JSON (${messageOf(error)}).`);
  }
  const { instruction, input, output } = isObject(value) ? value : {};
  if (typeof instruction !== 'string' || typeof output !== 'string') {
    throw new UserError(`${where}: an answer needs "instruction" and "output", both texts.`);
  }
  return { instruction, input: typeof input === 'string' ? input : '', output };
}

const SENTENCES = [
  'You asked about this, and here is the short version.',
  'There are a few ways to look at it; this is the plainest one.',
  'In brief: yes, with two reservations that rarely matter.',
  'The usual approach works well here. Start small, check the result, and go on from there.',
  'Consider the simplest case first, then the general one follows from it.',
  'It depends on the context, but in most cases the first option is the better choice.',
] as const;

/**
 * An answer that depends on nothing but the model and the messages.
 * @param identity hash of the model and the messages
 * @param variant which of the `n` choices
 */
export function madeUpAnswer(identity: string, prompt: string, variant: number): string {
  const bits = Number.parseInt(identity.slice(0, 8), 16);
  const parts = [`Answer ${identity.slice(0, 8)}: you asked “${excerpt(prompt)}”.`];
  const sentences = 1 + (bits % 4);
  for (let index = 0; index < sentences; index++) {
    parts.push(SENTENCES[(bits + variant + index) % SENTENCES.length] ?? SENTENCES[0]);
  }
  if (variant > 0) parts.push(`(Choice ${variant + 1}.)`);
  const text = parts.join(' ');
  return bits % 5 === 0 ? `${text}\n\n\`\`\`python\nprint("${identity.slice(0, 12)}")\n\`\`\`` : text;
}

/** The first words of what is asked, without the template around it. */
function excerpt(prompt: string): string {
  const marker = '### Instruction:\n';
  const start = prompt.indexOf(marker);
  const question = start === -1 ? prompt : prompt.slice(start + marker.length);
  const firstLine = (question.split('\n', 1)[0] ?? '').trim();
  return firstLine.length > 80 ? `${cutText(firstLine, 79)}…` : firstLine;
}

/** The first characters of a text, never half a surrogate pair. */
export function cutText(text: string, length: number): string {
  const cut = text.slice(0, length);
  return /[\uD800-\uDBFF]$/.test(cut) ? cut.slice(0, -1) : cut;
}

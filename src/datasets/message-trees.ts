/**
 * OpenAssistant's trees of messages, as rows of chats: each path's last prompt is a row, with the turns before it and
 * its best-ranked reply.
 * @see https://github.com/LAION-AI/Open-Assistant/blob/main/oasst-data/README.md
 */

import { scalarText } from '../formats/cells.js';
import { isObject } from '../lib/json.js';
import { count, sanitize } from '../lib/text.js';
import type { SourceRow } from '../types.js';
import { LONGEST_ROW_BYTES } from './row-limits.js';

/** Turns of one path, and of all rows that one tree becomes; people wrote at most a few dozen, and a few thousand. */
const LONGEST_PATH = 1000;
const MOST_TURNS = 200_000;
const PROMPTER = 'prompter';

/** A message and its place in the tree. */
interface Node {
  message: Readonly<Record<string, unknown>>;
  parent: Node | null;
  depth: number;
  replies: Node[];
}

/** A prompt that ends a path, ready to be a row. */
export interface ThreadEnd {
  /** The prompt's own message. */
  message: Readonly<Record<string, unknown>>;
  /** The turns up to the prompt, and its best reply where it has one. */
  messages: { role: unknown; content: unknown }[];
}

/** The rows of a tree with nested `replies`; sentences for what cannot be one. */
export function* threadsOfTree(root: unknown): Generator<ThreadEnd | string> {
  if (!isObject(root)) {
    yield '"prompt" is not a message';
    return;
  }
  const start: Node = { message: root, parent: null, depth: 1, replies: [] };
  const open = [start];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const replies = node.message['replies'];
    if (!Array.isArray(replies)) continue;
    for (const reply of replies as unknown[]) {
      if (!isObject(reply)) {
        yield 'a reply is not a message';
        continue;
      }
      const child = { message: reply, parent: node, depth: node.depth + 1, replies: [] };
      node.replies.push(child);
      open.push(child);
    }
  }
  yield* threadsOf([start]);
}

/** The messages of one tree from a table with one message per row, read in order. */
export class TreeOfRows {
  readonly #nodes = new Map<unknown, Node>();
  readonly #roots: Node[] = [];
  readonly #problems: string[] = [];
  #characters = 0;

  constructor(readonly id: unknown) {}

  /** @param row for messages */
  add(message: Readonly<Record<string, unknown>>, row: number): void {
    this.#characters += typeof message['text'] === 'string' ? message['text'].length + 100 : 100;
    if (this.#characters > LONGEST_ROW_BYTES) return;
    const parent = isRoot(message) ? null : this.#nodes.get(message['parent_id']);
    if (parent === undefined) {
      this.#problems.push(`row ${row} replies to a message that is not among those of its tree before it`);
      return;
    }
    const node: Node = { message, parent, depth: (parent?.depth ?? 0) + 1, replies: [] };
    this.#nodes.set(message['message_id'], node);
    if (parent === null) this.#roots.push(node);
    else parent.replies.push(node);
  }

  /** What was read, as rows; sentences for what cannot be one. */
  *threads(): Generator<ThreadEnd | string> {
    if (this.#characters > LONGEST_ROW_BYTES)
      yield `the tree ${sanitize(String(this.id), 60)} is larger than ${LONGEST_ROW_BYTES >> 20} MB`;
    else {
      yield* threadsOf(this.#roots);
      yield* this.#problems;
    }
  }
}

/** True for the first message of a tree; a table of text has an empty cell there. */
export function isRoot(message: Readonly<Record<string, unknown>>): boolean {
  return (message['parent_id'] ?? '') === '';
}

/** The last prompts of all paths, depth first. */
function* threadsOf(roots: readonly Node[]): Generator<ThreadEnd | string> {
  let turns = 0;
  const open = roots.toReversed();
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (isDeleted(node)) continue;
    if (node.depth > LONGEST_PATH) {
      yield `a path of its tree has more than ${count(LONGEST_PATH)} turns`;
      continue;
    }
    if (isPrompt(node) && endsPath(node)) {
      turns += node.depth;
      if (turns > MOST_TURNS) {
        yield `its tree would become more than ${count(MOST_TURNS)} turns`;
        return;
      }
      yield threadTo(node);
    }
    open.push(...node.replies.toReversed());
  }
}

function isPrompt({ message }: Node): boolean {
  return message['role'] === PROMPTER;
}

function isDeleted({ message }: Node): boolean {
  return /^true$/i.test(scalarText(message['deleted']) ?? '');
}

/** True where a path has no further prompt after this one. */
function endsPath(prompt: Node): boolean {
  const open = [prompt];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const kept = node.replies.filter((reply) => !isDeleted(reply));
    if (kept.length === 0) return true;
    open.push(...kept.filter((reply) => !isPrompt(reply)));
  }
  return false;
}

function threadTo(prompt: Node): ThreadEnd {
  const path: Node[] = [];
  for (let node: Node | null = prompt; node !== null; node = node.parent) path.unshift(node);
  const [best] = prompt.replies
    .filter((reply) => !isPrompt(reply) && !isDeleted(reply))
    .toSorted((a, b) => rankOf(a) - rankOf(b));
  return {
    message: prompt.message,
    messages: [...path, ...(best === undefined ? [] : [best])].map(({ message }) => ({
      role: message['role'],
      content: message['text'],
    })),
  };
}

/** 0 is the reply that people liked best; some were never ranked. */
function rankOf({ message }: Node): number {
  const text = scalarText(message['rank']) ?? '';
  const rank = text === '' ? NaN : Number(text);
  return Number.isNaN(rank) ? Infinity : rank;
}

/** A row of a thread, or of what cannot be one. */
export function threadRow(
  index: number,
  thread: ThreadEnd | string,
  others: Readonly<Record<string, unknown>>,
): SourceRow {
  if (typeof thread === 'string') return { index, problem: `row ${index}: ${thread}` };
  return { index, value: { ...others, messages: thread.messages } };
}

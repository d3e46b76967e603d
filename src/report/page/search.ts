/**
 * Search by a regular expression. It is the reader's own and may take exponential time, so it runs in a worker that is
 * ended when it takes too long.
 */

import type { ShownRow } from '../data.js';

const TIMEOUT_MS = 1000;

/** What runs in the worker. A page that allows no other script's source allows this one as a blob. */
const SOURCE = `
let texts = [];
onmessage = ({ data }) => {
  if (data.texts !== undefined) {
    texts = data.texts;
    return;
  }
  try {
    let pattern;
    try {
      pattern = new RegExp(data.pattern, 'imu');
    } catch {
      pattern = new RegExp(data.pattern, 'im');
    }
    const rows = texts.filter(([, parts]) => parts.some((part) => pattern.test(part))).map(([row]) => row);
    postMessage({ id: data.id, rows });
  } catch (error) {
    postMessage({ id: data.id, problem: error.message });
  }
};`;

export type Found = { rows: ReadonlySet<number> } | { problem: string };

interface Reply {
  id: number;
  rows?: number[];
  problem?: string;
}

export class PatternSearch {
  #worker: Worker | null = null;
  #last = 0;

  constructor(private rows: readonly ShownRow[]) {}

  /** The rows that are searched from now on. */
  update(rows: readonly ShownRow[]): void {
    this.rows = rows;
    this.#end();
  }

  /** Searches; an earlier search that still runs is given up. */
  find(pattern: string, onFound: (found: Found) => void): void {
    const id = ++this.#last;
    const worker = this.#start();
    const timer = setTimeout(() => {
      if (id !== this.#last) return;
      this.#end();
      onFound({ problem: 'This expression takes too long on these rows. Make it simpler.' });
    }, TIMEOUT_MS);
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (data.id !== this.#last) return;
      clearTimeout(timer);
      onFound(data.rows === undefined ? { problem: data.problem ?? '' } : { rows: new Set(data.rows) });
    };
    worker.postMessage({ id, pattern });
  }

  #start(): Worker {
    // One that is still busy with an earlier expression may be so for years.
    this.#end();
    const address = URL.createObjectURL(new Blob([SOURCE], { type: 'text/javascript' }));
    const worker = new Worker(address);
    URL.revokeObjectURL(address);
    worker.postMessage({ texts: this.rows.map((row) => [row.row, textsOf(row)]) });
    this.#worker = worker;
    return worker;
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = null;
  }
}

/** What of a row is searched. */
export function textsOf(row: ShownRow): string[] {
  const { prompt, old, new: answer, reasoning, error, system, newCalls } = row;
  return [prompt, old, answer, reasoning, error, system, newCalls, String(row.row)]
    .concat(row.turns.map(({ text }) => text))
    .concat((row.runs ?? []).flatMap((run) => (run === null ? [] : [run.new, run.error])))
    .filter((text) => text !== null);
}

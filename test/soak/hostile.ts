/** What the classes of hostile cases have in common: how they are judged, and text that is written as it is sent. */

import type { ServerResponse } from 'node:http';
import { pour, type HostileRun } from '../support/hostile-run.js';
import { spread, Tally } from './tally.js';

const MOST_MEGABYTES = 400;
/** As long as Ctrl-C may go unheard. */
const LONGEST_STILL_MS = 1000;
/** From the second Ctrl-C to the end by the clock, in which the program may have to wait for a processor and a disk. */
const LONGEST_STOP_MS = 3000;
export const MEGABYTE = 1 << 20;

export type Cases = Record<string, () => Promise<HostileRun>>;

/**
 * Plays cases one after the other, since time and memory are measured.
 * @param sample what `npm test` tries of them; nothing where unit tests hold the same for less
 */
export async function playHostile(what: string, cases: Cases, sample: readonly string[]): Promise<void> {
  const tally = new Tally(what);
  const names = process.env['SOAK'] === undefined ? sample : spread(Object.keys(cases), 1);
  let megabytes = 0;
  let still = 0;
  await tally.play(
    names,
    (name) => name,
    async (name) => {
      const run = await cases[name]?.();
      if (run === undefined) throw new Error('there is no such case');
      megabytes = Math.max(megabytes, run.megabytes, run.childMegabytes);
      still = Math.max(still, run.stillMs);
      return { problem: problemOf(run) };
    },
    1,
  );
  process.stdout.write(
    `${what}: at most ${Math.round(megabytes)} MB, and ${Math.round(still)} ms without a turn\n`,
  );
  if (names.length > 0) tally.expectAll();
}

function problemOf(run: HostileRun): string | null {
  const { code, stderr, megabytes, childMegabytes, stillMs, stoppedIn } = run;
  const problems = [
    ![0, 1, 3, 75, 130].includes(code ?? -1) && `code ${code}: ${stderr.slice(-300)}`,
    /\n\s+at |unexpected problem|sk-test-key/.test(stderr) && `says ${stderr.slice(-300)}`,
    megabytes > MOST_MEGABYTES && `takes ${Math.round(megabytes)} MB`,
    childMegabytes > MOST_MEGABYTES && `its decoder takes ${Math.round(childMegabytes)} MB`,
    stillMs > LONGEST_STILL_MS && `hears nothing for ${Math.round(stillMs)} ms`,
    stoppedIn !== null && stoppedIn > LONGEST_STOP_MS && `ends ${Math.round(stoppedIn)} ms after Ctrl-C`,
  ].filter((problem) => problem !== false);
  return problems.length === 0 ? null : problems.join('; ');
}

/** How a server answers. */
export type Answer = (response: ServerResponse) => void;

/** An answer in pieces, until the other side stops reading. */
export function poured(
  headers: Record<string, string>,
  pieces: () => Iterator<string>,
  status = 200,
): Answer {
  return (response) => {
    response.writeHead(status, headers);
    pour(response, pieces());
  };
}

/** An answer that never ends: a few bytes at a fixed interval. */
export function dripping(
  everyMs: number,
  start: (response: ServerResponse) => void,
  drop: (response: ServerResponse) => void,
): Answer {
  return (response) => {
    start(response);
    const timer = setInterval(() => {
      drop(response);
    }, everyMs);
    response.socket?.on('close', () => {
      clearInterval(timer);
    });
  };
}

/** A text many times between two others, a piece at a time. */
export function* repeated(text: string, bytes: number, before = '', after = ''): Generator<string> {
  yield before;
  const length = Buffer.byteLength(text);
  const times = Math.max(0, Math.floor((bytes - Buffer.byteLength(before + after)) / length));
  const at = Math.ceil(65_536 / length);
  const piece = text.repeat(at);
  for (let done = 0; done + at <= times; done += at) yield piece;
  yield text.repeat(times % at);
  yield after;
}

export function* endless(text: string, before = ''): Generator<string> {
  yield before;
  const piece = text.repeat(Math.ceil(16_384 / text.length));
  for (;;) yield piece;
}

/** What is before and after the place that `@@` marks in JSON; with its quotes, or without them. */
export function around(value: unknown, mark = '@@'): [string, string] {
  const [before = '', after = ''] = JSON.stringify(value).split(mark);
  return [before, after];
}

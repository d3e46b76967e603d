/**
 * What an error repeats of the request that it refuses. A row is anybody's text: one that reads "Incorrect API key
 * provided" must not end the run because a server quotes it.
 */

import { isObject } from '../lib/json.js';

/** Characters in common that are no coincidence. */
const SHORTEST_ECHO = 20;
/** Every echo of that length holds at least one whole block of the prompt. */
const BLOCK = SHORTEST_ECHO / 2;
/** Bounds the work on texts that repeat themselves. */
const MOST_PLACES = 32;
const DEEPEST = 6;

/** The texts of a request's messages; empty where the request is not known. */
export function promptOf(request: Readonly<Record<string, unknown>> | null): string {
  const texts: string[] = [];
  const collect = (value: unknown, depth: number): void => {
    if (typeof value === 'string') texts.push(value);
    else if (depth < DEEPEST && Array.isArray(value)) for (const one of value) collect(one, depth + 1);
    else if (depth < DEEPEST && isObject(value))
      for (const one of Object.values(value)) collect(one, depth + 1);
  };
  collect(request?.['messages'], 0);
  return texts.join('\n');
}

/**
 * A text without what it repeats of the prompt, which becomes `…`. Takes time in proportion to the prompt's length.
 * @param text of bounded length
 */
export function withoutEcho(text: string, prompt: string): string {
  if (text.length < SHORTEST_ECHO || prompt.length < SHORTEST_ECHO) return text;
  const places = placesOfBlocks(text);
  const isEcho = new Uint8Array(text.length);
  for (let at = 0; at + BLOCK <= prompt.length; at += BLOCK) {
    const found = places.get(prompt.slice(at, at + BLOCK));
    if (found === undefined || found.visits++ > MOST_PLACES) continue;
    for (const place of found.at) {
      const start = place - inCommon(text, place - 1, prompt, at - 1, -1);
      const end = place + inCommon(text, place, prompt, at, 1);
      if (end - start >= SHORTEST_ECHO) isEcho.fill(1, start, end);
    }
  }
  return isEcho.includes(1) ? withoutMarked(text, isEcho) : text;
}

function placesOfBlocks(text: string): Map<string, { at: number[]; visits: number }> {
  const places = new Map<string, { at: number[]; visits: number }>();
  for (let at = 0; at + BLOCK <= text.length; at++) {
    const block = text.slice(at, at + BLOCK);
    const found = places.get(block);
    if (found === undefined) places.set(block, { at: [at], visits: 0 });
    else if (found.at.length < MOST_PLACES) found.at.push(at);
  }
  return places;
}

/** How many characters two texts have in common from a place of each, going forwards or backwards. */
function inCommon(a: string, fromA: number, b: string, fromB: number, step: 1 | -1): number {
  let length = 0;
  for (let i = fromA, j = fromB; i >= 0 && j >= 0 && i < a.length && j < b.length; i += step, j += step) {
    if (a[i] !== b[j]) break;
    length += 1;
  }
  return length;
}

function withoutMarked(text: string, isMarked: Uint8Array): string {
  let rest = '';
  for (let at = 0; at < text.length; at++) {
    if (isMarked[at] === 0) rest += text.charAt(at);
    else if (isMarked[at - 1] !== 1) rest += '…';
  }
  return rest;
}

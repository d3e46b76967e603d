/** How the simulated model judges: two answers to the same request, as the prompts of `reannotate judge` show them. */

import { fencedTexts } from '../judge/fence.js';
import { hashOf } from './answers.js';
import { draw } from './faults.js';

/** What the prompts ask for. */
const INSTRUCTION = /^VERDICT: TIE$/m;
/** Share of pairs of which it takes the first answer whatever they say, as models do; and of those that it finds equal. */
const CARELESS = 0.15;
const EQUAL = 0.1;

/**
 * A verdict that depends on nothing but the texts: mostly for the longer answer.
 * @param prompt the last user message
 * @returns null where no verdict is asked for
 */
export function judgedAnswer(prompt: string): string | null {
  if (!INSTRUCTION.test(prompt)) return null;
  const [request, first, second] = fencedTexts(prompt);
  if (request === undefined || first === undefined || second === undefined) return null;
  // The same for both orders of a pair.
  const pair = hashOf(JSON.stringify([request, ...[first, second].sort()]));
  const chance = draw(0, pair, 0, 0);
  if (chance < CARELESS) return say('Answer A makes the better first impression.', 'A');
  if (chance < CARELESS + EQUAL) return say('Both answers serve the request about equally well.', 'TIE');
  return first.length > second.length
    ? say('Answer A goes into more detail than answer B.', 'A')
    : say('Answer B goes into more detail than answer A.', 'B');
}

function say(reason: string, verdict: string): string {
  return `${reason}\nVERDICT: ${verdict}`;
}

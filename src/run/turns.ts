/** `--turns all`: which turns of a chat are answered again, and what each of them is asked with. */

import type { ChatMessage } from '../types.js';

/** A turn as it is sent; its content may be parts. */
type Turn = Pick<ChatMessage, 'role'>;

/**
 * Where the answers are that are regenerated besides the last: those right after a user's turn. An answer that nobody
 * asked for, such as a greeting, stays as it is.
 */
export function answeredTurns(request: readonly Turn[]): number[] {
  return request.flatMap(({ role }, place) =>
    role === 'assistant' && request[place - 1]?.role === 'user' ? [place] : [],
  );
}

/**
 * The request for one of the answers: the chat up to it, with new answers in place of those before it.
 * @param request the turns before the chat's last answer
 * @param answers as many as there are turns before this one
 */
export function requestOfTurn<T extends Turn>(
  request: readonly T[],
  answers: readonly string[],
): (T | ChatMessage)[] {
  const places = answeredTurns(request);
  const end = places[answers.length] ?? request.length;
  return request.slice(0, end).map((turn, place) => {
    const answer = places.indexOf(place);
    return answer === -1 ? turn : { role: 'assistant', content: answers[answer] ?? '' };
  });
}

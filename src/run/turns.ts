/** `--turns all`: which turns of a chat are answered again, and what each of them is asked with. */

import type { ChatMessage, PromptRow } from '../types.js';

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

/** How many answers of a chat are regenerated, the last one included. */
export function countTurns(request: readonly Turn[] | undefined): number {
  return request === undefined ? 1 : answeredTurns(request).length + 1;
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

/** A chat as one row for each of its answers, with the dataset's own answers in place of new ones: for estimates. */
export function turnsOf(row: PromptRow): PromptRow[] {
  const { messages } = row;
  if (messages === undefined) return [row];
  const answers = answeredTurns(messages).map((place) => messages[place]?.content ?? '');
  const own = [...answers, row.annotation_original];
  return own.map((answer, turn) => ({
    ...row,
    messages: requestOfTurn(messages, answers.slice(0, turn)),
    annotation_original: answer,
  }));
}

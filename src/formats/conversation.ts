/** Turns as the API takes them: calls have ids, results say which call they answer, and nothing is left open. */

import { withoutReasoning } from '../models/reasoning.js';
import type { ChatMessage, ToolCall } from '../types.js';
import { RowProblem } from './row-problem.js';
import { pythonCalls, toolCall } from './tool-calls.js';
import type { Turn } from './turns.js';

/** The last answer of a conversation, and what was said before. */
export interface Conversation {
  request: ChatMessage[];
  /** Null where the last turn is not an answer. */
  answer: { content: string | null; calls: ToolCall[] } | null;
}

/**
 * Separates the request of a conversation from its last answer.
 * @throws RowProblem where a turn of the request cannot be sent
 */
export function readConversation(spoken: readonly Turn[]): Conversation {
  const turns = joined(withPythonCalls(spoken));
  const lastAsked = turns.findLastIndex(({ role }) => role === 'user' || role === 'tool');
  const lastAnswer = turns.findLastIndex(({ role }) => role === 'assistant');
  const ids = new CallIds();
  const isAnswered = lastAnswer > lastAsked;
  const request = turns
    .slice(0, isAnswered ? lastAnswer : lastAsked + 1)
    .flatMap((turn, place) => ids.messagesOf(turn, place));
  ids.refuseOpen();
  const last = isAnswered ? turns[lastAnswer] : undefined;
  if (last === undefined) return { request, answer: null };
  const calls = ids.named(last);
  return {
    request,
    answer: { content: calls.length > 0 && last.content === '' ? null : last.content, calls },
  };
}

/** Answers in Python's syntax are calls where a tool's turn follows: a text of that form may be an answer as well. */
function withPythonCalls(turns: readonly Turn[]): Turn[] {
  return turns.map((turn, place) => {
    const isBeforeResult = turns[place + 1]?.role === 'tool';
    if (turn.role !== 'assistant' || turn.calls !== undefined || turn.content === null || !isBeforeResult)
      return turn;
    const calls = pythonCalls(turn.content);
    return calls === null ? turn : { role: 'assistant', content: null, calls };
  });
}

/** What an assistant says and the calls that it makes then are one turn. */
function joined(turns: readonly Turn[]): Turn[] {
  const result: Turn[] = [];
  for (const turn of turns) {
    const before = result.at(-1);
    const isCall = turn.role === 'assistant' && turn.calls !== undefined && (turn.content ?? '') === '';
    if (isCall && before?.role === 'assistant' && before.calls === undefined)
      result[result.length - 1] = { ...before, calls: turn.calls ?? [] };
    else result.push(turn);
  }
  return result;
}

/** Hermes puts the results of several calls into one turn. */
const RESPONSE = { start: '<tool_response>', end: '</tool_response>' };

/** The results between tags; none in a text without them. */
function taggedResults(text: string): string[] {
  const results: string[] = [];
  for (let from = 0; ;) {
    const opened = text.indexOf(RESPONSE.start, from);
    const start = opened + RESPONSE.start.length;
    const end = opened === -1 ? -1 : text.indexOf(RESPONSE.end, start);
    if (end === -1) return results;
    results.push(text.slice(start, end).trim());
    from = end + RESPONSE.end.length;
  }
}

/** Gives ids to calls, and finds the call that a result answers. */
class CallIds {
  #count = 0;
  /** Calls without a result. */
  #open: ToolCall[] = [];
  #place = 0;

  messagesOf(turn: Turn, place: number): ChatMessage[] {
    const { role, content } = turn;
    if (role === 'tool') return this.#results(turn, place);
    this.refuseOpen();
    const calls = this.named(turn);
    if (calls.length > 0) {
      this.#open = [...calls];
      this.#place = place;
      return [{ role, content: content === '' ? null : content, tool_calls: calls }];
    }
    if (content === null) throw new RowProblem(`turn ${place + 1} of the chat has null for its text`);
    // What the model thought then is not part of the chat: providers leave it out themselves, or refuse it.
    return [{ role, content: role === 'assistant' ? withoutReasoning(content) : content }];
  }

  /** The calls of a turn with their ids: those of the dataset, else `call_1`, `call_2` … */
  named({ calls = [] }: Turn): ToolCall[] {
    return calls.map((call) => {
      this.#count += 1;
      return toolCall(call, `call_${this.#count}`);
    });
  }

  /** @throws RowProblem where a call has no result, which the API refuses */
  refuseOpen(): void {
    const [first] = this.#open;
    if (first === undefined) return;
    throw new RowProblem(`turn ${this.#place + 1} calls ${first.function.name}, and no result follows`);
  }

  #results({ content, answers }: Turn, place: number): ChatMessage[] {
    const parts = taggedResults(content ?? '');
    const texts = parts.length > 0 ? parts : [content ?? ''];
    return texts.map((text) => {
      const call =
        this.#open.find(({ id }) => id === answers?.id) ??
        this.#open.find(({ function: { name } }) => name === answers?.name) ??
        this.#open[0];
      if (call === undefined)
        throw new RowProblem(`turn ${place + 1} is the result of a tool that was not called`);
      this.#open = this.#open.filter((one) => one !== call);
      return { role: 'tool', content: text, tool_call_id: call.id };
    });
  }
}

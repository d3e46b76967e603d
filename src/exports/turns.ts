/** Turns as ShareGPT and LLaMA-Factory have them. */

import { parseJson } from '../lib/json.js';
import type { AnswerMessage } from './chat.js';

/** A turn: `function_call` holds calls as JSON, `observation` what they returned. */
export interface ShareGptTurn {
  from: 'system' | 'human' | 'gpt' | 'function_call' | 'observation';
  value: string;
}

/** Why a row has no place in the format. */
export const TEXT_AND_CALLS = 'with text and a tool call in one turn';

const FROM = { system: 'system', user: 'human', assistant: 'gpt', tool: 'observation' } as const;

/**
 * The turns of a chat; results that follow each other are one. Null where a turn both speaks and calls tools, for which
 * the format has no place.
 * @see https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
 */
export function shareGptTurns(chat: readonly AnswerMessage[]): ShareGptTurn[] | null {
  const turns: ShareGptTurn[] = [];
  for (const { role, content, tool_calls: calls = [] } of chat) {
    const before = turns.at(-1);
    if (calls.length > 0) {
      if ((content ?? '').trim() !== '') return null;
      turns.push({ from: 'function_call', value: callsText(calls) });
    } else if (role === 'tool' && before?.from === 'observation') before.value += `\n${content ?? ''}`;
    else turns.push({ from: FROM[role], value: content ?? '' });
  }
  return turns;
}

function callsText(calls: NonNullable<AnswerMessage['tool_calls']>): string {
  const plain = calls.map(({ function: { name, arguments: values } }) => ({
    name,
    arguments: parseJson(values) ?? values,
  }));
  return JSON.stringify(plain.length === 1 ? plain[0] : plain);
}

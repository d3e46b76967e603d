/** `--turns all`: chats of which not every answer can be regenerated. */

import type { PromptRow } from '../types.js';
import { RowProblem } from './row-problem.js';

export const TURNS = ['last', 'all'] as const;
export type Turns = (typeof TURNS)[number];

/** @throws RowProblem where a new answer would not fit what follows it */
export function requireTalk({ messages = [], tools }: PromptRow): void {
  const place = messages.findIndex(({ role, tool_calls: calls }) => role === 'tool' || calls !== undefined);
  if (place !== -1)
    throw new RowProblem(
      `turn ${place + 1} of the chat calls a tool or is its result, which would not fit a new answer before it with --turns all; ` +
        'use --turns last for such chats',
    );
  if (tools !== undefined && messages.some(({ role }) => role === 'assistant'))
    throw new RowProblem(
      'the chat has tools, and with --turns all a new answer might call one without a result to follow; use --turns last ' +
        'or --tools_column none',
    );
}

/** Who speaks in a turn, in the spellings of datasets and chat templates. */

import type { ChatMessage } from '../types.js';

/** The spellings of roles: OpenAI's, ShareGPT's, OpenAssistant's and those of older sets; compared in lower case. */
const ROLES: Readonly<Record<string, ChatMessage['role']>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  instruction: 'user',
  question: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  model: 'assistant',
  bot: 'assistant',
  ai: 'assistant',
  chatbot: 'assistant',
  response: 'assistant',
  answer: 'assistant',
};

/** Roles of what tools return. */
const RESULT_ROLES = new Set([
  ...['tool', 'tools', 'tool_response', 'tool_result', 'tool_output', 'observation', 'ipython'],
  ...['environment', 'function', 'function_response', 'function-response', 'function response'],
]);

/** The API's role for a spelling in lower case; null for one that is not known. */
export function roleOf(spelled: string): ChatMessage['role'] | null {
  if (RESULT_ROLES.has(spelled)) return 'tool';
  return Object.hasOwn(ROLES, spelled) ? (ROLES[spelled] ?? null) : null;
}

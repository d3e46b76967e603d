import type { ChatMessage, PromptRow } from '../types.js';
import { cell, kindOf, optionalText, originalAnswer } from './cells.js';
import type { Format } from './format.js';
import { RowProblem } from './row-problem.js';

/** The spellings of roles: OpenAI's (`role`/`content`) and ShareGPT's (`from`/`value`). */
const ROLES: Readonly<Record<string, ChatMessage['role']>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  model: 'assistant',
  bot: 'assistant',
};

function chatFormat(column: 'messages' | 'conversations'): Format {
  return {
    needs: `the column ${column}`,
    detect: (columns) =>
      columns.includes(column)
        ? {
            prompt: column,
            input: null,
            response: null,
            system: columns.includes('system') ? 'system' : null,
          }
        : null,
    apply: (row, roles) => {
      const turns = readTurns(cell(row, roles.prompt), roles.prompt);
      return promptOf(
        turns,
        optionalText(row, roles.system),
        roles.response === null ? null : originalAnswer(row, roles.response),
      );
    },
  };
}

/** A chat in the column `messages`. */
export const messages: Format = chatFormat('messages');
/** A chat in the column `conversations`. */
export const conversations: Format = chatFormat('conversations');

function readTurns(value: unknown, column: string): ChatMessage[] {
  const list: unknown = typeof value === 'string' ? parseList(value) : value;
  if (!Array.isArray(list)) throw new RowProblem(`"${column}" is ${kindOf(value)}, not a list of turns`);
  return list.map((turn: unknown, index) => readTurn(turn, `turn ${index + 1} of "${column}"`));
}

/** CSV files hold a chat as JSON text. */
function parseList(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function readTurn(turn: unknown, where: string): ChatMessage {
  if (typeof turn !== 'object' || turn === null)
    throw new RowProblem(`${where} is ${kindOf(turn)}, not a message`);
  const fields = turn as Record<string, unknown>;
  const spelled = cell(fields, 'role') ?? cell(fields, 'from');
  const role = typeof spelled === 'string' ? spelled.toLowerCase() : '';
  const content = cell(fields, 'content') ?? cell(fields, 'value');
  if (!Object.hasOwn(ROLES, role)) throw new RowProblem(`${where} has no role that is known`);
  if (typeof content !== 'string') throw new RowProblem(`${where} has ${kindOf(content)} for its text`);
  return { role: ROLES[role] as ChatMessage['role'], content };
}

/** The turns before the last answer are the request; the last answer is the original. */
function promptOf(turns: ChatMessage[], systemColumn: string, responseColumn: string | null): PromptRow {
  const lastAnswer = turns.findLastIndex((turn) => turn.role === 'assistant');
  const lastUser = turns.findLastIndex((turn) => turn.role === 'user');
  const answered = lastAnswer > lastUser;
  const request = answered ? turns.slice(0, lastAnswer) : turns.slice(0, lastUser + 1);
  const user = request.findLast((turn) => turn.role === 'user');
  if (user === undefined) throw new RowProblem('the chat holds no user turn before its last answer');
  if (user.content.trim() === '') throw new RowProblem('the last user turn is empty');
  if (systemColumn !== '' && request[0]?.role !== 'system')
    request.unshift({ role: 'system', content: systemColumn });
  const system = request.find((turn) => turn.role === 'system')?.content ?? '';
  const row: PromptRow = {
    system_prompt: system,
    user_prompt: user.content,
    annotation_original: responseColumn ?? (answered ? (turns[lastAnswer]?.content ?? null) : null),
  };
  const plain = request.length === 1 || (request.length === 2 && request[0]?.role === 'system');
  return plain ? row : { ...row, messages: request };
}

/** What a simulated model thinks before it answers, in the places where servers put that. */

import type { ChatCompletion, Choice } from './completions.js';

/** Where reasoning is in an answer, by the servers that put it there. */
const REASONING_KINDS = {
  reasoning_content: 'a field reasoning_content, as DeepSeek and xAI have it',
  reasoning: 'a field reasoning, as vLLM, OpenRouter and Groq have it',
  reasoning_details: 'a list reasoning_details, as OpenRouter and MiniMax have it',
  parts: 'parts of the content, as Mistral has it',
  think: 'before the text between <think> and </think>, as servers without a reasoning parser have it',
  unopened: 'before the text and </think>, where the chat template wrote the opening tag',
} as const;
export type ReasoningKind = keyof typeof REASONING_KINDS;
export const REASONING_KIND_NAMES = Object.keys(REASONING_KINDS) as ReasoningKind[];

const STEPS = [
  'First I read the question once more.',
  'What is asked for is clear; what is left out matters less.',
  'One way is to start with the simplest case.',
  'That would work, but let me check the other way as well.',
  'Both ways lead to the same result, so I am fairly certain.',
  'Now I only have to write it down.',
] as const;

/** Thoughts that depend on nothing but the request, of one to eight sentences. */
export function madeUpReasoning(identity: string, variant: number): string {
  const bits = Number.parseInt(identity.slice(8, 16), 16) + variant;
  const sentences = 1 + (bits % 8);
  return Array.from(
    { length: sentences },
    (_, index) => STEPS[(bits + index) % STEPS.length] ?? STEPS[0],
  ).join(' ');
}

/** A completion with the reasoning of every choice where a server of this kind puts it. */
export function withReasoningAs(whole: ChatCompletion, kind: ReasoningKind | null): ChatCompletion {
  if (kind === null) return whole;
  const choices = whole.choices.map(({ reasoning, ...choice }): Choice => {
    if (reasoning === undefined) return choice;
    const message = { ...choice.message, ...placed(reasoning, choice.message.content, kind) };
    return { ...choice, message };
  });
  return { ...whole, choices };
}

function placed(reasoning: string, content: string | null, kind: ReasoningKind): object {
  const text = content ?? '';
  switch (kind) {
    case 'reasoning_content':
    case 'reasoning':
      return { [kind]: reasoning };
    case 'reasoning_details':
      return { reasoning_details: [{ type: 'reasoning.text', text: reasoning, index: 0 }] };
    case 'parts':
      return {
        content: [
          { type: 'thinking', thinking: [{ type: 'text', text: reasoning }] },
          ...(text === '' ? [] : [{ type: 'text', text }]),
        ],
      };
    case 'think':
      return { content: `<think>\n${reasoning}\n</think>\n\n${text}` };
    case 'unopened':
      return { content: `${reasoning}\n</think>\n\n${text}` };
  }
}

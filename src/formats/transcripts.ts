/**
 * Dialogues that are one text: transcripts such as Anthropic's HH-RLHF, and texts that a chat template has rendered for
 * training. A style is an entry in `STYLES`.
 */

import type { ChatMessage } from '../types.js';
import { roleOf } from './speakers.js';

/** A turn of a text; what tools returned has the role `tool`. */
export interface SpokenTurn {
  role: ChatMessage['role'];
  content: string;
}

interface Style {
  /** How a text of this style begins. */
  begins: RegExp;
  /** What announces a turn; the first group that matches is the speaker. */
  speaker: RegExp;
  /** Marks of the template that are in no turn's text. */
  marks: readonly string[];
}

const STYLES: readonly Style[] = [
  // ChatML: Qwen, OpenHermes, SmolLM
  { begins: /^<\|im_start\|>/, speaker: /<\|im_start\|>(\w+)\n?/g, marks: ['<|im_end|>', '<|endoftext|>'] },
  // Llama 3
  {
    begins: /^(?:<\|begin_of_text\|>)?<\|start_header_id\|>/,
    speaker: /<\|start_header_id\|>(\w+)<\|end_header_id\|>\s*/g,
    marks: ['<|eot_id|>', '<|eom_id|>', '<|end_of_text|>'],
  },
  // Zephyr, Phi-3, GLM, OpenAssistant
  {
    begins: /^(?:<s>)?<\|(?:system|user|prompter|human)\|>/,
    speaker: /<\|(system|user|human|prompter|assistant|observation)\|>:?/g,
    marks: ['</s>', '<|end|>', '<|endoftext|>', '<|eod|>'],
  },
  // Gemma
  { begins: /^(?:<bos>)?<start_of_turn>/, speaker: /<start_of_turn>(\w+)\n?/g, marks: ['<end_of_turn>'] },
  // Llama 2 and Mistral, whose system prompt is inside the first turn
  { begins: /^(?:<s>)?\s*\[INST\]/, speaker: /\[(\/?INST)\]/g, marks: ['<s>', '</s>'] },
  // Guanaco and Orca
  {
    begins: /^###\s?(?:Human|User|System)\b/i,
    speaker: /###\s?(Human|User|System|Assistant|Bot|AI):?[ \t]*\n?/gi,
    marks: ['</s>', '<|endoftext|>'],
  },
  // OIG
  { begins: /^<human>:/i, speaker: /(?:^|\n)<(human|bot)>: ?/gi, marks: ['<|endoftext|>'] },
  // HH-RLHF and glaive: an empty line before each turn
  {
    begins: /^(?:Human|User|USER|H): /,
    speaker: /(?:^|\n\n)(Human|User|USER|Assistant|ASSISTANT|AI|H|A|FUNCTION RESPONSE): ?/g,
    marks: ['<|endoftext|>'],
  },
  // A line for each turn
  {
    begins: /^(?:Human|User|System|USER|SYSTEM): /,
    speaker: /(?:^|\n)(Human|User|USER|System|SYSTEM|Assistant|ASSISTANT|AI|FUNCTION RESPONSE): ?/g,
    marks: ['<|endoftext|>', '</s>'],
  },
  // Vicuna: all turns in one line
  {
    begins: /^(?:A chat between |USER: |SYSTEM: )/,
    speaker: /(?:^|\s|<\/s>)(USER|SYSTEM|ASSISTANT): ?/g,
    marks: ['</s>', '<|endoftext|>'],
  },
];

/** How a text of any style begins: one look at most prompts, which are of none. */
const BEGINS = /^\s*(?:[<[]|###|H: |Human: |User: |USER: |System: |SYSTEM: |A chat between )/;

/** Speakers that the table of roles does not know. */
const OWN_SPEAKERS: Readonly<Record<string, ChatMessage['role']>> = {
  inst: 'user',
  '/inst': 'assistant',
  h: 'user',
  a: 'assistant',
};

const LLAMA_SYSTEM = { start: '<<SYS>>', end: '<</SYS>>' };

/** A dialogue that is one text. */
export interface Transcript {
  turns: SpokenTurn[];
  /** True where somebody answers, or is about to: `Assistant:` at the end of a prompt is not a turn. */
  isDialogue: boolean;
}

/** The turns of a text; null for one that is not a dialogue, or has no user in it. */
export function readTranscript(text: string): Transcript | null {
  if (!BEGINS.test(text)) return null;
  const trimmed = text.trimStart();
  const found = STYLES.filter(({ begins }) => begins.test(trimmed))
    .map((style) => turnsIn(trimmed, style))
    .filter((turns) => turns?.some(({ role }) => role === 'user') === true)
    .filter((turns) => turns !== null);
  const dialogue = found.find((turns) => turns.some(({ role }) => role === 'assistant'));
  const turns = dialogue ?? found[0];
  if (turns === undefined) return null;
  const last = turns.at(-1);
  const isOpen = last?.role === 'assistant' && last.content === '';
  return { turns: isOpen ? turns.slice(0, -1) : turns, isDialogue: dialogue !== undefined };
}

function turnsIn(text: string, { speaker, marks }: Style): SpokenTurn[] | null {
  const starts = [...text.matchAll(speaker)];
  const before = cleaned(text.slice(0, starts[0]?.index ?? 0), marks);
  const turns: SpokenTurn[] = before === '' ? [] : [{ role: 'system', content: before }];
  for (const [place, match] of starts.entries()) {
    const name = (match[1] ?? '').toLowerCase();
    const role = OWN_SPEAKERS[name] ?? roleOf(name);
    if (role === null) return null;
    const end = starts[place + 1]?.index ?? text.length;
    const content = cleaned(text.slice(match.index + match[0].length, end), marks);
    turns.push(...(role === 'user' ? withLlamaSystem(content) : [{ role, content }]));
  }
  return turns;
}

function cleaned(text: string, marks: readonly string[]): string {
  return marks.reduce((left, mark) => left.replaceAll(mark, ''), text).trim();
}

function withLlamaSystem(content: string): SpokenTurn[] {
  const end = content.startsWith(LLAMA_SYSTEM.start) ? content.indexOf(LLAMA_SYSTEM.end) : -1;
  if (end === -1) return [{ role: 'user', content }];
  return [
    { role: 'system', content: content.slice(LLAMA_SYSTEM.start.length, end).trim() },
    { role: 'user', content: content.slice(end + LLAMA_SYSTEM.end.length).trim() },
  ];
}

const ALPACA_PROMPT = '### Instruction:';
const ALPACA_ANSWER = '### Response:';

/** A text in Alpaca's template with its answer: the prompt up to `### Response:`, and the answer; null for others. */
export function readAlpacaText(text: string): { prompt: string; answer: string } | null {
  const at = text.indexOf(ALPACA_ANSWER);
  const asked = text.indexOf(ALPACA_PROMPT);
  // A second answer would be an example before the prompt, or a second turn.
  if (asked === -1 || at < asked || text.includes(ALPACA_ANSWER, at + 1)) return null;
  const answer = cleaned(text.slice(at + ALPACA_ANSWER.length), ['</s>', '<|endoftext|>']);
  return answer === '' ? null : { prompt: text.slice(0, at + ALPACA_ANSWER.length), answer };
}

/** Chat completions as OpenAI writes them, whole or as server-sent events. */

import { cutText } from './answers.js';
import type { ContentFault, Fault } from './faults.js';

/** Characters that count as one token. */
export const CHARACTERS_PER_TOKEN = 4;

export interface Choice {
  index: number;
  message: { role: 'assistant'; content: string | null; refusal: string | null; tool_calls?: object[] };
  /** What the model thought, before it is put where a server puts it; absent where it did not think. */
  reasoning?: string;
  finish_reason: 'stop' | 'length' | 'content_filter' | 'tool_calls';
  logprobs: null;
}

/** @see https://platform.openai.com/docs/api-reference/chat/object */
export interface ChatCompletion {
  id: string;
  object: 'chat.completion';
  /** Seconds since 1970. */
  created: number;
  model: string;
  choices: Choice[];
  usage: ReturnType<typeof usage>;
  service_tier: 'default' | 'flex';
  system_fingerprint: string;
}

/** One choice, cut where it is longer than the tokens allow; reasoning takes its part of them. */
export function choice(
  index: number,
  text: string,
  maximumTokens: number | null,
  reasoning: string | null = null,
): Choice {
  const all = maximumTokens === null ? Infinity : maximumTokens * CHARACTERS_PER_TOKEN;
  const thought = reasoning === null ? null : cutText(reasoning, all);
  const characters = Math.max(0, all - (thought?.length ?? 0));
  const cut = text.length > characters;
  return {
    index,
    message: { role: 'assistant', content: cut ? cutText(text, characters) : text, refusal: null },
    finish_reason: cut ? 'length' : 'stop',
    logprobs: null,
    ...(thought === null ? {} : { reasoning: thought }),
  };
}

/** The same choice, calling a tool in place of saying anything. */
export function calling(one: Choice, call: object): Choice {
  return {
    ...one,
    message: { role: 'assistant', content: null, refusal: null, tool_calls: [call] },
    finish_reason: 'tool_calls',
  };
}

interface CompletionParts {
  id: string;
  model: string;
  choices: Choice[];
  promptCharacters: number;
  serviceTier: ChatCompletion['service_tier'];
}

/** The completion around choices. */
export function completion({
  id,
  model,
  choices,
  promptCharacters,
  serviceTier,
}: CompletionParts): ChatCompletion {
  return {
    id,
    object: 'chat.completion',
    created: Math.floor(Date.now() / 1_000),
    model,
    choices,
    usage: usage(promptCharacters, choices),
    service_tier: serviceTier,
    system_fingerprint: 'fp_simulator',
  };
}

function usage(promptCharacters: number, choices: readonly Choice[]) {
  const prompt = Math.ceil(promptCharacters / CHARACTERS_PER_TOKEN);
  const thought = choices.reduce((sum, { reasoning = '' }) => sum + tokensOf(reasoning), 0);
  const answer = thought + choices.reduce((sum, { message }) => sum + tokensOf(spokenIn(message)), 0);
  return {
    prompt_tokens: prompt,
    completion_tokens: answer,
    total_tokens: prompt + answer,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: thought,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

/** What is billed of a message: its text, or its calls. */
function spokenIn({ content, tool_calls: calls }: Choice['message']): string {
  return `${content ?? ''}${calls === undefined ? '' : JSON.stringify(calls)}`;
}

function tokensOf(text: string): number {
  return Math.ceil(text.length / CHARACTERS_PER_TOKEN);
}

/** The completion that a fault leaves; the same one where the fault is of another sort. */
export function spoil(whole: ChatCompletion, fault: Fault | null): ChatCompletion {
  return fault !== null && isContentFault(fault) ? SPOILT[fault](whole) : whole;
}

/** What is left of a completion by the faults that are about its content. */
const SPOILT: Readonly<Record<ContentFault, (whole: ChatCompletion) => ChatCompletion>> = {
  empty: (whole) => ({ ...whole, choices: [] }),
  null_content: (whole) => replaceMessages(whole, null, null, 'stop'),
  refusal: (whole) => replaceMessages(whole, null, 'I’m sorry, but I can’t help with that request.', 'stop'),
  content_filter: (whole) => replaceMessages(whole, '', null, 'content_filter'),
};

function isContentFault(fault: Fault): fault is ContentFault {
  return Object.hasOwn(SPOILT, fault);
}

function withoutCalls(message: Choice['message']): Choice['message'] {
  const rest = { ...message };
  delete rest.tool_calls;
  return rest;
}

function replaceMessages(
  whole: ChatCompletion,
  content: string | null,
  refusal: string | null,
  finish: Choice['finish_reason'],
): ChatCompletion {
  const choices = whole.choices.map((one) => ({
    ...one,
    // A spoilt answer says nothing more.
    message: { ...withoutCalls(one.message), content, refusal },
    finish_reason: finish,
  }));
  return { ...whole, choices };
}

const CHUNK_CHARACTERS = 24;

/**
 * The completion as server-sent events.
 * @see https://platform.openai.com/docs/api-reference/chat-streaming
 */
export function completionEvents(whole: ChatCompletion, includeUsage: boolean): string {
  const { choices, usage: used, ...head } = whole;
  // Where usage was asked for, every chunk but the last carries a null one.
  const frame = { ...head, object: 'chat.completion.chunk', ...(includeUsage ? { usage: null } : {}) };
  const chunks: object[] = choices.flatMap((one) =>
    choiceDeltas(one).map((delta) => ({
      ...frame,
      choices: [{ index: one.index, logprobs: null, ...delta }],
    })),
  );
  if (includeUsage) chunks.push({ ...frame, choices: [], usage: used });
  return [...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]']
    .map((data) => `data: ${data}\n\n`)
    .join('');
}

function choiceDeltas({ message, finish_reason: finish }: Choice): object[] {
  const { role, content, refusal, ...more } = message as Record<string, unknown> & { refusal: string | null };
  const isText = typeof content === 'string';
  const deltas: object[] = [{ role, content: isText ? '' : null, refusal: null }];
  // What a model thought comes before what it says.
  for (const [name, value] of Object.entries(more)) {
    if (typeof value !== 'string') deltas.push({ [name]: value });
    else for (const piece of pieces(value)) deltas.push({ [name]: piece });
  }
  if (isText) for (const piece of pieces(content)) deltas.push({ content: piece });
  else if (content !== null) deltas.push({ content });
  for (const piece of pieces(refusal)) deltas.push({ refusal: piece });
  return [...deltas.map((delta) => ({ delta, finish_reason: null })), { delta: {}, finish_reason: finish }];
}

/** A text in pieces, none of which ends within a surrogate pair. */
function* pieces(text: string | null): Generator<string> {
  let rest = text ?? '';
  while (rest !== '') {
    const piece = cutText(rest, CHUNK_CHARACTERS);
    yield piece;
    rest = rest.slice(piece.length);
  }
}

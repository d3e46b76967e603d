/** How a row ends: what its answer, or the lack of one, comes to in the results. */

import type { Completion } from '../models/completion.js';
import { finalAnswersAgree } from '../models/final-answer.js';
import { withReasoning, type ReasoningMode } from '../models/reasoning.js';
import { DEFAULT_SELECTION, selectAnswer, type Agreement, type Selection } from '../models/select-answer.js';
import type { ChatMessage, PromptRow, RowState } from '../types.js';
import { KeyNeeded, type OptionalKeys } from './assembled.js';
import { originFields, type Origin } from './origin.js';
import type { UnusableRow } from './rows.js';

/** How answers become results. */
export interface OutcomeOptions {
  /** True where a row holds `annotations`, all choices. */
  several: boolean;
  /** Which of several answers is the row's annotation. */
  select?: Selection;
  /** By row, what a judge chose; absent where none did. */
  picks?: Uint8Array | undefined;
  /** Also write to each row whether its final answer is the original's. */
  comparesAnswers?: boolean;
  /** The run's own annotator, which each row's metadata name where another one may have answered; null otherwise. */
  annotator?: string | null;
  /** Where reasoning goes. */
  reasoning: ReasoningMode;
}

/** How a row ended. */
export interface Outcome {
  state: RowState;
  /** As JSON; null for none. */
  annotation: string | null;
  annotations: (string | null)[];
  reasonings: (string | null)[];
  /** The tools that it calls; null for none. */
  toolCalls: readonly unknown[] | null;
  /** The place of the annotation among them. */
  choice: number;
  /** What the last turn of a chat was asked with, where the turns before it were answered again; null otherwise. */
  messages: readonly ChatMessage[] | null;
  /** Whether its final answer is the original's; null where one of them has none. */
  agrees: boolean | null;
  error: string | null;
  /** Beside these where the answer comes from, if it was not this row's request that brought it. */
  metadata: {
    state: RowState;
    model: string | null;
    finish_reason: string | null;
    usage: unknown;
    reused_from?: string;
    same_as?: number;
    escalated?: number;
    annotator?: string | null;
    /** Of several answers. */
    agreement?: Agreement;
  };
}

/** The answer to a row. */
export interface FoundAnswer {
  /** Its place in the results. */
  row: number;
  /** The row, as a line of `rows.jsonl`. */
  rowLine: Buffer;
  completion: Completion;
  origin: Origin | null;
  /** Of a chat whose turns were all answered again: the request for the last one. */
  messages: readonly ChatMessage[] | null;
  /** True where answers beside the row's own are there to outvote it. */
  isVoted: boolean;
}

/**
 * What an answer comes to.
 * @param keys those that the rows of the file have
 * @throws KeyNeeded
 */
export function outcomeOfAnswer(
  { row, rowLine, completion, origin, messages, isVoted }: FoundAnswer,
  options: OutcomeOptions,
  keys: OptionalKeys,
): Outcome {
  const { state, annotation, note, model, finishReason, rawUsage, toolCalls } = completion;
  const { annotations, reasonings } = placeReasoning(completion, options.reasoning, keys);
  const { several, select = DEFAULT_SELECTION, annotator = null } = options;
  const by = isVoted ? 'majority' : select;
  const isChosen = several || (isVoted && completion.annotations.filter((text) => text !== null).length > 1);
  const selected = isChosen ? selectAnswer(completion.annotations, by, options.picks?.[row]) : null;
  const choice = annotation === null ? 0 : (selected?.choice ?? 0);
  const chosen = annotation === null ? null : (completion.annotations[choice] ?? annotation);
  return {
    state,
    annotation: annotation === null ? null : JSON.stringify(annotations[choice] ?? annotation),
    annotations,
    reasonings,
    toolCalls: toolCalls[choice] ?? null,
    choice,
    messages,
    agrees: options.comparesAnswers === true ? agreesWithOriginal(rowLine, chosen) : null,
    error: note,
    metadata: {
      ...{ state, model, finish_reason: finishReason, usage: rawUsage },
      ...(annotator === null ? {} : { annotator }),
      ...(origin === null ? {} : originFields(origin)),
      ...(selected === null ? {} : { agreement: selected.agreement }),
    },
  };
}

function agreesWithOriginal(rowLine: Buffer, annotation: string | null): boolean | null {
  if (annotation === null) return null;
  const { annotation_original: original } = JSON.parse(rowLine.toString('utf8')) as PromptRow;
  return finalAnswersAgree(original, annotation);
}

/** The texts of an answer with its reasoning where it goes. @throws KeyNeeded */
export function placeReasoning(
  { annotations, reasonings }: Completion,
  mode: ReasoningMode,
  keys: OptionalKeys,
): Pick<Completion, 'annotations' | 'reasonings'> {
  if (reasonings.every((one) => one === null)) return { annotations, reasonings };
  switch (mode) {
    case 'separate':
      if (!keys.reasoning) throw new KeyNeeded('reasoning');
      return { annotations, reasonings };
    case 'inline': {
      const inline = (text: string | null, choice: number): string | null =>
        text === null ? null : withReasoning(reasonings[choice] ?? null, text);
      return { annotations: annotations.map(inline), reasonings };
    }
    case 'drop':
      return { annotations, reasonings };
  }
}

/** All rows have the same keys: one without an answer has it from no annotator. */
export function metadataOf({ metadata }: Outcome, annotator: string | null): Outcome['metadata'] {
  return annotator === null || metadata.annotator !== undefined ? metadata : { ...metadata, annotator: null };
}

/** A row that can't be used. */
export function outcomeOfUnusable(line: Buffer): Outcome {
  return withoutAnswer('failed', parseUnusable(line).problem);
}

/** A row that can't be used, as a line of `rows.jsonl` holds it. */
export function parseUnusable(line: Buffer): UnusableRow {
  return JSON.parse(line.toString('utf8')) as UnusableRow;
}

/** A row without an answer. */
export function withoutAnswer(state: RowState, error: string | null): Outcome {
  const metadata = { state, model: null, finish_reason: null, usage: null };
  const none = { annotations: [], reasonings: [], toolCalls: null, choice: 0, messages: null, agrees: null };
  return { state, annotation: null, ...none, error, metadata };
}

/**
 * The end of a run: `rows.jsonl` and the journal become `reannotated.json` and `failed_rows.jsonl`. Both modes, online
 * and batch, end here, so the same answers give the same bytes. Memory holds a window of rows.
 */

import { isUtf8 } from 'node:buffer';
import { rmSync } from 'node:fs';
import { cooperativePause, endOfLine, readBlocks, replaceFile, type BufferedFile } from '../lib/files.js';
import type { Completion } from '../models/completion.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { STANDARD_RULES } from '../models/finish-reason.js';
import { mayHaveReasoningAfter, withReasoning, type ReasoningMode } from '../models/reasoning.js';
import { finalAnswersAgree } from '../models/final-answer.js';
import { DEFAULT_SELECTION, selectAnswer, type Agreement, type Selection } from '../models/select-answer.js';
import { noteDiscarded } from '../lib/memory.js';
import { NO_SECRETS, type Redactor } from '../secrets/redactor.js';
import type { ChatMessage, PromptRow, RowState } from '../types.js';
import { AnswerWindow } from './answer-window.js';
import { journalSource, type RunFolder } from './folder.js';
import type { JournalIndex, JournalSource } from './journal.js';
import type { RowParts } from './parts.js';
import { parseJournalLine } from './journal-line.js';
import { LineScanner } from './line-scanner.js';
import { endOfText } from './text-end.js';
import { asksRow, findPromptEnd, isAnsweredBy } from './journal-request.js';
import { LineReader } from './line-reader.js';
import { originFields, type Origin } from './origin.js';
import { readRowAnswer } from './row-answers.js';
import { ROW_KEYS, rowMark, withMessages } from './row-line.js';
import { isUnusable, type UnusableRow } from './rows.js';

const ANNOTATION = Buffer.from(',"annotation":');
const FIRST_ROW = Buffer.from('\n');
const NEXT_ROW = Buffer.from(',\n');
const NO_REASONING = Buffer.from(',"reasoning":null');
/** Calls beside a text, or `function_call`, which is looked at as well. */
const SPOKEN_CALLS = Buffer.from('_call');
const NO_CALLS = Buffer.from(',"annotation_tool_calls":null');
/** What is in place of the keys of `ROW_KEYS` that a row lacks. */
const MISSING_KEYS = ROW_KEYS.map(({ name, number, group }) => ({
  number,
  group,
  bytes: Buffer.from(`,"${name}":null`),
}));
/** The only key of `ROW_KEYS` that a chat without tools has. */
const CHAT_KEYS = 1;
/** The request of a chat, the last key of a line of `rows.jsonl`; inside a text its quotes would be escaped. */
const MESSAGES_KEY = Buffer.from(',"messages":[');
const REQUEST_MESSAGES_KEY = Buffer.from(',"request_messages":[');
const ROW_END = Buffer.from('}');
const CLOSING_BRACKET = 0x5d;
/** Characters of a model's name that are kept: it is untrusted. */
const LONGEST_MODEL = 200;
/** Different reasons that are counted, and those that are shown. */
const REASONS_KEPT = 1000;
const REASONS_SHOWN = 3;

export interface AssembleOptions {
  /** Also write `metadata` to each row. */
  includeMetadata: boolean;
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
  /** By which finish reasons an answer counts as whole. Texts were judged when the index learnt of them. */
  rules?: Pick<AnswerRules, 'endingOf'>;
  /** Hides secrets that got into rows or the journal, as those of earlier versions may hold them. */
  redactor?: Redactor;
  onProgress: (rows: number) => void;
  /** Looks at what was written before it replaces earlier results; it stays unused where this throws. */
  check?: (assembled: Assembled) => void;
}

export type RowCountsByState = Record<RowState, number> & { total: number };

/** How a row ended. */
interface Outcome {
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
interface FoundAnswer {
  completion: Completion;
  origin: Origin | null;
  /** Of a chat whose turns were all answered again: the request for the last one. */
  messages: readonly ChatMessage[] | null;
  /** True where answers beside the row's own are there to outvote it. */
  isVoted: boolean;
}

/** Keys that either all rows of a file have or none. */
export interface OptionalKeys {
  /** `request_messages`: a row has a chat of several turns. */
  chats: boolean;
  /** `tools`, `annotation_original_tool_calls`, `annotation_tool_calls`: a row has some of them. */
  tools: boolean;
  /** `images`: a row has some. */
  images: boolean;
  /** `source`: columns of the dataset are kept. */
  source: boolean;
  /** `reasoning`: a row has some. */
  reasoning: boolean;
}

/** What the rows came to. */
export interface Assembled {
  rows: RowCountsByState;
  /** Answers by the model that gave them. */
  models: Map<string, number>;
  /** Answers of annotators other than the run's own, by their names. */
  others: Map<string, number>;
  /** The keys that rows have besides those that all have. */
  keys: OptionalKeys;
  /** Rows by whether their final answer is the original's; all 0 where that is not compared. */
  compared: { agree: number; disagree: number; unknown: number };
  /** Rows without an annotation. */
  missing: number;
  /** Rows that can't be used and that no further try will change. */
  unusable: number;
  /** The errors that came most often, most frequent first. */
  reasons: { error: string; rows: number }[];
  /** Rows whose lines can't be read after all, counted in their part, and where these are in its journal. */
  damaged: { part: number; row: number; offset: number }[];
}

/** Rows that follow each other, with the journal that answers them. */
export interface AssemblyPart {
  /** Of `rows.jsonl`. */
  rows: string;
  journal: JournalSource;
  index: JournalIndex;
  /** Called with the bytes of `rows` as they are read. */
  onRows?: (bytes: Buffer) => void;
}

/** A file of results, and the rows that it holds. */
export interface AssemblyFile {
  path: string;
  /** Called once for each time that the file is started; one part is in memory at a time. */
  parts: () => Iterable<AssemblyPart> | AsyncIterable<AssemblyPart>;
  /** Called once the file is complete, with the keys of its rows. */
  onWritten?: (keys: OptionalKeys) => Promise<void>;
}

/** Writes the results of a run. */
export async function assemble(
  folder: RunFolder,
  index: JournalIndex,
  options: AssembleOptions,
): Promise<Assembled> {
  const parts = (): AssemblyPart[] => [{ rows: folder.rows, journal: journalSource(folder), index }];
  return assembleFiles(folder.failedRows, [{ path: folder.reannotated, parts }], options);
}

/**
 * Writes the results of rows from several places, into one file or several. All rows have the same keys, so
 * everything is started over at the first row that needs a key which those before it lack: a dataset of chats nearly always
 * begins with one, and a model that thinks does so in its first answer.
 * @param failedRows the path of `failed_rows.jsonl`
 * @param files one at least; the last one replaces an earlier file only after `check`
 */
export async function assembleFiles(
  failedRows: string,
  files: readonly AssemblyFile[],
  options: AssembleOptions,
): Promise<Assembled> {
  const keys: OptionalKeys = { chats: false, tools: false, images: false, source: false, reasoning: false };
  for (;;) {
    try {
      return await assembleWith(failedRows, files, options, keys);
    } catch (error) {
      if (!(error instanceof KeyNeeded)) throw error;
      keys[error.key] = true;
    }
  }
}

/** A row needs a key that the rows before it do not have. */
class KeyNeeded extends Error {
  constructor(readonly key: keyof OptionalKeys) {
    super(`rows need a key for ${key}`);
  }
}

async function assembleWith(
  failedRows: string,
  files: readonly AssemblyFile[],
  options: AssembleOptions,
  keys: OptionalKeys,
): Promise<Assembled> {
  const last = files.at(-1);
  if (last === undefined) throw new Error('results without a file');
  const result: Assembled = {
    rows: { total: 0, ok: 0, truncated: 0, refused: 0, filtered: 0, failed: 0, pending: 0 },
    models: new Map(),
    others: new Map(),
    keys,
    compared: { agree: 0, disagree: 0, unknown: 0 },
    missing: 0,
    unusable: 0,
    reasons: [],
    damaged: [],
  };
  const { redactor = NO_SECRETS } = options;
  const redacted = (lines: Buffer): Buffer => redactor.lines(lines);
  const writeAll = async (lastFile: BufferedFile, failed: BufferedFile): Promise<void> => {
    const collected: Collected = { result, failedRows: failed, reasons: new Map(), parts: 0 };
    for (const { path, parts, onWritten } of files.slice(0, -1)) {
      await replaceFile(path, (file) => new Assembly(collected, file, options).write(parts()), redacted);
      await onWritten?.(keys);
    }
    await new Assembly(collected, lastFile, options).write(last.parts());
    result.reasons = mostFrequent(collected.reasons);
    options.check?.(result);
  };
  const writeLast = (lastFile: BufferedFile): Promise<void> =>
    replaceFile(failedRows, (failed) => writeAll(lastFile, failed), redacted);
  await replaceFile(last.path, writeLast, redacted);
  result.models = redactedModels(result.models, redactor);
  await last.onWritten?.(keys);
  if (result.rows.ok === result.rows.total) rmSync(failedRows, { force: true });
  return result;
}

function redactedModels(models: Assembled['models'], redactor: Redactor): Assembled['models'] {
  const shown: Assembled['models'] = new Map();
  for (const [model, answers] of models) {
    const name = redactor.text(model);
    shown.set(name, (shown.get(name) ?? 0) + answers);
  }
  return shown;
}

/** A part that is being written. */
interface OpenPart {
  answers: AnswerWindow;
  /** For rows that took several requests. */
  lines: LineReader;
  index: JournalIndex;
  /** Rows of the parts before it. */
  before: number;
}

/** What all files of results share. */
interface Collected {
  result: Assembled;
  failedRows: BufferedFile;
  /** Why rows have no annotation, and how many. */
  reasons: Map<string, { error: string; rows: number }>;
  /** Parts that were written so far. */
  parts: number;
}

/** One file of results, as it is written. */
class Assembly {
  /** Where lines of `rows.jsonl` start and end in the block at hand. */
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  readonly #scanner = new LineScanner();
  readonly #pause = cooperativePause();
  /** Without what checks texts, such as a schema: it would be as much work again as the scan of the journal. */
  readonly #rules: AnswerRules;
  private readonly result: Assembled;
  #isEmpty = true;

  constructor(
    private readonly collected: Collected,
    private readonly reannotated: BufferedFile,
    private readonly options: AssembleOptions,
  ) {
    const { rules = STANDARD_RULES } = options;
    this.#rules = { endingOf: (reason) => rules.endingOf(reason) };
    this.result = collected.result;
  }

  async write(parts: Iterable<AssemblyPart> | AsyncIterable<AssemblyPart>): Promise<void> {
    this.reannotated.write('[');
    for await (const part of parts) await this.#addPart(part);
    this.reannotated.write('\n]\n');
  }

  /** Writes the rows of one part with their answers. */
  async #addPart({ rows, journal, index, onRows }: AssemblyPart): Promise<void> {
    const answers = new AnswerWindow(journal, index);
    const lines = new LineReader(journal);
    const part = { answers, lines, index, before: this.result.rows.total };
    try {
      for (const { bytes } of readBlocks(rows)) {
        onRows?.(bytes);
        this.#addBlock(bytes, part);
        this.options.onProgress(this.result.rows.total);
        await this.#pause();
      }
    } finally {
      answers.close();
      lines.close();
    }
    this.#countOthers(index);
    this.collected.parts += 1;
  }

  #countOthers(index: JournalIndex): void {
    if (!index.origins.hasOthers) return;
    const { others } = this.result;
    for (let row = 0; row < index.rows; row++) {
      const name = index.origins.answeredBy(row);
      const isAnswer = index.state(row) === 'ok' || index.state(row) === 'truncated';
      if (name !== null && isAnswer) others.set(name, (others.get(name) ?? 0) + 1);
    }
  }

  /** Writes the rows of some lines of `rows.jsonl` with their answers. */
  #addBlock(block: Buffer, part: OpenPart): void {
    let lines = 0;
    for (let start = 0; start < block.length; lines++) {
      const end = endOfLine(block, start);
      this.#starts[lines] = start;
      this.#ends[lines] = end;
      start = end + 1;
    }
    for (let done = 0; done < lines;) {
      const first = this.result.rows.total - part.before;
      const rows = part.answers.rowsThatFit(first, lines - done);
      part.answers.read(first, rows);
      for (let position = 0; position < rows; position++) {
        const start = this.#starts[done + position] ?? 0;
        this.#addRow(block, start, this.#ends[done + position] ?? 0, position, part);
      }
      done += rows;
    }
  }

  #addRow(block: Buffer, start: number, end: number, position: number, part: OpenPart): void {
    this.reannotated.write(this.#isEmpty ? FIRST_ROW : NEXT_ROW);
    this.#isEmpty = false;
    if (this.#spliceRow(block, start, end, position, part)) return;
    const line = block.subarray(start, end);
    const outcome = isUnusable(line) ? outcomeOfUnusable(line) : this.#outcomeOf(line, position, part);
    this.#writeRow(line, outcome);
    this.#tally(outcome, isUnusable(line));
  }

  /**
   * Writes an ordinary row: its bytes and the bytes of its answer are copied, nothing is parsed. Returns false, and
   * has written nothing, where that is not possible.
   */
  #spliceRow(block: Buffer, start: number, end: number, position: number, part: OpenPart): boolean {
    const { several, includeMetadata, comparesAnswers = false } = this.options;
    const lineStart = part.answers.start(position);
    const row = this.result.rows.total - part.before;
    if (part.index.parts !== null || comparesAnswers || several || includeMetadata) return false;
    if (lineStart === -1 || part.index.state(row) !== 'ok') return false;
    const { bytes, isUtf8: isWhole } = part.answers;
    const lineEnd = part.answers.end(position);
    if (this.#scanner.rowOf(bytes, lineStart, lineEnd) !== row) return false;
    const promptEnd = findPromptEnd(bytes, lineStart, lineEnd, block, start, end);
    const text = promptEnd === -1 ? null : this.#scanner.findText(bytes, promptEnd, lineEnd);
    const textEnd = text === null ? -1 : endOfText(bytes, text.start, lineEnd);
    if (text === null || textEnd === -1) return false;
    if (!isAnsweredBy(bytes, promptEnd, text.start)) return false;
    if (mayHaveReasoningAfter(bytes, textEnd, lineEnd)) return false;
    if (this.result.keys.tools && bytes.subarray(textEnd, lineEnd).includes(SPOKEN_CALLS)) return false;
    if (!isWhole && !isUtf8(bytes.subarray(text.start, textEnd))) return false;
    this.#writePrompt(block, start, end);
    this.reannotated.write(ANNOTATION);
    this.reannotated.writeRange(bytes, text.start, textEnd);
    if (this.result.keys.tools) this.reannotated.write(NO_CALLS);
    if (this.result.keys.reasoning) this.reannotated.write(NO_REASONING);
    this.reannotated.write(ROW_END);
    this.#countModel(text.model);
    this.result.rows.ok += 1;
    this.result.rows.total += 1;
    return true;
  }

  /**
   * Writes a line of `rows.jsonl` up to its closing brace, before which the answer goes; a chat's request goes by the
   * name that results have for it, since `messages` would be the whole conversation.
   * @throws KeyNeeded
   */
  #writePrompt(block: Buffer, start: number, end: number): void {
    const { reannotated: file } = this;
    // A text's quote or the `l` of null: an ordinary row.
    if (block[end - 2] !== CLOSING_BRACKET) {
      file.writeRange(block, start, end - 1);
      this.#writeMissing(0);
      return;
    }
    const mark = rowMark(block, start, end);
    if (mark !== null) {
      this.#needKeys(mark.keys);
      file.writeRange(block, start, start + mark.bytes);
      this.#writeMissing(mark.keys);
      return;
    }
    const key = block.subarray(start, end).indexOf(MESSAGES_KEY);
    this.#needKeys(CHAT_KEYS);
    file.writeRange(block, start, start + key);
    file.write(REQUEST_MESSAGES_KEY);
    file.writeRange(block, start + key + MESSAGES_KEY.length, end - 1);
    this.#writeMissing(CHAT_KEYS);
  }

  /** @throws KeyNeeded where rows before this one were written without a key that it has */
  #needKeys(keys: number): void {
    for (const { number, group } of ROW_KEYS)
      if ((keys & number) !== 0 && !this.result.keys[group]) throw new KeyNeeded(group);
  }

  #writeMissing(keys: number): void {
    for (const { number, group, bytes } of MISSING_KEYS)
      if (this.result.keys[group] && (keys & number) === 0) this.reannotated.write(bytes);
  }

  #outcomeOf(rowLine: Buffer, position: number, part: OpenPart): Outcome {
    if (part.index.parts !== null) return this.#outcomeOfParts(rowLine, part, part.index.parts);
    const { answers, index, before } = part;
    const { bytes } = answers;
    const start = answers.start(position);
    const end = answers.end(position);
    if (start === -1) return withoutAnswer('pending', null);
    const line = bytes.subarray(start, end);
    const entry = parseJournalLine(line, this.#rules);
    noteDiscarded(line.length);
    const row = this.result.rows.total - before;
    // A scan looks at a line's end alone; what it took for an answer may turn out to be none.
    const isOurs = entry?.row === row && asksRow(line, rowLine);
    const isFailure = entry?.kind === 'failure' && !index.isAnswered(row);
    if (!isOurs || (entry.kind !== 'answer' && !isFailure)) {
      this.result.damaged.push({ part: this.collected.parts, row, offset: answers.offset(position) });
      return withoutAnswer('pending', null);
    }
    if (entry.kind === 'failure') return withoutAnswer(entry.state, entry.errors.at(-1) ?? null);
    return this.#outcomeOfAnswer(rowLine, { ...entry, messages: null, isVoted: false });
  }

  /** The same for a row that took several requests. */
  #outcomeOfParts(rowLine: Buffer, { lines: reader, index, before }: OpenPart, parts: RowParts): Outcome {
    const row = this.result.rows.total - before;
    const answer = readRowAnswer({ index, parts, reader, rules: this.#rules }, row, rowLine);
    switch (answer.kind) {
      case 'answer':
        return this.#outcomeOfAnswer(rowLine, { ...answer, isVoted: parts.hasFurther(row) });
      case 'none': {
        const outcome = withoutAnswer(answer.state, answer.error);
        // What was paid for stays beside what is missing.
        return answer.completion === null
          ? outcome
          : { ...outcome, ...this.#placeReasoning(answer.completion) };
      }
      case 'damaged':
        for (const offset of answer.offsets)
          this.result.damaged.push({ part: this.collected.parts, row, offset });
        return withoutAnswer('pending', null);
    }
  }

  #outcomeOfAnswer(rowLine: Buffer, { completion, origin, messages, isVoted }: FoundAnswer): Outcome {
    const { state, annotation, note, model, finishReason, rawUsage, toolCalls } = completion;
    const { annotations, reasonings } = this.#placeReasoning(completion);
    const { several, select = DEFAULT_SELECTION, annotator = null } = this.options;
    const by = isVoted ? 'majority' : select;
    const isChosen =
      several || (isVoted && completion.annotations.filter((text) => text !== null).length > 1);
    const selected = isChosen
      ? selectAnswer(completion.annotations, by, this.options.picks?.[this.result.rows.total])
      : null;
    const choice = annotation === null ? 0 : (selected?.choice ?? 0);
    const chosen = annotation === null ? null : (completion.annotations[choice] ?? annotation);
    this.#countModel(model?.slice(0, LONGEST_MODEL) ?? 'unknown');
    return {
      state,
      annotation: annotation === null ? null : JSON.stringify(annotations[choice] ?? annotation),
      annotations,
      reasonings,
      toolCalls: toolCalls[choice] ?? null,
      choice,
      messages,
      agrees: this.#agrees(rowLine, chosen),
      error: note,
      metadata: {
        ...{ state, model, finish_reason: finishReason, usage: rawUsage },
        ...(annotator === null ? {} : { annotator }),
        ...(origin === null ? {} : originFields(origin)),
        ...(selected === null ? {} : { agreement: selected.agreement }),
      },
    };
  }

  #agrees(rowLine: Buffer, annotation: string | null): boolean | null {
    if (this.options.comparesAnswers !== true || annotation === null) return null;
    const { annotation_original: original } = JSON.parse(rowLine.toString('utf8')) as PromptRow;
    return finalAnswersAgree(original, annotation);
  }

  /** @throws KeyNeeded */
  #placeReasoning({ annotations, reasonings }: Completion): Pick<Completion, 'annotations' | 'reasonings'> {
    if (reasonings.every((one) => one === null)) return { annotations, reasonings };
    switch (this.options.reasoning) {
      case 'separate':
        if (!this.result.keys.reasoning) throw new KeyNeeded('reasoning');
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

  #countModel(model: string): void {
    const { models } = this.result;
    models.set(model, (models.get(model) ?? 0) + 1);
  }

  #writeRow(line: Buffer, outcome: Outcome): void {
    const { reannotated: file, options } = this;
    const usable = outcome.messages === null ? line : withMessages(line, outcome.messages);
    const prompt = isUnusable(line) ? Buffer.from(JSON.stringify(parseUnusable(line).row)) : usable;
    this.#writePrompt(prompt, 0, prompt.length);
    file.write(ANNOTATION);
    file.write(outcome.annotation ?? 'null');
    const { reasoning: hasReasoning, tools: hasTools } = this.result.keys;
    if (outcome.toolCalls !== null && !hasTools) throw new KeyNeeded('tools');
    if (hasTools) file.write(`,"annotation_tool_calls":${JSON.stringify(outcome.toolCalls)}`);
    if (hasReasoning)
      file.write(`,"reasoning":${JSON.stringify(outcome.reasonings[outcome.choice] ?? null)}`);
    if (options.several) file.write(`,"annotations":${JSON.stringify(outcome.annotations)}`);
    if (options.several && hasReasoning) file.write(`,"reasonings":${JSON.stringify(outcome.reasonings)}`);
    if (options.comparesAnswers === true) file.write(`,"agrees":${JSON.stringify(outcome.agrees)}`);
    if (options.includeMetadata) file.write(`,"metadata":${JSON.stringify(this.#metadataOf(outcome))}`);
    file.write(ROW_END);
  }

  /** All rows have the same keys: one without an answer has it of no annotator. */
  #metadataOf({ metadata }: Outcome): Outcome['metadata'] {
    const { annotator = null } = this.options;
    return annotator === null || metadata.annotator !== undefined
      ? metadata
      : { ...metadata, annotator: null };
  }

  #tally(outcome: Outcome, isUnusableRow: boolean): void {
    const { result } = this;
    const request = result.rows.total;
    result.rows[outcome.state] += 1;
    result.rows.total += 1;
    // Calls of tools are an answer.
    if (outcome.annotation === null && outcome.toolCalls === null) result.missing += 1;
    if (this.options.comparesAnswers === true)
      result.compared[outcome.agrees === null ? 'unknown' : outcome.agrees ? 'agree' : 'disagree'] += 1;
    if (isUnusableRow) result.unusable += 1;
    if (outcome.state === 'ok') return;
    this.collected.failedRows.write(
      `${JSON.stringify({ request_idx: request, state: outcome.state, error: outcome.error })}\n`,
    );
    if (outcome.annotation !== null || outcome.error === null) return;
    // Messages that differ only in numbers (other than the status) are one reason; the first one represents all.
    const text = outcome.error.slice(0, 200);
    const reason = `${text.slice(0, 3)}${text.slice(3).replace(/\d+/g, 'N')}`;
    const { reasons } = this.collected;
    const known = reasons.get(reason);
    if (known !== undefined) known.rows += 1;
    else if (reasons.size < REASONS_KEPT) reasons.set(reason, { error: text, rows: 1 });
  }
}

function mostFrequent(reasons: Collected['reasons']): Assembled['reasons'] {
  return [...reasons.values()].sort((a, b) => b.rows - a.rows).slice(0, REASONS_SHOWN);
}

function outcomeOfUnusable(line: Buffer): Outcome {
  return withoutAnswer('failed', parseUnusable(line).problem);
}

function parseUnusable(line: Buffer): UnusableRow {
  return JSON.parse(line.toString('utf8')) as UnusableRow;
}

function withoutAnswer(state: RowState, error: string | null): Outcome {
  const metadata = { state, model: null, finish_reason: null, usage: null };
  const none = { annotations: [], reasonings: [], toolCalls: null, choice: 0, messages: null, agrees: null };
  return { state, annotation: null, ...none, error, metadata };
}

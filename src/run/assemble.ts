/**
 * The end of a run: `rows.jsonl` and the journal become `reannotated.json` and `failed_rows.jsonl`. Both modes, online
 * and batch, end here, so the same answers give the same bytes. Memory holds a window of rows.
 */

import { isUtf8 } from 'node:buffer';
import { rmSync } from 'node:fs';
import { cooperativePause, endOfLine, readBlocks, replaceFile, type BufferedFile } from '../lib/files.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { STANDARD_RULES } from '../models/finish-reason.js';
import { mayHaveReasoningAfter } from '../models/reasoning.js';
import { noteDiscarded } from '../lib/memory.js';
import { NO_SECRETS, type Redactor } from '../secrets/redactor.js';
import { AnswerWindow } from './answer-window.js';
import { AssemblyCounts, KeyNeeded, redactedModels, type Assembled, type OptionalKeys } from './assembled.js';
import { journalSource, type RunFolder } from './folder.js';
import type { JournalIndex, JournalSource } from './journal.js';
import type { RowParts } from './parts.js';
import { parseJournalLine } from './journal-line.js';
import { LineScanner } from './line-scanner.js';
import { endOfText } from './text-end.js';
import { asksRow, findPromptEnd, isAnsweredBy } from './journal-request.js';
import { LineReader } from './line-reader.js';
import { readRowAnswer } from './row-answers.js';
import { ROW_KEYS, rowMark, withMessages } from './row-line.js';
import {
  metadataOf,
  outcomeOfAnswer,
  outcomeOfUnusable,
  parseUnusable,
  placeReasoning,
  withoutAnswer,
  type FoundAnswer,
  type Outcome,
  type OutcomeOptions,
} from './row-outcome.js';
import { isUnusable } from './rows.js';

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

export interface AssembleOptions extends OutcomeOptions {
  /** Also write `metadata` to each row. */
  includeMetadata: boolean;
  /** By which finish reasons an answer counts as whole. Texts were judged when the index learnt of them. */
  rules?: Pick<AnswerRules, 'endingOf'>;
  /** Hides secrets that got into rows or the journal, as those of earlier versions may hold them. */
  redactor?: Redactor;
  onProgress: (rows: number) => void;
  /** Looks at what was written before it replaces earlier results; it stays unused where this throws. */
  check?: (assembled: Assembled) => void;
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

async function assembleWith(
  failedRows: string,
  files: readonly AssemblyFile[],
  options: AssembleOptions,
  keys: OptionalKeys,
): Promise<Assembled> {
  const last = files.at(-1);
  if (last === undefined) throw new Error('results without a file');
  const { redactor = NO_SECRETS, comparesAnswers = false } = options;
  const redacted = (lines: Buffer): Buffer => redactor.lines(lines);
  const writeAll = async (lastFile: BufferedFile, failed: BufferedFile): Promise<Assembled> => {
    const shared: Shared = { counts: new AssemblyCounts(keys, failed, comparesAnswers), parts: 0 };
    for (const { path, parts, onWritten } of files.slice(0, -1)) {
      await replaceFile(path, (file) => new Assembly(shared, file, options).write(parts()), redacted);
      await onWritten?.(keys);
    }
    await new Assembly(shared, lastFile, options).write(last.parts());
    const result = shared.counts.finish();
    options.check?.(result);
    return result;
  };
  const result = await replaceFile(
    last.path,
    (lastFile) => replaceFile(failedRows, (failed) => writeAll(lastFile, failed), redacted),
    redacted,
  );
  result.models = redactedModels(result.models, redactor);
  await last.onWritten?.(keys);
  if (result.rows.ok === result.rows.total) rmSync(failedRows, { force: true });
  return result;
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
interface Shared {
  counts: AssemblyCounts;
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
    private readonly shared: Shared,
    private readonly reannotated: BufferedFile,
    private readonly options: AssembleOptions,
  ) {
    const { rules = STANDARD_RULES } = options;
    this.#rules = { endingOf: (reason) => rules.endingOf(reason) };
    this.result = shared.counts.result;
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
    this.shared.parts += 1;
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
    this.shared.counts.add(outcome, isUnusable(line));
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
    this.shared.counts.addAnswered(text.model);
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
      this.result.damaged.push({ part: this.shared.parts, row, offset: answers.offset(position) });
      return withoutAnswer('pending', null);
    }
    if (entry.kind === 'failure') return withoutAnswer(entry.state, entry.errors.at(-1) ?? null);
    return this.#outcomeOfAnswer({ ...entry, rowLine, messages: null, isVoted: false });
  }

  /** The same for a row that took several requests. */
  #outcomeOfParts(rowLine: Buffer, { lines: reader, index, before }: OpenPart, parts: RowParts): Outcome {
    const row = this.result.rows.total - before;
    const answer = readRowAnswer({ index, parts, reader, rules: this.#rules }, row, rowLine);
    switch (answer.kind) {
      case 'answer':
        return this.#outcomeOfAnswer({ ...answer, rowLine, isVoted: parts.hasFurther(row) });
      case 'none': {
        const outcome = withoutAnswer(answer.state, answer.error);
        // What was paid for stays beside what is missing.
        return answer.completion === null
          ? outcome
          : { ...outcome, ...placeReasoning(answer.completion, this.options.reasoning, this.result.keys) };
      }
      case 'damaged':
        for (const offset of answer.offsets)
          this.result.damaged.push({ part: this.shared.parts, row, offset });
        return withoutAnswer('pending', null);
    }
  }

  #outcomeOfAnswer(found: Omit<FoundAnswer, 'row'>): Outcome {
    this.shared.counts.addModel(found.completion.model);
    return outcomeOfAnswer({ ...found, row: this.result.rows.total }, this.options, this.result.keys);
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
    if (options.includeMetadata)
      file.write(`,"metadata":${JSON.stringify(metadataOf(outcome, options.annotator ?? null))}`);
    file.write(ROW_END);
  }
}

/** The requests of a run's rows, one after the other, and those that answers lead to. */

import type { Completion } from '../models/completion.js';
import { choiceBody } from '../requests/choices.js';
import type { FollowUps, Job } from '../requests/processor.js';
import { TokenEstimate } from '../requests/tokens.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { journalSource, type RunFolder } from '../run/folder.js';
import { readJobs, type SentMessage } from '../run/jobs.js';
import type { JournalIndex } from '../run/journal.js';
import { parseJournalLine } from '../run/journal-line.js';
import { LineReader } from '../run/line-reader.js';
import type { RowParts } from '../run/parts.js';
import { requestOfTurn } from '../run/turns.js';
import type { RetriableState } from '../types.js';

/** Which rows are sent, and with what. */
export interface Wanted {
  row: (row: number) => boolean;
  /** Of a row that takes several requests, the parts to be sent now, by their numbers. */
  parts: (row: number) => readonly number[];
  /** The request in place of a row's own. */
  requestFor: (body: Buffer) => Buffer;
}

/** Rows that have no answer yet, or one that is requested again. */
export function missing(index: JournalIndex, retry: readonly RetriableState[]): Wanted {
  return {
    row: (row) => index.isWanted(row, retry),
    parts: (row) => index.parts?.wanted(row, retry) ?? [],
    requestFor: (body) => body,
  };
}

/** What a run sends. */
export interface RowJobs extends FollowUps {
  jobs(): Iterable<Job>;
  /** An answer to one of the jobs came, and is in the index. */
  answered(job: Job, completion: Completion): void;
  /** From here on every request is for one answer. */
  split(): void;
}

/** One request a row. */
class PlainJobs implements RowJobs {
  constructor(
    private readonly path: string,
    private readonly wanted: Wanted,
  ) {}

  *jobs(): Generator<Job> {
    const estimate = new TokenEstimate();
    for (const job of readJobs(this.path)) {
      if (!this.wanted.row(job.requestIdx)) continue;
      const body = this.wanted.requestFor(job.body);
      yield { requestIdx: job.requestIdx, body, tokens: estimate.of(job.body) };
    }
  }

  next(): null {
    return null;
  }

  answered(): void {
    // Nothing follows from it.
  }

  split(): void {
    // There is nothing to split.
  }
}

/**
 * Several answers a row: in one request where the server gives several, else one by one with different seeds. What an
 * answer lacks is sent for at once.
 */
class ChoiceJobs implements RowJobs {
  readonly #estimate = new TokenEstimate();
  readonly #followUps: Job[] = [];
  /** The requests of jobs in progress that asked for all answers, for those that an answer may lack. */
  readonly #whole = new WeakMap<Job, Buffer>();

  constructor(
    private readonly path: string,
    private readonly wanted: Wanted,
    private readonly parts: RowParts,
    private readonly splitting: { isSplit: boolean; readonly onSplit: () => void },
  ) {}

  *jobs(): Generator<Job> {
    for (const { requestIdx, body } of readJobs(this.path)) {
      if (!this.wanted.row(requestIdx)) continue;
      const numbers = this.wanted.parts(requestIdx);
      if (this.splitting.isSplit || !this.#isWhole(requestIdx, numbers)) {
        for (const number of numbers) yield this.#single(requestIdx, body, number);
      } else {
        const request = this.wanted.requestFor(body);
        const job: Job = { requestIdx, body: request, tokens: this.#estimate.of(body) };
        this.#whole.set(job, body);
        yield job;
      }
    }
  }

  /** True where one request can bring all that a row lacks. */
  #isWhole(row: number, numbers: readonly number[]): boolean {
    const required = this.parts.layout.requiredOf(row);
    return numbers.length === required && numbers.every((number) => number < required);
  }

  next(): Job | null {
    return this.#followUps.shift() ?? null;
  }

  answered(job: Job, { annotations }: Completion): void {
    const body = this.#whole.get(job);
    const asked = this.parts.layout.requiredOf(job.requestIdx);
    if (body === undefined || annotations.length >= asked) return;
    // A server that gives one answer where several are asked for gives no more to the other rows.
    if (annotations.length === 1 && !this.splitting.isSplit) {
      this.split();
      this.splitting.onSplit();
    }
    for (let number = annotations.length; number < asked; number++)
      this.#followUps.push(this.#single(job.requestIdx, body, number));
  }

  split(): void {
    this.splitting.isSplit = true;
  }

  #single(requestIdx: number, body: Buffer, number: number): Job {
    const tokens = this.#estimate.of(body);
    const request = this.wanted.requestFor(choiceBody(body, number));
    return { requestIdx, body: request, tokens, part: { kind: 'choice', number } };
  }
}

/** The turns of chats, one after the other: the next one follows from the answer to the last. */
class TurnJobs implements RowJobs {
  readonly #estimate = new TokenEstimate();
  readonly #followUps: Job[] = [];
  /** Of jobs in progress, the request with the whole chat, and the answers so far. */
  readonly #chats = new WeakMap<Job, Chat>();
  readonly #reader: LineReader;

  constructor(
    private readonly folder: Pick<RunFolder, 'jobs' | 'journal' | 'segments'>,
    private readonly wanted: Wanted,
    private readonly parts: RowParts,
    private readonly rules: AnswerRules,
  ) {
    this.#reader = new LineReader(journalSource(folder));
  }

  *jobs(): Generator<Job> {
    try {
      for (const { requestIdx, body } of readJobs(this.folder.jobs)) {
        if (!this.wanted.row(requestIdx)) continue;
        const [turn] = this.wanted.parts(requestIdx);
        if (turn === undefined) continue;
        const answers = this.#answersBefore(requestIdx, turn);
        yield this.#turn(requestIdx, { body: JSON.parse(body.toString('utf8')) as Chat['body'], answers });
      }
    } finally {
      this.#reader.close();
    }
  }

  next(): Job | null {
    return this.#followUps.shift() ?? null;
  }

  answered(job: Job, { state, annotation }: Completion): void {
    const chat = this.#chats.get(job);
    if (chat === undefined || state !== 'ok' || annotation === null) return;
    const answers = [...chat.answers, annotation];
    if (answers.length === this.parts.layout.countOf(job.requestIdx)) return;
    this.#followUps.push(this.#turn(job.requestIdx, { body: chat.body, answers }));
  }

  split(): void {
    // Each request asks for one answer.
  }

  /** The answers of earlier sessions; one that can no longer be read is noticed when results are written. */
  #answersBefore(row: number, turn: number): string[] {
    const first = this.parts.layout.firstOf(row);
    return Array.from({ length: turn }, (_, number) => {
      const place = this.parts.slots.place(first + number);
      const entry = place === null ? null : parseJournalLine(this.#reader.read(place), this.rules);
      return (entry?.kind === 'answer' ? entry.completion.annotation : null) ?? '';
    });
  }

  #turn(requestIdx: number, chat: Chat): Job {
    const messages = requestOfTurn(chat.body.messages, chat.answers);
    const body = Buffer.from(JSON.stringify({ ...chat.body, messages }), 'utf8');
    const part = { kind: 'turn' as const, number: chat.answers.length };
    const tokens = this.#estimate.of(body);
    const job: Job = { requestIdx, body: this.wanted.requestFor(body), tokens, part };
    this.#chats.set(job, chat);
    return job;
  }
}

/** A chat of which some turns are answered. */
interface Chat {
  body: Record<string, unknown> & { messages: SentMessage[] };
  answers: readonly string[];
}

/**
 * @param rules by which earlier answers are read
 * @param isSplit true where the provider gives one answer a request
 * @param onSplit called where an answer shows that the server does so
 */
export function openRowJobs(
  folder: Pick<RunFolder, 'jobs' | 'journal' | 'segments'>,
  index: JournalIndex,
  wanted: Wanted,
  { rules, isSplit, onSplit }: { rules: AnswerRules; isSplit: boolean; onSplit: () => void },
): RowJobs {
  const { parts } = index;
  if (parts === null) return new PlainJobs(folder.jobs, wanted);
  return parts.layout.kind === 'turn'
    ? new TurnJobs(folder, wanted, parts, rules)
    : new ChoiceJobs(folder.jobs, wanted, parts, { isSplit, onSplit });
}

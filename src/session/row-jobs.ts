/** The requests of a run's rows, one after the other, and those that answers lead to. */

import type { Completion } from '../models/completion.js';
import { choiceBody } from '../requests/choices.js';
import type { FollowUps, Job } from '../requests/processor.js';
import { TokenEstimate } from '../requests/tokens.js';
import type { RunFolder } from '../run/folder.js';
import { readJobs } from '../run/jobs.js';
import type { JournalIndex } from '../run/journal.js';
import type { RowParts } from '../run/parts.js';
import type { RetriableState } from '../types.js';

/** Which rows are to be sent, and with what. */
export interface Wanted {
  row: (row: number) => boolean;
  /** Of a row that takes several requests, the parts to be sent now, by their numbers. */
  parts: (row: number) => readonly number[];
  /** The request in place of a row's own. */
  requestFor: (body: Buffer) => Buffer;
}

/** Rows that have no answer yet, or one that is to be had again. */
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
    private isSplit: boolean,
    private readonly onSplit: () => void,
  ) {}

  *jobs(): Generator<Job> {
    for (const { requestIdx, body } of readJobs(this.path)) {
      if (!this.wanted.row(requestIdx)) continue;
      const numbers = this.wanted.parts(requestIdx);
      if (this.isSplit || numbers.length < this.parts.layout.requiredOf(requestIdx)) {
        for (const number of numbers) yield this.#single(requestIdx, body, number);
      } else {
        const request = this.wanted.requestFor(body);
        const job: Job = { requestIdx, body: request, tokens: this.#estimate.of(body) };
        this.#whole.set(job, body);
        yield job;
      }
    }
  }

  next(): Job | null {
    return this.#followUps.shift() ?? null;
  }

  answered(job: Job, { annotations }: Completion): void {
    const body = this.#whole.get(job);
    const asked = this.parts.layout.requiredOf(job.requestIdx);
    if (body === undefined || annotations.length >= asked) return;
    // A server that gives one answer where several are asked for gives no more to the other rows.
    if (annotations.length === 1 && !this.isSplit) {
      this.split();
      this.onSplit();
    }
    for (let number = annotations.length; number < asked; number++)
      this.#followUps.push(this.#single(job.requestIdx, body, number));
  }

  split(): void {
    this.isSplit = true;
  }

  #single(requestIdx: number, body: Buffer, number: number): Job {
    const tokens = this.#estimate.of(body);
    const request = this.wanted.requestFor(choiceBody(body, number));
    return { requestIdx, body: request, tokens, part: { kind: 'choice', number } };
  }
}

/**
 * @param isSplit true where the provider gives one answer a request
 * @param onSplit called where an answer shows that the server does so
 */
export function openRowJobs(
  folder: Pick<RunFolder, 'jobs'>,
  index: JournalIndex,
  wanted: Wanted,
  isSplit: boolean,
  onSplit: () => void,
): RowJobs {
  const { parts } = index;
  return parts === null
    ? new PlainJobs(folder.jobs, wanted)
    : new ChoiceJobs(folder.jobs, wanted, parts, isSplit, onSplit);
}

/** One simulated batch and its life, from its creation to its end. */

import { closeSync, openSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../lib/errors.js';
import { yieldToEventLoop } from '../lib/files.js';
import { hashOf } from './answers.js';
import {
  orderOfRows,
  readFault,
  rowFailures,
  type BatchFault,
  type ReadFault,
  type RowFailure,
} from './batch-faults.js';
import {
  NO_JSON,
  readBatchInput,
  readRow,
  SLICE_MS,
  type BatchInput,
  type BatchOrder,
  type InputError,
  type Row,
} from './batch-input.js';
import type { ChatEndpoint } from './chat.js';
import { newId, newLongId, unixTime, type FileStore, type StoredFile } from './files.js';
import { ApiError } from './http.js';
import { snapshotOf } from './models.js';
import type { SimulatorSettings } from './options.js';
import { ResultFile } from './result-file.js';
import type { Statistics } from './statistics.js';

/** Seconds from the creation of a batch until it expires, as far as it says itself. */
const WINDOW_SECONDS = 86_400;
/** The longest that a timer can wait. */
const FOREVER_MS = 2 ** 31 - 1;
/** Requests for an ended batch before it names its files. */
const LATE_READS = 6;
/** The limit that the fault `queue` names where none is set. */
const USUAL_TOKEN_LIMIT = 90_000;

/** What batches work with. */
export interface BatchParts {
  settings: SimulatorSettings;
  statistics: Statistics;
  files: FileStore;
  chat: ChatEndpoint;
}

type Status =
  | 'validating'
  | 'failed'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'expired'
  | 'cancelling'
  | 'cancelled';
type End = Extract<Status, 'failed' | 'completed' | 'expired' | 'cancelled'>;

/** What a batch is from its creation on. */
export interface BatchOrigin {
  /** How many batches were created before. */
  number: number;
  owner: string;
  order: BatchOrder;
  input: StoredFile;
  faults: ReadonlySet<BatchFault>;
}

/** Why requests of a batch were not worked on. */
const UNFINISHED = {
  batch_expired: 'This request could not be executed before the completion window expired.',
  batch_cancelled: 'This request was not executed because the batch was cancelled.',
} as const;

/** A line of a result file. */
interface ResultLine {
  id: string;
  custom_id: string;
  response: { status_code: number; request_id: string; body: unknown } | null;
  error: { code: string; message: string } | null;
}

/** A batch as OpenAI describes it: what other APIs translate. */
export interface Described {
  id: string;
  status: Status;
  input_file_id: string;
  output_file_id: string | null;
  error_file_id: string | null;
  created_at: number;
  in_progress_at: number | null;
  expires_at: number;
  completed_at: number | null;
  failed_at: number | null;
  expired_at: number | null;
  cancelling_at: number | null;
  cancelled_at: number | null;
  request_counts: { total: number; completed: number; failed: number };
  errors: { object: 'list'; data: readonly InputError[] } | null;
  model: string | null;
  metadata: Readonly<Record<string, string>> | null;
  [field: string]: unknown;
}

/** One batch and its life. */
export class Batch {
  readonly id: string;
  readonly owner: string;
  /** Input tokens while it is worked on. */
  enqueuedTokens = 0;
  readonly #createdAt = unixTime();
  /** The one that its requests name; null until they are checked. */
  #model: string | null = null;
  readonly #times = new Map<Status, number>();
  readonly #interruption = new AbortController();
  readonly #counts = { total: 0, completed: 0, failed: 0 };
  readonly #tokens = { input: 0, output: 0 };
  /** Faults of single lines of the output that are still to come. */
  readonly #lineFaults: Set<BatchFault>;
  #status: Status = 'validating';
  #errors: InputError[] = [];
  #ended = false;
  /** How often it was asked for since it ended. */
  #reads = 0;
  #wasRead = false;
  #stopped = false;
  #life: Promise<void> = Promise.resolve();
  readonly #output: ResultFile;
  readonly #failures: ResultFile;

  /** @param queue returns the tokens of all batches of the account that are in progress */
  constructor(
    private readonly parts: BatchParts,
    private readonly origin: BatchOrigin,
    private readonly queue: () => number,
  ) {
    this.id = origin.faults.has('long_ids') ? newLongId('batch') : newId('batch_', 16);
    this.owner = origin.owner;
    this.#lineFaults = new Set(origin.faults);
    this.#output = new ResultFile(parts.files, `${this.id}_output.jsonl`);
    this.#failures = new ResultFile(parts.files, `${this.id}_error.jsonl`);
  }

  /** @see https://platform.openai.com/docs/api-reference/batch/object */
  describe(): Described {
    const { order, input } = this.origin;
    const time = (status: Status): number | null => this.#times.get(status) ?? null;
    if (this.#ended) this.#reads += 1;
    return {
      id: this.id,
      object: 'batch',
      endpoint: order.endpoint,
      model: this.#model === null ? null : snapshotOf(this.#model),
      errors: this.#errors.length === 0 ? null : { object: 'list', data: this.#errors },
      input_file_id: input.id,
      completion_window: order.completionWindow,
      status: this.#status,
      output_file_id: this.#isLate('late_output') ? null : (this.#output.stored?.id ?? null),
      error_file_id: this.#isLate(null) ? null : (this.#failures.stored?.id ?? null),
      created_at: this.#createdAt,
      in_progress_at: time('in_progress'),
      expires_at: this.#createdAt + WINDOW_SECONDS,
      finalizing_at: time('finalizing'),
      completed_at: time('completed'),
      failed_at: time('failed'),
      expired_at: time('expired'),
      cancelling_at: time('cancelling'),
      cancelled_at: time('cancelled'),
      request_counts: this.#countsTold(),
      usage: this.#ended ? this.#usage() : null,
      metadata: order.metadata,
    };
  }

  /** True as long as it was not asked for often enough since its end. */
  #isLate(fault: BatchFault | null): boolean {
    const { faults } = this.origin;
    const isSpoilt = faults.has('late_files') || (fault !== null && faults.has(fault));
    return isSpoilt && this.#reads <= LATE_READS;
  }

  /** What spoils the answer to a request for this batch alone: the first one, where the fault is planned. */
  spoilRead(): ReadFault | null {
    if (this.#wasRead) return null;
    this.#wasRead = true;
    return readFault(this.origin.faults);
  }

  /** The batch as the list has it; null where it does not. */
  listed(): Described | (Omit<Described, 'id'> & { id: null }) | null {
    const { faults } = this.origin;
    // A client that reads the list first is to meet the fault as well.
    if (faults.has('unlisted') || (!this.#wasRead && readFault(faults) !== null)) return null;
    return faults.has('unreadable_entry') ? { ...this.describe(), id: null } : this.describe();
  }

  /** Begins to work; whatever goes wrong with that makes the batch fail. */
  start(): void {
    this.#life = this.#live().catch((error: unknown) => {
      this.#fail([{ code: 'server_error', message: messageOf(error), param: null, line: null }]);
    });
  }

  /** @throws ApiError (409) where the batch has ended */
  cancel(): void {
    if (this.#ended) {
      throw new ApiError(409, `Cannot cancel a batch with status '${this.#status}'.`);
    }
    if (this.#status !== 'cancelling') this.#become('cancelling');
    this.#interruption.abort();
  }

  /** Ends all work on it as if there had never been any. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#interruption.abort();
    await this.#life;
  }

  async #live(): Promise<void> {
    const { settings } = this.parts;
    const { order, input: file, faults } = this.origin;
    const descriptor = openSync(file.path, 'r');
    try {
      await this.#wait(settings.batchValidationMs);
      const input = await readBatchInput(file.path, file.bytes, order.endpoint);
      if (this.#interrupted()) this.#end('cancelled');
      else if (this.#admit(input)) {
        await this.#work(input, descriptor);
        if (!this.#stopped) {
          this.#store();
          this.#end(this.#interrupted() ? 'cancelled' : faults.has('expire') ? 'expired' : 'completed');
        }
      }
    } finally {
      this.#output.abandon();
      this.#failures.abandon();
      closeSync(descriptor);
    }
  }

  /** Fails where the input is no good or too much; else the batch is in progress from now on. */
  #admit(input: BatchInput): boolean {
    const { faults } = this.origin;
    const { enqueuedTokenLimit: limit } = this.parts.settings;
    const errors = [...input.errors];
    if (errors.length === 0) this.#model = input.model;
    if (errors.length === 0 && faults.has('validation')) {
      errors.push({ ...NO_JSON, line: Math.min(2, input.offsets.length) });
    }
    const overLimit = limit !== null && this.queue() + input.tokens > limit;
    if (errors.length === 0 && (overLimit || faults.has('queue'))) {
      errors.push(tokenLimitError(this.#model ?? '', limit ?? USUAL_TOKEN_LIMIT));
    }
    if (errors.length > 0) {
      this.#fail(errors);
      return false;
    }
    this.#counts.total = input.offsets.length;
    this.enqueuedTokens = input.tokens;
    this.#become('in_progress');
    return true;
  }

  /** Answers as many requests as there is time for, and says of the others why they have no answer. */
  async #work(input: BatchInput, descriptor: number): Promise<void> {
    const { settings } = this.parts;
    const { number, faults } = this.origin;
    const { total } = this.#counts;
    const order = orderOfRows(settings.seed, number, total);
    const failureAt = rowFailures(faults, total);
    const limit = faults.has('expire') || faults.has('stuck') ? total >> 1 : total;
    const rowAt = (place: number): Row => readRow(descriptor, input, order[place] ?? 0);
    const started = performance.now();
    let done = 0;
    while (done < limit && !this.#interrupted()) {
      const msPerRow = settings.batchDurationMs / total;
      const elapsed = performance.now() - started;
      const due = msPerRow === 0 ? limit : Math.min(limit, Math.floor(elapsed / msPerRow));
      const pause = performance.now() + SLICE_MS;
      while (done < due && performance.now() < pause) {
        this.#answer(rowAt(done), failureAt(done));
        done++;
      }
      if (done < due) await yieldToEventLoop();
      else if (done < limit) await this.#wait((done + 1) * msPerRow - elapsed);
    }
    if (faults.has('stuck')) await this.#wait(FOREVER_MS);
    if (!this.#interrupted()) this.#become('finalizing');
    await yieldToEventLoop();
    while (done < total && !this.#stopped) {
      const pause = performance.now() + SLICE_MS;
      while (done < total && performance.now() < pause) this.#leave(rowAt(done++));
      await yieldToEventLoop();
    }
  }

  #answer({ customId, body }: Row, failure: RowFailure | null): void {
    const torn = this.#lineFaults.has('torn_line');
    const answer =
      failure === null
        ? // Nobody can read an answer on a torn line, so it counts for none.
          this.parts.chat.complete(body, !torn, this.origin.order.endpoint)
        : { ...failure, usage: undefined };
    const line: ResultLine = {
      ...this.#lineHead(customId),
      response: {
        status_code: answer.status,
        request_id: hashOf(`${this.id} request ${customId}`),
        body: answer.body,
      },
      error: null,
    };
    if (answer.usage === undefined) {
      this.#counts.failed++;
      this.#failures.write(this.#textOf(line));
      return;
    }
    this.#counts.completed++;
    const { usage } = answer;
    this.#tokens.input += usage.prompt_tokens;
    this.#tokens.output += usage.completion_tokens;
    this.#writeAnswer(line);
  }

  #writeAnswer(line: ResultLine): void {
    const text = this.#textOf(line);
    if (this.#lineFaults.delete('lost_line')) return;
    if (this.#lineFaults.delete('torn_line')) {
      this.#output.write(text.slice(0, text.length >> 1));
      return;
    }
    this.#output.write(text);
    if (this.#lineFaults.delete('duplicate_line')) this.#output.write(text);
    if (this.#lineFaults.delete('foreign_line')) {
      this.#output.write(this.#textOf({ ...line, ...this.#lineHead('foreign-1') }));
    }
  }

  /** A request that is not worked on any more. */
  #leave({ customId }: Row): void {
    const code = this.#interrupted() ? 'batch_cancelled' : 'batch_expired';
    const error = { code, message: UNFINISHED[code] };
    this.#failures.write(this.#textOf({ ...this.#lineHead(customId), response: null, error }));
  }

  #lineHead(customId: string): Pick<ResultLine, 'id' | 'custom_id'> {
    return { id: `batch_req_${hashOf(`${this.id} ${customId}`)}`, custom_id: customId };
  }

  #textOf(line: ResultLine): string {
    const { error, ...rest } = line;
    return JSON.stringify(error === null && this.origin.faults.has('null_error_missing') ? rest : line);
  }

  /** Makes files of the results, where there are any. */
  #store(): void {
    const { order, faults } = this.origin;
    for (const file of [this.#output, this.#failures]) {
      file.store(this.owner, order.resultLifetime, faults);
    }
  }

  #countsTold(): { total: number; completed: number; failed: number } {
    const { total } = this.#counts;
    return this.origin.faults.has('lying_counts')
      ? { total, completed: total, failed: 0 }
      : { ...this.#counts };
  }

  #usage(): object {
    const { input, output } = this.#tokens;
    return {
      input_tokens: input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input + output,
    };
  }

  #fail(errors: InputError[]): void {
    this.#errors = errors;
    this.#end('failed');
  }

  #end(status: End): void {
    this.enqueuedTokens = 0;
    this.#ended = true;
    this.#become(status);
  }

  #become(status: Status): void {
    this.#status = status;
    this.#times.set(status, unixTime());
  }

  #interrupted(): boolean {
    return this.#interruption.signal.aborted;
  }

  /** Waits until it is interrupted. */
  async #wait(milliseconds: number): Promise<void> {
    const { signal } = this.#interruption;
    await delay(Math.max(0, milliseconds), undefined, { ref: false, signal }).catch(() => undefined);
  }
}

function tokenLimitError(model: string, limit: number): InputError {
  const message =
    `Enqueued token limit reached for ${model} in organization org-simulator. ` +
    `Limit: ${limit.toLocaleString('en-US')} enqueued tokens. ` +
    'Please try again once some in_progress batches have been completed.';
  return { code: 'token_limit_exceeded', message, param: null, line: null };
}

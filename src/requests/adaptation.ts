/**
 * What a refused request is sent again with: without a parameter that the model does not take (for the whole run), or
 * with fewer tokens for its answer where prompt and answer do not fit into the context together (for this row alone).
 */

import type { Job } from './processor.js';
import { addToSeed } from './choices.js';
import { applyChanges, drop, maximumIn, type ParameterChange, type ParameterFit } from './parameters.js';
import type { Verdict } from './verdict.js';

/** An answer of fewer tokens is of no use. */
const SHORTEST_ANSWER = 16;
/** Some messages only estimate what the prompt takes, so that a second one may be more exact. */
const MOST_SHORTENINGS = 3;
/** Parameters that may be tried one after the other. */
const MOST_TRIALS = 8;

export interface AdaptationEvents {
  parameterChanged(change: ParameterChange, message: string): void;
  /** A row is sent again with fewer tokens for its answer, because its prompt leaves no more. */
  shortened(job: Job, tokens: number, message: string): void;
}

/** What is special about one row's request. */
export interface RowAdaptation {
  /** Tokens that its answer may have; null for the run's own number. */
  room: number | null;
  shortenings: number;
  /** Added to the seed, so that a retry can be answered differently. */
  reseeds: number;
  trials: number;
  /** Changes that are tried because the refusal names them, and what it said. */
  trial: { changes: ParameterChange[]; message: string } | null;
}

export function newRow(): RowAdaptation {
  return { room: null, shortenings: 0, reseeds: 0, trials: 0, trial: null };
}

export type Refused = Extract<Verdict, { kind: 'row' | 'parameter' | 'value' }>;

/** A request that was refused, as it was sent. */
export interface SentRequest {
  job: Job;
  sent: Buffer;
  row: RowAdaptation;
}

/** What the run's answers so far say about its parameters. */
export interface RunSoFar {
  /** True where no row of this session was answered, and this is the only request in flight. */
  isFirst: boolean;
  /** True where the run has answers, so that its parameters are right. */
  hasAnswers: boolean;
}

/** What follows from a refusal. */
export type Outcome =
  | { action: 'send again' }
  /** The row fails; `explained` where that says nothing about other rows. */
  | { action: 'fail'; message: string; filtered: boolean; explained: boolean }
  /** Every row would be refused. */
  | { action: 'stop'; message: string };

export class Adaptation {
  /** @param needsMaximum true where the run can't do without a limit of each answer's tokens (`--max_cost`) */
  constructor(
    private readonly parameters: ParameterFit,
    private readonly needsMaximum: boolean,
    private readonly events: AdaptationEvents,
  ) {}

  /** The body to send for a row: the very same bytes where nothing was learnt. */
  bodyOf(job: Job, { room, reseeds }: RowAdaptation): Buffer {
    const body = this.parameters.apply(job.body);
    if (room === null && reseeds === 0) return body;
    const value = parsed(body);
    const maximum = maximumIn(value);
    if (room !== null && maximum !== null)
      applyChanges(value, [{ parameter: maximum.name, renamed_to: null, at_most: room, reason: '' }]);
    addToSeed(value, reseeds);
    return Buffer.from(JSON.stringify(value), 'utf8');
  }

  /** The row was answered: what was tried for it has helped. */
  answered(row: RowAdaptation): void {
    const { trial } = row;
    if (trial === null) return;
    row.trial = null;
    for (const change of trial.changes) this.events.parameterChanged(change, trial.message);
  }

  consider(verdict: Refused, request: SentRequest, { isFirst, hasAnswers }: RunSoFar): Outcome {
    const failed = this.#endTrial(verdict, request.row);
    if (failed !== null) return failed;
    switch (verdict.kind) {
      case 'row':
        return this.#shorten(verdict, request);
      case 'parameter':
        return verdict.certain || isFirst ? this.#change(verdict, request) : failure(verdict.message);
      case 'value':
        return this.#value(verdict, request, hasAnswers);
    }
  }

  /** A trial that brings the same refusal again was none; another refusal shows that it got further. */
  #endTrial(verdict: Refused, row: RowAdaptation): Outcome | null {
    const { trial } = row;
    if (trial === null) return null;
    if (verdict.message !== trial.message && verdict.kind !== 'value') {
      this.answered(row);
      return null;
    }
    row.trial = null;
    this.parameters.forget(trial.changes);
    return failure(trial.message);
  }

  #shorten(verdict: Extract<Verdict, { kind: 'row' }>, { job, sent, row }: SentRequest): Outcome {
    const { room, message, filtered, explained } = verdict;
    const maximum = room === null ? null : maximumIn(parsed(sent));
    const fits = room !== null && maximum !== null && room >= SHORTEST_ANSWER && room < maximum.value;
    if (!fits || row.shortenings >= MOST_SHORTENINGS) return { action: 'fail', message, filtered, explained };
    row.room = room;
    row.shortenings += 1;
    this.events.shortened(job, room, message);
    return { action: 'send again' };
  }

  #change(
    { changes, certain, message }: Extract<Verdict, { kind: 'parameter' }>,
    { job, sent, row }: SentRequest,
  ): Outcome {
    if (!certain && row.trials >= MOST_TRIALS) return failure(message);
    if (changes.some(({ parameter }) => parameter === 'service_tier'))
      return { action: 'stop', message: `${message} (without --service_tier the price would be another)` };
    const learnt = changes.flatMap((change) => this.parameters.learn(change) ?? []);
    if (learnt.length === 0) {
      // Requests that were in progress when the change was learnt are simply sent again.
      return this.bodyOf(job, row).equals(sent) ? failure(message) : { action: 'send again' };
    }
    if (this.needsMaximum && maximumIn(parsed(this.bodyOf(job, row))) === null) {
      this.parameters.forget(learnt);
      return { action: 'stop', message: `${message} (without --max_tokens, --max_cost can't be kept)` };
    }
    if (certain) for (const change of learnt) this.events.parameterChanged(change, message);
    else {
      row.trial = { changes: learnt, message };
      row.trials += 1;
    }
    return { action: 'send again' };
  }

  /** A default of ours that is out of range is left out; a value that the user chose is left for the user to change. */
  #value(
    { parameter, message }: Extract<Verdict, { kind: 'value' }>,
    request: SentRequest,
    hasAnswers: boolean,
  ): Outcome {
    if (!this.parameters.isGiven(parameter)) {
      const changes = [drop(parameter, 'the API rejects its default value')];
      return this.#change({ kind: 'parameter', changes, certain: true, message }, request);
    }
    return hasAnswers ? failure(message) : { action: 'stop', message };
  }
}

function failure(message: string): Outcome {
  return { action: 'fail', message, filtered: false, explained: false };
}

function parsed(body: Buffer): Record<string, unknown> {
  return JSON.parse(body.toString('utf8')) as Record<string, unknown>;
}

/**
 * What a simulator did. Every chat request counts once: as answered, throttled, rejected or aborted, or under its
 * fault; only a `drip` that was read to its end counts as answered, too. Answers that batches give count as answered,
 * but their requests are none of those.
 */

export interface SimulatorStatistics {
  /** Chat requests received. */
  requests: number;
  /** Whole and faultless answers. */
  answered: number;
  /** Refused by a rate limit. */
  throttled: number;
  /** Refused because of what they asked or who asked (400, 401, 404, 413). */
  rejected: number;
  /** Given up by the client before an answer. */
  aborted: number;
  /** Faults by kind. */
  faults: Record<string, number>;
  /** Answered from the answers file. */
  replayed: number;
  /** Hash of the messages (see `promptHash`) and the answers given to them. */
  answersByPrompt: Record<string, number>;
  /** Requests to the datasets-server and the Hub. */
  hubRequests: number;
  /** Faults of the datasets-server by kind. */
  hubFaults: Record<string, number>;
  /** Requests to the Files and Batch APIs. */
  batchRequests: number;
  /** Batches made, whatever became of them. */
  batchesCreated: number;
  /** Files uploaded; those that batches write are none. */
  filesUploaded: number;
  /** Requests for the content of a file or a range of it, cut ones included. */
  fileDownloads: number;
}

type Count =
  | 'requests'
  | 'answered'
  | 'throttled'
  | 'rejected'
  | 'aborted'
  | 'replayed'
  | 'hubRequests'
  | 'batchRequests'
  | 'batchesCreated'
  | 'filesUploaded'
  | 'fileDownloads';

export class Statistics {
  readonly #counts: Record<Count, number> = {
    requests: 0,
    answered: 0,
    throttled: 0,
    rejected: 0,
    aborted: 0,
    replayed: 0,
    hubRequests: 0,
    batchRequests: 0,
    batchesCreated: 0,
    filesUploaded: 0,
    fileDownloads: 0,
  };
  readonly #faults = new Map<string, number>();
  readonly #hubFaults = new Map<string, number>();
  readonly #answers = new Map<string, number>();

  count(what: Count): void {
    this.#counts[what]++;
  }

  /** A whole and faultless answer to the messages with this hash. */
  countAnswer(prompt: string): void {
    this.#counts.answered++;
    increment(this.#answers, prompt);
  }

  countFault(fault: string): void {
    increment(this.#faults, fault);
  }

  countHubFault(fault: string): void {
    increment(this.#hubFaults, fault);
  }

  snapshot(): SimulatorStatistics {
    return {
      ...this.#counts,
      faults: Object.fromEntries(this.#faults),
      answersByPrompt: Object.fromEntries(this.#answers),
      hubFaults: Object.fromEntries(this.#hubFaults),
    };
  }
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

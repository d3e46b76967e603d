/** Requests that a dry run does not count, because `--reuse` or `--dedupe` would spare them. */

import { answeredRequests } from '../run/answer-source.js';
import { DigestSet, digestOf } from '../lib/digests.js';
import type { ModelCall } from '../models/call.js';
import type { RunPolicy } from '../run/settings.js';
import type { Console } from '../terminal/progress.js';
import { count } from '../lib/text.js';
import { findAnswerSources } from './answer-sources.js';
import { readingOf } from './share-answers.js';

export class SparedRequests {
  readonly #seen = new DigestSet();
  #reused = 0;
  #deduped = 0;

  private constructor(
    /** Requests that earlier runs have answers for. */
    private readonly answered: DigestSet,
    private readonly isDeduping: boolean,
  ) {}

  /**
   * Reads which requests the runs of `--reuse` have answered.
   * @param tempDir where runs are looked for that are named without a folder
   */
  static async open(
    call: ModelCall,
    policy: RunPolicy,
    tempDir: string,
    console: Console,
  ): Promise<SparedRequests> {
    const answered = new DigestSet();
    const { reuse, dedupe } = policy;
    const endProgress = console.showProgress(() => `Reading earlier answers: ${count(answered.size)}`);
    try {
      const reading = await readingOf(call, policy);
      for (const path of reuse) {
        for (const source of await findAnswerSources(path, tempDir))
          for await (const body of answeredRequests(source, reading)) answered.add(digestOf(body));
      }
    } finally {
      endProgress();
    }
    return new SparedRequests(answered, dedupe);
  }

  /** Whether a request, in the order of the rows, need not be sent. Digests are compared alone: it is an estimate. */
  has(body: string): boolean {
    if (this.answered.size === 0 && !this.isDeduping) return false;
    const digest = digestOf(body);
    if (this.answered.has(digest)) {
      this.#reused += 1;
      return true;
    }
    if (!this.isDeduping || this.#seen.add(digest)) return false;
    this.#deduped += 1;
    return true;
  }

  get counts(): { reused_rows: number; deduped_rows: number } {
    return { reused_rows: this.#reused, deduped_rows: this.#deduped };
  }
}

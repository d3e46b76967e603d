/** Reads the state of many batches with few requests. */

import pLimit from 'p-limit';
import type { Batch } from './batch.js';
import { callFailed, isTransient, type CallFailed } from './calls.js';
import type { BatchApi, BatchPage } from './apis/batch-api.js';

const AT_ONCE = 5;

export interface ReadBatches {
  found: Map<string, Batch>;
  /** Ids that the API says it does not know, or not for this key, with its answer. */
  missing: Map<string, CallFailed>;
  /** Ids that the API says nothing about, although it answers for others. */
  refused: Map<string, CallFailed>;
}

export class BatchReader {
  /** False once the server said that it does not list batches. */
  #lists = true;

  constructor(private readonly client: BatchApi) {}

  /**
   * Reads batches: pages of the account's list as long as one is cheaper than asking for each, then one by one.
   * @throws CallFailed where the API can't be reached, or refuses to say anything about any of them
   */
  async read(ids: readonly string[]): Promise<ReadBatches> {
    const result: ReadBatches = { found: new Map(), missing: new Map(), refused: new Map() };
    if (this.#lists && ids.length > 1) await this.#fromList(new Set(ids), result);
    const limit = pLimit(AT_ONCE);
    const rest = ids.filter((id) => !result.found.has(id));
    await Promise.all(rest.map((id) => limit(() => this.#one(id, result))));
    const [refusal] = result.refused.values();
    if (refusal !== undefined && result.found.size + result.missing.size === 0) throw refusal;
    return result;
  }

  async #fromList(ids: ReadonlySet<string>, { found }: ReadBatches): Promise<void> {
    let after: string | null = null;
    // A page that brings nothing means that the rest is far back; asking for each is sure.
    for (let pages = 1; pages <= ids.size - found.size; pages++) {
      let page: BatchPage;
      try {
        page = await this.client.list(after);
      } catch (error) {
        const { status, verdict } = callFailed(error);
        // Whatever else is wrong with the list, asking for each batch shows it, or works.
        if (status !== null && verdict.kind !== 'throttle') this.#lists = status >= 500;
        return;
      }
      const before = found.size;
      for (const batch of page.batches) if (ids.has(batch.id)) found.set(batch.id, batch);
      if (page.next === null || found.size === before) return;
      after = page.next;
    }
  }

  async #one(id: string, { found, missing, refused }: ReadBatches): Promise<void> {
    try {
      found.set(id, await this.client.retrieve(id));
    } catch (error) {
      const failure = callFailed(error);
      if (isTransient(failure) || failure.status === null) throw failure;
      (failure.isAbsence ? missing : refused).set(id, failure);
    }
  }
}

/**
 * What a worker keeps open from one shard to the next. A shard may take seconds: to learn limits, load and parameters again
 * each time, one request at a time at first, would leave much of the account's limits unused.
 */

import type { ModelCall } from '../models/call.js';
import type { WarmServers } from './online-session.js';

export class SessionPool {
  readonly #kept = new Map<string, WarmServers>();

  /** The servers of a call, opened where this is its first session. Sessions of one call follow each other. */
  async take(call: ModelCall, open: () => Promise<WarmServers>): Promise<WarmServers> {
    const key = keyOf(call);
    const kept = this.#kept.get(key) ?? (await open());
    this.#kept.set(key, kept);
    return kept;
  }

  /** True for servers that stay open after their session. */
  keeps(servers: WarmServers): boolean {
    return [...this.#kept.values()].includes(servers);
  }

  /** Closes everything. */
  async close(): Promise<void> {
    const kept = [...this.#kept.values()];
    this.#kept.clear();
    for (const { client } of kept) await client.abort();
  }
}

/** What decides how requests are sent, and what they reserve. */
function keyOf({ annotator, baseUrl, apiKeyVariable, servers, generation, limits }: ModelCall): string {
  // A list in a file is followed while its servers are open.
  const listed = servers === null ? null : (servers.file ?? servers.servers);
  return JSON.stringify([annotator.name, baseUrl, apiKeyVariable, listed, generation, limits]);
}

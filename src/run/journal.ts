/**
 * `output.jsonl`, the journal: every answer as it arrived, append-only, one line a row:
 * `[request, response, {"request_idx":N}]`, or `[request, ["error", …], {"request_idx":N}]` for a row that failed for
 * good. It is what was paid for: never rewritten, never deleted.
 */

export * from './journal-index.js';
export { noteDamaged } from './journal-repair.js';
export * from './journal-scan.js';
export * from './journal-writer.js';

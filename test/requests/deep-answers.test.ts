import { expect, it } from 'vitest';
import { classifyResult, readResultLine } from '../../src/batches/results.js';
import { classifyResponse } from '../../src/requests/verdict.js';

const DEEP = '['.repeat(200_000) + ']'.repeat(200_000);
const ANSWER = `{"choices":[{"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],\n"z":${DEEP}}`;

it('an answer that is nested 200,000 deep is its row’s problem', () => {
  for (const [status, body] of [
    [200, ANSWER],
    [200, `{"choices":${DEEP}}`],
    [400, `{"error":{"message":${DEEP}}}`],
    [429, `{"error":${DEEP}}`],
  ] as const)
    expect(classifyResponse({ status, headers: {}, body: Buffer.from(body) }).kind).not.toBe('run');
});

it('so is a line of a batch', () => {
  const line = `{"custom_id":"request-0","response":{"status_code":200,"body":${ANSWER.replace('\n', '')}}}`;
  const read = readResultLine(Buffer.from(line));
  expect(read === null ? null : classifyResult(read).kind).toBe('row');
});

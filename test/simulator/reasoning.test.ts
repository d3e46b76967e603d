import { describe, expect, it } from 'vitest';
import { readBody } from '../../src/requests/answer-body.js';
import { readAnswer } from '../../src/models/completion.js';
import { NO_SECRETS } from '../../src/secrets/redactor.js';
import { REASONING_KIND_NAMES } from '../../src/simulator/reasoning.js';
import { post, simulate } from './support.js';

describe('a simulated reasoning model', () => {
  it.each(REASONING_KIND_NAMES)('says so by %s, whole and streamed', async (kind) => {
    const simulator = await simulate({ reasoning: kind });
    const ask = async (more: object): Promise<ReturnType<typeof readAnswer>> => {
      const response = await post(simulator, { messages: [{ role: 'user', content: 'Why?' }], ...more });
      const bytes = Buffer.from(await response.arrayBuffer());
      const read = readBody(bytes, {}, NO_SECRETS);
      if (read.kind !== 'json') throw new Error(read.description);
      return readAnswer(read.value);
    };
    const whole = await ask({});
    if (whole.kind !== 'whole') throw new Error(whole.kind);
    const { annotation, reasonings, usage } = whole.completion;
    expect(annotation).toMatch(/^Answer /);
    expect(reasonings[0]?.length).toBeGreaterThan(20);
    expect(usage?.reasoningTokens).toBeGreaterThan(5);
    const streamed = await ask({ stream: true, stream_options: { include_usage: true } });
    expect(streamed).toMatchObject({ kind: 'whole', completion: { annotation, reasonings, usage } });
    // All tokens go into thinking.
    expect(await ask({ max_tokens: 3 })).toMatchObject({
      completion: { state: 'truncated', annotation: null },
    });
  });
});

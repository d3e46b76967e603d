import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeErrors, idDigest, isQueueRefusal, queueLimit, readBatch } from '../../src/batches/batch.js';
import { isId } from '../../src/batches/id.js';
import { batchMetadata, isOtherFile, readOrigin } from '../../src/batches/metadata.js';
import { classifyResult, readResultLine } from '../../src/batches/results.js';
import { earlierFlags } from '../../src/batches/adopt.js';
import { chooseGeneration } from '../../src/models/generation.js';
import type { IdentityFlags, RunIdentity } from '../../src/run/identity.js';

const asked: IdentityFlags = {
  dataset: 'me/data',
  subset: null,
  split: null,
  format: null,
  prompt_column: null,
  response_column: null,
  system_column: null,
  input_column: null,
  messages_column: null,
  tools_column: null,
  prompt_template: null,
  system_prompt: null,
  turns: null,
  keep_columns: null,
  encoding: null,
  limit: null,
  offset: 0,
  annotator: 'gpt-4o-mini',
  model: 'gpt-4o-mini',
  ...chooseGeneration({ temperature: 1, top_p: 1 }, new Set(['temperature', 'top_p']), true).generation,
};

function identity(more: Partial<IdentityFlags>): RunIdentity {
  return {
    version: 1,
    uuid: 'a-uuid',
    created: '2026_01_31-12_00_00',
    asked: { ...asked, ...more },
    found: { revision: 'abc', subset: null, split: 'train', format: 'alpaca', columns: [] },
  };
}

describe('a Batch object', () => {
  it('is read with any content, or is null', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const batch = readBatch(value);
        if (batch !== null) expect(isId(batch.id)).toBe(true);
      }),
    );
  });

  it.each([
    'batch_abc',
    'batches/abc',
    '../x',
    'a..b',
    'a b',
    'YmF0Y2g+/9==',
    'größe-第一',
    'x'.repeat(4096),
    'id;with,signs?#%2F&',
  ])('takes %s for an id, since ids are opaque', (id) => {
    expect(readBatch({ id, status: 'completed' })?.id).toBe(id);
    expect(idDigest(id)).toMatch(/^[0-9a-f]{24}$/);
  });

  it.each(['', '.', '..', 'a\nb', 'a\u0000b', ' a', 'a\u0085', 'a\u2028b', '\ud800', 'x'.repeat(4097)])(
    'does not take %j for an id',
    (id) => {
      expect(readBatch({ id, status: 'completed' })).toBeNull();
    },
  );

  it.each([
    ['COMPLETED', 'completed'],
    [' Failed', 'failed'],
    ['SUCCESS', 'completed'],
    ['TIMEOUT_EXCEEDED', 'expired'],
    ['CANCELLATION_REQUESTED', 'cancelling'],
    ['PROGRESS', 'in_progress'],
    ['canceled', 'cancelled'],
    ['something_new', 'something_new'],
  ])('reads the status %s', (status, expected) => {
    expect(readBatch({ id: 'a', status })?.status).toBe(expected);
  });

  it.each([
    [1_700_000_000, 1_700_000_000],
    [1_700_000_000_123, 1_700_000_000],
    ['2023-11-14T22:13:20Z', 1_700_000_000],
    ['never', 0],
    [null, 0],
  ])('reads the time %s', (time, expected) => {
    expect(readBatch({ id: 'a', status: 'completed', created_at: time })?.createdAt).toBe(expected);
  });

  it('is found in a wrapping answer, and says whether there are counts', () => {
    const job = { id: 'b', status: 'VALIDATING', request_counts: null };
    expect(readBatch({ job, warning: '' })).toMatchObject({
      id: 'b',
      status: 'validating',
      hasCounts: false,
    });
  });

  it('reports why it failed, with line numbers and without control characters', () => {
    const batch = readBatch({
      id: 'batch_1',
      status: 'failed',
      errors: {
        data: [
          { code: 'invalid_json_line', message: 'This line is no JSON.\u001b[31m', line: 17 },
          { code: 'x', message: '', line: null },
          { message: 'third' },
          { message: 'fourth' },
          { message: 'fifth' },
        ],
      },
    });
    expect(batch === null ? '' : describeErrors(batch)).toBe(
      'line 17: This line is no JSON.; x; third; and 2 more errors',
    );
  });

  it('knows the queue’s refusal and the limit it names', () => {
    const message =
      'Enqueued token limit reached for gpt-4o in organization org-x. Limit: 90,000 enqueued tokens. Please try again.';
    const batch = readBatch({
      id: 'batch_1',
      status: 'failed',
      errors: { data: [{ code: 'token_limit_exceeded', message, line: null }] },
    });
    expect(batch !== null && isQueueRefusal(batch)).toBe(true);
    expect(queueLimit(message)).toBe(90_000);
    expect(queueLimit('no number here')).toBeNull();
  });
});

describe('the metadata of a batch', () => {
  it('stays within the API’s limits and gives the run back, for any flags', () => {
    const flags = fc.record({
      stop: fc.option(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 200 }), { minLength: 1, maxLength: 4 }),
      ),
      limit: fc.option(fc.nat()),
      temperature: fc.double({ min: 0, max: 2, noNaN: true }),
      logit_bias: fc.option(
        fc.dictionary(fc.integer({ min: 0, max: 200_000 }).map(String), fc.integer({ min: -100, max: 100 })),
      ),
      prompt_column: fc.option(fc.string({ minLength: 1, maxLength: 300 })),
    });
    fc.assert(
      fc.property(flags, (more) => {
        const run = identity(more);
        const metadata = batchMetadata(run, { chunk: 3, attempt: 2, creation: 'c'.repeat(36) });
        expect(Object.keys(metadata).length).toBeLessThanOrEqual(16);
        for (const [name, value] of Object.entries(metadata)) {
          expect(name.length).toBeLessThanOrEqual(64);
          expect(value.length).toBeLessThanOrEqual(512);
        }
        const origin = readOrigin(metadata);
        expect(origin).toMatchObject({
          run: 'a-uuid',
          chunk: 3,
          attempt: 2,
          revision: 'abc',
          creation: 'c'.repeat(36),
        });
        if (origin?.asked === null || origin === null) return;
        expect(JSON.stringify(earlierFlags(origin, asked))).toBe(JSON.stringify(run.asked));
      }),
    );
  });

  it.each([
    ['the same path, content unknown', { path: 'p', content: null }, { path: 'p', content: 'c' }, false],
    ['another path, content unknown', { path: 'p', content: null }, { path: 'q', content: null }, true],
    ['moved', { path: 'p', content: 'c' }, { path: 'q', content: 'c' }, false],
    ['edited in its place', { path: 'p', content: 'c' }, { path: 'p', content: 'd' }, true],
    ['of the Hub', null, { path: 'p', content: 'c' }, false],
  ])('tells files of one name apart: %s', (_, theirs, ours, isOther) => {
    const metadata = {
      ...batchMetadata(identity({}), { chunk: 0, attempt: 1, creation: null }),
      ...(theirs === null ? {} : { source: JSON.stringify(theirs) }),
    };
    const origin = readOrigin(metadata);
    expect(origin !== null && isOtherFile(origin, ours)).toBe(isOther);
  });

  it('names no run if another tool wrote it', () => {
    expect(readOrigin({})).toBeNull();
    expect(
      readOrigin({ tool: 'reannotate', run: 'x', dataset: 'd', annotator: 'a', chunk: '-1' }),
    ).toBeNull();
  });
});

describe('a result line', () => {
  const line = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

  it('is read or refused with any content', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const read = readResultLine(line(value));
        if (read !== null) expect(classifyResult(read).kind).not.toBe('');
      }),
    );
  });

  it.each([
    [
      { custom_id: '1', response: null, error: { code: 'batch_expired', message: 'Too late.' } },
      'transient',
      'batch_expired: Too late.',
    ],
    [
      { custom_id: '1', response: { status_code: 0, body: '' }, error: null },
      'transient',
      'no answer (status 0, empty body)',
    ],
    [
      { custom_id: '1', response: { status_code: 200, body: null } },
      'transient',
      'no answer (status 200, empty body)',
    ],
    [{ custom_id: '1' }, 'transient', 'no answer'],
    [
      { custom_id: '1', response: { status_code: 400, body: { error: { message: 'Bad.', code: 'bad' } } } },
      'row',
      '400 bad: Bad.',
    ],
    [
      { custom_id: '1', response: { status_code: 500, body: { error: { message: 'Sorry.' } } } },
      'transient',
      '500: Sorry.',
    ],
    // What vLLM's `run-batch` writes: the refusal beside an empty response, as its class has it or as text.
    [
      {
        custom_id: '1',
        response: { status_code: 400, request_id: 'vllm-batch-1', body: null },
        error: { error: { message: 'Too long.', type: 'BadRequestError', param: null, code: 400 } },
      },
      'row',
      '400: Too long.',
    ],
    [
      {
        custom_id: '1',
        response: { status_code: 400, request_id: 'vllm-batch-1', body: null },
        error: { object: 'error', message: 'Too long.', type: 'BadRequestError', param: null, code: 400 },
      },
      'row',
      '400: Too long.',
    ],
    [
      {
        custom_id: '1',
        response: { status_code: 400, body: null },
        error: 'Request must not be sent in stream mode',
      },
      'row',
      '400: Request must not be sent in stream mode',
    ],
    [
      { custom_id: '1', response: { status_code: 500, body: null }, error: 'EngineDeadError' },
      'transient',
      '500: EngineDeadError',
    ],
    // SGLang: what happened in both places, without a status.
    [
      { custom_id: '1', response: { message: 'No room.' }, error: { message: 'No room.' } },
      'transient',
      'No room.',
    ],
    [{ custom_id: '1', error: 'timed out' }, 'transient', 'timed out'],
  ])('%j', (value, kind, message) => {
    const read = readResultLine(line(value));
    expect(read === null ? null : classifyResult(read)).toMatchObject({ kind, message });
  });

  const choice = { index: 0, message: { role: 'assistant', content: 'Hello.' }, finish_reason: 'stop' };
  it.each<[string, object]>([
    ['OpenAI', { status_code: 200, request_id: 'r', body: { choices: [choice] } }],
    [
      'vLLM',
      { status_code: 200, request_id: 'vllm-batch-1', body: { choices: [choice], prompt_logprobs: null } },
    ],
    ['SGLang, where the only choice is no list', { status_code: 200, body: { choices: choice } }],
    ['a script that leaves the wrapping out', { choices: [choice] }],
    ['the same with the only choice', { choices: choice }],
  ])('is an answer as %s writes it', (_, response) => {
    const read = readResultLine(line({ custom_id: '1', response, error: null }));
    const verdict = read === null ? null : classifyResult(read);
    expect(verdict).toMatchObject({ kind: 'answer', completion: { state: 'ok' } });
    expect(verdict?.kind === 'answer' ? JSON.parse(verdict.json.toString()) : null).toMatchObject({
      choices: [choice],
    });
  });
});

import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { it, vi } from 'vitest';
import { classifyFailure, classifyResponse } from '../../src/requests/verdict.js';
import { Redactor } from '../../src/secrets/redactor.js';
import { sanitize } from '../../src/lib/text.js';
import { apiError, completion } from '../support/scripted-api.js';
import { secretIn, spellings } from '../support/spelled.js';
import { cases, Tally } from './tally.js';
import { BEFORE_SECRETS } from '../support/before-secrets.js';

vi.setConfig({ testTimeout: 3_600_000 });

const KEYS = [
  'sk-proj-Ab3_dE5gH7jK9-mN1pQ2rS4tU6vW8xY0zAbC',
  'sk-very+secret\\y%41/key="1"&x9',
  'hf_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbC',
  '0123456789abcdef0123456789abcdef',
];
const redactor = new Redactor(KEYS.map((value) => ({ value, source: 'KEY' })));

const filler = fc.oneof(
  fc.string({ maxLength: 400 }),
  fc.nat(4500).map((length) => 'p'.repeat(length)),
  fc.constantFrom(...BEFORE_SECRETS),
);
/** A text that holds a key somewhere, and how the key is written there. */
const text = fc
  .constantFrom(...KEYS)
  .chain((key) => fc.tuple(filler, spellings(key), filler))
  .map(([before, spelled, after]) => ({ spelled, shown: before + spelled + after }));

/** Text as JSON, where any character may be written as an escape. */
function asJson(value: unknown, escapeAll: boolean): string {
  const json = JSON.stringify(value);
  if (!escapeAll) return json;
  return json.replace(/[a-zA-Z0-9](?=[^"]*"[,}\]])/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`);
}

type Place = (shown: string, escapeAll: boolean) => string;

const answered = (status: number, body: Buffer | string, headers: Record<string, string> = {}): string => {
  const verdict = classifyResponse({ status, headers, body: Buffer.from(body) }, null, undefined, redactor);
  const json = 'json' in verdict ? verdict.json.toString('utf8') : '';
  return `${JSON.stringify({ ...verdict, json: undefined })}\n${json}`;
};

/** Where a key turns up, and what is kept and shown then. */
const PLACES: Readonly<Record<string, Place>> = {
  'an answer': (shown, all) => answered(200, asJson(completion(shown), all)),
  'a model’s name': (shown, all) => answered(200, asJson(completion('x', { model: shown }), all)),
  'a refusal': (shown, all) => answered(200, asJson(completion(null, { refusal: shown }), all)),
  'a finish reason': (shown) => answered(200, asJson(completion('x', { finish: shown }), false)),
  'a compressed answer': (shown, all) => answered(200, gzipSync(asJson(completion(shown), all))),
  'an error': (shown, all) => answered(400, asJson(apiError(400, shown, shown, shown).body, all)),
  'an error inside an error': (shown) =>
    answered(500, asJson({ error: JSON.stringify({ message: shown }) }, false)),
  'an error in an answer': (shown, all) =>
    answered(200, asJson({ error: { message: shown, code: 401 } }, all)),
  'a page': (shown) => answered(502, `<html><title>${shown}</title>`),
  'a header': (shown) => answered(307, '', { location: shown, 'x-amzn-errortype': shown }),
  'another content type': (shown) => answered(200, 'none', { 'content-type': shown }),
  'a failed connection': (shown) => JSON.stringify(classifyFailure(new Error(shown), redactor)),
  'a streamed answer': (shown) => {
    const pieces = [...Array.from(shown), ''].map((content) => ({
      choices: [{ index: 0, delta: { content }, finish_reason: content === '' ? 'stop' : null }],
    }));
    return answered(
      200,
      `${pieces.map((piece) => `data: ${JSON.stringify(piece)}\n\n`).join('')}data: [DONE]\n\n`,
    );
  },
  'a message': (shown) => sanitize(redactor.text(shown), 2000),
  'a row': (shown) => JSON.stringify(redactor.value({ [shown]: [shown, { deep: { [shown]: shown } }] })),
};

it('no secret gets out, in any spelling, from any place of an answer', async () => {
  const tally = new Tally('fuzz: secrets in any spelling, at any place of what servers send');
  const places = Object.keys(PLACES);
  const samples = fc.sample(
    fc.record({ place: fc.constantFrom(...places), text, escapeAll: fc.boolean() }),
    cases(150, 10_000),
  );
  await tally.play(
    samples,
    ({ place, text: { shown } }) => `${place}: ${JSON.stringify(shown).slice(0, 300)}`,
    ({ place, text: { shown, spelled }, escapeAll }) => {
      const output = PLACES[place]?.(shown, escapeAll) ?? '';
      // A decoder may join half an escape before the key with its first characters, and so miss the key.
      const asWritten = [spelled, JSON.stringify(spelled).slice(1, -1)].find((one) => output.includes(one));
      const found = asWritten ?? secretIn(output, KEYS);
      return Promise.resolve({ problem: found === null ? null : `${found} is there` });
    },
  );
  tally.expectAll();
});

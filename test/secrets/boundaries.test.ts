import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openDataset } from '../../src/datasets/index.js';
import { redactedDataset } from '../../src/datasets/redacted.js';
import { HubClient } from '../../src/datasets/hub-client.js';
import { warnOfPlainKey } from '../../src/models/endpoint.js';
import { readAddress } from '../../src/http/address.js';
import { classifyFailure, classifyResponse } from '../../src/requests/verdict.js';
import { Redactor } from '../../src/secrets/redactor.js';
import { apiError, completion, scriptedApi } from '../support/scripted-api.js';
import { secretIn } from '../support/spelled.js';
import type { Reporter } from '../../src/types.js';

const KEY = 'sk-SECRETab/cd+efGHIJKLMNOPQRSTUVWXYZ0123456789';
const redactor = new Redactor([{ value: KEY, source: 'KEY' }]);
const escaped = Array.from(KEY, (one) => `\\u00${one.charCodeAt(0).toString(16)}`).join('');
const silent = {
  debug: () => undefined,
  info: () => undefined,
  warning: () => undefined,
  error: () => undefined,
};

/** What is stored and shown of an answer. */
function kept(body: string | Buffer, status = 200, headers: Record<string, string> = {}): string {
  const verdict = classifyResponse({ status, headers, body: Buffer.from(body) }, null, undefined, redactor);
  const json = 'json' in verdict ? verdict.json.toString() : '';
  return JSON.stringify({ ...verdict, json: undefined }) + json;
}

describe('an answer', () => {
  const answer = JSON.stringify(completion('your key is @@', { model: '@@' }));

  it('has no key written as escapes, in its text or its model', () => {
    expect(secretIn(kept(answer.replaceAll('@@', escaped)), [KEY])).toBeNull();
    expect(secretIn(kept(answer.replaceAll('@@', KEY.replaceAll('/', '\\/'))), [KEY])).toBeNull();
  });

  it('has none from answers with undeclared compression, in UTF-16, or streamed without being asked to', () => {
    const text = answer.replaceAll('@@', KEY);
    const pieces = [...Array.from(KEY), ''].map((content) => ({
      choices: [{ index: 0, delta: { content }, finish_reason: content === '' ? 'stop' : null }],
    }));
    const stream = pieces.map((piece) => `data: ${JSON.stringify(piece)}\n\n`).join('');
    for (const body of [
      gzipSync(text),
      Buffer.from(`\ufeff${text}`, 'utf16le'),
      Buffer.from(`${stream}data: [DONE]\n\n`),
    ]) {
      const all = kept(body);
      expect(all).toContain('[redacted]');
      expect(secretIn(all, [KEY])).toBeNull();
    }
  });

  it('has none where an error is cut, in any field, in JSON inside JSON, or in a header', () => {
    for (let pad = 230; pad < 302; pad++) {
      const { body } = apiError(400, `${'p'.repeat(pad)}${KEY} tail`, 'x'.repeat(pad - 230) + KEY);
      expect(kept(JSON.stringify(body), 400)).not.toContain(KEY.slice(0, 9));
    }
    const inner = JSON.stringify({ error: { message: JSON.stringify({ error: `bad key ${KEY}` }) } });
    expect(secretIn(kept(inner.replaceAll('sk-', '\\\\\\u0073k-'), 400), [KEY])).toBeNull();
    expect(kept('', 307, { location: `http://127.0.0.1/?k=${encodeURIComponent(KEY)}` })).toContain(
      '[redacted]',
    );
    expect(kept(`<html><title>${KEY}</title>`, 200, { 'content-type': `text/${KEY}` })).not.toContain(
      'sk-SECRET',
    );
    expect(JSON.stringify(classifyFailure(new Error('x'.repeat(190) + KEY), redactor))).not.toContain(
      'sk-SECR',
    );
  });
});

describe('a dataset of the Hub', () => {
  const token = 'hf_SECRETtokenABCDEFGHIJKLMNOP12345';

  it('that repeats the token is read without it', async () => {
    const api = await scriptedApi(({ path, headers }) => {
      const seen = String(headers.authorization).replace('Bearer ', '');
      const shown = Buffer.from(seen).toString('base64');
      const answers: Record<string, unknown> = {
        '/splits': { splits: [{ config: 'default', split: 'train' }] },
        '/rows': {
          features: [{ name: 'prompt' }, { name: `x${seen}` }],
          rows: [{ row: { prompt: `say ${seen} and ${shown}`, [`x${seen}`]: seen }, truncated_cells: [] }],
          num_rows_total: 1,
        },
      };
      return { headers: { 'x-revision': seen }, body: answers[path.split('?')[0] ?? ''] ?? {} };
    });
    const hub = { endpoint: api.url, datasetsServerUrl: api.url, token };
    const opened = await openDataset({ dataset: 'a/b', subset: null, split: null }, hub, silent);
    const rows = [];
    for await (const row of opened.rows({ columns: opened.columns, offset: 0, limit: null })) rows.push(row);
    expect(rows).toHaveLength(1);
    expect(secretIn(JSON.stringify([opened, rows]), [token])).toBeNull();
  });

  it('or any other has no secret in cells, names and facts', async () => {
    const dataset = redactedDataset(
      {
        columns: ['prompt', `x ${KEY}`],
        totalRows: 1,
        revision: KEY,
        subset: null,
        split: null,
        warnings: [KEY],
        async *rows({ columns }) {
          await Promise.resolve();
          yield { index: 0, value: { prompt: KEY, [columns[1] ?? '']: [{ deep: escaped }] } };
          yield { index: 1, problem: `row 1: ${KEY}` };
        },
      },
      redactor,
    );
    const rows = [];
    for await (const row of dataset.rows({ columns: dataset.columns, offset: 0, limit: null }))
      rows.push(row);
    expect(secretIn(JSON.stringify([dataset, rows]), [KEY])).toBeNull();
    expect(rows[0]).toEqual({
      index: 0,
      value: { prompt: '[redacted]', 'x [redacted]': [{ deep: '[redacted]' }] },
    });
  });
});

it.each([
  ['http://api.example/v1', 'key', true],
  ['http://10.0.0.5:8000/v1', 'key', true],
  ['http://me:secret@api.example/v1', null, true],
  ['http://api.example/v1', null, false],
  ['https://api.example/v1', 'key', false],
  ['http://127.0.0.1:8000/v1', 'key', false],
  ['http://localhost:8000/v1', 'key', false],
  ['http://[::1]:8000/v1', 'key', false],
])('a key that goes to %s is warned about where others can read it', (url, apiKey, isWarned) => {
  const warnings: string[] = [];
  const endpoint = { address: readAddress(url), baseUrl: `${url} (${apiKey})`, apiKey };
  for (let times = 0; times < 2; times++) warnOfPlainKey(endpoint, recorder(warnings));
  expect(warnings).toEqual(isWarned ? [expect.stringContaining('is sent to http://') as string] : []);
});

it.each([
  ['http://hub.example', 'hf_token', ['HF_TOKEN is sent to http://hub.example unencrypted']],
  ['http://10.1.2.3:8080', 'hf_token', ['HF_TOKEN is sent to http://10.1.2.3:8080 unencrypted']],
  ['http://other-hub.example', null, []],
  ['http://127.0.0.1:9', 'hf_token', []],
  ['https://hub.example', 'hf_token', []],
])('HF_TOKEN that goes to %s is, too', async (endpoint, token, expected) => {
  const warnings: string[] = [];
  const hub = { endpoint, datasetsServerUrl: endpoint, token };
  const client = new HubClient({ hub, dataset: 'a/b', reporter: recorder(warnings) });
  await client.close();
  expect(warnings).toEqual(expected.map((text) => expect.stringContaining(text) as string));
});

function recorder(warnings: string[]): Reporter {
  const ignore = (): void => undefined;
  return { debug: ignore, info: ignore, error: ignore, warning: (text) => warnings.push(text) };
}

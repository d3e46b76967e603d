import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  bodyOf,
  chatBodyOf,
  promptIn,
  requestLine,
  RESPONSES_URL,
  REQUEST_URL,
  rowOf,
  urlOfFile,
} from '../../src/batches/request-line.js';
import { temporaryFolder } from '../support/cli.js';

const CHAT = {
  model: 'o3-pro',
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'one? "url":"/v1/chat/completions"' },
  ],
  max_completion_tokens: 100,
};
const BODY = Buffer.from(JSON.stringify(CHAT));

describe('a line of a batch file', () => {
  it('holds a chat request unchanged', () => {
    const line = requestLine(7, BODY).subarray(0, -1);
    expect(rowOf(line)).toBe(7);
    expect(bodyOf(line)).toEqual(BODY);
    expect(chatBodyOf(line)).toEqual(BODY);
  });

  it('is one of the Responses API for models that answer there alone', () => {
    const line = requestLine(7, BODY, RESPONSES_URL).subarray(0, -1);
    expect(rowOf(line)).toBe(7);
    expect(JSON.parse(line.toString())).toEqual({
      custom_id: '7',
      method: 'POST',
      url: '/v1/responses',
      body: { model: 'o3-pro', input: CHAT.messages, store: false, max_output_tokens: 100 },
    });
    // The journal holds chat requests.
    expect(chatBodyOf(line)).toBeNull();
    expect(promptIn(bodyOf(line))).toBe(promptIn(BODY));
  });

  it('says for which endpoint its file is', () => {
    const folder = temporaryFolder();
    for (const url of [REQUEST_URL, RESPONSES_URL] as const) {
      const path = join(folder, 'jobs_batch.json');
      writeFileSync(path, requestLine(0, BODY, url));
      expect(urlOfFile(path)).toBe(url);
    }
  });
});

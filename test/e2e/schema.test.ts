import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { foldersIn, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { scriptedApi } from '../support/scripted-api.js';

const SCHEMA = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] };
const GOOD = '{"age": 36}';
const BAD = '{"age": "old"}';

describe('--response_format with a schema', () => {
  it('takes no answer that breaks it, keeps what was paid for, and says where the answer went wrong', async () => {
    const folder = temporaryFolder();
    const dataset = writeJson(folder, 'data.json', alpacaRows(3));
    const schema = join(folder, 'schema.json');
    writeFileSync(schema, JSON.stringify(SCHEMA));
    const prompts: string[] = [];
    let isObedient = false;
    const api = await scriptedApi(({ prompt }) => {
      if (!prompts.includes(prompt)) prompts.push(prompt);
      const row = prompts.indexOf(prompt);
      const times = api.requests.filter((request) => request.prompt === prompt).length;
      return isObedient || row === 0 || (row === 1 && times > 1) ? GOOD : BAD;
    });
    const args = ['--annotator', 'own-model', '--base_url', api.url, '--dataset', dataset];
    args.push(
      '--response_format',
      `@${schema}`,
      '--max_attempts',
      '2',
      '--max_concurrency',
      '1',
      ...foldersIn(folder),
    );
    const first = await runCli(args);
    expect(first.code, first.stderr).toBe(3);
    const { rows, summary, saved } = resultsIn(folder);
    expect(rows().map(({ annotation }) => annotation)).toEqual([GOOD, GOOD, null]);
    const failed = JSON.parse(readFileSync(saved('failed_rows.jsonl'), 'utf8')) as { error: string };
    expect(failed).toMatchObject({ request_idx: 2, state: 'failed' });
    expect(failed.error).toContain('#/age');
    // Five answers were paid for, of which three cannot be used.
    expect(summary().tokens['completion']).toBe(250);

    isObedient = true;
    const second = await runCli([...args, '--resume']);
    expect(second.code, second.stderr).toBe(0);
    expect(api.requests.filter(({ path }) => path === '/chat/completions')).toHaveLength(6);
    expect(rows().map(({ annotation }) => annotation)).toEqual([GOOD, GOOD, GOOD]);
    expect(summary().tokens['completion']).toBe(300);
  });

  it('ends before anything is written where the schema cannot be used', async () => {
    const folder = temporaryFolder();
    const schema = join(folder, 'schema.json');
    writeFileSync(schema, '{"properties": {"age": {"type": "int"}}}');
    const dataset = writeJson(folder, 'data.json', alpacaRows(1));
    const args = ['--dataset', dataset, '--response_format', `@${schema}`, ...foldersIn(folder)];
    const run = await runCli(args, { env: { OPENAI_API_KEY: 'sk-test-key-0001' } });
    expect(run.code).toBe(2);
    expect(run.stderr).toContain('#/properties/age/type: "int" is not a type');
  });
});

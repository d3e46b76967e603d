import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { PROVIDERS } from '../../src/models/providers.js';
import { foldersIn, pointingAt, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import {
  apiError,
  completion,
  scriptedApi,
  type ApiAnswer,
  type ApiRequest,
} from '../support/scripted-api.js';

vi.setConfig({ testTimeout: 60_000 });

/** With characters that JSON, a URL and a shell write otherwise. */
const SECRET = 'sk-very+secret/key="1"&x';
const SECRET_IN_ADDRESS = 'hunter2-of-the-webhook';
/** How a secret may show: as it is, in JSON and in a URL. */
const SHOWN = [SECRET, JSON.stringify(SECRET).slice(1, -1), encodeURIComponent(SECRET)];

/** Every file below a folder. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function expectNowhere(folder: string, run: { stdout: string; stderr: string }, except: string[] = []): void {
  const texts = new Map(
    filesBelow(folder)
      .filter((path) => !except.includes(path))
      .map((path) => [path, readFileSync(path, 'latin1')]),
  );
  expect(texts.size).toBeGreaterThan(0);
  texts.set('stdout', run.stdout).set('stderr', run.stderr);
  for (const [where, text] of texts) {
    for (const shown of SHOWN) expect(text.includes(shown), `${shown} in ${where}`).toBe(false);
  }
}

/** A server that repeats the key wherever it can. */
function echo({ headers, prompt }: ApiRequest, number: number): ApiAnswer {
  const key = String(headers.authorization);
  const echoed = { 'x-request-id': key, 'retry-after-ms': '1', location: `http://127.0.0.1:1/?key=${key}` };
  if (prompt.includes('Instruction 1 '))
    return { ...apiError(400, `key ${key} is bad here`, key), headers: echoed };
  if (number % 5 === 2) return { status: 500, headers: echoed, body: `<html><title>${key}</title></html>` };
  if (number % 5 === 3) return { ...apiError(429, `slow down, ${key}`), headers: echoed };
  const answer = completion(`You sent ${key} with ${prompt}`, { model: key });
  return { status: 200, headers: echoed, body: { ...answer, system_fingerprint: key, id: key } };
}

describe('a key is shown nowhere', () => {
  // `test/secrets/known-secrets.test.ts` knows the variables of all providers.
  const providers = (['openai', 'groq'] as const).map(
    (name) => [name, PROVIDERS[name].apiKeyVariable] as const,
  );

  it.each(providers)('of %s, by a server that repeats it', async (name, variable) => {
    const folder = temporaryFolder();
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(12));
    const api = await scriptedApi(echo);
    const annotator = name === 'openai' ? 'gpt-4o-mini' : `${name}/some-model`;
    const run = await runCli(
      [
        ...[
          '--annotator',
          annotator,
          '--dataset',
          data,
          '--base_url',
          `${api.url}/v1`,
          '--api_key_env',
          variable,
        ],
        ...['--logging_level', 'debug', '--include_metadata', ...foldersIn(folder)],
        ...[
          '--events',
          join(folder, 'events.jsonl'),
          '--notify',
          `: http://me:${SECRET_IN_ADDRESS}@127.0.0.1/hook`,
        ],
      ],
      { env: { [variable]: SECRET, REANNOTATE_DEBUG: '1' } },
    );
    for (const path of filesBelow(folder))
      expect(readFileSync(path, 'latin1')).not.toContain(SECRET_IN_ADDRESS);
    expect(api.requests[0]?.headers.authorization).toBe(`Bearer ${SECRET}`);
    expect([0, 3], run.stderr).toContain(run.code);
    expectNowhere(folder, run);
  });

  it('of the Hub, by a datasets-server that repeats it', async () => {
    const folder = temporaryFolder();
    const hub = await scriptedApi(({ headers }) =>
      apiError(403, `no access with ${String(headers.authorization)}`),
    );
    const run = await runCli(['--dataset', 'me/gated', '--logging_level', 'debug', ...foldersIn(folder)], {
      env: { ...pointingAt(hub), HF_TOKEN: SECRET, REANNOTATE_DEBUG: '1' },
    });
    expect(hub.requests[0]?.headers.authorization).toBe(`Bearer ${SECRET}`);
    expect(run.code).toBe(1);
    for (const shown of SHOWN) expect(run.stderr).not.toContain(shown);
  });

  it('in batches: uploaded, watched and collected', async () => {
    const folder = temporaryFolder();
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(6));
    const api = await simulator({ batchPlans: [['row_errors']] });
    const words = [
      '--annotator',
      'gpt-4o-mini',
      '--dataset',
      data,
      '--logging_level',
      'debug',
      ...foldersIn(folder),
    ];
    const env = pointingAt(api, { OPENAI_API_KEY: SECRET, REANNOTATE_DEBUG: '1' });
    const submitted = await runCli([...words, '--batch'], { env });
    expect(submitted.code, submitted.stderr).toBe(0);
    const watched = await runCli([...words, '--check_interval', '1'], {
      env,
      program: 'watch-batch',
      cwd: folder,
    });
    expect([0, 3], watched.stderr).toContain(watched.code);
    expectNowhere(folder, {
      stdout: submitted.stdout + watched.stdout,
      stderr: submitted.stderr + watched.stderr,
    });
  });

  it('that an earlier start did not know: in its journal, but not in the results of the next', async () => {
    const folder = temporaryFolder();
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(3));
    const api = await scriptedApi(({ prompt }, number) =>
      number === 2
        ? apiError(400, `bad: ${SECRET}`)
        : { status: 200, body: completion(`${SECRET} for ${prompt}`, { model: SECRET }) },
    );
    const formats = ['--output_format', 'jsonl,parquet', '--include_metadata', '--max_attempts', '1'];
    const flags = ['--dataset', data, '--base_url', `${api.url}/v1`, ...formats, ...foldersIn(folder)];
    const before = await runCli(flags, { env: { OPENAI_API_KEY: 'another-key-01' } });
    expect(before.code, before.stderr).toBe(3);
    const env = { OPENAI_API_KEY: SECRET };
    const page = join(folder, 'report.html');
    const [old = ''] = filesBelow(folder).filter((path) => path.endsWith('reannotated.json'));
    const reported = await runCli(['report', dirname(old), '--output', page], { env });
    expect(reported.code, reported.stderr).toBe(0);
    const after = await runCli([...flags, '--resume_no_retry'], { env });
    expect(after.code, after.stderr).toBe(3);
    const [journal] = filesBelow(folder).filter((path) => path.endsWith('output.jsonl'));
    const logs = filesBelow(folder).filter((path) => path.endsWith('.log'));
    expectNowhere(folder, after, [journal ?? '', ...logs]);
    expect(readFileSync(page, 'utf8')).toContain('[redacted] for ');
    const [results] = filesBelow(folder).filter((path) => path.endsWith('reannotated.json'));
    expect(readFileSync(results ?? '', 'utf8')).toContain('"annotation":"[redacted] for ');
  });

  it('given in an address: refused, and not repeated', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(2));
    const url = 'http://user:sk-in-the-address@127.0.0.1:9/v1';
    const run = await runCli(['--dataset', data, '--base_url', url, ...foldersIn(folder)], {
      env: { OPENAI_API_KEY: SECRET },
    });
    expect(run.code).not.toBe(0);
    expect(run.stderr).not.toContain('sk-in-the-address');
  });
});

describe('what a run writes', () => {
  it('is for its owner alone: folders 0700, files 0600', async () => {
    const folder = join(temporaryFolder(), 'work');
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(4));
    const api = await simulator({ faults: { refusal: 0.3 } });
    const run = await runCli(['--dataset', data, '--annotator', 'gpt-4o-mini', ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expect([0, 3], run.stderr).toContain(run.code);
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    expect(entries.length).toBeGreaterThan(8);
    for (const entry of entries) {
      const path = join(entry.parentPath, entry.name);
      const mode = (statSync(path).mode & 0o777).toString(8);
      expect(`${path} ${mode}`).toBe(`${path} ${entry.isDirectory() ? '700' : '600'}`);
    }
  });
});

describe('a server that redirects', () => {
  it('never gets the key to another host', async () => {
    const other = await scriptedApi(() => completionOf('stolen'));
    const folder = temporaryFolder();
    const data = join(folder, 'data.jsonl');
    writeFileSync(data, '{"prompt":"p","response":"r"}\n');
    const api = await scriptedApi(() => ({
      status: 307,
      headers: { location: `${other.url}/v1/chat/completions` },
      body: '',
    }));
    const run = await runCli(['--dataset', data, ...foldersIn(folder)], { env: pointingAt(api) });
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/redirects/);
    expect(other.requests).toHaveLength(0);
  });
});

function completionOf(text: string): ApiAnswer {
  return { body: completion(text) };
}

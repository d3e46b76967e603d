import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  resuming,
  runCli,
  simulator,
  startCli,
  temporaryFolder,
} from '../support/cli.js';
import { alpacaRows, alpacaText, writeJson } from '../support/data.js';
import { pythonRequest } from '../support/python-request.js';
import { apiError, scriptedApi } from '../support/scripted-api.js';

const ANNOTATOR = ['--annotator', 'gpt-4o-mini'];

/** Resolves once the journal has at least this many lines. */
async function journalHas(folder: string, lines: number): Promise<void> {
  for (;;) {
    try {
      if (resultsIn(folder).lines('output.jsonl').length >= lines) return;
    } catch {
      // Not there yet, or its last line is being written.
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Rows that the journal holds an answer for; a torn last line is none. */
function answeredRows(folder: string): number[] {
  const text =
    existsSync(join(folder, 'temp')) && readdirSync(join(folder, 'temp')).length > 0
      ? resultsIn(folder).temp('output.jsonl')
      : '';
  if (!existsSync(text)) return [];
  const lines = readFileSync(text, 'utf8').split('\n').slice(0, -1);
  return lines.map(
    (line) => (JSON.parse(line) as [unknown, unknown, { request_idx: number }])[2].request_idx,
  );
}

describe('resuming a run', () => {
  it('gives the same bytes after kills at any moment, and never asks again for an answer that is on disk', async () => {
    const folder = temporaryFolder();
    const rows = alpacaRows(200);
    const data = writeJson(folder, 'data.json', rows);
    const rowOf = new Map(rows.map((row, index) => [alpacaText(row), index]));
    const whole = join(folder, 'whole');
    const killed = join(folder, 'killed');
    const asked: number[] = [];
    const api = await scriptedApi(async ({ prompt }) => {
      asked.push(rowOf.get(prompt) ?? -1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      return `answer to ${prompt}`;
    });
    const args = (own: string): string[] => [
      ...ANNOTATOR,
      '--dataset',
      data,
      '--max_concurrency',
      '8',
      ...foldersIn(own),
    ];
    expect(await runCli(args(whole), { env: pointingAt(api) })).toMatchObject({ code: 0 });

    asked.length = 0;
    const inFlight = 8;
    let kills = 0;
    for (const delay of [80, 420, 500]) {
      const onDisk = new Set(answeredRows(killed));
      const before = asked.length;
      const { child, finished } = startCli([...args(killed), ...resuming(killed)], { env: pointingAt(api) });
      await new Promise((resolve) => setTimeout(resolve, delay));
      child.kill('SIGKILL');
      if ((await finished).signal === 'SIGKILL') kills += 1;
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(asked.slice(before).filter((row) => onDisk.has(row))).toEqual([]);
    }
    expect(kills).toBeGreaterThan(0);
    const onDisk = new Set(answeredRows(killed));
    const before = asked.length;
    expect(await runCli([...args(killed), ...resuming(killed)], { env: pointingAt(api) })).toMatchObject({
      code: 0,
    });
    expect(asked.slice(before).filter((row) => onDisk.has(row))).toEqual([]);
    expect(resultsIn(killed).bytes()).toBe(resultsIn(whole).bytes());
    expect(asked.length - new Set(asked).size).toBeLessThanOrEqual(kills * inFlight);
    expect(
      readdirSync(join(resultsIn(killed).temp('.'))).filter(
        (name) => name.includes('tmp') || name === 'lock',
      ),
    ).toEqual([]);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'stops at %s with %i: waits for what is in flight, saves it, and prints the command to go on',
    async (signal, code) => {
      const folder = temporaryFolder();
      const data = writeJson(folder, 'data.json', alpacaRows(30));
      const api = await simulator({ latencyMs: 200 });
      const args = [...ANNOTATOR, '--dataset', data, '--max_concurrency', '4', ...foldersIn(folder)];
      const { child, finished } = startCli(args, { env: pointingAt(api) });
      await journalHas(folder, 2);
      child.kill(signal);
      const run = await finished;
      expect(run.code).toBe(code);
      expect(run.stderr).toContain('Resume with: npx reannotate --annotator gpt-4o-mini');
      expect(run.stderr.trimEnd()).toMatch(/--resume$/);
      // Everything that was answered is on disk.
      expect(resultsIn(folder).lines('output.jsonl')).toHaveLength(api.statistics().answered);
      expect(existsSync(resultsIn(folder).saved('reannotated.json'))).toBe(false);
      expect(await runCli([...args, '--resume'], { env: pointingAt(api) })).toMatchObject({ code: 0 });
      expect(api.statistics().answered).toBe(30);
      expect(resultsIn(folder).summary().requests['sent']).toBe(30);
    },
  );

  it('notices within seconds that its folder was deleted, saves every answer, and resumes from them', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(25));
    const slow = await simulator({ latencyMs: 150 });
    const args = [...ANNOTATOR, '--dataset', data, '--max_concurrency', '1', ...foldersIn(folder)];
    const { finished } = startCli(args, { env: pointingAt(slow) });
    await journalHas(folder, 2);
    rmSync(resultsIn(folder).temp('.'), { recursive: true });
    const run = await finished;
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/was deleted .* Every answer so far was saved to \S+output\.jsonl\./);
    const paid = slow.statistics().answered;
    expect(paid).toBeLessThan(25);
    const fast = await simulator();
    expect(await runCli([...args, '--resume'], { env: pointingAt(fast) })).toMatchObject({ code: 0 });
    // One request may have been in flight.
    expect(fast.statistics().answered - (25 - paid)).toBeLessThanOrEqual(1);
  });

  it('stops immediately at a second Ctrl-C', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(10));
    let hang = false;
    const api = await scriptedApi(({ prompt }) => (hang ? null : prompt));
    const args = [...ANNOTATOR, '--dataset', data, '--max_concurrency', '2', ...foldersIn(folder)];
    hang = true;
    const { child, finished } = startCli(args, { env: pointingAt(api) });
    while (api.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 200));
    child.kill('SIGINT');
    expect((await finished).code).toBe(130);
    hang = false;
    expect(await runCli([...args, '--resume'], { env: pointingAt(api) })).toMatchObject({ code: 0 });
  });

  it('sends no request to the Hub, and retries failed rows unless --retry excludes them', async () => {
    const folder = temporaryFolder();
    const rows = alpacaRows(20);
    const hub = await simulator({ datasets: { 'me/data': writeJson(folder, 'data.json', rows) } });
    let broken = true;
    const api = await scriptedApi(({ prompt }) =>
      broken && prompt.includes('number 7 ') ? apiError(400, 'bad') : prompt,
    );
    const env = pointingAt(hub, { OPENAI_BASE_URL: `${api.url}/v1` });
    const args = [...ANNOTATOR, '--dataset', 'me/data', ...foldersIn(folder)];
    expect(await runCli(args, { env })).toMatchObject({ code: 3 });
    expect(api.requests).toHaveLength(20);
    const offline = { ...env, HF_DATASETS_SERVER_URL: 'http://127.0.0.1:9' };
    expect(await runCli([...args, '--resume_no_retry'], { env: offline })).toMatchObject({ code: 3 });
    expect(api.requests).toHaveLength(20);
    broken = false;
    expect(await runCli([...args, '--resume'], { env: offline })).toMatchObject({ code: 0 });
    expect(api.requests).toHaveLength(21);
    expect(resultsIn(folder).summary()).toMatchObject({
      rows: { ok: 20 },
      requests: { sent: 21 },
      tokens: { prompt: 2000, completion: 1000 },
    });
    expect(existsSync(resultsIn(folder).saved('failed_rows.jsonl'))).toBe(false);
    // Nothing left to send: the results are written again without a key.
    expect(await runCli([...args, '--resume'], { env: { ...offline, OPENAI_API_KEY: '' } })).toMatchObject({
      code: 0,
    });
  });

  it('cuts a torn last line, drops damaged and foreign ones, and asks again for their rows alone', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(12));
    const api = await scriptedApi(({ prompt }) => prompt);
    const args = [...ANNOTATOR, '--dataset', data, ...foldersIn(folder)];
    expect(await runCli(args, { env: pointingAt(api) })).toMatchObject({ code: 0 });
    const results = resultsIn(folder);
    const bytes = results.bytes();
    const journal = results.temp('output.jsonl');
    const lines = readFileSync(journal, 'utf8').trimEnd().split('\n');
    const damaged = (lines[2] ?? '').replace('"choices":[{', '"choices":[}');
    const foreign = (lines[3] ?? '').replace(/"request_idx":\d+/, '"request_idx":99');
    const kept = [...lines.slice(4, 11), damaged, foreign, lines[0], lines[0], lines[1]];
    writeFileSync(journal, `${kept.join('\n')}\n${(lines[11] ?? '').slice(0, 80)}`);
    const run = await runCli([...args, '--resume'], { env: pointingAt(api) });
    expect(run.code).toBe(0);
    expect(run.stderr).toContain('Removed an incomplete last line');
    expect(run.stderr).toContain('1 line of');
    expect(api.requests).toHaveLength(12 + 3);
    expect(results.bytes()).toBe(bytes);
  });

  it('keeps a whole last line that lacks only its newline', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3));
    const api = await scriptedApi(({ prompt }) => prompt);
    const args = [...ANNOTATOR, '--dataset', data, ...foldersIn(folder)];
    await runCli(args, { env: pointingAt(api) });
    const journal = resultsIn(folder).temp('output.jsonl');
    writeFileSync(journal, readFileSync(journal, 'utf8').trimEnd());
    expect(await runCli([...args, '--resume'], { env: pointingAt(api) })).toMatchObject({ code: 0 });
    expect(api.requests).toHaveLength(3);
  });

  it('refuses changed parameters by name, and an earlier run without a flag with the ways out', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3));
    const api = await simulator();
    const args = [...ANNOTATOR, '--dataset', data, ...foldersIn(folder)];
    await runCli(args, { env: pointingAt(api) });
    const again = await runCli(args, { env: pointingAt(api) });
    expect(again.code).toBe(1);
    for (const word of ['temp/', '--resume', '--resume_no_retry', '--overwrite', '--run_name'])
      expect(again.stderr).toContain(word);
    const changed = await runCli([...args, '--resume', '--temperature', '0.2'], {
      env: pointingAt(api),
    });
    expect(changed.code).toBe(1);
    expect(changed.stderr).toContain('--temperature was not given and is now 0.2');
    const smaller = await runCli([...args, '--resume', '--limit', '2'], { env: pointingAt(api) });
    expect(smaller.code).toBe(1);
    expect(smaller.stderr).toContain(
      'has 3 rows, and was started with no --limit; --limit 2 would leave rows out',
    );
    const anew = await runCli([...args, '--overwrite', '--temperature', '0.2'], { env: pointingAt(api) });
    expect(anew.code).toBe(0);
    expect(readdirSync(join(folder, 'saved'))).toHaveLength(2);
    expect(readdirSync(join(folder, 'temp'))).toHaveLength(2);
    expect(api.statistics().answered).toBe(6);
  });

  it('keeps a second process out, and takes over the lock of a dead one', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(50));
    const api = await simulator({ latencyMs: 200 });
    const args = [...ANNOTATOR, '--dataset', data, '--max_concurrency', '2', ...foldersIn(folder)];
    const { child, finished } = startCli(args, { env: pointingAt(api) });
    await journalHas(folder, 1);
    const second = await runCli([...args, '--resume'], { env: pointingAt(api) });
    expect(second.code).toBe(75);
    expect(second.stderr).toContain(`process ${child.pid ?? 0}`);
    child.kill('SIGKILL');
    await finished;
    expect(existsSync(resultsIn(folder).temp('lock'))).toBe(true);
    const fast = await simulator();
    expect(await runCli([...args, '--resume'], { env: pointingAt(fast) })).toMatchObject({ code: 0 });
    expect(existsSync(resultsIn(folder).temp('lock'))).toBe(false);
  });

  it('takes over a run that the Python tool began', async () => {
    const folder = temporaryFolder();
    const rows = alpacaRows(6);
    const data = writeJson(folder, 'data.json', rows);
    const api = await scriptedApi(({ prompt }) => `new ${prompt}`);
    const run = join(folder, 'temp', `${data.replaceAll('/', '_')}_gpt-4o-mini`);
    mkdirSync(run, { recursive: true });
    const python = (value: unknown): string =>
      JSON.stringify(value).replaceAll('":', '": ').replaceAll(',"', ', "');
    const request = (row: number): Record<string, unknown> =>
      pythonRequest(alpacaText(rows[row] as (typeof rows)[0]));
    writeFileSync(
      join(run, 'jobs.json'),
      rows.map((_, row) => `${python({ ...request(row), metadata: { request_idx: row } })}\n`).join(''),
    );
    const answer = {
      choices: [{ message: { role: 'assistant', content: 'from Python' } }],
      model: 'gpt-4o-mini-2024-07-18',
    };
    const lines = [
      python([request(2), answer, { request_idx: 2 }]),
      python([request(0), ["{'error': 'x'}"], { request_idx: 0 }]),
      python([
        request(4),
        { choices: [{ message: { role: 'assistant', content: null } }] },
        { request_idx: 4 },
      ]),
    ];
    writeFileSync(join(run, 'output.jsonl'), `${lines.join('\n')}\n`);
    const args = [...ANNOTATOR, '--dataset', data, ...foldersIn(folder)];
    const changed = await runCli([...args, '--resume', '--temperature', '0'], { env: pointingAt(api) });
    expect(changed.code).toBe(1);
    expect(changed.stderr).toContain('temperature 1');
    expect(await runCli([...args, '--resume'], { env: pointingAt(api) })).toMatchObject({ code: 0 });
    expect(api.requests).toHaveLength(5);
    expect(api.requests.map(({ body }) => Object.values(body).includes(null))).toEqual(
      new Array(5).fill(false),
    );
    expect(resultsIn(folder).rows()[2]?.annotation).toBe('from Python');
  });

  it('stops at a wrong key in mid-run, marks no row as failed, and resumes with a good one', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(60));
    let answers = 0;
    let broken = true;
    const api = await scriptedApi(({ prompt }) => {
      answers += 1;
      return broken && answers > 20
        ? apiError(429, 'You exceeded your current quota', 'insufficient_quota')
        : prompt;
    });
    const args = [...ANNOTATOR, '--dataset', data, '--max_concurrency', '5', ...foldersIn(folder)];
    const run = await runCli(args, { env: pointingAt(api) });
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/credit or quota.*--resume\n$/s);
    expect(api.requests.length).toBeLessThanOrEqual(25);
    expect(resultsIn(folder).lines('output.jsonl')).toHaveLength(20);
    broken = false;
    expect(await runCli([...args, '--resume'], { env: pointingAt(api) })).toMatchObject({ code: 0 });
  });

  it('writes the results again after another process appended to the journal', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(2));
    const api = await scriptedApi(({ prompt }) => prompt);
    const args = [...ANNOTATOR, '--dataset', data, ...foldersIn(folder)];
    await runCli(args, { env: pointingAt(api) });
    const journal = resultsIn(folder).temp('output.jsonl');
    // A later line never wins over an answer.
    appendFileSync(journal, '[{}, ["late failure"], {"request_idx": 0}]\n');
    expect(await runCli([...args, '--resume'], { env: pointingAt(api) })).toMatchObject({ code: 0 });
    expect(api.requests).toHaveLength(2);
  });

  it('never gives a row another row’s answer, and uses an intact line after a damaged one', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(6));
    const api = await simulator();
    const args = [...ANNOTATOR, '--dataset', data, ...foldersIn(folder)];
    expect((await runCli(args, { env: pointingAt(api) })).code).toBe(0);
    const whole = resultsIn(folder).bytes();
    const journal = resultsIn(folder).temp('output.jsonl');
    const lines = readFileSync(journal, 'utf8').trimEnd().split('\n');
    const lineOf = (row: number): string =>
      lines.find((line) => line.endsWith(`{"request_idx":${row}}]`)) ?? '';
    const renumbered = lineOf(1).replace(/"request_idx":1\}\]$/, '"request_idx":3}]');
    // The line of row 1 claims to be of row 3, whose own line comes later; the line of row 4 is damaged and occurs twice.
    const broken = lineOf(4).replace(/"content":"(?=[^"]*","refusal")/, '"content":"\u0001');
    expect(broken).not.toBe(lineOf(4));
    const kept = [renumbered, broken, lineOf(0), lineOf(2), lineOf(3), lineOf(4), lineOf(5)];
    writeFileSync(journal, `${kept.join('\n')}\n`);
    const run = await runCli([...args, '--resume'], { env: pointingAt(api) });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toMatch(/lines? of .*output\.jsonl can't be read or belong to another row/);
    expect(resultsIn(folder).bytes()).toBe(whole);
    // Only row 1 no longer has its own line.
    expect(api.statistics().requests).toBe(7);
  });

  it('requests a row again, once and in the same run, if only the text of its line is damaged', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(5));
    const api = await simulator();
    const args = [...ANNOTATOR, '--dataset', data, ...foldersIn(folder)];
    expect((await runCli(args, { env: pointingAt(api) })).code).toBe(0);
    const whole = resultsIn(folder).bytes();
    const journal = resultsIn(folder).temp('output.jsonl');
    const lines = readFileSync(journal, 'utf8').split('\n');
    const damaged = lines[2]?.replace(/"content":"([^"]{2})[^"](?=[^"]*","refusal")/, '"content":"$1\u0001');
    expect(damaged).not.toBe(lines[2]);
    writeFileSync(journal, lines.with(2, damaged ?? '').join('\n'));
    const first = await runCli([...args, '--resume'], { env: pointingAt(api) });
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toMatch(/1 line of .*output\.jsonl can't be read/);
    expect(resultsIn(folder).bytes()).toBe(whole);
    expect(api.statistics().requests).toBe(6);
    const second = await runCli([...args, '--resume'], { env: pointingAt(api) });
    expect(second.code, second.stderr).toBe(0);
    expect(resultsIn(folder).bytes()).toBe(whole);
    expect(api.statistics().requests).toBe(6);
  });
});

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { resultsIn, runCli, temporaryFolder, foldersIn, wordsOf, type Finished } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';

const ROWS = 4;

interface Scene {
  folder: string;
  words: string[];
  env: Record<string, string>;
}

/** A run whose provider has no Batch API and is not there: nothing may be sent. */
function scene(env: Record<string, string> = {}): Scene {
  const folder = temporaryFolder();
  const dataset = writeJson(folder, 'data.json', alpacaRows(ROWS));
  const base = ['--base_url', 'http://127.0.0.1:9/v1'];
  const words = ['--annotator', 'vllm/my-model', '--dataset', dataset, ...base, ...foldersIn(folder)];
  return { folder, words, env };
}

function run({ folder, words, env }: Scene, more: string[]): Promise<Finished> {
  return runCli([...words, ...more], { cwd: folder, env });
}

function take({ folder, words, env }: Scene, files: string[], more: string[] = []): Promise<Finished> {
  const named = files.length === 0 ? [] : ['--results', files.join(',')];
  return runCli([...words, ...named, ...more], { cwd: folder, env, program: 'watch-batch' });
}

/** What `vllm run-batch` writes for a row. */
function answer(row: number): string {
  const message = { role: 'assistant', content: `answer ${row}` };
  const body = {
    id: `chatcmpl-${row}`,
    object: 'chat.completion',
    model: 'my-model',
    choices: [{ index: 0, message, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
  };
  const response = { status_code: 200, request_id: 'r', body };
  return `${JSON.stringify({ id: `vllm-${row}`, custom_id: String(row), response, error: null })}\n`;
}

/** The same for a row that it refuses. */
function refusal(row: number): string {
  const error = { error: { message: 'too long', type: 'BadRequestError', param: null, code: 400 } };
  const response = { status_code: 400, request_id: 'r', body: null };
  return `${JSON.stringify({ id: `vllm-${row}`, custom_id: String(row), response, error })}\n`;
}

function write({ folder }: Scene, name: string, content: string | Buffer): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

describe('--batch_file_only and --results', () => {
  it('writes the files, sends nothing, and takes results from any files in, once each', async () => {
    const one = scene();
    const written = await run(one, ['--batch_file_only', '--max_batch_size', '3']);
    expect(written.code, written.stderr).toBe(0);
    expect(written.stderr).toMatch(/vllm run-batch -i \S+jobs_batch_0\.json -o \S+ --model my-model/);
    const { temp, rows } = resultsIn(one.folder);
    const lines = readFileSync(temp('jobs_batch_0.json'), 'utf8').trim().split('\n');
    expect(lines).toHaveLength(3);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ custom_id: '0', url: '/v1/chat/completions' });
    // The last line names the command that takes what vLLM writes.
    const [, program, ...command] = wordsOf(written.stdout.trim());
    expect(program).toBe('watch-batch');
    const [first = '', second = ''] = (command[command.indexOf('--results') + 1] ?? '').split(',');
    expect([first, second].every((path) => path.startsWith(join(one.folder, 'temp')))).toBe(true);

    // Sending the rows some other way might pay twice.
    const online = await run(one, ['--resume']);
    expect(online.code).toBe(1);
    expect(online.stderr).toMatch(/jobs_batch_0\.json.* written for you to run/);

    // A part of the first file: the rest is held back.
    const part = await take(one, [write(one, 'part.jsonl', answer(1) + refusal(2))]);
    expect(part.code, part.stderr).toBe(3);
    expect(part.stderr).toMatch(/1 of the 3 requests of jobs_batch_0\.json have no result/);
    expect(readFileSync(join(one.folder, 'batch_results.jsonl'), 'utf8')).toBe(answer(1));
    expect(readFileSync(join(one.folder, 'batch_errors.jsonl'), 'utf8')).toBe(refusal(2));
    expect(rows().map(({ annotation }) => annotation)).toEqual([null, 'answer 1', null, null]);

    const rest = write(one, 'rest.jsonl.gz', gzipSync(answer(2) + answer(0) + answer(1)));
    const whole = await take(one, [rest, write(one, 'more.jsonl', answer(3))]);
    expect(whole.code, whole.stderr).toBe(0);
    expect(rows().map(({ annotation }) => annotation)).toEqual([
      'answer 0',
      'answer 1',
      'answer 2',
      'answer 3',
    ]);
    const again = await take(one, [rest]);
    expect(again.code, again.stderr).toBe(0);
    expect(resultsIn(one.folder).summary().tokens).toMatchObject({ completion: 8 });
    const raw = readFileSync(join(one.folder, 'batch_results.jsonl'), 'utf8');
    expect(raw.trim().split('\n').sort()).toEqual([0, 1, 2, 3].map((row) => answer(row).trim()));
  });

  it('takes results of rows that no file was written for, and refuses those of another run', async () => {
    const one = scene();
    const results = write(one, 'results.jsonl', [0, 1, 2, 3].map(answer).join(''));
    const taken = await take(one, [results]);
    expect(taken.code, taken.stderr).toBe(0);
    expect(resultsIn(one.folder).rows().at(3)?.annotation).toBe('answer 3');
    const foreign = write(
      one,
      'foreign.jsonl',
      answer(0).replace('"custom_id":"0"', '"custom_id":"request-7"'),
    );
    const refused = await take(one, [foreign]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/is about one of the 4 rows of this run/);
    const missing = await take(one, [join(one.folder, 'none.jsonl')]);
    expect(missing.stderr).toMatch(/--results: there is no file/);
  });

  it('a file that was not run is given up, and its rows are free again', async () => {
    const one = scene({ OPENAI_API_KEY: 'key' });
    one.words[1] = 'gpt-4o-mini';
    expect((await run(one, ['--batch', '--batch_file_only'])).code).toBe(0);
    const waiting = await take(one, [], ['--check_interval', '0.05']);
    expect(waiting.stderr).toMatch(/Results are missing for jobs_batch\.json; .*--results FILE/);
    await take(one, [], ['--give_up', 'jobs_batch.json', '--check_interval', '0.05']);
    const again = await run(one, ['--batch_file_only', '--resume']);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toMatch(/1 file with 4 requests/);
  });
});

describe('--notify', () => {
  it('runs a command with what happened in its environment, where no text can become a part of it', async () => {
    const one = scene();
    const marker = join(one.folder, 'touched');
    const log = join(one.folder, 'log');
    const command = `printf '%s|%s|%s\\n' "$REANNOTATE_EVENT" "$REANNOTATE_EXIT_CODE" "$REANNOTATE_MESSAGE" >> ${log}`;
    const notify = ['--notify', command];
    const results = write(one, 'results.jsonl', [0, 1, 2].map(answer).join(''));
    await take(one, [results], notify);
    await take(one, [write(one, 'last.jsonl', answer(3))], notify);
    await take(one, [join(one.folder, `$(touch ${marker});.jsonl`)], notify);
    const lines = readFileSync(log, 'utf8').trim().split('\n');
    expect(lines.slice(0, 2)).toEqual(['incomplete|3|', 'finished|0|']);
    expect(lines[2]).toMatch(/^attention\|1\|--results: there is no file .*touch/);
    expect(existsSync(marker)).toBe(false);
  });

  it('of a command that fails, only a warning remains', async () => {
    const one = scene();
    const results = write(one, 'results.jsonl', [0, 1, 2, 3].map(answer).join(''));
    const taken = await take(one, [results], ['--notify', 'exit 9']);
    expect(taken.code, taken.stderr).toBe(0);
    expect(taken.stderr).toMatch(/--notify: the command ended with exit code 9/);
  });
});

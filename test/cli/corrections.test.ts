import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { COMMAND_TEXTS, COMMANDS, type CommandName } from '../../src/cli/commands.js';
import { completionScript } from '../../src/cli/completion.js';
import { correctWords } from '../../src/cli/corrections.js';
import { overview } from '../../src/cli/overview.js';
import { reannotateProgram, type Handlers } from '../../src/cli/program.js';
import { nearestFile } from '../../src/datasets/near-files.js';
import { parseOutputFormats } from '../../src/exports/index.js';
import { oneOf } from '../../src/lib/kinds.js';
import { resolveAnnotator } from '../../src/models/annotators.js';

const HANDLERS = Object.fromEntries(COMMANDS.map((name) => [name, () => undefined])) as unknown as Handlers;

/** The message about a command line; null where it is right so far. */
function correction(words: readonly string[], command: CommandName = 'reannotate'): string | null {
  const program = reannotateProgram('1.0.0', HANDLERS, command);
  let said = '';
  program.configureOutput({ writeErr: (text) => (said += text) });
  try {
    correctWords(program, command, words);
  } catch (error) {
    expect(error).toMatchObject({ exitCode: 2 });
  }
  return said === '' ? null : said.trimEnd();
}

describe('a mistyped command line', () => {
  it.each([
    ['jugde', "error: unknown command 'jugde'\n(Did you mean reannotate judge?)"],
    ['watch_batch', "error: unknown command 'watch_batch'\n(Did you mean reannotate watch-batch?)"],
    ['one.jsonl', "error: unexpected argument 'one.jsonl'\n(Did you mean --dataset one.jsonl?)"],
    [
      'rows.csv.gz --limit 5',
      "error: unexpected argument 'rows.csv.gz'\n(Did you mean --dataset rows.csv.gz?)",
    ],
    ['me/data', "error: unexpected argument 'me/data'\n(Did you mean --dataset me/data?)"],
    ['gpt-4o-mini', "error: unexpected argument 'gpt-4o-mini'\n(Did you mean --annotator gpt-4o-mini?)"],
    ['groq/llama', "error: unexpected argument 'groq/llama'\n(Did you mean --annotator groq/llama?)"],
    ['--limit 5 one.jsonl', "error: unexpected argument 'one.jsonl'\n(Did you mean --dataset one.jsonl?)"],
    ['--model gpt-4o', "error: unknown option '--model'\n(Did you mean --annotator?)"],
    ['--api_key=sk-1', "error: unknown option '--api_key'\n(Did you mean --api_key_env?)"],
    ['--datset a.json', "error: unknown option '--datset'\n(Did you mean --dataset?)"],
    ['--rpm 5', "error: unknown option '--rpm'\n(Did you mean --max_requests_per_minute?)"],
    ['--max_new_tokens 5', "error: unknown option '--max_new_tokens'\n(Did you mean --max_tokens?)"],
    [
      '--check_interval 5',
      "error: unknown option '--check_interval'\n(watch-batch has such a flag, reannotate has not.)",
    ],
    ['-z', "error: unknown option '-z'\n(reannotate --help shows the commands and flags.)"],
    ['help jugde', "error: unknown command 'jugde'\n(Did you mean reannotate judge?)"],
    ['--prompt x', "error: unknown option '--prompt'\n(Did you mean --prompt_column or --prompt_template?)"],
    ['--verison', "error: unknown option '--verison'\n(Did you mean --version?)"],
    ['-v', "error: unknown option '-v'\n(Did you mean --version?)"],
    ['--halp', "error: unknown option '--halp'\n(Did you mean --help?)"],
    ['ls', "error: unknown command 'ls'\n(Did you mean reannotate list?)"],
    [
      'rm some_run',
      "error: unknown command 'rm'\n(To delete a run, delete its folders in --save_dir and --temp_dir.)",
    ],
    ['resume', "error: unknown command 'resume'\n(Run the command of the run again with --resume.)"],
    ['eval', "error: unknown command 'eval'\n(Did you mean reannotate judge?)"],
  ])('%s', (words, message) => {
    expect(correction(words.split(' '))).toBe(message);
  });

  it('of a subcommand', () => {
    expect(correction(['simulate', '--latency', '5'], 'simulate')).toContain(
      'Did you mean --latency_ms or --latency_jitter_ms?',
    );
    expect(correction(['compare'], 'compare')).toContain(
      'compare needs <annotators>: two or more annotators',
    );
    expect(correction(['compare', '--help'], 'compare')).toBeNull();
    expect(correction(['judge', 'a.jsonl'], 'judge')).toContain('Did you mean --dataset a.jsonl?');
    expect(correction(['status', 'a', 'b'], 'status')).toContain("unexpected argument 'b'");
    expect(correction(['report', 'a', 'b', 'c'], 'report')).toBeNull();
    expect(correction(['demo', '--limit', '3'], 'demo')).toContain('reannotate has such a flag');
    expect(correction(['plan', '--batch_file_only'], 'plan')).toContain(
      'plan takes no --batch_file_only: workers submit batches themselves',
    );
    expect(correction(['plan', '--push-to-hub', 'me/x'], 'plan')).toContain(
      'plan takes no --push-to-hub: nothing',
    );
  });

  it.each([
    '--dataset a.jsonl --limit 5 --resume',
    '--dataset -',
    '--seed -1 --stop --dry_run --logprobs --dataset a',
    '--logprobs false --dataset a',
    'help judge',
    '--help',
    '--version',
  ])('is left alone where it is right: %s', (words) => {
    expect(correction(words.split(' '))).toBeNull();
  });
});

describe('a mistyped path', () => {
  it('leads to the nearest file of its folder', () => {
    const folder = mkdtempSync(join(tmpdir(), 'reannotate-'));
    onTestFinished(() => {
      rmSync(folder, { recursive: true });
    });
    for (const name of ['questions.jsonl', 'answers.csv']) writeFileSync(join(folder, name), '');
    expect(nearestFile(join(folder, 'questons.jsonl'))).toBe(join(folder, 'questions.jsonl'));
    expect(nearestFile(join(folder, 'questions.josnl'))).toBe(join(folder, 'questions.jsonl'));
    expect(nearestFile(join(folder, 'Answers.CSV'))).toBe(join(folder, 'answers.csv'));
    expect(nearestFile(join(folder, 'something-else.parquet'))).toBeNull();
    expect(nearestFile(join(folder, 'nowhere', 'answers.csv'))).toBeNull();
    mkdirSync(join(folder, 'data', 'raw'), { recursive: true });
    writeFileSync(join(folder, 'data', 'raw', 'rows.jsonl'), '');
    expect(nearestFile(join(folder, 'daat', 'row', 'rows.jsonl'))).toBe(
      join(folder, 'data', 'raw', 'rows.jsonl'),
    );
    expect(nearestFile('/')).toBeNull();
  });
});

describe('a mistyped value', () => {
  it.each<[string, () => unknown, RegExp]>([
    [
      'of a list',
      () => oneOf('<level>', ['low', 'high']).read('hihg', '--x'),
      /^--x takes low or high, not hihg\. Did you mean high\?$/,
    ],
    [
      'like none',
      () => oneOf('<level>', ['low', 'high']).read('enormous', '--x'),
      /^--x takes low or high, not enormous\.$/,
    ],
    [
      'a provider',
      () => resolveAnnotator('openia/gpt-4o', false, 'annotator'),
      /Unknown provider "openia" .* Did you mean openai\?/,
    ],
    ['a shell', () => completionScript('fissh'), /bash, zsh or fish, not fissh\. Did you mean fish\?/],
  ])('%s', (_, read, message) => {
    expect(read).toThrow(message);
  });
});

describe('an output format that does not exist', () => {
  it.each([
    ['csv', /pandas reads jsonl and parquet/],
    ['hf', /--push_to_hub/],
    ['ChatML', /messages/],
    ['axolotl', /sharegpt/],
    ['parkuet', /Did you mean parquet\?/],
    ['SFT', /Did you mean sft\?/],
    ['KTO', /Did you mean kto\?/],
  ])('%s', (name, message) => {
    expect(() => parseOutputFormats(name, '--output_format')).toThrow(message);
  });
});

it('reannotate alone shows every command and three examples', () => {
  const text = overview('1.0.0');
  for (const name of COMMANDS) expect(text).toContain(COMMAND_TEXTS[name].summary);
  expect(text.match(/^ {2}\$ npx reannotate /gm)).toHaveLength(3);
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(110);
});

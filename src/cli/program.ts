/** The command line of both commands: flags, help, examples. What they mean is settled in `options.ts`. */

import { Command } from 'commander';
import { OUTPUT_FORMATS } from '../exports/index.js';
import { FORMAT_NAMES } from '../formats/format.js';
import { GENERATION } from '../models/generation.js';
import {
  DEFAULT_ANNOTATOR,
  DEFAULT_JUDGE,
  DEFAULT_SAMPLE,
  DEFAULT_SAMPLE_SEED,
  DEFAULT_SAVE_DIR,
  DEFAULT_TEMP_DIR,
  MAXIMUM_BATCH_BYTES,
  MAXIMUM_BATCH_SIZE,
  type RawFlags,
} from './options.js';

/** What the commands do; handed in, so that tests can look at what was parsed. */
export interface Handlers {
  reannotate(flags: RawFlags): Promise<void>;
  watchBatch(flags: RawFlags): Promise<void>;
  judge(flags: RawFlags): Promise<void>;
  /** @param path the run's folder; undefined where flags name the run */
  report(path: string | undefined, flags: RawFlags): Promise<void>;
  demo(flags: RawFlags): Promise<void>;
  simulate(flags: RawFlags): Promise<void>;
}

const EXAMPLES = `
Examples:
  $ npx reannotate demo
      the whole job on a bundled dataset, without a key or a network
  $ npx reannotate --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --dry_run
      rows, tokens and price; nothing is sent
  $ npx reannotate --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --limit 100
  $ npx reannotate --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --resume
      extend the trial to the whole dataset; the same command resumes after any interruption
  $ npx reannotate --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --batch
      at half the price; prints the watch-batch command that collects the answers
  $ npx reannotate judge --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant
      another model compares old and new answers of a finished run, blind and in both orders
  $ npx reannotate --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --resume --push_to_hub me/answers
      a finished run is pushed to the Hub; nothing is asked
  $ npx reannotate --annotator groq/llama-3.3-70b-versatile --dataset answers.jsonl
  $ npx reannotate --annotator my-model --base_url http://localhost:8000/v1 --dataset answers.jsonl

Generation parameters (--temperature to --extra_body) take none as their value: then they are not sent. Only
--reasoning_effort none is sent: it switches thinking off.

Exit codes: 0 every row is annotated; 1 something needs your attention first (key, model, credit, parameters);
2 wrong command line; 3 some rows have no annotation; 75 a server, the network or the disk failed, so the same command
with --resume may work later (also after SIGUSR2); 130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP. The README
has the details.`;

/** The program `reannotate`. */
export function reannotateProgram(version: string, handlers: Handlers): Command {
  const program = new Command('reannotate')
    .description(
      'Asks an annotator (an LLM) for a new answer to every prompt of a dataset, and saves old and new side by side.',
    )
    .version(version)
    .usage('--annotator NAME --dataset ID_OR_PATH [flags]')
    .addHelpText('after', EXAMPLES)
    .enablePositionalOptions()
    .allowExcessArguments(false)
    .exitOverride()
    .action(async (flags: RawFlags) => handlers.reannotate(flags));
  addRunFlags(program);
  program.addCommand(judgeCommand(handlers));
  program.addCommand(reportCommand(handlers));
  program.addCommand(demoCommand(handlers));
  program.addCommand(simulateCommand(handlers));
  return program;
}

function addRunFlags(program: Command): void {
  program
    .option('--annotator <name>', `model, or PROVIDER/MODEL (default: ${DEFAULT_ANNOTATOR})`)
    .option('--dataset <id_or_path>', 'Hub dataset id, or a .json, .jsonl, .csv or .parquet file')
    .option('--subset <name>', 'subset of a Hub dataset (default: the only one, or "default")')
    .option('--split <name>', 'split (default: train)')
    .option('--format <name>', `${FORMAT_NAMES.join(', ')} (default: detected from the columns)`)
    .option('--prompt_column <name>', 'column with the prompt')
    .option('--response_column <name>', 'column with the original answer; "none" for no column')
    .option('--system_column <name>', 'column with the system prompt, or none')
    .option('--input_column <name>', 'column with the input or context of the prompt, or none')
    .option('--messages_column <name>', 'column with a chat, or none')
    .option('--encoding <name>', 'encoding of a local text file, such as windows-1252 (default: utf-8)')
    .option('--limit <n>', 'rows at most (default: all); --resume with a larger one extends the run')
    .option('--offset <n>', 'rows to skip (default: 0)')
    .option('--save_dir <dir>', `parent of the results (default: ${DEFAULT_SAVE_DIR})`)
    .option('--temp_dir <dir>', `parent of the working files (default: ${DEFAULT_TEMP_DIR})`)
    .option('--run_name <name>', "name of the run's folders (default: <dataset>_<annotator>)")
    .option('--resume', 'continue an earlier run; failed rows are retried')
    .option('--resume_no_retry', 'continue an earlier run; failed rows are not retried')
    .option(
      '--retry <states>',
      'with --resume: which rows to retry, of failed, refused, filtered, truncated (default: failed)',
    )
    .option('--overwrite', "start over; the earlier run's files are kept under a timestamped name")
    .option(
      '--accept_finish_reason <reason>',
      'a finish reason, or null, that this server uses for whole answers; may be repeated',
      collect,
    )
    .option('--batch', 'submit to the OpenAI Batch API instead of asking online')
    .option('--max_batch_size <n>', `requests in one batch file (default: ${MAXIMUM_BATCH_SIZE})`)
    .option('--max_batch_bytes <n>', `bytes in one batch file (default: ${MAXIMUM_BATCH_BYTES})`)
    .option('--max_requests_per_minute <n>', 'rate limit (default: what the API says)')
    .option('--max_tokens_per_minute <n>', 'rate limit (default: what the API says)')
    .option('--max_concurrency <n>', 'requests in flight at most (default: adapted)')
    .option('--max_attempts <n>', 'tries for one row (default: 5)')
    .option('--request_timeout <seconds>', "one request's time (default: 600)");
  for (const [name, { argument, help }] of Object.entries(GENERATION)) {
    program.option(`--${name} ${argument}`, help);
  }
  program
    .option('--base_url <url>', 'any OpenAI-compatible server')
    .option('--api_key_env <name>', 'environment variable that holds the key')
    .option('--dry_run', 'count rows and tokens and show the price; sends nothing that costs')
    .option('--json', 'with --dry_run: the figures as JSON')
    .option(
      '--probe <n>',
      'with --dry_run: really ask n rows, which is paid for, to narrow the estimate; 0 asks for the account’s limits alone',
    )
    .option('--max_cost <usd>', 'stop before spending more')
    .option('--include_metadata', 'add state, model, finish reason and usage to each row')
    .option(
      '--reasoning <mode>',
      'where a model’s reasoning goes: separate, a field of its own (default); inline, before the answer as <think>…</think>; drop',
    )
    .option(
      '--output_format <a,b>',
      `one or more of ${OUTPUT_FORMATS.join(', ')} (default: json, always written)`,
    )
    .option('--push_to_hub <user/name>', 'push the results to a dataset on the Hugging Face Hub (HF_TOKEN)')
    .option('--private', 'with --push_to_hub: make the dataset private')
    .option('--yes', 'with --push_to_hub: replace files that are there')
    .option('--allow_secrets', 'with --push_to_hub: push although texts look like keys')
    .option('--logging_level <level>', 'debug, info, warning or error (default: info)');
}

const JUDGE_EXAMPLES = `
Examples:
  $ npx reannotate demo --judge
      without a key or a network
  $ npx reannotate judge --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --dry_run
      requests and price; nothing is sent
  $ npx reannotate judge --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --judge gpt-4.1 --sample 300
      after an interruption the same command goes on; a larger sample asks only for what is new

Exit codes: 0 every pair is judged; 1 something needs your attention first (key, model, credit); 2 wrong command line;
3 some requests have no answer, or no pair is decided; 75 a server, the network or the disk failed, so the same command
may work later; 130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP.`;

function judgeCommand(handlers: Handlers): Command {
  return new Command('judge')
    .description(
      'A second opinion: on a sample of a finished run another model compares old and new answer, blind and in both orders.',
    )
    .usage('--annotator NAME --dataset ID_OR_PATH [--judge NAME] [flags]')
    .addHelpText('after', JUDGE_EXAMPLES)
    .option('--annotator <name>', `whose answers are judged (default: ${DEFAULT_ANNOTATOR})`)
    .option('--dataset <id_or_path>', 'as it was given to the run')
    .option('--judge <name>', `model that judges, or PROVIDER/MODEL (default: ${DEFAULT_JUDGE})`)
    .option('--sample <n>', `pairs at most (default: ${DEFAULT_SAMPLE})`)
    .option('--seed <n>', `decides which rows are in the sample (default: ${DEFAULT_SAMPLE_SEED})`)
    .option('--judge_prompts <file>', 'YAML in place of prompts/judge.yaml')
    .option('--save_dir <dir>', `parent of the results (default: ${DEFAULT_SAVE_DIR})`)
    .option('--temp_dir <dir>', `parent of the working files (default: ${DEFAULT_TEMP_DIR})`)
    .option('--run_name <name>', 'as it was given to the run')
    .option('--max_tokens <n>', 'tokens of a verdict at most (default: 1024, and 8192 for reasoning models)')
    .option('--max_requests_per_minute <n>', 'rate limit (default: what the API says)')
    .option('--max_tokens_per_minute <n>', 'rate limit (default: what the API says)')
    .option('--max_concurrency <n>', 'requests in flight at most (default: adapted)')
    .option('--max_attempts <n>', 'tries for one request (default: 5)')
    .option('--request_timeout <seconds>', "one request's time (default: 600)")
    .option(
      '--accept_finish_reason <reason>',
      'a finish reason, or null, that the judge’s server uses for whole answers; may be repeated',
      collect,
    )
    .option('--base_url <url>', 'any OpenAI-compatible server, for the judge')
    .option('--api_key_env <name>', 'environment variable that holds its key')
    .option('--dry_run', 'tell requests and price; nothing is sent')
    .option('--max_cost <usd>', 'stop before spending more on this judgement')
    .option('--logging_level <level>', 'debug, info, warning or error (default: info)')
    .allowExcessArguments(false)
    .exitOverride()
    .action(async (flags: RawFlags) => handlers.judge(flags));
}

function reportCommand(handlers: Handlers): Command {
  return new Command('report')
    .description('Makes the page that shows a finished run: report.html, one file that needs no network.')
    .usage('[FOLDER] [flags]')
    .argument('[folder]', 'the folder of the run’s results; or name the run by its flags')
    .option('--annotator <name>', `the run's annotator (default: ${DEFAULT_ANNOTATOR})`)
    .option('--dataset <id_or_path>', "the run's dataset")
    .option('--save_dir <dir>', `parent of the results (default: ${DEFAULT_SAVE_DIR})`)
    .option('--temp_dir <dir>', `parent of the working files (default: ${DEFAULT_TEMP_DIR})`)
    .option('--run_name <name>', 'as it was given to the run')
    .option('--output <file>', 'the page (default: report.html beside the results)')
    .option('--sample <n>', 'rows to read that are chosen at random (default: 500)')
    .option('--rows <n,n>', 'rows to read in any case, counted from 0')
    .allowExcessArguments(false)
    .exitOverride()
    .action(async (path: string | undefined, flags: RawFlags) => handlers.report(path, flags));
}

function demoCommand(handlers: Handlers): Command {
  return new Command('demo')
    .description(
      'The main job with no key and no network: the simulator serves a bundled dataset and its answers.',
    )
    .option('--batch', 'in batches: submit, watch, mend what went wrong, collect')
    .option('--judge', 'and then have the answers judged')
    .option('--push_to_hub <user/name>', 'also push the results, to a Hub that is gone with the demo')
    .option('--output_format <a,b>', `also write the results as ${OUTPUT_FORMATS.slice(1).join(', ')}`)
    .option('--save_dir <dir>', `parent of the results (default: ${DEFAULT_SAVE_DIR})`)
    .option('--temp_dir <dir>', `parent of the working files (default: ${DEFAULT_TEMP_DIR})`)
    .allowExcessArguments(false)
    .exitOverride()
    .action(async (flags: RawFlags) => handlers.demo(flags));
}

function simulateCommand(handlers: Handlers): Command {
  return new Command('simulate')
    .description(
      'Starts the simulator alone: an OpenAI-compatible server and a datasets-server on this machine, to rehearse a run for free.',
    )
    .option('--port <n>', 'port on 127.0.0.1 (default: a free one)')
    .option(
      '--answers <file>',
      'JSONL of {"instruction", "input", "output"} whose outputs are given as answers',
    )
    .option(
      '--dataset_file <id=path>',
      'serve a local file as a Hub dataset; may be given several times',
      collect,
    )
    .option('--parquet_file <id=path>', 'the same for its Parquet file', collect)
    .option('--requests_per_minute <n>', 'rate limit')
    .option('--tokens_per_minute <n>', 'rate limit')
    .option(
      '--token_charge <reserved|used>',
      'what counts against the token limit: what a request may use (default), or what its answer used',
    )
    .option('--limit_window_ms <n>', 'the time over which a minute’s limit is enforced (default: 1000)')
    .option('--no_limit_headers', 'send no x-ratelimit headers')
    .option('--latency_ms <n>', 'time of an answer (default: 0)')
    .option('--latency_jitter_ms <n>', 'how much that varies (default: 0)')
    .option(
      '--fault <kind=share>',
      'such as 429=0.05,500=0.03,reset=0.02; may be given several times',
      collect,
    )
    .option('--hub_fault <kind=share>', 'the same for the datasets-server', collect)
    .option('--batch_fault <kind=share>', 'the same for batches, such as expire=0.1,row_errors=0.2', collect)
    .option('--batch_validation_ms <n>', 'time until a batch is validated (default: 5)')
    .option('--batch_duration_ms <n>', 'time that a batch is in progress (default: 20)')
    .option('--enqueued_token_limit <n>', 'tokens of all batches in progress (default: no end)')
    .option('--quota_after <n>', 'requests that are answered before the credit is gone (default: no end)')
    .option('--seed <n>', 'decides which requests fail (default: 42)')
    .option(
      '--model <name>',
      'a model that exists; may be given several times (default: every name)',
      collect,
    )
    .option('--hub_user <name>', 'the account that --push_to_hub may write to (default: me)')
    .option('--gated <id>', 'a dataset that needs a token; may be given several times', collect)
    .allowExcessArguments(false)
    .exitOverride()
    .action(async (flags: RawFlags) => handlers.simulate(flags));
}

function collect(value: string, earlier: string | undefined): string {
  return earlier === undefined ? value : `${earlier},${value}`;
}

/** Takes `--kebab-case` spellings of flags as well; values are left alone. */
export function acceptKebabCase(program: Command, argv: readonly string[]): string[] {
  // A flag may take a value in one command and none in another.
  const command = program.commands.find((one) => one.name() === argv[0]) ?? program;
  const takesValue = new Set(
    command.options.filter((option) => option.required).map((option) => option.long),
  );
  let isValue = false;
  return argv.map((word) => {
    if (isValue || !word.startsWith('--') || word === '--') {
      isValue = false;
      return word;
    }
    const [name = '', ...value] = word.split('=');
    const flag = `--${name.slice(2).replaceAll('-', '_')}`;
    isValue = takesValue.has(flag) && value.length === 0;
    return [flag, ...value].join('=');
  });
}

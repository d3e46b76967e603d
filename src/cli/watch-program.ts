/** The command line of `watch-batch`: flags, help, examples. What they mean is settled in `watch-options.ts`. */

import { Command } from 'commander';
import { OUTPUT_FORMATS } from '../exports/index.js';
import { DEFAULT_ANNOTATOR, DEFAULT_SAVE_DIR, DEFAULT_TEMP_DIR, type RawFlags } from './options.js';
import type { Handlers } from './program.js';
import { DEFAULT_CHECK_INTERVAL_S, DEFAULT_ERROR_FILE, DEFAULT_OUTPUT_FILE } from './watch-options.js';

const EXAMPLES = `
Examples:
  $ npx watch-batch --dataset glaiveai/glaive-code-assistant --annotator gpt-4o-mini
      the batches that reannotate --batch submitted from this folder
  $ npx watch-batch --batch_ids batch_a,batch_b --dataset glaiveai/glaive-code-assistant --annotator gpt-4o-mini
      from another folder or machine
  $ npx watch-batch --dataset glaiveai/glaive-code-assistant --annotator gpt-4o-mini --retry_failed
      what failed, expired or was never answered goes into a new batch
  $ npx watch-batch --dataset glaiveai/glaive-code-assistant --annotator gpt-4o-mini --finish_online
      exactly those rows are asked online instead
  $ npx watch-batch --dataset glaiveai/glaive-code-assistant --annotator gpt-4o-mini --cancel --finish_online

Stopped and started again it goes on where it was: nothing is downloaded or paid twice.

Exit codes: 0 every row is annotated; 1 something needs your attention first (key, model, credit); 2 wrong command
line; 3 some rows have no annotation; 75 a server, the network or the disk failed, so the same command may work later;
130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP (the batches continue).`;

/** The program `watch-batch`. */
export function watchBatchProgram(version: string, handlers: Handlers): Command {
  const program = new Command('watch-batch')
    .description('Watches the batches of reannotate --batch, collects their answers, and saves the results.')
    .version(version)
    .usage('--dataset ID_OR_PATH --annotator NAME [flags]')
    .addHelpText('after', EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride()
    .action(async (flags: RawFlags) => handlers.watchBatch(flags));
  return program
    .option('--batch_ids <id,id>', 'batches to collect (default: those that this folder knows)')
    .option('--batch_objects_file <file>', 'take the batches from a file such as batch_objects.json')
    .option('--recover', 'find the run’s batches in the account by their metadata')
    .option(
      '--give_up <id,id>',
      'count these batches as gone although the account cannot prove it: their rows may be sent again',
      (value: string, earlier: string | undefined) => (earlier === undefined ? value : `${earlier},${value}`),
    )
    .option('--dataset <id_or_path>', 'as it was given to reannotate')
    .option('--annotator <name>', `as it was given to reannotate (default: ${DEFAULT_ANNOTATOR})`)
    .option('--save_dir <dir>', `parent of the results (default: ${DEFAULT_SAVE_DIR})`)
    .option('--temp_dir <dir>', `parent of the working files (default: ${DEFAULT_TEMP_DIR})`)
    .option('--run_name <name>', 'as it was given to reannotate')
    .option('--check_interval <seconds>', `time between two polls (default: ${DEFAULT_CHECK_INTERVAL_S})`)
    .option('--output_file <file>', `raw result lines of all batches (default: ${DEFAULT_OUTPUT_FILE})`)
    .option('--error_file <file>', `raw error lines of all batches (default: ${DEFAULT_ERROR_FILE})`)
    .option('--retry_failed', 'submit what has no answer in the end as a new batch, and go on watching')
    .option('--finish_online', 'send exactly those rows online instead')
    .option(
      '--retry <states>',
      'with --retry_failed or --finish_online: which rows are sent again, of failed, refused, filtered and truncated (default: failed)',
    )
    .option(
      '--service_tier <tier>',
      'flex: with --finish_online, at the price of a batch, where the model has it',
    )
    .option('--cancel', 'stop the run’s batches and collect what they answered')
    .option('--yes', 'do not ask before --cancel; with --push_to_hub: replace files that are there')
    .option('--graph', 'save plots of the batches’ durations (SVG and PNG)')
    .option('--include_metadata', 'add state, model, finish reason and usage to each row')
    .option('--reasoning <mode>', 'separate, inline or drop (default: as it was given to reannotate)')
    .option(
      '--output_format <a,b>',
      `one or more of ${OUTPUT_FORMATS.join(', ')} (default: as it was given to reannotate)`,
    )
    .option('--push_to_hub <user/name>', 'push the results to a dataset on the Hugging Face Hub (HF_TOKEN)')
    .option('--private', 'with --push_to_hub: make the dataset private')
    .option('--allow_secrets', 'with --push_to_hub: push although texts look like keys')
    .option('--max_cost <usd>', 'submit or ask nothing that may cost more')
    .option('--max_batch_size <n>', 'requests in one new batch file')
    .option('--max_batch_bytes <n>', 'bytes in one new batch file')
    .option('--max_attempts <n>', 'rounds of --retry_failed, and tries for one row online (default: 5)')
    .option('--max_requests_per_minute <n>', 'rate limit of --finish_online')
    .option('--max_tokens_per_minute <n>', 'rate limit of --finish_online')
    .option('--max_concurrency <n>', 'requests in flight at most with --finish_online')
    .option('--request_timeout <seconds>', "one request's time (default: 600)")
    .option('--subset <name>', 'where another tool made the batches: which rows they ask')
    .option('--split <name>', 'the same')
    .option('--format <name>', 'the same')
    .option('--prompt_column <name>', 'the same')
    .option('--response_column <name>', 'the same')
    .option('--system_column <name>', 'the same')
    .option('--limit <n>', 'the same')
    .option('--offset <n>', 'the same')
    .option('--base_url <url>', 'any OpenAI-compatible server')
    .option('--api_key_env <name>', 'environment variable that holds the key')
    .option('--logging_level <level>', 'debug, info, warning or error (default: info)');
}

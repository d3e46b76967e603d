/**
 * The options of the library. Made by npm run docs from src/cli/flags/: change them there. Texts are taken as on a command
 * line, so that `'none'` leaves a parameter out and `'@FILE'` reads a file where the flag does.
 */

/** Options of `reannotate`. */
export interface RunOptions {
  /** Model, or PROVIDER/MODEL (default: gpt-4o-mini-2024-07-18). */
  annotator?: string | undefined;
  /** Any OpenAI-compatible server; several: URL,URL or @FILE. */
  base_url?: string | undefined;
  /** Environment variable that holds the key; A,B with several servers. */
  api_key_env?: string | undefined;
  /** Hub dataset id; local file, folder or glob; or - for standard input. */
  dataset: string;
  /** Subset of a Hub dataset (default: the only one, or "default"). */
  subset?: string | undefined;
  /** Split (default: train). */
  split?: string | undefined;
  /** Messages, conversations, chat, alpaca, glaive, columns, preference, reannotated (default: detected from the columns). */
  format?: string | undefined;
  /** Column with the prompt. */
  prompt_column?: string | undefined;
  /** Column with the original answer, or none. */
  response_column?: string | undefined;
  /** Column with the system prompt, or none. */
  system_column?: string | undefined;
  /** Column with the input or context of the prompt, or none. */
  input_column?: string | undefined;
  /** Column with a chat, or none. */
  messages_column?: string | undefined;
  /** Column with definitions of tools, or none. */
  tools_column?: string | undefined;
  /** In a chat: regenerate the last answer, or all of them in order, each with the new answers before it (default: last). */
  turns?: 'last' | 'all' | undefined;
  /** Template for every prompt, with {column} and {prompt}. */
  prompt_template?: string | undefined;
  /** System prompt for every request, instead of the dataset’s. */
  system_prompt?: string | undefined;
  /** Columns to keep in the results under "source"; all: every unused column. */
  keep_columns?: string | readonly string[] | undefined;
  /** Encoding of a local text file, such as windows-1252 (default: utf-8). */
  encoding?: string | undefined;
  /** Maximum number of rows; --resume with a larger one extends the run (default: all). */
  limit?: number | undefined;
  /** Rows to skip (default: 0). */
  offset?: number | undefined;
  /** Randomness, 0 to 2 (default: the model’s own). */
  temperature?: number | 'none' | undefined;
  /** Sample from the most likely tokens up to this probability, 0 to 1 (default: the model’s own). */
  top_p?: number | 'none' | undefined;
  /** For repeatable sampling (default: 42 where the provider is known to take one). */
  seed?: number | 'none' | undefined;
  /** Longest answer, in tokens; none for no limit (default: 2048). */
  max_tokens?: number | 'none' | undefined;
  /** Answers to each prompt (default: 1). */
  n?: number | 'none' | undefined;
  /** Penalise tokens by how often they have appeared, -2 to 2 (default: the model’s own). */
  frequency_penalty?: number | 'none' | undefined;
  /** Penalise tokens that have appeared at all, -2 to 2 (default: the model’s own). */
  presence_penalty?: number | 'none' | undefined;
  /** Sequences that end an answer, separated by commas. */
  stop?: string | readonly string[] | undefined;
  /** Such as {"50256": -100}. */
  logit_bias?: string | Readonly<Record<string, unknown>> | undefined;
  /** Keep log probabilities in output.jsonl. */
  logprobs?: boolean | 'none' | undefined;
  /** The N most likely tokens at each position, 0 to 20 (implies --logprobs). */
  top_logprobs?: number | 'none' | undefined;
  /** How much the model thinks: none, minimal, low, medium, high, xhigh, max; none switches thinking off where the model can (default: the model’s own). */
  reasoning_effort?: 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max' | undefined;
  /** Json for any JSON object, or @SCHEMA.json for answers by a JSON Schema. */
  response_format?: string | Readonly<Record<string, unknown>> | undefined;
  /** Such as flex (OpenAI: half price, slower), priority or default. */
  service_tier?: string | undefined;
  /** More fields of every request, merged last, such as {"top_k": 20}. */
  extra_body?: string | Readonly<Record<string, unknown>> | undefined;
  /** Parent folder of the results (default: datasets/reannotated). */
  save_dir?: string | undefined;
  /** Parent folder of the working files (default: datasets/temp). */
  temp_dir?: string | undefined;
  /** Name of the run’s folders (default: <dataset>_<annotator>). */
  run_name?: string | undefined;
  /** Resume an earlier run; failed rows are retried. */
  resume?: boolean | undefined;
  /** Resume an earlier run; failed rows are not retried. */
  resume_no_retry?: boolean | undefined;
  /** With --resume: which rows to retry, of failed, refused, filtered, truncated (default: failed). */
  retry?: string | readonly string[] | undefined;
  /** Start over; the earlier run’s files are kept under a timestamped name. */
  overwrite?: boolean | undefined;
  /** Earlier runs whose answers to identical requests are reused instead of paid for again; may be repeated. */
  reuse?: string | readonly string[] | undefined;
  /** Send rows with the same request once, and give all of them the answer. */
  dedupe?: boolean | undefined;
  /** Send truncated rows again with n times --max_tokens, in the same run; each once. */
  escalate_truncated?: number | undefined;
  /** Another model (or PROVIDER/MODEL) for rows that end refused or filtered, in the same run (default: none). */
  fallback_annotator?: string | undefined;
  /** With --fallback_annotator: any OpenAI-compatible server. */
  fallback_base_url?: string | undefined;
  /** With --fallback_annotator: environment variable that holds its key. */
  fallback_api_key_env?: string | undefined;
  /** With --check answer: send rows whose final answer is not the original’s n more times, and keep the majority. */
  check_retry?: number | undefined;
  /** A finish reason, or null, that this server uses for complete answers; may be repeated. */
  accept_finish_reason?: string | readonly string[] | undefined;
  /** Use the provider’s batch API, usually at half the price, instead of sending requests online. */
  batch?: boolean | undefined;
  /** Write the batch files for another tool (vllm run-batch, SGLang, an upload by hand) and send nothing. */
  batch_file_only?: boolean | undefined;
  /** Shell command to run when the run ends or needs attention. */
  notify?: string | undefined;
  /** Append progress events to a file as JSON Lines; - writes them to standard output. */
  events?: string | undefined;
  /** Maximum requests per batch file (default: 50000). */
  max_batch_size?: number | undefined;
  /** Maximum size of a batch file, in bytes (default: 200000000). */
  max_batch_bytes?: number | undefined;
  /** Rate limit (default: what the API says). */
  max_requests_per_minute?: number | undefined;
  /** Rate limit (default: what the API says). */
  max_tokens_per_minute?: number | undefined;
  /** Maximum concurrent requests (default: automatic). */
  max_concurrency?: number | undefined;
  /** Share the account’s rate limits exactly through Redis, at redis://HOST or rediss://HOST (default: each worker takes its share). */
  limiter?: string | undefined;
  /** Maximum attempts per row (default: 5). */
  max_attempts?: number | undefined;
  /** Time limit for one request (default: 600). */
  request_timeout?: number | undefined;
  /** Stop before spending more (default: unlimited). */
  max_cost?: number | undefined;
  /** Send only during the off-peak hours of the price table (DeepSeek), or the hours given in UTC, such as 16:30-00:30; wait otherwise. */
  off_peak?: string | boolean | undefined;
  /** Add state, model, finish reason and usage to each row. */
  include_metadata?: boolean | undefined;
  /** Where a model’s reasoning goes: separate, a field of its own; inline, before the answer as <think>…</think>; drop (default: separate). */
  reasoning?: 'separate' | 'inline' | 'drop' | undefined;
  /** Which of the answers of --n is the annotation: first, longest, shortest, majority, judge; majority compares final answers, judge has another model choose (default: first). */
  select?: 'first' | 'longest' | 'shortest' | 'majority' | 'judge' | undefined;
  /** With --select judge: the model that compares the answers, or PROVIDER/MODEL (default: gpt-4o). */
  judge?: string | undefined;
  /** Answer: compare the final answer with the original’s, and write agrees to each row. */
  check?: 'answer' | undefined;
  /** One or more of json, jsonl, parquet, sharegpt, messages, sft, dpo, dpo_llamafactory, kto (default: json, always written). */
  output_format?: string | readonly string[] | undefined;
  /** Leave rows out of the output formats and of what is pushed: truncated, refused, identical, language, longer=N, … (default: none). */
  drop?: string | readonly string[] | undefined;
  /** Leave out rows whose prompt shares 8 consecutive words with a prompt of an evaluation set; may be repeated (default: none). */
  decontaminate?: string | readonly string[] | undefined;
  /** With --decontaminate: column with the prompt (default: detected). */
  decontaminate_column?: string | undefined;
  /** Review file (JSONL) saved by the report: rejected rows are left out of the output formats, and edited answers are used (default: none). */
  review?: string | undefined;
  /** Push the results to a dataset on the Hugging Face Hub (HF_TOKEN). */
  push_to_hub?: string | undefined;
  /** With --push_to_hub: make the dataset private. */
  private?: boolean | undefined;
  /** With --push_to_hub: replace existing files. */
  yes?: boolean | undefined;
  /** With --push_to_hub: push even if some texts look like keys. */
  allow_secrets?: boolean | undefined;
}

/** Options of `watchBatch`. */
export interface WatchBatchOptions {
  /** As given to reannotate (default: gpt-4o-mini-2024-07-18). */
  annotator?: string | undefined;
  /** Any OpenAI-compatible server; several: URL,URL or @FILE. */
  base_url?: string | undefined;
  /** Environment variable that holds the key; A,B with several servers. */
  api_key_env?: string | undefined;
  /** As given to reannotate. */
  dataset: string;
  /** Subset of a Hub dataset (default: the only one, or "default"). */
  subset?: string | undefined;
  /** Split (default: train). */
  split?: string | undefined;
  /** Messages, conversations, chat, alpaca, glaive, columns, preference, reannotated (default: detected from the columns). */
  format?: string | undefined;
  /** Column with the prompt. */
  prompt_column?: string | undefined;
  /** Column with the original answer, or none. */
  response_column?: string | undefined;
  /** Column with the system prompt, or none. */
  system_column?: string | undefined;
  /** Maximum number of rows (default: all). */
  limit?: number | undefined;
  /** Rows to skip (default: 0). */
  offset?: number | undefined;
  /** Parent folder of the results (default: datasets/reannotated). */
  save_dir?: string | undefined;
  /** Parent folder of the working files (default: datasets/temp). */
  temp_dir?: string | undefined;
  /** As given to reannotate. */
  run_name?: string | undefined;
  /** With --retry_failed or --finish_online: which rows are sent again, of failed, refused, filtered, truncated (default: failed). */
  retry?: string | readonly string[] | undefined;
  /** Send truncated rows again with n times --max_tokens, in the same run; each once. */
  escalate_truncated?: number | undefined;
  /** Another model (or PROVIDER/MODEL) for rows that end refused or filtered, in the same run (default: none). */
  fallback_annotator?: string | undefined;
  /** With --fallback_annotator: any OpenAI-compatible server. */
  fallback_base_url?: string | undefined;
  /** With --fallback_annotator: environment variable that holds its key. */
  fallback_api_key_env?: string | undefined;
  /** Shell command to run when the run ends or needs attention. */
  notify?: string | undefined;
  /** Append progress events to a file as JSON Lines; - writes them to standard output. */
  events?: string | undefined;
  /** Maximum requests per new batch file (default: 50000). */
  max_batch_size?: number | undefined;
  /** Maximum size of a new batch file, in bytes (default: 200000000). */
  max_batch_bytes?: number | undefined;
  /** Rate limit of --finish_online (default: what the API says). */
  max_requests_per_minute?: number | undefined;
  /** Rate limit of --finish_online (default: what the API says). */
  max_tokens_per_minute?: number | undefined;
  /** Maximum concurrent requests with --finish_online (default: automatic). */
  max_concurrency?: number | undefined;
  /** Share the account’s rate limits exactly through Redis, at redis://HOST or rediss://HOST (default: each worker takes its share). */
  limiter?: string | undefined;
  /** Maximum rounds of --retry_failed, and attempts per row online (default: 5). */
  max_attempts?: number | undefined;
  /** Time limit for one request (default: 600). */
  request_timeout?: number | undefined;
  /** Submit and send nothing that could cost more (default: unlimited). */
  max_cost?: number | undefined;
  /** Treat these batches as lost although the account cannot confirm it: their rows may be sent again. */
  give_up?: string | readonly string[] | undefined;
  /** Time between two polls (default: 60). */
  check_interval?: number | undefined;
  /** Add state, model, finish reason and usage to each row. */
  include_metadata?: boolean | undefined;
  /** Separate, inline, drop (default: as given to reannotate). */
  reasoning?: 'separate' | 'inline' | 'drop' | undefined;
  /** First, longest, shortest, majority (default: as given to reannotate). */
  select?: 'first' | 'longest' | 'shortest' | 'majority' | 'judge' | undefined;
  /** Answer: compare the final answer with the original’s, and write agrees to each row (default: as given to reannotate). */
  check?: 'answer' | undefined;
  /** One or more of json, jsonl, parquet, sharegpt, messages, sft, dpo, dpo_llamafactory, kto (default: as given to reannotate). */
  output_format?: string | readonly string[] | undefined;
  /** Leave rows out of the output formats and of what is pushed: truncated, refused, identical, language, longer=N, … (default: as given to reannotate). */
  drop?: string | readonly string[] | undefined;
  /** Leave out rows whose prompt shares 8 consecutive words with a prompt of an evaluation set; may be repeated (default: as given to reannotate). */
  decontaminate?: string | readonly string[] | undefined;
  /** With --decontaminate: column with the prompt (default: as given to reannotate). */
  decontaminate_column?: string | undefined;
  /** Review file (JSONL) saved by the report: rejected rows are left out of the output formats, and edited answers are used (default: as given to reannotate). */
  review?: string | undefined;
  /** Push the results to a dataset on the Hugging Face Hub (HF_TOKEN). */
  push_to_hub?: string | undefined;
  /** With --push_to_hub: make the dataset private. */
  private?: boolean | undefined;
  /** Do not ask before --cancel; with --push_to_hub: replace existing files. */
  yes?: boolean | undefined;
  /** With --push_to_hub: push even if some texts look like keys. */
  allow_secrets?: boolean | undefined;
  /** Batches to collect (default: those recorded in the run’s folder). */
  batch_ids?: string | readonly string[] | undefined;
  /** Take the batches from a file such as batch_objects.json. */
  batch_objects_file?: string | undefined;
  /** Find the run’s batches in the account by their metadata. */
  recover?: boolean | undefined;
  /** Take results in OpenAI’s batch format from files, without an API. */
  results?: string | readonly string[] | undefined;
  /** Raw result lines of all batches (default: batch_results.jsonl). */
  output_file?: string | undefined;
  /** Raw error lines of all batches (default: batch_errors.jsonl). */
  error_file?: string | undefined;
  /** Submit rows that ended without an answer as a new batch, and keep watching. */
  retry_failed?: boolean | undefined;
  /** Send exactly those rows online instead. */
  finish_online?: boolean | undefined;
  /** Flex: with --finish_online, at the batch price, where the model supports it. */
  service_tier?: 'flex' | undefined;
  /** Stop the run’s batches and collect what they answered. */
  cancel?: boolean | undefined;
}

/** Options of `processRequests`: those of `reannotate` that say how requests are sent. */
export type RequestOptions = Pick<
  RunOptions,
  | 'annotator'
  | 'base_url'
  | 'api_key_env'
  | 'temperature'
  | 'top_p'
  | 'seed'
  | 'max_tokens'
  | 'n'
  | 'frequency_penalty'
  | 'presence_penalty'
  | 'stop'
  | 'logit_bias'
  | 'logprobs'
  | 'top_logprobs'
  | 'reasoning_effort'
  | 'response_format'
  | 'service_tier'
  | 'extra_body'
  | 'max_requests_per_minute'
  | 'max_tokens_per_minute'
  | 'max_concurrency'
  | 'limiter'
  | 'max_attempts'
  | 'request_timeout'
>;

/** The commands, and what `--help` says of each besides its flags. */

interface CommandText {
  /** A few words, for the list of commands. */
  summary: string;
  /** The sentence under the usage. */
  description: string;
  /** After the command's name. */
  usage: string;
  /** An argument without a flag, in brackets where it may be left out. */
  argument?: { name: string; help: string; isRepeated?: true };
  /** Examples and exit codes, after the flags. */
  more: string;
}

const DATASET = 'glaiveai/glaive-code-assistant';
const RUN_DIR = { name: '<run_dir>', help: 'the folder of the planned run: <temp_dir>/<run>' };
const RUN = `--annotator gpt-4o-mini --dataset ${DATASET}`;

/** A new command is an entry here, its flags in `flags/`, and what it does in `handlers.ts`. */
const TEXTS = {
  reannotate: {
    summary: 'annotate a dataset: one request per row, online or with --batch',
    description:
      'Regenerates every answer in an instruction dataset with an LLM, and saves the old and new answers side by side.',
    usage: '--annotator NAME --dataset ID_OR_PATH [flags]',
    more: `
Examples:
  $ npx reannotate demo
      try it on a bundled dataset, without a key or a network
  $ npx reannotate ${RUN} --dry_run
      rows, tokens and price; nothing is sent
  $ npx reannotate ${RUN} --limit 100
  $ npx reannotate ${RUN} --resume
      extend the trial to the whole dataset; the same command resumes after any interruption
  $ npx reannotate ${RUN} --batch
      at half the price; prints the watch-batch command that collects the answers
  $ npx reannotate judge ${RUN}
      another model compares old and new answers of a finished run, blind and in both orders
  $ npx reannotate ${RUN} --resume --push_to_hub me/answers
      a finished run is pushed to the Hub; no request is sent
  $ npx reannotate --annotator groq/llama-3.3-70b-versatile --dataset answers.jsonl
  $ npx reannotate --annotator my-model --base_url http://localhost:8000/v1 --dataset answers.jsonl

Generation parameters (--temperature to --extra_body) take none as their value: then they are not sent. Only
--reasoning_effort none is sent: it switches thinking off.

Exit codes: 0 every row is annotated; 1 something needs your attention first (key, model, credit, parameters);
2 wrong command line; 3 some rows have no annotation; 75 a server, the network or the disk failed, so the same command
with --resume may work later (also after SIGUSR2); 130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP. The README
has the details.`,
  },
  'watch-batch': {
    summary: 'watch the batches of --batch, collect their answers, save the results',
    description: 'Watches the batches of reannotate --batch, collects their answers, and saves the results.',
    usage: '--dataset ID_OR_PATH --annotator NAME [flags]',
    more: `
Examples:
  $ npx watch-batch --dataset ${DATASET} --annotator gpt-4o-mini
      the batches that reannotate --batch submitted from this folder
  $ npx watch-batch --batch_ids batch_a,batch_b --dataset ${DATASET} --annotator gpt-4o-mini
      from another folder or machine
  $ npx watch-batch --dataset ${DATASET} --annotator gpt-4o-mini --retry_failed
      what failed, expired or was never answered goes into a new batch
  $ npx watch-batch --dataset ${DATASET} --annotator gpt-4o-mini --finish_online
      exactly those rows are sent online instead
  $ npx watch-batch --dataset ${DATASET} --annotator gpt-4o-mini --cancel --finish_online

Started again after a stop, it resumes where it was: nothing is downloaded or paid twice.

Exit codes: 0 every row is annotated; 1 something needs your attention first (key, model, credit); 2 wrong command
line; 3 some rows have no annotation; 75 a server, the network or the disk failed, so the same command may work later;
130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP (the batches continue).`,
  },
  judge: {
    summary: 'have another model compare the old and new answers of a run',
    description:
      'LLM-as-a-judge: another model compares the old and new answers of a sample of a finished run, blind and in both orders.',
    usage: '--annotator NAME --dataset ID_OR_PATH [--judge NAME] [flags]',
    more: `
Examples:
  $ npx reannotate demo --judge
      without a key or a network
  $ npx reannotate judge ${RUN} --dry_run
      requests and price; nothing is sent
  $ npx reannotate judge ${RUN} --judge gpt-4.1 --sample 300
      after an interruption the same command resumes; a larger sample sends only what is new

Exit codes: 0 every pair is judged; 1 something needs your attention first (key, model, credit); 2 wrong command line;
3 some requests have no answer, or no pair is decided; 75 a server, the network or the disk failed, so the same command
may work later; 130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP.`,
  },
  compare: {
    summary: 'try several annotators on a sample, and have their answers judged',
    description:
      'Sends one sample to several annotators, has another model judge their answers blind and in both orders, and ranks the ' +
      'annotators: wins, price and time of each.',
    usage: 'A,B,C --dataset ID_OR_PATH [--sample N] [--run [NAME]] [flags]',
    argument: { name: '<annotators>', help: 'two or more annotators, separated by commas' },
    more: `
Examples:
  $ npx reannotate demo --compare
      without a key or a network
  $ npx reannotate compare gpt-4o-mini,gpt-4.1-mini,groq/llama-3.3-70b-versatile --dataset ${DATASET} --dry_run
      requests and price; nothing is sent
  $ npx reannotate compare gpt-4o-mini,gpt-4.1-mini --dataset ${DATASET} --judge gpt-4.1 --max_cost 5
      after an interruption the same command resumes; a larger sample or another annotator sends only what is new
  $ npx reannotate compare gpt-4o-mini,gpt-4.1-mini --dataset ${DATASET} --run gpt-4o-mini
      then the whole dataset; the answers to the sample are not paid for again

The table is printed, and compare.json and compare.html are in <save_dir>/<dataset>_compare.

Exit codes: 0 compared; 1 something needs your attention first (key, model, credit); 2 wrong command line; 3 some answers or
verdicts are missing, or, with --run, some rows have no annotation; 75 a server, the network or the disk failed, so the same
command may work later; 130, 143 and 129 stopped by Ctrl-C, SIGTERM and SIGHUP.`,
  },
  report: {
    summary: 'write a report page of one or more runs, or serve it live',
    description:
      'Writes the report of a run, or compares several runs of one dataset: a single HTML file that needs no network.',
    usage: '[RUN_DIR …] [flags]',
    argument: {
      name: '[run_dir...]',
      help: 'the folder of the run’s results, or of its working files; or name the run by its flags',
      isRepeated: true,
    },
    more: `
Examples:
  $ npx reannotate report ${RUN}
  $ npx reannotate report RUN_DIR
      writes report.html beside the results
  $ npx reannotate report RUN_DIR RUN_DIR
      writes comparison.html beside the results of the first: answers, wins, prices and lengths side by side
  $ npx reannotate report --watch RUN_DIR
      serves the page on this machine during the run`,
  },
  list: {
    summary: 'list the runs in --save_dir: state, rows, cost, size',
    description: 'Lists the runs in a results folder, most recently changed first.',
    usage: '[--save_dir DIR] [--json]',
    more: `
Examples:
  $ npx reannotate list
  $ npx reannotate list --json | jq -r '.[] | select(.state == "stopped") | .name'

To delete a run, delete its two folders, which --json names: results and working_files.`,
  },
  demo: {
    summary: 'try it on a bundled dataset, without a key or a network',
    description:
      'Runs the whole job without a key or a network: the simulator serves a bundled dataset and its answers.',
    usage: '[flags]',
    more: '',
  },
  simulate: {
    summary: 'start a local API and Hub, to rehearse a run for free',
    description:
      'Starts a local simulator: an OpenAI-compatible API, a datasets-server and a Hub, to rehearse a run for free.',
    usage: '[flags]',
    more: '',
  },
  completion: {
    summary: 'print a completion script for bash, zsh or fish',
    description: 'Prints a shell completion script for commands, flags and their values.',
    usage: 'bash|zsh|fish',
    argument: { name: '<shell>', help: 'bash, zsh or fish' },
    more: `
Examples:
  $ eval "$(npx reannotate completion bash)"
      in this shell; in ~/.bashrc for every one
  $ npx reannotate completion fish > ~/.config/fish/completions/reannotate.fish`,
  },
  plan: {
    summary: 'cut a dataset into shards for many workers',
    description:
      'Cuts a dataset into shards, once, so that any number of workers on any number of machines can share it.',
    usage: '--annotator NAME --dataset ID_OR_PATH [--shards N] [flags]',
    more: `
Prints RUN_DIR, the folder that the other commands take. All workers need to see it, on a folder that they share.

Examples:
  $ npx reannotate plan --annotator my-model --base_url http://gpu1:8000/v1 --dataset rows.jsonl --temp_dir /shared/runs
  $ npx reannotate work RUN_DIR        # on each machine; in an engine's tasks the same command
  $ npx reannotate status RUN_DIR
  $ npx reannotate merge RUN_DIR
  $ npx reannotate slurm RUN_DIR --submit --nodes 8

Exit codes: 0 planned; 1 something needs your attention first; 2 wrong command line; 75 try again later.`,
  },
  work: {
    summary: 'work on the shards of a planned run',
    description: 'Works on a planned run: one shard, or unfinished ones until none is left.',
    usage: 'RUN_DIR [--shard I] [flags]',
    argument: RUN_DIR,
    more: `
A worker finds its shard by --shard, SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, AWS_BATCH_JOB_ARRAY_INDEX,
CLOUD_RUN_TASK_INDEX or RANK; two that disagree are an error. Without one it takes open shards. Started again, it resumes.

Exit codes: 0 its shards are done, failed rows included (merge reports them); 1 no worker can continue (key, model, credit),
so that all stop; 2 wrong command line; 75 start it again (also after SIGUSR2); 130, 143 and 129 stopped by Ctrl-C, SIGTERM
and SIGHUP.`,
  },
  status: {
    summary: 'show the progress of a run',
    description:
      'Shows the progress of a run from its files: rows by state, requests, tokens, cost, and all shards of a planned run. On a ' +
      'terminal it updates until the run ends.',
    usage: 'RUN_DIR [--json]',
    argument: { name: '<run_dir>', help: 'the folder of the run’s working files, or of its results' },
    more: `
It reads the run's files, on the same machine or on any other that sees them, and changes nothing.

Examples:
  $ npx reannotate status datasets/temp/answers.jsonl_gpt-4o-mini
  $ npx reannotate status datasets/temp/answers.jsonl_gpt-4o-mini --json | jq .rows.pending`,
  },
  merge: {
    summary: 'check that all shards are complete, and write the results',
    description:
      'Checks that every shard of a planned run is complete, and writes the results that one machine would have written.',
    usage: 'RUN_DIR',
    argument: RUN_DIR,
    more: `
Exit codes: 0 every row is annotated; 1 a shard is damaged or does not belong to the plan; 3 some rows have no annotation;
75 shards are missing, not done, or still worked on.`,
  },
  slurm: {
    summary: 'run a plan as a Slurm job array',
    description: 'Writes and shows the Slurm job array of a planned run and the merge job that follows it.',
    usage: 'RUN_DIR [--submit] [--nodes K] [--sbatch=OPTION …]',
    argument: RUN_DIR,
    more: `
The scripts hold no key: tasks get the environment of sbatch. Only shards that are not done get a task.

Example:
  $ npx reannotate slurm RUN_DIR --nodes 8 --sbatch=--partition=gpu --sbatch=--time=4:00:00 --submit`,
  },
  k8s: {
    summary: 'print a plan as a Kubernetes Job',
    description: 'Prints a planned run as a Kubernetes Indexed Job.',
    usage: 'RUN_DIR [--image NAME] [--nodes K] [flags]',
    argument: RUN_DIR,
    more: `
The manifest holds no key: pods take it from a Secret.

Example:
  $ kubectl create secret generic reannotate --from-literal=OPENAI_API_KEY=$OPENAI_API_KEY
  $ npx reannotate k8s RUN_DIR --image registry.example.com/reannotate:1 | kubectl apply -f -`,
  },
} satisfies Record<string, CommandText>;

export type CommandName = keyof typeof TEXTS;
export const COMMAND_TEXTS: Readonly<Record<CommandName, CommandText>> = TEXTS;
/** Every command; `reannotate` is the one without a name of its own. */
export const COMMANDS = Object.keys(TEXTS) as readonly CommandName[];

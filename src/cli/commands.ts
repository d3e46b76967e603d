/** The commands, and what `--help` says of each besides its flags. */

interface CommandText {
  /** A few words, for the list of commands. */
  summary: string;
  /** The sentence under the usage. */
  description: string;
  /** After the command's name. */
  usage: string;
  /** An argument without a flag, in brackets where it may be left out. */
  argument?: { name: string; help: string };
  /** Examples and exit codes, after the flags. */
  more: string;
}

const DATASET = 'glaiveai/glaive-code-assistant';
const RUN = `--annotator gpt-4o-mini --dataset ${DATASET}`;

/** A new command is an entry here, its flags in `flags/`, and what it does in `handlers.ts`. */
const TEXTS = {
  reannotate: {
    summary: 'annotate a dataset: one request per row, online or with --batch',
    description:
      'Asks an annotator (an LLM) for a new answer to every prompt of a dataset, and saves old and new side by side.',
    usage: '--annotator NAME --dataset ID_OR_PATH [flags]',
    more: `
Examples:
  $ npx reannotate demo
      the whole job on a bundled dataset, without a key or a network
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
      'A second opinion: on a sample of a finished run another model compares old and new answer, blind and in both orders.',
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
  report: {
    summary: 'make a page (report.html) that shows a run',
    description: 'Makes the page that shows a finished run: report.html, one file that needs no network.',
    usage: '[FOLDER] [flags]',
    argument: { name: '[folder]', help: 'the folder of the run’s results; or name the run by its flags' },
    more: '',
  },
  demo: {
    summary: 'the whole job on a bundled dataset, without a key or a network',
    description:
      'The main job with no key and no network: the simulator serves a bundled dataset and its answers.',
    usage: '[flags]',
    more: '',
  },
  simulate: {
    summary: 'start a local API and Hub, to rehearse a run for free',
    description:
      'Starts the simulator alone: an OpenAI-compatible server and a datasets-server on this machine, to rehearse a run for free.',
    usage: '[flags]',
    more: '',
  },
  completion: {
    summary: 'print a script by which bash, zsh or fish completes flags',
    description: 'Prints a script by which a shell completes commands, flags and their values.',
    usage: 'bash|zsh|fish',
    argument: { name: '<shell>', help: 'bash, zsh or fish' },
    more: `
Examples:
  $ eval "$(npx reannotate completion bash)"
      in this shell; in ~/.bashrc for every one
  $ npx reannotate completion fish > ~/.config/fish/completions/reannotate.fish`,
  },
} satisfies Record<string, CommandText>;

export type CommandName = keyof typeof TEXTS;
export const COMMAND_TEXTS: Readonly<Record<CommandName, CommandText>> = TEXTS;
/** Every command; `reannotate` is the one without a name of its own. */
export const COMMANDS = Object.keys(TEXTS) as readonly CommandName[];

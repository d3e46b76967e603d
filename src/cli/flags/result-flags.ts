/** What the results hold, where they go, and what is shown meanwhile. */

import { DROP_CHOICES, parseDropRules } from '../../exports/drop-rules.js';
import { DEFAULT_JUDGE } from '../../judge/defaults.js';
import { OUTPUT_FORMATS, parseOutputFormats } from '../../exports/index.js';
import { file, kind, list, LIST_IN_CODE, oneOf, text, toggle } from '../../lib/kinds.js';
import { DEFAULT_REASONING_MODE, REASONING_MODES } from '../../models/reasoning.js';
import { checkRepositoryName } from '../../publishing/repository-name.js';
import { CHECKS, DEFAULT_OUTPUT } from '../../run/settings.js';
import { DEFAULT_SELECTION, SELECTIONS } from '../../models/select-answer.js';
import { logLevelNamed, LOG_LEVELS } from '../../terminal/log.js';
import { flag } from './flag.js';

const BEFORE = 'as given to reannotate';

export const RESULT_FLAGS = {
  include_metadata: flag({
    kind: toggle,
    fallback: false,
    group: 'results',
    help: 'add state, model, finish reason and usage to each row',
    details: '`{state, model, finish_reason, usage}`.',
    aliases: ['metadata', 'with_metadata'],
    commands: { reannotate: true, 'watch-batch': true },
  }),
  reasoning: flag({
    kind: oneOf('<mode>', REASONING_MODES),
    fallback: null,
    usual: DEFAULT_REASONING_MODE,
    group: 'results',
    help: 'where a model’s reasoning goes: separate, a field of its own; inline, before the answer as <think>…</think>; drop',
    details: 'See [reasoning](models.md#reasoning).',
    commands: {
      reannotate: true,
      'watch-batch': { help: REASONING_MODES.join(', '), usual: BEFORE },
    },
  }),
  select: flag({
    kind: oneOf('<how>', SELECTIONS),
    fallback: null,
    usual: DEFAULT_SELECTION,
    group: 'results',
    help: `which of the answers of --n is the annotation: ${SELECTIONS.join(', ')}; majority compares final answers, judge has another model choose`,
    details: 'See [several answers](models.md#several-answers).',
    commands: {
      reannotate: true,
      'watch-batch': { help: SELECTIONS.filter((one) => one !== 'judge').join(', '), usual: BEFORE },
    },
  }),
  judge: flag({
    kind: text('<name>'),
    fallback: null,
    usual: DEFAULT_JUDGE,
    group: 'results',
    help: 'with --select judge: the model that compares the answers, or PROVIDER/MODEL',
    details: 'See [several answers](models.md#several-answers).',
    aliases: ['judge_model'],
    commands: { reannotate: true },
  }),
  check: flag({
    kind: oneOf('<what>', CHECKS),
    fallback: null,
    group: 'results',
    help: 'answer: compare the final answer with the original’s, and write agrees to each row',
    details: 'See [the old answer as a check](models.md#the-old-answer-as-a-check).',
    commands: { reannotate: true, 'watch-batch': { usual: BEFORE } },
  }),
  output_format: flag({
    kind: kind('<a,b>', parseOutputFormats, { choices: OUTPUT_FORMATS, inCode: LIST_IN_CODE }),
    fallback: DEFAULT_OUTPUT.formats,
    usual: 'json, always written',
    group: 'results',
    help: `one or more of ${OUTPUT_FORMATS.join(', ')}`,
    details: 'See [results](results.md).',
    aliases: ['export', 'export_format', 'formats', 'output_type', 'to'],
    commands: {
      reannotate: true,
      'watch-batch': { usual: BEFORE },
      merge: { usual: 'what the plan says' },
      demo: { help: `also write the results as ${OUTPUT_FORMATS.slice(1).join(', ')}`, usual: null },
    },
  }),
  drop: flag({
    kind: kind('<rules>', readDrop, { choices: DROP_CHOICES, repeats: true, inCode: LIST_IN_CODE }),
    fallback: null,
    usual: 'none',
    group: 'results',
    help: 'leave rows out of the output formats and of what is pushed: truncated, refused, identical, language, longer=N, …',
    details:
      'States (`failed`, `refused`, `filtered`, `truncated`), `unanswered`, `identical` (nearly the original answer; or ' +
      '`identical=0.8`), `language` (not that of the original answer; or `language=en+de` for any but these), ' +
      '`shorter=N` and `longer=N` characters. `reannotated.json` keeps every row. See [filters](results.md#filters).',
    aliases: ['filter', 'filters', 'drop_rows', 'exclude'],
    commands: { reannotate: true, 'watch-batch': { usual: BEFORE }, demo: true },
  }),
  decontaminate: flag({
    kind: kind('<file>', partsOf, { completes: 'file', repeats: true, inCode: LIST_IN_CODE }),
    fallback: null,
    usual: 'none',
    group: 'results',
    help: 'leave out rows whose prompt shares 8 consecutive words with a prompt of an evaluation set; may be repeated',
    details:
      'Any file that `--dataset` reads. Words are compared as open-r1 does, in lower case. See [filters](results.md#filters).',
    aliases: ['decontamination', 'eval_set', 'evaluation_set', 'benchmark'],
    commands: {
      reannotate: true,
      'watch-batch': { usual: BEFORE },
      demo: {
        help: 'leave out examples whose prompt shares 8 consecutive words with a prompt of an evaluation set: `benchmark` is a small one of the demo',
      },
    },
  }),
  decontaminate_column: flag({
    kind: text('<name>'),
    fallback: null,
    usual: 'detected',
    group: 'results',
    help: 'with --decontaminate: column with the prompt',
    commands: { reannotate: true, 'watch-batch': { usual: BEFORE } },
  }),
  review: flag({
    kind: kind('<file>', (given) => (given.toLowerCase() === 'none' ? '' : given), { completes: 'file' }),
    fallback: null,
    usual: 'none',
    group: 'results',
    help: 'review file (JSONL) saved by the report: rejected rows are left out of the output formats, and edited answers are used',
    details: '`reannotated.json` keeps every row. See [the report](report.md#your-review).',
    aliases: ['marks', 'reviews', 'annotations_file'],
    commands: { reannotate: true, 'watch-batch': { usual: BEFORE } },
  }),
  push_to_hub: flag({
    kind: kind('<user/name>', checkRepositoryName),
    fallback: null,
    group: 'hub',
    help: 'push the results to a dataset on the Hugging Face Hub (HF_TOKEN)',
    details: 'See [the Hub](hub.md).',
    aliases: ['hub_model_id', 'hub_dataset', 'repo_id', 'push', 'upload', 'hf_repo'],
    commands: {
      reannotate: true,
      'watch-batch': true,
      demo: { help: 'also push the results to a simulated Hub, which stops with the demo' },
    },
  }),
  private: flag({
    kind: toggle,
    fallback: false,
    group: 'hub',
    help: 'with --push_to_hub: make the dataset private',
    commands: { reannotate: true, 'watch-batch': true },
  }),
  yes: flag({
    kind: toggle,
    fallback: false,
    group: 'hub',
    help: 'with --push_to_hub: replace existing files',
    short: 'y',
    aliases: ['assume_yes', 'no_confirm'],
    isAction: true,
    commands: {
      reannotate: true,
      'watch-batch': {
        help: 'do not ask before --cancel; with --push_to_hub: replace existing files',
      },
    },
  }),
  allow_secrets: flag({
    kind: toggle,
    fallback: false,
    group: 'hub',
    help: 'with --push_to_hub: push even if some texts look like keys',
    isAction: true,
    commands: { reannotate: true, 'watch-batch': true },
  }),
};

/** @throws UsageError for an unknown rule */
function readDrop(given: string, source: string): readonly string[] {
  const rules = partsOf(given, source);
  return [...new Set(parseDropRules(rules, source).map(({ text: rule }) => rule))];
}

/** Parts of a list with commas; `none` is an empty one. */
function partsOf(given: string, source: string): readonly string[] {
  return given.trim().toLowerCase() === 'none' ? [] : list('<part>').read(given, source);
}

export const GENERAL_FLAGS = {
  logging_level: flag({
    kind: kind('<level>', logLevelNamed, { choices: Object.keys(LOG_LEVELS) }),
    fallback: 'info',
    group: 'general',
    help: 'debug, info, warning or error',
    details: 'Also Python’s 10, 20, 30, 40.',
    aliases: ['log_level', 'loglevel', 'verbosity', 'verbose', 'debug'],
    commands: { reannotate: true, 'watch-batch': true, judge: true, work: true, merge: true },
  }),
  quiet: flag({
    kind: toggle,
    fallback: false,
    group: 'general',
    help: 'show only warnings and errors; the log keeps everything',
    short: 'q',
    aliases: ['silent', 'no_progress', 'disable_tqdm'],
    commands: { reannotate: true, 'watch-batch': true, judge: true, report: true, demo: true },
  }),
  config: flag({
    kind: file,
    fallback: null,
    group: 'general',
    help: 'YAML file of flags, such as a run’s own config.yaml; flags on the command line take precedence',
    details:
      'Names are those of the flags, such as `max_tokens: 512`; `null` in place of a generation parameter is `none`. ' +
      'Flags that other commands take are ignored, so that one file serves several. Of a run’s own `config.yaml`, what ' +
      'one invocation did (such as `resume`) is left out.',
    aliases: ['config_file', 'cfg', 'params_file', 'yaml', 'settings'],
    isAction: true,
    commands: { reannotate: true, 'watch-batch': true, judge: true, report: true },
  }),
  env_file: flag({
    kind: file,
    fallback: null,
    group: 'general',
    help: 'file of environment variables, such as .env; variables that are already set take precedence',
    details: 'No `.env` file is read unless you name it.',
    aliases: ['dotenv', 'env'],
    isAction: true,
    commands: { reannotate: true, 'watch-batch': true, judge: true },
  }),
};

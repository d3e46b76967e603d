/** The dataset card that is pushed with results: what they are, and where they come from. */

import { basename } from 'node:path';
import { resolveAnnotator, type Annotator } from '../models/annotators.js';
import { identityFlags, type IdentityFlags, type RunIdentity } from '../run/identity.js';
import { wholeDataset } from '../datasets/selection.js';
import type { ResultShape } from '../exports/exporter.js';
import type { ParameterChange } from '../requests/parameters.js';
import { describeTokens, type Summary } from '../run/summary.js';
import { count, sanitize, plural, shellWord, spent } from '../lib/text.js';
import { ROW_STATES } from '../types.js';
import {
  asksTheSame,
  chooseGeneration,
  flagValue,
  GENERATION_NAMES,
  isGenerationName,
  isNeutral,
} from '../models/generation.js';
import { codeBlock, plain, table } from './markdown.js';
import type { SinceLastPush } from './last-push.js';
import { DATA_PATH } from './repository.js';

/** Models and changes of parameters that are named one by one. */
const MOST_NAMED = 10;

/** The facts of a card. */
export interface CardFacts {
  /** `USER/NAME` on the Hub. */
  repository: string;
  identity: RunIdentity;
  annotator: Annotator;
  summary: Summary;
  shape: ResultShape;
  changes: readonly ParameterChange[];
  /** The licences of the dataset that was annotated; none where they are not known. */
  licenses: readonly string[];
  /** How the rows differ from those of the last push; null where this is the first one. */
  since: SinceLastPush | null;
  /** Of this program. */
  version: string;
}

/** A dataset of the Hub has a subset; a file has none. */
export function isOnHub({ found }: Pick<RunIdentity, 'found'>): boolean {
  return found.subset !== null;
}

/** The card as Markdown with YAML before it. */
export async function datasetCard(facts: CardFacts): Promise<string> {
  const { repository, identity } = facts;
  const { dataset, annotator } = identity.asked;
  return [
    `---\n${await metadata(facts)}---`,
    `# ${plain(sourceName(identity))}, answered by ${plain(annotator)}`,
    `Every prompt of ${plain(sourceName(identity))} with its original answer and a new one by ` +
      `${plain(annotator)}, made with reannotate. The new answers are the text of a language model: they may be wrong.`,
    codeBlock('python', `from datasets import load_dataset\n\nload_dataset("${repository}", split="train")`),
    '## Columns',
    table(['Column', 'What'], columns(facts.shape)),
    '## Rows',
    table(['State', 'Rows'], states(facts.summary)),
    ...filters(facts.summary),
    ...sinceLastPush(facts.since),
    '## Provenance',
    table(['', ''], provenance(facts)),
    ...parameterChanges(facts.changes),
    '## Command',
    codeBlock('sh', commandLine(identity.asked, isOnHub(identity) ? dataset : sourceName(identity))),
    '`summary.json` has the figures for programs.\n',
  ].join('\n\n');
}

async function metadata({ identity, summary, licenses }: CardFacts): Promise<string> {
  const { stringify } = await import('yaml');
  const [license] = licenses;
  return stringify(
    {
      ...(license === undefined ? {} : { license: licenses.length === 1 ? license : licenses }),
      tags: ['reannotate', 'synthetic'],
      ...(isOnHub(identity) ? { source_datasets: [identity.asked.dataset] } : {}),
      size_categories: [sizeCategory(summary.dropped?.kept ?? summary.rows.total)],
      // The file by its name: what else may be in the folder is not of this run.
      configs: [{ config_name: 'default', data_files: [{ split: 'train', path: DATA_PATH }] }],
    },
    { lineWidth: 0 },
  );
}

/** The Hub's classes of sizes, such as `1K<n<10K`. */
function sizeCategory(rows: number): string {
  const bounds = ['1K', '10K', '100K', '1M', '10M', '100M', '1B'];
  const above = bounds.findIndex((_, index) => rows < 1000 * 10 ** index);
  if (above === 0) return 'n<1K';
  return above === -1 ? 'n>1B' : `${bounds[above - 1] ?? ''}<n<${bounds[above] ?? ''}`;
}

/** The dataset's name; of a file the last part of its path, since the rest is nobody's business. */
function sourceName(identity: RunIdentity): string {
  const { dataset } = identity.asked;
  return isOnHub(identity) ? dataset : basename(dataset.replaceAll('\\', '/'));
}

function columns({
  several,
  metadata: withMetadata,
  chats,
  reasoning,
  tools,
  images,
  source,
}: ResultShape): string[][] {
  return [
    ['`system_prompt`', 'the system prompt, may be empty'],
    ['`user_prompt`', 'the prompt as it was sent; null where the row could not be used'],
    ['`annotation_original`', 'the original answer; null where there was none'],
    ['`annotation`', 'the new answer; null where there is none'],
    ...(reasoning
      ? [['`reasoning`', 'what the model thought before it answered; null where it gave none']]
      : []),
    ...(chats
      ? [['`request_messages`', 'the request as it was sent, with all its turns; null where it has one']]
      : []),
    ...(tools
      ? [
          ['`tools`', 'definitions of the tools that were sent, as JSON text; null for none'],
          ['`annotation_original_tool_calls`', 'the calls of the original answer; null where it makes none'],
          ['`annotation_tool_calls`', 'the calls of the new answer; null where it makes none'],
        ]
      : []),
    ...(images ? [['`images`', 'the images at the `<image>` marks: addresses, paths or digests']] : []),
    ...(source ? [['`source`', 'other columns of the dataset, as JSON text']] : []),
    ...(several ? [['`annotations`', 'all new answers; `annotation` is the first']] : []),
    ...(several && reasoning ? [['`reasonings`', 'the reasoning of each of them']] : []),
    ...(withMetadata
      ? [
          ['`state`', 'what became of the row, as below'],
          ['`model`, `finish_reason`', 'as the API returned them'],
          ['`prompt_tokens`, `completion_tokens`', 'as the API counted them'],
        ]
      : []),
  ];
}

const STATE_MEANINGS: Readonly<Record<(typeof ROW_STATES)[number], string>> = {
  ok: 'answered',
  truncated: 'answered up to the most tokens that were allowed',
  refused: 'the model refused to answer',
  filtered: 'withheld by a content filter',
  failed: 'without an answer',
  pending: 'not asked',
};

function states({ rows }: Summary): string[][] {
  const present = ROW_STATES.filter((state) => rows[state] > 0);
  return [
    ...present.map((state) => [`\`${state}\`: ${STATE_MEANINGS[state]}`, count(rows[state])]),
    ['all', count(rows.total)],
  ];
}

/** What was left out, and why. */
function filters({ dropped }: Summary): string[] {
  if (dropped === undefined) return [];
  const reasons = Object.entries(dropped.reasons).map(([reason, rows]) => [plain(reason), count(rows)]);
  const sets = (dropped.evaluation_sets ?? []).map(
    ({ file, texts, too_short: short, ngrams }) =>
      `- ${plain(file)}: ${plural(texts, 'text')}, ${count(ngrams)} sequences` +
      (short === 0 ? '' : `; ${count(short)} too short to be compared`),
  );
  return [
    `Of these, ${plural(dropped.rows, 'row')} are left out of this dataset, which has ${count(dropped.kept)}:`,
    table(['Left out', 'Rows'], reasons),
    ...(sets.length === 0
      ? []
      : [
          'A prompt overlaps with an evaluation set if both have 8 words in a row in common:',
          sets.join('\n'),
        ]),
  ];
}

/** How the rows differ from those of the last push. */
function sinceLastPush(since: SinceLastPush | null): string[] {
  if (since === null) return [];
  const { rows, models, finished_at: finished } = since;
  const when =
    finished === null
      ? 'The last push'
      : `The last push, of a run that finished on ${finished.slice(0, 10)},`;
  const by = Object.keys(models).length === 0 ? '' : ` had answers of ${modelsOf({ models })}`;
  const what = rows === null ? 'left no list of its rows, so what changed is unknown' : '';
  const said = [by, what && ` ${what}`].filter((text) => text !== '').join(', and');
  return [
    '## Since the last push',
    ...(said === '' ? [] : [`${when}${said}.`]),
    ...(rows === null
      ? []
      : [
          table(
            ['', 'Rows'],
            [
              ['new', count(rows.new)],
              ['with another answer', count(rows.changed)],
              ['gone', count(rows.gone)],
              ['unchanged', count(rows.unchanged)],
            ],
          ),
        ]),
  ];
}

function provenance(facts: CardFacts): string[][] {
  const { identity, annotator, summary, licenses, version } = facts;
  const { asked, found } = identity;
  const unknown = 'not known';
  const source = isOnHub(identity)
    ? [
        ['Source', `${plain(asked.dataset)} on the Hugging Face Hub`],
        ['Subset, split', [found.subset, found.split].map((name) => plain(name ?? unknown)).join(', ')],
        ['Revision', found.revision === null ? unknown : plain(found.revision)],
        [
          'Licence of the source',
          licenses.length === 0 ? unknown : licenses.map((tag) => plain(tag)).join(', '),
        ],
      ]
    : [['Source', `the file ${plain(sourceName(identity))}`]];
  return [
    ...source,
    ['Format', plain(found.format)],
    ['Annotator', `${plain(annotator.name)} (${plain(annotator.provider.title)})`],
    ['Models that answered', modelsOf(summary)],
    ['Parameters', parameters(asked)],
    ['Asked', summary.mode === 'batch' ? 'in batches' : 'online'],
    ['Requests', count(summary.requests.sent)],
    ['Tokens', describeTokens(summary)],
    [
      'Cost',
      summary.cost_usd === null
        ? unknown
        : `${spent(summary.cost_usd, summary.cost_estimated === true)} by the list price`,
    ],
    ['Date', plain(summary.started_at.slice(0, 'YYYY-MM-DD'.length))],
    ['Made with', `reannotate ${plain(version)}`],
  ];
}

function modelsOf({ models }: Pick<Summary, 'models'>): string {
  const all = Object.entries(models);
  if (all.length === 0) return 'not known';
  const named = all
    .slice(0, MOST_NAMED)
    .map(([model, rows]) => `${plain(model, 100)} (${plural(rows, 'row')})`);
  const more = all.length - named.length;
  return [...named, ...(more > 0 ? [`${count(more)} more`] : [])].join(', ');
}

function parameters(asked: IdentityFlags): string {
  return GENERATION_NAMES.filter((name) => (asked[name] ?? null) !== null && !isNeutral(name, asked[name]))
    .map((name) => `\`${name}\` ${plain(JSON.stringify(asked[name]))}`)
    .join(', ');
}

function parameterChanges(changes: readonly ParameterChange[]): string[] {
  if (changes.length === 0) return [];
  const lines = changes.slice(0, MOST_NAMED).map(({ parameter, renamed_to: name, at_most: most, reason }) => {
    const sent = name === null ? 'was left out' : `was sent as ${plain(name)}`;
    const what = most === undefined ? sent : `was lowered to ${most}`;
    return `- ${plain(parameter)} ${what}: ${plain(reason)}`;
  });
  return ['Parameters that were sent otherwise:', lines.join('\n')];
}

/** The command that asks for the same, with the flags that differ from their defaults. */
function commandLine(asked: IdentityFlags, dataset: string): string {
  // A server of one's own may have any model.
  const annotator = resolveAnnotator(asked.annotator, true);
  const { generation } = chooseGeneration({}, new Set(), annotator.takesSeed);
  const usual = identityFlags({ selection: wholeDataset('usual'), call: { annotator, generation } });
  const words = ['npx', 'reannotate', '--annotator', asked.annotator, '--dataset', dataset];
  for (const name of Object.keys(usual) as (keyof IdentityFlags)[]) {
    const value = asked[name] ?? null;
    if (
      ['annotator', 'dataset', 'model'].includes(name) ||
      asksTheSame(name, value, usual[name] ?? null, false)
    )
      continue;
    if (value === null && !isGenerationName(name)) continue;
    words.push(`--${name}`);
    if (value !== true) words.push(value === null ? 'none' : flagValue(name, value));
  }
  return words.map((word) => shellWord(sanitize(word, 500))).join(' ');
}

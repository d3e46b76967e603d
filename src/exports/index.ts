/**
 * The output formats: what else a run's results are written as, beside `reannotated.json`. Each has a file of its own
 * here and one entry in `EXPORTS`; what it needs is loaded on demand.
 */

import { join } from 'node:path';
import { UsageError } from '../lib/errors.js';
import { didYouMean } from '../lib/suggest.js';
import { count, sanitize, plural } from '../lib/text.js';
import type { Exported, Exporter, Results } from './exporter.js';

interface ExportFormat {
  /** The file's name in the folder of the results. */
  file: string;
  load: () => Promise<Exporter>;
}

/** The formats by their names on the command line; files are written in this order. */
const EXPORTS = {
  jsonl: { file: 'reannotated.jsonl', load: async () => (await import('./jsonl.js')).jsonl },
  parquet: { file: 'reannotated.parquet', load: async () => (await import('./parquet.js')).parquet },
  sharegpt: { file: 'sharegpt.jsonl', load: async () => (await import('./sharegpt.js')).sharegpt },
  messages: { file: 'messages.jsonl', load: async () => (await import('./messages.js')).messages },
  sft: { file: 'sft.jsonl', load: async () => (await import('./sft.js')).sft },
  dpo: { file: 'dpo.jsonl', load: async () => (await import('./dpo.js')).dpo },
  dpo_llamafactory: {
    file: 'dpo_llamafactory.jsonl',
    load: async () => (await import('./dpo-llamafactory.js')).dpoLlamaFactory,
  },
  kto: { file: 'kto.jsonl', load: async () => (await import('./kto.js')).kto },
} satisfies Record<string, ExportFormat>;
export type ExportName = keyof typeof EXPORTS;

/** All formats beside `json`. */
export const EXPORT_NAMES = Object.keys(EXPORTS) as ExportName[];

/** `json` is `reannotated.json`, which every run writes. */
export type OutputFormat = 'json' | ExportName;
export const OUTPUT_FORMATS: readonly OutputFormat[] = ['json', ...EXPORT_NAMES];

/**
 * Reads `--output_format`: names separated by commas.
 * @returns `json` and what is named, each once and in the order of `OUTPUT_FORMATS`
 * @throws UsageError that suggests the nearest name
 */
export function parseOutputFormats(text: string, source: string): OutputFormat[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  const wrong = names.find((name) => !isOutputFormat(name));
  if (wrong !== undefined) {
    throw new UsageError(
      `Unknown ${source} ${sanitize(wrong, 40)}.${alternativeTo(wrong)} Known formats: ${OUTPUT_FORMATS.join(', ')}.`,
    );
  }
  return unionOfFormats(names, []);
}

/** Formats that people ask for and what serves them here. */
const ALTERNATIVES: readonly (readonly [RegExp, string])[] = [
  [/^(?:csv|tsv|xlsx?|excel|pandas)$/i, 'pandas reads jsonl and parquet, and can save either as that.'],
  [
    /^(?:hf|hub|hugging_?face|datasets|arrow)$/i,
    'The datasets library reads parquet, and --push_to_hub puts it on the Hub.',
  ],
  [/^(?:openai|chatml|chat|trl|fine_?tun(?:e|ing))$/i, 'The format for chats is messages.'],
  [/^(?:axolotl|llama_?factory|unsloth|conversations|fastchat|vicuna)$/i, 'Use sharegpt.'],
  [/^(?:preference|rlhf|orpo|pairs)$/i, 'dpo has pairs of answers.'],
  [/^(?:ndjson|json_?lines)$/i, 'Use jsonl.'],
];

function alternativeTo(wrong: string): string {
  const known = ALTERNATIVES.find(([pattern]) => pattern.test(wrong))?.[1];
  return known === undefined ? didYouMean(wrong, OUTPUT_FORMATS) : ` ${known}`;
}

/**
 * What a resumed run writes: the formats requested now, and those requested before, so that none of its files is
 * older than `reannotated.json`.
 * @param before the parameter as `config.yaml` has it, which may be anything
 */
export function unionOfFormats(now: readonly string[], before: unknown): OutputFormat[] {
  const wanted = new Set<unknown>(['json', ...now, ...(Array.isArray(before) ? (before as unknown[]) : [])]);
  return OUTPUT_FORMATS.filter((name) => wanted.has(name));
}

function isOutputFormat(name: string): name is OutputFormat {
  return (OUTPUT_FORMATS as readonly string[]).includes(name);
}

/** The files that exports may leave in a folder of results. */
export function exportFiles(folder: string): string[] {
  return Object.values<ExportFormat>(EXPORTS).map(({ file }) => join(folder, file));
}

/** The name of a format's file. */
export function exportFile(name: ExportName): string {
  return EXPORTS[name].file;
}

/**
 * Writes one format into the folder of the results.
 * @param results complete: what is read is `reannotated.json` itself
 */
export async function exportResults(name: ExportName, results: Results, folder: string): Promise<Exported> {
  return exportTo(name, results, join(folder, EXPORTS[name].file));
}

/** Writes one format to a path. */
export async function exportTo(name: ExportName, results: Results, path: string): Promise<Exported> {
  const exporter: Exporter = await EXPORTS[name].load();
  const exported = await exporter(results, path);
  const rejected = results.review?.rejected.size ?? 0;
  if (rejected > 0) exported.leftOut.set('rejected by the review', rejected);
  const dropped = results.dropped?.size ?? 0;
  if (dropped > 0) exported.leftOut.set('dropped', dropped);
  return exported;
}

/** `dpo.jsonl: 1,990 rows (27 without an answer of each kind)` */
export function describeExport(name: ExportName, { rows, leftOut, leading = 0 }: Exported): string {
  const reasons = [...leftOut].map(([why, left]) => `${count(left)} ${why}`);
  if (leading > 0)
    reasons.push(`${count(leading)} moved to the start, since readers take the types from the first rows`);
  const others = reasons.length === 0 ? '' : ` (${reasons.join(', ')})`;
  return `${EXPORTS[name].file}: ${plural(rows, 'row')}${others}`;
}

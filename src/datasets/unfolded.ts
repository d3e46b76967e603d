/**
 * Datasets whose rows are not one prompt each: trees of messages, single messages of trees, and instructions with
 * several instances. They are read as one row for each prompt; memory holds one tree.
 */

import { isObject } from '../lib/json.js';
import type { OpenDataset, Reporter, RowSelection, SourceRow } from '../types.js';
import { select, unseekable } from './local.js';
import { isRoot, threadRow, threadsOfTree, TreeOfRows } from './message-trees.js';

type Value = Readonly<Record<string, unknown>>;

/** How rows of one kind are unfolded. */
interface Folding {
  /** Columns that the rows have then. */
  columns: string[];
  /** What is done, in a sentence. */
  note: string;
  /** @param columns that are wanted of the unfolded rows */
  rows: (columns: readonly string[], signal: AbortSignal | undefined) => AsyncIterable<SourceRow>;
}

/** The dataset with one row for each prompt; as it is where that is so already. */
export async function unfolded(dataset: OpenDataset, reporter: Reporter): Promise<OpenDataset> {
  const folding = treesIn(dataset) ?? messagesIn(dataset) ?? (await instancesIn(dataset));
  if (folding === null) return dataset;
  reporter.info(folding.note);
  return {
    ...unseekable(dataset),
    columns: folding.columns,
    totalRows: null,
    rows: (selection) => select(folding.rows(selection.columns, selection.signal), selection),
  };
}

function has(dataset: OpenDataset, ...names: readonly string[]): boolean {
  return names.every((name) => dataset.columns.includes(name));
}

/** A row of trees is `{"message_tree_id", "tree_state", "prompt": {"text", "role", "replies": [...]}}`. */
function treesIn(dataset: OpenDataset): Folding | null {
  if (!has(dataset, 'message_tree_id', 'prompt') || has(dataset, 'role')) return null;
  return {
    columns: ['messages', ...dataset.columns.filter((column) => column !== 'prompt')],
    note: 'Each row is a tree of messages: the last prompt of each path is a row, its best-ranked reply the original answer.',
    async *rows(columns, signal) {
      let index = 0;
      for await (const row of all(dataset, [...columns, 'prompt'], signal)) {
        if ('problem' in row) {
          yield { index: index++, problem: row.problem };
          continue;
        }
        const { prompt, ...others } = row.value;
        for (const thread of threadsOfTree(prompt)) yield threadRow(index++, thread, others);
      }
    },
  };
}

/** A table of messages has one a row, those of a tree after each other, as `datasets` gives OpenAssistant. */
function messagesIn(dataset: OpenDataset): Folding | null {
  if (!has(dataset, 'message_id', 'parent_id', 'role', 'text')) return null;
  const ofTree = has(dataset, 'message_tree_id') ? ['message_tree_id'] : [];
  const needed = ['message_id', 'parent_id', 'role', 'text', ...ofTree];
  const read = [...needed, ...['rank', 'deleted'].filter((name) => has(dataset, name))];
  return {
    columns: ['messages', ...dataset.columns.filter((column) => !['role', 'text'].includes(column))],
    note: 'Each row is one message of a tree: the last prompt of each path is a row, its best-ranked reply the original answer.',
    async *rows(columns, signal) {
      const wanted = columns.filter((column) => column !== 'messages');
      let index = 0;
      let tree: TreeOfRows | null = null;
      function* finished(): Generator<SourceRow> {
        for (const thread of tree?.threads() ?? [])
          yield threadRow(index++, thread, typeof thread === 'string' ? {} : picked(thread.message, wanted));
      }
      for await (const row of all(dataset, [...read, ...wanted], signal)) {
        if ('problem' in row) {
          yield { index: index++, problem: row.problem };
          continue;
        }
        const own = isRoot(row.value) ? row.index : tree?.id;
        const id = ofTree.length > 0 ? row.value['message_tree_id'] : own;
        if (tree === null || tree.id !== id) {
          yield* finished();
          tree = new TreeOfRows(id);
        }
        tree.add(row.value, row.index);
      }
      yield* finished();
    },
  };
}

/** Self-Instruct's `{"instruction", "instances": [{"input", "output"}]}`. */
async function instancesIn(dataset: OpenDataset): Promise<Folding | null> {
  if (!has(dataset, 'instruction', 'instances') || has(dataset, 'output')) return null;
  const inside = await keysOfFirst(dataset);
  if (inside === null) return null;
  const others = dataset.columns.filter((column) => column !== 'instances' && !inside.includes(column));
  return {
    columns: [...others, ...inside],
    note: 'Each row is an instruction with instances: each instance is a row.',
    async *rows(columns, signal) {
      const wanted = columns.filter((column) => others.includes(column));
      let index = 0;
      for await (const row of all(dataset, [...wanted, 'instances'], signal)) {
        if ('problem' in row) yield { index: index++, problem: row.problem };
        else for (const instance of instancesOf(row.value)) yield instanceRow(index++, row.value, instance);
      }
    },
  };
}

async function keysOfFirst(dataset: OpenDataset): Promise<string[] | null> {
  for await (const row of dataset.rows({ columns: ['instances'], offset: 0, limit: 1 })) {
    const [first] = 'problem' in row ? [] : instancesOf(row.value);
    const isInstance = isObject(first) && ('input' in first || 'output' in first);
    return isInstance ? Object.keys(first) : null;
  }
  return null;
}

/** An instruction without instances is a prompt of its own. */
function instancesOf({ instances = null }: Value): readonly unknown[] {
  if (instances === null) return [{}];
  if (!Array.isArray(instances)) return [instances];
  return instances.length > 0 ? (instances as unknown[]) : [{}];
}

function instanceRow(index: number, row: Value, instance: unknown): SourceRow {
  if (!isObject(instance))
    return { index, problem: `row ${index}: "instances" has an instance that is not an object` };
  const { instances: _, ...others } = row;
  return { index, value: { ...others, ...instance } };
}

function all(
  dataset: OpenDataset,
  columns: readonly string[],
  signal: AbortSignal | undefined,
): AsyncIterable<SourceRow> {
  const selection: RowSelection = {
    columns: [...new Set(columns)].filter((column) => dataset.columns.includes(column)),
    offset: 0,
    limit: null,
  };
  return dataset.rows(signal === undefined ? selection : { ...selection, signal });
}

function picked(value: Value, columns: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(columns.map((column) => [column, value[column] ?? null]));
}

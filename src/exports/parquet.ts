/**
 * Parquet with the columns of `reannotated.json`, Snappy-compressed. Memory holds the rows of one row group, and of
 * the file what is known of the groups before.
 */

import type { SchemaElement } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { replaceFile, type BufferedFile } from '../lib/files.js';
import { isObject } from '../lib/json.js';
import { noteDiscarded } from '../lib/memory.js';
import type { ToolCall } from '../types.js';
import type { Exporter, ResultShape } from './exporter.js';
import { readResults, type ResultRow } from './rows.js';

/** A row group ends with the row that reaches one of these. */
const GROUP_ROWS = 5000;
const GROUP_BYTES = 8 << 20;

/** A column: its part of the schema, and its value in a row. */
interface Column {
  name: string;
  schema: SchemaElement[];
  value: (row: ResultRow) => unknown;
}

export const parquet: Exporter = async (results, path) => {
  let rows = 0;
  await replaceFile(path, async (file) => {
    const table = new Table(file, columnsOf(results.shape));
    await readResults(results, (line) => {
      table.add(line.parse(), line.json.length);
      rows += 1;
    });
    table.finish();
  });
  return { rows, leftOut: new Map() };
};

/** A Parquet file that is written row group by row group. */
class Table {
  readonly #columns: readonly Column[];
  readonly #writer: ParquetWriter;
  /** The values of the row group at hand, a list for each column. */
  #values: unknown[][];
  #bytes = 0;

  constructor(file: BufferedFile, columns: readonly Column[]) {
    this.#columns = columns;
    this.#writer = new ParquetWriter({
      writer: writerInto(file),
      schema: [{ name: 'root', num_children: columns.length }, ...columns.flatMap((column) => column.schema)],
      codec: 'SNAPPY',
      // The least and greatest of texts say nothing, and would be kept whole until the end.
      statistics: false,
    });
    this.#values = this.#columns.map(() => []);
  }

  add(row: ResultRow, bytes: number): void {
    for (const [index, { value }] of this.#columns.entries()) this.#values[index]?.push(value(row));
    this.#bytes += bytes;
    if (this.#bytes >= GROUP_BYTES || (this.#values[0]?.length ?? 0) >= GROUP_ROWS) this.#endGroup();
  }

  finish(): void {
    this.#endGroup();
    // What writes into memory and files has nothing to wait for.
    void this.#writer.finish();
  }

  #endGroup(): void {
    const rows = this.#values[0]?.length ?? 0;
    if (rows === 0) return;
    const columnData = this.#columns.map(({ name }, index) => ({ name, data: this.#values[index] ?? [] }));
    void this.#writer.write({ columnData, rowGroupSize: rows });
    this.#values = this.#columns.map(() => []);
    // Every row was parsed, every text encoded, every page put together and compressed, in buffers that grew by doubling.
    noteDiscarded(this.#bytes * 8);
    this.#bytes = 0;
  }
}

/** What the Parquet writer writes into: its bytes go to the file at the end of each row group. */
function writerInto(file: BufferedFile): ByteWriter {
  const writer = new ByteWriter();
  const flush = (): void => {
    file.write(writer.getBytes());
    writer.index = 0;
  };
  return Object.assign(writer, { flush, finish: flush });
}

function columnsOf(shape: ResultShape): Column[] {
  const columns = [
    text('system_prompt', 'REQUIRED', (row) => row.system_prompt),
    text('user_prompt', 'OPTIONAL', (row) => row.user_prompt),
    text('annotation_original', 'OPTIONAL', (row) => row.annotation_original),
    text('annotation', 'OPTIONAL', (row) => row.annotation),
  ];
  if (shape.reasoning) columns.push(text('reasoning', 'OPTIONAL', (row) => row.reasoning ?? null));
  if (shape.chats) columns.push(requestColumn(shape));
  if (shape.tools) {
    columns.push(
      text('tools', 'OPTIONAL', (row) => row.tools ?? null),
      callsColumn('annotation_original_tool_calls', (row) => row.annotation_original_tool_calls ?? null),
      callsColumn('annotation_tool_calls', (row) => row.annotation_tool_calls ?? null),
    );
  }
  if (shape.images) columns.push(texts('images', (row) => row.images ?? []));
  if (shape.source) columns.push(text('source', 'OPTIONAL', (row) => sourceText(row.source)));
  if (shape.several) columns.push(texts('annotations', (row) => row.annotations ?? []));
  if (shape.several && shape.reasoning) columns.push(texts('reasonings', (row) => row.reasonings ?? []));
  if (shape.compared) columns.push(AGREES);
  if (!shape.metadata) return columns;
  return [
    ...columns,
    text('state', 'REQUIRED', (row) => row.metadata?.state ?? 'pending'),
    text('model', 'OPTIONAL', (row) => row.metadata?.model ?? null),
    text('finish_reason', 'OPTIONAL', (row) => row.metadata?.finish_reason ?? null),
    tokens('prompt_tokens'),
    tokens('completion_tokens'),
  ];
}

type Repetition = 'REQUIRED' | 'OPTIONAL';

function text(name: string, repetition: Repetition, value: (row: ResultRow) => string | null): Column {
  return { name, schema: [textElement(name, repetition)], value };
}

function textElement(name: string, repetition: Repetition): SchemaElement {
  return { name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: repetition };
}

/** A count of the answer's usage; null where it is not known. */
function tokens(name: 'prompt_tokens' | 'completion_tokens'): Column {
  return {
    name,
    schema: [{ name, type: 'INT64', repetition_type: 'OPTIONAL' }],
    value: ({ metadata }) => {
      const value = isObject(metadata?.usage) ? metadata.usage[name] : null;
      return Number.isSafeInteger(value) ? BigInt(value as number) : null;
    },
  };
}

/** A list in the three levels that Parquet prescribes. */
function list(name: string, repetition: Repetition, element: SchemaElement[]): SchemaElement[] {
  return [
    { name, repetition_type: repetition, converted_type: 'LIST', num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    ...element,
  ];
}

/** The request as it was sent; null where it is just a system and a user prompt. */
function requestColumn({ tools }: ResultShape): Column {
  const turn: SchemaElement[] = [
    textElement('role', 'REQUIRED'),
    textElement('content', tools ? 'OPTIONAL' : 'REQUIRED'),
    ...(tools ? [...callsSchema('tool_calls'), textElement('tool_call_id', 'OPTIONAL')] : []),
  ];
  const element: SchemaElement = {
    name: 'element',
    repetition_type: 'REQUIRED',
    num_children: tools ? 4 : 2,
  };
  return {
    name: 'request_messages',
    schema: list('request_messages', 'OPTIONAL', [element, ...turn]),
    value: (row) => row.request_messages ?? null,
  };
}

function callsColumn(name: string, value: (row: ResultRow) => ToolCall[] | null): Column {
  return { name, schema: callsSchema(name), value };
}

/** Calls of tools, whose arguments are JSON text. */
function callsSchema(name: string): SchemaElement[] {
  return list(name, 'OPTIONAL', [
    { name: 'element', repetition_type: 'REQUIRED', num_children: 3 },
    textElement('id', 'OPTIONAL'),
    textElement('type', 'OPTIONAL'),
    { name: 'function', repetition_type: 'OPTIONAL', num_children: 2 },
    textElement('name', 'OPTIONAL'),
    textElement('arguments', 'OPTIONAL'),
  ]);
}

/** The kept columns as JSON text: they may hold anything. */
function sourceText(source: unknown): string | null {
  return source === undefined || source === null ? null : JSON.stringify(source);
}

const AGREES: Column = {
  name: 'agrees',
  schema: [{ name: 'agrees', type: 'BOOLEAN', repetition_type: 'OPTIONAL' }],
  value: (row) => row.agrees ?? null,
};

/** A list of texts, some of which may be missing. */
function texts(name: string, value: (row: ResultRow) => (string | null)[]): Column {
  return { name, schema: list(name, 'REQUIRED', [textElement('element', 'OPTIONAL')]), value };
}

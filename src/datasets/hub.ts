/** A dataset of the Hugging Face Hub, through the datasets-server: pages for few rows, Parquet for many. */

import { isObject } from '../lib/json.js';
import { UserError, messageOf } from '../lib/errors.js';
import { count, sanitize } from '../lib/text.js';
import type {
  DatasetRequest,
  HubEnvironment,
  OpenDataset,
  Reporter,
  RowSelection,
  SourceRow,
} from '../types.js';
import { HubClient, HubError } from './hub-client.js';
import { openHubParquet } from './hub-parquet.js';
import { readHubRows, readTableFacts, type HubTable, type TableFacts } from './hub-rows.js';
import { groupStarts, readParquetFiles, type ParquetTable } from './parquet-process.js';

/** With more rows than this, Parquet files are read instead of pages. */
const PARQUET_FROM_ROWS = 3000;

/** Opens a dataset by its id, `name` or `owner/name`. */
export async function openHubDataset(
  request: DatasetRequest,
  hub: HubEnvironment,
  reporter: Reporter,
  signal?: AbortSignal,
): Promise<OpenDataset> {
  const client = new HubClient({ hub, dataset: request.dataset, reporter, signal });
  const table = await findTable(client, request);
  const source = new HubSource(client, table, reporter, signal);
  const facts = await source.open();
  const name = sanitize(request.dataset, 120);
  const warnings = facts.partial
    ? [
        `The Hub serves only the first ${count(facts.totalRows)} rows of ${name} (its viewer takes the first 5 GB of a split).`,
      ]
    : [];
  return {
    columns: facts.columns,
    totalRows: facts.totalRows,
    revision: client.revision,
    subset: table.subset,
    split: table.split,
    warnings,
    rows: (selection) => source.rows(selection),
    groupStarts: () => source.groupStarts(),
  };
}

/** Settles subset and split. */
async function findTable(client: HubClient, { dataset, subset, split }: DatasetRequest): Promise<HubTable> {
  const answer = await client.get('splits', { dataset });
  const listed = Array.isArray(answer['splits']) ? answer['splits'].filter(isObject) : [];
  const tables = listed.map((entry) => ({ subset: String(entry['config']), split: String(entry['split']) }));
  const name = sanitize(dataset, 120);
  if (tables.length === 0) throw new UserError(`The dataset ${name} has no data that the Hub can serve.`);
  const subsets = [...new Set(tables.map((one) => one.subset))];
  const chosenSubset = choose(name, subsets, { kind: 'subset', wanted: subset, usual: 'default' });
  const splits = tables.filter((one) => one.subset === chosenSubset).map((one) => one.split);
  return {
    dataset,
    subset: chosenSubset,
    split: choose(name, splits, { kind: 'split', wanted: split, usual: 'train' }),
  };
}

/** What the user named; null for the usual one, where there are several. */
interface TableChoice {
  kind: 'subset' | 'split';
  wanted: string | null;
  usual: string;
}

function choose(dataset: string, known: readonly string[], { kind, wanted, usual }: TableChoice): string {
  const listed =
    known
      .slice(0, 50)
      .map((one) => sanitize(one, 60))
      .join(', ') + (known.length > 50 ? ', …' : '');
  if (wanted !== null) {
    if (known.includes(wanted)) return wanted;
    throw new UserError(`The dataset ${dataset} has no ${kind} "${sanitize(wanted, 60)}". It has ${listed}.`);
  }
  if (known.includes(usual)) return usual;
  const [only] = known;
  if (known.length === 1 && only !== undefined) return only;
  throw new UserError(`The dataset ${dataset} has several ${kind}s: ${listed}. Choose one with --${kind}.`);
}

/** Reads one table by whichever way works. */
class HubSource {
  #facts: TableFacts | null = null;
  #pagesProblem: HubError | null = null;
  #parquet: ParquetTable[] | null = null;

  constructor(
    private readonly client: HubClient,
    private readonly table: HubTable,
    private readonly reporter: Reporter,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Columns and number of rows, from a page or, where pages don't work, from Parquet. */
  async open(): Promise<TableFacts> {
    try {
      this.#facts = await readTableFacts(this.client, this.table);
      return this.#facts;
    } catch (error) {
      if (!(error instanceof HubError) || !error.mayWorkOtherwise) throw error;
      this.#pagesProblem = error;
    }
    const facts = await this.#openParquet();
    if (facts === null) throw this.#pagesProblem;
    this.reporter.info('The Hub serves no pages of this dataset at the moment; reading its Parquet files.');
    return facts;
  }

  /** The first rows of the Parquet files' row groups; null for a dataset whose pages are read. */
  async groupStarts(): Promise<readonly number[] | null> {
    if ((this.#facts?.totalRows ?? Infinity) <= PARQUET_FROM_ROWS) return null;
    const files = await this.#usableParquet();
    return files === null ? null : groupStarts(files);
  }

  async *rows(selection: RowSelection): AsyncGenerator<SourceRow> {
    const { offset, limit } = selection;
    let next = offset;
    try {
      const total = this.#facts?.totalRows ?? Infinity;
      const wanted = Math.min(total - offset, limit ?? Infinity);
      if (wanted > PARQUET_FROM_ROWS || this.#facts === null) {
        const files = await this.#usableParquet();
        if (files !== null) {
          try {
            for await (const row of readParquetFiles(files, selection)) {
              yield row;
              next = row.index + 1;
            }
            return;
          } catch (error) {
            this.#mayGoOnWithPages(error, selection.signal);
            this.reporter.info(`Reading pages from row ${count(next)} on: ${messageOf(error)}`);
          }
        }
      }
      const rest = limit === null ? null : limit - (next - offset);
      if (rest !== 0)
        yield* readHubRows(this.client, this.table, total, { ...selection, offset: next, limit: rest });
    } finally {
      await this.client.close();
    }
  }

  #mayGoOnWithPages(error: unknown, signal: AbortSignal | undefined): void {
    if (signal?.aborted === true || this.#facts === null) throw error;
    if (!(error instanceof UserError)) throw error;
  }

  /** The Parquet files where they hold the same rows as the pages. */
  async #usableParquet(): Promise<ParquetTable[] | null> {
    if (this.#parquet !== null) return this.#parquet;
    try {
      const facts = await this.#openParquet();
      if (facts !== null && this.#facts !== null && facts.totalRows !== this.#facts.totalRows) return null;
      return this.#parquet;
    } catch (error) {
      if (!(error instanceof UserError) || this.#facts === null) throw error;
      this.reporter.info(`Reading pages instead of Parquet files: ${error.message}`);
      return null;
    }
  }

  async #openParquet(): Promise<TableFacts | null> {
    const { files, partial } = await openHubParquet(this.client, this.table, this.signal);
    if (files.length === 0) return null;
    this.#parquet = files;
    const totalRows = files.reduce((sum, file) => sum + file.rows, 0);
    return { columns: files[0]?.columns ?? [], totalRows, partial };
  }
}

/**
 * The Hugging Face datasets-server over local files, and the Parquet files that it lists.
 * @see https://github.com/huggingface/dataset-viewer (docs/source, libs/libapi/src/libapi/exceptions.py)
 */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { fileProblem } from '../lib/files.js';
import { featuresOf, loadDataset, type Feature, type HubDataset, type Row } from './hub-data.js';
import { answering, HubError, HubFaults } from './hub-error.js';
import { bearerToken, decodePath, sendJson, type Exchange, type Route } from './http.js';
import type { SimulatorSettings } from './options.js';
import type { Statistics } from './statistics.js';

const SUBSET = 'default';
const MAXIMUM_ROWS = 100;
const PARQUET_FILE = 'refs%2Fconvert%2Fparquet/default/train/0000.parquet';

interface ParquetFile {
  path: string;
  bytes: number;
}

export class Hub {
  readonly #faults: HubFaults;
  readonly #features = new Map<Row[], Feature[]>();

  private constructor(
    private readonly settings: SimulatorSettings,
    private readonly statistics: Statistics,
    private readonly datasets: ReadonlyMap<string, HubDataset>,
    private readonly parquet: ReadonlyMap<string, ParquetFile>,
  ) {
    this.#faults = new HubFaults(settings, statistics);
  }

  /**
   * Loads the files. A dataset that has only a Parquet file has its rows from there.
   * @throws UserError where one can't be read
   */
  static async open(settings: SimulatorSettings, statistics: Statistics): Promise<Hub> {
    const datasets = new Map<string, HubDataset>();
    for (const [id, path] of Object.entries({ ...settings.parquet, ...settings.datasets })) {
      datasets.set(id, await loadDataset(id, path));
    }
    const parquet = new Map<string, ParquetFile>();
    for (const [id, path] of Object.entries(settings.parquet)) {
      const { size } = await stat(path).catch((error: unknown) => {
        throw fileProblem(error, `read ${path}`);
      });
      parquet.set(id, { path, bytes: size });
    }
    return new Hub(settings, statistics, datasets, parquet);
  }

  routes(): Route[] {
    const get = (path: string, respond: (exchange: Exchange, dataset: HubDataset) => unknown): Route => ({
      method: 'GET',
      path,
      handle: (exchange) =>
        answering(exchange, this.statistics, () => {
          const dataset = this.#requireDataset(exchange, required(exchange.query, 'dataset'));
          this.#faults.spoil(exchange);
          sendJson(exchange.response, 200, respond(exchange, dataset), { 'x-revision': dataset.revision });
        }),
    });
    return [
      get('/splits', (_, dataset) => ({ splits: splitsOf(dataset), pending: [], failed: [] })),
      get('/rows', (exchange, dataset) => this.#rows(exchange, dataset)),
      get('/size', (_, dataset) => this.#size(dataset)),
      get('/info', (_, dataset) => this.#info(dataset)),
      get('/is-valid', () => ({
        preview: true,
        viewer: true,
        search: false,
        filter: false,
        statistics: false,
      })),
      get('/parquet', (exchange, dataset) => this.#parquetFiles(exchange, dataset)),
    ];
  }

  /** The commit of a served dataset; null where there is none of this name. */
  revisionOf(exchange: Exchange, id: string): string | null {
    return this.datasets.has(id) ? this.#requireDataset(exchange, id).revision : null;
  }

  /** A dataset that one may not see is reported like one that does not exist. */
  #requireDataset({ request }: Exchange, id: string): HubDataset {
    const token = bearerToken(request);
    const { gated, hubToken } = this.settings;
    const open = !gated.includes(id) || (hubToken !== null && token === hubToken);
    const dataset = this.datasets.get(id);
    if (dataset !== undefined && open) return dataset;
    if (token === null) {
      throw new HubError(
        401,
        'ExternalUnauthenticatedError',
        'The dataset does not exist, or is not accessible without authentication (private or gated). ' +
          'Please check the spelling of the dataset name or retry with authentication.',
      );
    }
    throw new HubError(
      404,
      'ExternalAuthenticatedError',
      'The dataset does not exist, or is not accessible with the current credentials (private or gated). ' +
        'Please check the spelling of the dataset name or retry with other authentication credentials.',
    );
  }

  #rows({ query }: Exchange, dataset: HubDataset): unknown {
    const rows = requireSplit(query, dataset);
    const offset = countParameter(query, 'offset', 0);
    const length = countParameter(query, 'length', MAXIMUM_ROWS);
    if (length > MAXIMUM_ROWS) {
      throw new HubError(
        422,
        'InvalidParameter',
        `Parameter 'length' must not be greater than ${MAXIMUM_ROWS}`,
      );
    }
    return {
      features: this.#featuresOf(rows),
      rows: rows
        .slice(offset, offset + length)
        .map((row, index) => ({ row_idx: offset + index, row, truncated_cells: [] })),
      num_rows_total: rows.length,
      num_rows_per_page: MAXIMUM_ROWS,
      partial: false,
    };
  }

  #size(dataset: HubDataset): unknown {
    const bytes = {
      num_bytes_original_files: dataset.bytes,
      num_bytes_parquet_files: this.parquet.get(dataset.id)?.bytes ?? 0,
      num_bytes_memory: dataset.bytes,
    };
    const splits = [...dataset.splits].map(([split, rows]) => ({
      dataset: dataset.id,
      config: SUBSET,
      split,
      num_bytes_parquet_files: bytes.num_bytes_parquet_files,
      num_bytes_memory: bytes.num_bytes_memory,
      num_rows: rows.length,
      num_columns: this.#featuresOf(rows).length,
      estimated_num_rows: null,
    }));
    const whole = {
      dataset: dataset.id,
      ...bytes,
      num_rows: splits.reduce((sum, split) => sum + split.num_rows, 0),
      estimated_num_rows: null,
    };
    const configs = [{ ...whole, config: SUBSET, num_columns: splits[0]?.num_columns ?? 0 }];
    return { size: { dataset: whole, configs, splits }, pending: [], failed: [], partial: false };
  }

  #info(dataset: HubDataset): unknown {
    const splits = Object.fromEntries(
      [...dataset.splits].map(([name, rows]) => [
        name,
        { name, num_bytes: dataset.bytes, num_examples: rows.length },
      ]),
    );
    const features = Object.fromEntries(
      [...dataset.splits.values()]
        .flatMap((rows) => this.#featuresOf(rows))
        .map(({ name, type }) => [name, type]),
    );
    return { dataset_info: { [SUBSET]: { features, splits } }, pending: [], failed: [], partial: false };
  }

  #parquetFiles({ request }: Exchange, { id }: HubDataset): unknown {
    const file = this.parquet.get(id);
    const place = {
      dataset: id,
      config: SUBSET,
      split: 'train',
      url: `http://127.0.0.1:${request.socket.localPort ?? 80}/datasets/${id}/resolve/${PARQUET_FILE}`,
      filename: '0000.parquet',
    };
    const files = file === undefined ? [] : [{ ...place, size: file.bytes }];
    return { parquet_files: files, pending: [], failed: [], partial: false };
  }

  /**
   * Serves a Parquet file, whole or a range of it.
   * @throws HubError where there is none
   */
  sendFile(exchange: Exchange): void {
    const { method, path, request, response } = exchange;
    const id = [...this.parquet.keys()].find((one) => isFileOf(one, path));
    if (id === undefined) throw new HubError(404, 'EntryNotFound', 'Entry not found');
    const { revision } = this.#requireDataset(exchange, id);
    const file = this.parquet.get(id);
    if (file === undefined) throw new HubError(404, 'EntryNotFound', 'Entry not found');
    if (method === 'GET') this.#faults.spoil(exchange);
    const range = readRange(request.headers.range, file.bytes);
    if (range === null) {
      throw new HubError(416, 'InvalidRange', 'Range not satisfiable', {
        'content-range': `bytes */${file.bytes}`,
      });
    }
    const { start, end, partial } = range;
    response.writeHead(partial ? 206 : 200, {
      'content-type': 'application/octet-stream',
      'content-length': end - start + 1,
      'accept-ranges': 'bytes',
      etag: `"${revision}"`,
      'x-repo-commit': revision,
      ...(partial ? { 'content-range': `bytes ${start}-${end}/${file.bytes}` } : {}),
    });
    if (method === 'HEAD') response.end();
    // A client that breaks off destroys both streams; nothing else is to be done.
    else pipeline(createReadStream(file.path, { start, end }), response, () => undefined);
  }

  #featuresOf(rows: Row[]): Feature[] {
    const known = this.#features.get(rows) ?? featuresOf(rows);
    this.#features.set(rows, known);
    return known;
  }
}

function splitsOf({ id, splits }: HubDataset): unknown[] {
  return [...splits.keys()].map((split) => ({ dataset: id, config: SUBSET, split }));
}

function requireSplit(query: URLSearchParams, dataset: HubDataset): Row[] {
  const subset = required(query, 'config');
  const rows = dataset.splits.get(required(query, 'split'));
  if (subset === SUBSET && rows !== undefined) return rows;
  throw new HubError(404, 'ResponseNotFound', 'Not found.');
}

function required(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value !== null && value !== '') return value;
  throw new HubError(422, 'MissingRequiredParameter', `Parameter '${name}' is required`);
}

function countParameter(query: URLSearchParams, name: string, otherwise: number): number {
  const text = query.get(name);
  if (text === null) return otherwise;
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value)) {
    throw new HubError(422, 'InvalidParameter', `Parameter '${name}' must be integer`);
  }
  if (value < 0) throw new HubError(422, 'InvalidParameter', `Parameter '${name}' must be positive`);
  return value;
}

function isFileOf(id: string, path: string): boolean {
  return decodePath(path) === decodePath(`/datasets/${id}/resolve/${PARQUET_FILE}`);
}

interface ByteRange {
  start: number;
  /** The last byte, included. */
  end: number;
  partial: boolean;
}

/** One byte range of a file (RFC 9110 §14.1.2), or all of it; null for one outside of the file. */
function readRange(header: string | undefined, bytes: number): ByteRange | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (first === '' && last === '') return { start: 0, end: bytes - 1, partial: false };
  const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1);
  return start <= end ? { start, end, partial: true } : null;
}

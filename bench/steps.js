// One step of the work on a run's files, in a separate process, so that its CPU and memory can be measured.
import { closeSync, createReadStream, openSync, writeFileSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { planChunks } from '#modules/batches/chunks.js';
import { REQUEST_URLS } from '#modules/batches/request-line.js';
import { Ledger } from '#modules/batches/ledger.js';
import { openDataset } from '#modules/datasets/index.js';
import { assemble } from '#modules/run/assemble.js';
import { Redactor } from '#modules/secrets/redactor.js';
import { runFolder } from '#modules/run/folder.js';
import { writeJobs } from '#modules/run/jobs.js';
import { STANDARD_RULES } from '#modules/models/finish-reason.js';
import { NO_PARAMETERS } from '#modules/models/generation.js';
import { PROVIDERS } from '#modules/models/providers.js';
import { DEFAULT_REASONING_MODE } from '#modules/models/reasoning.js';
import { JournalIndex, scanJournal } from '#modules/run/journal.js';
import { RequestTable } from '#modules/run/request-table.js';
import { reuseAnswers } from '#modules/run/shared-answers.js';
import { OTHER_RUN, RUN } from './history.js';
import { alpacaRow } from './support.js';

const [step = '', parent, count, dataset = '', more] = process.argv.slice(2);
const folder = runFolder(`${parent}/saved`, `${parent}/temp`, RUN);
const other = runFolder(`${parent}/saved`, `${parent}/temp`, OTHER_RUN);
const rows = Number(count);
const GENERATION = { ...NO_PARAMETERS, temperature: 1, top_p: 1, seed: 42, max_tokens: 2048, n: 1 };
const SHAPE = {
  model: 'gpt-4o-mini',
  generation: GENERATION,
  given: new Set(Object.keys(GENERATION)),
  provider: PROVIDERS.openai,
  changes: [],
};

const STEPS = {
  nothing: () => undefined,
  /** What a naive program does: every line parsed. */
  parse: async () => {
    let answered = 0;
    for await (const line of linesOf(folder.journal)) if (JSON.parse(line)[2].request_idx >= 0) answered += 1;
    if (answered !== rows) throw new Error(`${answered} lines`);
  },
  jobs: () => writeJobs(folder.rows, folder.jobs, SHAPE, () => undefined),
  'bare-jobs': async () => {
    const all = [];
    for await (const line of linesOf(folder.rows)) all.push(JSON.parse(line));
    const parameters = Object.fromEntries(Object.entries(GENERATION).filter(([, value]) => value !== null));
    await timed(() => {
      const file = openSync(folder.jobs, 'w');
      let text = '';
      for (const [index, { user_prompt: content }] of all.entries()) {
        const messages = [{ role: 'user', content }];
        const body = { model: SHAPE.model, messages, ...parameters, metadata: { request_idx: index } };
        text += `${JSON.stringify(body)}\n`;
        if (text.length < 1 << 20) continue;
        writeSync(file, text);
        text = '';
      }
      writeSync(file, text);
      closeSync(file);
    });
  },
  batches: async () => {
    const ignore = () => undefined;
    const [url] = REQUEST_URLS;
    const wanted = { total: rows, wanted: () => true, url, onTooLarge: ignore, onProgress: ignore };
    await planChunks(folder, Ledger.open(folder), wanted, { requests: 50_000, bytes: 200_000_000 });
  },
  load: async () => {
    const environment = { endpoint: more ?? '', datasetsServerUrl: more ?? '', token: null };
    const request = { dataset, subset: null, split: 'train' };
    const ignore = () => undefined;
    const reporter = { debug: ignore, info: ignore, warning: ignore, error: ignore };
    const opened = await openDataset(request, environment, reporter);
    await timed(async () => {
      let loaded = 0;
      const selection = { columns: opened.columns, offset: 0, limit: null };
      for await (const row of opened.rows(selection))
        if ('value' in row && row.value.output !== '') loaded += 1;
      if (loaded !== rows) throw new Error(`${loaded} rows`);
    });
  },
  'bare-load': async () => {
    const file = await asyncBufferFromFile(dataset);
    await timed(async () => {
      const loaded = await parquetReadObjects({ file, compressors });
      if (loaded.length !== rows) throw new Error(`${loaded.length} rows`);
    });
  },
  /** Three columns of text in one row group. */
  'write-parquet': () => {
    const columns = { instruction: [], input: [], output: [] };
    for (let index = 0; index < rows; index++) {
      const row = alpacaRow(index, Number(more));
      for (const name of Object.keys(columns)) columns[name].push(row[name]);
    }
    const type = /** @type {const} */ ('STRING');
    const columnData = Object.entries(columns).map(([name, data]) => ({ name, data, type }));
    writeFileSync(dataset, Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: rows })));
  },
  /** A new run reuses the answers of one with the same requests. */
  reuse: async () => {
    const index = new JournalIndex(rows);
    const table = await RequestTable.read(other.jobs, rows, () => undefined);
    const reading = { choices: 1, rules: STANDARD_RULES, escalation: 1, fallback: null };
    const source = { name: RUN, jobs: folder.jobs, journal: folder.journal };
    const onCopy = () => undefined;
    const reused = await reuseAnswers(source, { folder: other, table, index, retry: [], reading, onCopy });
    table.close();
    if (reused !== rows) throw new Error(`${reused} answers`);
  },
  scan,
  assemble: async () => {
    const index = await scan();
    const redactor = new Redactor([{ value: 'sk-bench-4fQ9zR71bM2xKc8WvT05', source: 'OPENAI_API_KEY' }]);
    const options = {
      includeMetadata: false,
      several: false,
      reasoning: DEFAULT_REASONING_MODE,
      redactor,
      onProgress: () => undefined,
    };
    const { missing } = await assemble(folder, index, options);
    if (missing > 0) throw new Error(`${missing} rows are missing`);
  },
};

function linesOf(path) {
  return createInterface({ input: createReadStream(path), crlfDelay: Infinity });
}

/** Prints what a piece of work took, without what came before it. */
async function timed(work) {
  const before = process.cpuUsage();
  const started = performance.now();
  await work();
  const used = process.cpuUsage(before);
  const wall = (performance.now() - started) / 1000;
  process.stdout.write(JSON.stringify({ cpu: (used.user + used.system) / 1e6, wall }));
}

async function scan() {
  const index = new JournalIndex(rows);
  let tokens = 0;
  const report = await scanJournal(folder.journal, index, {
    onEntry: ({ answer }) => {
      tokens += answer.usage.completionTokens;
    },
  });
  if (report.lines !== rows || tokens === 0) throw new Error(`${report.lines} lines, ${tokens} tokens`);
  return index;
}

await STEPS[step]();

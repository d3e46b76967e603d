// Rows out of a Parquet file in one row group, beside hyparquet alone, and by pages over a slow wire.
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { startSimulator } from '#modules/simulator/server.js';
import { listen, measureStep, median, megabytes, size, writeRows } from './support.js';

const ROW_BYTES = 600;
const PAGE_ROWS = 100;
const WIRE_MS = 50;
const DATASET = 'bench/pages';

export async function load(folder) {
  const rows = size('BENCH_ROWS', 200_000);
  const rounds = size('BENCH_ROUNDS', 3);
  return [...(await loadParquet(folder, rows, rounds)), ...(await loadPages(folder, rows))];
}

async function loadParquet(folder, rows, rounds) {
  const path = join(folder, 'data.parquet');
  await measureStep('write-parquet', folder, rows, [path, String(ROW_BYTES)]);
  const figures = [];
  for (let round = 0; round < rounds; round++) {
    const own = await measureStep('load', folder, rows, [path]);
    const bare = await measureStep('bare-load', folder, rows, [path]);
    figures.push({
      own: rows / JSON.parse(own.stdout).cpu,
      bare: rows / JSON.parse(bare.stdout).cpu,
      memory: own.memory,
      bareMemory: bare.memory,
    });
  }
  const of = (name) => median(figures.map((figure) => figure[name]));
  return [
    {
      figure: `Parquet: rows a second of CPU, ${rows} in one row group`,
      value: of('own').toFixed(0),
      baseline: `${of('bare').toFixed(0)} (hyparquet, all at once)`,
      ratio: (of('own') / of('bare')).toFixed(2),
    },
    {
      figure: 'Parquet: peak memory',
      value: megabytes(of('memory')),
      baseline: `${megabytes(of('bareMemory'))} (hyparquet, all at once)`,
      ratio: (of('memory') / of('bareMemory')).toFixed(2),
    },
  ];
}

/** Every answer comes a while later than it could: what is left of that depends on how many pages are in flight. */
async function loadPages(folder, rows) {
  const data = join(folder, 'data.jsonl');
  await writeRows(data, rows, ROW_BYTES);
  const simulator = await startSimulator({ datasets: { [DATASET]: data } });
  const wire = await slowWire(simulator.port);
  try {
    const used = await measureStep('load', folder, rows, [DATASET, wire.url]);
    const { wall, cpu } = JSON.parse(used.stdout);
    const oneByOne = (rows / PAGE_ROWS) * (WIRE_MS / 1000);
    return [
      {
        figure: `pages: time for ${rows} rows, ${WIRE_MS} ms a page`,
        value: `${wall.toFixed(1)} s`,
        baseline: `${oneByOne.toFixed(1)} s (latency of one page after the other)`,
        ratio: (wall / oneByOne).toFixed(2),
      },
      {
        figure: 'pages: rows a second of CPU',
        value: (rows / cpu).toFixed(0),
        baseline: '',
        ratio: '',
      },
      { figure: 'pages: peak memory', value: megabytes(used.memory), baseline: '', ratio: '' },
    ];
  } finally {
    wire.close();
    await simulator.close();
  }
}

async function slowWire(port) {
  const server = createServer((incoming, outgoing) => {
    setTimeout(() => {
      const { method, url, headers } = incoming;
      request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      }).end();
    }, WIRE_MS);
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: await listen(server), close };
}

// Rows out of local files of each kind: time and memory, beside plain JSON Lines.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, createReadStream, createWriteStream, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { measureStep, megabytes, size, writeRows } from './support.js';

const ROW_BYTES = 600;
const SHARDS = 20;

export async function files(folder) {
  const rows = size('BENCH_ROWS', 200_000);
  const plain = join(folder, 'data.jsonl');
  await writeRows(plain, rows, ROW_BYTES);
  const made = await makeFiles(folder, plain, rows);
  const base = await measure(plain, folder, rows);
  const figures = [row('.jsonl', base, base)];
  for (const [name, path] of made) figures.push(row(name, await measure(path, folder, rows), base));
  return figures;
}

async function measure(path, folder, rows) {
  const used = await measureStep('load', folder, rows, [path]);
  return { wall: JSON.parse(used.stdout).wall, memory: used.memory };
}

function row(name, own, base) {
  return {
    figure: `${name}: time, peak memory`,
    value: `${own.wall.toFixed(1)} s, ${megabytes(own.memory)}`,
    baseline: `${base.wall.toFixed(1)} s, ${megabytes(base.memory)} (.jsonl)`,
    ratio: (own.wall / base.wall).toFixed(2),
  };
}

/** The same rows as files of other kinds; what no command here makes is left out. */
async function makeFiles(folder, plain, rows) {
  const gzip = join(folder, 'data.jsonl.gz');
  await pipeline(createReadStream(plain), createGzip(), createWriteStream(gzip));
  const made = [['.jsonl.gz', gzip]];
  for (const { ending, command, flag } of [
    { ending: '.zst', command: 'zstd', flag: '-qk' },
    { ending: '.bz2', command: 'bzip2', flag: '-k' },
  ]) {
    if (spawnSync(command, [flag, plain]).status === 0) made.push([`.jsonl${ending}`, `${plain}${ending}`]);
  }
  made.push(['.json', await writeArray(plain, join(folder, 'data.json'))]);
  made.push(['.csv', await writeCsv(plain, join(folder, 'data.csv'))]);
  made.push(['.arrow', await writeArrow(plain, join(folder, 'data.arrow'))]);
  made.push([`a folder of ${SHARDS}`, await writeShards(plain, folder, rows)]);
  made.push(['.json by column', await writeColumns(plain, join(folder, 'columns.json'))]);
  return made;
}

async function* rowsOf(path) {
  for await (const line of createInterface({ input: createReadStream(path) })) yield JSON.parse(line);
}

/** A stream in batches of a thousand rows, as `datasets` saves it. */
async function writeArrow(plain, path) {
  const { RecordBatchStreamWriter, Table, Utf8, vectorFromArray } = await import('apache-arrow');
  // All batches have one schema: an inferred type has a separate dictionary in each of them.
  const tableOf = (some) =>
    new Table(
      Object.fromEntries(
        Object.keys(some[0]).map((name) => [
          name,
          vectorFromArray(
            some.map((one) => one[name]),
            new Utf8(),
          ),
        ]),
      ),
    );
  const writer = new RecordBatchStreamWriter();
  // A whole table would be the last thing that it writes.
  const write = (some) => tableOf(some).batches.forEach((batch) => writer.write(batch));
  const written = pipeline(writer.toNodeStream(), createWriteStream(path));
  let some = [];
  for await (const one of rowsOf(plain)) {
    if (some.push(one) < 1000) continue;
    write(some);
    some = [];
  }
  if (some.length > 0) write(some);
  writer.finish();
  await written;
  return path;
}

async function writeShards(plain, folder, rows) {
  const shards = join(folder, 'shards');
  mkdirSync(shards);
  const open = (first) => openSync(join(shards, `part-${String(first).padStart(9, '0')}.jsonl`), 'w');
  const each = Math.ceil(rows / SHARDS);
  let written = 0;
  let descriptor = open(0);
  for await (const one of rowsOf(plain)) {
    if (written > 0 && written % each === 0) {
      closeSync(descriptor);
      descriptor = open(written);
    }
    writeSync(descriptor, `${JSON.stringify(one)}\n`);
    written += 1;
  }
  closeSync(descriptor);
  return shards;
}

async function writeArray(plain, path) {
  const descriptor = openSync(path, 'w');
  let before = '[';
  for await (const one of rowsOf(plain)) {
    writeSync(descriptor, `${before}${JSON.stringify(one)}`);
    before = ',\n';
  }
  writeSync(descriptor, ']');
  closeSync(descriptor);
  return path;
}

async function writeCsv(plain, path) {
  const descriptor = openSync(path, 'w');
  const line = (cells) => `${cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(',')}\n`;
  let isFirst = true;
  for await (const one of rowsOf(plain)) {
    writeSync(descriptor, `${isFirst ? line(Object.keys(one)) : ''}${line(Object.values(one))}`);
    isFirst = false;
  }
  closeSync(descriptor);
  return path;
}

async function writeColumns(plain, path) {
  const descriptor = openSync(path, 'w');
  const names = [];
  for await (const one of rowsOf(plain)) {
    names.push(...Object.keys(one));
    break;
  }
  for (const [place, name] of names.entries()) {
    writeSync(descriptor, `${place === 0 ? '{' : ','}${JSON.stringify(name)}:[`);
    let isFirst = true;
    for await (const one of rowsOf(plain)) {
      writeSync(descriptor, `${isFirst ? '' : ','}${JSON.stringify(one[name])}`);
      isFirst = false;
    }
    writeSync(descriptor, ']');
  }
  writeSync(descriptor, '}');
  closeSync(descriptor);
  return path;
}

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { alpacaRows, writeJson, writeJsonl } from './data.js';

/** The same rows in every kind of file, the JSON file first. */
export function sameRows(folder: string, count: number): { parquet: string; files: [string, ...string[]] } {
  const rows = alpacaRows(count).map((row) => ({
    ...row,
    instruction: row.instruction.replace('\\back\\slashed', 'x'),
  }));
  const column = (name: 'instruction' | 'input' | 'output') => ({
    name,
    data: rows.map((row) => row[name]),
    type: 'STRING' as const,
  });
  const parquet = join(folder, 'data.parquet');
  const columnData = [column('instruction'), column('input'), column('output')];
  writeFileSync(parquet, Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 1500 })));
  const csv = join(folder, 'data.csv');
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  writeFileSync(
    csv,
    ['instruction,input,output', ...rows.map((row) => Object.values(row).map(quoted).join(','))].join('\n'),
  );
  return {
    parquet,
    files: [
      writeJson(folder, 'data.json', rows),
      writeJsonl(folder, 'data.jsonl', rows),
      csv,
      parquet,
      writeJson(folder, 'splits.json', { train: rows, test: [] }),
    ],
  };
}

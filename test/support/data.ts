import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Rows in the alpaca format, each with a different prompt, some without input. */
export function alpacaRows(count: number): { instruction: string; input: string; output: string }[] {
  return Array.from({ length: count }, (_, index) => ({
    instruction: `Explain number ${index} — “quoted”, \\back\\slashed, 日本語, עברית, 🙂.\nSecond line`,
    input: index % 3 === 0 ? '' : `Context ${index}\twith a tab`,
    output: `Old answer ${index}`,
  }));
}

export function alpacaText({ instruction, input }: { instruction: string; input: string | null }): string {
  return input === null || input === ''
    ? `Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Response:`
    : `Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:`;
}

export function writeJson(folder: string, name: string, value: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(value));
  return path;
}

export function writeJsonl(folder: string, name: string, rows: readonly unknown[]): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

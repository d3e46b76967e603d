/** Prints what the soak came to as a table in Markdown, which docs/reliability.md reports. */

import { cpus } from 'node:os';
import type { Reporter, TestCase, TestModule } from 'vitest/node';
import type { Figures } from './tally.js';

export default class TableReporter implements Reporter {
  readonly #classes = new Map<string, Figures>();
  readonly #started = Date.now();

  onTestCaseResult(test: TestCase): void {
    const { figures } = test.meta();
    if (figures === undefined) return;
    const sum = this.#classes.get(figures.name) ?? {
      ...figures,
      cases: 0,
      survived: 0,
      lost: 0,
      paidTwice: 0,
    };
    sum.cases += figures.cases;
    sum.survived += figures.survived;
    sum.lost += figures.lost;
    sum.paidTwice += figures.paidTwice;
    this.#classes.set(figures.name, sum);
    print(`${figures.name}: ${figures.survived} of ${figures.cases}`);
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const failed = modules.filter((one) => !one.ok()).length;
    const minutes = Math.round((Date.now() - this.#started) / 60_000);
    const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`;
    print(
      `\n${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${machine}, ${minutes} min\n`,
    );
    const rows = [...this.#classes.values()].sort((a, b) => a.name.localeCompare(b.name));
    print(table(['class', 'cases', 'survived', 'lost', 'paid twice'], rows));
    if (failed > 0) print(`\n${failed} of ${modules.length} files failed.`);
  }
}

function table(head: string[], rows: readonly Figures[]): string {
  const cells = [
    head,
    ...rows.map(({ name, cases, survived, lost, paidTwice }) => [
      name,
      ...[cases, survived, lost, paidTwice].map(String),
    ]),
  ];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const line = (row: string[]): string =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  const [first = [], ...rest] = cells;
  return [line(first), rule, ...rest.map(line)].join('\n');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

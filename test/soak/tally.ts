/** What the tests of this folder count: `npm test` tries a sample of each class, `npm run soak` all of it. */

import { expect, TestRunner } from 'vitest';

const isSoak = process.env['SOAK'] !== undefined;

/** How many cases to try: a sample in the tests, many in the soak. */
export function cases(sample: number, soak: number): number {
  return isSoak ? Math.ceil(soak * Number(process.env['SOAK_SHARE'] ?? 1)) : sample;
}

/** Evenly spread items: a sample of them in the tests, all of them in the soak. */
export function spread<Item>(items: readonly Item[], sample: number): Item[] {
  const wanted = Math.min(items.length, cases(sample, items.length));
  return Array.from(
    { length: wanted },
    (_, index) => items[Math.floor((index * items.length) / wanted)] as Item,
  );
}

/** What a class of faults came to. */
export interface Figures {
  name: string;
  cases: number;
  survived: number;
  /** Rows that were lost. */
  lost: number;
  /** Answers that were paid for although they were there. */
  paidTwice: number;
}

declare module 'vitest' {
  interface TaskMeta {
    figures?: Figures;
  }
}

/** What one case came to. */
export interface Outcome {
  lost?: number;
  paidTwice?: number;
  /** The case did not come about, and does not count: the program had ended before. */
  untried?: boolean;
  /** What else is wrong, as a sentence. */
  problem?: string | null;
}

/** Counts the cases of one class; what it counts is in the table of `npm run soak`. */
export class Tally {
  readonly #figures: Figures;
  readonly #failures: string[] = [];

  /** @param name of the class; its figures belong to the test that runs */
  constructor(name: string) {
    const task = TestRunner.getCurrentTest();
    if (task === undefined) throw new Error('a tally is kept by a test');
    this.#figures = { name, cases: 0, survived: 0, lost: 0, paidTwice: 0 };
    task.meta.figures = this.#figures;
  }

  /** Plays cases, some of them side by side; a case that throws did not survive. */
  async play<Case>(
    list: readonly Case[],
    describe: (one: Case) => string,
    play: (one: Case) => Promise<Outcome>,
    sideBySide = 2,
  ): Promise<void> {
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < list.length; index = next++) {
        const one = list[index] as Case;
        await this.count(describe(one), () => play(one));
      }
    };
    await Promise.all(Array.from({ length: sideBySide }, worker));
  }

  /** Plays one case. */
  async count(what: string, play: () => Promise<Outcome>): Promise<void> {
    const figures = this.#figures;
    figures.cases += 1;
    try {
      const { lost = 0, paidTwice = 0, untried = false, problem = null } = await play();
      if (untried) figures.cases -= 1;
      figures.lost += lost;
      figures.paidTwice += paidTwice;
      if (lost === 0 && paidTwice === 0 && problem === null) figures.survived += untried ? 0 : 1;
      else this.#failures.push(`${what}: ${lost} lost, ${paidTwice} paid twice; ${problem ?? ''}`);
    } catch (error) {
      this.#failures.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Notes cases that a test has seen survive. */
  survived(times: number): void {
    this.#figures.cases += times;
    this.#figures.survived += times;
  }

  /** Fails the test where a case did not survive, or where none was tried. */
  expectAll(): void {
    expect(this.#failures.slice(0, 5).join('\n')).toBe('');
    expect(this.#figures.cases).toBeGreaterThan(0);
  }
}

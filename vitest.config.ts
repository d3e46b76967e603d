import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const ELSEWHERE = ['test/e2e/**', 'test/slurm/**', 'test/soak/**', 'test/page/**', 'test/clients/**'];

/** Projects by how long their files take. */
const LONGEST_FIRST = ['page', 'faults', 'e2e', 'unit'];

/** Starts long files first, so that none runs alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ project }: TestSpecification): number => LONGEST_FIRST.indexOf(project.name);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/**
 * Most tests outside `unit` wait for a program, a pause or a poll. Those of `unit` alone keep a core busy, and every further
 * worker would load all modules again. Vitest takes one number for projects that run together.
 */
const WORKERS_PER_CORE = process.argv.join(' ').endsWith('--project unit') ? 1 : 3;

/** A part of the tests, which `vitest run --project NAME` runs by itself. */
const project = (name: string, include: string, more: object = {}): object => ({
  extends: true,
  // Files share the modules that they import, and the processes of `runCli`: loading both takes longer than most tests.
  test: { name, include: [include], isolate: false, ...more },
});

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    unstubEnvs: true,
    globalSetup: ['test/support/in-memory.ts'],
    maxWorkers: WORKERS_PER_CORE * availableParallelism(),
    sequence: { sequencer: LongestFirst },
    reporters: ['default', ['json', { outputFile: '.test-report.json' }]],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary', 'html'],
      reportOnFailure: true,
    },
    projects: [
      // Everything that starts no program: decisions, parsers, journals, the simulator.
      project('unit', 'test/**/*.test.ts', { exclude: ELSEWHERE }),
      // The built program from outside.
      project('e2e', 'test/e2e/**/*.test.ts'),
      // A sample of each class of faults; `npm run soak` tries all of them.
      project('faults', 'test/soak/**/*.test.ts'),
      // The page of the report in a browser.
      // Each file starts the browser that it uses, in hooks of a module that they import.
      project('page', 'test/page/**/*.test.ts', { isolate: true }),
    ],
  },
});

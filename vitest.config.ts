import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Most tests wait for a program that they started, so every core may have a worker.
    maxWorkers: availableParallelism(),
    reporters: ['default', ['json', { outputFile: '.test-report.json' }]],
  },
});

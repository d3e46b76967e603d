import { defineConfig } from 'vitest/config';

/**
 * `npm run test:slurm`: planned runs under a real Slurm, in less than five minutes. `.ci/run` runs `array` alone, which takes
 * one: the others wait for Slurm to miss a node, for leases of lost nodes and for a time limit.
 */
export default defineConfig({
  test: {
    include: ['test/slurm/**/*.test.ts'],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});

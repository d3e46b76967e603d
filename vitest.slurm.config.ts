import { defineConfig } from 'vitest/config';

/**
 * `npm run test:slurm`: planned runs under a real Slurm, in less than five minutes. Each file has a Slurm of its own, and they
 * run side by side: most of their time they wait. `.ci/run` runs `array` alone, which takes a minute; the others wait for Slurm
 * to miss a node, for leases of lost nodes and for a time limit.
 */
export default defineConfig({
  test: {
    include: ['test/slurm/**/*.test.ts'],
    // Also on a machine with two cores, where Vitest would run one file at a time.
    maxWorkers: 3,
    testTimeout: 300_000,
    hookTimeout: 60_000,
  },
});

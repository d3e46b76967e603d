import { defineConfig } from 'vitest/config';

/** `npm run test:slurm`: a planned run under a real Slurm, in less than five minutes. */
export default defineConfig({
  test: {
    include: ['test/slurm/**/*.test.ts'],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});

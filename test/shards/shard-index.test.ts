import { describe, expect, it } from 'vitest';
import { findShards } from '../../src/shards/shard-index.js';

function array(id: number, min: number, max: number, step = 1): Record<string, string> {
  return {
    SLURM_ARRAY_TASK_ID: String(id),
    SLURM_ARRAY_TASK_MIN: String(min),
    SLURM_ARRAY_TASK_MAX: String(max),
    SLURM_ARRAY_TASK_STEP: String(step),
    SLURM_ARRAY_TASK_COUNT: '1',
  };
}

describe('the shards of a worker', () => {
  it.each([
    ['nothing names one', null, {}, null],
    ['empty variables', null, { RANK: '', JOB_COMPLETION_INDEX: ' ' }, null],
    ['the flag', 7, {}, [7]],
    ['the flag and an engine that agree', 7, { JOB_COMPLETION_INDEX: '7' }, [7]],
    ['Kubernetes', null, { JOB_COMPLETION_INDEX: '0' }, [0]],
    ['AWS Batch', null, { AWS_BATCH_JOB_ARRAY_INDEX: '11', AWS_BATCH_JOB_ARRAY_SIZE: '12' }, [11]],
    ['Cloud Run', null, { CLOUD_RUN_TASK_INDEX: '3', CLOUD_RUN_TASK_COUNT: '4' }, [3]],
    ['torchrun', null, { RANK: '2', WORLD_SIZE: '4' }, [2]],
    ['several that agree', null, { RANK: '5', SLURM_ARRAY_TASK_ID: '5' }, [5]],
    ['a Slurm array', null, array(3, 0, 11), [3]],
    ['a task that was submitted again with gaps', null, array(7, 3, 7), [7]],
    ['a single task that was submitted again', null, array(5, 5, 5), [5]],
    ['an array with a step', null, array(4, 0, 8, 4), [4, 5, 6, 7]],
    ['the last task of an array with a step', null, array(10, 0, 10, 5), [10, 11]],
    ['an array with a step that does not start at 0', null, array(6, 2, 10, 4), [6, 7, 8, 9]],
    ['an array that counts from 1', null, array(12, 1, 12), [11]],
    ['an array that counts from 100 in tens', null, array(130, 100, 210, 10), [3]],
  ])('are found: %s', (_, flag, variables, expected) => {
    expect(findShards(flag, variables, 12)).toEqual(expected);
  });

  it.each([
    ['a flag beyond the plan', 12, {}, /--shard \(12\): the plan has 12 shards.*from 0 to 11/],
    ['an index beyond the plan', null, { RANK: '99' }, /RANK \(99\).*12 shards/],
    ['a Slurm index beyond the plan', null, array(40, 30, 50), /SLURM_ARRAY_TASK_ID \(40\)/],
    ['flag and engine', 1, { JOB_COMPLETION_INDEX: '2' }, /--shard \(1\) and JOB_COMPLETION_INDEX \(2\)/],
    [
      'two engines',
      null,
      { RANK: '1', SLURM_ARRAY_TASK_ID: '4' },
      /SLURM_ARRAY_TASK_ID \(4\) and RANK \(1\)/,
    ],
    ['a step and an index', null, { ...array(4, 0, 8, 4), RANK: '4' }, /\(4 to 7\) and RANK \(4\)/],
    ['no number', null, { RANK: 'first' }, /RANK is first/],
    ['a negative number', null, { JOB_COMPLETION_INDEX: '-1' }, /JOB_COMPLETION_INDEX is -1/],
  ])('are refused: %s', (_, flag, variables, message) => {
    expect(() => findShards(flag, variables, 12)).toThrow(message);
  });
});

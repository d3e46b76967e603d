import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { markOf, readMark } from '../../../src/batches/apis/marks.js';
import { creationKey } from '../../../src/batches/metadata.js';

const OWNER = { dataset: 'data/train.jsonl', annotator: 'anthropic/claude' };

const parts = fc.record({
  run: fc.uuid(),
  chunk: fc.nat(999_999).map(String),
  creation: fc.option(fc.uuid(), { nil: undefined }),
});

function metadataOf({ run, chunk, creation }: { run: string; chunk: string; creation?: string | undefined }) {
  return { run, chunk, ...OWNER, ...(creation === undefined ? {} : { creation }) };
}

describe('a mark', () => {
  it('gives back run, chunk and creation, in at most 50 plain characters', () => {
    fc.assert(
      fc.property(parts, fc.nat(1e9), (given, row) => {
        const mark = markOf(metadataOf(given));
        expect(mark).toMatch(/^[\w-]{30,50}$/);
        // As a file's name, and before the number of a request.
        for (const text of [mark, `${mark}.jsonl`, `${mark}_${row}`]) {
          expect(readMark(text, OWNER)).toMatchObject({
            ...OWNER,
            tool: 'reannotate',
            run: given.run,
            chunk: given.chunk,
            ...(given.creation === undefined ? {} : { creation: creationKey(given.creation) }),
          });
        }
      }),
    );
  });

  it('of another dataset or annotator is not taken for one of this run', () => {
    fc.assert(
      fc.property(parts, (given) => {
        const mark = markOf(metadataOf(given));
        expect(readMark(mark, { ...OWNER, annotator: 'other' })?.['annotator']).toBe('?');
        expect(readMark(mark, { ...OWNER, dataset: 'other.jsonl' })?.['dataset']).toBe('?');
        expect(readMark(mark, { ...OWNER, dataset: '/moved/train.jsonl' })?.['run']).toBe(given.run);
      }),
    );
  });

  it.each(['', 'batch.jsonl', 'request-1', 'reannotate-3.jsonl', '0'])('is not in %j', (text) => {
    expect(readMark(text, OWNER)).toBeNull();
  });

  it('needs a run with a UUID', () => {
    expect(() => markOf({ ...metadataOf({ run: 'my run', chunk: '0' }) })).toThrow('This run has no UUID');
  });
});

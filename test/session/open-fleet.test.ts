import { expect, it } from 'vitest';
import type { ModelListing } from '../../src/models/model-list.js';
import { listAll } from '../../src/session/open-fleet.js';

const models: ModelListing = { kind: 'models', names: ['m'] };
const failed: ModelListing = { kind: 'failed', message: 'refused' };

function server(name: string, list: () => Promise<ModelListing>) {
  return { member: { name }, list };
}

/** Time passes as soon as somebody waits. */
const atOnce = { sleep: () => Promise.resolve() };
const never = new Promise<never>(() => undefined);

it('a server that hangs is not waited for once another has responded', async () => {
  const hanging = server('hangs', () => never);
  const good = server('good', () => Promise.resolve(models));
  const listed = await listAll([hanging, good], atOnce);
  expect(listed.map(({ server: name, listing }) => [name, listing])).toEqual([
    ['hangs', { kind: 'failed', message: 'it has not responded yet' }],
    ['good', models],
  ]);
});

it('as long as none has responded, all are waited for', async () => {
  let respond: (listing: ModelListing) => void = () => undefined;
  const slow = server('slow', () => new Promise((resolve) => (respond = resolve)));
  const refusing = server('refuses', () => Promise.resolve(failed));
  const listing = listAll([refusing, slow], atOnce);
  await new Promise((resolve) => setImmediate(resolve));
  respond(models);
  expect((await listing).map((one) => one.listing)).toEqual([failed, models]);
});

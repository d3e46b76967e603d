import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { simulate } from './support.js';

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** A client of the Hub's own making, with a token. */
function client(url: string, token: string | null = 'hf_x'): Record<'get' | 'post' | 'put', Call> {
  const call =
    (method: string): Call =>
    async (path, body) => {
      const type = { 'content-type': 'application/json' };
      const headers = token === null ? type : { ...type, authorization: `Bearer ${token}` };
      const sent = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
      const response = await fetch(path.startsWith('http') ? path : `${url}${path}`, {
        method,
        headers,
        ...(sent === undefined ? {} : { body: sent }),
      });
      const text = await response.text();
      return {
        status: response.status,
        body: (text.startsWith('{') ? JSON.parse(text) : { text }) as Answer['body'],
      };
    };
  return { get: call('GET'), post: call('POST'), put: call('PUT') };
}
type Call = (path: string, body?: unknown) => Promise<Answer>;

const CREATE = { name: 'data', organization: 'me', type: 'dataset' };
const COMMIT = '/api/datasets/me/data/commit/main';

function commit(header: object, ...operations: object[]): string {
  return [{ key: 'header', value: { summary: 'a commit', ...header } }, ...operations]
    .map((line) => JSON.stringify(line))
    .join('\n');
}

function textFile(path: string, content: string): object {
  return { key: 'file', value: { path, content, encoding: 'utf-8' } };
}

function largeFile(content: string): { oid: string; size: number } {
  return { oid: createHash('sha256').update(content).digest('hex'), size: content.length };
}

describe('the simulated Hub', () => {
  it('reports the owner of a token, and refuses another', async () => {
    const { url } = await simulate({ hubToken: 'hf_right', hubUser: 'you', hubOrganisations: ['lab'] });
    expect((await client(url, null).get('/api/whoami-v2')).status).toBe(401);
    expect((await client(url, 'hf_wrong').get('/api/whoami-v2')).status).toBe(401);
    const { status, body } = await client(url, 'hf_right').get('/api/whoami-v2');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      name: 'you',
      orgs: [{ name: 'lab' }],
      auth: { accessToken: { role: 'write' } },
    });
  });

  it('makes a repository once, for its account alone', async () => {
    const { url } = await simulate();
    const { post } = client(url);
    expect((await client(url, null).post('/api/repos/create', CREATE)).status).toBe(401);
    expect((await post('/api/repos/create', { ...CREATE, organization: 'them' })).status).toBe(403);
    expect((await post('/api/repos/create', { ...CREATE, name: 'a b' })).status).toBe(400);
    expect((await post('/api/repos/create', { ...CREATE, type: 'model' })).status).toBe(400);
    expect((await post('/api/repos/create', 'no JSON')).status).toBe(400);
    expect(await post('/api/repos/create', CREATE)).toEqual({
      status: 200,
      body: { url: `${url}/datasets/me/data`, name: 'me/data', id: 'me/data' },
    });
    expect((await post('/api/repos/create', CREATE)).status).toBe(409);
  });

  it('hides a private repository from those without a token', async () => {
    const { url } = await simulate();
    await client(url).post('/api/repos/create', { ...CREATE, visibility: 'private' });
    expect((await client(url, null).get('/api/datasets/me/data')).status).toBe(401);
    expect((await client(url).get('/api/datasets/me/data')).body).toMatchObject({ private: true });
    expect((await client(url).get('/api/datasets/me/none')).status).toBe(404);
  });

  it('takes a commit as a whole or not at all', async () => {
    const { url } = await simulate();
    const { get, post } = client(url);
    await post('/api/repos/create', CREATE);
    const { sha } = (await get('/api/datasets/me/data')).body;
    const unknown = { key: 'lfsFile', value: { path: 'b.parquet', algo: 'sha256', ...largeFile('never') } };
    for (const [body, status] of [
      [commit({}, textFile('a.txt', 'a'), unknown), 400],
      [commit({}, textFile('a.txt', 'a'), textFile('../b.txt', 'b')), 400],
      [commit({}, textFile('a.txt', 'a'), { key: 'other', value: {} }), 400],
      [commit({ summary: '' }, textFile('a.txt', 'a')), 400],
      [commit({ parentCommit: '0'.repeat(40) }, textFile('a.txt', 'a')), 412],
      [commit({}, textFile('README.md', '---\n[: no YAML\n---\n')), 400],
      ['{"key":"file"}', 400],
      ['torn {', 400],
    ] as const) {
      expect((await post(COMMIT, body)).status, body).toBe(status);
    }
    expect((await get('/api/datasets/me/data')).body).toMatchObject({ sha, siblings: [{}] });
    const { body } = await post(COMMIT, commit({ parentCommit: sha }, textFile('a.txt', 'a')));
    expect(body).toMatchObject({ success: true });
    expect((await get('/api/datasets/me/data')).body['sha']).toBe(body['commitOid']);
    expect((await get('/datasets/me/data/resolve/main/a.txt')).body).toEqual({ text: 'a' });
    expect((await get(`/datasets/me/data/resolve/${String(sha)}/a.txt`)).status).toBe(404);
    const info = await post('/api/datasets/me/data/paths-info/main', { paths: ['a.txt', 'none'] });
    // As `git hash-object` has it.
    expect(JSON.parse(String(info.body['text']))).toEqual([
      { type: 'file', path: 'a.txt', oid: '2e65efe2a145dda7ee51d1741299f848e5bf752e', size: 1 },
    ]);
  });

  it('stores large files by their content, checked', async () => {
    const { url } = await simulate({ hubPartBytes: 4 });
    const { get, post, put } = client(url);
    await post('/api/repos/create', CREATE);
    const batch = '/datasets/me/data.git/info/lfs/objects/batch';
    const announce = async (content: string, transfers = ['basic']): Promise<Record<string, string>> => {
      const { body } = await post(batch, { operation: 'upload', transfers, objects: [largeFile(content)] });
      const [object] = body['objects'] as { actions?: { upload: { href: string; header: object } } }[];
      const { href = '', header = {} } = object?.actions?.upload ?? {};
      return { href, ...header };
    };
    const { href = '' } = await announce('whole');
    expect((await put(href, 'other')).status).toBe(400);
    expect((await put(href, 'much longer')).status).toBe(400);
    expect((await put(`${url}/simulator/uploads/${'0'.repeat(64)}`, 'x')).status).toBe(404);
    expect((await put(href, 'whole')).status).toBe(200);
    // Existing files are not requested again.
    expect(await announce('whole')).toEqual({ href: '' });
    const parts = await announce('in parts', ['basic', 'multipart']);
    expect(parts['chunk_size']).toBe('4');
    expect((await put(parts['00001'] ?? '', 'in p')).status).toBe(200);
    const told = { parts: [{ partNumber: 1, etag: 'a' }] };
    expect((await post(parts['href'] ?? '', told)).status).toBe(400);
    expect((await put(parts['00002'] ?? '', 'arts')).status).toBe(200);
    expect((await post(parts['href'] ?? '', told)).status).toBe(200);
    const files = ['whole', 'in parts'].map((content) => ({
      key: 'lfsFile',
      value: { path: `${content}.parquet`, algo: 'sha256', ...largeFile(content) },
    }));
    expect((await post(COMMIT, commit({}, ...files))).status).toBe(200);
    expect((await get('/datasets/me/data/resolve/main/in%20parts.parquet')).body).toEqual({
      text: 'in parts',
    });
  });
});

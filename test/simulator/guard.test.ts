import { request } from 'node:http';
import { expect, it } from 'vitest';
import { simulate } from './support.js';

const BODY = JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello.' }] });

/** The status of a request, with just these headers. */
function status(
  port: number,
  headers: Record<string, string>,
  [method, path, body]: [string, string, string] = ['POST', '/v1/chat/completions', BODY],
): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', method, path, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

it('answers programs on this machine, and no page that a browser shows', async () => {
  const { port } = await simulate();
  const json = { 'content-type': 'application/json' };
  const own = `127.0.0.1:${port}`;
  const look: [string, string, string] = ['GET', '/simulator/statistics', ''];
  const form: [string, string, string] = ['POST', '/v1/files', '--x--\r\n'];
  const multipart = { 'content-type': 'multipart/form-data; boundary=x' };
  const cases: [number, Record<string, string>, [string, string, string]?][] = [
    [200, json],
    [200, { 'content-type': 'application/json; charset=utf-8', host: `localhost:${port}` }],
    [200, { ...json, host: `[::1]:${port}` }],
    [200, { ...json, host: `api.localhost:${port}` }],
    [200, { ...json, origin: `http://${own}`, host: own }],
    [200, {}, look],
    [400, { ...multipart, authorization: 'Bearer sk-test' }, form],
    // DNS rebinding: the page's own name leads here.
    [403, { ...json, host: `evil.example:${port}` }],
    [403, { host: 'evil.example' }, look],
    [403, { host: '127.0.0.1.evil.example' }, look],
    [403, { host: 'localhost.evil.example' }, look],
    [403, { host: '192.168.0.7' }, look],
    [403, { host: '0.0.0.0' }, look],
    [403, { host: '127.0.0.1:8000.evil.example' }, look],
    [403, { host: 'evil.example:127.0.0.1' }, look],
    [403, { host: '[::ffff:127.0.0.1]' }, look],
    [403, { host: '[::]' }, look],
    [403, { host: '2130706433' }, look],
    [403, { host: '0x7f.1' }, look],
    [403, { host: 'localhost@evil.example' }, look],
    [403, { host: '.localhost' }, look],
    // A page elsewhere sends a request.
    [403, { ...json, origin: 'https://evil.example' }],
    [403, { ...json, origin: 'null' }],
    [403, { ...json, origin: `https://${own}`, host: own }],
    [403, { ...json, origin: `http://${own}.evil.example`, host: own }],
    [403, { ...json, origin: `http://127.0.0.1:${port + 1}`, host: own }],
    [403, { ...json, origin: `http://localhost:${port}`, host: own }],
    [403, { ...json, origin: 'file://' }],
    [403, { ...json, origin: '' }],
    [403, { origin: 'http://localhost:1' }, look],
    [403, { 'sec-fetch-site': 'cross-site' }, look],
    // What it can send without asking first.
    [415, { 'content-type': 'text/plain' }],
    [415, { 'content-type': 'text/plain; application/json' }],
    [415, { 'content-type': 'application/x-www-form-urlencoded' }],
    [415, { 'content-type': 'application/jsonp' }],
    [415, { 'content-type': 'text/json' }],
    [415, { 'content-type': 'multipart/form-data, application/json' }],
    [415, {}],
    [415, multipart, form],
  ];
  for (const [expected, headers, sent] of cases)
    expect(await status(port, headers, sent), JSON.stringify(headers)).toBe(expected);
});

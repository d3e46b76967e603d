import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/lib/errors.js';
import { proxyAuthorization, proxyFor, shownProxy } from '../../src/http/proxy.js';

function chosen(target: string, variables: Record<string, string>): string | null {
  return proxyFor(new URL(target), variables)?.url.host ?? null;
}

describe('the proxy for an address', () => {
  it.each<[string, Record<string, string>, string | null]>([
    ['https://api.example/v1', {}, null],
    ['https://api.example/v1', { HTTPS_PROXY: 'http://p:3128' }, 'p:3128'],
    ['https://api.example/v1', { HTTPS_PROXY: 'p:3128' }, 'p:3128'],
    ['https://api.example/v1', { HTTPS_PROXY: '10.0.0.1:3128' }, '10.0.0.1:3128'],
    ['https://api.example/v1', { HTTPS_PROXY: 'p' }, 'p'],
    ['https://api.example/v1', { HTTPS_PROXY: 'user:p@ss@p:3128' }, 'p:3128'],
    ['https://api.example/v1', { https_proxy: 'a:1', HTTPS_PROXY: 'b:2' }, 'a:1'],
    ['https://api.example/v1', { https_proxy: '', HTTPS_PROXY: 'b:2' }, 'b:2'],
    ['https://api.example/v1', { HTTP_PROXY: 'p:3128' }, null],
    ['http://api.example/v1', { HTTPS_PROXY: 'p:3128' }, null],
    ['http://api.example/v1', { HTTP_PROXY: 'p:3128' }, 'p:3128'],
    ['http://api.example/v1', { http_proxy: 'a:1', HTTP_PROXY: 'b:2' }, 'a:1'],
    ['http://api.example/v1', { ALL_PROXY: 'p:3128' }, 'p:3128'],
    ['https://api.example/v1', { ALL_PROXY: 'p:3128', https_proxy: 'a:1' }, 'a:1'],
    // This machine is reached directly.
    ['http://localhost:8000/v1', { HTTP_PROXY: 'p:3128' }, null],
    ['http://127.0.0.1:8000/v1', { ALL_PROXY: 'p:3128' }, null],
    ['http://[::1]:8000/v1', { ALL_PROXY: 'p:3128' }, null],
    ['http://127.1:8000/v1', { ALL_PROXY: 'p:3128' }, null],
    ['http://127.api.example/v1', { ALL_PROXY: 'p:3128' }, 'p:3128'],
  ])('%s with %j is %s', (target, variables, expected) => {
    expect(chosen(target, variables)).toBe(expected);
  });

  it.each<[string, string, boolean]>([
    ['https://api.example/', '*', true],
    ['https://api.example/', 'api.example', true],
    ['https://api.example/', '.example', true],
    ['https://api.example/', '*.example', true],
    ['https://api.example/', 'example', true],
    ['https://api.example/', 'ample', false],
    ['https://api.example/', 'API.Example.', true],
    ['https://api.example/', 'api.example:443', true],
    ['https://api.example/', 'api.example:8443', false],
    ['https://api.example:8443/', 'a.b, api.example:8443', true],
    ['https://api.example/', 'other.example other2.example', false],
    ['https://api.example/', 'x.y api.example', true],
    ['https://10.1.2.3/', '10.0.0.0/8', true],
    ['https://11.1.2.3/', '10.0.0.0/8', false],
    ['https://10.1.2.3/', '0.0.0.0/0', true],
    ['https://10.1.2.3/', '10.0.0.0/99', false],
    ['https://10.1.2.3/', '10.1.2.3', true],
    ['https://[fd00::1]:8080/', '[fd00::1]:8080', true],
    ['https://[fd00::1]:8080/', 'fd00::1', true],
    ['https://api.example/', ' , ,', false],
  ])('leaves out %s where NO_PROXY is %j: %s', (target, NO_PROXY, expected) => {
    expect(chosen(target, { HTTPS_PROXY: 'p:3128', NO_PROXY }) === null).toBe(expected);
  });

  it('is named by variable and host, and its credentials are decoded', () => {
    const proxy = proxyFor(new URL('https://api.example'), { HTTPS_PROXY: 'http://us%3Aer:p%40ss@p:3128' });
    if (proxy === null) throw new Error('no proxy');
    expect(shownProxy(proxy)).toBe('http://p:3128 (HTTPS_PROXY)');
    expect(proxyAuthorization(proxy)).toBe(`Basic ${btoa('us:er:p@ss')}`);
  });

  it.each([
    ['socks5://user:hunter2@p:1080', 'socks5 proxy (socks5://…@p:1080)'],
    ['http://', 'takes the address of a proxy'],
    ['http://user:hunter2@p:port', 'takes the address of a proxy'],
  ])('is refused where it cannot be used: %s', (ALL_PROXY, message) => {
    const choose = (): unknown => proxyFor(new URL('https://api.example'), { ALL_PROXY });
    expect(choose).toThrow(UserError);
    expect(choose).toThrow(message);
    expect(choose).not.toThrow('hunter2');
  });
});

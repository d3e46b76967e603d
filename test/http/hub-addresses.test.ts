import { describe, expect, it } from 'vitest';
import { openDataset } from '../../src/datasets/index.js';
import { HubAddresses, lookupPublic } from '../../src/http/hub-addresses.js';
import { AddressRefused, isPrivateAddress } from '../../src/http/private-addresses.js';
import { HubConnection } from '../../src/publishing/connection.js';
import type { Reporter } from '../../src/types.js';
import { scriptedApi } from '../support/scripted-api.js';

const REAL = {
  endpoint: 'https://huggingface.co',
  datasetsServerUrl: 'https://datasets-server.huggingface.co',
};
const MIRROR = { endpoint: 'https://hub.example.com', datasetsServerUrl: 'http://10.1.2.3:8080' };
const silent: Reporter = { debug() {}, info() {}, warning() {}, error() {} };

describe('addresses that a Hub names', () => {
  it.each([
    'https://huggingface.co/datasets/a/b/resolve/refs%2Fconvert%2Fparquet/default/train/0000.parquet',
    'https://datasets-server.huggingface.co/rows',
    'https://cdn-lfs-us-1.huggingface.co/x',
    'https://cdn-lfs-eu-1.hf.co/x?Signature=y',
    'https://cas-bridge.xethub.hf.co/x',
    'https://us.aws.cdn.hf.co/x',
    'https://hf-hub-lfs-us-east-1.s3-accelerate.amazonaws.com/repos/a?X-Amz-Signature=b',
    'https://hf-hub-lfs-eu-west-1.s3.eu-west-1.amazonaws.com/repos/a',
    'https://s3.us-east-1.amazonaws.com/lfs.huggingface.co/repos/a',
  ])('of the real Hub: %s', (address) => {
    expect(new HubAddresses(REAL).require(address, 'the Hub').href).toBe(new URL(address).href);
  });

  it.each([
    'https://hub.example.com/x',
    'https://cdn.hub.example.com/x',
    'http://10.1.2.3:8080/x',
    'http://10.1.2.3:9000/lfs',
    'https://files.example.net/x',
    'http://10.9.9.9:9000/x',
    'https://cdn-lfs.hf.co/x',
  ])('of a configured one: %s', (address) => {
    const hosts = ['files.example.net', '10.9.9.9:9000'];
    expect(new HubAddresses({ ...MIRROR, hosts }).require(address, 'the Hub').href).toBe(address);
  });

  it.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://127.0.0.1/x',
    'https://127.0.0.1/x',
    'http://2130706433/x',
    'http://0x7f.1/x',
    'http://0177.0.0.1/x',
    'http://127.1/x',
    'http://0.0.0.0/x',
    'http://0/x',
    'http://[::1]/x',
    'http://[::]/x',
    'http://[::ffff:127.0.0.1]/x',
    'http://[::ffff:a9fe:a9fe]/x',
    'http://[64:ff9b::a00:1]/x',
    'http://[::ffff:0:7f00:1]/x',
    'http://[2002:7f00:1::]/x',
    'https://localhost./x',
    'https://127.0.0.1./x',
    'http://[fd00::1]/x',
    'http://[fe80::1]/x',
    'http://100.100.100.200/latest/meta-data',
    'http://localhost:9200/x',
    'https://metadata.google.internal/x',
    'http://printer/x',
    'http://router.local./x',
    'http://0251.0376.0251.0376/latest/meta-data/',
    'http://0xA9FEA9FE/latest/meta-data/',
    'http://2852039166/latest/meta-data/',
    'http://169.254.43518/latest/meta-data/',
    'http://[::ffff:169.254.169.254]/x',
    'http://[0:0:0:0:0:ffff:a9fe:a9fe]/x',
    'http://[::169.254.169.254]/x',
    'http://[64:ff9b::169.254.169.254]/x',
    'http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/x',
    'http://１２７.0.0.1/x',
    'http://127。0。0。1/x',
    'http://①②⑦.0.0.1/x',
    'https://huggingface.co:443@127.0.0.1/x',
    'https://huggingface.co%2f@127.0.0.1/x',
    'https://127.0.0.1\\@huggingface.co/x',
    'http://api.localhost/x',
    'http://instance-data.ec2.internal/x',
  ])('inside the network are refused: %s', (address) => {
    for (const hub of [REAL, MIRROR]) {
      expect(() => new HubAddresses(hub).require(address, 'the Hub')).toThrow(
        /^the Hub leads to .*, an address inside your network, and is not followed.*REANNOTATE_HUB_HOSTS=/,
      );
    }
  });

  it.each([
    'http://huggingface.co/x',
    'https://huggingface.co:8443/x',
    'https://huggingface.co.evil.example/x',
    'https://huggingface.co@evil.example/x',
    'https://evilhuggingface.co/x',
    'https://evil.example/huggingface.co',
    'https://hf-hub-lfs-evil.s3.amazonaws.com/x',
    'https://s3.us-east-1.amazonaws.com/evil/lfs.huggingface.co/x',
    'https://example.com/x',
    'https://93.184.216.34/x',
    'https://169.254.169.254.nip.io/x',
    'https://127.0.0.1.sslip.io/x',
    'https://huggingface.co..evil.example/x',
    'https://huggingface.co%00.evil.example/x',
    'https://xn--hggingface-9db.co/x',
    'https://hf.co.s3.amazonaws.com/x',
  ])('of anybody else are refused: %s', (address) => {
    expect(() => new HubAddresses(REAL).require(address, 'the Hub')).toThrow(AddressRefused);
  });

  it.each([
    'file:///etc/passwd',
    'data:text/plain,x',
    'ftp://huggingface.co/x',
    'javascript:alert(1)',
    'unix:/run/x',
    'x',
    '',
  ])('that are no web addresses are refused: %s', (address) => {
    expect(() => new HubAddresses(REAL).require(address, 'the Hub')).toThrow(/is no web address|is none/);
  });
});

it('distinguishes public addresses from others', () => {
  for (const address of [
    '8.8.8.8',
    '1.1.1.1',
    '2606:4700::1111',
    '64:ff9b::808:808',
    '172.32.0.1',
    '::ffff:8.8.8.8',
  ])
    expect(isPrivateAddress(address), address).toBe(false);
  for (const address of ['172.31.255.255', 'fe80::1%eth0', '::127.0.0.1', '2002:7f00:1::', '255.255.255.255'])
    expect(isPrivateAddress(address), address).toBe(true);
});

it.each([false, true])(
  'a name that leads inside is refused when it is connected to (all: %s)',
  async (all) => {
    const problem = await new Promise<Error | null>((resolve) => {
      lookupPublic('localhost', { all }, (error) => {
        resolve(error);
      });
    });
    expect(problem).toBeInstanceOf(AddressRefused);
  },
);

it('a Hub on this machine, such as the simulator, may name other ports of it', () => {
  const local = { endpoint: 'http://127.0.0.1:8088', datasetsServerUrl: 'http://127.0.0.1:8088' };
  for (const address of ['http://127.0.0.1:9000/x', 'http://localhost:8088/x', 'http://[::1]:9000/x'])
    expect(new HubAddresses(local).require(address, 'it').href).toBe(address);
  const others = ['http://10.0.0.1/x', 'http://169.254.169.254/x', 'http://0.0.0.0:8088/x'];
  for (const address of [...others, 'http://127.example.com/x'])
    expect(() => new HubAddresses(local).require(address, 'it')).toThrow(AddressRefused);
});

describe('over HTTP, without a second try', () => {
  it.each(['http://169.254.169.254/latest/meta-data/', 'http://10.255.255.1/x', 'file:///etc/passwd'])(
    'a Parquet file at %s is not asked for',
    async (url) => {
      const api = await scriptedApi(({ path }) => {
        if (path.startsWith('/splits'))
          return { body: { splits: [{ dataset: 'me/data', config: 'default', split: 'train' }] } };
        if (path.startsWith('/rows'))
          return { status: 500, headers: { 'x-error-code': 'TooBigContentError' }, body: {} };
        const file = { config: 'default', split: 'train', filename: 'x', size: 1000, url };
        return { body: { parquet_files: [file] } };
      });
      const hub = { endpoint: api.url, datasetsServerUrl: api.url, token: 'hf_secret_token' };
      const request = { dataset: 'me/data', subset: null, split: null };
      await expect(openDataset(request, hub, silent)).rejects.toThrow(/not followed|not opened/);
      expect(api.requests.length).toBe(3);
    },
  );

  it('an upload does not go inside the network', async () => {
    const endpoint = 'http://127.0.0.1:9';
    const hub = { endpoint, datasetsServerUrl: endpoint, token: 'hf_secret_token' };
    const connection = new HubConnection(hub, silent, new AbortController().signal);
    const upload = connection.fetch('http://169.254.169.254/upload', { method: 'PUT', body: 'rows' });
    await expect(upload).rejects.toThrow('127.0.0.1:9 leads to http://169.254.169.254');
    await connection.close();
  });
});

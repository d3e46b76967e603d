import { EnvHttpProxyAgent } from 'undici';

/** Connections through the environment's proxy where it names one; servers on this machine are reached directly. */
export function openProxyAgent(settings: EnvHttpProxyAgent.Options): EnvHttpProxyAgent {
  const excepted = process.env['NO_PROXY'] ?? process.env['no_proxy'] ?? '';
  const noProxy = [excepted, 'localhost', '127.0.0.1', '[::1]'].filter((name) => name !== '').join(',');
  return new EnvHttpProxyAgent({ ...settings, noProxy });
}

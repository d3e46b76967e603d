/** Every provider's API below its own path, such as `/anthropic/v1`: what `--base_url` names to rehearse with it. */

import type { Route } from '../http.js';
import { anthropicRoutes } from './anthropic.js';
import { fireworksRoutes } from './fireworks.js';
import { geminiRoutes } from './gemini.js';
import { routesLikeOpenAi, VARIANTS } from './like-openai.js';
import { mistralRoutes } from './mistral.js';
import type { ProviderParts } from './mount.js';
import { openRouterRoutes } from './openrouter.js';
import { togetherRoutes } from './together.js';
import { xaiRoutes } from './xai.js';

type Builder = (prefix: string, parts: ProviderParts, openai: readonly Route[]) => Route[];

/** The base path of each API is that of the real one, below the provider's name. */
const OWN: Readonly<Record<string, { prefix: string; base: string; routes: Builder }>> = {
  anthropic: { prefix: '/anthropic', base: '/anthropic/v1', routes: anthropicRoutes },
  mistral: { prefix: '/mistral', base: '/mistral/v1', routes: mistralRoutes },
  together: { prefix: '/together', base: '/together/v1', routes: togetherRoutes },
  xai: { prefix: '/xai', base: '/xai/v1', routes: xaiRoutes },
  openrouter: { prefix: '/openrouter/api', base: '/openrouter/api/v1', routes: openRouterRoutes },
  gemini: { prefix: '/gemini', base: '/gemini/v1beta/openai', routes: geminiRoutes },
  fireworks: { prefix: '/fireworks', base: '/fireworks/inference/v1', routes: fireworksRoutes },
};

/** Where a provider's API is, below the simulator's address; OpenAI's and any other is at `/v1`. */
export function basePathOf(provider: string): string {
  if (Object.hasOwn(VARIANTS, provider)) return `/${provider}/openai/v1`;
  return OWN[provider]?.base ?? '/v1';
}

/** @param openai the routes of OpenAI's API: what is the same elsewhere is taken from them */
export function providerRoutes(parts: ProviderParts, openai: readonly Route[]): Route[] {
  const variants = Object.entries(VARIANTS).flatMap(([name, variant]) =>
    routesLikeOpenAi(`/${name}/openai`, variant, parts, openai),
  );
  return [...variants, ...Object.values(OWN).flatMap(({ prefix, routes }) => routes(prefix, parts, openai))];
}

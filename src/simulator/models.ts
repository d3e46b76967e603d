/** The models that the simulator knows: their snapshots, and `/v1/models`. */

import { ApiError, decodePath, requireApiKey, sendJson, type Route } from './http.js';

/** The model behind a name; other names are their own models. */
const SNAPSHOTS: Readonly<Record<string, string>> = {
  'gpt-3.5-turbo': 'gpt-3.5-turbo-0125',
  'gpt-4': 'gpt-4-0613',
  'gpt-4-turbo': 'gpt-4-turbo-2024-04-09',
  'gpt-4-turbo-preview': 'gpt-4-0125-preview',
  'gpt-4o': 'gpt-4o-2024-08-06',
  'gpt-4o-mini': 'gpt-4o-mini-2024-07-18',
  'gpt-4.1': 'gpt-4.1-2025-04-14',
  'gpt-4.1-mini': 'gpt-4.1-mini-2025-04-14',
  'gpt-4.1-nano': 'gpt-4.1-nano-2025-04-14',
  'gpt-5': 'gpt-5-2025-08-07',
  'gpt-5-mini': 'gpt-5-mini-2025-08-07',
  'gpt-5-nano': 'gpt-5-nano-2025-08-07',
  o1: 'o1-2024-12-17',
  o3: 'o3-2025-04-16',
  'o3-mini': 'o3-mini-2025-01-31',
  'o4-mini': 'o4-mini-2025-04-16',
};

/** The dated name that an answer states. */
export function snapshotOf(model: string): string {
  return Object.hasOwn(SNAPSHOTS, model) ? (SNAPSHOTS[model] ?? model) : model;
}

/** True for models that reason first and take fewer parameters: o1, o3-mini, gpt-5-nano, but not gpt-5-chat-latest. */
export function isReasoningModel(model: string): boolean {
  return /^(?:o[134](?:-|$)|gpt-5)/.test(model) && !model.includes('-chat');
}

/** @throws ApiError (404) where only some models exist and this is none of them */
export function requireModel(model: string, existing: readonly string[] | null): void {
  if (existing === null || existing.includes(model)) return;
  throw new ApiError(404, `The model \`${model}\` does not exist or you do not have access to it.`, {
    code: 'model_not_found',
  });
}

/** `GET /v1/models` and `GET /v1/models/NAME`. */
export function modelRoutes(existing: readonly string[] | null, apiKey: string | null): Route[] {
  const listed = existing ?? [...new Set(Object.entries(SNAPSHOTS).flat())];
  return [
    {
      method: 'GET',
      path: '/v1/models',
      handle: ({ request, response }) => {
        requireApiKey(request, apiKey);
        sendJson(response, 200, { object: 'list', data: listed.map(describe) });
      },
    },
    {
      method: 'GET',
      path: '/v1/models/*',
      handle: ({ path, request, response }) => {
        requireApiKey(request, apiKey);
        const model = decodePath(path.slice('/v1/models/'.length)) ?? '';
        requireModel(model, existing);
        sendJson(response, 200, describe(model));
      },
    },
  ];
}

/** @see https://platform.openai.com/docs/api-reference/models/object */
function describe(id: string): object {
  return { id, object: 'model', created: 1_721_172_741, owned_by: 'system' };
}

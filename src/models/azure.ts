/**
 * Azure's addresses: https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle.
 *
 * - `/openai/v1/`: the deployment is the request's `model`; no version is needed;
 * - `/openai/deployments/NAME/…?api-version=2024-10-21`: the deployment is part of the path.
 */

import { readAddress, type ApiAddress } from '../http/address.js';

/** A dated version belongs to the older form; `preview` and `v1` to the newer one. */
const DATED = /^\d{4}-\d{2}-\d{2}/;
/** Paths of a resource or of one of its projects, without what an API adds. */
const BARE_PATH = /^\/?(?:openai\/?|api\/projects\/[^/]+\/?)?$/;

/**
 * The address of a deployment. A whole address stays as it is; that of a resource, such as
 * `https://RESOURCE.openai.azure.com`, is completed in the form that its version belongs to.
 */
export function azureAddress(given: string, deployment: string, variables: NodeJS.ProcessEnv): ApiAddress {
  const url = new URL(given.trim());
  if (!BARE_PATH.test(url.pathname)) return { ...readAddress(given), isAzure: true };
  const version = url.searchParams.get('api-version') ?? variables['OPENAI_API_VERSION']?.trim() ?? '';
  const isDated = DATED.test(version);
  url.pathname = isDated ? `/openai/deployments/${encodeURIComponent(deployment)}` : '/openai/v1';
  if (isDated) url.searchParams.set('api-version', version);
  return { ...readAddress(url.href), isAzure: true };
}

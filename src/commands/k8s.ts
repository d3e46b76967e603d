/** `reannotate k8s`: a planned run as an Indexed Job's manifest on stdout. */

import { isLocalName } from '../datasets/local-files.js';
import { EXIT } from '../lib/errors.js';
import { packageVersion } from '../lib/package.js';
import type { ModelCall } from '../models/call.js';
import { shownBaseUrl } from '../models/endpoint.js';
import { namesIn } from '../models/server-list.js';
import { fallbackCall } from '../run/fallback.js';
import type { RunPolicy } from '../run/settings.js';
import type { OpenPlan } from '../session/open-plan.js';
import { printResult } from '../terminal/output.js';
import { commonFolder, jobManifest } from '../shards/k8s-manifest.js';

const USUAL_PARALLELISM = 10;

export interface KubernetesRequest {
  image: string | null;
  /** Pods at the same time; null for the usual number. */
  nodes: number | null;
  claim: string;
  secret: string;
  /** Null for the folder that holds the run, its results and its dataset. */
  mountPath: string | null;
}

/** Runs `reannotate k8s`. */
export async function k8s({ runDir, plan, settings }: OpenPlan, own: KubernetesRequest): Promise<number> {
  const { stringify } = await import('yaml');
  const { call, policy, environment, selection, output } = settings;
  const { apiKeyVariable, baseUrlVariable } = call.annotator.provider;
  const ownKeys = call.servers?.servers.flatMap((one) => one.apiKeyVariable ?? []) ?? [];
  const keys = ownKeys.length > 0 ? [...new Set(ownKeys)] : namesIn(call.apiKeyVariable ?? apiKeyVariable);
  const isLocal = isLocalName(selection.dataset);
  const hasOwnAddress =
    call.baseUrl === null &&
    baseUrlVariable !== null &&
    (environment.variables[baseUrlVariable] ?? '') !== '';
  const manifest = jobManifest({
    runDir,
    shards: plan.shards.length,
    parallelism: own.nodes ?? USUAL_PARALLELISM,
    image: own.image ?? `reannotate:${packageVersion()}`,
    claim: own.claim,
    mountPath:
      own.mountPath ?? commonFolder([runDir, output.saveDir, ...(isLocal ? [selection.dataset] : [])]),
    secret: own.secret,
    keys: [
      ...keys.map((name) => ({ name, isOptional: call.baseUrl !== null || hasOwnAddress })),
      ...fallbackKeys(call, policy).filter(({ name }) => !keys.includes(name)),
      ...(isLocal ? [] : [{ name: 'HF_TOKEN', isOptional: true }]),
    ],
    variables: hasOwnAddress ? { [baseUrlVariable]: shownBaseUrl(call) } : {},
  });
  await printResult(stringify(manifest, { lineWidth: 0 }));
  return EXIT.done;
}

/** The key of `--fallback_annotator`. */
function fallbackKeys(own: ModelCall, policy: RunPolicy): { name: string; isOptional: boolean }[] {
  const call = fallbackCall(own, policy);
  if (call === null) return [];
  const names = namesIn(call.apiKeyVariable ?? call.annotator.provider.apiKeyVariable);
  return names.map((name) => ({ name, isOptional: call.baseUrl !== null }));
}

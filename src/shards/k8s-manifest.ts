/** A planned run as an Indexed Job of Kubernetes (https://kubernetes.io/docs/concepts/workloads/controllers/job/). */

import { dirname, sep } from 'node:path';
import { EXIT } from '../lib/errors.js';
import { withoutTrailing } from '../lib/text.js';

/** Requeues of one shard; a node that is drained or preempted does not count. */
const RETRIES_A_SHARD = 20;
/** Draining takes half a minute; the rest is for a slow disk. */
const GRACE_S = 90;
const CONTAINER = 'worker';
/** A label of DNS: 63 characters, less what the Job controller appends. */
const LONGEST_NAME = 52;

export interface KubernetesOptions {
  /** Absolute, as the containers see it. */
  runDir: string;
  shards: number;
  /** Pods that run at the same time at most. */
  parallelism: number;
  image: string;
  /** The claim of the volume that all pods share. */
  claim: string;
  mountPath: string;
  /** The Secret that holds the keys, each under the name of its variable. */
  secret: string;
  /** Variables that hold keys; one that is optional may be missing. */
  keys: readonly { name: string; isOptional: boolean }[];
  /** Other variables that workers need. */
  variables: Readonly<Record<string, string>>;
}

/** The manifest as a value. It holds no key. */
export function jobManifest(options: KubernetesOptions): object {
  const { runDir, shards, parallelism, image, claim, mountPath } = options;
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: jobName(runDir), labels: { app: 'reannotate' } },
    spec: {
      completionMode: 'Indexed',
      completions: shards,
      parallelism: Math.min(parallelism, shards),
      backoffLimitPerIndex: RETRIES_A_SHARD,
      podFailurePolicy: {
        rules: [
          // Evictions, drained nodes and preemption are not the worker's fault.
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          // What no retry changes: a wrong key, a changed dataset, a wrong command line.
          {
            action: 'FailIndex',
            onExitCodes: {
              containerName: CONTAINER,
              operator: 'In',
              values: [EXIT.cannotGoOn, EXIT.commandLine],
            },
          },
        ],
      },
      template: {
        metadata: { labels: { app: 'reannotate' } },
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: GRACE_S,
          containers: [
            {
              name: CONTAINER,
              image,
              command: ['reannotate', 'work', unexpanded(runDir)],
              env: environment(options),
              volumeMounts: [{ name: 'runs', mountPath }],
            },
          ],
          volumes: [{ name: 'runs', persistentVolumeClaim: { claimName: claim } }],
        },
      },
    },
  };
}

function environment({ keys, secret, variables }: KubernetesOptions): object[] {
  return [
    ...keys.map(({ name, isOptional }) => ({
      name,
      valueFrom: { secretKeyRef: { name: secret, key: name, ...(isOptional ? { optional: true } : {}) } },
    })),
    ...Object.entries(variables).map(([name, value]) => ({ name, value: unexpanded(value) })),
  ];
}

/** Kubernetes puts variables in place of `$(NAME)` in commands and values. */
function unexpanded(text: string): string {
  return text.replaceAll('$', '$$$$');
}

/** A name that DNS accepts, built from the run's. */
function jobName(runDir: string): string {
  const run = runDir.slice(runDir.lastIndexOf(sep) + 1);
  const plain = run.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const name = `reannotate-${plain}`.slice(0, LONGEST_NAME);
  return withoutTrailing(name, '-');
}

/** The nearest folder that holds all of some paths; the first one's own where they share none. */
export function commonFolder(paths: readonly string[]): string {
  const [first = sep, ...others] = paths;
  let folder = dirname(first);
  while (folder !== dirname(folder) && !others.every((path) => path.startsWith(`${folder}${sep}`)))
    folder = dirname(folder);
  return folder === dirname(folder) ? dirname(first) : folder;
}

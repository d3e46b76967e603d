import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const NAMESPACES = ['--pid', '--fork', '--kill-child', '--mount-proc', '--uts'];

/** False if this system does not permit namespaces. */
export const hasNamespaces = spawnSync('unshare', [...NAMESPACES, 'true']).status === 0;

export interface Pod {
  /** `unshare`, whose end is the program's. */
  child: ChildProcess;
  ended: Promise<{ code: number | null; stderr: string }>;
}

/**
 * The program as process 1 of its own pod, which no other pod can see.
 * @param hostName null for this machine's
 */
export function startPod(args: string[], env: Record<string, string>, hostName: string | null = null): Pod {
  const script = `${hostName === null ? '' : `hostname ${hostName}; `}exec "$@"`;
  const words = [...NAMESPACES, 'bash', '-c', script, 'bash', process.execPath, CLI, ...args];
  const child = spawn('unshare', words, { env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...env } });
  let stderr = '';
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.on('close', (code) => {
      resolve({ code, stderr });
    });
  });
  return { child, ended };
}

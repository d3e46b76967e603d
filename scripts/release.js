// What has to be true before a version is published: `node scripts/release.js v1.2.3`.
import { readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';

const tag = process.argv[2] ?? '';
const { name, version, repository } = JSON.parse(readFileSync('package.json', 'utf8'));
const changelog = readFileSync('CHANGELOG.md', 'utf8');
const dirty = execFileSync('git', ['status', '--porcelain'], { encoding: 'utf8' }).trim();

const problems = [
  tag === `v${version}` ? null : `The tag is ${tag || 'missing'}, and package.json says ${version}.`,
  changelog.includes(`## ${version}`) ? null : `CHANGELOG.md has no section “## ${version}”.`,
  dirty === '' ? null : `The checkout has changes:\n${dirty}`,
  // npm compares it with the workflow that asks for provenance.
  repository === undefined
    ? 'package.json names no repository, so npm cannot prove where the package was built.'
    : null,
].filter((problem) => problem !== null);

for (const problem of problems) process.stderr.write(`${problem}\n`);
if (problems.length === 0) process.stdout.write(`${name} ${version} can be published.\n`);
process.exitCode = problems.length === 0 ? 0 : 1;

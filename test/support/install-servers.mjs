/**
 * Before the tests: are the servers there that they start? On a Debian or Ubuntu where we are root (a container, a CI
 * machine) a missing one is installed; elsewhere this ends with the command to run. `TEST_INSTALL=0` installs nothing.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';

/** Program that the tests start, the Debian package that holds it, and the service that this package would enable. */
const SERVERS = [{ program: 'redis-server', debianPackage: 'redis-server', service: 'redis-server' }];

/** While it answers 101, package scripts start no services. */
const POLICY_FILE = '/usr/sbin/policy-rc.d';

function isOnPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function isDebian() {
  if (!existsSync('/etc/os-release')) return false;
  const ids = readFileSync('/etc/os-release', 'utf8').match(/^(?:ID|ID_LIKE)=.*$/gm) ?? [];
  return ids.some((line) => /\b(?:debian|ubuntu)\b/.test(line));
}

/** Why nothing can be installed here, or `undefined`. */
function obstacle() {
  if (process.env.TEST_INSTALL === '0') return 'TEST_INSTALL=0 forbids installing it';
  if (!isDebian() || !isOnPath('apt-get')) return 'it is installed by itself only on Debian and Ubuntu';
  if (process.getuid?.() !== 0) return 'only root can install it';
  return undefined;
}

function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // Somebody else may be installing: wait for the lock. Standard output goes to ours, so that a slow step shows.
  execFileSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=120', ...args], { env, stdio: 'inherit' });
}

/** The tests start servers of their own; one that runs from the next boot on is not what anybody asked for. */
function disable(service) {
  try {
    execFileSync('systemctl', ['disable', '--quiet', service], { stdio: 'ignore' });
  } catch {
    // No systemd here.
  }
}

function install(packages) {
  const ownPolicy = !existsSync(POLICY_FILE);
  if (ownPolicy) writeFileSync(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    aptGet('update');
    aptGet('install', '-y', '--no-install-recommends', ...packages);
  } finally {
    if (ownPolicy) rmSync(POLICY_FILE, { force: true });
  }
}

const missing = SERVERS.filter(({ program }) => !isOnPath(program));
if (missing.length > 0) {
  const programs = missing.map(({ program }) => program).join(' and ');
  const packages = missing.map(({ debianPackage }) => debianPackage);
  const byHand = isDebian()
    ? `sudo apt-get update && sudo apt-get install -y ${packages.join(' ')}`
    : process.platform === 'darwin'
      ? 'brew install redis'
      : `the package manager of your system, for example: dnf install redis`;
  const reason = obstacle();
  if (reason === undefined) {
    console.log(
      `The tests start a real ${programs}, which is missing: installing it with apt-get (TEST_INSTALL=0 forbids that).`,
    );
    try {
      install(packages);
      for (const { service } of missing) disable(service);
    } catch (error) {
      console.error(`apt-get failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const still = missing.filter(({ program }) => !isOnPath(program));
  if (still.length > 0) {
    console.error(
      `The tests start a real ${programs}, which is not on the PATH${reason === undefined ? '' : `, and ${reason}`}. Run:\n\n    ${byHand}\n`,
    );
    process.exitCode = 1;
  } else {
    console.log(`Installed: ${packages.join(', ')}.`);
  }
}

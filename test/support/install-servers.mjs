/**
 * Before the tests: are the servers there that they start? On a Debian or Ubuntu where we are root (a container, a CI
 * machine) a missing one is installed; elsewhere this ends with the command to run. `TEST_INSTALL=0` installs nothing.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';

/** Program that the tests start, the packages that hold it, and the service that Debian's would enable. */
const SERVERS = [
  {
    program: 'redis-server',
    debianPackage: 'redis-server',
    service: 'redis-server',
    brewPackage: 'redis',
    dnfPackage: 'redis',
  },
  {
    program: 'mariadbd',
    debianPackage: 'mariadb-server',
    service: 'mariadb',
    brewPackage: 'mariadb',
    dnfPackage: 'mariadb-server',
  },
  {
    program: 'rabbitmq-server',
    debianPackage: 'rabbitmq-server',
    service: 'rabbitmq-server',
    brewPackage: 'rabbitmq',
    dnfPackage: 'rabbitmq-server',
  },
  {
    program: 'nats-server',
    debianPackage: 'nats-server',
    service: 'nats-server',
    brewPackage: 'nats-server',
    dnfPackage: 'nats-server',
  },
];

/** Servers lie where not everybody's PATH leads; `mariadb-server.ts` looks there as well. */
const SERVER_DIRS = ['/usr/sbin', '/usr/local/sbin', '/usr/libexec'];

/** While it answers 101, package scripts start no services. */
const POLICY_FILE = '/usr/sbin/policy-rc.d';

function isThere(program) {
  return [...(process.env.PATH ?? '').split(delimiter), ...SERVER_DIRS].some((dir) => {
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
  if (process.env.TEST_INSTALL === '0') return 'TEST_INSTALL=0 forbids installing';
  if (!isDebian() || !isThere('apt-get')) return 'installing by itself works only on Debian and Ubuntu';
  if (process.getuid?.() !== 0) return 'only root can install';
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

const names = (servers) => {
  const programs = servers.map(({ program }) => program);
  const last = programs.pop();
  return programs.length === 0 ? last : `${programs.join(', ')} and ${last}`;
};
const areMissing = (servers) => (servers.length === 1 ? 'which is missing' : 'which are missing');

/** What to type, where it is not done here. */
function commandFor(servers) {
  const packages = (kind) => servers.map((server) => server[kind]).join(' ');
  if (isDebian()) return `sudo apt-get update && sudo apt-get install -y ${packages('debianPackage')}`;
  if (process.platform === 'darwin') return `brew install ${packages('brewPackage')}`;
  return `the package manager of your system, for example: dnf install ${packages('dnfPackage')}`;
}

const missing = SERVERS.filter(({ program }) => !isThere(program));
if (missing.length > 0) {
  const reason = obstacle();
  if (reason === undefined) {
    console.log(
      `The tests start ${names(missing)}, ${areMissing(missing)}: installing with apt-get (TEST_INSTALL=0 forbids that).`,
    );
    try {
      install(missing.map(({ debianPackage }) => debianPackage));
      for (const { service } of missing) disable(service);
    } catch (error) {
      console.error(`apt-get failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const still = missing.filter(({ program }) => !isThere(program));
  if (still.length > 0) {
    const because = reason === undefined ? '' : `; ${reason}`;
    console.error(
      `The tests start ${names(still)}, ${areMissing(still)}${because}. Run:\n\n    ${commandFor(still)}\n`,
    );
    process.exitCode = 1;
  } else {
    console.log(`Installed: ${missing.map(({ debianPackage }) => debianPackage).join(', ')}.`);
  }
}

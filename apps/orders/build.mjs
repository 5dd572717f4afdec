// Compiles the app for `npm start`, unless dist already holds what these very sources give. One build at a time: apps
// that are started at the same moment wait for the first one's.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const checkout = join(import.meta.dirname, '..', '..');
const out = join(checkout, 'dist', 'apps', 'orders');
const stamp = join(out, '.sources');
const lock = join(checkout, 'dist', '.orders-build');

await takeLock();
try {
  const sources = hashOfSources();
  if (read(stamp) !== sources) {
    console.log('0/6 Build: compiling, because there is no build of these sources yet');
    compile();
    writeFileSync(stamp, sources);
  }
} finally {
  rmSync(lock, { force: true });
}

function compile() {
  const nest = join(checkout, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
  const { status } = spawnSync(process.execPath, [nest, 'build', 'orders'], {
    cwd: checkout,
    stdio: 'inherit',
  });
  if (status !== 0) {
    rmSync(lock, { force: true });
    process.exit(status ?? 1);
  }
  // The library is compiled along with the app. By this file the app's `import 'nestjs-idempotent'` means that copy (Node
  // calls it self-reference), never what an older `npm run build` has left in libs/idempotency/dist.
  const self = {
    name: 'nestjs-idempotent',
    type: 'module',
    exports: { '.': './libs/idempotency/src/index.js', './*': './libs/idempotency/src/*/index.js' },
  };
  writeFileSync(join(out, 'package.json'), JSON.stringify(self));
}

function hashOfSources() {
  const hash = createHash('sha256');
  const folders = ['apps/orders', 'apps/payments', 'apps/shared', 'libs/idempotency/src'].map((name) =>
    join(checkout, name),
  );
  const files = ['package-lock.json', 'tsconfig.json', 'nest-cli.json'].map((name) => join(checkout, name));
  for (const file of [...folders.flatMap(filesBelow), ...files]) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((file) => !file.endsWith('.spec.ts') && statSync(file).isFile())
    .sort();
}

async function takeLock() {
  mkdirSync(join(checkout, 'dist'), { recursive: true });
  for (let told = false; ; told = true) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const holder = Number(read(lock));
    if (holder && !isAlive(holder)) rmSync(lock, { force: true });
    else if (holder && !told) console.log(`0/6 Build: waiting for process ${holder}, which is compiling`);
    await sleep(100);
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

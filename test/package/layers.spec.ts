import { ESLint } from 'eslint';
import { describe, expect, it } from '@jest/globals';

/** Lints a planted line as if it stood in that folder of the library, and answers the rules that refuse it. */
async function rulesBrokenBy(folder: string, line: string): Promise<string[]> {
  const planted = `libs/idempotency/src/${folder}/planted.ts`;
  const config = (await new ESLint().calculateConfigForFile(planted)) as { rules: Record<string, unknown> };
  // The planted file is in no tsconfig; the rules under test need no types.
  const untyped = ['no-restricted-imports', 'no-restricted-globals', 'no-restricted-syntax'];
  const off = Object.fromEntries(
    Object.keys(config.rules)
      .filter((rule) => !untyped.includes(rule))
      .map((rule) => [rule, 'off' as const]),
  );
  const only = new ESLint({
    overrideConfig: [{ languageOptions: { parserOptions: { project: false } }, rules: off }],
  });
  const [result] = await only.lintText(`${line}\n`, { filePath: planted });
  return (result?.messages ?? []).map((message) => message.ruleId ?? message.message);
}

describe('the layers', () => {
  it.each([
    ['core', `import { Injectable } from '@nestjs/common';`],
    ['core', `import { Observable } from 'rxjs';`],
    ['core', `import { createClient } from 'redis';`],
    ['core', `import { DataSource } from 'typeorm';`],
    ['core', `import type { ServerResponse } from 'node:http';`],
    ['core', `import { problemDetails } from '../http/problem-details.js';`],
    ['http', `import { Injectable } from '@nestjs/common';`],
    ['http', `import { Problems } from '../nest/problems.js';`],
    ['redis', `import { DataSource } from 'typeorm';`],
    ['redis', `import { Logger } from '@nestjs/common';`],
    ['typeorm', `import { Logger } from '@nestjs/common';`],
    ['typeorm', `import { Outbox } from '../outbox/outbox.js';`],
    ['typeorm/outbox', `import { Outbox } from '../../outbox/outbox.js';`],
    ['typeorm/transaction', `import { Logger } from '@nestjs/common';`],
    ['outbox', `import { ClientProxy } from '@nestjs/microservices';`],
    ['outbox', `import { problemDetails } from '../http/problem-details.js';`],
    ['nest', `import { Outbox } from '../outbox/outbox.js';`],
    ['nest', `import { redisStorage } from '../redis/index.js';`],
    ['nest', `import { createClient } from 'redis';`],
    ['testing', `import { Test } from '@nestjs/testing';`],
  ])('%s refuses %s', async (folder, line) => {
    expect(await rulesBrokenBy(folder, line)).toContain('no-restricted-imports');
  });

  it.each([
    [`export const now = Date.now();`, 'no-restricted-syntax'],
    [`export const now = new Date();`, 'no-restricted-syntax'],
    [`export const chance = Math.random();`, 'no-restricted-syntax'],
    [`import { randomUUID } from 'node:crypto'; export const id = randomUUID();`, 'no-restricted-syntax'],
    [`export const timer = setTimeout(() => {}, 1);`, 'no-restricted-globals'],
    [`export const start = performance.now();`, 'no-restricted-globals'],
  ])('core gets time and chance by injection alone: %s', async (line, rule) => {
    expect(await rulesBrokenBy('core', line)).toContain(rule);
  });

  it('allows what points inwards', async () => {
    expect(await rulesBrokenBy('redis', `import { durationMs } from '../core/duration.js';`)).toEqual([]);
    expect(await rulesBrokenBy('nest', `import { Run } from '../core/run.js';`)).toEqual([]);
    const inOutbox = `import { rowOf } from '../typeorm/outbox/row.js'; import { Injectable } from '@nestjs/common';`;
    expect(await rulesBrokenBy('outbox', inOutbox)).toEqual([]);
    const inTables = `import type { MessageRow } from '../outbox/outbox-table.js';`;
    expect(await rulesBrokenBy('typeorm/migrations', inTables)).toEqual([]);
    expect(await rulesBrokenBy('typeorm', inTables.replace('../', './'))).toEqual([]);
  });
});

import { createHash } from 'node:crypto';
import { CLAIM_LUA } from './claim.lua.js';
import { COMPLETE_LUA } from './complete.lua.js';
import { RELEASE_LUA } from './release.lua.js';
import { RENEW_LUA } from './renew.lua.js';
import { SAVE_STEP_LUA } from './save-step.lua.js';
import { VIEW_LUA } from './view.lua.js';

/** A script, and the name that Redis knows it by. */
export interface RedisScript {
  readonly source: string;
  readonly sha1: string;
}

export type ScriptName = 'claim' | 'renew' | 'complete' | 'release' | 'saveStep' | 'view';
export type RedisScripts = Readonly<Record<ScriptName, RedisScript>>;

export function redisScript(source: string): RedisScript {
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}

export const REDIS_SCRIPTS: RedisScripts = {
  claim: redisScript(CLAIM_LUA),
  renew: redisScript(RENEW_LUA),
  complete: redisScript(COMPLETE_LUA),
  release: redisScript(RELEASE_LUA),
  saveStep: redisScript(SAVE_STEP_LUA),
  view: redisScript(VIEW_LUA),
};

import { StartError } from './start-error.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Set to nothing counts as not set: that is how shells and compose files switch a variable off. */
export function readText(env: Environment, name: string): string | undefined {
  return env[name]?.trim() || undefined;
}

export function readPort(env: Environment, fallback: number): number {
  const value = readText(env, 'PORT') ?? String(fallback);
  if (!/^\d{1,5}$/.test(value) || Number(value) > 65_535) {
    throw new StartError(
      `PORT is '${value}'. It must be a whole number from 0 to 65535; 0 takes any free port.`,
    );
  }
  return Number(value);
}

export function readChoice<T extends string>(
  env: Environment,
  name: string,
  allowed: readonly T[],
  fallback: T,
): T {
  const value = readText(env, name) ?? fallback;
  const choice = allowed.find((each) => each === value);
  if (choice === undefined) {
    throw new StartError(
      `${name} is '${value}'. It must be one of ${allowed.join(', ')}; without it, ${fallback}.`,
    );
  }
  return choice;
}

export function readUrl(env: Environment, name: string, protocols: readonly string[]): string | undefined {
  const value = readText(env, name);
  if (value === undefined) return undefined;
  if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
    const starts = protocols.map((protocol) => `${protocol}//`).join(' or ');
    throw new StartError(
      `${name} is '${withoutPassword(value)}'. It must be a URL that starts with ${starts}.`,
    );
  }
  return value;
}

/** For messages: what stands between a user's colon and the last @ is nobody's business, also in what is hardly a URL. */
export function withoutPassword(url: string): string {
  return url.includes('//') ? url.replace(/(\/\/[^/:@]*):.*@/, '$1:…@') : url.replace(/.*@/, '…@');
}

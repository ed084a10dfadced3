/** The access and refresh tokens that were issued: the last 1000 of each kind. */
import { USER_ID } from "./channels.js";

/** Organization id of the emulator. */
export const ORGANIZATION_ID = "00DD0000000JVqzMAG";

/** An access token that was issued. */
export interface AccessToken {
  readonly accessToken: string;
  readonly username: string;
  readonly issuedAt: number;
}

const MAX_TOKENS = 1000;

/** Issues, finds and revokes tokens. */
export class TokenStore {
  readonly #lifetimeMs: number;
  readonly #now: () => number;
  readonly #access = new Map<string, AccessToken>();
  readonly #refresh = new Map<string, string>();
  readonly #revoked = new Map<string, true>();

  constructor(lifetimeMs: number, now: () => number) {
    this.#lifetimeMs = lifetimeMs;
    this.#now = now;
  }

  /** Issues a new access token, or registers the given one. */
  issue(username: string, accessToken = `${ORGANIZATION_ID.slice(0, 15)}!AQ${randomText(48)}`): AccessToken {
    const token = { accessToken, username, issuedAt: this.#now() };
    putBounded(this.#access, accessToken, token);
    return token;
  }

  /** Issues a new refresh token, or registers the given one. */
  issueRefresh(username: string, refreshToken = `5Aep861${randomText(40)}`): string {
    putBounded(this.#refresh, refreshToken, username);
    return refreshToken;
  }

  /** The valid token of an `Authorization` header, with any scheme. */
  find(authorization: string): AccessToken | undefined {
    const token = this.#access.get(authorization.replace(/^\S+\s+/, "").trim());
    return token && this.#now() - token.issuedAt < this.#lifetimeMs ? token : undefined;
  }

  /** The user of a refresh token; `fallback` for a token that was neither issued nor revoked here. */
  userOf(refreshToken: string, fallback?: string): string | undefined {
    return this.#refresh.get(refreshToken) ?? (this.#revoked.has(refreshToken) ? undefined : fallback);
  }

  /** Revokes a token of either kind. Returns whether it was valid. */
  revoke(token: string): boolean {
    const isKnown = this.#access.delete(token) || this.#refresh.delete(token);
    putBounded(this.#revoked, token, true);
    return isKnown;
  }

  /** Revokes all access tokens; refresh tokens stay. */
  revokeAccess(): void {
    this.#access.clear();
  }
}

/** Random letters, digits, dots and underscores: six bits each. */
export function randomText(length: number): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => alphabet[byte & 63]).join("");
}

/** The identity URL of a user. */
export function identityUrl(base: string): string {
  return `${base}/id/${ORGANIZATION_ID}/${USER_ID}`;
}

/** Sets an entry as the newest, and evicts the oldest beyond the limit. */
function putBounded<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_TOKENS) map.delete(map.keys().next().value!);
}

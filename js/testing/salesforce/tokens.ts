/** The access and refresh tokens that were given out. Only so many are kept; the oldest go first. */
import { USER_ID } from "./channels.js";

/** Organization of the emulator. */
export const ORGANIZATION_ID = "00DD0000000JVqzMAG";

/** An access token that was given out. */
export interface AccessToken {
  readonly accessToken: string;
  readonly username: string;
  readonly issuedAt: number;
}

const MAX_TOKENS = 1000;

/** What was given out and is still good. */
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

  /** A new access token, or the one that is asked for. */
  issue(username: string, accessToken = `${ORGANIZATION_ID.slice(0, 15)}!AQ${randomText(48)}`): AccessToken {
    const token = { accessToken, username, issuedAt: this.#now() };
    putBounded(this.#access, accessToken, token);
    return token;
  }

  /** A new refresh token of a user. */
  issueRefresh(username: string, refreshToken = `5Aep861${randomText(40)}`): string {
    putBounded(this.#refresh, refreshToken, username);
    return refreshToken;
  }

  /** The token of an `Authorization` header, whatever its scheme, if it is good. */
  find(authorization: string): AccessToken | undefined {
    const token = this.#access.get(authorization.replace(/^\S+\s+/, "").trim());
    return token && this.#now() - token.issuedAt < this.#lifetimeMs ? token : undefined;
  }

  /** The user of a refresh token; `stranger` is that of tokens which were neither given out nor revoked here. */
  userOf(refreshToken: string, stranger?: string): string | undefined {
    return this.#refresh.get(refreshToken) ?? (this.#revoked.has(refreshToken) ? undefined : stranger);
  }

  /** A token of either kind is good no more. Whether it was. */
  revoke(token: string): boolean {
    const isKnown = this.#access.delete(token) || this.#refresh.delete(token);
    putBounded(this.#revoked, token, true);
    return isKnown;
  }

  /** No access token is good any more; refresh tokens stay. */
  revokeAccess(): void {
    this.#access.clear();
  }
}

/** Letters and digits by chance, six bits each but for two characters of 64. */
export function randomText(length: number): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => letters[byte & 63]).join("");
}

/** Where a user is described. */
export function identityUrl(base: string): string {
  return `${base}/id/${ORGANIZATION_ID}/${USER_ID}`;
}

function putBounded<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_TOKENS) map.delete(map.keys().next().value!);
}

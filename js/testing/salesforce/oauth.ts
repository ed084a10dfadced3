/**
 * The OAuth endpoints of Salesforce: tokens for the four flows without a login page, with the errors of Salesforce.
 *
 * ```text
 *   POST /services/oauth2/token        grant_type = password | refresh_token | client_credentials | …:jwt-bearer
 *   POST /services/oauth2/revoke       token
 *   GET  /services/oauth2/userinfo     and /id/<organization>/<user>: the user of a token
 * ```
 *
 * Without accounts, any login with all fields of its flow succeeds. Secrets are compared and never recorded.
 */
import { readBody } from "../../systems/cloudevents/body.js";
import { mustBe } from "../../engine/messages.js";
import { USER_ID } from "./channels.js";
import { jsonResponse } from "./json.js";
import { ORGANIZATION_ID, type AccessToken, type TokenStore, identityUrl } from "./tokens.js";
import type { JsonWebKey } from "../../platform/web-types.js";
import { TextDecoder, TextEncoder } from "../../platform/text.js";

/** An account that may log in. A field that is left out is not checked. */
export interface SalesforceAccount {
  /** The user name. */
  username: string;
  /** The password. */
  password?: string;
  /** Must follow the password in a login. */
  securityToken?: string;
  /** Key of the connected app: `client_id`, and `iss` of a JWT. */
  consumerKey?: string;
  /** The consumer secret. */
  consumerSecret?: string;
  /** Valid until it is revoked, or used if refresh tokens rotate. */
  refreshToken?: string;
  /** Key that verifies the signature of a JWT: RSASSA-PKCS1-v1_5 with SHA-256, as JSON Web Key. */
  publicKey?: JsonWebKey;
}

/** A recorded token request. */
export interface SalesforceLogin {
  /** The `grant_type` of the login. */
  readonly grantType: string;
  /** The user name, if the login had one. */
  readonly username: string | undefined;
  /** The consumer key, if the login had one. */
  readonly consumerKey: string | undefined;
  /** The OAuth error code if it was refused, such as `invalid_grant`. */
  readonly error: string | undefined;
}

interface Grant {
  username: string;
  /** Only if refresh tokens rotate. */
  refreshToken?: string;
}

/** An error response of the token endpoint (RFC 6749, section 5.2). */
class OAuthError extends Error {
  readonly code: string;
  constructor(code: string, description: string) {
    super(description);
    this.code = code;
  }
}

const JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/** Salesforce allows three minutes; the rest is tolerance for clock differences. */
const MAX_ASSERTION_SECONDS = 5 * 60;
const AUDIENCES: readonly string[] = ["https://login.salesforce.com", "https://test.salesforce.com"];
/** The user of unknown tokens if no accounts are configured. */
const DEFAULT_USERNAME = "user@example.com";
const MAX_LOGINS = 1000;
const MAX_BODY_BYTES = 32 * 1024;

/** The endpoints below `/services/oauth2`. */
export class OAuthServer {
  readonly #accounts: readonly SalesforceAccount[] | undefined;
  readonly #rotates: boolean;
  readonly #tokens: TokenStore;
  readonly #now: () => number;
  readonly logins: SalesforceLogin[] = [];

  constructor(
    accounts: readonly SalesforceAccount[] | undefined,
    rotates: boolean,
    tokens: TokenStore,
    now: () => number,
  ) {
    this.#accounts = accounts?.map((account) => {
      if (typeof account?.username !== "string" || account.username === "")
        throw mustBe("username of an account", "a non-empty string", account?.username);
      return { ...account };
    });
    this.#rotates = rotates;
    this.#tokens = tokens;
    this.#now = now;
    for (const { username, refreshToken } of this.#accounts ?? [])
      if (refreshToken !== undefined) tokens.issueRefresh(username, refreshToken);
  }

  /** Answers requests below `/services/oauth2/` and `/id/`. `base` is the URL of the service as the caller used it. */
  async handle(request: Request, endpoint: string, base: string): Promise<Response> {
    if (endpoint === "userinfo" || endpoint === "id") return this.#userInfo(request, base);
    if (request.method !== "POST")
      return jsonResponse(
        405,
        { error: "invalid_request", error_description: "must use HTTP POST" },
        { allow: "POST" },
      );
    const form = await parseForm(request);
    if (endpoint === "revoke") {
      return this.#tokens.revoke(form.get("token") ?? "")
        ? new Response(null, { status: 200 })
        : jsonResponse(400, { error: "unsupported_token_type", error_description: "this token is not supported" });
    }
    return this.#token(form, request, base);
  }

  async #token(form: URLSearchParams, request: Request, base: string): Promise<Response> {
    const [basicKey, basicSecret] = parseBasicAuthorization(request.headers.get("authorization"));
    const grantType = form.get("grant_type") ?? "";
    const consumerKey = form.get("client_id") ?? basicKey;
    const attempt = { grantType, username: form.get("username") ?? undefined, consumerKey };
    try {
      const secret = form.get("client_secret") ?? basicSecret;
      const { username, refreshToken } = await this.#authenticate(form, consumerKey, secret, base);
      this.#recordLogin({ ...attempt, username, error: undefined });
      return jsonResponse(200, await tokenResponse(this.#tokens.issue(username), base, secret, refreshToken));
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error;
      this.#recordLogin({ ...attempt, error: error.code });
      return jsonResponse(400, { error: error.code, error_description: error.message });
    }
  }

  async #authenticate(
    form: URLSearchParams,
    consumerKey: string | undefined,
    secret: string | undefined,
    base: string,
  ): Promise<Grant> {
    const grantType = form.get("grant_type");
    if (!grantType) throw new OAuthError("invalid_request", "grant type is missing");
    if (grantType === JWT_GRANT) return { username: await this.#verifyAssertion(form.get("assertion") ?? "", base) };
    if (!["password", "refresh_token", "client_credentials"].includes(grantType))
      throw new OAuthError("unsupported_grant_type", "grant type not supported");

    const accounts = this.#accounts;
    const ofApp = accounts?.filter(
      (account) => account.consumerKey === undefined || account.consumerKey === consumerKey,
    );
    if (!consumerKey || ofApp?.length === 0) throw new OAuthError("invalid_client_id", "client identifier invalid");
    // A public client refreshes without a secret.
    const isPublic = grantType === "refresh_token" && secret === undefined;
    const known = isPublic
      ? ofApp
      : ofApp?.filter((account) => account.consumerSecret === undefined || account.consumerSecret === secret);
    if ((!secret && !isPublic) || known?.length === 0)
      throw new OAuthError("invalid_client", "invalid client credentials");

    if (grantType === "client_credentials") return { username: known?.[0]?.username ?? DEFAULT_USERNAME };
    if (grantType === "refresh_token") return this.#refresh(form.get("refresh_token") ?? "", known);
    const username = form.get("username") ?? "";
    const password = form.get("password") ?? "";
    const isGood = known
      ? known.some((account) => account.username === username && matchesPassword(account, password))
      : username !== "" && password !== "";
    if (!isGood) throw new OAuthError("invalid_grant", "authentication failure");
    return { username };
  }

  #refresh(refreshToken: string, known: readonly SalesforceAccount[] | undefined): Grant {
    const username =
      refreshToken === "" ? undefined : this.#tokens.userOf(refreshToken, known ? undefined : DEFAULT_USERNAME);
    if (username === undefined || (known && !known.some((account) => account.username === username)))
      throw new OAuthError("invalid_grant", "expired access/refresh token");
    if (!this.#rotates) return { username };
    this.#tokens.revoke(refreshToken);
    return { username, refreshToken: this.#tokens.issueRefresh(username) };
  }

  /** The user of a JWT assertion (RFC 7523). */
  async #verifyAssertion(assertion: string, base: string): Promise<string> {
    const invalid = new OAuthError("invalid_grant", "invalid assertion");
    const [head, body, signature, ...more] = assertion.split(".");
    if (!head || !body || !signature || more.length > 0) throw invalid;
    let claims: { iss?: unknown; sub?: unknown; aud?: unknown; exp?: unknown };
    try {
      if (JSON.parse(decodeUtf8(decodeBase64Url(head))).alg !== "RS256") throw invalid;
      claims = JSON.parse(decodeUtf8(decodeBase64Url(body)));
    } catch {
      throw invalid;
    }
    const seconds = this.#now() / 1000;
    if (typeof claims.exp !== "number" || claims.exp <= seconds || claims.exp > seconds + MAX_ASSERTION_SECONDS)
      throw invalid;
    if (![base, new URL(base).origin, ...AUDIENCES].includes(String(claims.aud)))
      throw new OAuthError("invalid_grant", "Audience validation failed");
    const known = this.#accounts?.filter(
      (account) => account.consumerKey === undefined || account.consumerKey === claims.iss,
    );
    if (typeof claims.iss !== "string" || known?.length === 0)
      throw new OAuthError("invalid_client_id", "client identifier invalid");
    const account = known?.find(({ username }) => username === claims.sub);
    if (typeof claims.sub !== "string" || (known && !account))
      throw new OAuthError("invalid_grant", "user hasn't approved this consumer");
    if (account?.publicKey && !(await hasValidSignature(account.publicKey, `${head}.${body}`, signature)))
      throw invalid;
    return claims.sub;
  }

  #userInfo(request: Request, base: string): Response {
    const token = this.#tokens.find(request.headers.get("authorization") ?? "");
    if (!token)
      return new Response("Bad_OAuth_Token", { status: 403, headers: { "content-type": "text/html;charset=UTF-8" } });
    return jsonResponse(200, {
      id: identityUrl(base),
      user_id: USER_ID,
      organization_id: ORGANIZATION_ID,
      username: token.username,
      preferred_username: token.username,
    });
  }

  #recordLogin(login: SalesforceLogin): void {
    this.logins.push(login);
    if (this.logins.length > MAX_LOGINS) this.logins.shift();
  }
}

function matchesPassword({ password, securityToken = "" }: SalesforceAccount, sent: string): boolean {
  return password === undefined || sent === password + securityToken;
}

async function tokenResponse(
  { accessToken, issuedAt }: AccessToken,
  base: string,
  secret: string | undefined,
  refreshToken: string | undefined,
): Promise<object> {
  const id = identityUrl(base);
  return {
    access_token: accessToken,
    ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    signature: await signature(secret, id + issuedAt),
    scope: "api refresh_token",
    instance_url: base,
    id,
    token_type: "Bearer",
    issued_at: String(issuedAt),
  };
}

/** HMAC-SHA256 in Base64. WebCrypto rejects an empty key, so a placeholder replaces it. */
async function signature(secret: string | undefined, text: string): Promise<string> {
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey(
    "raw",
    encoder.encode(secret || "none"),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["sign"],
  );
  return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text)))));
}

async function hasValidSignature(publicKey: JsonWebKey, text: string, signature: string): Promise<boolean> {
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("jwk", publicKey, algorithm, false, ["verify"]);
  try {
    return await crypto.subtle.verify(algorithm, key, decodeBase64Url(signature), new TextEncoder().encode(text));
  } catch {
    return false; // the signature is not valid Base64
  }
}

async function parseForm(request: Request): Promise<URLSearchParams> {
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(request.headers.get("content-type") ?? "");
  const body = decodeUtf8(await readBody(request, { maxBytes: MAX_BODY_BYTES }));
  return new URLSearchParams(isForm ? body : "");
}

/** Key and secret of an HTTP Basic header. */
function parseBasicAuthorization(authorization: string | null): (string | undefined)[] {
  const [, encoded] = /^basic\s+(\S+)$/i.exec(authorization ?? "") ?? [];
  if (encoded === undefined) return [];
  try {
    const [, key, secret] = /^([^:]*):(.*)$/s.exec(atob(encoded)) ?? [];
    return [key && decodeURIComponent(key), secret && decodeURIComponent(secret)];
  } catch {
    return [];
  }
}

function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}

function decodeUtf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

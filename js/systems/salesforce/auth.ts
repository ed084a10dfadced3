/** Ways to log in to Salesforce (OAuth 2.0). `src/salesforce/auth.rs` builds the requests and reads the responses. */
import { checkBareToken, checkedUrl, checkOptionNames } from "../../client/options.js";
import { HIDDEN, mustBe } from "../../engine/messages.js";
import type { CryptoKey } from "../../platform/web-types.js";

/** Where to log in. */
export interface LoginHost {
  /** Whether to log in at test.salesforce.com instead of login.salesforce.com. @default false */
  sandbox?: boolean;
  /**
   * Another host to log in at: My Domain, an Experience Cloud site, or a proxy. Either the URL of the host, or the
   * whole URL of the token endpoint, which ends in `/token`. @default the host that `sandbox` selects
   */
  loginUrl?: string | URL;
}

/** Options of `passwordAuth`. */
export interface PasswordOptions extends LoginHost {
  /** Consumer key of the connected app (`client_id`). */
  consumerKey: string;
  /** Consumer secret of the connected app (`client_secret`). */
  consumerSecret: string;
  /** The user name. */
  username: string;
  /** The password. */
  password: string;
  /** Appended to the password. Salesforce requires it from IP addresses that it does not trust. @default none */
  securityToken?: string;
}

/** Options of `refreshTokenAuth`. */
export interface RefreshTokenOptions extends LoginHost {
  /** Consumer key of the connected app (`client_id`). */
  consumerKey: string;
  /** Consumer secret of the connected app (`client_secret`). @default none, for public clients */
  consumerSecret?: string;
  /** The refresh token of an earlier login. */
  refreshToken: string;
  /**
   * Called with the new refresh token when Salesforce replaces it at a login. Store it: the old one no longer works.
   */
  onRefreshToken?(refreshToken: string): void;
}

/** Options of `clientCredentialsAuth`. */
export interface ClientCredentialsOptions extends LoginHost {
  /** Consumer key of the connected app (`client_id`). */
  consumerKey: string;
  /** Consumer secret of the connected app (`client_secret`). */
  consumerSecret: string;
  /** The URL of My Domain: login.salesforce.com and test.salesforce.com do not support this flow. */
  loginUrl: string | URL;
}

/** Options of `jwtBearerAuth`. */
export interface JwtBearerOptions extends LoginHost {
  /** Consumer key of the connected app (`iss`). */
  consumerKey: string;
  /** The user to log in as (`sub`). */
  username: string;
  /**
   * The RSA key whose certificate the connected app has: PKCS #8 in PEM, or a key that can sign with RSASSA-PKCS1-v1_5
   * and SHA-256.
   */
  privateKey: string | CryptoKey;
  /**
   * The claim `aud`. Set it for government clouds and for logins at a site.
   *
   * @default the host that `sandbox` selects
   */
  audience?: string;
}

/** Options of `sessionAuth`. */
export interface SessionOptions {
  /** The session id or access token. */
  accessToken: string;
  /** The URL of the instance that issued the token. */
  instanceUrl: string | URL;
}

/** Options of `tokenAuth`. */
export interface TokenOptions {
  /**
   * Returns an access token. Called before the first request, and with `renew` when Salesforce has refused the last
   * token, so that a cached one must not be returned again. If it throws, it is called again after a delay: a running
   * stream goes on, and `open` rejects after `connectionTimeoutMs`.
   */
  accessToken: (why: { readonly renew: boolean }) => string | Promise<string>;
  /** The URL of the instance that issues the tokens. */
  instanceUrl: string | URL;
}

/** Numbers of the flows, as in `src/wasm/config.rs`. */
const FLOWS = { password: 0, refreshToken: 1, clientCredentials: 2, jwtBearer: 3, session: 4, token: 5 } as const;

/** What a `SalesforceAuth` holds. Kept apart from the object, so that no log shows it. */
interface AuthDetails {
  /** Options of the engine, by the names of `STREAM_NUMBERS` and `STREAM_TEXTS`. */
  config: Record<string, unknown>;
  privateKey?: string | CryptoKey;
  accessToken?: TokenOptions["accessToken"];
  onRefreshToken?: ((refreshToken: string) => void) | undefined;
}

const detailsByAuth = new WeakMap<SalesforceAuth, AuthDetails>();

/** A way to log in. It shows no secrets when it is logged or serialized. */
export class SalesforceAuth {
  /** The OAuth flow. */
  readonly flow: keyof typeof FLOWS;

  /** @internal */
  constructor(flow: keyof typeof FLOWS, details: AuthDetails) {
    this.flow = flow;
    detailsByAuth.set(this, { ...details, config: { ...details.config, flow: FLOWS[flow] } });
    Object.freeze(this);
  }
}

/** @throws {FerryError} `ERR_INVALID_ARGUMENT` if `auth` is no `SalesforceAuth` */
export function detailsOf(auth: unknown): AuthDetails {
  const details = detailsByAuth.get(auth as SalesforceAuth);
  if (!details)
    throw mustBe(
      "auth",
      "the result of passwordAuth, refreshTokenAuth, clientCredentialsAuth, jwtBearerAuth, tokenAuth or sessionAuth",
      HIDDEN,
    );
  return details;
}

/** The options of a login with user name and password. */
export const PASSWORD_NAMES: readonly (keyof PasswordOptions)[] = [
  "consumerKey",
  "consumerSecret",
  "username",
  "password",
  "securityToken",
  "sandbox",
  "loginUrl",
];

/**
 * Logs in with user name and password. Salesforce discourages this flow, and many organizations block it.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function passwordAuth(options: PasswordOptions): SalesforceAuth {
  checkOptionNames("passwordAuth", options, PASSWORD_NAMES);
  checkStrings(options, ["consumerKey", "consumerSecret", "username", "password"], ["securityToken"]);
  const { consumerKey, consumerSecret, username, password, securityToken = "" } = options;
  return new SalesforceAuth("password", {
    config: { consumerKey, consumerSecret, username, token: password + securityToken, tokenUrl: tokenUrl(options) },
  });
}

/**
 * Logs in with the refresh token of an earlier login in a browser.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function refreshTokenAuth(options: RefreshTokenOptions): SalesforceAuth {
  checkOptionNames("refreshTokenAuth", options, [
    "consumerKey",
    "consumerSecret",
    "refreshToken",
    "onRefreshToken",
    "sandbox",
    "loginUrl",
  ]);
  checkStrings(options, ["consumerKey", "refreshToken"], ["consumerSecret"]);
  const { consumerKey, consumerSecret, refreshToken: token, onRefreshToken } = options;
  if (onRefreshToken !== undefined && typeof onRefreshToken !== "function")
    throw mustBe("onRefreshToken", "a function", HIDDEN);
  return new SalesforceAuth("refreshToken", {
    config: { consumerKey, consumerSecret, token, tokenUrl: tokenUrl(options) },
    onRefreshToken,
  });
}

/**
 * Logs in as the connected app, which runs as the user that is configured for it.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function clientCredentialsAuth(options: ClientCredentialsOptions): SalesforceAuth {
  checkOptionNames("clientCredentialsAuth", options, ["consumerKey", "consumerSecret", "loginUrl", "sandbox"]);
  checkStrings(options, ["consumerKey", "consumerSecret"], []);
  if (options.loginUrl === undefined)
    throw mustBe(
      "loginUrl",
      "the URL of My Domain",
      undefined,
      "login.salesforce.com and test.salesforce.com do not support this flow",
    );
  const { consumerKey, consumerSecret } = options;
  return new SalesforceAuth("clientCredentials", {
    config: { consumerKey, consumerSecret, tokenUrl: tokenUrl(options) },
  });
}

/**
 * Logs in with a signed JWT, without a password and without a person (RFC 7523). The crypto of the platform signs; the
 * key is not sent.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function jwtBearerAuth(options: JwtBearerOptions): SalesforceAuth {
  checkOptionNames("jwtBearerAuth", options, [
    "consumerKey",
    "username",
    "privateKey",
    "audience",
    "sandbox",
    "loginUrl",
  ]);
  checkStrings(options, ["consumerKey", "username"], ["audience"]);
  const { consumerKey, username, privateKey, audience, sandbox } = options;
  if (
    typeof privateKey === "string"
      ? !/-----BEGIN PRIVATE KEY-----/.test(privateKey)
      : (privateKey as CryptoKey | undefined)?.type !== "private"
  ) {
    throw mustBe(
      "privateKey",
      "an RSA key in PEM (PKCS #8, beginning with -----BEGIN PRIVATE KEY-----) or a private CryptoKey",
      HIDDEN,
    );
  }
  return new SalesforceAuth("jwtBearer", {
    config: { consumerKey, username, audience: audience ?? defaultLoginHost(sandbox), tokenUrl: tokenUrl(options) },
    privateKey,
  });
}

/**
 * Uses the access token of an existing session. When the session ends, the client ends with `ERR_UNAUTHORIZED`.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function sessionAuth(options: SessionOptions): SalesforceAuth {
  checkOptionNames("sessionAuth", options, ["accessToken", "instanceUrl"]);
  checkStrings(options, ["accessToken"], []);
  checkBareToken("accessToken", options.accessToken);
  return new SalesforceAuth("session", {
    config: { token: options.accessToken, instanceUrl: checkedUrl(options.instanceUrl, "instanceUrl") },
  });
}

/**
 * Uses access tokens that a function of yours returns: from the web server flow, PKCE, the device flow, the command line
 * of Salesforce, or the backend of a page.
 *
 * @example
 * const accessToken = async ({ renew }) => (await fetch(`/token?renew=${renew}`)).text();
 * const client = new SalesforceClient(tokenAuth({ accessToken, instanceUrl: "https://acme.my.salesforce.com" }));
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT`
 */
export function tokenAuth(options: TokenOptions): SalesforceAuth {
  checkOptionNames("tokenAuth", options, ["accessToken", "instanceUrl"]);
  const { accessToken } = options;
  if (typeof accessToken !== "function") throw mustBe("accessToken", "a function that returns a token", HIDDEN);
  return new SalesforceAuth("token", {
    config: { instanceUrl: checkedUrl(options.instanceUrl, "instanceUrl") },
    accessToken,
  });
}

/** Most of the values are secrets, so no message shows one. */
function checkStrings(options: object, required: readonly string[], optional: readonly string[]): void {
  const values = options as Record<string, unknown>;
  for (const name of [...required, ...optional]) {
    const isGood = typeof values[name] === "string" && values[name] !== "";
    if (!isGood && (required.includes(name) || values[name] !== undefined))
      throw mustBe(name, "a non-empty string", HIDDEN);
  }
  const { sandbox } = options as LoginHost;
  if (sandbox !== undefined && typeof sandbox !== "boolean") throw mustBe("sandbox", "a boolean", sandbox);
}

function defaultLoginHost(sandbox: boolean | undefined): string {
  return sandbox ? "https://test.salesforce.com" : "https://login.salesforce.com";
}

function tokenUrl({ loginUrl, sandbox }: LoginHost): string {
  const url = new URL(checkedUrl(loginUrl ?? defaultLoginHost(sandbox), "loginUrl"));
  if (url.pathname.endsWith("/token")) return url.href;
  return `${url.origin}${url.pathname.replace(/\/$/, "")}/services/oauth2/token`;
}

/**
 * Login through the proxy: the fields of the grant go to Salesforce and nothing else, the fields of a token come back,
 * with the proxy as the instance.
 */
import { FerryError, isFerryError } from "../../../engine/errors.js";
import { json, text } from "./answers.js";
import { textOf, type Upstream } from "./upstream.js";

/** The grants that can be let through. */
export const GRANTS: readonly string[] = [
  "password",
  "refresh_token",
  "authorization_code",
  "urn:ietf:params:oauth:grant-type:jwt-bearer",
  "client_credentials",
];

/** Which login is carried, and where to. */
export interface LoginRules {
  loginUrl: string;
  instanceUrl: string;
  grants: readonly string[];
  /** Fields that the proxy fills in. */
  fixed: Readonly<Record<string, string>>;
  maxRequestBytes: number;
}

const ASKED = [
  "grant_type",
  "client_id",
  "client_secret",
  "username",
  "password",
  "refresh_token",
  "assertion",
  "code",
  "redirect_uri",
  "code_verifier",
] as const;
const ANSWERED = [
  "access_token",
  "refresh_token",
  "token_type",
  "id",
  "issued_at",
  "signature",
  "scope",
  "error",
  "error_description",
] as const;
const MAX_ANSWER_BYTES = 64 * 1024;

/** The token endpoint. */
export class Login {
  readonly #upstream: Upstream;
  readonly #rules: LoginRules;

  constructor(upstream: Upstream, rules: LoginRules) {
    this.#upstream = upstream;
    this.#rules = rules;
  }

  /** Carries one request for a token. `page` is what the page has as its instance from then on. */
  async carry(request: Request, page: string, onError: (error: unknown) => void): Promise<Response> {
    const { loginUrl, instanceUrl, grants, fixed, maxRequestBytes } = this.#rules;
    if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers.get("content-type") ?? ""))
      return refusal(415, "invalid_request", "content-type must be application/x-www-form-urlencoded");
    let asked: URLSearchParams;
    try {
      asked = new URLSearchParams(await textOf(request, maxRequestBytes));
    } catch (error) {
      return isFerryError(error, "ERR_TOO_LARGE")
        ? refusal(413, "invalid_request", "the login is too large")
        : refusal(400, "invalid_request", "the login could not be read");
    }
    if (!grants.includes(asked.get("grant_type") ?? ""))
      return refusal(400, "unsupported_grant_type", "the proxy does not allow this grant type");
    const form = new URLSearchParams();
    for (const name of ASKED) {
      const value = fixed[name] ?? asked.get(name);
      if (value !== null) form.set(name, value);
    }
    const headers = { "content-type": "application/x-www-form-urlencoded", accept: "application/json" };
    try {
      const answer = await this.#upstream.post(`${loginUrl}/services/oauth2/token`, headers, String(form), {
        signal: request.signal,
      });
      const fields = fieldsOf(await textOf(answer, MAX_ANSWER_BYTES));
      const found: Record<string, unknown> = {};
      for (const name of ANSWERED) if (fields[name] !== undefined) found[name] = fields[name];
      if (fields["instance_url"] !== undefined) {
        // A token of another organization would be of no use here, and is nothing for this instance to see.
        if (String(fields["instance_url"]).replace(/\/+$/, "") !== instanceUrl)
          throw new FerryError("ERR_REJECTED", "the login returned a token of another instance than instanceUrl", {
            status: answer.status,
          });
        found["instance_url"] = page;
      }
      return json(answer.status, JSON.stringify(found), answer.headers.get("retry-after"));
    } catch (error) {
      onError(error);
      return isFerryError(error, "ERR_TIMEOUT")
        ? text(504, "Salesforce did not answer in time")
        : text(502, "the login could not be forwarded to Salesforce");
    }
  }
}

function fieldsOf(body: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // Of the body nothing is said: it may have a token in it.
    throw new FerryError("ERR_UNAVAILABLE", "Salesforce answered the login with something other than JSON");
  }
  if (typeof value !== "object" || value === null)
    throw new FerryError("ERR_UNAVAILABLE", "Salesforce answered the login with something other than an object");
  return value as Record<string, unknown>;
}

function refusal(status: number, error: string, error_description: string): Response {
  return json(status, JSON.stringify({ error, error_description }));
}

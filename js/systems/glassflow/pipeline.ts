/** One pipeline: where it is, who may use it, and how errors speak of it. The token is seen by nobody but the requests. */
import { type CallResponse, type Call, type Calls, responseOf } from "../../client/calls.js";
import { FerryError, type FerryErrorCode, sentenceOf } from "../../engine/errors.js";
import { type ClientOptions, checkClientOptions, checkedUrl, headerLines } from "../../client/options.js";
import { call, fullGlue } from "../../engine/instance.js";
import { formatValue, invalidArgument } from "../../engine/messages.js";

/** Which pipeline, and how to reach it. */
export interface PipelineOptions extends ClientOptions {
  /** @default the environment variable `PIPELINE_ID`, where there is an environment */
  pipelineId?: string;
  /**
   * The access token of the pipeline, or a function that gives it, asked before each request. A token in a page is public: let a function
   * fetch one that does not live long, or let a proxy of yours add it.
   *
   * @default the environment variable `PIPELINE_ACCESS_TOKEN`, where there is an environment
   */
  pipelineAccessToken?: string | (() => string | Promise<string>);
  /** Everything before `/pipelines`. @default "https://api.glassflow.dev/v1" */
  baseUrl?: string | URL;
}

/** Options of one call. */
export interface PipelineCallOptions {
  /** Ends the waiting for this call. */
  signal?: AbortSignal;
  /** How long each request may take. @default that of the client */
  timeoutMs?: number;
}

/** In the order of `src/wasm/glassflow.rs`. */
export const enum Endpoint {
  Publish,
  Consume,
  ConsumeFailed,
  Status,
}

export const TOKEN_HEADER = "x-pipeline-access-token";
const DEFAULT_BASE_URL = "https://api.glassflow.dev/v1";
const MAX_DETAIL = 200;

/** A pipeline whose options are good. */
export class Pipeline {
  readonly id: string;
  readonly #base: string;
  readonly #token: string | (() => string | Promise<string>);
  readonly #headers: ClientOptions["headers"];
  /** The token that was used last. */
  #used = "";

  /** @throws {FerryError} `ERR_INVALID_ARGUMENT` */
  constructor(what: string, options: PipelineOptions, names: readonly string[]) {
    checkClientOptions(what, options, ["pipelineId", "pipelineAccessToken", "baseUrl", ...names]);
    const {
      pipelineId = fromEnvironment("PIPELINE_ID"),
      pipelineAccessToken = fromEnvironment("PIPELINE_ACCESS_TOKEN"),
    } = options;
    if (pipelineId === undefined)
      throw invalidArgument("pipelineId is missing: give the option, or set PIPELINE_ID in the environment");
    if (typeof pipelineId !== "string") throw invalidArgument(`pipelineId is a text, not ${formatValue(pipelineId)}`);
    if (pipelineAccessToken === undefined)
      throw invalidArgument(
        "pipelineAccessToken is missing: give the option, or set PIPELINE_ACCESS_TOKEN in the environment",
      );
    if (typeof pipelineAccessToken !== "function") checkToken(pipelineAccessToken);
    const base = new URL(checkedUrl(options.baseUrl ?? DEFAULT_BASE_URL, "baseUrl"));
    if (base.search || base.hash)
      throw invalidArgument("baseUrl must not have a query or a fragment, because paths are put behind it");
    this.id = pipelineId;
    this.#base = base.href.replace(/\/+$/, "");
    this.#token = pipelineAccessToken;
    this.#headers = options.headers;
    if (this.url(Endpoint.Status) === "")
      throw invalidArgument(`pipelineId ${formatValue(pipelineId)} is none that a URL can carry`);
  }

  url(endpoint: Endpoint): string {
    const glue = fullGlue();
    return call(() => glue.glassflow_url(this.#base, this.id, endpoint));
  }

  /** The pipeline as the source of CloudEvents. */
  get uri(): string {
    return this.url(Endpoint.Status).slice(0, -"/status/access_token".length);
  }

  /** The token; at once, unless it has to be waited for. */
  token(): string | Promise<string> {
    if (typeof this.#token === "string") return (this.#used = this.#token);
    let given: string | Promise<string>;
    try {
      given = this.#token();
    } catch (cause) {
      throw noToken(cause);
    }
    const use = (token: string) => {
      checkToken(token);
      return (this.#used = token);
    };
    if (typeof (given as Promise<string> | undefined)?.then !== "function") return use(given as string);
    return Promise.resolve(given).then(use, (cause: unknown) => {
      throw noToken(cause);
    });
  }

  /** The headers of the user and the token, as lines; at once, unless something has to be waited for. */
  headers(): string | Promise<string> {
    const token = this.token();
    const lines = (token: string) => headerLines([this.#headers], { [TOKEN_HEADER]: token });
    return typeof token === "string" ? lines(token) : token.then(lines);
  }

  /** Makes a call with the token. Its error speaks of the pipeline. */
  async call(verb: string, calls: Calls, { headers, ...call }: Call): Promise<CallResponse> {
    const token = await this.token();
    try {
      return await calls.call({ ...call, headers: { ...headers, accept: "application/json", [TOKEN_HEADER]: token } });
    } catch (error) {
      if (!(error instanceof FerryError) || KEPT.includes(error.code)) throw error;
      const { code, status, cause } = error;
      throw this.problem(verb, code, { status, cause, body: responseOf(error)?.body });
    }
  }

  /** Whether the token is good. */
  async validateCredentials(calls: Calls, options: PipelineCallOptions): Promise<void> {
    await this.call("validate the access token of", calls, {
      method: "GET",
      url: this.url(Endpoint.Status),
      ...options,
    });
  }

  /** An error that says what was to be done, with which pipeline, and what came of it; without the token, even where the server repeats it. */
  problem(verb: string, code: FerryErrorCode, { status, cause, body, sentence }: Particulars): FerryError {
    const clean = body && this.#withoutToken(body);
    const said = detailOf(clean);
    const message =
      this.#message(verb, sentence ?? SENTENCES[status ?? 0] ?? sentenceOf(code), status) + (said && `: ${said}`);
    const isTelling = this.#used !== "" && String((cause as Error | undefined)?.message ?? cause).includes(this.#used);
    return new FerryError(code, message, { status, body: clean, ...(cause !== undefined && !isTelling && { cause }) });
  }

  /** An error that has in it, byte for byte, what was taken from the pipeline. Its message says nothing of that, because it is no answer but an event. */
  lost(verb: string, code: FerryErrorCode, sentence: string, { status, cause, body }: Particulars): FerryError {
    return new FerryError(code, this.#message(verb, sentence, status), {
      status,
      body,
      ...(cause !== undefined && { cause }),
    });
  }

  #message(verb: string, sentence: string, status: number | undefined): string {
    return `${verb} pipeline ${formatValue(this.id)} at ${this.#base}: ${sentence}${status ? ` (HTTP ${status})` : ""}`;
  }

  #withoutToken(body: Uint8Array): Uint8Array {
    const text = new TextDecoder().decode(body);
    return this.#used !== "" && text.includes(this.#used)
      ? new TextEncoder().encode(text.replaceAll(this.#used, "…"))
      : body;
  }
}

interface Particulars {
  status?: number | undefined;
  cause?: unknown;
  /** What the server said. */
  body?: Uint8Array | undefined;
  /** Instead of that of the code. */
  sentence?: string;
}

/** What these mean for a pipeline. */
const SENTENCES: Record<number, string> = {
  401: "the pipeline access token was refused",
  404: "there is no such pipeline",
};
/** Of these the message is as good as it can be. */
const KEPT: readonly FerryErrorCode[] = [
  "ERR_ABORTED",
  "ERR_CLOSED",
  "ERR_INVALID_ARGUMENT",
  "ERR_QUEUE_FULL",
  "ERR_INTERNAL",
  "ERR_NOT_INITIALIZED",
];

/** What a server said for people, on one line and not too long. `{ "detail": "…" }` is the form of the service. */
function detailOf(body: Uint8Array | undefined): string {
  if (!body) return "";
  const text = new TextDecoder().decode(body.subarray(0, 16 * 1024));
  let said: unknown;
  try {
    const { detail, msg } = JSON.parse(text) as { detail?: unknown; msg?: unknown };
    said = detail ?? msg;
  } catch {
    // Then as it is.
  }
  const line = (typeof said === "string" ? said : text).replace(/[\p{C}\s]+/gu, " ").trim();
  return line.length > MAX_DETAIL ? `${line.slice(0, MAX_DETAIL - 1)}…` : line;
}

/** Never shows it. */
function checkToken(token: unknown): void {
  if (typeof token !== "string")
    throw invalidArgument(
      `pipelineAccessToken is a text, or a function that gives one, not ${token === null ? "null" : `of the type ${typeof token}`}`,
    );
  if (token === "") throw invalidArgument("pipelineAccessToken is empty");
  if (!/^[\x21-\x7e\xa0-\xff](?:[\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa0-\xff])?$/.test(token)) {
    throw invalidArgument(
      "pipelineAccessToken has a line break, a space at an end or another character in it that a header cannot carry",
    );
  }
}

function noToken(cause: unknown): FerryError {
  if (cause instanceof FerryError) return cause;
  return new FerryError("ERR_NETWORK", "the function given as pipelineAccessToken failed, so no request was made", {
    cause,
    culprit: "caller",
  });
}

/** A variable of the environment. Browsers and some edge runtimes have none, and Deno asks for leave. */
function fromEnvironment(name: string): string | undefined {
  const { process, Deno } = globalThis as {
    process?: { env?: Record<string, string | undefined> };
    Deno?: { env?: { get(name: string): string | undefined } };
  };
  for (const read of [() => process?.env?.[name], () => Deno?.env?.get(name)]) {
    try {
      const value = read();
      if (typeof value === "string" && value !== "") return value;
    } catch {
      // No leave.
    }
  }
  return undefined;
}

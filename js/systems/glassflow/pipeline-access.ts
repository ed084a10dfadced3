/** One pipeline: its URLs, its token, and its errors. The token appears in the requests and nowhere else. */
import { glassflow } from "../../engine/modules/glassflow.js";
import { type Call, type CallResponse, type Calls, responseOf } from "../../client/calls.js";
import { type ClientOptions, headerLines } from "../../client/options.js";
import { FerryError, type FerryErrorCode, sentenceOf } from "../../engine/errors.js";
import { formatValue, mustBe } from "../../engine/messages.js";
import { detailOf } from "./response-detail.js";
import { TextDecoder, TextEncoder } from "../../platform/text.js";
import { type PipelineCallOptions, type PipelineOptions, checkPipelineOptions } from "./options.js";
import { resolveToken, type TokenOption } from "./token.js";

/** The endpoints, in the order of `src/wasm/glassflow.rs`. */
export const ENDPOINT = { publish: 0, consume: 1, consumeFailed: 2, status: 3 } as const;
export type Endpoint = (typeof ENDPOINT)[keyof typeof ENDPOINT];

export const TOKEN_HEADER = "x-pipeline-access-token";

/** A pipeline with checked options. */
export class PipelineAccess {
  readonly id: string;
  readonly #baseUrl: string;
  readonly #token: TokenOption;
  readonly #headers: ClientOptions["headers"];
  /** The token of the last request: a server may repeat it in a response. */
  #lastToken = "";

  /**
   * @param owner the client, for messages
   * @param names the options that the client has besides those of every pipeline
   * @throws {FerryError} `ERR_INVALID_ARGUMENT`
   */
  constructor(owner: string, options: PipelineOptions, names: readonly string[]) {
    const { id, token, baseUrl } = checkPipelineOptions(owner, options, names);
    this.id = id;
    this.#baseUrl = baseUrl;
    this.#token = token;
    this.#headers = options.headers;
    if (this.url(ENDPOINT.status) === "") throw mustBe("pipelineId", "usable in a URL path", id);
  }

  url(endpoint: Endpoint): string {
    const { glue } = glassflow;
    return glassflow.call(() => glue.glassflow_url(this.#baseUrl, this.id, endpoint));
  }

  /** The pipeline as the `source` of CloudEvents. */
  get uri(): string {
    return this.url(ENDPOINT.status).slice(0, -"/status/access_token".length);
  }

  /** The token, as a promise only if the user's function returns one. */
  token(): string | Promise<string> {
    const token = resolveToken("pipelineAccessToken", this.#token);
    return typeof token === "string" ? this.#use(token) : token.then((token) => this.#use(token));
  }

  /** The headers of the user and the token, as lines; as a promise only if one of them is a promise. */
  headers(): string | Promise<string> {
    const token = this.token();
    const toLines = (token: string) => headerLines([this.#headers], { [TOKEN_HEADER]: token });
    return typeof token === "string" ? toLines(token) : token.then(toLines);
  }

  /**
   * Makes a call with the token. The message of its error names the pipeline.
   *
   * @param read may take the response for something else than its status says
   */
  async call(
    action: string,
    calls: Calls,
    { headers, ...call }: Call,
    read: (response: Promise<CallResponse>) => Promise<CallResponse> = (response) => response,
  ): Promise<CallResponse> {
    const given = this.token();
    const token =
      typeof given === "string" ? given : await calls.withLimits("the function pipelineAccessToken", given, call);
    try {
      return await read(
        calls.call({ ...call, headers: { ...headers, accept: "application/json", [TOKEN_HEADER]: token } }),
      );
    } catch (error) {
      if (!(error instanceof FerryError) || UNCHANGED_CODES.includes(error.code)) throw error;
      const { code, status, cause } = error;
      throw this.requestError(action, code, { status, cause, body: responseOf(error)?.body });
    }
  }

  /** Checks that the pipeline exists and accepts the token. */
  async validateCredentials(calls: Calls, options: PipelineCallOptions): Promise<void> {
    await this.call("validate the access token of", calls, {
      method: "GET",
      url: this.url(ENDPOINT.status),
      ...options,
    });
  }

  /** The error of a failed request. The token is removed from the message and the body, should the server repeat it. */
  requestError(action: string, code: FerryErrorCode, { status, cause, body }: ErrorDetails): FerryError {
    const safeBody = body && this.#withoutToken(body);
    const detail = detailOf(safeBody);
    const message =
      this.#message(action, STATUS_SENTENCES[status ?? 0] ?? sentenceOf(code), status) + (detail && `: ${detail}`);
    const hasToken =
      this.#lastToken !== "" && String((cause as Error | undefined)?.message ?? cause).includes(this.#lastToken);
    return new FerryError(code, message, {
      status,
      body: safeBody,
      ...(cause !== undefined && !hasToken && { cause }),
    });
  }

  /** The error of a consumed event that cannot be returned. `body` is the response; the message shows none of it. */
  eventError(
    action: string,
    code: FerryErrorCode,
    sentence: string,
    { status, cause, body }: ErrorDetails,
  ): FerryError {
    return new FerryError(code, this.#message(action, sentence, status), {
      status,
      body,
      cause,
    });
  }

  #use(token: string): string {
    this.#lastToken = token;
    return token;
  }

  #message(action: string, sentence: string, status: number | undefined): string {
    const suffix = status ? ` (HTTP ${status})` : "";
    return `${action} pipeline ${formatValue(this.id)} at ${this.#baseUrl}: ${sentence}${suffix}`;
  }

  #withoutToken(body: Uint8Array): Uint8Array {
    const text = new TextDecoder().decode(body);
    return this.#lastToken !== "" && text.includes(this.#lastToken)
      ? new TextEncoder().encode(text.replaceAll(this.#lastToken, "…"))
      : body;
  }
}

interface ErrorDetails {
  status?: number | undefined;
  cause?: unknown;
  /** The body of the response. */
  body?: Uint8Array | undefined;
}

/** Sentences that replace the one of the error code. */
const STATUS_SENTENCES: Record<number, string> = {
  401: "the pipeline access token was refused",
  404: "there is no such pipeline",
};
/** Errors with these codes do not depend on the pipeline. */
const UNCHANGED_CODES: readonly FerryErrorCode[] = [
  "ERR_ABORTED",
  "ERR_CLOSED",
  "ERR_INVALID_ARGUMENT",
  "ERR_QUEUE_FULL",
  "ERR_INTERNAL",
  "ERR_NOT_INITIALIZED",
];

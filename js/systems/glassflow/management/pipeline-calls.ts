/** The calls to the management API about one pipeline, and its access tokens. */
import { FerryError } from "../../../engine/errors.js";
import { mustBe } from "../../../engine/messages.js";
import { AccessToken } from "./access-token.js";
import { quoted } from "./checks.js";
import type { ManagementCallOptions, ManagementConnection } from "./connection.js";
import type { Operation, WireAccessTokens } from "./operations.js";

const SENTENCES = {
  ERR_NOT_FOUND: "there is no such pipeline",
  ERR_NOT_READY: "the code of the pipeline is still being built; try again later",
};

export class PipelineCalls {
  readonly connection: ManagementConnection;
  accessTokens: readonly AccessToken[] = [];

  constructor(connection: ManagementConnection) {
    this.connection = connection;
  }

  /**
   * Makes one request about a pipeline.
   *
   * @param verb what it does, for its errors
   * @param secrets what no message may show, besides the access tokens
   */
  run<T>(
    verb: string,
    id: string,
    operation: Operation,
    options: ManagementCallOptions,
    secrets: readonly string[] = [],
  ): Promise<T> {
    const tokens = this.accessTokens.map(({ token }) => token);
    return this.connection.run<T>(
      { what: `${verb} pipeline ${quoted(id)}`, sentences: SENTENCES, secrets: [...tokens, ...secrets] },
      operation,
      options,
    );
  }

  async fetchAccessTokens(id: string, options: ManagementCallOptions): Promise<void> {
    const operation = { listAccessTokens: { id } };
    const { accessTokens } = await this.run<WireAccessTokens>("fetch the access tokens of", id, operation, options);
    this.accessTokens = accessTokens.map((fields) => new AccessToken(fields));
  }

  /** What a source or sink of the pipeline needs. The access tokens are fetched once, on first use. */
  async credentials(
    pipelineId: string,
    tokenName: string | undefined,
  ): Promise<{ pipelineId: string; pipelineAccessToken: string }> {
    if (tokenName !== undefined && typeof tokenName !== "string") throw mustBe("tokenName", "a string", tokenName);
    if (this.accessTokens.length === 0) await this.fetchAccessTokens(pipelineId, {});
    const tokens = this.accessTokens;
    if (tokens.length === 0)
      throw new FerryError("ERR_NOT_FOUND", `pipeline ${quoted(pipelineId)} has no access token`);
    const token = tokenName === undefined ? tokens[0] : tokens.find(({ name }) => name === tokenName);
    if (!token) {
      const names = tokens.map(({ name }) => quoted(name)).join(", ");
      throw mustBe("tokenName", `the name of an access token of the pipeline: ${names}`, tokenName);
    }
    return { pipelineId, pipelineAccessToken: token.token };
  }
}

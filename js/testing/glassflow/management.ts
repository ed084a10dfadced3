/**
 * The management API of the emulated GlassFlow service. It stores what it is told: connectors are not run, and the source
 * text of a transformation only with the option `compile`. Each resource has a file of its own, `management-….ts`.
 *
 * ```text
 *   /glassflow/v1/pipelines                                          GET, POST
 *   /glassflow/v1/pipelines/<id>                                     GET, PATCH, DELETE
 *   /glassflow/v1/pipelines/<id>/access_tokens                       GET
 *   /glassflow/v1/pipelines/<id>/functions/main                      PATCH
 *   /glassflow/v1/pipelines/<id>/functions/main/artifacts            POST, 425 while earlier code is built
 *   /glassflow/v1/pipelines/<id>/functions/main/artifacts/latest     GET, 425 while it is built
 *   /glassflow/v1/pipelines/<id>/functions/main/logs                 GET
 *   /glassflow/v1/pipelines/<id>/functions/main/test                 POST, 425 while it is built
 *   /glassflow/v1/spaces, /glassflow/v1/secrets                      GET, POST
 *   /glassflow/v1/spaces/<id>                                        DELETE, 409 unless it is empty
 *   /glassflow/v1/secrets/<key>                                      DELETE
 *
 *   401 wrong token, 404 unknown pipeline, space or secret, 400 bad body, 405 wrong method
 * ```
 */
import { type CodeOptions, PipelineCode } from "./management-code.js";
import { decodeSegment, json, type Route } from "./management-http.js";
import { findPipeline, ManagedPipelines, type Pipelines } from "./management-pipelines.js";
import { EmulatedSecrets } from "./management-secrets.js";
import { EmulatedSpaces } from "./management-spaces.js";
import { Refusal } from "./settings.js";

/** Options of the management API of the emulator. */
export interface ManagementEmulatorOptions extends CodeOptions {
  /** The valid personal access tokens. @default one fresh UUID */
  personalAccessTokens?: readonly string[];
}

export class EmulatedManagement {
  readonly tokens: string[];
  readonly spaces: EmulatedSpaces;
  readonly secrets: EmulatedSecrets;
  readonly #routes: readonly Route[];

  constructor(options: ManagementEmulatorOptions, pipelines: Pipelines) {
    this.tokens = [...(options.personalAccessTokens ?? [crypto.randomUUID()])];
    this.spaces = new EmulatedSpaces((id) => [...pipelines.all()].some(({ settings }) => settings.spaceId === id));
    this.secrets = new EmulatedSecrets();
    const code = new PipelineCode(options, (id) => findPipeline(pipelines, id));
    const managed = new ManagedPipelines({ pipelines, code, spaces: this.spaces.all, secrets: this.secrets.all });
    this.#routes = [managed, code, this.spaces, this.secrets].flatMap(({ routes }) => routes);
  }

  /** Answers a request. `path` begins after `/glassflow/v1`, and `undefined` means that it is none of this API. */
  async handle(request: Request, path: string, query: URLSearchParams): Promise<Response | undefined> {
    const route = this.#routes.find(({ pattern }) => pattern.test(path));
    if (!route) return undefined;
    try {
      const token = request.headers.get("personal-access-token");
      if (token === null || !this.tokens.includes(token)) throw new Refusal(401, "unauthorized");
      const action = route.methods[request.method];
      const allow = Object.keys(route.methods).join(", ");
      if (!action) return json(405, { detail: `method not allowed; use ${allow}` }, { allow });
      const [, subject = ""] = route.pattern.exec(path)!;
      const { status, body } = await action(decodeSegment(subject), request, query);
      return body === undefined ? new Response(null, { status }) : json(status, body);
    } catch (error) {
      if (error instanceof Refusal) return json(error.status, { detail: error.detail });
      throw error;
    }
  }
}

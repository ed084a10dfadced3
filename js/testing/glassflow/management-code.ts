/**
 * The code of pipelines in the emulated management API. New code is built for a while, in which its pipeline answers 425.
 */
import { monotonicNow } from "../../platform/clock.js";
import { integer } from "../service.js";
import { type Answer, formOf, ok, parsed, type Route, textOf } from "./management-http.js";
import type { EmulatedPipeline, Transformation } from "./pipeline.js";
import { Refusal } from "./settings.js";

/** Options of the code of pipelines. */
export interface CodeOptions {
  /** How long new code is built after an upload, in milliseconds: 425 until then. @default 0 */
  buildMs?: number;
  /** Makes a transformation from the source text of one, which is Python. @default returns events unchanged */
  compile?: (code: string, requirements: string) => Transformation;
}

export class PipelineCode {
  readonly routes: readonly Route[] = [
    {
      pattern: /^\/pipelines\/([^/]+)\/functions\/main\/artifacts$/,
      methods: { POST: (id, request) => this.#upload(id, request) },
    },
    {
      pattern: /^\/pipelines\/([^/]+)\/functions\/main\/artifacts\/latest$/,
      methods: { GET: (id) => this.#fetch(id) },
    },
    {
      pattern: /^\/pipelines\/([^/]+)\/functions\/main\/test$/,
      methods: { POST: (id, request) => this.#test(id, request) },
    },
  ];
  readonly #find: (id: string) => EmulatedPipeline;
  readonly #buildMs: number;
  readonly #compile: CodeOptions["compile"];
  readonly #builtAt = new WeakMap<EmulatedPipeline, number>();

  /** @param find the pipeline with an id; throws a `Refusal` if there is none */
  constructor({ buildMs, compile }: CodeOptions, find: (id: string) => EmulatedPipeline) {
    this.#buildMs = integer("buildMs", buildMs, 0, 0);
    this.#compile = compile;
    this.#find = find;
  }

  /** Builds the code of a pipeline, which takes the time of `buildMs`. */
  build(pipeline: EmulatedPipeline): void {
    this.#builtAt.set(pipeline, monotonicNow() + this.#buildMs);
    const { transformation, requirements } = pipeline.settings;
    if (this.#compile) pipeline.transform = this.#compile(transformation, requirements);
  }

  #fetch(id: string): Answer {
    const { transformation, requirements } = this.#built(id).settings;
    return ok({ transformation_function: transformation, requirements_txt: requirements });
  }

  async #upload(id: string, request: Request): Promise<Answer> {
    const pipeline = this.#built(id);
    const form = await formOf(request);
    const [file, requirements] = [form.get("file"), form.get("requirementsTxt")];
    if (file === null) throw new Refusal(400, "the form has no file");
    pipeline.settings.transformation = typeof file === "string" ? file : await file.text();
    if (typeof requirements === "string") pipeline.settings.requirements = requirements;
    this.build(pipeline);
    return { status: 201, body: {} };
  }

  async #test(id: string, request: Request): Promise<Answer> {
    const pipeline = this.#built(id);
    const text = await textOf(request);
    parsed(text);
    return { status: 200, body: await pipeline.test(text) };
  }

  /** The pipeline, if its code is built. */
  #built(id: string): EmulatedPipeline {
    const pipeline = this.#find(id);
    if (monotonicNow() < (this.#builtAt.get(pipeline) ?? -Infinity))
      throw new Refusal(425, "the artifact is still in process");
    return pipeline;
  }
}

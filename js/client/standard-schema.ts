/** Standard Schema (https://standardschema.dev): what zod, valibot, arktype and others have in common. */

/** One mistake in a value, as a Standard Schema reports it. */
export interface SchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where it is wrong; without it, the whole value. */
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
}

/** The result of a Standard Schema. */
export type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: ReadonlyArray<SchemaIssue> };

/** Version 1 of the interface of zod, valibot, arktype and others. */
export interface StandardSchema<T = unknown> {
  /** The interface of the specification. */
  readonly "~standard": {
    /** The version of the interface. */
    readonly version: 1;
    /** The name of the library. */
    readonly vendor: string;
    /** Validates a value. */
    readonly validate: (value: unknown) => SchemaResult<T> | Promise<SchemaResult<T>>;
    /** Carries the types of input and output; it has no value at run time. */
    readonly types?: unknown;
  };
}

/** The `~standard` member. The types of arktype are functions that have one. */
export function standardSchemaOf(schema: unknown): StandardSchema["~standard"] | undefined {
  const standard = (schema as StandardSchema | null | undefined)?.["~standard"];
  return typeof standard?.validate === "function" ? standard : undefined;
}

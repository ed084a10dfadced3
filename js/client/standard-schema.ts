/** Standard Schema (https://standardschema.dev): what zod, valibot, arktype and others have in common. */

/** One mistake in a value, as a Standard Schema reports it. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
}

/** The result of a Standard Schema. */
export type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: ReadonlyArray<SchemaIssue> };

/** Version 1 of the interface of zod, valibot, arktype and others. */
export interface StandardSchema<T = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<T> | Promise<SchemaResult<T>>;
    readonly types?: unknown;
  };
}

/** The `~standard` member. The types of arktype are functions that have one. */
export function standardSchemaOf(schema: unknown): StandardSchema["~standard"] | undefined {
  const standard = (schema as StandardSchema | null | undefined)?.["~standard"];
  return typeof standard?.validate === "function" ? standard : undefined;
}

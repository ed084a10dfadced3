/** Topics as users define them, and the types that TypeScript derives from topics that are a constant. */
import type { EventReceipt } from "../../outbox/session.js";

/** One topic, with the member names of the original. `Description` becomes that of the `Topic`; others are ignored. */
export interface TopicDefinition {
  /** One capitalized word: `Created`. */
  readonly Action: string;
  /** Capitalized words: `PolicyHolder`. */
  readonly Entity: string;
  /** One lower-case word. @default `DefaultCategory` */
  readonly Category?: string;
  /** JSON Schema of the data: Draft 4, unless `$schema` names 6, 7, 2019-09 or 2020-12. `format` is not checked. */
  readonly Schema: object;
  readonly [more: string]: unknown;
}

/** All topics of an application: the contents of a topic file of the original. */
export interface TopicDefinitions {
  /** The category of topics and calls that name none. */
  readonly DefaultCategory?: string;
  /** The topics. */
  readonly Topics: readonly TopicDefinition[];
  readonly [more: string]: unknown;
}

/** The option `topics`: definitions, or their YAML text. */
export type TopicSource = TopicDefinitions | string;

/** The data that a JSON Schema allows, as far as TypeScript can express it. */
export type DataOf<S> = S extends { readonly const: infer V }
  ? V
  : S extends { readonly enum: readonly (infer V)[] }
    ? V
    : S extends { readonly anyOf: readonly (infer A)[] } | { readonly oneOf: readonly (infer A)[] }
      ? DataOf<A>
      : S extends { readonly type: readonly (infer Name)[] }
        ? Name extends string
          ? DataOf<Omit<S, "type"> & { readonly type: Name }>
          : unknown
        : S extends { readonly type: infer Name extends keyof PrimitiveTypes }
          ? PrimitiveTypes[Name]
          : S extends { readonly type: "array" }
            ? readonly (S extends { readonly items: infer I } ? DataOf<I> : unknown)[]
            : S extends { readonly type: "object" } | { readonly properties: object }
              ? ObjectOf<S>
              : unknown;

interface PrimitiveTypes {
  string: string;
  number: number;
  integer: number;
  boolean: boolean;
  null: null;
}

type ObjectOf<S> = S extends { readonly properties: infer P }
  ? Flatten<
      { -readonly [K in keyof P as K extends RequiredOf<S> ? K : never]: DataOf<P[K]> } & {
        -readonly [K in keyof P as K extends RequiredOf<S> ? never : K]?: DataOf<P[K]>;
      }
    >
  : object;
type RequiredOf<S> = S extends { readonly required: readonly (infer Name)[] } ? Name : never;
type Flatten<T> = { [K in keyof T]: T[K] } & {};

/** The union of the topics of a constant. */
export type TopicOf<T> = T extends { readonly Topics: readonly (infer U)[] } ? U : never;

/** The data of a topic: what its schema allows, or any object. */
type EventData<U> = U extends { readonly Schema: infer S } ? (unknown extends DataOf<S> ? object : DataOf<S>) : object;

/** The parameter of `publish`. */
export type PublishOf<T> = IsConstant<T> extends true ? PublishOneOf<TopicOf<T>> : AnyPublish;
type PublishOneOf<U> = U extends { readonly Action: infer A; readonly Entity: infer E }
  ? { action: A; entity: E; data: EventData<U>; category?: string | null | undefined }
  : never;

interface AnyPublish {
  action: string;
  entity: string;
  data: object;
  category?: string | null | undefined;
}

/** `true` if TypeScript knows the names of the topics. */
export type IsConstant<T> = T extends { readonly Topics: readonly { readonly Action: infer A extends string }[] }
  ? string extends A
    ? false
    : true
  : false;

/** The magic calls of topics that are a constant. Only topics of the default category have calls. */
export type MagicCalls<T> = {
  readonly [U in TopicOf<T> as U extends { readonly Category: infer C }
    ? C extends DefaultCategoryOf<T>
      ? MethodNames<U>
      : never
    : MethodNames<U>]: (data: EventData<U>) => EventReceipt;
};

type DefaultCategoryOf<T> = T extends { readonly DefaultCategory: infer C } ? C : never;
type MethodNames<U> = U extends { readonly Action: infer A extends string; readonly Entity: infer E extends string }
  ?
      | `${Uncapitalize<A>}${E}`
      | `${Uncapitalize<E>}${A}`
      | `${Lowercase<A>}_${SnakeCase<E>}`
      | `${SnakeCase<E>}_${Lowercase<A>}`
  : never;
/** `PolicyHolder` as `policy_holder`. */
type SnakeCase<E extends string> =
  Uncapitalize<E> extends `${infer First}${infer Remainder}` ? `${First}${SnakeCaseTail<Remainder>}` : "";
type SnakeCaseTail<E extends string> = E extends `${infer First}${infer Remainder}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${SnakeCaseTail<Remainder>}`
  : "";

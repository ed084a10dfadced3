/** The connectors of a pipeline: their kinds, their members, and their form on the wire. No message shows a value. */
import { formatValue, HIDDEN, invalidArgument, mustBe, unknownOption } from "../../../engine/messages.js";
import type { WireConnector } from "./operations.js";

/** A secret of the organization, in place of a value. */
export interface SecretReference {
  /** The key of the secret. */
  secret: string;
}

/** A text, or a secret of the organization. */
export type ConnectorValue = string | SecretReference;

/** A header that a connector sends. */
export interface ConnectorHeader<V = string> {
  /** The name of the header. */
  name: string;
  /** The value of the header. */
  value: V;
}

/** Where the events of a pipeline come from. Without one, a `PipelineDataSource` publishes them. */
export type SourceConnector =
  | {
      /** A subscription of Google Pub/Sub. */
      kind: "google_pubsub";
      /** Its members, by their names at GlassFlow. */
      config: Members<"project_id" | "subscription_id" | "credentials_json">;
    }
  | {
      /** A queue of Amazon SQS. */
      kind: "amazon_sqs";
      /** Its members, by their names at GlassFlow. */
      config: Members<"queue_url" | "aws_region" | "aws_access_key" | "aws_secret_key">;
    }
  | {
      /** The changes of a PostgreSQL database. */
      kind: "postgres";
      /** Its members, by their names at GlassFlow. */
      config: Members<
        "db_host" | "db_user" | "db_pass" | "db_name" | "replication_slot",
        "db_port" | "db_sslmode" | "publication" | "replication_output_plugin_name"
      > & {
        /** The arguments of the plugin. */
        replication_output_plugin_args?: readonly string[];
      };
    };

/** Where the events of a pipeline go to. Without one, a `PipelineDataSink` consumes them. */
export type SinkConnector =
  | {
      /** An HTTP endpoint. */
      kind: "webhook";
      /** Its members, by their names at GlassFlow. */
      config: {
        /** Where the events are sent. */
        url: ConnectorValue;
        /** The method of the requests. */
        method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
        /** The headers of the requests. */
        headers: readonly ConnectorHeader[];
      };
    }
  | {
      /** A table of ClickHouse. */
      kind: "clickhouse";
      /** Its members, by their names at GlassFlow. */
      config: Members<"addr" | "database" | "username" | "password" | "table">;
    }
  | {
      /** A bucket of Amazon S3. */
      kind: "amazon_s3";
      /** Its members, by their names at GlassFlow. */
      config: Members<"s3_bucket" | "s3_key" | "aws_region" | "aws_access_key" | "aws_secret_key">;
    }
  | {
      /** Change data capture into Snowflake. */
      kind: "snowflake_cdc_json";
      /** Its members, by their names at GlassFlow. */
      config: Members<
        "account" | "warehouse" | "db_user" | "db_pass" | "db_name" | "db_schema",
        "db_host" | "db_port" | "db_role"
      >;
    }
  | {
      /** An index of Pinecone. */
      kind: "pinecone_json";
      /** Its members, by their names at GlassFlow. */
      config: Members<"api_key" | "api_host" | "index_host", "api_source_tag"> & {
        /** The headers of the requests to Pinecone. */
        client_headers?: readonly ConnectorHeader<ConnectorValue>[];
      };
    }
  | {
      /** A database of MongoDB. */
      kind: "mongodb_json";
      /** Its members, by their names at GlassFlow. */
      config: Members<"connection_uri" | "db_name">;
    };

type Members<Required extends string, Optional extends string = never> = Record<Required, ConnectorValue> &
  Partial<Record<Optional, ConnectorValue>>;

type Role = "source" | "sink";

/** A connector as the service describes it. */
export interface ConnectorDescription {
  /** The kind, for example `webhook`. */
  kind: string;
  /** The members; one that is a secret of the organization is `{ secret: key }`. */
  config: Readonly<Record<string, unknown>>;
}

/** The members of a kind. An optional one has its default, or `undefined` for none. */
interface Kind {
  required: readonly string[];
  optional?: Readonly<Record<string, string | undefined>>;
}

const AWS = ["aws_region", "aws_access_key", "aws_secret_key"];

const KINDS: Record<Role, Readonly<Record<string, Kind>>> = {
  source: {
    google_pubsub: { required: ["project_id", "subscription_id", "credentials_json"] },
    amazon_sqs: { required: ["queue_url", ...AWS] },
    postgres: {
      required: ["db_host", "db_user", "db_pass", "db_name", "replication_slot"],
      optional: {
        db_port: "5432",
        db_sslmode: undefined,
        publication: undefined,
        replication_output_plugin_name: "wal2json",
        replication_output_plugin_args: undefined,
      },
    },
  },
  sink: {
    webhook: { required: ["url", "method", "headers"] },
    clickhouse: { required: ["addr", "database", "username", "password", "table"] },
    amazon_s3: { required: ["s3_bucket", "s3_key", ...AWS] },
    snowflake_cdc_json: {
      required: ["account", "warehouse", "db_user", "db_pass", "db_name", "db_schema"],
      optional: { db_host: undefined, db_port: "443", db_role: undefined },
    },
    pinecone_json: {
      required: ["api_key", "api_host", "index_host"],
      optional: { api_source_tag: undefined, client_headers: undefined },
    },
    mongodb_json: { required: ["connection_uri", "db_name"] },
  },
};

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const HEADER_MEMBERS = ["headers", "client_headers"];
const LIST_MEMBER = "replication_output_plugin_args";

/**
 * Checks a connector and brings it into its form on the wire: `config` with texts, or `configuration` if it has a
 * secret of the organization.
 *
 * @throws {FerryError} `ERR_INVALID_ARGUMENT` that names the member
 */
export function connectorToWire(role: Role, connector: unknown): WireConnector {
  if (!isObject(connector)) throw mustBe(role, "an object { kind, config }", HIDDEN);
  for (const name of Object.keys(connector))
    if (name !== "kind" && name !== "config") throw unknownOption(role, name, ["kind", "config"]);
  const { kind: name, config } = connector;
  const kind = typeof name === "string" && Object.hasOwn(KINDS[role], name) ? KINDS[role][name] : undefined;
  if (!kind) throw mustBe(`${role}.kind`, `one of ${Object.keys(KINDS[role]).join(", ")}`, name);
  const { required, optional = {} } = kind;
  if (!isObject(config) || Object.keys(config).length === 0)
    throw mustBe(`${role}.config`, `an object with ${required.join(", ")}`, HIDDEN, "a connector needs its config");
  const known = [...required, ...Object.keys(optional)];
  for (const name of Object.keys(config)) if (!known.includes(name)) throw unknownOption(`${role}.config`, name, known);
  const members: Record<string, unknown> = {};
  for (const name of known) {
    const value = config[name] ?? optional[name];
    if (value !== undefined || required.includes(name)) members[name] = checkedMember(`${role}.config`, name, value);
  }
  const hasSecret = Object.values(members).some(
    (value) =>
      isSecretReference(value) || (Array.isArray(value) && value.some((item) => isSecretReference(item?.value))),
  );
  if (!hasSecret) return { kind: name as string, config: members };
  const configuration = Object.fromEntries(
    Object.entries(members).map(([member, value]) => [member, settingOf(member, value)]),
  );
  return { kind: name as string, configuration };
}

/** A connector as the service describes it. A kind that this package does not know is returned as it is. */
export function connectorFromWire(wire: WireConnector): ConnectorDescription {
  const { kind, config, configuration } = wire;
  const members = Object.entries(configuration ?? config ?? {}).map(([name, value]) => [name, publicValue(value)]);
  return { kind, config: Object.fromEntries(members) };
}

/** The texts of a connector on the wire, all of which may be secrets. */
export function secretsOf(connector: WireConnector | undefined): string[] {
  return Object.values(connector?.config ?? connector?.configuration ?? {}).flatMap((value) =>
    [value].flat().flatMap((item) => {
      const text = isObject(item) ? item["value"] : item;
      return typeof text === "string" ? [text] : [];
    }),
  );
}

function checkedMember(owner: string, name: string, value: unknown): unknown {
  const path = `${owner}.${name}`;
  if (name === LIST_MEMBER) {
    if (!Array.isArray(value) || value.some((item) => typeof item !== "string"))
      throw mustBe(path, "an array of strings", HIDDEN);
    return [...value];
  }
  if (HEADER_MEMBERS.includes(name)) {
    if (!Array.isArray(value)) throw mustBe(path, "an array of { name, value }", HIDDEN);
    return value.map((header: unknown, at) => {
      if (!isObject(header)) throw mustBe(`${path}[${at}]`, "an object { name, value }", HIDDEN);
      const { name: header_name, value } = header;
      if (typeof header_name !== "string") throw mustBe(`${path}[${at}].name`, "a string", header_name);
      if (name === "headers" && typeof value !== "string") throw mustBe(`${path}[${at}].value`, "a string", HIDDEN);
      return { name: header_name, value: checkedValue(`${path}[${at}].value`, value) };
    });
  }
  if (name === "method" && !METHODS.includes(value as string)) throw mustBe(path, METHODS.join(", "), value);
  return checkedValue(path, value);
}

function checkedValue(path: string, value: unknown): ConnectorValue {
  if (typeof value === "string") return value;
  if (isSecretReference(value)) return { secret: value.secret };
  const type =
    value === undefined ? "it is missing" : `received a value of type ${value === null ? "null" : typeof value}`;
  throw invalidArgument(`${path} must be a string or { secret: ${formatValue("KEY")} }; ${type}`);
}

function settingOf(member: string, value: unknown): unknown {
  if (member === "headers" || member === LIST_MEMBER) return value;
  if (Array.isArray(value))
    return value.map(({ name, value }: ConnectorHeader<ConnectorValue>) => ({ name, value: settingOf("", value) }));
  return isSecretReference(value) ? { secret_ref: { type: "organization", key: value.secret } } : { value };
}

function publicValue(setting: unknown): unknown {
  if (Array.isArray(setting))
    return setting.map((item: unknown) =>
      isObject(item) && "name" in item ? { name: item["name"], value: publicValue(item["value"]) } : item,
    );
  if (!isObject(setting)) return setting;
  const { secret_ref: reference, value } = setting;
  return isObject(reference) ? { secret: reference["key"] } : value;
}

function isSecretReference(value: unknown): value is SecretReference {
  return isObject(value) && typeof value["secret"] === "string";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

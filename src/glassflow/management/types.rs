//! The objects of the management API. On the wire their members have names in snake case; towards JavaScript, in camel
//! case. `V` is a JSON value that is passed on unread: what a server sends is not walked through, because it may be
//! nested deeply. They have no `Debug`, because many have secrets.

#![allow(
    missing_docs,
    reason = "the names are those of the API, and js/systems/glassflow/management documents them"
)]

use serde::{Deserialize, Serialize};

/// An environment variable.
#[derive(Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub value: String,
}

/// A pipeline to create. The connectors are `null` without one, as the original sends them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "snake_case", deserialize = "camelCase"))]
pub struct NewPipeline<V> {
    pub name: String,
    pub space_id: String,
    pub metadata: V,
    pub transformation_function: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirements_txt: Option<String>,
    pub source_connector: Option<V>,
    pub sink_connector: Option<V>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<Variable>>,
    pub state: String,
}

/// The members of a pipeline to change. Connectors that are left out stay.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "snake_case", deserialize = "camelCase"))]
pub struct PipelineChanges<V> {
    pub name: String,
    pub state: String,
    pub metadata: V,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_connector: Option<V>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink_connector: Option<V>,
}

/// A pipeline, in a list, with its details, or just created.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Pipeline<V> {
    pub id: String,
    pub name: String,
    pub space_id: Option<String>,
    pub space_name: Option<String>,
    pub metadata: Option<V>,
    pub created_at: Option<String>,
    pub state: Option<String>,
    pub source_connector: Option<V>,
    pub sink_connector: Option<V>,
    pub environments: Option<Vec<Variable>>,
    /// Only of one just created.
    pub access_token: Option<String>,
}

/// A list of pipelines.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Pipelines<V> {
    pub total_amount: Option<u32>,
    pub pipelines: Vec<Pipeline<V>>,
}

/// A token that allows to publish to a pipeline and to consume from it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct AccessToken {
    pub id: Option<String>,
    pub name: String,
    pub token: String,
    pub created_at: Option<String>,
}

/// A list of access tokens.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct AccessTokens {
    pub access_tokens: Vec<AccessToken>,
}

/// The code of a pipeline.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Artifact {
    pub transformation_function: String,
    pub requirements_txt: Option<String>,
}

/// The environment of a pipeline.
#[derive(Serialize, Deserialize)]
pub struct Environment {
    pub environments: Option<Vec<Variable>>,
}

/// An entry of a log.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct LogEntry<V> {
    pub level: Option<String>,
    pub severity_code: Option<i32>,
    pub timestamp: Option<String>,
    pub payload: Option<V>,
}

/// A page of a log.
#[derive(Serialize, Deserialize)]
pub struct Logs<V> {
    pub logs: Vec<LogEntry<V>>,
    pub next: Option<String>,
}

/// A space.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Space {
    pub id: String,
    pub name: String,
    pub created_at: Option<String>,
    /// Only in a list.
    pub permission: Option<String>,
}

/// A list of spaces.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Spaces {
    pub total_amount: Option<u32>,
    pub spaces: Vec<Space>,
}

/// A secret. Its value is never returned.
#[derive(Serialize, Deserialize)]
pub struct Secret {
    pub key: String,
}

/// A list of secrets.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
pub struct Secrets {
    pub total_amount: Option<u32>,
    pub secrets: Vec<Secret>,
}

//! The management API of GlassFlow, `v1`: pipelines, spaces and secrets of an organization. One [`Operation`] is one
//! request.
//!
//! - [`types`]: the objects of requests and responses.

pub mod types;

use serde::{Deserialize, Serialize};

use crate::base::error::Code;
use crate::base::http::Response;
use crate::engine::classify::{ResponseClass, classify_response};
use crate::glassflow::wire::push_segment;
use types::{NewPipeline, PipelineChanges, Variable};

/// One request to the management API. `V` is a JSON value that is passed on unread. It has no `Debug`, because it has
/// secrets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "the types of the fields have the documentation")]
pub enum Operation<V> {
    /// The pipelines of these spaces, or of all.
    ListPipelines { space_ids: Vec<String> },
    /// The details of a pipeline, without its access tokens and code.
    FetchPipeline { id: String },
    /// A new pipeline.
    CreatePipeline(NewPipeline<V>),
    /// Changes of a pipeline, without those of its code and environment.
    ChangePipeline { id: String, changes: PipelineChanges<V> },
    /// Deletes a pipeline with its events.
    DeletePipeline { id: String },
    /// The access tokens of a pipeline.
    ListAccessTokens { id: String },
    /// The code that a pipeline runs.
    FetchCode { id: String },
    /// New code for a pipeline. It is built afterwards.
    UploadCode { id: String, code: String, requirements: Option<String> },
    /// The environment variables of a pipeline, instead of those it has.
    ChangeEnvironment { id: String, environments: Vec<Variable> },
    /// One page of the log of a pipeline. Times are RFC 3339.
    ListLogs {
        id: String,
        page_size: u32,
        page_token: Option<String>,
        severity_code: u32,
        start_time: Option<String>,
        end_time: Option<String>,
    },
    /// Runs the code of a pipeline with one event, given as JSON text.
    TestPipeline { id: String, event: String },
    /// All spaces.
    ListSpaces {},
    /// A new space.
    CreateSpace { name: String },
    /// Deletes a space that has no pipelines.
    DeleteSpace { id: String },
    /// The keys of all secrets.
    ListSecrets {},
    /// A new secret.
    CreateSecret { key: String, value: String },
    /// Deletes a secret.
    DeleteSecret { key: String },
}

/// The HTTP request of an operation.
pub struct Plan<'a, V> {
    /// The HTTP method.
    pub method: &'static str,
    /// The path below the base URL, percent-encoded.
    pub path: String,
    /// The parameters of the query, not encoded.
    pub query: Vec<(&'static str, &'a str)>,
    /// The body.
    pub body: Body<'a, V>,
    /// What the response has.
    pub answer: Answer,
}

/// The body of a request.
pub enum Body<'a, V> {
    /// No body.
    Empty,
    /// A JSON object.
    Object(Object<'a, V>),
    /// JSON text of the user.
    Json(&'a str),
    /// A form with the code of a pipeline as its file.
    Form {
        /// The code.
        code: &'a str,
        /// The field `requirementsTxt`.
        requirements: Option<&'a str>,
    },
}

/// The objects that are sent.
#[derive(Serialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the operations have the documentation")]
pub enum Object<'a, V> {
    Pipeline(&'a NewPipeline<V>),
    Changes(&'a PipelineChanges<V>),
    Environment { environments: &'a [Variable] },
    Space { name: &'a str },
    Secret { key: &'a str, value: &'a str },
}

/// What the response of an operation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing of interest.
    Ignored,
    /// The result of a test, which is read like a consumed event.
    Event,
    /// A [`types::Pipeline`].
    Pipeline,
    /// [`types::Pipelines`].
    Pipelines,
    /// [`types::AccessTokens`].
    AccessTokens,
    /// [`types::Artifact`].
    Artifact,
    /// [`types::Environment`].
    Environment,
    /// [`types::Logs`].
    Logs,
    /// A [`types::Space`].
    Space,
    /// [`types::Spaces`].
    Spaces,
    /// [`types::Secrets`].
    Secrets,
}

impl<V> Operation<V> {
    /// The request. `None` for an id or key that cannot be a segment of a URL path. `numbers` keeps the texts of
    /// numbers that the query has.
    pub fn plan<'a>(&'a self, numbers: &'a mut Vec<String>) -> Option<Plan<'a, V>> {
        let (method, path, body, answer) = match self {
            Self::ListPipelines { .. } => ("GET", "/pipelines".to_owned(), Body::Empty, Answer::Pipelines),
            Self::CreatePipeline(pipeline) => {
                ("POST", "/pipelines".to_owned(), Body::Object(Object::Pipeline(pipeline)), Answer::Pipeline)
            }
            Self::FetchPipeline { id } => ("GET", pipeline(id, "")?, Body::Empty, Answer::Pipeline),
            Self::ChangePipeline { id, changes } => {
                ("PATCH", pipeline(id, "")?, Body::Object(Object::Changes(changes)), Answer::Pipeline)
            }
            Self::DeletePipeline { id } => ("DELETE", pipeline(id, "")?, Body::Empty, Answer::Ignored),
            Self::ListAccessTokens { id } => {
                ("GET", pipeline(id, "/access_tokens")?, Body::Empty, Answer::AccessTokens)
            }
            Self::FetchCode { id } => {
                ("GET", pipeline(id, "/functions/main/artifacts/latest")?, Body::Empty, Answer::Artifact)
            }
            Self::UploadCode { id, code, requirements } => {
                let body = Body::Form { code, requirements: requirements.as_deref() };
                ("POST", pipeline(id, "/functions/main/artifacts")?, body, Answer::Ignored)
            }
            Self::ChangeEnvironment { id, environments } => {
                let body = Body::Object(Object::Environment { environments });
                ("PATCH", pipeline(id, "/functions/main")?, body, Answer::Environment)
            }
            Self::ListLogs { id, .. } => {
                ("GET", pipeline(id, "/functions/main/logs")?, Body::Empty, Answer::Logs)
            }
            Self::TestPipeline { id, event } => {
                ("POST", pipeline(id, "/functions/main/test")?, Body::Json(event), Answer::Event)
            }
            Self::ListSpaces {} => ("GET", "/spaces".to_owned(), Body::Empty, Answer::Spaces),
            Self::CreateSpace { name } => {
                ("POST", "/spaces".to_owned(), Body::Object(Object::Space { name }), Answer::Space)
            }
            Self::DeleteSpace { id } => ("DELETE", below("/spaces/", id)?, Body::Empty, Answer::Ignored),
            Self::ListSecrets {} => ("GET", "/secrets".to_owned(), Body::Empty, Answer::Secrets),
            Self::CreateSecret { key, value } => {
                ("POST", "/secrets".to_owned(), Body::Object(Object::Secret { key, value }), Answer::Ignored)
            }
            Self::DeleteSecret { key } => ("DELETE", below("/secrets/", key)?, Body::Empty, Answer::Ignored),
        };
        Some(Plan { method, path, query: self.query(numbers), body, answer })
    }

    fn query<'a>(&'a self, numbers: &'a mut Vec<String>) -> Vec<(&'static str, &'a str)> {
        match self {
            Self::ListPipelines { space_ids } => {
                space_ids.iter().map(|id| ("space_id", id.as_str())).collect()
            }
            Self::ListLogs { page_size, page_token, severity_code, start_time, end_time, .. } => {
                *numbers = vec![page_size.to_string(), severity_code.to_string()];
                let mut numbers = numbers.iter().map(String::as_str);
                [
                    ("page_size", numbers.next()),
                    ("page_token", page_token.as_deref()),
                    ("severity_code", numbers.next()),
                    ("start_time", start_time.as_deref()),
                    ("end_time", end_time.as_deref()),
                ]
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect()
            }
            _ => Vec::new(),
        }
    }
}

fn pipeline(id: &str, rest: &str) -> Option<String> {
    Some(below("/pipelines/", id)? + rest)
}

fn below(collection: &str, segment: &str) -> Option<String> {
    let mut path = collection.to_owned();
    push_segment(&mut path, segment)?;
    Some(path)
}

/// The error of a response with this status; `None` if it is a success. 404, 409 and 425 have codes of their own,
/// as they have classes of their own in the original.
pub fn error_code(status: u16) -> Option<Code> {
    match status {
        404 => Some(Code::NotFound),
        409 => Some(Code::Conflict),
        425 => Some(Code::NotReady),
        _ => match classify_response(&Ok(Response::new(status))) {
            ResponseClass::Done => None,
            ResponseClass::Retry(error, _) | ResponseClass::Fail(error) => Some(error.code),
        },
    }
}

//! The client under test, as the `client` member of a scenario describes it.

use eventferry::base::secret::Secret;
use eventferry::base::time::Moment;
use eventferry::bayeux::dialect::DefaultDialect;
use eventferry::bayeux::session::{Event, Input, Limits, Options, Session, Times};
use eventferry::bayeux::wire::Transport;
use eventferry::engine::machine::{Machine, Output, Poll};
use eventferry::salesforce::auth::Flow;
use eventferry::salesforce::client as salesforce;
use serde_json::Value;

/// A client of either kind.
pub(crate) enum TestClient {
    Bayeux(Box<Session>),
    Salesforce(Box<salesforce::Client>),
}

impl TestClient {
    pub(crate) fn session(&self) -> &Session {
        match self {
            Self::Bayeux(session) => session,
            Self::Salesforce(client) => client.session(),
        }
    }

    pub(crate) fn handle(&mut self, now: Moment, input: Input) {
        match self {
            Self::Bayeux(session) => session.handle(now, input),
            Self::Salesforce(client) => client.handle(now, salesforce::Input::Session(input)),
        }
    }

    pub(crate) fn poll(&mut self) -> Poll<Output<Event>> {
        match self {
            Self::Bayeux(session) => session.poll(),
            Self::Salesforce(client) => loop {
                return Poll::Do(match client.poll() {
                    Poll::Do(salesforce::Output::Session(output)) => output,
                    Poll::Do(salesforce::Output::Login(id, request)) => Output::Send(id, request),
                    Poll::Do(_) => continue,
                    Poll::Wait(deadline) => return Poll::Wait(deadline),
                });
            },
        }
    }
}

pub(crate) fn new_client(config: &Value) -> TestClient {
    let transports: Vec<Transport> = match config["transports"].as_array() {
        Some(names) => names
            .iter()
            .map(|name| if name == "websocket" { Transport::WebSocket } else { Transport::LongPolling })
            .collect(),
        None if config["transport"] == "websocket" => vec![Transport::WebSocket],
        None => vec![Transport::LongPolling],
    };
    let scheme = config["scheme"].as_str().unwrap_or("https");
    let has_ack = config["extensions"].as_array().is_some_and(|names| names.iter().any(|name| name == "ack"));
    // The scripts do not expect the connection timeout; the JavaScript tests cover it.
    let common = Options {
        url: format!("{scheme}://server.example/cometd"),
        transports,
        has_ack_extension: has_ack,
        has_cookie_jar: config["environment"] != "browser",
        can_follow_hosts: config["followHosts"] == true,
        is_draining: config["mode"] == "drain",
        epoch_unix_ms: 1_700_000_000_000,
        times: Times { connection_timeout: None, ..Times::default() },
        limits: limits(config, Limits::default()),
        ..Options::default()
    };
    if config["salesforce"] != true {
        return TestClient::Bayeux(Box::new(Session::new(common, Box::new(DefaultDialect), 7)));
    }
    let token = config["auth"]["securityToken"].as_str().unwrap_or_default();
    let start = match &config["replay"] {
        Value::Number(id) => id.to_string(),
        _ => "-1".to_owned(),
    };
    let defaults = salesforce::session_defaults();
    let mut client = salesforce::Client::new(
        salesforce::Options {
            flow: Flow::Password {
                consumer_key: "key".to_owned(),
                consumer_secret: Secret::new("secret".to_owned()),
                username: "u@example.com".to_owned(),
                password: Secret::new(format!("pw{token}")),
            },
            token_url: "https://login.salesforce.com/services/oauth2/token".to_owned(),
            endpoint: None,
            allowed_instances: Vec::new(),
            api_version: config["apiVersion"].as_str().unwrap_or("68.0").to_owned(),
            replay_start: start,
            replay_fallback: config["replayFallback"].as_i64().map(|id| id.to_string()),
            session: Options {
                is_draining: common.is_draining,
                epoch_unix_ms: common.epoch_unix_ms,
                times: Times { connection_timeout: None, ..defaults.times },
                limits: limits(config, defaults.limits),
                ..defaults
            },
        },
        7,
    );
    for (channel, id) in config["replay"].as_object().into_iter().flatten() {
        let input = Input::SetPosition { channel: channel.clone(), id: id.to_string() };
        client.handle(Moment::default(), salesforce::Input::Session(input));
    }
    TestClient::Salesforce(Box::new(client))
}

/// The capacity of the inbox; a scenario without one has no slow consumer.
fn limits(config: &Value, defaults: Limits) -> Limits {
    let max_pending = config["highWaterMark"].as_u64().map_or(usize::MAX, |mark| mark as usize);
    Limits { max_pending, ..defaults }
}

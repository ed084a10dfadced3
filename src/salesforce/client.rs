//! The client of the Streaming API: a login, then a [`Session`] with the [`ReplayDialect`].
//!
//! ```text
//!            session needs credentials                grant
//!   session ──────────────────────────> login (sign) ───────────────> session at instance_url/cometd/version
//!      ▲                                  │ └─ delay ─┘ server unavailable
//!      └── 401, once ─────────────────────┴──────────> login refused: the end
//! ```
//!
//! This file decides when to log in. It knows nothing of Bayeux messages.

use std::collections::VecDeque;

use super::auth::{self, Flow};
use super::replay::ReplayDialect;
use crate::base::error::Code;
use crate::base::ids::OpId;
use crate::base::secret::Secret;
use crate::base::time::{Millis, Moment};
use crate::bayeux::errors::SessionError;
use crate::bayeux::session::{self, Session};
use crate::bayeux::wire::Transport;
use crate::engine::machine::{Input, Machine, Output, Poll};

/// Options of a client.
#[derive(Clone, Debug)]
pub struct Options {
    /// The OAuth flow.
    pub flow: Flow,
    /// The URL of the token endpoint.
    pub token_url: String,
    /// The URL of the Streaming API if it is not that of the instance, such as a proxy.
    pub endpoint: Option<String>,
    /// The version of the Streaming API, such as `68.0`.
    pub api_version: String,
    /// Where channels without a stored replay id start: an id, `-1` for new events, `-2` for all stored
    /// events.
    pub replay_start: String,
    /// Where a channel starts if the server no longer has its replay id; `None` to refuse the subscription.
    pub replay_fallback: Option<String>,
    /// Options of the session; see [`session_defaults`].
    pub session: session::Options,
}

/// The limits of Salesforce: long-polling only, requests up to 32 768 bytes, and a connect within 40 s after
/// each response. A pause therefore ends after 30 s.
pub fn session_defaults() -> session::Options {
    session::Options {
        transports: vec![Transport::LongPolling],
        has_ack_extension: false,
        is_auth_required: true,
        max_request_bytes: 32_768,
        max_pause: Some(Millis(30_000)),
        poll_timeout: Millis(110_000),
        ..session::Options::default()
    }
}

/// Events for the owner.
#[derive(Clone, Debug)]
pub enum Event {
    /// An event of the session; never [`session::Event::NeedsCredentials`].
    Session(session::Event),
    /// Sign these claims as a JWT with RS256, then call [`Client::signed`].
    Sign {
        /// The claims as a JSON object.
        claims: String,
    },
    /// Salesforce has replaced the refresh token. The previous one is no longer valid.
    RefreshToken(Secret),
}

/// The state machine.
#[derive(Clone, Debug)]
pub struct Client {
    /// The session, which takes most commands.
    pub session: Session,
    replay: ReplayDialect,
    flow: Flow,
    token_url: String,
    endpoint: Option<String>,
    api_version: String,
    epoch_unix_ms: u64,
    events: VecDeque<Event>,
}

impl Client {
    /// An idle client.
    pub fn new(options: Options, seed: u64) -> Self {
        let epoch_unix_ms = options.session.epoch_unix_ms;
        Self {
            session: Session::new(session::Options { is_auth_required: true, ..options.session }, seed),
            replay: ReplayDialect::new(options.replay_start, options.replay_fallback),
            flow: options.flow,
            token_url: options.token_url,
            endpoint: options.endpoint,
            api_version: options.api_version,
            epoch_unix_ms,
            events: VecDeque::new(),
        }
    }

    /// Sets the id after which the next subscription to a channel starts.
    pub fn set_replay_id(&mut self, channel: &str, id: &str) {
        self.replay.set_replay_id(channel, id);
    }

    /// Always rejected: the Streaming API does not accept events.
    pub fn publish(&mut self, now: Moment, channel: &str, data: &str) -> OpId {
        self.session.publish(now, channel, data, &self.replay)
    }

    /// Provides the signed JWT; `None` if signing failed.
    pub fn signed(&mut self, now: Moment, assertion: Option<&str>) {
        let request =
            assertion.and_then(|assertion| auth::token_request(&self.flow, &self.token_url, assertion));
        match request {
            Some(request) => self.session.send_for_owner(request),
            None => {
                let message = "signing failed: privateKey must be an RSA key for RS256";
                self.session.unauthorized(now, SessionError::new(Code::InvalidArgument, message), None, true);
            }
        }
    }

    fn log_in(&mut self, is_renewal: bool) {
        if let Some(grant) = auth::existing_grant(&self.flow) {
            if is_renewal {
                let message = "the server refused the access token, which cannot be renewed: it was given as an existing session";
                return self.session.unauthorized(
                    self.session.now(),
                    SessionError::new(Code::Unauthorized, message),
                    None,
                    true,
                );
            }
            return self.apply_grant(grant);
        }
        let unix = self.epoch_unix_ms.saturating_add(self.session.now().as_millis());
        if let Some(claims) = auth::jwt_claims(&self.flow, unix) {
            self.events.push_back(Event::Sign { claims });
        } else if let Some(request) = auth::token_request(&self.flow, &self.token_url, "") {
            self.session.send_for_owner(request);
        } else {
            let message =
                "accessToken must be printable ASCII without spaces, and instanceUrl an absolute URL";
            self.session.unauthorized(
                self.session.now(),
                SessionError::new(Code::InvalidArgument, message),
                None,
                true,
            );
        }
    }

    fn apply_grant(&mut self, grant: auth::Grant) {
        if let (Some(newest), Flow::RefreshToken { refresh_token, .. }) =
            (grant.refresh_token, &mut self.flow)
            && newest != *refresh_token
        {
            *refresh_token = newest.clone();
            self.events.push_back(Event::RefreshToken(newest));
        }
        let url = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => format!("{}/cometd/{}", grant.instance_url, self.api_version),
        };
        let headers = format!("authorization: {}", grant.authorization.expose());
        self.session.authorize(self.session.now(), headers, Some(url));
    }

    /// See [`Session::socket_closed`].
    pub fn socket_closed(&mut self, now: Moment, id: u32, code: u16) {
        self.session.socket_closed(now, id, code);
    }
}

impl Machine for Client {
    type Input = Input;
    type Output = Output<Event>;

    fn handle(&mut self, now: Moment, input: Input) {
        if let Some(outcome) = self.session.handle(now, input, &mut self.replay) {
            match auth::read_token_response(&self.flow, outcome) {
                Ok(grant) => self.apply_grant(grant),
                Err(failure) => {
                    self.session.unauthorized(now, failure.error, failure.min_delay, failure.is_final);
                }
            }
        }
    }

    fn poll(&mut self) -> Poll<Output<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Do(Output::Event(event));
            }
            return Poll::Do(match self.session.poll(&mut self.replay) {
                Poll::Do(Output::Event(session::Event::NeedsCredentials { is_renewal })) => {
                    self.log_in(is_renewal);
                    continue;
                }
                Poll::Do(Output::Event(event)) => Output::Event(Event::Session(event)),
                Poll::Do(Output::Send(id, request)) => Output::Send(id, request),
                Poll::Do(Output::Cancel(id)) => Output::Cancel(id),
                Poll::Wait(deadline) => return Poll::Wait(deadline),
            });
        }
    }
}

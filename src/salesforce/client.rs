//! The client of the Streaming API: a login, then a [`Session`] with the dialect [`ReplayDialect`].
//!
//! ```text
//!            session needs a token                    grant
//!   session ──────────────────────> login (sign) ───────────────> session at instance_url/cometd/version
//!      ▲                               │ └─ rest ─┘ not reached
//!      └── refused: 401, once ─────────┴──────────> refused: the end
//! ```
//!
//! What lives here: who logs in when. What this file must not know: Bayeux messages.

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
use crate::engine::machine::{Input, Machine, Output};

/// How a client works.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to log in.
    pub flow: Flow,
    /// Where tokens are granted.
    pub token_url: String,
    /// Where the Streaming API is, if not at the instance URL of the login: a proxy.
    pub endpoint: Option<String>,
    /// Of the Streaming API.
    pub api_version: String,
    /// Where channels start that have no mark: an id, -1 or -2.
    pub replay_start: String,
    /// Where they start when the server has forgotten their id.
    pub replay_fallback: Option<String>,
    /// The rest is as for any Bayeux server; see [`session_defaults`].
    pub session: session::Options,
}

/// What Salesforce wants of a session: no sockets, small requests, and a poll at least every 40 seconds.
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

/// What the owner hears.
#[derive(Clone, Debug)]
pub enum Event {
    /// What a session says; never [`session::Event::NeedsCredentials`].
    Session(session::Event),
    /// Sign these claims, and call [`Client::signed`].
    Sign {
        /// A JSON object.
        claims: String,
    },
    /// The refresh token was replaced: the one before does not work any more.
    RefreshToken(Secret),
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Client {
    /// What most commands go to.
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
    /// A client that does nothing yet.
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

    /// A channel goes on behind that id. For a subscription that is made afterwards.
    pub fn set_replay_id(&mut self, channel: &str, id: &str) {
        self.replay.set_replay_id(channel, id);
    }

    /// Refused: Salesforce takes no events this way.
    pub fn publish(&mut self, now: Moment, channel: &str, data: &str) -> OpId {
        self.session.publish(now, channel, data, &self.replay)
    }

    /// The claims were signed. Nothing if they could not be.
    pub fn signed(&mut self, now: Moment, assertion: Option<&str>) {
        let request =
            assertion.and_then(|assertion| auth::token_request(&self.flow, &self.token_url, assertion));
        match request {
            Some(request) => self.session.send_for_owner(request),
            None => {
                let message = "the private key could not sign: it must be an RSA key for RS256";
                self.session.unauthorized(now, SessionError::new(Code::InvalidArgument, message), None, true);
            }
        }
    }

    fn log_in(&mut self, is_renewal: bool) {
        if let Some(grant) = auth::existing_grant(&self.flow) {
            if is_renewal {
                let message =
                    "the server refuses the session that was given, and there is no way to get another";
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
                "the session that was given has an access token or an instance URL that is not usable";
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

    /// See [`Session::socket_closed`]; there are no sockets here.
    pub fn socket_closed(&mut self, now: Moment, id: u32, code: u16) {
        self.session.socket_closed(now, id, code);
    }
}

impl Machine for Client {
    type Event = Event;

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

    fn poll(&mut self) -> Output<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Output::Event(event);
            }
            return match self.session.poll(&mut self.replay) {
                Output::Event(session::Event::NeedsCredentials { is_renewal }) => {
                    self.log_in(is_renewal);
                    continue;
                }
                Output::Event(event) => Output::Event(Event::Session(event)),
                Output::Send(id, request) => Output::Send(id, request),
                Output::Cancel(id) => Output::Cancel(id),
                Output::Load(key) => Output::Load(key),
                Output::Save(key, bytes) => Output::Save(key, bytes),
                Output::Wait(deadline) => Output::Wait(deadline),
            };
        }
    }
}

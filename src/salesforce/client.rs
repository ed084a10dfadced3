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

use super::auth::{self, Flow, Grant};
use super::instance::may_receive_token;
use super::replay::ReplayDialect;
use crate::base::error::Code;
use crate::base::http::Request;
use crate::base::ids::{Counter, ExchangeId};
use crate::base::secret::Secret;
use crate::base::text::join;
use crate::base::time::{Millis, Moment};
use crate::bayeux::errors::SessionError;
use crate::bayeux::session::{self, Session};
use crate::bayeux::wire::Transport;
use crate::engine::machine::{self, Machine, Poll};
use crate::engine::queue::Queue;

/// Options of a client.
#[derive(Clone, Debug)]
pub struct Options {
    /// The OAuth flow.
    pub flow: Flow,
    /// The URL of the token endpoint.
    pub token_url: String,
    /// The URL of the Streaming API if it is not that of the instance, such as a proxy.
    pub endpoint: Option<String>,
    /// URLs or host names, beside those of Salesforce and of the login, that may receive the token of a login.
    pub allowed_instances: Vec<String>,
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
        times: session::Times {
            max_pause: Some(Millis(30_000)),
            poll_timeout: Millis(110_000),
            ..session::Times::default()
        },
        limits: session::Limits { max_request_bytes: 32_768, ..session::Limits::default() },
        ..session::Options::default()
    }
}

/// What can happen to a client.
#[derive(Clone, Debug)]
pub enum Input {
    /// An input of the session, or the end of a login.
    Session(session::Input),
    /// The signed JWT; `None` if signing failed.
    Signed(Option<String>),
    /// An access token of the application, or why there is none at present.
    Token(Result<Secret, String>),
}

/// What the owner shall do.
#[derive(Clone, Debug)]
pub enum Output {
    /// An output of the session; never [`session::Event::NeedsCredentials`].
    Session(machine::Output<session::Event>),
    /// Log in: start this exchange, without headers of the application, which must not reach the login host.
    Login(ExchangeId, Request),
    /// Sign these claims as a JWT with RS256, then answer with [`Input::Signed`].
    Sign {
        /// The claims as a JSON object.
        claims: String,
    },
    /// The application shall provide an access token: answer with [`Input::Token`].
    NeedsToken {
        /// Salesforce has refused the previous one.
        is_renewal: bool,
    },
    /// A login has succeeded.
    Granted {
        /// The value of the `Authorization` header.
        authorization: Secret,
        /// The URL of the instance.
        instance_url: String,
        /// When the token was issued, as a Unix time in milliseconds.
        issued_at_ms: u64,
    },
    /// Salesforce has replaced the refresh token. The previous one is no longer valid.
    RefreshToken(Secret),
}

/// Logins have ids of their own, above those of the session.
const LOGIN_IDS: u32 = 1 << 31;

/// The state machine.
#[derive(Debug)]
pub struct Client {
    session: Session,
    flow: Flow,
    token_url: String,
    endpoint: Option<String>,
    allowed_instances: Vec<String>,
    api_version: String,
    login_ids: Counter,
    login: Option<ExchangeId>,
    outputs: Queue<Output>,
}

impl Client {
    /// An idle client.
    pub fn new(options: Options, seed: u64) -> Self {
        let dialect = ReplayDialect::new(options.replay_start, options.replay_fallback);
        let session = session::Options { is_auth_required: true, ..options.session };
        Self {
            session: Session::new(session, Box::new(dialect), seed),
            flow: options.flow,
            token_url: options.token_url,
            endpoint: options.endpoint,
            allowed_instances: options.allowed_instances,
            api_version: options.api_version,
            login_ids: Counter::after(LOGIN_IDS),
            login: None,
            outputs: Queue::new(),
        }
    }

    /// The session, to read from.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    fn log_in(&mut self, now: Moment, is_renewal: bool) {
        if matches!(self.flow, Flow::Provider { .. }) {
            return self.outputs.push(Output::NeedsToken { is_renewal });
        }
        if let Some(grant) = auth::existing_grant(&self.flow) {
            if is_renewal {
                let message = "the server refused the access token, which cannot be renewed: it was given as an existing session";
                return self.fail(now, Code::Unauthorized, message);
            }
            return self.apply_grant(now, grant);
        }
        if let Some(claims) = auth::jwt_claims(&self.flow, self.session.unix_ms()) {
            self.outputs.push(Output::Sign { claims });
        } else if let Some(request) = auth::token_request(&self.flow, &self.token_url, "") {
            self.send_login(request);
        } else {
            let message =
                "accessToken must be printable ASCII without spaces, and instanceUrl an absolute URL";
            self.fail(now, Code::InvalidArgument, message);
        }
    }

    fn signed(&mut self, now: Moment, assertion: Option<&str>) {
        if !self.session.is_authorizing() {
            return;
        }
        let request =
            assertion.and_then(|assertion| auth::token_request(&self.flow, &self.token_url, assertion));
        match request {
            Some(request) => self.send_login(request),
            None => {
                let message = "signing failed: privateKey must be an RSA key for RS256";
                self.fail(now, Code::InvalidArgument, message);
            }
        }
    }

    fn provided(&mut self, now: Moment, token: Result<Secret, String>) {
        let Flow::Provider { instance_url } = &self.flow else { return };
        if !self.session.is_authorizing() {
            return;
        }
        match token {
            Ok(token) => match auth::provided_grant(instance_url, token.expose()) {
                Some(grant) => self.apply_grant(now, grant),
                None => {
                    let message = "accessToken must return printable ASCII without spaces";
                    self.fail(now, Code::InvalidArgument, message);
                }
            },
            // The function of the application may need the network too.
            Err(why) => {
                let error = SessionError::new(Code::Unauthorized, join(&["accessToken failed: ", &why]));
                let input = session::Input::Unauthorized { error, min_delay: None, is_final: false };
                self.session.handle(now, input);
            }
        }
    }

    fn send_login(&mut self, request: Request) {
        let id = ExchangeId(self.login_ids.advance());
        self.login = Some(id);
        self.outputs.push(Output::Login(id, request));
    }

    fn apply_grant(&mut self, now: Moment, grant: Grant) {
        if let (Some(newest), Flow::RefreshToken { refresh_token, .. }) =
            (grant.refresh_token, &mut self.flow)
            && newest != *refresh_token
        {
            *refresh_token = newest.clone();
            self.outputs.push(Output::RefreshToken(newest));
        }
        let url = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => join(&[&grant.instance_url, "/cometd/", &self.api_version]),
        };
        let headers = Secret::new(join(&["authorization: ", grant.authorization.expose()]));
        self.outputs.push(Output::Granted {
            authorization: grant.authorization,
            instance_url: grant.instance_url,
            issued_at_ms: grant.issued_at_ms.unwrap_or_else(|| self.session.unix_ms()),
        });
        self.session.handle(now, session::Input::Authorize { headers, url: Some(url) });
    }

    /// Ends the session, because no login can succeed.
    fn fail(&mut self, now: Moment, code: Code, message: &str) {
        let error = SessionError::new(code, message);
        self.session.handle(now, session::Input::Unauthorized { error, min_delay: None, is_final: true });
    }
}

/// The start of a URL, for messages: the rest may be anything.
fn host_of(url: &str) -> String {
    let end = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    url.chars().take(end.min(100)).filter(char::is_ascii_graphic).collect()
}

impl Machine for Client {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Moment, input: Input) {
        match input {
            Input::Signed(assertion) => self.signed(now, assertion.as_deref()),
            Input::Token(token) => self.provided(now, token),
            Input::Session(session::Input::Exchange(id, outcome)) if id.0 > LOGIN_IDS => {
                if self.login != Some(id) {
                    return;
                }
                self.login = None;
                match auth::read_token_response(&self.flow, outcome) {
                    Ok(grant)
                        if self.endpoint.is_none()
                            && !may_receive_token(
                                &self.token_url,
                                &grant.instance_url,
                                &self.allowed_instances,
                            ) =>
                    {
                        let message = join(&[
                            "the login named an instance that may not receive the token, ",
                            &host_of(&grant.instance_url),
                            ": it must be https, and the host of the login, one of Salesforce, or one in allowedInstances",
                        ]);
                        self.fail(now, Code::Rejected, &message);
                    }
                    Ok(grant) => self.apply_grant(now, grant),
                    Err(failure) => {
                        let auth::LoginError { error, min_delay, is_final } = *failure;
                        let input = session::Input::Unauthorized { error, min_delay, is_final };
                        self.session.handle(now, input);
                    }
                }
            }
            Input::Session(input) => self.session.handle(now, input),
        }
    }

    fn poll(&mut self) -> Poll<Output> {
        loop {
            if let Some(output) = self.outputs.pop() {
                return Poll::Do(output);
            }
            let output = match self.session.poll() {
                Poll::Do(output) => output,
                Poll::Wait(deadline) => return Poll::Wait(deadline),
            };
            match output {
                machine::Output::Event(session::Event::NeedsCredentials { is_renewal }) => {
                    self.log_in(self.session.now(), is_renewal);
                }
                output => {
                    let is_end = matches!(output, machine::Output::Event(session::Event::Ended(_)));
                    if let Some(id) = self.login.take_if(|_| is_end) {
                        self.outputs.push(Output::Session(output));
                        return Poll::Do(Output::Session(machine::Output::Cancel(id)));
                    }
                    return Poll::Do(Output::Session(output));
                }
            }
        }
    }
}

//! The clients of Bayeux and Salesforce behind one port, because most of their commands and effects are the
//! same.

use wasm_bindgen::prelude::wasm_bindgen;

use super::config::{self, StreamOptions};
use super::port::{failure, moment, response, time_of};
use super::stream_effects::{StreamEffects, push_output, push_request};
use crate::base::error::Code;
use crate::base::ids::{Counter, ExchangeId, OpId};
use crate::base::json::padded::zeroed;
use crate::base::secret::Secret;
use crate::base::text::join;
use crate::bayeux::dialect::DefaultDialect;
use crate::bayeux::errors::SessionError;
use crate::bayeux::session::{Input, Probe, Session};
use crate::bayeux::wire::without_filter;
use crate::boundary::options::SEPARATOR;
use crate::engine::machine::{Machine, Poll};
use crate::salesforce::client as salesforce;

/// The client of a stream; the options determine its kind.
enum Stream {
    Bayeux(Box<Session>),
    Salesforce(Box<salesforce::Client>),
}

/// The port of a stream. Each input appends its effects to the queue. Only operations wait for the next input,
/// so that those of one turn share a request: a method that returns an operation is followed by a `tick`.
#[wasm_bindgen]
pub struct StreamPort {
    stream: Stream,
    ops: Counter,
    effects: StreamEffects,
    /// The body of the next response.
    body: Vec<u8>,
}

#[wasm_bindgen]
impl StreamPort {
    /// An idle client. Its options are numbers in the order of `STREAM_NUMBERS`, and texts in the order of `STREAM_TEXTS`,
    /// separated by U+001E.
    #[wasm_bindgen(constructor)]
    pub fn new(numbers: &[f64], texts: &str, seed: f64, effects: StreamEffects) -> Self {
        let seed = seed.to_bits();
        let stream = match config::stream(numbers, texts) {
            StreamOptions::Bayeux(options) => {
                Stream::Bayeux(Box::new(Session::new(options, Box::new(DefaultDialect), seed)))
            }
            StreamOptions::Salesforce(options) => {
                Stream::Salesforce(Box::new(salesforce::Client::new(options, seed)))
            }
        };
        Self { stream, ops: Counter::default(), effects, body: Vec::new() }
    }

    /// Opens the session.
    pub fn open(&mut self, now: f64) -> u32 {
        self.start(now, Input::Open)
    }

    /// Subscribes to a channel.
    pub fn subscribe(&mut self, now: f64, channel: String) -> u32 {
        self.start(now, |op| Input::Subscribe(op, channel))
    }

    /// Subscribes to several channels, which are separated by U+001E. Returns the first operation; those of the other channels follow.
    pub fn subscribe_together(&mut self, now: f64, channels: &str) -> u32 {
        let ops: Vec<(OpId, String)> =
            channels.split(SEPARATOR).map(|channel| (OpId(self.ops.advance()), channel.to_owned())).collect();
        let first = ops.first().map_or(0, |(op, _)| op.0);
        self.pass(now, Input::SubscribeTogether(ops));
        first
    }

    /// Checks the connection.
    pub fn probe(&mut self, now: f64) -> u32 {
        self.start(now, |op| Input::Probe(Probe::Asked(op)))
    }

    /// Reports that the network is back or that the computer has slept; otherwise, that the page is visible
    /// again.
    pub fn network_changed(&mut self, now: f64, is_certain: bool) {
        let why = if is_certain { Probe::NetworkChanged } else { Probe::PageShown };
        self.handle(now, Input::Probe(why));
    }

    /// Removes one subscription to a channel, or all of them.
    pub fn unsubscribe(&mut self, now: f64, channel: String, all: bool) -> u32 {
        self.start(now, |op| Input::Unsubscribe { op, channel, all })
    }

    /// Publishes a JSON text.
    pub fn publish(&mut self, now: f64, channel: String, data: String) -> u32 {
        self.start(now, |op| Input::Publish { op, channel, data })
    }

    /// The name of the transport in use.
    pub fn transport(&self) -> String {
        self.session().transport().name().to_owned()
    }

    /// The channels that the server has accepted at least once and that are not unsubscribed.
    pub fn subscriptions(&self) -> Vec<String> {
        self.session().subscriptions().map(str::to_owned).collect()
    }

    /// Sets the id after which the next subscription to a channel starts.
    pub fn set_replay_id(&mut self, now: f64, channel: String, id: String) {
        self.handle(now, Input::SetPosition { channel, id });
    }

    /// Sets the Unix time at the zero of `now`.
    pub fn set_clock(&mut self, now: f64, epoch_unix_ms: f64) {
        self.handle(now, Input::Clock { epoch_unix_ms: epoch_unix_ms as u64 });
    }

    /// Provides credentials: header lines, with Salesforce an access token.
    pub fn authorize(&mut self, now: f64, credentials: String) {
        let credentials = Secret::new(credentials);
        match &mut self.stream {
            Stream::Salesforce(_) => self.handle_salesforce(now, salesforce::Input::Token(Ok(credentials))),
            Stream::Bayeux(_) => self.handle(now, Input::Authorize { headers: credentials, url: None }),
        }
    }

    /// Reports that there are no credentials. That ends the session, but with Salesforce it asks again.
    pub fn unauthorized(&mut self, now: f64, message: String) {
        match &mut self.stream {
            Stream::Salesforce(_) => self.handle_salesforce(now, salesforce::Input::Token(Err(message))),
            Stream::Bayeux(_) => {
                let message = join(&["auth returned no credentials: ", &message]);
                let error = SessionError::new(Code::Unauthorized, message);
                self.handle(now, Input::Unauthorized { error, min_delay: None, is_final: true });
            }
        }
    }

    /// Provides the signed JWT; `None` if signing failed.
    pub fn signed(&mut self, now: f64, assertion: Option<String>) {
        self.handle_salesforce(now, salesforce::Input::Signed(assertion));
    }

    /// The consumer has taken or dropped messages. Returns how many more before polling goes on.
    pub fn taken(&mut self, now: f64, count: u32) -> u32 {
        self.handle(now, Input::Taken(count as usize));
        self.session().excess_events() as u32
    }

    /// Makes a buffer for the body of the next response and returns its address, which is valid until the next
    /// call. JavaScript copies the chunks of the body there, and nothing copies them again.
    pub fn body_buffer(&mut self, len: usize) -> *mut u8 {
        self.body = zeroed(len);
        self.body.as_mut_ptr()
    }

    /// Passes the response of an exchange, whose body is in `body_buffer`. Before it, the consumer has `taken`
    /// messages.
    pub fn response_and_taken(
        &mut self,
        now: f64,
        taken: u32,
        id: u32,
        status: u16,
        after: f64,
        headers: String,
    ) {
        self.pass(now, Input::Taken(taken as usize));
        let body = core::mem::take(&mut self.body);
        self.response(now, id, status, after, headers, body);
    }

    /// Disconnects.
    pub fn close(&mut self, now: f64) {
        self.handle(now, Input::Close);
    }

    /// Reports that a socket is open.
    pub fn socket_opened(&mut self, now: f64, id: u32) {
        self.handle(now, Input::SocketOpened(id));
    }

    /// Passes a frame of a socket.
    pub fn socket_text(&mut self, now: f64, id: u32, text: Vec<u8>) {
        self.handle(now, Input::SocketText(id, text));
    }

    /// Reports that a socket was closed.
    pub fn socket_closed(&mut self, now: f64, id: u32, code: u16) {
        self.handle(now, Input::SocketClosed(id, code));
    }

    /// Runs the timers that are due.
    pub fn tick(&mut self, now: f64) {
        self.handle(now, Input::Tick);
    }

    /// Passes the response of an exchange.
    pub fn response(&mut self, now: f64, id: u32, status: u16, after: f64, headers: String, body: Vec<u8>) {
        let response = response(status, after, headers, body);
        self.handle(now, Input::Exchange(ExchangeId(id), Ok(response)));
    }

    /// Reports that an exchange failed.
    pub fn failure(&mut self, now: f64, id: u32, why: u8) {
        self.handle(now, Input::Exchange(ExchangeId(id), Err(failure(why))));
    }
}

impl StreamPort {
    fn session(&self) -> &Session {
        match &self.stream {
            Stream::Bayeux(session) => session,
            Stream::Salesforce(client) => client.session(),
        }
    }

    fn handle(&mut self, now: f64, input: Input) {
        self.pass(now, input);
        self.drain();
    }

    fn pass(&mut self, now: f64, input: Input) {
        match &mut self.stream {
            Stream::Bayeux(session) => session.handle(moment(now), input),
            Stream::Salesforce(client) => client.handle(moment(now), salesforce::Input::Session(input)),
        }
    }

    /// Does nothing with a plain Bayeux client.
    fn handle_salesforce(&mut self, now: f64, input: salesforce::Input) {
        if let Stream::Salesforce(client) = &mut self.stream {
            client.handle(moment(now), input);
        }
        self.drain();
    }

    /// Pushes all effects that are due.
    fn drain(&mut self) {
        let effects = &self.effects;
        loop {
            let flow = match &mut self.stream {
                Stream::Bayeux(session) => match session.poll() {
                    Poll::Do(output) => push_output(effects, output, session),
                    Poll::Wait(deadline) => return drop(effects.wait(time_of(deadline))),
                },
                Stream::Salesforce(client) => match client.poll() {
                    Poll::Do(salesforce::Output::Session(output)) => {
                        push_output(effects, output, client.session())
                    }
                    Poll::Do(salesforce::Output::Login(id, request)) => {
                        push_request(effects, id, request, true)
                    }
                    Poll::Do(salesforce::Output::Sign { claims }) => effects.sign(claims),
                    Poll::Do(salesforce::Output::NeedsToken { is_renewal }) => {
                        effects.need_credentials(is_renewal)
                    }
                    Poll::Do(salesforce::Output::Granted { authorization, instance_url, issued_at_ms }) => {
                        effects.granted(authorization.expose(), instance_url, issued_at_ms as f64)
                    }
                    Poll::Do(salesforce::Output::RefreshToken(token)) => {
                        effects.refresh_token(token.expose())
                    }
                    Poll::Wait(deadline) => return drop(effects.wait(time_of(deadline))),
                },
            };
            // Pushing an effect cannot fail.
            drop(flow);
        }
    }

    /// Starts an operation, whose effects wait for the next input.
    fn start(&mut self, now: f64, input: impl FnOnce(OpId) -> Input) -> u32 {
        let op = self.ops.advance();
        self.pass(now, input(OpId(op)));
        op
    }
}

/// The name of a channel without its filter, as messages carry it.
#[wasm_bindgen]
pub fn channel_name(channel: &str) -> String {
    without_filter(channel).to_owned()
}

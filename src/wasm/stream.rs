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
use crate::boundary::numbers::{STREAM_INPUTS, STREAM_TEXT_INPUTS, StreamInput, StreamTextInput};
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
    /// The body of the next response, or the next frame.
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

    /// Passes an input that has only numbers, by its place in `STREAM_INPUTS`, with what `StreamInputs` of
    /// `js/engine/ports.ts` says. Returns its operation; without one, how many messages must be taken before
    /// polling goes on.
    pub fn input(&mut self, input: usize, now: f64, a: f64, b: f64) -> u32 {
        let input = match STREAM_INPUTS.get(input) {
            Some(StreamInput::Tick) => Input::Tick,
            Some(StreamInput::Failure) => Input::Exchange(ExchangeId(a as u32), Err(failure(b))),
            Some(StreamInput::Open) => return self.start(now, Input::Open),
            Some(StreamInput::Probe) => return self.start(now, |op| Input::Probe(Probe::Asked(op))),
            Some(StreamInput::NotSigned) => {
                self.handle_salesforce(now, salesforce::Input::Signed(None));
                return 0;
            }
            Some(StreamInput::NetworkChanged) => {
                Input::Probe(if a != 0.0 { Probe::NetworkChanged } else { Probe::PageShown })
            }
            Some(StreamInput::SetClock) => Input::Clock { epoch_unix_ms: a as u64 },
            Some(StreamInput::Taken) => Input::Taken(a as usize),
            Some(StreamInput::SocketOpened) => Input::SocketOpened(a as u32),
            Some(StreamInput::SocketText) => Input::SocketText(a as u32, core::mem::take(&mut self.body)),
            Some(StreamInput::SocketClosed) => Input::SocketClosed(a as u32, b as u16),
            Some(StreamInput::Close) | None => Input::Close,
        };
        self.handle(now, input);
        self.session().excess_events() as u32
    }

    /// Passes an input that has texts, by its place in `STREAM_TEXT_INPUTS`, with what `StreamTextInputs` of
    /// `js/engine/ports.ts` says. Returns its operation; with several, the first, which the others follow.
    pub fn input_texts(&mut self, input: usize, now: f64, text: String, other: String) -> u32 {
        let is_salesforce = matches!(self.stream, Stream::Salesforce(_));
        match STREAM_TEXT_INPUTS.get(input) {
            Some(StreamTextInput::Subscribe) => return self.start(now, |op| Input::Subscribe(op, text)),
            Some(StreamTextInput::SubscribeTogether) => return self.subscribe_together(now, &text),
            Some(StreamTextInput::Unsubscribe) => {
                return self.start(now, |op| Input::Unsubscribe { op, channel: text, all: false });
            }
            Some(StreamTextInput::UnsubscribeAll) => {
                return self.start(now, |op| Input::Unsubscribe { op, channel: text, all: true });
            }
            Some(StreamTextInput::Publish) => {
                return self.start(now, |op| Input::Publish { op, channel: text, data: other });
            }
            Some(StreamTextInput::SetReplayId) => {
                self.handle(now, Input::SetPosition { channel: text, id: other });
            }
            Some(StreamTextInput::Authorize) => {
                let credentials = Secret::new(text);
                if is_salesforce {
                    self.handle_salesforce(now, salesforce::Input::Token(Ok(credentials)));
                } else {
                    self.handle(now, Input::Authorize { headers: credentials, url: None });
                }
            }
            Some(StreamTextInput::Unauthorized) => {
                if is_salesforce {
                    self.handle_salesforce(now, salesforce::Input::Token(Err(text)));
                } else {
                    let message = join(&["auth returned no credentials: ", &text]);
                    let error = SessionError::new(Code::Unauthorized, message);
                    self.handle(now, Input::Unauthorized { error, min_delay: None, is_final: true });
                }
            }
            Some(StreamTextInput::Signed) => {
                self.handle_salesforce(now, salesforce::Input::Signed(Some(text)));
            }
            None => {}
        }
        0
    }

    /// The name of the transport in use.
    pub fn transport(&self) -> String {
        self.session().transport().name().to_owned()
    }

    /// The channels that the server has accepted at least once and that are not unsubscribed.
    pub fn subscriptions(&self) -> Vec<String> {
        self.session().subscriptions().map(str::to_owned).collect()
    }

    /// Makes a buffer for the body of the next response, or the next frame, and returns its address, which is valid until the
    /// next call. JavaScript copies the bytes there, and nothing copies them again.
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
        let response = response(status, after, headers, core::mem::take(&mut self.body));
        self.handle(now, Input::Exchange(ExchangeId(id), Ok(response)));
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
                    Poll::Do(salesforce::Output::Sign { claims }) => effects.sign(&claims),
                    Poll::Do(salesforce::Output::NeedsToken { is_renewal }) => {
                        effects.need_credentials(is_renewal)
                    }
                    Poll::Do(salesforce::Output::Granted { authorization, instance_url, issued_at_ms }) => {
                        effects.granted(authorization.expose(), &instance_url, issued_at_ms as f64)
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

    fn subscribe_together(&mut self, now: f64, channels: &str) -> u32 {
        let mut ops: Vec<(OpId, String)> = Vec::new();
        for channel in channels.split(SEPARATOR) {
            ops.push((OpId(self.ops.advance()), channel.to_owned()));
        }
        let first = ops.first().map_or(0, |(op, _)| op.0);
        self.pass(now, Input::SubscribeTogether(ops));
        first
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

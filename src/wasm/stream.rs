//! The clients of Bayeux and Salesforce behind one port, because most of their commands and effects are the
//! same.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::config::{self, StreamOptions};
use super::port::{failure, moment, response, time_of};
use crate::base::error::Code;
use crate::base::http::Request;
use crate::base::ids::{Counter, ExchangeId, OpId};
use crate::base::json::padded::zeroed;
use crate::base::json::text::unescape;
use crate::base::secret::Secret;
use crate::bayeux::dialect::DefaultDialect;
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::EventSpans;
use crate::bayeux::session::{Event, Input, Notice, Probe, Session, State};
use crate::bayeux::wire::without_filter;
use crate::engine::machine::{Machine, Output, Poll};
use crate::salesforce::client as salesforce;

#[wasm_bindgen]
extern "C" {
    /// The effect queue of a stream; `js/systems/bayeux/driver.ts` has its handlers.
    pub type StreamEffects;
    #[wasm_bindgen(method, structural, catch)]
    #[allow(clippy::too_many_arguments, reason = "a call to JavaScript has no other way to name them")]
    /// Extensions of the application see the request, and its headers are added, unless it `is_login`.
    fn send(
        this: &StreamEffects,
        id: u32,
        url: String,
        headers: String,
        body: Vec<u8>,
        timeout_ms: f64,
        max_response_bytes: u32,
        response_headers: &str,
        is_login: bool,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn cancel(this: &StreamEffects, id: u32) -> Result<(), JsValue>;
    /// For `table` and `channels` see `event_table`, whose offsets refer to `text`. `text` is in the memory of the
    /// module, and valid during the call; it is empty if it is the last frame of the socket, unchanged. `excess`:
    /// how many messages must be taken before polling goes on; 0 if it goes on.
    #[wasm_bindgen(method, structural, catch)]
    fn messages(
        this: &StreamEffects,
        table: Vec<u32>,
        channels: Vec<String>,
        excess: u32,
        text: &[u8],
    ) -> Result<(), JsValue>;
    /// `code` is 0 for success. `reply`: the refusal of the server as JSON, then the arguments of its error;
    /// empty if there was none. The same for all errors.
    #[wasm_bindgen(method, structural, catch)]
    fn settled(
        this: &StreamEffects,
        op: u32,
        code: u8,
        status: u16,
        message: &str,
        reply: Vec<String>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn state(this: &StreamEffects, state: u8) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn notice(
        this: &StreamEffects,
        kind: &str,
        channel: Option<String>,
        code: u8,
        status: u16,
        message: &str,
        reply: Vec<String>,
    ) -> Result<(), JsValue>;
    /// `delay_ms`: the time until the next attempt.
    #[wasm_bindgen(method, structural, catch)]
    fn connection_lost(
        this: &StreamEffects,
        code: u8,
        status: u16,
        message: &str,
        reply: Vec<String>,
        delay_ms: f64,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn ended(
        this: &StreamEffects,
        code: u8,
        status: u16,
        message: &str,
        reply: Vec<String>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn need_credentials(this: &StreamEffects, is_renewal: bool) -> Result<(), JsValue>;
    /// `issued_at` is a Unix time in milliseconds.
    #[wasm_bindgen(method, structural, catch)]
    fn granted(
        this: &StreamEffects,
        authorization: &str,
        instance_url: String,
        issued_at: f64,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn sign(this: &StreamEffects, claims: String) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn refresh_token(this: &StreamEffects, token: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn socket_open(this: &StreamEffects, id: u32, url: String) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn socket_send(this: &StreamEffects, id: u32, text: String) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn socket_close(this: &StreamEffects, id: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn wait(this: &StreamEffects, at: f64) -> Result<(), JsValue>;
}

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
    /// An idle client. Its options are numbers in the order of `STREAM_NUMBERS` and texts in the order of `STREAM_TEXTS`.
    #[wasm_bindgen(constructor)]
    pub fn new(numbers: &[f64], texts: Vec<String>, seed: f64, effects: StreamEffects) -> Self {
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

    /// Subscribes to several channels. Returns the first operation; those of the other channels follow.
    pub fn subscribe_together(&mut self, now: f64, channels: Vec<String>) -> u32 {
        let ops: Vec<(OpId, String)> =
            channels.into_iter().map(|channel| (OpId(self.ops.advance()), channel)).collect();
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
                let message = format!("auth returned no credentials: {message}");
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

type Pushed = Result<(), JsValue>;

fn push_output(effects: &StreamEffects, output: Output<Event>, session: &Session) -> Pushed {
    match output {
        Output::Send(id, request) => push_request(effects, id, request, false),
        Output::Cancel(id) => effects.cancel(id.0),
        Output::Event(event) => push_event(effects, event, session.excess_events() as u32),
    }
}

fn push_request(effects: &StreamEffects, id: ExchangeId, request: Request, is_login: bool) -> Pushed {
    let (timeout_ms, max_response_bytes, response_headers) =
        (request.timeout().0 as f64, request.max_response_bytes(), request.response_headers());
    let (url, headers, body) = request.into_parts();
    effects.send(id.0, url, headers, body, timeout_ms, max_response_bytes, response_headers, is_login)
}

fn push_event(effects: &StreamEffects, event: Event, excess: u32) -> Pushed {
    match event {
        Event::Messages { source, text, is_repaired, events } => {
            let (table, channels) = event_table(&text, &events);
            let is_unchanged_frame = source.is_none() && !is_repaired;
            effects.messages(table, channels, excess, if is_unchanged_frame { &[] } else { &text })
        }
        Event::Settled(op, Ok(())) => effects.settled(op.0, 0, 0, "", Vec::new()),
        Event::Settled(op, Err(error)) => {
            let (code, status, message, reply) = error_parts(&error);
            effects.settled(op.0, code, status, message, reply)
        }
        Event::State(state) => effects.state(match state {
            State::Handshaking => 0,
            State::Connecting => 1,
            State::Connected => 2,
            State::Disconnected => 3,
        }),
        Event::Notice(Notice { kind, channel, error }) => {
            let (code, status, message, reply) = optional_error_parts(error.as_ref());
            effects.notice(kind, channel, code, status, message, reply)
        }
        Event::ConnectionLost(error, delay) => {
            let (code, status, message, reply) = error_parts(&error);
            effects.connection_lost(code, status, message, reply, delay.0 as f64)
        }
        Event::Ended(error) => {
            let (code, status, message, reply) = optional_error_parts(error.as_ref());
            effects.ended(code, status, message, reply)
        }
        Event::NeedsCredentials { is_renewal } => effects.need_credentials(is_renewal),
        Event::SocketOpen { id, url } => effects.socket_open(id, url),
        Event::SocketSend { id, text } => effects.socket_send(id, text),
        Event::SocketClose { id } => effects.socket_close(id),
    }
}

fn error_parts(error: &SessionError) -> (u8, u16, &str, Vec<String>) {
    let mut reply: Vec<String> = error.reply.iter().cloned().collect();
    if !reply.is_empty() {
        reply.extend(error.arguments());
    }
    (error.code as u8 + 1, error.status.unwrap_or(0), &error.message, reply)
}

fn optional_error_parts(error: Option<&SessionError>) -> (u8, u16, &str, Vec<String>) {
    error.map_or((0, 0, "", Vec::new()), error_parts)
}

/// The table of events, eight numbers for each: the index of its channel; start and end of the message and of
/// `data`, in UTF-16 units of the text; then the kind of its replay id and two values. Kind 0: none. 1: an
/// integer, whose upper and lower 32 bits follow. 2: text, whose start and end follow. 3: text with escapes.
fn event_table(text: &[u8], events: &[EventSpans]) -> (Vec<u32>, Vec<String>) {
    let mut table = Vec::with_capacity(events.len() * 8);
    let mut channels: Vec<(&[u8], String)> = Vec::new();
    let mut number = 0;
    for EventSpans { message, channel, data, ids } in events {
        let name = text.get(channel.start..channel.end).unwrap_or_default();
        if channels.get(number).is_none_or(|(known, _)| *known != name) {
            // Only the last 16 are searched: a channel may be listed twice, which does no harm.
            let recent = channels.len().saturating_sub(16);
            number = match channels.iter().skip(recent).position(|(known, _)| *known == name) {
                Some(at) => recent + at,
                None => {
                    channels.push((name, decode_name(name, channel.has_escapes)));
                    channels.len() - 1
                }
            };
        }
        table.push(number as u32);
        table.extend([message.0, message.1, data.start_unit, data.end_unit].map(|unit| unit as u32));
        table.extend(match ids.replay_id {
            None => [0; 3],
            Some(id) => match text.get(id.start..id.end).and_then(exact_integer) {
                Some(number) => [1, (number >> 32) as u32, number as u32],
                None => [2 + u32::from(id.has_escapes), id.start_unit as u32, id.end_unit as u32],
            },
        });
    }
    (table, channels.into_iter().map(|(_, name)| name).collect())
}

fn decode_name(name: &[u8], is_escaped: bool) -> String {
    let mut bytes = if is_escaped { vec![0; name.len()] } else { Vec::new() };
    let name = if is_escaped { unescape(name, &mut bytes).unwrap_or(name) } else { name };
    without_filter(&String::from_utf8_lossy(name)).to_owned()
}

/// An integer that a JavaScript number represents exactly and formats in the same way.
fn exact_integer(text: &[u8]) -> Option<u64> {
    let is_plain = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.len() <= 15;
    let digits = is_plain.then_some(text)?;
    digits
        .iter()
        .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(*digit - b'0')))
}

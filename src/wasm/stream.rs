//! Streams: the clients of Bayeux and of Salesforce, behind one handle, because most of what they are told and say is the same.

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use super::config;
use super::port::{failure, moment, response};
use crate::base::error::Code;
use crate::base::http::Request;
use crate::base::ids::ExchangeId;
use crate::base::json::text::unescape;
use crate::base::time::{Deadline, Moment};
use crate::bayeux::client::Client;
use crate::bayeux::message::Row;
use crate::bayeux::session::{Event, Notice, Session, SessionError, State};
use crate::engine::machine::{Input, Machine, Output};
use crate::salesforce::client as salesforce;

#[wasm_bindgen]
extern "C" {
    /// `js/systems/bayeux/driver.ts`
    pub type StreamSink;
    #[wasm_bindgen(method, structural, catch)]
    #[allow(clippy::too_many_arguments, reason = "a call to JavaScript has no other way to name them")]
    fn send(
        this: &StreamSink,
        id: u32,
        url: String,
        headers: String,
        body: Vec<u8>,
        timeout: f64,
        room: u32,
        wanted: &str,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn cancel(this: &StreamSink, id: u32) -> Result<(), JsValue>;
    /// `source` 0: what the socket said last. `table` and `channels`: see `table` below.
    #[wasm_bindgen(method, structural, catch)]
    fn messages(
        this: &StreamSink,
        source: u32,
        table: Vec<u32>,
        channels: Vec<String>,
    ) -> Result<(), JsValue>;
    /// `code` 0 is success.
    #[wasm_bindgen(method, structural, catch)]
    fn settled(this: &StreamSink, op: u32, code: u8, status: u16, message: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn state(this: &StreamSink, state: u8) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn notice(
        this: &StreamSink,
        kind: &str,
        channel: Option<String>,
        code: u8,
        status: u16,
        message: &str,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn lost(this: &StreamSink, code: u8, status: u16, message: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn ended(this: &StreamSink, code: u8, status: u16, message: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn credentials(this: &StreamSink, renew: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn sign(this: &StreamSink, claims: String) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn rotated(this: &StreamSink, token: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn socket_open(this: &StreamSink, id: u32, url: String) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn socket_send(this: &StreamSink, id: u32, text: String) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn socket_close(this: &StreamSink, id: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    fn wait(this: &StreamSink, at: f64) -> Result<(), JsValue>;
}

/// What the options say which of them it is.
pub(super) enum Stream {
    Bayeux(Box<Client>),
    Salesforce(Box<salesforce::Client>),
}

/// One stream.
#[wasm_bindgen]
pub struct StreamPort(Stream);

#[wasm_bindgen]
impl StreamPort {
    /// A client that does nothing yet, with options as `config.rs` reads them.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue, seed: f64) -> Result<Self, JsError> {
        Ok(Self(config::stream(options, seed.to_bits())?))
    }

    /// Starts.
    pub fn open(&mut self, now: f64) -> u32 {
        self.session().open(moment(now)).0
    }

    /// Subscribes to a channel.
    pub fn subscribe(&mut self, now: f64, channel: &str) -> u32 {
        self.session().subscribe(moment(now), channel).0
    }

    /// Takes subscriptions to a channel back.
    pub fn unsubscribe(&mut self, now: f64, channel: &str, all: bool) -> u32 {
        self.session().unsubscribe(moment(now), channel, all).0
    }

    /// Publishes a JSON text.
    pub fn publish(&mut self, now: f64, channel: &str, data: &str) -> u32 {
        match &mut self.0 {
            Stream::Bayeux(client) => client.publish(moment(now), channel, data).0,
            Stream::Salesforce(client) => client.publish(moment(now), channel, data).0,
        }
    }

    /// Where a channel goes on.
    pub fn mark(&mut self, channel: &str, id: &str) {
        if let Stream::Salesforce(client) = &mut self.0 {
            client.set_mark(channel, id);
        }
    }

    /// Credentials, as header lines.
    pub fn authorize(&mut self, now: f64, headers: String) {
        self.session().authorize(moment(now), headers, None);
    }

    /// No credentials.
    pub fn unauthorized(&mut self, now: f64, message: String) {
        let trouble = SessionError::new(Code::Unauthorized, message);
        self.session().unauthorized(moment(now), trouble, None, true);
    }

    /// Signed claims, none if they could not be signed.
    pub fn signed(&mut self, now: f64, assertion: Option<String>) {
        if let Stream::Salesforce(client) = &mut self.0 {
            client.signed(moment(now), assertion.as_deref());
        }
    }

    /// There is no room for more events.
    pub fn pause(&mut self, now: f64) {
        self.session().pause(moment(now));
    }

    /// There is room again.
    pub fn resume(&mut self, now: f64) {
        self.session().resume_polling(moment(now));
    }

    /// Says goodbye.
    pub fn close(&mut self, now: f64) {
        self.session().close(moment(now));
    }

    /// A socket was opened.
    pub fn socket_opened(&mut self, now: f64, id: u32) {
        self.session().socket_opened(moment(now), id);
    }

    /// A socket has said something.
    pub fn socket_text(&mut self, now: f64, id: u32, text: Vec<u8>) {
        if let Stream::Bayeux(client) = &mut self.0 {
            client.socket_text(moment(now), id, text);
        }
    }

    /// A socket was closed.
    pub fn socket_closed(&mut self, now: f64, id: u32, code: u16) {
        if let Stream::Bayeux(client) = &mut self.0 {
            client.socket_closed(moment(now), id, code);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64) {
        self.handle(moment(now), Input::Tick);
    }

    /// An exchange was answered.
    pub fn response(&mut self, now: f64, id: u32, status: u16, after: f64, headers: String, body: Vec<u8>) {
        let response = response(status, after, headers, body);
        self.handle(moment(now), Input::Exchange(ExchangeId(id), Ok(response)));
    }

    /// An exchange came to nothing.
    pub fn failure(&mut self, now: f64, id: u32, why: u8) {
        self.handle(moment(now), Input::Exchange(ExchangeId(id), Err(failure(why))));
    }

    /// Says everything that is to be done.
    pub fn drain(&mut self, sink: &StreamSink) {
        loop {
            let output = match &mut self.0 {
                Stream::Bayeux(client) => match client.poll() {
                    Output::Event(event) => say(sink, event),
                    other => carry(sink, other),
                },
                Stream::Salesforce(client) => match client.poll() {
                    Output::Event(salesforce::Event::Session(event)) => say(sink, event),
                    Output::Event(salesforce::Event::Sign { claims }) => said(sink.sign(claims)),
                    Output::Event(salesforce::Event::RefreshToken(token)) => {
                        said(sink.rotated(token.expose()))
                    }
                    other => carry(sink, other),
                },
            };
            if output.is_break() {
                return;
            }
        }
    }
}

impl StreamPort {
    fn session(&mut self) -> &mut Session {
        match &mut self.0 {
            Stream::Bayeux(client) => &mut client.session,
            Stream::Salesforce(client) => &mut client.session,
        }
    }

    fn handle(&mut self, now: Moment, input: Input) {
        match &mut self.0 {
            Stream::Bayeux(client) => client.handle(now, input),
            Stream::Salesforce(client) => client.handle(now, input),
        }
    }
}

type Next = core::ops::ControlFlow<()>;

/// The sink never throws; and there would be nobody to tell.
fn said(result: Result<(), JsValue>) -> Next {
    drop(result);
    Next::Continue(())
}

fn carry<E>(sink: &StreamSink, output: Output<E>) -> Next {
    match output {
        Output::Send(id, request) => send(sink, id, request),
        Output::Cancel(id) => said(sink.cancel(id.0)),
        Output::Wait(Deadline::At(at)) => {
            drop(sink.wait(at.as_millis() as f64));
            Next::Break(())
        }
        Output::Wait(Deadline::Never) => Next::Break(()),
        // A stream keeps nothing.
        Output::Load(_) | Output::Save(..) | Output::Event(_) => Next::Continue(()),
    }
}

fn send(sink: &StreamSink, id: ExchangeId, request: Request) -> Next {
    let (timeout, room, wanted) =
        (request.timeout().0 as f64, request.max_response_bytes(), request.response_headers());
    let (url, headers, body) = request.into_parts();
    said(sink.send(id.0, url, headers, body, timeout, room, wanted))
}

fn say(sink: &StreamSink, event: Event) -> Next {
    said(match event {
        Event::Messages { source, text, rows } => {
            let (table, channels) = table(&text, &rows);
            sink.messages(source.map_or(0, |id| id.0), table, channels)
        }
        Event::Settled(op, Ok(())) => sink.settled(op.0, 0, 0, ""),
        Event::Settled(op, Err(trouble)) => {
            let (code, status, message) = parts(&trouble);
            sink.settled(op.0, code, status, message)
        }
        Event::State(state) => sink.state(match state {
            State::Handshaking => 0,
            State::Connecting => 1,
            State::Connected => 2,
            State::Disconnected => 3,
        }),
        Event::Notice(Notice { kind, channel, trouble }) => {
            let (code, status, message) = trouble.as_ref().map_or((0, 0, ""), parts);
            sink.notice(kind, channel, code, status, message)
        }
        Event::Lost(trouble) => {
            let (code, status, message) = parts(&trouble);
            sink.lost(code, status, message)
        }
        Event::Ended(trouble) => {
            let (code, status, message) = trouble.as_ref().map_or((0, 0, ""), parts);
            sink.ended(code, status, message)
        }
        Event::NeedsToken { renew } => sink.credentials(renew),
        Event::SocketOpen { id, url } => sink.socket_open(id, url),
        Event::SocketSend { id, text } => sink.socket_send(id, text),
        Event::SocketClose { id } => sink.socket_close(id),
    })
}

fn parts(trouble: &SessionError) -> (u8, u16, &str) {
    (trouble.code as u8 + 1, trouble.status.unwrap_or(0), &trouble.message)
}

/// Eight words for each event: the number of its channel; message and data, each from and to in UTF-16 units of the text; then where its replay id
/// is: 0 there is none, 1 it is the number whose upper and lower half follow, 2 it stands in the text from and to, 3 the same with escapes.
fn table(text: &[u8], rows: &[Row]) -> (Vec<u32>, Vec<String>) {
    let mut table = Vec::with_capacity(rows.len() * 8);
    let mut channels: Vec<(&[u8], String)> = Vec::new();
    let mut number = 0;
    for Row { message, channel, data, marks } in rows {
        let name = text.get(channel.start..channel.end).unwrap_or_default();
        if channels.get(number).is_none_or(|(known, _)| *known != name) {
            // Where there are many, some are named twice; that does no harm.
            let recent = channels.len().saturating_sub(16);
            number = match channels.iter().skip(recent).position(|(known, _)| *known == name) {
                Some(at) => recent + at,
                None => {
                    channels.push((name, decoded(name, channel.has_escapes)));
                    channels.len() - 1
                }
            };
        }
        table.push(number as u32);
        table.extend([message.0, message.1, data.start_unit, data.end_unit].map(|unit| unit as u32));
        table.extend(match marks.position {
            None => [0; 3],
            Some(id) => match text.get(id.start..id.end).and_then(short_number) {
                Some(number) => [1, (number >> 32) as u32, number as u32],
                None => [2 + u32::from(id.has_escapes), id.start_unit as u32, id.end_unit as u32],
            },
        });
    }
    (table, channels.into_iter().map(|(_, name)| name).collect())
}

fn decoded(name: &[u8], is_escaped: bool) -> String {
    let mut bytes = if is_escaped { vec![0; name.len()] } else { Vec::new() };
    let name = if is_escaped { unescape(name, &mut bytes).unwrap_or(name) } else { name };
    String::from_utf8_lossy(name).into_owned()
}

/// A number that JavaScript holds, and writes as it stands here.
fn short_number(text: &[u8]) -> Option<u64> {
    let is_plain = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.len() <= 15;
    let digits = is_plain.then_some(text)?;
    digits
        .iter()
        .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(*digit - b'0')))
}

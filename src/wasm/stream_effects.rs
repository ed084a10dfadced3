//! The effects of a stream, as calls of its effect queue in JavaScript.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::event_table::event_table;
use crate::base::http::Request;
use crate::base::ids::ExchangeId;
use crate::bayeux::errors::SessionError;
use crate::bayeux::session::{Event, Notice, Session, State};
use crate::engine::machine::Output;

#[wasm_bindgen]
extern "C" {
    /// The effect queue of a stream; `js/systems/bayeux/driver.ts` has its handlers.
    pub type StreamEffects;
    #[wasm_bindgen(method, structural, catch)]
    #[allow(clippy::too_many_arguments, reason = "a call to JavaScript has no other way to name them")]
    /// Extensions of the application see the request, and its headers are added, unless it `is_login`.
    pub(super) fn send(
        this: &StreamEffects,
        id: u32,
        url: &str,
        headers: &str,
        body: Vec<u8>,
        timeout_ms: f64,
        max_response_bytes: u32,
        response_headers: &str,
        is_login: bool,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn cancel(this: &StreamEffects, id: u32) -> Result<(), JsValue>;
    /// For `table` and `channels` see `event_table`, whose offsets refer to `text`. `text` is in the memory of the
    /// module, and valid during the call; it is empty if it is the last frame of the socket, unchanged. `excess`:
    /// how many messages must be taken before polling goes on; 0 if it goes on.
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn messages(
        this: &StreamEffects,
        table: Vec<u32>,
        channels: Vec<String>,
        excess: u32,
        text: &[u8],
    ) -> Result<(), JsValue>;
    /// `code` is 0 for success. `reply`: the refusal of the server as JSON, then the arguments of its error;
    /// empty if there was none. The same for all errors.
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn settled(
        this: &StreamEffects,
        op: u32,
        code: u8,
        status: u16,
        message: &str,
        reply: Vec<String>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn state(this: &StreamEffects, state: u8) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn notice(
        this: &StreamEffects,
        kind: &str,
        channel: Option<&str>,
        code: u8,
        status: u16,
        message: &str,
        reply: Vec<String>,
    ) -> Result<(), JsValue>;
    /// `delay_ms`: the time until the next attempt.
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn connection_lost(
        this: &StreamEffects,
        code: u8,
        status: u16,
        message: &str,
        reply: Vec<String>,
        delay_ms: f64,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn ended(
        this: &StreamEffects,
        code: u8,
        status: u16,
        message: &str,
        reply: Vec<String>,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn need_credentials(this: &StreamEffects, is_renewal: bool) -> Result<(), JsValue>;
    /// `issued_at` is a Unix time in milliseconds.
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn granted(
        this: &StreamEffects,
        authorization: &str,
        instance_url: &str,
        issued_at: f64,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn sign(this: &StreamEffects, claims: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn refresh_token(this: &StreamEffects, token: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn socket_open(this: &StreamEffects, id: u32, url: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn socket_send(this: &StreamEffects, id: u32, text: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn socket_close(this: &StreamEffects, id: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, structural, catch)]
    pub(super) fn wait(this: &StreamEffects, at: f64) -> Result<(), JsValue>;
}

type Pushed = Result<(), JsValue>;

/// Pushes an output of a session.
pub(super) fn push_output(effects: &StreamEffects, output: Output<Event>, session: &Session) -> Pushed {
    match output {
        Output::Send(id, request) => push_request(effects, id, request, false),
        Output::Cancel(id) => effects.cancel(id.0),
        Output::Event(event) => push_event(effects, event, session.excess_events() as u32),
    }
}

/// Pushes a request of a session or a login.
pub(super) fn push_request(
    effects: &StreamEffects,
    id: ExchangeId,
    request: Request,
    is_login: bool,
) -> Pushed {
    let (timeout_ms, max_response_bytes, response_headers) =
        (request.timeout().0 as f64, request.max_response_bytes(), request.response_headers());
    let (url, headers, body) = request.into_parts();
    effects.send(id.0, &url, &headers, body, timeout_ms, max_response_bytes, response_headers, is_login)
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
            effects.notice(kind, channel.as_deref(), code, status, message, reply)
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
        Event::SocketOpen { id, url } => effects.socket_open(id, &url),
        Event::SocketSend { id, text } => effects.socket_send(id, &text),
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

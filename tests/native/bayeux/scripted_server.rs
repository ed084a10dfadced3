//! The scripted server of a scenario.
//!
//! A script is a list of steps. A request uses the first unused step that matches it and belongs to its
//! session: steps after the second successful handshake are not for the first session. Without a step,
//! handshakes and connects are held, and all other messages succeed.

use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::Millis;
use serde_json::{Value, json};

use crate::simulation::{Record, Scheduled, Simulation, text};

impl Simulation {
    /// The first unused step that matches; it is used from now on.
    pub(crate) fn take_step(&mut self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let (now, sessions) = (self.now, self.sessions.max(1));
        let found = self.steps.iter_mut().find(|step| {
            let repeats = step.step["repeat_for_ms"].as_u64();
            let is_free = match (step.taken_at, repeats) {
                (None, _) => true,
                (Some(at), Some(ms)) => now < at + ms,
                (Some(_), None) => false,
            };
            is_free && (step.session <= sessions || step.step["on"] == "/meta/handshake") && fits(&step.step)
        })?;
        found.taken_at.get_or_insert(now);
        Some(found.step.clone())
    }

    /// The steps for a request: one for all of its messages, or one for each.
    pub(crate) fn steps_for(
        &mut self,
        messages: &[Value],
        via: &'static str,
        url: &str,
    ) -> Vec<(Option<Value>, Vec<Value>)> {
        let channels: Vec<String> = messages.iter().map(|message| text(&message["channel"])).collect();
        let host =
            url.split("://").nth(1).unwrap_or_default().split('/').next().unwrap_or_default().to_owned();
        let fits = move |step: &Value, on: &dyn Fn(&str) -> bool| {
            on(step["on"].as_str().unwrap_or_default())
                && step["via"].as_str().is_none_or(|wanted| wanted == via)
                && step["host"].as_str().is_none_or(|wanted| wanted == host)
        };
        let batched = self.take_step(|step| {
            fits(step, &|on| {
                on.strip_prefix("batch:").is_some_and(|on| {
                    let mut on = on.split(',');
                    channels.iter().all(|channel| on.clone().any(|on| on == channel))
                        && on.all(|on| channels.iter().any(|channel| on == channel))
                })
            })
        });
        if let Some(step) = batched {
            return vec![(Some(step), messages.to_vec())];
        }
        let mut found = Vec::new();
        for message in messages {
            let channel = text(&message["channel"]);
            let fitting = |step: &Value| {
                let about = &step["reply"]
                    .as_array()
                    .and_then(|reply| reply.iter().find(|part| part["channel"] == channel).cloned());
                let subscription =
                    about.as_ref().map(|about| about["subscription"].clone()).unwrap_or_default();
                let is_same = subscription.is_null() || subscription == message["subscription"];
                fits(step, &|on| on == channel || on == "*") && is_same
            };
            let step = self.take_step(fitting);
            found.push((step, vec![message.clone()]));
        }
        found
    }

    pub(crate) fn on_request(&mut self, id: ExchangeId, request: &Request) {
        let body = String::from_utf8(request.body().to_vec()).expect("UTF-8");
        if request.url().contains("/oauth2/token") {
            let content_type = request.headers().contains("application/x-www-form-urlencoded");
            self.log(Record::Token { form: body, content_type });
            let step = self.take_step(|step| step["on"].as_str().is_some_and(|on| on.starts_with("POST")));
            self.in_flight.insert(id.0, (self.now, "token".to_owned(), false));
            let (after, outcome) = step.map_or((0, Err(Failure::Network)), |step| http(&step, &[], request));
            return self.schedule(after + 1, Scheduled::ExchangeEnd(id, outcome));
        }
        let messages: Vec<Value> = serde_json::from_str(&body).expect("an array");
        self.sent(&messages, "http", request.url(), request.headers(), request.timeout().0, body.len());
        let channel = text(&messages[0]["channel"]);
        let mut replies = Vec::new();
        let mut ending = None;
        for (step, messages) in self.steps_for(&messages, "http", request.url()) {
            let Some(step) = step else {
                if messages.iter().any(|message| {
                    ["/meta/handshake", "/meta/connect"]
                        .contains(&message["channel"].as_str().unwrap_or_default())
                }) {
                    ending = Some((request.timeout().0, Err(Failure::Timeout)));
                } else {
                    replies.extend(messages.iter().map(success_reply));
                }
                continue;
            };
            if step["reply"].is_array() || step["reply"] == "$ack_all" {
                replies.extend(replies_of(&step, &messages));
            }
            let (after, outcome) = http(&step, &messages, request);
            ending = Some((ending.map_or(0, |(after, _)| after).max(after), outcome));
        }
        let (after, mut outcome) = ending.unwrap_or((0, Ok(Response::new(200))));
        if let Ok(response) = &mut outcome
            && (!replies.is_empty())
        {
            response.body = serde_json::to_vec(&replies).expect("JSON");
        }
        let (after, outcome) = if after >= request.timeout().0 {
            if let Ok(response) = outcome {
                self.schedule(after, Scheduled::LateResponse(id, response));
            }
            (request.timeout().0, Err(Failure::Timeout))
        } else {
            (after + 1, outcome)
        };
        if replies.iter().any(|part| part["channel"] == "/meta/handshake" && part["successful"] == true) {
            self.sessions += 1;
        }
        let failed =
            outcome.is_err() || replies.iter().any(|part| part["successful"] == false) || replies.is_empty();
        self.in_flight.insert(id.0, (self.now, channel, failed));
        let connects = self.in_flight.values().filter(|(_, channel, _)| channel == "/meta/connect").count();
        self.max_in_flight =
            (self.max_in_flight.0.max(connects), self.max_in_flight.1.max(self.in_flight.len()));
        self.schedule(after, Scheduled::ExchangeEnd(id, outcome));
    }

    pub(crate) fn sent(
        &mut self,
        messages: &[Value],
        via: &'static str,
        url: &str,
        headers: &str,
        timeout: u64,
        bytes: usize,
    ) {
        self.requests += 1;
        let (request, with) = (self.requests, messages.len());
        for message in messages {
            let (url, headers) = (url.to_owned(), headers.to_owned());
            self.log(Record::Sent {
                message: message.clone(),
                request,
                with,
                via,
                url,
                headers,
                timeout,
                bytes,
            });
        }
    }

    pub(crate) fn on_frame(&mut self, id: u32, body: &str) {
        let messages: Vec<Value> = serde_json::from_str(body).expect("an array");
        self.sent(&messages, "websocket", "ws://server/", "", 0, body.len());
        for (step, messages) in self.steps_for(&messages, "websocket", "ws://server/") {
            let Some(step) = step else {
                let quiet = ["/meta/handshake", "/meta/connect"];
                for message in messages
                    .iter()
                    .filter(|message| !quiet.contains(&message["channel"].as_str().unwrap_or_default()))
                {
                    self.schedule(5, Scheduled::Frame(id, json!([success_reply(message)]).to_string()));
                }
                continue;
            };
            let delay = step["delay"].as_u64().unwrap_or(0) + 1;
            if let Some(code) = step["ws_close"].as_u64() {
                self.schedule(delay, Scheduled::SocketClosed(id, code as u16));
            } else if step["raw"] == "not json" {
                self.schedule(delay, Scheduled::Frame(id, "not json".to_owned()));
            } else if !step["reply"].is_null() {
                let mut replies = replies_of(&step, &messages);
                if self.is_socket && replies[0]["channel"] == "/meta/handshake" {
                    replies[0]["supportedConnectionTypes"] = json!(["websocket"]);
                }
                if replies
                    .iter()
                    .any(|part| part["channel"] == "/meta/handshake" && part["successful"] == true)
                {
                    self.sessions += 1;
                }
                let frame = if step["raw"] == "object" {
                    replies[0].to_string()
                } else {
                    Value::Array(replies).to_string()
                };
                self.schedule(delay, Scheduled::Frame(id, frame));
            }
            for later in step["then"].as_array().into_iter().flatten() {
                let frame = Value::Array(replies_of(later, &messages)).to_string();
                self.schedule(later["after_ms"].as_u64().unwrap_or(1) + delay, Scheduled::Frame(id, frame));
            }
            for (at, push) in step["push"].as_array().into_iter().flatten().enumerate() {
                self.schedule(10 + at as u64, Scheduled::Frame(id, push.to_string()));
            }
        }
    }
}

pub(crate) fn success_reply(message: &Value) -> Value {
    let mut reply = json!({ "channel": message["channel"], "id": message["id"], "successful": true });
    if !message["subscription"].is_null() {
        reply["subscription"] = message["subscription"].clone();
    }
    reply
}

/// The replies of a step, with the ids of their requests.
pub(crate) fn replies_of(step: &Value, messages: &[Value]) -> Vec<Value> {
    if step["reply"] == "$ack_all" {
        return messages.iter().map(success_reply).collect();
    }
    let mut replies: Vec<Value> = step["reply"].as_array().cloned().unwrap_or_default();
    for part in &mut replies {
        let asked = messages.iter().find(|message| {
            message["channel"] == part["channel"]
                && (part["subscription"].is_null() || part["subscription"] == message["subscription"])
        });
        let id = asked.map(|message| message["id"].clone()).unwrap_or_default();
        if part["id"] == "$id" {
            part["id"] = id;
        } else if part["id"] == "$id_as_number" {
            part["id"] = json!(text(&id).parse::<u32>().expect("a number"));
        }
    }
    replies
}

/// What a step does with a request over HTTP, and when.
pub(crate) fn http(step: &Value, messages: &[Value], request: &Request) -> (u64, Result<Response, Failure>) {
    let delay = step["delay"].as_u64().unwrap_or(0);
    if step["drop"] == true {
        return (delay, Err(Failure::Network));
    }
    if step["hang"] == true {
        return (request.timeout().0, Err(Failure::Timeout));
    }
    let mut response = Response::new(step["status"].as_u64().unwrap_or(200) as u16);
    for (name, value) in step["headers"].as_object().into_iter().flatten() {
        if name == "Retry-After" {
            response.retry_after = Some(Millis(text(value).parse::<u64>().expect("seconds") * 1000));
        }
    }
    let joined = step["joined_set_cookie"].as_str().into_iter();
    for cookie in step["set_cookie"].as_array().into_iter().flatten().filter_map(Value::as_str).chain(joined)
    {
        if request.response_headers() == "set-cookie" {
            response.headers.push_str(&format!("set-cookie: {cookie}\n"));
        }
    }
    response.body = if let Some(raw) = step["raw_reply"].as_str() {
        let id = messages.first().map(|message| text(&message["id"])).unwrap_or_default();
        raw.replace("$id", &id).into_bytes()
    } else if let Some(body) = step["body"].as_str() {
        body.as_bytes().to_vec()
    } else if !step["json"].is_null() {
        step["json"].to_string().into_bytes()
    } else {
        Value::Array(replies_of(step, messages)).to_string().into_bytes()
    };
    (delay, Ok(response))
}

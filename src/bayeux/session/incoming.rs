//! What a session makes of an answer: events first, then the replies.
//!
//! ```text
//!   answer ──read──┬─ events ──held back? ──> the owner
//!                  └─ replies ──> sent? ──┬─ successful ──> shaken, connected, granted
//!                                         └─ not ────────> recovery.rs
//! ```

use super::recovery::{failed, unknown_advice};
use super::{Event, Pace, Phase, Sent, Session, Standing, State, Timer, Todo, Via};
use crate::base::error::Code;
use crate::base::http::{Failure, Response};
use crate::base::ids::ExchangeId;
use crate::base::json::find::Document;
use crate::base::json::padded::Padded;
use crate::base::time::Millis;
use crate::bayeux::dialect::{Continuity, Dialect, Kind, Reaction};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::{Advice, Reading, Reconnect, Reply, Row, read};
use crate::bayeux::wire::{Transport, without_filter};

impl Session {
    pub(super) fn land(
        &mut self,
        id: ExchangeId,
        outcome: Result<Response, Failure>,
        dialect: &mut dyn Dialect,
    ) {
        let mut failure = None;
        match outcome {
            Ok(mut response) => {
                for cookie in response.headers_named("set-cookie") {
                    self.jar.store(&self.url, cookie, self.unix(self.now));
                }
                let document = Document::new(core::mem::take(&mut response.body));
                match read(document.padded(), dialect.data_reader()) {
                    Ok(reading) if !reading.rows.is_empty() || !reading.replies.is_empty() => {
                        self.take(Some(id), document, reading, dialect);
                    }
                    other => {
                        response.body = document.into_text();
                        failure = Some(failed(&Ok(response), other.is_ok()));
                    }
                }
            }
            Err(why) => failure = Some(failed(&Err(why), false)),
        }
        let (trouble, hint) = failure.unwrap_or_else(|| {
            (
                SessionError::new(
                    Code::Unavailable,
                    "the answer of the server has no reply to the message in it",
                ),
                None,
            )
        });
        let mut left = Vec::new();
        self.sent.retain(|sent| {
            let is_left = sent.via == Via::Exchange(id);
            if is_left {
                left.push(sent.clone());
            }
            !is_left
        });
        if left.is_empty() {
            return;
        }
        if trouble.status == Some(401) && self.options.needs_auth && self.phase != Phase::Closing {
            self.refuse_sent(left, &trouble);
            return self.react(Reaction::Reauthorize);
        }
        self.notice("trouble", None, Some(trouble.clone()));
        for sent in left {
            self.unanswered(sent, &trouble, hint);
        }
    }

    /// Takes in everything that an answer or frame has in it.
    pub(super) fn take(
        &mut self,
        source: Option<ExchangeId>,
        document: Document,
        reading: Reading,
        dialect: &mut dyn Dialect,
    ) {
        let Reading { mut rows, replies } = reading;
        let text = document.padded();
        let held_back = self.channels_held_back(source, dialect);
        if !held_back.is_empty() {
            let name = |row: &Row| text.get(row.channel.start, row.channel.end);
            for (channel, from) in held_back {
                let is_of = |row: &Row| row.marks.position.is_some() && name(row) == channel.as_bytes();
                // Of an answer to its own subscription what the server had ready before is left out: it comes again behind that.
                let until = if from { behind_descent(text, &rows, is_of) } else { rows.len() };
                let mut at = 0;
                let mut has_dropped = false;
                rows.retain(|row| {
                    let drops = at < until && is_of(row);
                    at += 1;
                    has_dropped |= drops;
                    !drops
                });
                if has_dropped && !from {
                    self.has_more = true;
                    for known in &mut self.subscriptions {
                        known.has_gap |= without_filter(&known.channel) == channel;
                    }
                }
            }
        }
        rows.retain(|row| dialect.arrived(text, row));
        self.events_seen = rows.len();
        if !rows.is_empty() && self.phase != Phase::Closed {
            self.is_paused |= self.options.waits_for_room;
            self.announce(Event::Messages { source, text: document.into_text(), rows });
        }
        for reply in replies {
            if self.phase == Phase::Closed {
                return;
            }
            self.hear(&reply, dialect);
        }
    }

    /// Channels whose events in this answer come again, and would overtake others now. True: only those that stand before what was asked for.
    pub(super) fn channels_held_back(
        &self,
        source: Option<ExchangeId>,
        dialect: &dyn Dialect,
    ) -> Vec<(String, bool)> {
        let is_overdue = self.is_paused && self.is_overdue;
        let mut names = Vec::new();
        for known in &self.subscriptions {
            let is_usual = known.standing == Standing::Live && !known.has_gap && !is_overdue;
            if is_usual || self.ack.is_some() || dialect.continuity(&known.channel) != Continuity::Kept {
                continue;
            }
            let is_own = known.standing == Standing::Asked
                && self.sent.iter().any(|sent| {
                    sent.kind == Kind::Subscribe
                        && sent.channel == known.channel
                        && source.is_some_and(|source| sent.via == Via::Exchange(source))
                });
            // A new session that sends what was not asked for yet has it from the one before.
            let is_unasked = known.standing == Standing::Wanted && !known.has_gap;
            if !is_unasked {
                names.push((without_filter(&known.channel).to_owned(), is_own));
            }
        }
        names
    }

    /// Whether a channel that goes on where it was is being asked for, or is just going to be.
    pub(super) fn takes_up(&self, dialect: &dyn Dialect) -> bool {
        self.subscriptions.iter().any(|known| {
            let is_asked = known.standing == Standing::Asked
                || known.standing == Standing::Wanted
                    && self
                        .todo
                        .iter()
                        .any(|todo| matches!(todo, Todo::Subscribe(channel) if *channel == known.channel));
            is_asked && dialect.continuity(&known.channel) == Continuity::Kept
        })
    }

    /// Whether a channel is just being taken back, to be asked for again.
    pub(super) fn leaves(&self) -> bool {
        self.todo.iter().any(|todo| matches!(todo, Todo::Unsubscribe(_, None)))
            || self.sent.iter().any(|sent| sent.kind == Kind::Unsubscribe && sent.op.is_none())
    }

    pub(super) fn hear(&mut self, reply: &Reply, dialect: &mut dyn Dialect) {
        let kind = match reply.channel.as_str() {
            "/meta/handshake" => Kind::Handshake,
            "/meta/connect" => Kind::Connect,
            "/meta/subscribe" => Kind::Subscribe,
            "/meta/unsubscribe" => Kind::Unsubscribe,
            "/meta/disconnect" => Kind::Disconnect,
            channel if channel.starts_with("/meta/") => return,
            _ => Kind::Publish,
        };
        let channels = reply.subscriptions();
        let answered = self.sent.iter().position(|sent| {
            sent.kind == kind
                && match &reply.id {
                    Some(id) => *id == sent.id.to_string(),
                    None => channels.is_empty() || channels.contains(&sent.channel),
                }
                && (kind != Kind::Publish || sent.channel == reply.channel)
        });
        let Some(at) = answered else {
            // A server may say goodbye unasked.
            if kind == Kind::Disconnect && self.phase != Phase::Closing {
                self.closed_by_server(reply);
            }
            return;
        };
        let Some(successful) = reply.successful else { return };
        let sent = self.sent.remove(at);
        if successful {
            self.granted(&sent, reply, dialect);
        } else {
            self.refused(sent, reply, dialect);
        }
    }

    pub(super) fn granted(&mut self, sent: &Sent, reply: &Reply, dialect: &mut dyn Dialect) {
        match sent.kind {
            Kind::Handshake => self.shaken(reply, dialect),
            Kind::Connect => self.connected(reply, dialect),
            Kind::Subscribe => {
                if let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == sent.channel)
                {
                    (known.standing, known.was_live, known.refusals) = (Standing::Live, true, 0);
                    for op in core::mem::take(&mut known.waiting) {
                        self.settle(op, Ok(()));
                    }
                }
                self.go_on_polling();
            }
            Kind::Unsubscribe => {
                self.settle_if(sent.op, Ok(()));
                self.go_on_polling();
            }
            Kind::Publish => self.settle_if(sent.op, Ok(())),
            Kind::Disconnect => self.end(None),
        }
    }

    pub(super) fn shaken(&mut self, reply: &Reply, dialect: &mut dyn Dialect) {
        let Some(client_id) = reply.client_id() else {
            let trouble =
                SessionError::new(Code::Unavailable, "the server granted a session, but gave no clientId");
            self.notice("trouble", None, Some(trouble));
            let rest = self.rest(None);
            return self.again(rest);
        };
        if self.phase == Phase::Closing {
            return self.goodbye(&client_id);
        }
        let offers =
            reply.get(&["supportedConnectionTypes"]).map(|value| value.strings()).unwrap_or_default();
        let offered =
            |transport: Transport| offers.is_empty() || offers.iter().any(|offer| offer == transport.name());
        if !offered(self.transport) {
            let Some(other) = self.options.transports.iter().copied().find(|other| offered(*other)) else {
                let message = format!("the server offers none of our transports, but {}", offers.join(", "));
                return self.stop(SessionError::new(Code::Rejected, message));
            };
            self.switch_to(other);
        }
        self.advise(&reply.advice(self.transport.name()).unwrap_or_default());
        self.ack = match reply.get(&["ext", "ack"]) {
            Some(offer) if self.options.ack => match offer.bool() {
                Some(true) => Some(0),
                Some(false) => None,
                None => match reply.get(&["ext", "ack", "enabled"]).and_then(|enabled| enabled.bool()) {
                    Some(true) => {
                        Some(reply.get(&["ext", "ack", "batch"]).and_then(|n| n.integer()).unwrap_or(0))
                    }
                    _ => None,
                },
            },
            _ => None,
        };
        self.client_id = Some(client_id);
        self.phase = Phase::Connecting;
        (self.is_unproven, self.is_held) = (true, false);
        self.announce(Event::State(State::Connecting));
        if core::mem::replace(&mut self.has_had_session, true) {
            self.notice("session_replaced", None, None);
        }
        if let Some(lack) = dialect.shaken(reply) {
            self.notice(lack, None, None);
        }
        self.subscribe_anew(dialect);
        self.again(Millis(0));
    }

    /// A new session knows no subscriptions.
    pub(super) fn subscribe_anew(&mut self, dialect: &dyn Dialect) {
        for todo in core::mem::take(&mut self.todo) {
            match todo {
                Todo::Publish(..) => self.todo.push_back(todo),
                // That is done with the session.
                Todo::Unsubscribe(_, op) => self.settle_if(op, Ok(())),
                Todo::Subscribe(_) => {}
            }
        }
        let mut anew = Vec::new();
        let mut gaps = Vec::new();
        for known in &mut self.subscriptions {
            (known.standing, known.has_gap, known.is_left) = (Standing::Wanted, false, false);
            if known.was_live && dialect.continuity(&known.channel) != Continuity::Kept {
                gaps.push(known.channel.clone());
            }
            anew.push(Todo::Subscribe(known.channel.clone()));
        }
        for (at, todo) in anew.into_iter().enumerate() {
            self.todo.insert(at, todo);
        }
        for channel in gaps {
            self.notice("possible_gap", Some(channel), None);
        }
    }

    pub(super) fn connected(&mut self, reply: &Reply, dialect: &dyn Dialect) {
        if !matches!(self.phase, Phase::Connecting | Phase::Connected) {
            return;
        }
        if let Some(batch) = reply.get(&["ext", "ack"]).and_then(|ack| ack.integer())
            && self.ack.is_some()
        {
            self.ack = Some(batch);
        }
        let advice = reply.advice(self.transport.name());
        if let Some(advice) = &advice {
            self.advise(advice);
        }
        let advice = advice.unwrap_or_default();
        match advice.reconnect {
            Some(Reconnect::None) => return self.closed_by_server(reply),
            Some(Reconnect::Unknown) => return self.stop(unknown_advice()),
            Some(Reconnect::Handshake) => return self.new_session(false),
            Some(Reconnect::Retry) | None if advice.interval.is_some_and(|interval| interval < 0) => {
                return self.closed_by_server(reply);
            }
            Some(Reconnect::Retry) | None => {}
        }
        if advice.multiple_clients {
            self.notice("multiple_clients", None, None);
        }
        let was_connected = core::mem::replace(&mut self.phase, Phase::Connected) == Phase::Connected;
        self.link_is_up();
        if !was_connected {
            self.announce(Event::State(State::Connected));
        }
        if let Some(op) = self.opening.take() {
            self.settle(op, Ok(()));
        }
        if !self.is_paused {
            self.close_gaps(dialect);
        }
        let is_settled = self.subscriptions.iter().all(|known| known.standing == Standing::Live);
        if self.options.drains && was_connected && is_settled && self.events_seen == 0 {
            return self.close(self.now);
        }
        self.again(self.pace.interval);
    }

    /// Answers were lost. What was in them comes again to those who subscribe again from where they were; but first what the server has ready
    /// has to run off, because it would come before that.
    pub(super) fn close_gaps(&mut self, dialect: &dyn Dialect) {
        let has_more = core::mem::take(&mut self.has_more);
        let mut gaps = Vec::new();
        for known in &mut self.subscriptions {
            // One that is being asked for keeps its gap until it is answered.
            if !known.has_gap || known.standing == Standing::Asked {
                continue;
            }
            let is_kept = dialect.continuity(&known.channel) == Continuity::Kept;
            // What the server repeats by itself is not lost.
            if self.ack.is_none() && is_kept {
                known.standing = Standing::Wanted;
                self.todo
                    .retain(|todo| !matches!(todo, Todo::Subscribe(channel) if *channel == known.channel));
                if !core::mem::replace(&mut known.is_left, true) {
                    self.todo.push_back(Todo::Unsubscribe(known.channel.clone(), None));
                }
                if !has_more {
                    self.todo.push_back(Todo::Subscribe(known.channel.clone()));
                }
            } else {
                known.has_gap = false;
                if self.ack.is_none() && known.was_live {
                    gaps.push(known.channel.clone());
                }
            }
        }
        for channel in gaps {
            self.notice("possible_gap", Some(channel), None);
        }
    }

    pub(super) fn advise(&mut self, advice: &Advice) {
        let millis = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).map(Millis);
        self.pace = Pace {
            interval: millis(advice.interval).unwrap_or_default(),
            hold: millis(advice.timeout).unwrap_or(self.options.hold),
            keeps: millis(advice.max_interval).filter(|keeps| keeps.0 > 0),
        };
    }

    pub(super) fn link_is_up(&mut self) {
        self.backoff.reset();
        self.busy = 0;
        (self.down_since, self.last_trouble) = (None, None);
        (self.is_unproven, self.is_renewed) = (false, false);
        for timer in [Timer::Lost, Timer::Watch, Timer::Next] {
            self.timers.clear(timer);
        }
    }
}

/// Behind the last event whose id is lower than that of the one before: there begins what is repeated. 0 if there is none.
fn behind_descent(text: Padded<'_>, rows: &[Row], is_of: impl Fn(&Row) -> bool) -> usize {
    let (mut behind, mut last) = (0, 0);
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| is_of(row)) {
        let id = row.marks.position.map(|span| text.get(span.start, span.end)).unwrap_or_default();
        let Some(id) = core::str::from_utf8(id).ok().and_then(|id| id.parse::<u64>().ok()) else { continue };
        if id < last {
            behind = at;
        }
        last = id;
    }
    behind
}

//! What a session does when something goes wrong: an answer that says no, one that never came, a link that is down.
//!
//! ```text
//!   refused ──dialect: which reaction?──┬─ again, with new credentials, in a new session, elsewhere, later
//!                                       └─ never ──> stop
//!   unanswered ──> handshake_failed, connect_failed ──rest──> again, until the owner has to hear of it
//! ```

use super::{Event, Lane, Phase, SLEPT, Sent, Session, Socket, Standing, State, Timer, Todo, Via};
use crate::base::error::Code;
use crate::base::http::{Failure, Response};
use crate::base::time::Millis;
use crate::bayeux::dialect::{Dialect, Kind, Reaction};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::{Reconnect, Reply};
use crate::bayeux::wire::{Transport, at_host};
use crate::engine::classify;
use crate::engine::classify::ResponseClass;
use crate::engine::timers::Timers;

impl Session {
    pub(super) fn refused(&mut self, sent: Sent, reply: &Reply, dialect: &mut dyn Dialect) {
        if self.phase == Phase::Closing {
            return self.end(None);
        }
        let reaction = dialect.judge(sent.kind, reply, &sent.channel, self.opening.is_some());
        let complaint = reply.error().unwrap_or_default();
        let what = match sent.kind {
            Kind::Handshake => "a session".to_owned(),
            Kind::Connect => "the connection".to_owned(),
            Kind::Disconnect => "the end of the session".to_owned(),
            Kind::Subscribe => format!("the subscription to {}", sent.channel),
            Kind::Unsubscribe => format!("to end the subscription to {}", sent.channel),
            Kind::Publish => format!("an event for {}", sent.channel),
        };
        let trouble = SessionError::said(Code::Rejected, &what, &complaint);
        let advice = reply.advice(self.transport.name());
        if let Some(advice) = &advice {
            self.hosts = advice.hosts.iter().cloned().collect();
            if matches!(sent.kind, Kind::Handshake | Kind::Connect) {
                self.advise(advice);
            }
        }
        let advice = advice.unwrap_or_default();
        let is_lane = matches!(sent.kind, Kind::Handshake | Kind::Connect);
        let reaction = reaction.unwrap_or_else(|| {
            if is_lane && complaint.contains("BAYEUX_BROWSER") {
                return Reaction::Stop(cookies_missing(&complaint));
            }
            match advice.reconnect {
                Some(Reconnect::Handshake) if sent.kind != Kind::Handshake => {
                    Reaction::Handshake { drop_cookies: false }
                }
                Some(Reconnect::None) if is_lane => Reaction::Stop(trouble.clone()),
                Some(Reconnect::Unknown) if is_lane => Reaction::Stop(unknown_advice()),
                _ if is_lane && advice.interval.is_some_and(|interval| interval < 0) => {
                    Reaction::Stop(trouble.clone())
                }
                _ => Reaction::Refuse(trouble.clone()),
            }
        });
        match (sent.kind, reaction) {
            (Kind::Handshake, Reaction::Refuse(_)) => {
                self.notice("trouble", None, Some(trouble));
                let rest = self.rest(None);
                self.again(rest);
            }
            (Kind::Connect, Reaction::Refuse(_)) => {
                self.notice("trouble", None, Some(trouble.clone()));
                self.connect_failed(&trouble, None, false);
            }
            (
                Kind::Subscribe,
                reaction @ (Reaction::Refuse(_) | Reaction::Later(..) | Reaction::Again(_)),
            ) => {
                self.subscription_refused(&sent.channel, reaction);
            }
            (kind, reaction) => {
                // Its channel is asked for again with the next session.
                if kind != Kind::Subscribe {
                    let why = match &reaction {
                        Reaction::Stop(why) | Reaction::Refuse(why) => why.clone(),
                        _ => trouble,
                    };
                    self.settle_if(sent.op, Err(why));
                }
                self.react(reaction);
                if kind == Kind::Unsubscribe {
                    self.go_on_polling();
                }
            }
        }
    }

    pub(super) fn subscription_refused(&mut self, channel: &str, reaction: Reaction) {
        let Some(at) = self.subscriptions.iter().position(|known| known.channel == channel) else { return };
        let Some(known) = self.subscriptions.get_mut(at) else { return };
        known.refusals += 1;
        // A server that refuses whatever is asked for.
        let is_stubborn = known.refusals > 10;
        match reaction {
            Reaction::Later(trouble, rest) if !is_stubborn => {
                known.standing = Standing::Wanted;
                let rest = Millis(rest.0 + self.rng.up_to(rest.0));
                self.notice("trouble", Some(channel.to_owned()), Some(trouble));
                self.timers.set(Timer::Again, self.now.after(rest));
                // The others need not wait for it.
                self.go_on_polling();
            }
            Reaction::Again(trouble) if !is_stubborn => {
                known.standing = Standing::Wanted;
                self.todo.push_back(Todo::Subscribe(channel.to_owned()));
                self.notice("replay_gap", Some(channel.to_owned()), Some(trouble));
            }
            Reaction::Later(trouble, _) | Reaction::Again(trouble) | Reaction::Refuse(trouble) => {
                let gone = self.subscriptions.remove(at);
                let nobody_waits = gone.waiting.is_empty();
                for op in gone.waiting {
                    self.settle(op, Err(trouble.clone()));
                }
                if nobody_waits || gone.was_live {
                    self.notice("subscription_lost", Some(channel.to_owned()), Some(trouble));
                }
                self.go_on_polling();
            }
            _ => {}
        }
    }

    pub(super) fn react(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::Handshake { drop_cookies } => self.new_session(drop_cookies),
            Reaction::Reauthorize => {
                if core::mem::replace(&mut self.is_renewed, true) {
                    return self.stop(SessionError::new(
                        Code::Unauthorized,
                        "the server refuses the credentials, although they are new",
                    ));
                }
                self.leave_session();
                self.credentials = None;
                self.begin();
            }
            Reaction::Busy(trouble, least) => {
                self.leave_session();
                self.notice("trouble", None, Some(trouble));
                self.phase = Phase::Handshaking;
                let rest = self.busy_rest(least);
                self.again(rest);
            }
            Reaction::Stop(trouble) => self.stop(trouble),
            Reaction::Refuse(trouble) | Reaction::Later(trouble, _) | Reaction::Again(trouble) => {
                self.notice("trouble", None, Some(trouble));
            }
        }
    }

    /// The session is gone.
    pub(super) fn new_session(&mut self, drop_cookies: bool) {
        if drop_cookies {
            self.jar.clear();
        }
        let is_unproven = self.is_unproven;
        self.leave_session();
        self.phase = Phase::Handshaking;
        self.announce(Event::State(State::Handshaking));
        if self.options.follows_hosts
            && let Some(host) = self.hosts.pop_front()
        {
            self.url = at_host(&self.url, &host);
        }
        // A session that never worked is not followed by another without a rest.
        let rest = if is_unproven { self.rest(None) } else { self.pace.interval };
        self.again(rest);
    }

    pub(super) fn leave_session(&mut self) {
        self.client_id = None;
        self.is_unproven = true;
        let mut left = core::mem::take(&mut self.sent);
        left.retain(|sent| sent.kind != Kind::Subscribe);
        for id in self.exchanges.ids_where(|lane| *lane != Lane::Foreign) {
            self.exchanges.cancel(id);
        }
        self.refuse_sent(
            left,
            &SessionError::new(Code::Network, "the session ended before the server had answered"),
        );
        for known in &mut self.subscriptions {
            known.standing = Standing::Wanted;
        }
        for timer in [Timer::Next, Timer::Watch, Timer::Pause, Timer::Again] {
            self.timers.clear(timer);
        }
        (self.is_due, self.is_held, self.has_more) = (false, false, false);
        // After a break down, the socket of before is of no use to the next session.
        self.watch_replies();
    }

    /// A message to which there was no reply.
    pub(super) fn unanswered(&mut self, sent: Sent, trouble: &SessionError, hint: Option<Millis>) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.phase == Phase::Closing {
            return self.end(None);
        }
        // Events may have come with it.
        if sent.kind != Kind::Handshake {
            for known in self.subscriptions.iter_mut().filter(|known| known.standing != Standing::Wanted) {
                known.has_gap = true;
            }
        }
        let slept = trouble.code == Code::Timeout && self.now > sent.due.after(SLEPT);
        match sent.kind {
            Kind::Handshake => self.handshake_failed(trouble, hint),
            Kind::Connect => self.connect_failed(trouble, hint, slept),
            Kind::Subscribe => {
                let Some(at) = self.subscriptions.iter().position(|known| known.channel == sent.channel)
                else {
                    return;
                };
                let Some(known) = self.subscriptions.get_mut(at) else { return };
                known.standing = Standing::Wanted;
                known.has_gap = true;
                if known.waiting.is_empty() || known.was_live {
                    let rest = self.backoff.delay_after(2, &mut self.rng);
                    if self.phase == Phase::Connected && !self.is_connect_out() {
                        // The next connect asks for them again.
                        self.is_held = false;
                        self.again(rest);
                    } else {
                        self.timers.set(Timer::Again, self.now.after(rest));
                    }
                } else {
                    for op in self.subscriptions.remove(at).waiting {
                        self.settle(op, Err(trouble.clone()));
                    }
                }
            }
            Kind::Unsubscribe => {
                if let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == sent.channel)
                {
                    known.is_left = false;
                }
                self.settle_if(sent.op, Err(trouble.clone()));
                self.go_on_polling();
            }
            Kind::Publish => self.settle_if(sent.op, Err(trouble.clone())),
            Kind::Disconnect => {}
        }
    }

    pub(super) fn handshake_failed(&mut self, trouble: &SessionError, hint: Option<Millis>) {
        if self.gives_up(trouble) {
            return self.stop(trouble.clone());
        }
        self.link_is_down(trouble);
        if self.options.follows_hosts
            && let Some(host) = self.hosts.pop_front()
        {
            self.url = at_host(&self.url, &host);
            return self.again(Millis(0));
        }
        let rest = self.rest(hint);
        self.again(rest);
    }

    pub(super) fn connect_failed(&mut self, trouble: &SessionError, hint: Option<Millis>, slept: bool) {
        if self.gives_up(trouble) {
            return self.stop(trouble.clone());
        }
        self.timers.clear(Timer::Watch);
        self.link_is_down(trouble);
        self.phase = Phase::Connecting;
        self.is_held = false;
        self.announce(Event::State(State::Connecting));
        let rest = if slept { Millis(0) } else { self.rest(hint) };
        let since = self.down_since.unwrap_or(self.now);
        if let Some(keeps) = self.pace.keeps {
            let longest = self.pace.hold.0.saturating_add(self.pace.interval.0).saturating_add(keeps.0);
            if self.now.after(rest) > since.after(Millis(longest)) {
                // By then the server has forgotten the session.
                self.is_unproven = false;
                self.leave_session();
                self.phase = Phase::Handshaking;
                self.announce(Event::State(State::Handshaking));
            }
        }
        self.again(rest);
    }

    /// Whether another try would be of no use. What has worked once is tried again.
    pub(super) fn gives_up(&self, trouble: &SessionError) -> bool {
        trouble.code == Code::Redirected || self.opening.is_some() && !trouble.code.is_retryable()
    }

    pub(super) fn drop_socket(&mut self, trouble: SessionError) {
        let was_open = matches!(self.socket, Socket::Open(_));
        self.close_socket();
        self.socket_failures = if was_open { 0 } else { self.socket_failures + 1 };
        let mut left = core::mem::take(&mut self.sent);
        self.sent = left.extract_if(.., |sent| sent.via != Via::Socket).collect();
        // The first time that it could not be opened, or the second if it has worked before.
        let has_other = self.options.transports.contains(&Transport::LongPolling);
        let falls_back = !was_open && has_other && (!self.has_had_session || self.socket_failures > 1);
        let has_lane = left.iter().any(|sent| matches!(sent.kind, Kind::Handshake | Kind::Connect));
        for sent in left {
            self.unanswered(sent, &trouble, None);
        }
        if matches!(self.phase, Phase::Closed | Phase::Closing) {
            return self.end(None);
        }
        if falls_back {
            self.notice("transport_fallback", None, Some(trouble));
            let had_session = self.client_id.is_some();
            self.switch_to(Transport::LongPolling);
            if had_session {
                self.leave_session();
                self.phase = Phase::Handshaking;
            }
            self.again(Millis(0));
        } else if !has_lane {
            match self.phase {
                Phase::Handshaking => self.handshake_failed(&trouble, None),
                Phase::Connecting | Phase::Connected => {
                    for known in &mut self.subscriptions {
                        known.has_gap = true;
                    }
                    self.connect_failed(&trouble, None, false);
                }
                _ => {}
            }
        }
    }

    pub(super) fn switch_to(&mut self, transport: Transport) {
        self.close_socket();
        self.transport = transport;
    }

    pub(super) fn close_socket(&mut self) {
        if let Socket::Opening(id) | Socket::Open(id) = core::mem::replace(&mut self.socket, Socket::None) {
            self.announce(Event::SocketClose { id });
            self.timers.clear(Timer::Reply);
        }
    }

    pub(super) fn link_is_down(&mut self, trouble: &SessionError) {
        self.last_trouble = Some(trouble.clone());
        if self.down_since.is_none() {
            self.down_since = Some(self.now);
            self.expect_loss();
        }
    }

    pub(super) fn expect_loss(&mut self) {
        if let Some(timeout) = self.options.timeout {
            self.timers.set(Timer::Lost, self.now.after(timeout));
        }
    }

    pub(super) fn closed_by_server(&mut self, reply: &Reply) {
        self.notice("closed_by_server", None, None);
        let why = reply.error().map(|error| format!(": {error}")).unwrap_or_default();
        let mut trouble = SessionError::new(Code::Rejected, format!("the server closed the connection{why}"));
        trouble.said = reply.error();
        self.stop(trouble);
    }

    pub(super) fn stop(&mut self, trouble: SessionError) {
        self.exchanges.cancel_all();
        // What was sent as well: its answer is not heard any more.
        self.refuse_all(&trouble);
        self.sent.clear();
        self.end(Some(trouble));
    }

    pub(super) fn end(&mut self, trouble: Option<SessionError>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.close_socket();
        self.sent.clear();
        self.client_id = None;
        self.timers = Timers::new();
        self.is_due = false;
        self.announce(Event::State(State::Disconnected));
        self.announce(Event::Ended(trouble));
    }

    pub(super) fn refuse_all(&mut self, trouble: &SessionError) {
        let sent = self.sent.iter().filter_map(|sent| sent.op).collect::<Vec<_>>();
        for op in sent {
            self.settle(op, Err(trouble.clone()));
        }
        for sent in &mut self.sent {
            sent.op = None;
        }
        if let Some(op) = self.opening.take() {
            self.settle(op, Err(trouble.clone()));
        }
        self.refuse_waiting(trouble);
        self.subscriptions.clear();
    }

    /// Refuses what waits to be sent, or for a subscription.
    pub(super) fn refuse_waiting(&mut self, trouble: &SessionError) {
        let mut ops = Vec::new();
        for known in &mut self.subscriptions {
            ops.append(&mut known.waiting);
        }
        self.subscriptions.retain(|known| known.was_live);
        for todo in core::mem::take(&mut self.todo) {
            match todo {
                Todo::Publish(op, ..) | Todo::Unsubscribe(_, Some(op)) => ops.push(op),
                Todo::Subscribe(channel) => {
                    if self.subscriptions.iter().any(|known| known.channel == channel) {
                        self.todo.push_back(Todo::Subscribe(channel));
                    }
                }
                Todo::Unsubscribe(_, None) => {}
            }
        }
        for op in ops {
            self.settle(op, Err(trouble.clone()));
        }
    }

    pub(super) fn refuse_sent(&mut self, sent: Vec<Sent>, trouble: &SessionError) {
        for sent in sent {
            self.settle_if(sent.op, Err(trouble.clone()));
        }
    }
}

#[cold]
pub(super) fn unknown_advice() -> SessionError {
    SessionError::new(
        Code::Rejected,
        "the server gave an advice that is not known, so the client must not go on by itself",
    )
}

#[cold]
fn cookies_missing(complaint: &str) -> SessionError {
    let mut trouble = SessionError::said(Code::Rejected, "the connection", complaint);
    trouble.message.push_str(
        " - the session cookie did not come back: in a browser, cookies of the server's site are blocked; elsewhere, something between takes them away",
    );
    trouble
}

/// Why an exchange gave nothing, and how long the server asked to wait.
#[cold]
pub(super) fn failed(outcome: &Result<Response, Failure>, is_empty: bool) -> (SessionError, Option<Millis>) {
    match classify::classify_response(outcome) {
        ResponseClass::Retry(error, hint) => (SessionError::of(&error), hint),
        ResponseClass::Fail(error) => (SessionError::of(&error), None),
        ResponseClass::Done => {
            let what = if is_empty { "without a message in it" } else { "that is not Bayeux" };
            let mut trouble =
                SessionError::new(Code::Unavailable, format!("the server gave an answer {what}"));
            trouble.status = outcome.as_ref().ok().map(|response| response.status);
            (trouble, None)
        }
    }
}

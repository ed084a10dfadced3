//! What a refusal by the server leads to: a reply with `successful: false`.
//!
//! ```text
//!   refused ──dialect, else advice──┬─ Handshake, Reauthorize, Busy ──> another session
//!                                   ├─ Resubscribe, ResubscribeLater ──> the same subscription again
//!                                   ├─ Refuse ──> the operation is rejected
//!                                   └─ Stop ──> the session ends
//! ```

use super::link::Link;
use super::pending::{Command, PendingMessage};
use super::subscriptions::SubscriptionState;
use super::{Session, Timer};
use crate::base::text::contains;
use crate::base::time::Millis;
use crate::bayeux::dialect::{MessageKind, Reaction};
use crate::bayeux::errors::{SessionError, is_unknown_session};
use crate::bayeux::message::{Reconnect, Reply};

/// How often a subscription is sent again, so that a server that refuses every start of the replay is not
/// asked for ever.
const MAX_REFUSALS: u32 = 10;

impl Session {
    pub(super) fn on_refusal(&mut self, sent: PendingMessage, reply: &Reply) {
        if self.link == Link::Closing {
            return self.finish(None);
        }
        let is_opening = self.open_op.is_some();
        let reaction = self.dialect.classify_refusal(sent.kind, reply, &sent.channel, is_opening);
        let error_field = reply.error().unwrap_or_default();
        let error = SessionError::refused_message(sent.kind, &sent.channel, &error_field).with_reply(reply);
        let is_connection_message = matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect);
        let advice = reply.advice(self.endpoint.transport.name());
        if let Some(advice) = &advice {
            self.endpoint.hosts = advice.hosts.clone();
            if is_connection_message {
                self.connects.apply_advice(advice);
            }
        }
        let advice = advice.unwrap_or_default();
        let reaction = reaction.map(|reaction| reaction.with_reply(reply)).unwrap_or_else(|| {
            if is_connection_message && contains(&error_field, "BAYEUX_BROWSER") {
                return Reaction::Stop(SessionError::missing_cookie(&error_field).with_reply(reply));
            }
            match advice.reconnect {
                Some(Reconnect::Handshake) if sent.kind != MessageKind::Handshake => {
                    Reaction::Handshake { drop_cookies: false }
                }
                Some(Reconnect::None) if is_connection_message => Reaction::Stop(error.clone()),
                Some(Reconnect::Unknown) if is_connection_message => {
                    Reaction::Stop(SessionError::unknown_advice())
                }
                _ if is_connection_message && advice.interval.is_some_and(|interval| interval < 0) => {
                    Reaction::Stop(error.clone())
                }
                // Without advice, waiting would not bring the session back.
                None if sent.kind != MessageKind::Handshake && is_unknown_session(&error_field) => {
                    Reaction::Handshake { drop_cookies: false }
                }
                _ => Reaction::Refuse(error.clone()),
            }
        });
        if is_connection_message && !matches!(reaction, Reaction::Stop(_)) {
            self.connection_failed(&error);
        }
        match (sent.kind, reaction) {
            (MessageKind::Handshake, Reaction::Refuse(_)) => {
                self.notify("transient_error", None, Some(error.clone()));
                self.settle_probes(&Err(error));
                self.schedule_retry(None);
            }
            (MessageKind::Connect, Reaction::Refuse(_)) => {
                self.notify("transient_error", None, Some(error.clone()));
                self.connect_failed(&error, None, false);
            }
            (
                MessageKind::Subscribe,
                reaction @ (Reaction::Refuse(_) | Reaction::ResubscribeLater(..) | Reaction::Resubscribe(_)),
            ) => {
                self.on_subscription_refused(&sent.channel, reaction);
            }
            (kind, reaction) => {
                // A subscription is sent again in the next session.
                if kind != MessageKind::Subscribe {
                    let why = match &reaction {
                        Reaction::Stop(why) | Reaction::Refuse(why) => why.clone(),
                        _ => error,
                    };
                    self.settle_optional(sent.op, Err(why));
                }
                self.apply_reaction(reaction);
            }
        }
    }

    fn on_subscription_refused(&mut self, channel: &str, reaction: Reaction) {
        let Some(subscription) = self.subscriptions.find_mut(channel) else { return };
        subscription.refusal_count += 1;
        let is_exhausted = subscription.refusal_count > MAX_REFUSALS;
        match reaction {
            Reaction::ResubscribeLater(error, delay) if !is_exhausted => {
                subscription.state = SubscriptionState::Pending;
                let delay = Millis(delay.0 + self.rng.up_to(delay.0));
                self.notify("transient_error", Some(channel.to_owned()), Some(error));
                self.timers.set(Timer::Resubscribe, self.now.after(delay));
            }
            Reaction::Resubscribe(error) if !is_exhausted => {
                subscription.state = SubscriptionState::Pending;
                self.pending.queue(Command::subscribe(channel.to_owned()));
                self.notify("replay_gap", Some(channel.to_owned()), Some(error));
            }
            Reaction::ResubscribeLater(error, _) | Reaction::Resubscribe(error) | Reaction::Refuse(error) => {
                let Some(removed) = self.subscriptions.remove(channel) else { return };
                let is_unwatched = removed.waiting.is_empty();
                for op in removed.waiting {
                    self.settle(op, Err(error.clone()));
                }
                if is_unwatched || removed.has_been_active {
                    self.notify("subscription_lost", Some(channel.to_owned()), Some(error));
                }
                self.start_trial();
            }
            _ => {}
        }
    }

    pub(super) fn apply_reaction(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::Handshake { drop_cookies } => self.start_new_session(drop_cookies),
            Reaction::Reauthorize => {
                if !self.endpoint.credentials.refuse() {
                    return self.stop(SessionError::new_credentials_refused());
                }
                self.abandon_session();
                let delay = self.connects.restart_delay(self.now, &mut self.rng);
                self.authorize_after(delay);
            }
            Reaction::Busy(error, least) => {
                self.abandon_session();
                self.notify("transient_error", None, Some(error.clone()));
                self.settle_probes(&Err(error));
                self.enter(Link::Handshaking);
                let delay = self.connects.busy_delay(least, &mut self.rng);
                self.server_asks(Some(delay));
                self.schedule_connect(delay);
            }
            Reaction::Stop(error) => self.stop(error),
            Reaction::Refuse(error) | Reaction::ResubscribeLater(error, _) | Reaction::Resubscribe(error) => {
                self.notify("transient_error", None, Some(error));
            }
        }
    }
}

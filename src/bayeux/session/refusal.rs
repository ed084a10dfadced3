//! What a refusal by the server leads to: a reply with `successful: false`.
//!
//! ```text
//!   refused ──dialect, else advice──┬─ Handshake, Reauthorize, Busy ──> another session
//!                                   ├─ Resubscribe, ResubscribeLater ──> the same subscription again
//!                                   ├─ Refuse ──> the operation is rejected
//!                                   └─ Stop ──> the session ends
//! ```

use super::{Command, PendingMessage, Phase, Session, SubscriptionState, Timer};
use crate::base::error::Code;
use crate::base::time::Millis;
use crate::bayeux::dialect::{Dialect, MessageKind, Reaction};
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::{Reconnect, Reply};

impl Session {
    pub(super) fn on_refusal(&mut self, sent: PendingMessage, reply: &Reply, dialect: &mut dyn Dialect) {
        if self.phase == Phase::Closing {
            return self.finish(None);
        }
        let reaction = dialect.classify_refusal(sent.kind, reply, &sent.channel, self.open_op.is_some());
        let error_field = reply.error().unwrap_or_default();
        let what = match sent.kind {
            MessageKind::Handshake => "a session".to_owned(),
            MessageKind::Connect => "the connection".to_owned(),
            MessageKind::Disconnect => "the end of the session".to_owned(),
            MessageKind::Subscribe => format!("the subscription to {}", sent.channel),
            MessageKind::Unsubscribe => format!("to end the subscription to {}", sent.channel),
            MessageKind::Publish => format!("an event for {}", sent.channel),
        };
        let error = SessionError::refused(Code::Rejected, &what, &error_field);
        let advice = reply.advice(self.transport.name());
        if let Some(advice) = &advice {
            self.hosts = advice.hosts.iter().cloned().collect();
            if matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect) {
                self.apply_advice(advice);
            }
        }
        let advice = advice.unwrap_or_default();
        let is_connection_message = matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect);
        let reaction = reaction.unwrap_or_else(|| {
            if is_connection_message && error_field.contains("BAYEUX_BROWSER") {
                return Reaction::Stop(missing_cookie_error(&error_field));
            }
            match advice.reconnect {
                Some(Reconnect::Handshake) if sent.kind != MessageKind::Handshake => {
                    Reaction::Handshake { drop_cookies: false }
                }
                Some(Reconnect::None) if is_connection_message => Reaction::Stop(error.clone()),
                Some(Reconnect::Unknown) if is_connection_message => Reaction::Stop(unknown_advice_error()),
                _ if is_connection_message && advice.interval.is_some_and(|interval| interval < 0) => {
                    Reaction::Stop(error.clone())
                }
                _ => Reaction::Refuse(error.clone()),
            }
        });
        match (sent.kind, reaction) {
            (MessageKind::Handshake, Reaction::Refuse(_)) => {
                self.notify("transient_error", None, Some(error));
                let delay = self.retry_delay(None);
                self.schedule_connect(delay);
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
                if kind == MessageKind::Unsubscribe {
                    self.release_held_connect();
                }
            }
        }
    }

    pub(super) fn on_subscription_refused(&mut self, channel: &str, reaction: Reaction) {
        let Some(at) = self.subscriptions.iter().position(|subscription| subscription.channel == channel)
        else {
            return;
        };
        let Some(subscription) = self.subscriptions.get_mut(at) else { return };
        subscription.refusal_count += 1;
        // Prevents an endless loop with a server that refuses every start of the replay.
        let is_exhausted = subscription.refusal_count > 10;
        match reaction {
            Reaction::ResubscribeLater(error, delay) if !is_exhausted => {
                subscription.state = SubscriptionState::Pending;
                let delay = Millis(delay.0 + self.rng.up_to(delay.0));
                self.notify("transient_error", Some(channel.to_owned()), Some(error));
                self.timers.set(Timer::Resubscribe, self.now.after(delay));
                // Other subscriptions must not wait for this one.
                self.release_held_connect();
            }
            Reaction::Resubscribe(error) if !is_exhausted => {
                subscription.state = SubscriptionState::Pending;
                self.commands.push_back(Command::Subscribe(channel.to_owned()));
                self.notify("replay_gap", Some(channel.to_owned()), Some(error));
            }
            Reaction::ResubscribeLater(error, _) | Reaction::Resubscribe(error) | Reaction::Refuse(error) => {
                let removed = self.subscriptions.remove(at);
                let is_unwatched = removed.waiting.is_empty();
                for op in removed.waiting {
                    self.settle(op, Err(error.clone()));
                }
                if is_unwatched || removed.has_been_active {
                    self.notify("subscription_lost", Some(channel.to_owned()), Some(error));
                }
                self.release_held_connect();
            }
            _ => {}
        }
    }

    pub(super) fn apply_reaction(&mut self, reaction: Reaction) {
        match reaction {
            Reaction::Handshake { drop_cookies } => self.start_new_session(drop_cookies),
            Reaction::Reauthorize => {
                if core::mem::replace(&mut self.has_new_credentials, true) {
                    return self.stop(SessionError::new(
                        Code::Unauthorized,
                        "the server refused the new credentials",
                    ));
                }
                self.abandon_session();
                self.credentials = None;
                self.authorize_or_handshake();
            }
            Reaction::Busy(error, least) => {
                self.abandon_session();
                self.notify("transient_error", None, Some(error));
                self.phase = Phase::Handshaking;
                let delay = self.busy_delay(least);
                self.schedule_connect(delay);
            }
            Reaction::Stop(error) => self.stop(error),
            Reaction::Refuse(error) | Reaction::ResubscribeLater(error, _) | Reaction::Resubscribe(error) => {
                self.notify("transient_error", None, Some(error));
            }
        }
    }
}

#[cold]
pub(super) fn unknown_advice_error() -> SessionError {
    SessionError::new(
        Code::Rejected,
        "the server sent an unknown value of advice.reconnect, after which a client must not retry",
    )
}

#[cold]
fn missing_cookie_error(error_field: &str) -> SessionError {
    SessionError::refused(Code::Rejected, "the connection", error_field).with_cookie_advice()
}

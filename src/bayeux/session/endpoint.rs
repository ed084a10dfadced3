//! Where the messages go and what goes with them: URL, transport, socket, cookies, credentials.

use crate::base::ids::Counter;
use crate::base::secret::Secret;
use crate::bayeux::cookies::CookieJar;
use crate::bayeux::wire::{Transport, at_host};

/// The WebSocket of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    None,
    Opening(u32),
    Open(u32),
}

/// What the owner has provided to prove who it is.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    /// None yet.
    Missing,
    /// The server has refused the last ones.
    Refused,
    /// Not refused yet.
    Given(Secret),
    /// They replaced refused ones, and no connect has succeeded with them yet.
    Renewed(Secret),
}

/// Where the messages of a session go.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// The URL in use; its host may be one that the server advised.
    pub(super) url: String,
    /// Other hosts that the server advised.
    pub(super) hosts: Vec<String>,
    pub(super) transport: Transport,
    pub(super) socket: Socket,
    socket_ids: Counter,
    /// Consecutive sockets that could not be opened.
    pub(super) socket_failures: u32,
    pub(super) credentials: Credentials,
    pub(super) cookies: CookieJar,
}

impl Endpoint {
    pub(super) fn new(url: String, transport: Transport) -> Self {
        Self {
            url,
            hosts: Vec::new(),
            transport,
            socket: Socket::None,
            socket_ids: Counter::default(),
            socket_failures: 0,
            credentials: Credentials::Missing,
            cookies: CookieJar::default(),
        }
    }

    /// Uses the next host that the server advised. False if there is none.
    pub(super) fn use_next_host(&mut self) -> bool {
        if self.hosts.is_empty() {
            return false;
        }
        let host = self.hosts.remove(0);
        self.url = at_host(&self.url, &host);
        true
    }

    /// Reserves the id of a socket that is going to be opened.
    pub(super) const fn start_socket(&mut self) -> u32 {
        let id = self.socket_ids.advance();
        self.socket = Socket::Opening(id);
        id
    }

    /// Whether messages can be sent now.
    pub(super) const fn is_reachable(&self) -> bool {
        matches!(self.transport, Transport::LongPolling) || matches!(self.socket, Socket::Open(_))
    }

    /// The socket that messages are sent over, if there is one.
    pub(super) const fn open_socket(&self) -> Option<u32> {
        match (self.transport, self.socket) {
            (Transport::WebSocket, Socket::Open(id)) => Some(id),
            _ => None,
        }
    }
}

impl Credentials {
    /// The header lines; `None` if there are none.
    pub(super) fn lines(&self) -> Option<&str> {
        match self {
            Self::Given(secret) | Self::Renewed(secret) => Some(secret.expose()),
            Self::Missing | Self::Refused => None,
        }
    }

    /// Takes new credentials.
    pub(super) fn replace(&mut self, lines: Secret) {
        *self = if matches!(self, Self::Refused) { Self::Renewed(lines) } else { Self::Given(lines) };
    }

    /// No answer came to a message that was sent with them. They may run out before one comes, so that they
    /// are renewed again if they are refused then.
    pub(super) fn outlive_loss(&mut self) {
        self.confirm();
    }

    /// A connect has succeeded.
    pub(super) fn confirm(&mut self) {
        *self = match core::mem::replace(self, Self::Missing) {
            Self::Renewed(lines) => Self::Given(lines),
            other => other,
        };
    }

    /// The server has refused them. False if they were renewed ones, so that further ones are pointless.
    pub(super) fn refuse(&mut self) -> bool {
        !matches!(core::mem::replace(self, Self::Refused), Self::Renewed(_) | Self::Refused)
    }

    /// Whether the server has refused the previous ones.
    pub(super) const fn are_renewal(&self) -> bool {
        matches!(self, Self::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn credentials_are_renewed_once_until_a_connect_succeeds_with_them() {
        let mut credentials = Credentials::Missing;
        credentials.replace(lines("a"));
        assert!(credentials.refuse() && credentials.are_renewal());
        credentials.replace(lines("b"));
        assert_eq!(credentials.lines(), Some("b"));
        assert!(!credentials.clone().refuse());
        credentials.confirm();
        assert!(credentials.refuse());
        assert_eq!(credentials.lines(), None);
        credentials.replace(lines("c"));
        credentials.outlive_loss();
        assert!(credentials.refuse());
    }

    #[test]
    fn messages_need_an_open_socket_only_if_that_is_the_transport() {
        let mut endpoint = Endpoint::new("http://a.example/x".to_owned(), Transport::WebSocket);
        let id = endpoint.start_socket();
        assert!(!endpoint.is_reachable());
        endpoint.socket = Socket::Open(id);
        assert_eq!(endpoint.open_socket(), Some(id));
        endpoint.transport = Transport::LongPolling;
        assert!(endpoint.is_reachable() && endpoint.open_socket().is_none());
        endpoint.hosts.push("b.example".to_owned());
        assert!(endpoint.use_next_host() && !endpoint.use_next_host());
        assert_eq!(endpoint.url, "http://b.example/x");
    }
}

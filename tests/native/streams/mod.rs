//! The clients of streams in a simulated world.

mod day;
mod hostile_peer;
mod isolation;
mod marks;
mod recovery;
mod server;
mod simulation;
mod world;

use eventferry::base::secret::Secret;
use eventferry::bayeux::session::{Limits, Options, Times};
use eventferry::salesforce::auth::Flow;
use eventferry::salesforce::client as salesforce;

fn client(seed: u64) -> salesforce::Client {
    salesforce::Client::new(options(), seed)
}

fn options() -> salesforce::Options {
    salesforce::Options {
        flow: Flow::ClientCredentials {
            consumer_key: "key".to_owned(),
            consumer_secret: Secret::new("secret".to_owned()),
        },
        token_url: "https://acme.example/services/oauth2/token".to_owned(),
        endpoint: None,
        allowed_instances: Vec::new(),
        api_version: "68.0".to_owned(),
        replay_start: "-2".to_owned(),
        replay_fallback: None,
        session: session_options(),
    }
}

fn session_options() -> Options {
    let defaults = salesforce::session_defaults();
    Options {
        times: Times { connection_timeout: None, ..defaults.times },
        limits: Limits { max_pending: usize::MAX, ..defaults.limits },
        ..defaults
    }
}

//! The OAuth flows of Salesforce: pure functions from a flow to a token request, and from its response to a
//! grant.

use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Request, Response};
use crate::base::json::find::{Document, write_string};
use crate::base::secret::Secret;
use crate::base::text::{contains, decimal, join, printable, replace};
use crate::base::time::Millis;
use crate::bayeux::errors::SessionError;
use crate::engine::classify::{self, ResponseClass};

/// An OAuth flow with its credentials.
#[derive(Clone, Debug)]
pub enum Flow {
    /// User name and password. The security token is appended to the password. It yields no refresh token.
    Password {
        /// The consumer key of the connected app.
        consumer_key: String,
        /// The consumer key of the connected app.
        consumer_secret: Secret,
        /// The name of the user.
        username: String,
        /// The password, followed by the security token.
        password: Secret,
    },
    /// A refresh token. Salesforce may replace it with each login.
    RefreshToken {
        /// The consumer key of the connected app.
        consumer_key: String,
        /// The consumer secret; public clients have none.
        consumer_secret: Option<Secret>,
        /// The latest refresh token.
        refresh_token: Secret,
    },
    /// The connected app itself, as the user that it is configured to run as.
    ClientCredentials {
        /// The consumer key of the connected app.
        consumer_key: String,
        /// The consumer key of the connected app.
        consumer_secret: Secret,
    },
    /// A signed JWT. The owner signs it, because only the owner has the key.
    JwtBearer {
        /// The consumer key of the connected app.
        consumer_key: String,
        /// The name of the user.
        username: String,
        /// The `aud` claim: the URL of the login host.
        audience: String,
    },
    /// The application provides access tokens, as it likes.
    Provider {
        /// The URL of the instance.
        instance_url: String,
    },
    /// A session that exists already. It cannot be renewed.
    ExistingSession {
        /// The access token or session id.
        access_token: Secret,
        /// The URL of the instance.
        instance_url: String,
    },
}

impl Flow {
    /// Replaces secrets that the server repeats in its error text.
    fn redact(&self, mut text: String) -> String {
        let secrets = match self {
            Self::Password { consumer_secret, password, .. } => [Some(consumer_secret), Some(password)],
            Self::RefreshToken { consumer_secret, refresh_token, .. } => {
                [consumer_secret.as_ref(), Some(refresh_token)]
            }
            Self::ClientCredentials { consumer_secret, .. } => [Some(consumer_secret), None],
            Self::JwtBearer { .. } | Self::ExistingSession { .. } | Self::Provider { .. } => [None, None],
        };
        for secret in secrets.into_iter().flatten() {
            text = replace(&text, secret.expose(), "…");
        }
        text
    }
}

/// The result of a login.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The value of the `Authorization` header.
    pub authorization: Secret,
    /// The URL of the instance, without a trailing slash.
    pub instance_url: String,
    /// When the token was issued, as a Unix time in milliseconds, if the login says so.
    pub issued_at_ms: Option<u64>,
    /// The refresh token that replaces the previous one.
    pub refresh_token: Option<Secret>,
}

/// A failed login.
#[derive(Clone, Debug)]
pub struct LoginError {
    /// The cause.
    pub error: SessionError,
    /// The shortest delay before the next attempt.
    pub min_delay: Option<Millis>,
    /// A retry cannot succeed, and might lock the account. Otherwise the login is tried again until it succeeds,
    /// before the first success only for the connection timeout.
    pub is_final: bool,
}

/// The lifetime of a signed JWT. Salesforce accepts at most three minutes.
const JWT_LIFETIME_SECONDS: u64 = 170;
/// The delay after `rate_limit_exceeded`.
const RATE_LIMIT_DELAY: Millis = Millis(60_000);

/// The token request. `assertion` is the JWT with the claims of [`jwt_claims`]. `None` for an existing
/// session.
pub fn token_request(flow: &Flow, token_url: &str, assertion: &str) -> Option<Request> {
    let mut form = Form::default();
    match flow {
        Flow::Password { consumer_key, consumer_secret, username, password } => {
            form.add("grant_type", "password").add("client_id", consumer_key);
            form.add("client_secret", consumer_secret.expose()).add("username", username);
            form.add("password", password.expose());
        }
        Flow::RefreshToken { consumer_key, consumer_secret, refresh_token } => {
            form.add("grant_type", "refresh_token").add("client_id", consumer_key);
            if let Some(secret) = consumer_secret {
                form.add("client_secret", secret.expose());
            }
            form.add("refresh_token", refresh_token.expose());
        }
        Flow::ClientCredentials { consumer_key, consumer_secret } => {
            form.add("grant_type", "client_credentials").add("client_id", consumer_key);
            form.add("client_secret", consumer_secret.expose());
        }
        Flow::JwtBearer { .. } => {
            form.add("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer").add("assertion", assertion);
        }
        Flow::ExistingSession { .. } | Flow::Provider { .. } => return None,
    }
    let headers = "content-type: application/x-www-form-urlencoded\naccept: application/json";
    Some(Request::post(token_url, headers, form.0.into_bytes()))
}

/// The claims of the JWT to sign; `None` for other flows.
pub fn jwt_claims(flow: &Flow, unix_ms: u64) -> Option<String> {
    let Flow::JwtBearer { consumer_key, username, audience } = flow else { return None };
    let mut claims = String::new();
    for (start, text) in [("{\"iss\":", consumer_key), (",\"sub\":", username), (",\"aud\":", audience)] {
        claims.push_str(start);
        write_string(&mut claims, text);
    }
    claims.push_str(&join(&[",\"exp\":", &decimal(unix_ms / 1000 + JWT_LIFETIME_SECONDS), "}"]));
    Some(claims)
}

/// The grant of an existing session; `None` for other flows, or if its values cannot be used.
pub fn existing_grant(flow: &Flow) -> Option<Grant> {
    let Flow::ExistingSession { access_token, instance_url } = flow else { return None };
    grant("Bearer", access_token.expose(), instance_url, None)
}

/// The grant of a token that the application has provided. `None` if it cannot be sent in a header.
pub fn provided_grant(instance_url: &str, token: &str) -> Option<Grant> {
    grant("Bearer", token, instance_url, None)
}

/// Reads the response to [`token_request`].
pub fn read_token_response(
    flow: &Flow,
    outcome: Result<Response, Failure>,
) -> Result<Grant, Box<LoginError>> {
    let class = classify::classify_response(&outcome);
    let body = Document::new(outcome.map(|response| response.body).unwrap_or_default());
    let string = |name: &str| body.get(&[name]).and_then(|value| value.string_or_number());
    match class {
        ResponseClass::Done => {
            let refresh_token = string("refresh_token").map(Secret::new);
            let kind = string("token_type").unwrap_or_else(|| "Bearer".to_owned());
            let granted = string("access_token").zip(string("instance_url"));
            let issued_at_ms = string("issued_at").and_then(|at| at.parse().ok());
            let granted = granted.and_then(|(token, url)| grant(&kind, &token, &url, refresh_token));
            granted.map(|grant| Grant { issued_at_ms, ..grant }).ok_or_else(|| {
                let message = "the response of the login server has no usable access_token and instance_url";
                Box::new(LoginError {
                    error: SessionError::new(Code::Unavailable, message),
                    min_delay: None,
                    is_final: false,
                })
            })
        }
        ResponseClass::Retry(error, min_delay) => {
            Err(Box::new(LoginError { error: login_error(&error), min_delay, is_final: false }))
        }
        ResponseClass::Fail(cause) => {
            let Some(kind) = string("error") else {
                // No answer of an OAuth server: a page about maintenance, a redirect to one, a proxy.
                let error = login_error(&cause);
                return Err(Box::new(LoginError { error, min_delay: None, is_final: false }));
            };
            let description = string("error_description").unwrap_or_default();
            let is_rate_limit = kind == "rate_limit_exceeded";
            let is_passing = is_rate_limit || is_passing(&kind, &description);
            let text = if description.is_empty() { kind } else { join(&[&kind, ": ", &description]) };
            let text = printable(&flow.redact(text), 300);
            let code = match (is_rate_limit, is_passing) {
                (true, _) => Code::RateLimited,
                (false, true) => Code::Unavailable,
                (false, false) => Code::Unauthorized,
            };
            let mut error = SessionError::new(code, join(&["the login server refused: ", &text]));
            (error.status, error.server_error) = (cause.status, Some(text));
            Err(Box::new(LoginError {
                error,
                min_delay: is_rate_limit.then_some(RATE_LIMIT_DELAY),
                is_final: !is_passing,
            }))
        }
    }
}

/// Whether a refusal says that a later attempt may succeed. Salesforce says some of them with `invalid_grant`.
fn is_passing(kind: &str, description: &str) -> bool {
    let description = description.to_ascii_lowercase();
    let phrases = [
        "already being processed",
        "retry your request",
        "please retry",
        "try again",
        "temporarily",
        "unavailable",
        "maintenance",
        "rate exceeded",
    ];
    matches!(kind, "unknown_error" | "server_error" | "temporarily_unavailable")
        || phrases.iter().any(|phrase| contains(&description, phrase))
}

fn login_error(cause: &Error) -> SessionError {
    // Without the text of the server, which may repeat credentials.
    let plain = Error { detail: String::new(), ..cause.clone() };
    let mut error = SessionError::new(cause.code, join(&["the login failed: ", &plain.message()]));
    error.status = cause.status;
    error
}

/// `None` if a value cannot be sent in a header, or the URL is not absolute.
fn grant(kind: &str, token: &str, instance_url: &str, refresh_token: Option<Secret>) -> Option<Grant> {
    let is_clean = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_url = instance_url.starts_with("https://") || instance_url.starts_with("http://");
    (is_clean(kind) && is_clean(token) && is_url && is_clean(instance_url)).then(|| Grant {
        authorization: Secret::new(join(&[kind, " ", token])),
        instance_url: instance_url.trim_end_matches('/').to_owned(),
        issued_at_ms: None,
        refresh_token,
    })
}

#[derive(Default)]
struct Form(String);

impl Form {
    fn add(&mut self, name: &str, value: &str) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                    self.0.push(byte as char)
                }
                b' ' => self.0.push('+'),
                byte => {
                    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                    self.0.push('%');
                    for digit in [byte >> 4, byte & 15] {
                        self.0.push(DIGITS.get(digit as usize).copied().unwrap_or(b'0') as char);
                    }
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn the_token_request_is_a_form() {
        let flow = Flow::Password {
            consumer_key: "key".to_owned(),
            consumer_secret: secret("s&="),
            username: "u@example.com".to_owned(),
            password: secret("p ä+TOKEN"),
        };
        let body =
            token_request(&flow, "https://login.example/token", "").map(|request| request.body().to_vec());
        let expected = "grant_type=password&client_id=key&client_secret=s%26%3D&username=u%40example.com&password=p+%C3%A4%2BTOKEN";
        assert_eq!(body.and_then(|body| String::from_utf8(body).ok()).as_deref(), Some(expected));
        assert!(!format!("{flow:?}").contains("TOKEN"));
    }

    #[test]
    fn token_responses_are_grants_or_login_errors() {
        let flow =
            Flow::ClientCredentials { consumer_key: "key".to_owned(), consumer_secret: secret("SECRET") };
        let answer = |status, body: &str| {
            read_token_response(
                &flow,
                Ok(Response { body: body.as_bytes().to_vec(), ..Response::new(status) }),
            )
        };
        let repeats = answer(400, r#"{"error":"invalid_client","error_description":"no such SECRET"}"#);
        assert!(repeats.is_err_and(|failure| failure.error.message.ends_with("invalid_client: no such …")));
        let granted = answer(200, r#"{"access_token":"T1","instance_url":"https://acme.example/"}"#);
        assert!(granted.is_ok_and(|grant| grant.authorization.expose() == "Bearer T1"
            && grant.instance_url == "https://acme.example"));
        for (status, body, is_final, code) in [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"authentication failure"}"#,
                true,
                Code::Unauthorized,
            ),
            (400, r#"{"error":"rate_limit_exceeded"}"#, false, Code::RateLimited),
            (503, "<html>", false, Code::Unavailable),
            (200, "<html>", false, Code::Unavailable),
            (200, r#"{"access_token":"a\nb: c","instance_url":"https://a"}"#, false, Code::Unavailable),
            (404, "<html>", false, Code::Rejected),
            (302, "", false, Code::Redirected),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"token request is already being processed"}"#,
                false,
                Code::Unavailable,
            ),
            (
                400,
                r#"{"error":"unknown_error","error_description":"retry your request"}"#,
                false,
                Code::Unavailable,
            ),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"expired access/refresh token"}"#,
                true,
                Code::Unauthorized,
            ),
        ] {
            let failure = answer(status, body).err();
            assert_eq!(
                failure.map(|failure| (failure.is_final, failure.error.code)),
                Some((is_final, code)),
                "{body}"
            );
        }
    }

    #[test]
    fn jwt_claims_name_issuer_subject_audience_and_expiry() {
        let flow = Flow::JwtBearer {
            consumer_key: "k\"".to_owned(),
            username: "u".to_owned(),
            audience: "https://login.salesforce.com".to_owned(),
        };
        let expected = r#"{"iss":"k\"","sub":"u","aud":"https://login.salesforce.com","exp":1170}"#;
        assert_eq!(jwt_claims(&flow, 1_000_999).as_deref(), Some(expected));
    }
}

//! The OAuth flows of Salesforce: pure functions from a flow to a request, and from an answer to a grant.

use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Request, Response};
use crate::base::json::find::{Document, write_string};
use crate::base::secret::Secret;
use crate::base::time::Millis;
use crate::bayeux::session::SessionError;
use crate::engine::classify::{self, ResponseClass};

/// How to log in.
#[derive(Clone, Debug)]
pub enum Flow {
    /// User name and password, with the security token behind it. It gives no refresh token.
    Password {
        /// Of the connected app.
        consumer_key: String,
        /// Of the connected app.
        consumer_secret: Secret,
        /// Of the user.
        username: String,
        /// Of the user, with the security token.
        password: Secret,
    },
    /// A refresh token, which may be replaced by each login.
    RefreshToken {
        /// Of the connected app.
        consumer_key: String,
        /// Public clients have none.
        consumer_secret: Option<Secret>,
        /// The newest.
        refresh_token: Secret,
    },
    /// The app itself.
    ClientCredentials {
        /// Of the connected app.
        consumer_key: String,
        /// Of the connected app.
        consumer_secret: Secret,
    },
    /// A signed statement; the owner signs, because only it has the key.
    JwtBearer {
        /// Of the connected app.
        consumer_key: String,
        /// Of the user.
        username: String,
        /// For whom it is: the login host.
        audience: String,
    },
    /// A session that somebody else has made.
    Given {
        /// The access token or session id.
        access_token: Secret,
        /// Where the organisation is.
        instance_url: String,
    },
}

impl Flow {
    /// What a server said, without the secrets that it repeats.
    fn hidden(&self, mut said: String) -> String {
        let secrets = match self {
            Self::Password { consumer_secret, password, .. } => [Some(consumer_secret), Some(password)],
            Self::RefreshToken { consumer_secret, refresh_token, .. } => {
                [consumer_secret.as_ref(), Some(refresh_token)]
            }
            Self::ClientCredentials { consumer_secret, .. } => [Some(consumer_secret), None],
            Self::JwtBearer { .. } | Self::Given { .. } => [None, None],
        };
        for secret in secrets.into_iter().flatten().filter(|secret| !secret.expose().is_empty()) {
            said = said.replace(secret.expose(), "…");
        }
        said
    }
}

/// A login that worked.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What goes behind `Authorization:`.
    pub authorization: Secret,
    /// Where the organisation is, without a slash at its end.
    pub instance_url: String,
    /// The refresh token that takes the place of the one before.
    pub refresh_token: Option<Secret>,
}

/// A login that did not.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub trouble: SessionError,
    /// How long to wait at least.
    pub hint: Option<Millis>,
    /// Trying again would not help, and may lock the account.
    pub is_final: bool,
}

/// How long a signed statement holds: Salesforce takes three minutes at most.
const STATEMENT_SECONDS: u64 = 170;
/// After too many logins.
const LONG_REST: Millis = Millis(60_000);

/// The request for a token. `assertion`: the signed statement of [`statement`].
pub fn request(flow: &Flow, token_url: &str, assertion: &str) -> Option<Request> {
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
        Flow::Given { .. } => return None,
    }
    let headers = "content-type: application/x-www-form-urlencoded\naccept: application/json";
    Some(Request::post(token_url, headers, form.0.into_bytes()))
}

/// What is to be signed, as the claims of a JWT.
pub fn statement(flow: &Flow, unix_ms: u64) -> Option<String> {
    let Flow::JwtBearer { consumer_key, username, audience } = flow else { return None };
    let mut claims = String::new();
    for (start, text) in [("{\"iss\":", consumer_key), (",\"sub\":", username), (",\"aud\":", audience)] {
        claims.push_str(start);
        write_string(&mut claims, text);
    }
    claims.push_str(&format!(",\"exp\":{}}}", unix_ms / 1000 + STATEMENT_SECONDS));
    Some(claims)
}

/// The grant of a session that somebody else has made.
pub fn given(flow: &Flow) -> Option<Grant> {
    let Flow::Given { access_token, instance_url } = flow else { return None };
    grant("Bearer", access_token.expose(), instance_url, None)
}

/// Reads the answer to [`request`].
pub fn read(flow: &Flow, outcome: Result<Response, Failure>) -> Result<Grant, Box<Refusal>> {
    let class = classify::classify_response(&outcome);
    let body = Document::new(outcome.map(|response| response.body).unwrap_or_default());
    let string = |name: &str| body.get(&[name]).and_then(|value| value.string_or_number());
    match class {
        ResponseClass::Done => {
            let refresh_token = string("refresh_token").map(Secret::new);
            let kind = string("token_type").unwrap_or_else(|| "Bearer".to_owned());
            let granted = string("access_token").zip(string("instance_url"));
            granted.and_then(|(token, url)| grant(&kind, &token, &url, refresh_token)).ok_or_else(|| {
                let message = "the login server did not answer with an access_token and an instance_url";
                Box::new(Refusal {
                    trouble: SessionError::new(Code::Unavailable, message),
                    hint: None,
                    is_final: false,
                })
            })
        }
        ResponseClass::Retry(error, hint) => {
            Err(Box::new(Refusal { trouble: told(&error), hint, is_final: false }))
        }
        ResponseClass::Fail(error) => {
            let Some(kind) = string("error") else {
                return Err(Box::new(Refusal { trouble: told(&error), hint: None, is_final: true }));
            };
            let said = match string("error_description") {
                Some(description) => format!("{kind}: {description}"),
                None => kind.clone(),
            };
            let said: String =
                flow.hidden(said).chars().filter(|char| !char.is_control()).take(300).collect();
            let is_pace = kind == "rate_limit_exceeded";
            let code = if is_pace { Code::RateLimited } else { Code::Unauthorized };
            let mut trouble = SessionError::new(code, format!("the login server refused: {said}"));
            (trouble.status, trouble.said) = (error.status, Some(said));
            Err(Box::new(Refusal { trouble, hint: is_pace.then_some(LONG_REST), is_final: !is_pace }))
        }
    }
}

fn told(error: &Error) -> SessionError {
    // Without what the server said: it may repeat what it was sent.
    let plain = Error { detail: String::new(), ..error.clone() };
    let mut trouble = SessionError::new(error.code, format!("the login did not work: {plain}"));
    trouble.status = error.status;
    trouble
}

/// `None` for what cannot stand in a header, or is no URL.
fn grant(kind: &str, token: &str, instance_url: &str, refresh_token: Option<Secret>) -> Option<Grant> {
    let is_clean = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_url = instance_url.starts_with("https://") || instance_url.starts_with("http://");
    (is_clean(kind) && is_clean(token) && is_url && is_clean(instance_url)).then(|| Grant {
        authorization: Secret::new(format!("{kind} {token}")),
        instance_url: instance_url.trim_end_matches('/').to_owned(),
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
    fn writes_forms() {
        let flow = Flow::Password {
            consumer_key: "key".to_owned(),
            consumer_secret: secret("s&="),
            username: "u@example.com".to_owned(),
            password: secret("p ä+TOKEN"),
        };
        let body = request(&flow, "https://login.example/token", "").map(|request| request.body().to_vec());
        let expected = "grant_type=password&client_id=key&client_secret=s%26%3D&username=u%40example.com&password=p+%C3%A4%2BTOKEN";
        assert_eq!(body.and_then(|body| String::from_utf8(body).ok()).as_deref(), Some(expected));
        assert!(!format!("{flow:?}").contains("TOKEN"));
    }

    #[test]
    fn reads_grants_and_refusals() {
        let flow =
            Flow::ClientCredentials { consumer_key: "key".to_owned(), consumer_secret: secret("SECRET") };
        let answer = |status, body: &str| {
            read(&flow, Ok(Response { body: body.as_bytes().to_vec(), ..Response::new(status) }))
        };
        let repeats = answer(400, r#"{"error":"invalid_client","error_description":"no such SECRET"}"#);
        assert!(repeats.is_err_and(|refusal| refusal.trouble.message.ends_with("invalid_client: no such …")));
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
            (404, "<html>", true, Code::Rejected),
        ] {
            let refusal = answer(status, body).err();
            assert_eq!(
                refusal.map(|refusal| (refusal.is_final, refusal.trouble.code)),
                Some((is_final, code)),
                "{body}"
            );
        }
    }

    #[test]
    fn states_who_asks_and_until_when() {
        let flow = Flow::JwtBearer {
            consumer_key: "k\"".to_owned(),
            username: "u".to_owned(),
            audience: "https://login.salesforce.com".to_owned(),
        };
        let expected = r#"{"iss":"k\"","sub":"u","aud":"https://login.salesforce.com","exp":1170}"#;
        assert_eq!(statement(&flow, 1_000_999).as_deref(), Some(expected));
    }
}

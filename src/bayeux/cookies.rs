//! A cookie jar for platforms whose `fetch` keeps no cookies: Node, Deno, Bun and Workers. It implements the
//! part of RFC 6265 that matters for one server (sections 5.2 to 5.4).
//!
//! Times are Unix times in milliseconds.

use crate::base::text::{contains, join, join_with, rsplit_once, split_before, split_once};
use crate::base::timestamp::read_cookie_date;

/// The cookies of one client, oldest first.
#[derive(Clone, Debug, Default)]
pub struct CookieJar(Vec<Cookie>);

/// Further cookies are ignored, so that a server cannot fill the memory.
const MAX_COOKIES: usize = 50;

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    /// It has a `Domain` attribute, so it is sent to subdomains of `host` too.
    is_domain_cookie: bool,
    path: String,
    is_secure: bool,
    expires_at_ms: Option<u64>,
}

impl CookieJar {
    /// Stores the cookies of a `Set-Cookie` header in a response from `url`. Some platforms join several
    /// headers with commas.
    pub fn store(&mut self, url: &str, header: &str, now: u64) {
        for line in split_set_cookie(header) {
            if let Some(cookie) = Cookie::parse(url, line, now) {
                let is_same = |other: &Cookie| {
                    (&other.name, &other.host, &other.path) == (&cookie.name, &cookie.host, &cookie.path)
                };
                let is_expired = cookie.expires_at_ms.is_some_and(|at_ms| at_ms <= now);
                match self.0.iter().position(is_same) {
                    Some(at) if is_expired => drop(self.0.remove(at)),
                    // A replaced cookie keeps its place in the order.
                    Some(at) => {
                        if let Some(there) = self.0.get_mut(at) {
                            *there = cookie;
                        }
                    }
                    None if is_expired || self.0.len() >= MAX_COOKIES => {}
                    None => self.0.push(cookie),
                }
            }
        }
    }

    /// The `Cookie` header for a request to `url`; empty if no cookie matches.
    pub fn header(&self, url: &str, now: u64) -> String {
        let target = UrlParts::of(url);
        let sendable = self.0.iter().filter(|cookie| cookie.matches(&target, now));
        let pairs: Vec<String> = sendable.map(|cookie| join(&[&cookie.name, "=", &cookie.value])).collect();
        join_with(&pairs, "; ")
    }

    /// Removes all cookies.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Cookie {
    fn parse(url: &str, line: &str, now: u64) -> Option<Self> {
        let target = UrlParts::of(url);
        let (pair, mut rest) = split_before(line, b";");
        let (name, value) = split_once(pair, "=")?;
        let mut cookie = Self {
            name: name.trim_ascii().to_owned(),
            value: value.trim_ascii().to_owned(),
            host: target.host.to_owned(),
            is_domain_cookie: false,
            path: "/".to_owned(),
            is_secure: false,
            expires_at_ms: None,
        };
        // The default path is the directory of the request (RFC 6265, section 5.1.4).
        if let Some((folder, _)) = rsplit_once(target.path, b'/')
            && !folder.is_empty()
        {
            cookie.path = folder.to_owned();
        }
        let mut has_max_age = false;
        while let Some(attribute) = rest.strip_prefix(';') {
            let part;
            (part, rest) = split_before(attribute, b";");
            let part = part.trim_ascii();
            let (key, value) = split_once(part, "=").unwrap_or((part, ""));
            match key.trim_ascii().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "domain" => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    if !domain.is_empty() {
                        if !is_within(target.host, &domain)
                            || !contains(&domain, ".") && domain != target.host
                        {
                            return None;
                        }
                        (cookie.host, cookie.is_domain_cookie) = (domain, true);
                    }
                }
                "secure" => cookie.is_secure = true,
                "max-age" => {
                    if let Ok(seconds) = value.parse::<i64>() {
                        has_max_age = true;
                        cookie.expires_at_ms =
                            Some(now.saturating_add_signed(seconds.max(0).saturating_mul(1000)));
                    }
                }
                "expires" if !has_max_age => {
                    cookie.expires_at_ms = read_cookie_date(value).map(|at| at.saturating_mul(1000));
                }
                _ => {}
            }
        }
        // A byte that no header can carry would make every request fail.
        let is_clean = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !is_clean(&cookie.name) || !is_clean(&cookie.value) {
            return None;
        }
        // A response over plain HTTP must not set a cookie that is only sent over HTTPS.
        (!cookie.name.is_empty() && (!cookie.is_secure || target.is_secure)).then_some(cookie)
    }

    fn matches(&self, target: &UrlParts<'_>, now: u64) -> bool {
        let host =
            if self.is_domain_cookie { is_within(target.host, &self.host) } else { target.host == self.host };
        let path = target.path.strip_prefix(self.path.trim_end_matches('/'));
        host && path.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && (!self.is_secure || target.is_secure)
            && self.expires_at_ms.is_none_or(|at_ms| at_ms > now)
    }
}

fn is_within(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

struct UrlParts<'a> {
    host: &'a str,
    path: &'a str,
    is_secure: bool,
}

impl<'a> UrlParts<'a> {
    /// The parts of a normalized URL: lower-case host, no user name.
    fn of(url: &'a str) -> Self {
        let (scheme, rest) = split_once(url, "://").unwrap_or_default();
        let (authority, path) = split_before(rest, b"/?#");
        let (path, _) = split_before(path, b"?#");
        let host = match rsplit_once(authority, b':') {
            // The colons of an IPv6 address are not followed by digits alone.
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        Self {
            host,
            path: if path.is_empty() { "/" } else { path },
            is_secure: matches!(scheme, "https" | "wss"),
        }
    }
}

/// Splits joined headers. A comma separates two cookies only if `name=` follows, which no date contains.
fn split_set_cookie(header: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, byte) in header.bytes().enumerate() {
        if byte != b',' {
            continue;
        }
        let rest = header.get(at + 1..).unwrap_or_default();
        let (name, rest) = split_before(rest, b"=;,");
        let name = name.trim_ascii();
        if rest.starts_with('=') && !name.is_empty() && !contains(name, " ") {
            found.extend(header.get(start..at));
            start = at + 1;
        }
    }
    found.extend(header.get(start..));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://acme.my.salesforce.com:8443/cometd/68.0";

    fn after(lines: &[&str], url: &str) -> String {
        let mut cookies = CookieJar::default();
        for line in lines {
            cookies.store(url, line, 1000);
        }
        cookies.header(url, 1000)
    }

    #[test]
    fn cookies_are_sent_by_host_path_security_and_expiry() {
        assert_eq!(
            after(
                &[
                    "BAYEUX_BROWSER=b1; Path=/; HttpOnly",
                    "sfdc-stream=!x/y+z=; path=/; SameSite=None; Secure"
                ],
                URL
            ),
            "BAYEUX_BROWSER=b1; sfdc-stream=!x/y+z="
        );
        let odd = [
            "a=1; Path=/other",
            "b=2; Max-Age=0",
            "c=3; Domain=evil.example",
            "d=4; Secure",
            "e=5",
            "f",
            "=6",
        ];
        assert_eq!(after(&odd, "http://acme.example/cometd"), "e=5");
        assert_eq!(
            after(&["a=1; Domain=salesforce.com", "b=2; Domain=com", "c=3; Domain=.my.salesforce.com"], URL),
            "a=1; c=3"
        );
        assert_eq!(after(&["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=2; Path=/cometd"], URL), "b=2");
    }

    #[test]
    fn a_joined_header_is_split_between_cookies_and_not_in_dates() {
        let joined =
            "BAYEUX_BROWSER=b1; Path=/, sfdc-stream=!x; path=/; Expires=Wed, 24-Sep-2036 19:55:37 GMT, z=1";
        assert_eq!(after(&[joined], URL), "BAYEUX_BROWSER=b1; sfdc-stream=!x; z=1");
    }

    #[test]
    fn a_new_value_replaces_the_old_one_and_expires() {
        assert_eq!(after(&["a=1; Path=/", "b=2; Path=/", "a=3; Path=/"], URL), "a=3; b=2");
        assert_eq!(after(&["a=1; Path=/", "a=; Path=/; Max-Age=0"], URL), "");
        let mut cookies = CookieJar::default();
        cookies.store(URL, "a=1; Path=/; Max-Age=10", 0);
        assert_eq!((cookies.header(URL, 9999).as_str(), cookies.header(URL, 10_000).as_str()), ("a=1", ""));
        assert_eq!(cookies.header("https://other.example/cometd/68.0", 0), "");
        cookies.store(URL, "only=here", 0);
        assert_eq!(cookies.header("https://acme.my.salesforce.com/other", 0), "a=1");
    }

    #[test]
    fn cookies_with_bytes_that_no_header_can_carry_are_ignored() {
        assert_eq!(after(&["a=\u{1}", "b=é", "c=d e"], URL), "c=d e");
    }

    #[test]
    fn the_number_of_cookies_is_limited() {
        let mut cookies = CookieJar::default();
        for at in 0..1000 {
            cookies.store(URL, &format!("c{at}=1"), 0);
        }
        assert_eq!(cookies.0.len(), MAX_COOKIES);
    }
}

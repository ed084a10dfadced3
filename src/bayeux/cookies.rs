//! A cookie jar for platforms that keep none: Node, Deno, Bun and Workers. RFC 6265 as far as it concerns one server.
//!
//! Times are Unix times in milliseconds, which the owner reckons from its clock.

use crate::base::timestamp::read_http_date;

/// Cookies, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Jar(Vec<Cookie>);

/// More than that a server has no business to keep at a client.
const MOST: usize = 50;

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    /// Whether hosts below that one get it as well.
    is_wide: bool,
    path: String,
    is_secure: bool,
    ends: Option<u64>,
}

impl Jar {
    /// Takes a `Set-Cookie` header of an answer from `url`. Several may stand in one line, parted by commas.
    pub fn store(&mut self, url: &str, header: &str, now: u64) {
        for line in split(header) {
            if let Some(cookie) = Cookie::parse(url, line, now) {
                let same = |other: &Cookie| {
                    (&other.name, &other.host, &other.path) == (&cookie.name, &cookie.host, &cookie.path)
                };
                let has_ended = cookie.ends.is_some_and(|ends| ends <= now);
                match self.0.iter().position(same) {
                    Some(at) if has_ended => drop(self.0.remove(at)),
                    // It keeps its place in the order.
                    Some(at) => {
                        if let Some(there) = self.0.get_mut(at) {
                            *there = cookie;
                        }
                    }
                    None if has_ended || self.0.len() >= MOST => {}
                    None => self.0.push(cookie),
                }
            }
        }
    }

    /// The `Cookie` header for a request to `url`; empty if there is none to send.
    pub fn header(&self, url: &str, now: u64) -> String {
        let place = Place::of(url);
        let fitting = self.0.iter().filter(|cookie| cookie.fits(&place, now));
        fitting.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Cookie {
    fn parse(url: &str, line: &str, now: u64) -> Option<Self> {
        let place = Place::of(url);
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie = Self {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            host: place.host.to_owned(),
            is_wide: false,
            path: "/".to_owned(),
            is_secure: false,
            ends: None,
        };
        // Without an attribute, it is for the folder of the page that set it.
        if let Some((folder, _)) = place.path.rsplit_once('/')
            && !folder.is_empty()
        {
            cookie.path = folder.to_owned();
        }
        let mut has_max_age = false;
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => cookie.path = value.to_owned(),
                "domain" => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    if !domain.is_empty() {
                        if !is_within(place.host, &domain) || !domain.contains('.') && domain != place.host {
                            return None;
                        }
                        (cookie.host, cookie.is_wide) = (domain, true);
                    }
                }
                "secure" => cookie.is_secure = true,
                "max-age" => {
                    if let Ok(seconds) = value.parse::<i64>() {
                        has_max_age = true;
                        cookie.ends = Some(now.saturating_add_signed(seconds.max(0).saturating_mul(1000)));
                    }
                }
                "expires" if !has_max_age => {
                    cookie.ends = read_http_date(&value.replace('-', " ")).map(|at| at.saturating_mul(1000));
                }
                _ => {}
            }
        }
        // What no request can carry would keep all of them from being sent.
        let is_clean = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !is_clean(&cookie.name) || !is_clean(&cookie.value) {
            return None;
        }
        // A server that is not reached safely must not set what only safe requests get.
        (!cookie.name.is_empty() && (!cookie.is_secure || place.is_secure)).then_some(cookie)
    }

    fn fits(&self, place: &Place<'_>, now: u64) -> bool {
        let host = if self.is_wide { is_within(place.host, &self.host) } else { place.host == self.host };
        let path = place.path.strip_prefix(self.path.trim_end_matches('/'));
        host && path.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            && (!self.is_secure || place.is_secure)
            && self.ends.is_none_or(|ends| ends > now)
    }
}

fn is_within(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

struct Place<'a> {
    host: &'a str,
    path: &'a str,
    is_secure: bool,
}

impl<'a> Place<'a> {
    /// Of a URL as the platform writes it: lower-case host, no user.
    fn of(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let host = match authority.rsplit_once(':') {
            // Not the colons of an IPv6 address.
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

/// The cookies in a header: a comma parts two of them if `name=` follows, which no date has.
fn split(header: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, _) in header.match_indices(',') {
        let rest = header.get(at + 1..).unwrap_or_default();
        let end = rest.find(['=', ';', ',']).unwrap_or(rest.len());
        let is_name = rest.get(end..).is_some_and(|rest| rest.starts_with('='))
            && rest.get(..end).is_some_and(|name| !name.trim().is_empty() && !name.trim().contains(' '));
        if is_name {
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
        let mut jar = Jar::default();
        for line in lines {
            jar.store(url, line, 1000);
        }
        jar.header(url, 1000)
    }

    #[test]
    fn keeps_what_is_for_this_server_and_this_time() {
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
    fn parts_a_joined_header_but_not_its_dates() {
        let joined =
            "BAYEUX_BROWSER=b1; Path=/, sfdc-stream=!x; path=/; Expires=Wed, 24-Sep-2036 19:55:37 GMT, z=1";
        assert_eq!(after(&[joined], URL), "BAYEUX_BROWSER=b1; sfdc-stream=!x; z=1");
    }

    #[test]
    fn a_new_value_takes_the_place_of_the_old_and_ends_when_it_is_over() {
        assert_eq!(after(&["a=1; Path=/", "b=2; Path=/", "a=3; Path=/"], URL), "a=3; b=2");
        assert_eq!(after(&["a=1; Path=/", "a=; Path=/; Max-Age=0"], URL), "");
        let mut jar = Jar::default();
        jar.store(URL, "a=1; Path=/; Max-Age=10", 0);
        assert_eq!((jar.header(URL, 9999).as_str(), jar.header(URL, 10_000).as_str()), ("a=1", ""));
        assert_eq!(jar.header("https://other.example/cometd/68.0", 0), "");
        jar.store(URL, "only=here", 0);
        assert_eq!(jar.header("https://acme.my.salesforce.com/other", 0), "a=1");
    }

    #[test]
    fn leaves_out_what_no_request_can_carry() {
        assert_eq!(after(&["a=\u{1}", "b=é", "c=d e"], URL), "c=d e");
    }

    #[test]
    fn does_not_grow_without_end() {
        let mut jar = Jar::default();
        for at in 0..1000 {
            jar.store(URL, &format!("c{at}=1"), 0);
        }
        assert_eq!(jar.0.len(), MOST);
    }
}

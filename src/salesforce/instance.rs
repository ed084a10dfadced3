//! Where an access token may be sent: pure functions.
//!
//! A login names the URL of its instance. Whoever can change that answer would get the token, so after a login
//! over https it goes only over https, to the host of the login, to the hosts of Salesforce, and to those that
//! the application has allowed.

use crate::base::text::{contains, rsplit_once, split_before, split_once};

/// The domains under which Salesforce runs instances and sites: the list of domains to allow in "Allow the
/// Required Domains" of its help, without those for content of users.
const DOMAINS: [&str; 9] = [
    "salesforce.com",
    "force.com",
    "site.com",
    "salesforce-sites.com",
    "salesforce-setup.com",
    "cloudforce.com",
    "salesforce.mil",
    "sfcrmproducts.cn",
    "sfcrmapps.cn",
];

/// Whether the token of a login at `login_url` may be sent to `url`. `allowed` are URLs or host names.
pub fn may_receive_token(login_url: &str, url: &str, allowed: &[String]) -> bool {
    let Some(login) = Origin::of(login_url) else { return false };
    let Some(target) = Origin::of(url) else { return false };
    if !login.is_https {
        // Only tests and proxies of one's own log in without encryption.
        return true;
    }
    target.is_https
        && (target.host == login.host
            || DOMAINS.iter().any(|domain| is_within(&target.host, domain))
            || allowed.iter().any(|entry| is_allowed(&target.host, entry)))
}

/// `entry` is a URL or a host name; `*.` at its start stands for all hosts under it.
fn is_allowed(host: &str, entry: &str) -> bool {
    match entry.strip_prefix("*.") {
        Some(domain) => is_within(host, &domain.to_ascii_lowercase()),
        None => Origin::of(entry).map_or_else(|| entry.to_ascii_lowercase(), |origin| origin.host) == host,
    }
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

struct Origin {
    is_https: bool,
    /// In lower case, without the port.
    host: String,
}

impl Origin {
    /// `None` for a URL that another parser might understand differently: a user name, a backslash, other
    /// characters than those of host names.
    fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = split_once(url, "://")?;
        let is_https = scheme.eq_ignore_ascii_case("https");
        if !is_https && !scheme.eq_ignore_ascii_case("http") || contains(rest, "\\") {
            return None;
        }
        let (authority, _) = split_before(rest, b"/?#");
        let host = match authority.strip_prefix('[').and_then(|rest| split_once(rest, "]")) {
            Some((address, _)) => address,
            None => split_before(authority, b":").0,
        };
        let port = rsplit_once(authority, b']').map_or(authority, |(_, rest)| rest);
        let port = split_once(port, ":").map_or("", |(_, port)| port);
        let is_host = !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':'));
        (is_host && port.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| Self { is_https, host: host.trim_end_matches('.').to_ascii_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_only_to_the_login_host_to_salesforce_and_to_allowed_hosts_over_https() {
        let login = "https://login.salesforce.com/services/oauth2/token";
        for url in [
            "https://acme.my.salesforce.com",
            "https://ACME.my.salesforce.com:443/",
            "https://login.salesforce.com",
            "https://acme.my.site.com",
            "https://acme.my.salesforce.mil",
        ] {
            assert!(may_receive_token(login, url, &[]), "{url}");
        }
        for url in [
            "http://acme.my.salesforce.com",
            "https://evil.example",
            "https://salesforce.com.evil.example",
            "https://evilsalesforce.com",
            "https://acme.my.salesforce.com@evil.example",
            "https://acme.my.salesforce.com:x@evil.example",
            "https://evil.example\\.salesforce.com",
            "https://evil.example#.salesforce.com",
            "https://evil.example?.salesforce.com",
            "https://127.0.0.1",
            "https://.salesforce.com",
            "ftp://acme.my.salesforce.com",
            "acme.my.salesforce.com",
            "",
        ] {
            assert!(!may_receive_token(login, url, &[]), "{url}");
        }
        let own = "https://sso.acme.example/token";
        let allowed = ["https://crm.acme.example".to_owned(), "*.partner.example".to_owned()];
        assert!(may_receive_token(own, "https://sso.acme.example:8443/x", &[]));
        assert!(!may_receive_token(own, "https://crm.acme.example", &[]));
        assert!(may_receive_token(own, "https://crm.acme.example", &allowed));
        assert!(may_receive_token(own, "https://eu.partner.example", &allowed));
        assert!(!may_receive_token(own, "https://partner.example", &allowed));
        assert!(!may_receive_token(own, "http://crm.acme.example", &allowed));
        assert!(may_receive_token("http://127.0.0.1:80/token", "http://[::1]:8080", &[]));
    }
}

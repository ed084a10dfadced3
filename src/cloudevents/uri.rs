//! URIs and URI-references (RFC 3986).

use crate::base::json::block::{Block, Native, is_plain_in_path};

/// Whether `text` is a URI-reference: a URI, or a relative reference.
pub(super) fn is_uri_reference(text: &[u8]) -> bool {
    // The most frequent forms by far: an absolute path or an https URL without delimiters other than slashes.
    let is_common = match text {
        [b'/', rest @ ..] if rest.first() != Some(&b'/') => has_only_plain(rest),
        [b'h', b't', b't', b'p', b's', b':', b'/', b'/', rest @ ..] => has_only_plain(rest),
        _ => false,
    };
    is_common || is_any_uri_reference(text)
}

/// Whether all characters are unreserved or slashes. These are allowed in a host and in a path and delimit nothing else.
#[inline(always)]
fn has_only_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else { return text.iter().all(|byte| is_plain_in_path(*byte)) };
    text.as_chunks().0.iter().all(Native::is_plain_path) && Native::is_plain_path(last)
}

#[inline(never)]
fn is_any_uri_reference(text: &[u8]) -> bool {
    match split_scheme(text) {
        // A colon that does not end a scheme: the first segment of a relative path must not have one.
        Scheme::Malformed => false,
        Scheme::None => is_hierarchy(text),
        Scheme::Before(rest) => is_hierarchy(rest),
    }
}

/// Whether `text` is a URI with a scheme, with or without a fragment.
pub(super) fn is_uri(text: &[u8]) -> bool {
    matches!(split_scheme(text), Scheme::Before(rest) if is_hierarchy(rest))
}

enum Scheme<'a> {
    None,
    Malformed,
    Before(&'a [u8]),
}

fn split_scheme(text: &[u8]) -> Scheme<'_> {
    match text.iter().position(|b| matches!(b, b':' | b'/' | b'?' | b'#')) {
        Some(at) if text.get(at) == Some(&b':') => {
            let (scheme, rest) = text.split_at(at);
            let has_valid_start = scheme.first().is_some_and(u8::is_ascii_alphabetic);
            let has_valid_characters =
                scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
            if has_valid_start && has_valid_characters {
                Scheme::Before(rest.get(1..).unwrap_or_default())
            } else {
                Scheme::Malformed
            }
        }
        _ => Scheme::None,
    }
}

/// `["//" authority] path ["?" query] ["#" fragment]`
fn is_hierarchy(text: &[u8]) -> bool {
    let (text, fragment) = split_at_byte(text, b'#');
    let (text, query) = split_at_byte(text, b'?');
    let path = match text {
        [b'/', b'/', rest @ ..] => {
            let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if !is_authority(authority) {
                return false;
            }
            path
        }
        path => path,
    };
    has_only(path, b":@/") && has_only(query, b":@/?") && has_only(fragment, b":@/?")
}

fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|b| *b == byte) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, &[]),
    }
}

/// `[userinfo "@"] host [":" port]`
fn is_authority(text: &[u8]) -> bool {
    let (user, host) = match text.iter().rposition(|b| *b == b'@') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (&[][..], text),
    };
    let (host, port) = match host {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|b| *b == b']') else { return false };
            let (address, port) = rest.split_at(end);
            if !is_ip_literal(address) {
                return false;
            }
            (&[][..], port.get(1..).unwrap_or_default())
        }
        host => host.split_at(host.iter().position(|b| *b == b':').unwrap_or(host.len())),
    };
    let is_port_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_port_valid && has_only(user, b":") && has_only(host, b"")
}

/// `IPv6address / IPvFuture`
fn is_ip_literal(address: &[u8]) -> bool {
    let [b'v' | b'V', future @ ..] = address else { return is_ipv6(address) };
    let (version, address) = split_at_byte(future, b'.');
    !version.is_empty()
        && version.iter().all(u8::is_ascii_hexdigit)
        && !address.is_empty()
        && address.iter().all(|b| is_unreserved(*b) || is_sub_delim(*b) || *b == b':')
}

/// Eight groups of 16 bits; `::` stands for one or more of them, and an IPv4 address for the last two.
fn is_ipv6(mut text: &[u8]) -> bool {
    let (mut groups, mut has_gap) = (0, false);
    loop {
        if let [b':', b':', rest @ ..] = text {
            if has_gap {
                return false;
            }
            (has_gap, text) = (true, rest);
            if text.is_empty() {
                break;
            }
        } else if groups > 0 {
            let [b':', rest @ ..] = text else { return false };
            text = rest;
        }
        let end = text.iter().position(|b| *b == b':').unwrap_or(text.len());
        let (group, rest) = text.split_at(end);
        if group.contains(&b'.') {
            if !rest.is_empty() || !is_ipv4(group) {
                return false;
            }
            groups += 2;
        } else if group.is_empty() || group.len() > 4 || !group.iter().all(u8::is_ascii_hexdigit) {
            return false;
        } else {
            groups += 1;
        }
        text = rest;
        if text.is_empty() {
            break;
        }
    }
    if has_gap { groups < 8 } else { groups == 8 }
}

/// Four decimal octets without leading zeros.
fn is_ipv4(text: &[u8]) -> bool {
    let is_octet = |octet: &[u8]| {
        matches!(
            octet,
            [b'0'..=b'9']
                | [b'1'..=b'9', b'0'..=b'9']
                | [b'1', b'0'..=b'9', b'0'..=b'9']
                | [b'2', b'0'..=b'4', b'0'..=b'9']
                | [b'2', b'5', b'0'..=b'5']
        )
    };
    text.split(|b| *b == b'.').count() == 4 && text.split(|b| *b == b'.').all(is_octet)
}

/// Whether all characters are unreserved, delimiters within a component, or one of `more`. `%` starts an escape of two
/// hexadecimal digits. One function for all components, because each copy costs 200 bytes.
#[inline(never)]
fn has_only(mut text: &[u8], more: &[u8]) -> bool {
    loop {
        text = match text {
            [] => return true,
            [b'%', a, b, rest @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if is_unreserved(*byte) || is_sub_delim(*byte) || more.contains(byte) => rest,
            _ => return false,
        };
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_sub_delim(byte: u8) -> bool {
    matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

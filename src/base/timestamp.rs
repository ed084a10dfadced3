//! Dates and times in text: checks RFC 3339 timestamps, parses HTTP dates.

/// Whether `text` is a timestamp by RFC 3339 section 5.6.
///
/// Seconds and offset are mandatory, `t` and `z` may be lower case, the day must exist in the month, second
/// 60 is allowed, and there may be any number of fraction digits.
pub fn is_timestamp(text: &[u8]) -> bool {
    let Some((date, rest)) = text.split_first_chunk::<10>() else { return false };
    let Some((time, offset)) = rest.split_first_chunk::<9>() else { return false };
    is_date(date) && is_time(time) && is_offset(skip_fraction(offset))
}

/// `yyyy-mm-dd`
fn is_date(text: &[u8; 10]) -> bool {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return false };
    let (Some(century), Some(year)) = (two_digits(y1, y2), two_digits(y3, y4)) else { return false };
    let (Some(month), Some(day)) = (two_digits(m1, m2), two_digits(d1, d2)) else { return false };
    day >= 1 && day <= days_in(century * 100 + year, month)
}

/// `Thh:mm:ss`
fn is_time(text: &[u8; 9]) -> bool {
    let &[b'T' | b't', h1, h2, b':', m1, m2, b':', s1, s2] = text else { return false };
    matches!(two_digits(h1, h2), Some(0..=23))
        && matches!(two_digits(m1, m2), Some(0..=59))
        && matches!(two_digits(s1, s2), Some(0..=60))
}

fn skip_fraction(text: &[u8]) -> &[u8] {
    let [b'.', digits @ ..] = text else { return text };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    // Without digits the point stays, and no offset starts with a point.
    if count == 0 { text } else { digits.get(count..).unwrap_or_default() }
}

/// `Z` or `+hh:mm`
fn is_offset(text: &[u8]) -> bool {
    match *text {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            matches!(two_digits(h1, h2), Some(0..=23)) && matches!(two_digits(m1, m2), Some(0..=59))
        }
        _ => false,
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then_some(tens as u32 * 10 + ones as u32)
}

const fn days_in(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

/// Parses the `Expires` of a cookie, `Sun, 06 Nov 1994 08:49:37 GMT`, also with hyphens (RFC 6265 section 5.1.1), to Unix
/// seconds. Two-digit years, as in the obsolete forms, and dates before 1970 give `None`. For `Date` and `Retry-After` see
/// `js/platform/http-date.ts`.
pub fn read_cookie_date(text: &str) -> Option<u64> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let fields: Vec<&[u8]> = text
        .as_bytes()
        .split(|byte| !byte.is_ascii_alphanumeric())
        .filter(|field| !field.is_empty())
        .collect();
    let &[_weekday, day, month, year, hour, minute, second, b"GMT"] = fields.as_slice() else { return None };
    let month = MONTHS.chunks(3).position(|name| name == month)? as u32 + 1;
    let [day, year, hour, minute, second] = [day, year, hour, minute, second].map(number);
    let is_date = (1970..=9999).contains(&year) && day > 0 && day <= days_in(year, month);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // How many leap years there were before.
    let last = year - 1;
    let leap_years = last / 4 - last / 100 + last / 400 - 477;
    let days = (year - 1970) * 365 + leap_years + (1..month).map(|m| days_in(year, m)).sum::<u32>() + day - 1;
    Some(((u64::from(days) * 24 + u64::from(hour)) * 60 + u64::from(minute)) * 60 + u64::from(second))
}

/// What decimal digits say; more than any part of a date for anything else.
fn number(field: &[u8]) -> u32 {
    let is_number = field.len() <= 4 && field.iter().all(u8::is_ascii_digit);
    if is_number {
        field.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'))
    } else {
        u32::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_http_dates() {
        assert_eq!(read_cookie_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(read_cookie_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(read_cookie_date("Thu, 29 Feb 2023 00:00:00 GMT"), None);
        assert_eq!(read_cookie_date("Sunday, 06-Nov-94 08:49:37 GMT"), None);
        assert_eq!(read_cookie_date("Sun, 06 anF 1994 08:49:37 GMT"), None);
        assert_eq!(read_cookie_date("Sun, 06-Nov-1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(read_cookie_date("Sun, 06 Nov 1994 08:49:3x GMT"), None);
        assert_eq!(read_cookie_date("Sun, 06 Nov 1994 08:49 GMT"), None);
        assert_eq!(read_cookie_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(read_cookie_date("Wed, 31 Dec 1969 23:59:59 GMT"), None);
        assert_eq!(read_cookie_date("Wed, 01 Mar 2000 00:00:00 GMT"), Some(951_868_800));
        assert_eq!(read_cookie_date("Mon, 01 Mar 2100 00:00:00 GMT"), Some(4_107_542_400));
        assert_eq!(read_cookie_date("Fri, 31 Dec 9999 23:59:60 GMT"), Some(253_402_300_800));
    }
}

//! The table of error codes.

use eventferry::base::error::Code;

#[test]
fn all_codes_differ() {
    let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(names.iter().all(|name| name.starts_with("ERR_")));
}

//! One event: its members.

use super::context::{Scan, ScanContext, SeenMembers, content};
use super::extension::{ExtensionName, scan_extension};
use super::validate::{check_event, has_json_data};
use crate::base::error::Code;
use crate::base::json::block::Block;
use crate::base::json::scan::{Kind, Scanner};
use crate::cloudevents::member::Member;
use crate::cloudevents::rejection::{Reason, Rejection, Target};
use crate::cloudevents::table::{MemberSpan, Table};

/// Scans the event that starts at the position of the scanner.
pub(super) fn scan_event<B: Block>(scanner: &mut Scanner<'_, B>, context: &mut ScanContext<'_>) -> Scan {
    let ScanContext { scratch, table, layout } = context;
    if layout.scan_same(scanner, table) {
        return Ok(());
    }
    let (start, start_unit) = (scanner.pos(), scanner.units());
    scan_members(scanner, scratch, table)?;
    let is_json = has_json_data(scanner.text(), scratch, table);
    layout.learn(scanner, start, start_unit, is_json, table);
    Ok(())
}

#[inline(never)]
fn scan_members<B: Block>(scanner: &mut Scanner<'_, B>, scratch: &mut [u8], table: &mut Table) -> Scan {
    let mut seen = SeenMembers::default();
    table.row.clear();
    scanner.expect(b'{').map_err(|_| Rejection::invalid_event(Reason::NotObject))?;
    scanner.skip_space();
    if !scanner.eat(b'}') {
        loop {
            scan_member(scanner, &mut seen, scratch, table)?;
            scanner.skip_space();
            if scanner.eat(b'}') {
                break;
            }
            scanner.expect(b',')?;
            scanner.skip_space();
        }
    }
    check_event(scanner.text(), &seen, scratch, table)
}

#[inline(always)]
fn scan_member<B: Block>(
    scanner: &mut Scanner<'_, B>,
    seen: &mut SeenMembers,
    scratch: &mut [u8],
    table: &mut Table,
) -> Scan {
    let name = scanner.string()?;
    let name_content = content(scanner.text(), name.start, name.end, name.has_escapes, scratch);
    let Some(member) = name_content.and_then(Member::from_name) else {
        let name = ExtensionName::new(&name, name_content);
        scanner.colon()?;
        return scan_extension(scanner, &name, seen, scratch, table);
    };
    scanner.colon()?;
    let (kind, value) = scanner.value()?;
    if seen.names & member.bit() != 0 {
        return Err(Rejection::new(Code::InvalidEvent, Reason::Duplicate, Target::Member(member)));
    }
    seen.names |= member.bit();
    if kind != Kind::Null || member == Member::Data {
        table.row.present |= member.bit();
        if let Some(span) = table.spans.get_mut(member as usize) {
            *span = MemberSpan::new(&name, kind, &value);
        }
    }
    Ok(())
}

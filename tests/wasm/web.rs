//! The SIMD scanner and the scalar scanner have the same results. Only a browser can run this.
#![cfg(target_arch = "wasm32")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is a failed test"
)]

use core::fmt::Debug;

use eventferry::base::json::block::{Block, Native, Simd, Swar, is_string_stop};
use eventferry::base::json::padded::{Padded, pad};
use eventferry::base::json::pointer::find;
use eventferry::cloudevents::json::{ScanContext, Sequence, SequenceOptions, is_json_text, scan_document};
use eventferry::cloudevents::layout::Layout;
use eventferry::cloudevents::table::Table;
use eventferry::engine::jitter::Rng;
use rows::scan_rows;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

#[path = "../native/rows.rs"]
mod rows;

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn the_build_uses_simd() {
    assert_eq!(core::any::type_name::<Native>(), core::any::type_name::<Simd>());
}

/// Compares the results of both blocks, and those that differ once more: JavaScriptCore 2.50 gives a wrong value about once
/// in 200 to 500 runs on a busy machine, in SIMD or in scalar code, at the moment when it replaces a function by its optimized
/// code. A fault of a block gives the same wrong result each time.
fn assert_same<T: PartialEq + Debug>(left: impl Fn() -> T, right: impl Fn() -> T, bytes: &[u8]) {
    if left() != right() {
        assert_eq!(left(), right(), "{bytes:?}");
    }
}

fn assert_same_structure(bytes: &[u8; 64]) {
    assert_same(|| Simd::structure(bytes), || Swar::structure(bytes), bytes);
    assert_same(|| Simd::special(bytes), || Swar::special(bytes), bytes);
    assert_same(|| Simd::has_special(bytes), || Swar::has_special(bytes), bytes);
}

/// In SIMD the mark of a byte depends on that byte alone. In a register of words a carry could reach the next byte, so all
/// pairs are tried.
#[wasm_bindgen_test]
fn both_blocks_have_the_same_result_for_every_pair_of_bytes_at_every_position() {
    for pair in 0..=0xffffu16 {
        let [first, second] = pair.to_le_bytes();
        for at in 0..15 {
            let mut bytes = [first.wrapping_add(second); 16];
            (bytes[at], bytes[at + 1]) = (first, second);
            let other = [second; 16];
            assert_same(|| Simd::string_stops(&bytes), || Swar::string_stops(&bytes), &bytes);
            assert_same(|| Simd::digits(&bytes), || Swar::digits(&bytes), &bytes);
            assert_same(|| Simd::equal_bytes(&bytes, &other), || Swar::equal_bytes(&bytes, &other), &bytes);
        }
    }
}

#[wasm_bindgen_test]
fn both_blocks_have_the_same_structure_for_every_pair_of_bytes_at_every_position() {
    for pair in 0..=0xffffu16 {
        let [first, second] = pair.to_le_bytes();
        let at = first as usize % 63;
        let mut bytes = [first.wrapping_add(second); 64];
        (bytes[at], bytes[at + 1]) = (first, second);
        assert_same_structure(&bytes);
    }
    for byte in 0..=255u8 {
        for at in 0..64 {
            for filler in [b'a', 0xff, 0x00, b'"', b'\\', 0x80, byte ^ 0x20] {
                let mut bytes = [filler; 64];
                bytes[at] = byte;
                assert_same_structure(&bytes);
            }
        }
    }
}

#[wasm_bindgen_test]
fn both_blocks_have_the_same_result_for_every_byte_at_every_position() {
    for byte in 0..=255u8 {
        for at in 0..16 {
            for filler in [b'a', b'5', 0xff, 0x00, b' ', 0x7e, byte ^ 0x80] {
                let mut bytes = [filler; 16];
                bytes[at] = byte;
                let stops = (0..16).fold(0, |mask, i| mask | u32::from(is_string_stop(bytes[i])) << i);
                assert_same(|| Simd::string_stops(&bytes), || stops, &bytes);
                assert_same(|| Swar::string_stops(&bytes), || stops, &bytes);
                assert_same(|| Simd::is_plain_path(&bytes), || Swar::is_plain_path(&bytes), &bytes);
                let other = [filler; 16];
                assert_same(
                    || Simd::equal_bytes(&bytes, &other),
                    || Swar::equal_bytes(&bytes, &other),
                    &bytes,
                );
            }
        }
    }
}

const EVENTS: &[&str] = &[
    r#"{"specversion":"1.0","id":"17","source":"/orders","type":"com.example.made","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","data":{"a":[1,2.5e3,"text of more than peek_block bytes",null,true]}}"#,
    r#"{"specversion":"1.0","id":"18","source":"/orders","type":"com.example.made","time":"2026-01-01T00:00:01Z","datacontenttype":"application/json","data":"é€😀 \ud83d\ude00"}"#,
    r#"{ "data_base64" : "AP/+" , "type":"t", "source":"https://example.com/a?b#c", "id":"\u00e9", "specversion":"1.0", "ext":5 }"#,
    r#"{"specversion":"0.3","id":"1","source":"","type":"t","datacontentencoding":"base64","data":"e30="}"#,
];

fn scan<B: Block>(text: &[u8], layout: &mut Layout) -> (u32, String) {
    let bytes = pad(text);
    let mut scratch = vec![0; bytes.len()];
    let mut table = Table::new();
    let mut context = ScanContext { scratch: &mut scratch, table: &mut table, layout };
    let code = scan_document::<B>(Padded::new(&bytes).expect("padded"), &mut context);
    let extensions = &table.extensions[..table.row.extension_count as usize];
    (code, format!("{:?} {extensions:?} {} {}", table.row, table.reason, table.at))
}

#[wasm_bindgen_test]
fn both_scanners_have_the_same_result_for_valid_and_invalid_events() {
    let mut rng = Rng::new(1);
    let (mut simd, mut words) = (Layout::new(), Layout::new());
    let mut accepted = 0;
    for round in 0..20_000 {
        let mut text = EVENTS[round % EVENTS.len()].as_bytes().to_vec();
        for _ in 0..rng.up_to(2) {
            let at = rng.up_to(text.len() as u64 - 1) as usize;
            match rng.up_to(2) {
                0 => drop(text.remove(at)),
                1 => text[at] = rng.up_to(255) as u8,
                _ => text.truncate(at + 1),
            }
        }
        let found = scan::<Simd>(&text, &mut simd);
        assert_eq!(found, scan::<Swar>(&text, &mut words), "{:?}", String::from_utf8_lossy(&text));
        accepted += u32::from(found.0 == 0);
        let bytes = pad(&text);
        let padded = Padded::new(&bytes).expect("padded");
        assert_eq!(is_json_text::<Simd>(padded), is_json_text::<Swar>(padded));
    }
    assert!(accepted > 2_000 && accepted < 18_000, "{accepted}");
}

fn scan_batch<B: Block>(text: &[u8], is_trusted: bool) -> (u32, String) {
    let options =
        SequenceOptions { sequence: Sequence::Batch, in_bytes: false, is_trusted, skips_invalid: false };
    let (code, rows, table) = scan_rows::<B>(text, options, &mut ());
    (code, format!("{rows:?} {} {}", table.reason, table.at))
}

fn find_value<B: Block>(text: &[u8], pointer: &[u8]) -> Option<(usize, usize, usize, usize)> {
    let bytes = pad(text);
    let mut scratch = vec![0; bytes.len()];
    let (_, span) = find::<B>(Padded::new(&bytes).expect("padded"), 0, pointer, &mut scratch).ok()??;
    Some((span.start, span.end, span.start_unit, span.end_unit))
}

#[wasm_bindgen_test]
fn both_scanners_have_the_same_result_for_batches_and_pointers() {
    let mut rng = Rng::new(2);
    let (mut accepted, mut found) = (0, 0);
    for _ in 0..5_000 {
        let first = rng.up_to(1) as usize;
        // The second one is scanned by what was learned from the first one.
        let events = [EVENTS[first], EVENTS[rng.up_to(1) as usize], EVENTS[first], EVENTS[0]];
        let mut text = format!("[{}]", events.join(",")).into_bytes();
        for _ in 0..rng.up_to(1) {
            let at = rng.up_to(text.len() as u64 - 1) as usize;
            text[at] = rng.up_to(255) as u8;
        }
        for is_trusted in [false, true] {
            let expected = scan_batch::<Swar>(&text, is_trusted);
            assert_eq!(
                scan_batch::<Simd>(&text, is_trusted),
                expected,
                "{:?}",
                String::from_utf8_lossy(&text)
            );
            accepted += u32::from(expected.0 == 0);
        }
        let expected = find_value::<Swar>(&text, b"/3/data/a/2");
        assert_eq!(
            find_value::<Simd>(&text, b"/3/data/a/2"),
            expected,
            "{:?}",
            String::from_utf8_lossy(&text)
        );
        found += u32::from(expected.is_some());
    }
    assert!(accepted > 2_000 && found > 2_000, "{accepted} {found}");
}

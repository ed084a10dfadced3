//! `js/engine/generated/tables.ts` has the tables of this crate that TypeScript needs. The test compares the file; with
//! `WRITE_TABLES=1` it writes it.

use std::fmt::Write;
use std::fs;

use eventferry::boundary::options::{
    CALLS_OPTIONS, NumberOption, OUTBOX_OPTIONS, STREAM_NUMBERS, STREAM_TEXTS,
};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/js/engine/generated/tables.ts");

#[test]
fn the_tables_of_typescript_are_those_of_this_crate() {
    let expected = tables();
    if std::env::var_os("WRITE_TABLES").is_some() {
        fs::write(PATH, &expected).expect("written");
    }
    let found = fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        found == expected,
        "the tables differ; WRITE_TABLES=1 cargo test --test native tables writes them"
    );
}

/// The text of the file, formatted as Biome does.
fn tables() -> String {
    let mut file = String::from(
        "/** What both sides of the wasm boundary must know. Generated from the Rust crate by `tests/native/tables.rs`. */\n",
    );
    let mut add = |what: &str, name: &str, rows: Vec<String>| {
        let rows = rows.iter().fold(String::new(), |mut text, row| {
            let _ = writeln!(text, "  {row},");
            text
        });
        let _ = write!(file, "\n/** {what} */\nexport const {name} = [\n{rows}] as const;\n");
    };
    add(
        "The options of calls, and the integers that each accepts.",
        "CALLS_OPTIONS",
        number_options(CALLS_OPTIONS),
    );
    add(
        "The options of an outbox; one without a range is not an option of the user.",
        "OUTBOX_OPTIONS",
        number_options(OUTBOX_OPTIONS),
    );
    add("The numbers in the options of a stream.", "STREAM_NUMBERS", number_options(STREAM_NUMBERS));
    add(
        "The texts in the options of a stream.",
        "STREAM_TEXTS",
        STREAM_TEXTS.iter().map(|name| format!("{name:?}")).collect(),
    );
    file
}

fn number_options(options: &[NumberOption]) -> Vec<String> {
    options
        .iter()
        .map(|NumberOption { name, range }| match range {
            Some((min, max)) => format!("[{name:?}, {min}, {max}]"),
            None => format!("[{name:?}]"),
        })
        .collect()
}

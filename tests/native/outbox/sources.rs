//! The outbox consists of small parts: no long files, and no structs with many fields.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 400;
const MAX_FIELDS: usize = 15;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The structs of a formatted source, each with the number of its named fields.
fn structs(source: &str) -> Vec<(String, usize)> {
    let mut all = Vec::new();
    let mut fields = None;
    for line in source.lines() {
        let item = line.strip_prefix("pub(super) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        if let Some(name) = item.strip_prefix("struct ").and_then(|item| item.strip_suffix(" {")) {
            fields = Some((name.to_owned(), 0));
        } else if line == "}" {
            all.extend(fields.take());
        } else if let Some((_, count)) = &mut fields {
            let is_field = line.starts_with("    ") && line.ends_with(',') && line.contains(": ");
            *count += usize::from(is_field && !line.trim_start().starts_with("//"));
        }
    }
    all
}

#[test]
fn no_file_is_long_and_no_struct_has_many_fields() {
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/outbox"), &mut found);
    let mut seen = 0;
    for path in &found {
        let source = fs::read_to_string(path).expect("a source");
        let lines = source.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
        for (name, fields) in structs(&source) {
            assert!(fields <= MAX_FIELDS, "{name} in {} has {fields} fields", path.display());
            seen += 1;
        }
    }
    assert!(found.len() > 15 && seen > 20, "{} files with {seen} structs", found.len());
}

#[test]
fn fields_are_counted() {
    let source =
        "pub struct One {\n    /// A: comment,\n    a: u32,\n    pub b: (u8, u8),\n}\nstruct Two(u8);\n";
    assert_eq!(structs(source), [("One".to_owned(), 2)]);
}

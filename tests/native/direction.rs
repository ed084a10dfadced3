//! Arrows point down only: the imports are read, and a breach fails. The layers are in the crate's documentation.

use std::fs;
use std::path::{Path, PathBuf};

/// What each part of the crate may name of the others.
const RUST_LAYERS: &[(&str, &[&str])] = &[
    ("base", &["base"]),
    ("engine", &["base", "engine"]),
    ("outbox", &["base", "engine", "outbox"]),
    ("cloudevents", &["base", "engine", "outbox", "cloudevents"]),
    ("bc_events", &["base", "engine", "outbox", "cloudevents", "bc_events"]),
    ("glassflow", &["base", "engine", "outbox", "cloudevents", "glassflow"]),
    ("events_protocol", &["base", "engine", "events_protocol"]),
    ("bayeux", &["base", "engine", "bayeux"]),
    ("salesforce", &["base", "engine", "bayeux", "salesforce"]),
    (
        "wasm",
        &[
            "base",
            "engine",
            "outbox",
            "cloudevents",
            "bc_events",
            "glassflow",
            "events_protocol",
            "bayeux",
            "salesforce",
            "wasm",
        ],
    ),
];
const WASM_CRATES: &[&str] =
    &["wasm_bindgen", "js_sys", "web_sys", "gloo_net", "serde_wasm_bindgen", "wasm_bindgen_futures"];

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no {ending} in {folder}");
    found
}

/// The code of a file without its tests and comments.
fn code_of(path: &Path) -> String {
    let source = fs::read_to_string(path).expect("a file");
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn rust_arrows_point_down() {
    for path in files("src", ".rs") {
        let relative = path
            .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
            .expect("in src")
            .to_path_buf();
        let first =
            relative.components().next().expect("a part").as_os_str().to_string_lossy().replace(".rs", "");
        if first == "lib" {
            continue;
        }
        let layer = first.as_str();
        let (_, allowed) = RUST_LAYERS
            .iter()
            .find(|(name, _)| *name == layer)
            .unwrap_or_else(|| panic!("{first} has no layer"));
        let code = code_of(&path);
        for part in code.split("crate::").skip(1) {
            let module: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(
                allowed.contains(&module.as_str()),
                "{}: {layer} must not name {module}",
                relative.display()
            );
        }
        if layer != "wasm" {
            for name in WASM_CRATES {
                assert!(!code.contains(&format!("{name}::")), "{} names {name}", relative.display());
            }
        }
    }
}

#[test]
fn wire_files_know_no_machines() {
    // The codecs of CloudEvents are what `wire.rs` is to the other systems.
    for path in [
        (
            "cloudevents",
            &[
                "attribute",
                "http",
                "json",
                "json/event",
                "json/extension",
                "json/sequence",
                "json/validate",
                "layout",
                "member",
                "rejection",
                "table",
                "uri",
            ][..],
        ),
        ("bc_events", &["wire"]),
        ("glassflow", &["wire"]),
        ("events_protocol", &["event", "wire", "server"]),
        ("bayeux", &["wire", "message", "cookies"]),
    ]
    .into_iter()
    .flat_map(|(system, names)| names.iter().map(move |name| format!("src/{system}/{name}.rs")))
    .map(|path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
    {
        let code = code_of(&path);
        assert!(
            !code.contains("crate::engine::machine") && !code.contains("crate::engine"),
            "{}",
            path.display()
        );
    }
}

//! Arrows point down only: the imports are read, and a breach fails. The layers are in the crate's documentation.

use std::fs;
use std::path::{Path, PathBuf};

/// What each part of the crate may name of the others.
const RUST_LAYERS: &[(&str, &[&str])] = &[
    ("words", &["words"]),
    ("engine", &["words", "engine"]),
    ("outbox", &["words", "engine", "outbox"]),
    ("cloudevents", &["words", "engine", "outbox", "cloudevents"]),
    ("bc_events", &["words", "engine", "outbox", "cloudevents", "bc_events"]),
    ("glassflow", &["words", "engine", "outbox", "cloudevents", "glassflow"]),
    ("events_protocol", &["words", "engine", "events_protocol"]),
    ("bayeux", &["words", "engine", "bayeux"]),
    ("salesforce", &["words", "engine", "bayeux", "salesforce"]),
    (
        "wasm",
        &[
            "words",
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
const WORDS: &[&str] = &["effect", "error", "http", "ids", "json", "secret", "time", "wall"];
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

fn layer_of(module: &str) -> &str {
    if WORDS.contains(&module) { "words" } else { module }
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
        let layer = layer_of(&first);
        let (_, allowed) = RUST_LAYERS
            .iter()
            .find(|(name, _)| *name == layer)
            .unwrap_or_else(|| panic!("{first} has no layer"));
        let code = code_of(&path);
        for part in code.split("crate::").skip(1) {
            let module: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(
                allowed.contains(&layer_of(&module)),
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
    // The codecs of CloudEvents are what `wire.rs` is to the other rooms.
    for path in [
        ("cloudevents", &["attribute", "event", "http", "json", "layout"][..]),
        ("bc_events", &["wire"]),
        ("glassflow", &["wire"]),
        ("events_protocol", &["event", "wire", "server"]),
        ("bayeux", &["wire", "message", "cookies"]),
    ]
    .into_iter()
    .flat_map(|(room, names)| names.iter().map(move |name| format!("src/{room}/{name}.rs")))
    .map(|path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
    {
        let code = code_of(&path);
        assert!(!code.contains("crate::effect") && !code.contains("crate::engine"), "{}", path.display());
    }
}

/// Rooms: each has a folder and a file of that name for those who import it. No room knows another, but for one.
const JS_ROOMS: &[(&str, &[&str])] = &[
    ("bayeux", &[]),
    ("bc-events", &[]),
    ("events-protocol", &[]),
    ("glassflow", &[]),
    ("salesforce", &["js/bayeux/"]),
];
/// What rooms may share.
const JS_SHARED: &[&str] = &[
    "js/calls",
    "js/cloudevents/",
    "js/errors",
    "js/feed",
    "js/options",
    "js/outbox/",
    "js/pump",
    "js/stores/",
    "js/transport",
    "js/uuid",
    "js/wasm",
];
/// Which files of `js/` another may import, by the start of their path. `*` is a file right in `js/`.
const JS_RULES: &[(&str, &[&str])] = &[
    ("js/entries/", &["*"]),
    ("js/index", &["*", "js/cloudevents/"]),
    (
        "js/cloudevents/",
        &[
            "js/cloudevents/",
            "js/calls",
            "js/errors",
            "js/options",
            "js/outbox/",
            "js/pieces",
            "js/uuid",
            "js/wasm",
        ],
    ),
    ("js/cloudevents.", &["js/cloudevents/", "js/errors"]),
    ("js/outbox/", &["js/outbox/", "js/errors", "js/pump", "js/stores/", "js/transport", "js/wasm"]),
    ("js/outbox.", &["js/cloudevents/", "js/errors", "js/options", "js/outbox/", "js/stores/"]),
    (
        "js/testing/",
        &[
            "js/testing/",
            "js/cloudevents",
            "js/errors",
            "js/uuid",
            "js/bc-events/envelope",
            "js/events-protocol/",
        ],
    ),
    // It serves pages that have the engine, and has no need of it itself.
    ("js/salesforce/proxy", &["js/salesforce/proxy", "js/errors", "js/options", "js/transport"]),
    ("js/testing.", &["js/testing/", "js/errors"]),
    ("js/feed", &["js/errors", "js/options"]),
    ("js/slim", &["js/errors", "js/wasm"]),
    ("js/pump", &["js/errors", "js/sink", "js/transport", "js/wasm"]),
    ("js/transport", &["js/pieces", "js/wasm"]),
    ("js/calls", &["js/errors", "js/options", "js/pump", "js/wasm"]),
    ("js/options", &["js/errors", "js/transport"]),
    ("js/wasm", &["js/bayeux/driver", "js/calls", "js/errors", "js/glassflow/driver", "js/outbox/port"]),
    ("js/stores/", &["js/stores/", "js/errors", "js/pieces"]),
    ("js/errors", &[]),
    ("js/sink", &[]),
    ("js/pieces", &[]),
    ("js/uuid", &[]),
    ("js/generated", &["js/wasm"]),
];

/// The packages that the package depends on, and the only file that may load each.
const PACKAGES: &[(&str, &str)] =
    &[("@cfworker/json-schema", "js/bc-events/schema.ts"), ("yaml", "js/bc-events/topics.ts")];

/// Whether a file may import another.
fn may_import(file: &str, target: &str) -> bool {
    let is_of = |path: &str, room: &str| {
        path.strip_prefix("js/")
            .and_then(|path| path.strip_prefix(room))
            .is_some_and(|rest| rest.starts_with(['/', '.']))
    };
    let rule = JS_RULES.iter().find(|(start, _)| file.starts_with(start));
    let Some((_, allowed)) = rule else {
        let (room, more) = JS_ROOMS
            .iter()
            .find(|(room, _)| is_of(file, room))
            .unwrap_or_else(|| panic!("{file} has no rule"));
        return is_of(target, room)
            || [JS_SHARED, more].concat().iter().any(|start| target.starts_with(start));
    };
    allowed.iter().any(|start| match *start {
        // Whoever imports everything shall not load what it depends on.
        "*" if file == "js/index.ts" => {
            target.matches('/').count() == 1 && !target.starts_with("js/bc-events.")
        }
        "*" => target.matches('/').count() == 1,
        start => target.starts_with(start),
    })
}

#[test]
fn javascript_arrows_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in files("js", ".ts") {
        let relative = path.strip_prefix(root).expect("in the project").to_string_lossy().replace('\\', "/");
        let code = code_of(&path);
        for import in code.split("from \"").skip(1).chain(code.split("import(\"").skip(1)) {
            let target = import.split('"').next().unwrap_or_default();
            if !target.starts_with('.') {
                assert!(
                    target.starts_with("node:") || PACKAGES.contains(&(target, relative.as_str())),
                    "{relative} imports {target}"
                );
                continue;
            }
            let mut parts: Vec<&str> = relative.split('/').collect();
            parts.pop();
            for part in target.split('/') {
                match part {
                    "." => {}
                    ".." => drop(parts.pop()),
                    part => parts.push(part),
                }
            }
            let target = parts.join("/");
            let is_generated = target.starts_with("js/wasm/");
            assert!(
                !is_generated || relative.starts_with("js/entries/"),
                "{relative} imports the generated {target}"
            );
            assert!(is_generated || may_import(&relative, &target), "{relative} must not import {target}");
        }
    }
}

//! The direction of the imports in `src`: layers import downwards only, `wire` files know no machines, and no
//! modules import each other in a circle. The linter of `js` has its own rules.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

mod imports;
mod tokens;

use imports::{Imports, circles, read_imports};

/// Each module at the top of `src`, and the others that it may import.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("engine", &["base"]),
    ("outbox", &["base", "engine"]),
    ("cloudevents", &["base", "engine", "outbox"]),
    ("bc_events", &["base", "engine", "outbox", "cloudevents"]),
    ("glassflow", &["base", "engine", "outbox", "cloudevents"]),
    ("events_protocol", &["base", "engine"]),
    ("bayeux", &["base", "engine"]),
    ("salesforce", &["base", "engine", "bayeux"]),
    (
        "boundary",
        &["base", "engine", "outbox", "cloudevents", "glassflow", "events_protocol", "bayeux", "salesforce"],
    ),
    (
        "wasm",
        &[
            "boundary",
            "base",
            "engine",
            "outbox",
            "cloudevents",
            "bc_events",
            "glassflow",
            "events_protocol",
            "bayeux",
            "salesforce",
        ],
    ),
];

/// The files of pure functions in each system. The codecs of CloudEvents are such files too.
const WIRE_FILES: &[(&str, &[&str])] = &[
    ("cloudevents", &["attribute", "http", "json", "layout", "member", "rejection", "table", "uri"]),
    ("bc_events", &["wire"]),
    ("glassflow", &["wire"]),
    ("events_protocol", &["event", "wire", "server"]),
    ("bayeux", &["wire", "message", "cookies"]),
];

/// The crates that only `src/wasm` may name.
const WASM_CRATES: &[&str] =
    &["wasm_bindgen", "js_sys", "web_sys", "gloo_net", "serde", "serde_wasm_bindgen", "wasm_bindgen_futures"];

/// The files of the crate: their paths below `src`, and their text.
fn sources() -> BTreeMap<String, String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut open = vec![src.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(&src).expect("in src").to_string_lossy().replace('\\', "/");
                found.insert(file, fs::read_to_string(&path).expect("a file"));
            }
        }
    }
    assert!(found.contains_key("lib.rs"), "src was read");
    found
}

/// The imports that go from one layer to another against the table.
fn upward(imports: &Imports) -> Vec<String> {
    let mut wrong = Vec::new();
    for (module, targets) in imports.iter().filter(|(module, _)| !module.is_empty()) {
        let layer = module[0].as_str();
        let (_, allowed) = LAYERS
            .iter()
            .find(|(name, _)| *name == layer)
            .unwrap_or_else(|| panic!("{layer} is missing in the table of layers"));
        for target in targets {
            let other = target.first().map_or("the root", String::as_str);
            if other != layer && !allowed.contains(&other) {
                wrong.push(format!("{} -> {}", module.join("::"), target.join("::")));
            }
        }
    }
    wrong
}

/// Whether a module is a wire file.
fn is_wire(module: &[String]) -> bool {
    let [system, file @ ..] = module else { return false };
    WIRE_FILES.iter().any(|(name, files)| {
        name == system && file.first().is_some_and(|file| files.contains(&file.as_str()))
    })
}

/// The imports of wire files other than `base`, wire files, and the type of a classified response.
fn impure(imports: &Imports) -> Vec<String> {
    let wires = imports.iter().filter(|(module, _)| is_wire(module));
    wires
        .flat_map(|(module, targets)| targets.iter().map(move |target| (module, target)))
        .filter(|(_, target)| {
            target[0] != "base" && !is_wire(target) && target.join("::") != "outbox::answer"
        })
        .map(|(module, target)| format!("{} -> {}", module.join("::"), target.join("::")))
        .collect()
}

#[test]
fn layers_import_downwards_only() {
    assert_eq!(upward(&read_imports(&sources())), [""; 0]);
}

#[test]
fn modules_do_not_import_each_other_in_a_circle() {
    assert_eq!(circles(&read_imports(&sources())), [[""; 0]; 0]);
}

#[test]
fn wire_files_import_no_machines() {
    let imports = read_imports(&sources());
    for (system, files) in WIRE_FILES {
        for file in *files {
            assert!(
                imports.contains_key(&vec![(*system).to_owned(), (*file).to_owned()]),
                "{system}/{file}.rs"
            );
        }
    }
    assert_eq!(impure(&imports), [""; 0]);
}

#[test]
fn only_the_wasm_layer_names_its_crates() {
    for (file, text) in sources().iter().filter(|(file, _)| !file.starts_with("wasm/")) {
        let (code, _) = tokens::without_tests(tokens::tokens(text));
        // serde reads and writes plain data; the objects of this API are nothing else.
        let may_name = |name: &str| name == "serde" && file.starts_with("glassflow/management/");
        for name in WASM_CRATES.iter().filter(|name| !may_name(name)) {
            assert!(!code.iter().any(|token| token == name), "{file} names {name}");
        }
    }
}

#[test]
fn planted_breaches_are_found() {
    let planted = |file: &str, text: &str| {
        let mut files = sources();
        files.entry(file.to_owned()).or_default().push_str(text);
        read_imports(&files)
    };
    let imports = planted("base/time.rs", "\nuse crate::engine::timers::Timers;\n");
    assert_eq!(upward(&imports), ["base::time -> engine::timers"]);
    assert!(circles(&imports).iter().any(|edges| edges.contains(&"base::time -> engine::timers".to_owned())));
    let imports = planted("glassflow/wire.rs", "\nfn f() -> crate::engine::timers::Timers<u8> { todo!() }\n");
    assert_eq!(impure(&imports), ["glassflow::wire -> engine::timers"]);
}

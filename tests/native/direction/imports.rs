//! Reads which modules (files) of a crate import which others.
//!
//! An import is a path in the code of a file: in a `use` declaration or in an expression, absolute or
//! relative, or through a name that a `use` declaration has introduced. `mod child;` is no import. A
//! re-export (`pub use`) is one only if the file uses the name itself; who imports a re-exported name imports
//! the module that it comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{tokens, without_tests};

/// A path as its segments, from the root of the crate.
pub(super) type ModulePath = Vec<String>;

/// The imports of each module.
pub(super) type Imports = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

/// One file.
struct Source {
    tokens: Vec<String>,
    paths: Vec<Path>,
}

/// One path in a file, with its absolute segments.
struct Path {
    segments: ModulePath,
    /// For `pub use`: the name that it gives to others.
    exported_as: Option<String>,
}

/// Reads the files of a crate: their paths below `src`, and their text.
pub(super) fn read_imports(files: &BTreeMap<String, String>) -> Imports {
    let mut sources: BTreeMap<ModulePath, Source> = BTreeMap::new();
    let mut test_modules: Vec<ModulePath> = Vec::new();
    for (file, text) in files {
        let module = module_of(file);
        let (tokens, test_files) = without_tests(tokens(text));
        test_modules.extend(test_files.into_iter().map(|name| join(&module, &[name])));
        sources.insert(module, Source { tokens, paths: Vec::new() });
    }
    sources.retain(|module, _| !test_modules.contains(module));
    for (module, source) in &mut sources {
        source.paths = Reader::new(module, &source.tokens).read();
    }
    sources
        .iter()
        .map(|(module, source)| {
            let imported = source
                .paths
                .iter()
                .filter(|path| path.exported_as.as_ref().is_none_or(|name| is_used(source, name)))
                .filter_map(|path| resolve(&sources, &path.segments, 0))
                .filter(|target| target != module)
                .collect();
            (module.clone(), imported)
        })
        .collect()
}

/// Whether a name occurs outside of the one declaration that exports it.
fn is_used(source: &Source, name: &str) -> bool {
    source.tokens.iter().filter(|token| *token == name).count() > 1
}

/// `base/json/scan.rs` and `base/json/mod.rs` to segments. The root (`lib.rs`) has none.
fn module_of(file: &str) -> ModulePath {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn join(module: &[String], more: &[String]) -> ModulePath {
    [module, more].concat()
}

/// The module in which the item at a path is defined: the longest part of the path that is a file, or the
/// origin of a re-export.
fn resolve(sources: &BTreeMap<ModulePath, Source>, path: &[String], hops: usize) -> Option<ModulePath> {
    let len = (1..=path.len()).rev().find(|len| sources.contains_key(&path[..*len]))?;
    let module = &path[..len];
    if let Some(name) = path.get(len)
        && hops < 10
        && let Some(origin) =
            sources[module].paths.iter().find(|export| export.exported_as.as_ref() == Some(name))
    {
        return resolve(sources, &join(&origin.segments, &path[len + 1..]), hops + 1);
    }
    Some(module.to_vec())
}

/// Reads the paths of one file.
struct Reader<'t> {
    tokens: &'t [String],
    pos: usize,
    /// The current module: that of the file, and the inline modules around `pos`.
    scope: ModulePath,
    /// For each open brace: whether it belongs to an inline module.
    braces: Vec<bool>,
    /// What the names of `use` declarations and of child modules stand for.
    names: BTreeMap<String, ModulePath>,
    paths: Vec<Path>,
}

impl<'t> Reader<'t> {
    fn new(module: &[String], tokens: &'t [String]) -> Self {
        let mut reader = Self {
            tokens,
            pos: 0,
            scope: module.to_vec(),
            braces: Vec::new(),
            names: BTreeMap::new(),
            paths: Vec::new(),
        };
        // Child modules are known in the whole file.
        for declared in tokens.windows(3).filter(|window| window[0] == "mod" && window[2] == ";") {
            reader.names.insert(declared[1].clone(), join(module, &declared[1..2]));
        }
        reader
    }

    fn token(&self, pos: usize) -> &'t str {
        self.tokens.get(pos).map_or("", String::as_str)
    }

    fn read(mut self) -> Vec<Path> {
        while self.pos < self.tokens.len() {
            match self.token(self.pos) {
                "mod" if self.token(self.pos + 2) == "{" => {
                    self.scope.push(self.token(self.pos + 1).to_owned());
                    self.braces.push(true);
                    self.pos += 3;
                }
                "{" => {
                    self.braces.push(false);
                    self.pos += 1;
                }
                "}" => {
                    if self.braces.pop() == Some(true) {
                        self.scope.pop();
                    }
                    self.pos += 1;
                }
                "use" => {
                    let before = if self.pos == 0 { "" } else { self.token(self.pos - 1) };
                    let is_exported = before == "pub" || before == ")";
                    self.pos += 1;
                    self.read_tree(Vec::new(), true, is_exported);
                }
                _ if self.starts_path() => self.read_tree(Vec::new(), false, false),
                _ => self.pos += 1,
            }
        }
        self.paths
    }

    /// Whether a path of two or more segments starts here. `pub(in path)` is none.
    fn starts_path(&self) -> bool {
        let before = if self.pos == 0 { "" } else { self.token(self.pos - 1) };
        let is_name = self.token(self.pos).starts_with(|char: char| char.is_alphabetic() || char == '_');
        is_name && self.token(self.pos + 1) == "::" && !["::", ".", "in"].contains(&before)
    }

    /// Reads a path or a tree of paths, such as `a::{b, c::d as e}`, and moves behind it.
    fn read_tree(&mut self, mut path: Vec<String>, is_use: bool, is_exported: bool) {
        loop {
            match self.token(self.pos) {
                "{" if is_use => {
                    self.pos += 1;
                    loop {
                        self.read_tree(path.clone(), is_use, is_exported);
                        self.pos += 1;
                        if self.token(self.pos - 1) != "," {
                            return;
                        }
                    }
                }
                "*" => self.pos += 1,
                "self" if !path.is_empty() => self.pos += 1,
                "" | "," | "}" | ";" => return,
                segment if segment.chars().all(|char| char.is_alphanumeric() || char == '_') => {
                    path.push(segment.to_owned());
                    self.pos += 1;
                }
                // Type arguments: the path ends before them.
                _ => break,
            }
            if self.token(self.pos) != "::" {
                break;
            }
            self.pos += 1;
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if is_use && self.token(self.pos) == "as" {
            self.token(self.pos + 1).clone_into(&mut name);
            self.pos += 2;
        }
        let Some(segments) = self.absolute(&path) else { return };
        if is_use {
            self.names.insert(name.clone(), segments.clone());
        }
        self.paths.push(Path { segments, exported_as: is_exported.then_some(name) });
    }

    /// `None` for a path into another crate, or one that starts at a type.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some(join(&self.scope, rest)),
            "super" => {
                let ups = path.iter().take_while(|segment| *segment == "super").count();
                Some(join(&self.scope[..self.scope.len().checked_sub(ups)?], &path[ups..]))
            }
            name => self.names.get(name).map(|module| join(module, rest)),
        }
    }
}

/// The groups of modules that import each other in a circle, as the imports between them: `a -> b`.
pub(super) fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reachable: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> =
        imports.keys().map(|module| (module, reachable_from(imports, module))).collect();
    let mut groups: BTreeMap<BTreeSet<&ModulePath>, Vec<String>> = BTreeMap::new();
    for (module, targets) in &reachable {
        let group: BTreeSet<&ModulePath> =
            targets.iter().copied().filter(|target| reachable[target].contains(module)).collect();
        let edges = imports[*module]
            .iter()
            .filter(|target| group.contains(target))
            .map(|target| format!("{} -> {}", module.join("::"), target.join("::")));
        if !group.is_empty() {
            groups.entry(group.clone()).or_default().extend(edges);
        }
    }
    groups.into_values().collect()
}

fn reachable_from<'i>(imports: &'i Imports, start: &ModulePath) -> BTreeSet<&'i ModulePath> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&ModulePath> = imports[start].iter().collect();
    while let Some(module) = open.pop() {
        if found.insert(module) {
            open.extend(&imports[module]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Imports {
        read_imports(&files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect())
    }

    /// The imports of a file as one text.
    fn imports_of(module: &str, files: &[(&str, &str)]) -> String {
        let path = module_of(module);
        let found: Vec<String> = read(files)[&path].iter().map(|target| target.join("::")).collect();
        found.join(" ")
    }

    const OTHERS: &[(&str, &str)] = &[
        ("lib.rs", "pub mod a; pub mod b;"),
        ("a.rs", "mod c; mod d;"),
        ("a/c.rs", ""),
        ("a/d.rs", ""),
        ("b.rs", ""),
    ];

    fn with(file: &'static str, text: &'static str) -> Vec<(&'static str, &'static str)> {
        OTHERS.iter().copied().filter(|(other, _)| *other != file).chain([(file, text)]).collect()
    }

    #[test]
    fn reads_use_declarations_and_paths() {
        for (text, expected) in [
            ("use crate::b::X;", "b"),
            ("use crate::{a::d::Y, b::{self, X as Z}};", "a::d b"),
            ("use super::d::*;", "a::d"),
            ("use super::{Parent, d::Y};", "a a::d"),
            ("use super::super::b::X;", "b"),
            ("fn f() -> crate::b::X<u8> { super::d::y::<u8>() }", "a::d b"),
            ("use crate::b; fn f() { b::x() }", "b"),
            ("use crate::a as other; fn f() { other::d::y() }", "a a::d"),
            ("pub(in crate::a) fn f() {} pub(crate) fn g() {} pub(super) fn h() {}", ""),
            ("use std::fmt; fn f(x: fmt::Result) { Self::new(); x.y::<u8>() }", ""),
            ("// use crate::b;\n#[cfg(test)] mod tests { use crate::b::X; }", ""),
            ("mod inline { use super::X; use super::super::d::Y; }", "a::d"),
            ("macro_rules! m { () => { $crate::b::x() }; }", "b"),
        ] {
            assert_eq!(imports_of("a/c.rs", &with("a/c.rs", text)), expected, "{text}");
        }
    }

    #[test]
    fn a_parent_imports_a_child_only_if_it_uses_it() {
        for (text, expected) in [
            ("mod c; mod d;", ""),
            ("mod c; mod d; pub use c::X;", ""),
            ("mod c; mod d; pub use c::X; struct S(X);", "a::c"),
            ("mod c; mod d; use c::X;", "a::c"),
            ("mod c; mod d; fn f() { d::y() }", "a::d"),
        ] {
            assert_eq!(imports_of("a.rs", &with("a.rs", text)), expected, "{text}");
        }
    }

    #[test]
    fn a_re_exported_name_belongs_to_its_origin() {
        let mut files = with("a.rs", "mod c; mod d; pub use c::X; pub use d as e;");
        files.retain(|(file, _)| *file != "b.rs");
        files.push(("b.rs", "use crate::a::{X, e::Y};"));
        assert_eq!(imports_of("b.rs", &files), "a::c a::d");
    }

    #[test]
    fn files_of_tests_are_left_out() {
        let files =
            [("lib.rs", "#[cfg(test)] mod tests; mod a;"), ("tests.rs", "use crate::a;"), ("a.rs", "")];
        assert!(!read(&files).contains_key(&module_of("tests.rs")));
    }

    #[test]
    fn finds_circles_of_every_length() {
        let find = |files: &[(&str, &str)]| circles(&read(files));
        assert!(find(OTHERS).is_empty());
        let two = [
            ("a.rs", "use crate::b::X;"),
            ("b.rs", "fn f() { crate::a::y() }"),
            ("c.rs", "use crate::a::y;"),
        ];
        assert_eq!(find(&two), [["a -> b", "b -> a"]]);
        let three = [("a.rs", "use crate::b;"), ("b.rs", "use crate::c;"), ("c.rs", "use crate::a;")];
        assert_eq!(find(&three), [["a -> b", "b -> c", "c -> a"]]);
        let child = [("a.rs", "mod c; use c::X; pub struct P;"), ("a/c.rs", "use super::P; pub struct X;")];
        assert_eq!(find(&child), [["a -> a::c", "a::c -> a"]]);
        let re_export = [
            ("a.rs", "mod c; pub use c::X;"),
            ("a/c.rs", "use crate::b::Y; pub struct X;"),
            ("b.rs", "use crate::a::X;"),
        ];
        assert_eq!(find(&re_export), [["a::c -> b", "b -> a::c"]]);
    }
}

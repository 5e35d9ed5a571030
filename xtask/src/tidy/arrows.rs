//! Arrows between rooms: which room may use which, as the table in docs/ARCHITECTURE.md says, against the paths that
//! the code names.
//!
//! A room is a first-level folder or file below `core/src` or `src`: `core/probe` is `core/src/probe/`, `gpu` is
//! `src/gpu/`. `lib.rs` is the map and may name all. Tests may use what they like.

use super::figures::{attributes, for_tests};
use super::{Fault, File};
use anyhow::{Context, Result, bail};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{UseTree, Visibility};

/// The file that holds the process-wide default; no room may lean on it.
const GLOBAL: [&str; 2] = ["core/registry", "global"];

type Table = BTreeMap<String, BTreeSet<String>>;

/// Faults of the code against the table in the page's section `## Arrows`.
///
/// # Errors
/// When the page has no such table or a source file is no Rust.
pub(super) fn check(files: &[File], page: &str, text: &str) -> Result<Vec<Fault>> {
    let table = table(text).with_context(|| page.to_owned())?;
    let mut faults = Vec::new();
    let sources = sources(files)?;
    let maps = Maps::of(&sources);
    for source in &sources {
        let Some(room) = &source.room else { continue };
        let Some(allowed) = table.get(room) else {
            faults.push(Fault::new(source.path, 1, format!("room `{room}` has no row in the arrows of {page}")));
            continue;
        };
        for (line, path) in paths(source) {
            match maps.target(source.krate, &path) {
                Target::Elsewhere => {}
                Target::Unknown(name) => {
                    let what = format!("cannot tell the room of `{name}`: name it by its room, not through a glob");
                    faults.push(Fault::new(source.path, line, what));
                }
                Target::Global => {
                    let what = format!("`{}` is the process-wide default: take the instance", path.join("::"));
                    faults.push(Fault::new(source.path, line, what));
                }
                Target::Room(to) if to == *room || allowed.contains(&to) => {}
                Target::Room(to) => {
                    let what = format!("`{room}` uses `{to}` (`{}`), which {page} does not have", path.join("::"));
                    faults.push(Fault::new(source.path, line, what));
                }
            }
        }
    }
    faults.dedup();
    Ok(faults)
}

/// The table of the section `## Arrows`: rows `| room | rooms it may use, separated by commas |`.
fn table(text: &str) -> Result<Table> {
    let section = text.lines().skip_while(|line| line.trim() != "## Arrows").skip(1);
    let mut table = Table::new();
    for line in section.take_while(|line| !line.starts_with("## ")) {
        let cells: Vec<_> = line.split('|').map(|cell| cell.replace('`', "").trim().to_owned()).collect();
        let [_, room, uses, ..] = &cells[..] else { continue };
        if room == "room" || room.starts_with("--") || room.starts_with(":-") {
            continue;
        }
        let uses = uses.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty());
        table.insert(room.clone(), uses.collect());
    }
    if table.is_empty() {
        bail!("there is no table below `## Arrows`");
    }
    let rooms: BTreeSet<_> = table.keys().cloned().collect();
    if let Some(unknown) = table.values().flatten().find(|one| !rooms.contains(*one)) {
        bail!("the arrows lead to `{unknown}`, which has no row");
    }
    Ok(table)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Krate {
    Core,
    Root,
}

impl Krate {
    fn room(self, name: &str) -> String {
        match self {
            Self::Core => format!("core/{name}"),
            Self::Root => name.to_owned(),
        }
    }
}

struct Source<'a> {
    path: &'a str,
    krate: Krate,
    /// None for `lib.rs`.
    room: Option<String>,
    /// The module that the file is, from the crate's root.
    module: Vec<String>,
    parsed: syn::File,
}

fn sources(files: &[File]) -> Result<Vec<Source<'_>>> {
    let mut sources = Vec::new();
    for file in files {
        let path = file.path.as_str();
        let (krate, inner) = match path.strip_prefix("core/src/") {
            Some(inner) => (Krate::Core, inner),
            None => match path.strip_prefix("src/") {
                Some(inner) => (Krate::Root, inner),
                None => continue,
            },
        };
        let Some(inner) = inner.strip_suffix(".rs") else { continue };
        let mut module: Vec<String> = inner.split('/').map(String::from).collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        if module.iter().any(|part| part == "tests") {
            continue;
        }
        let room = (inner != "lib").then(|| krate.room(&module[0]));
        if room.is_none() {
            module.clear();
        }
        let parsed = syn::parse_file(&file.text).with_context(|| format!("cannot parse {path}"))?;
        sources.push(Source { path, krate, room, module, parsed });
    }
    Ok(sources)
}

enum Target {
    Room(String),
    Global,
    Unknown(String),
    Elsewhere,
}

/// What stands behind a name at the root of a crate: a room, or the path that the map re-exports.
struct Maps {
    rooms: BTreeSet<String>,
    core: BTreeMap<String, Vec<String>>,
    root: BTreeMap<String, Vec<String>>,
    /// What `registry/mod.rs` passes on from `global.rs`.
    global: BTreeSet<String>,
}

impl Maps {
    fn of(sources: &[Source<'_>]) -> Self {
        let rooms = sources.iter().filter_map(|source| source.room.clone()).collect();
        let mut maps = Self { rooms, core: BTreeMap::new(), root: BTreeMap::new(), global: BTreeSet::new() };
        for source in sources {
            match (source.room.as_deref(), source.krate) {
                (None, Krate::Core) => maps.core = re_exports(&source.parsed),
                (None, Krate::Root) => maps.root = re_exports(&source.parsed),
                (Some(room), _) if room == GLOBAL[0] && source.module.len() == 1 => {
                    let passed_on = re_exports(&source.parsed);
                    let from_global = |path: &Vec<String>| path.iter().any(|part| part == GLOBAL[1]);
                    maps.global = passed_on.into_iter().filter(|(_, p)| from_global(p)).map(|(name, _)| name).collect();
                }
                (Some(_), _) => {}
            }
        }
        maps
    }

    /// Where an absolute path leads: `crate` or `engine_vitals_core`, then the rest.
    fn target(&self, from: Krate, path: &[String]) -> Target {
        let (krate, rest) = match path.split_first() {
            Some((first, rest)) if first == "crate" => (from, rest),
            Some((first, rest)) if first == "engine_vitals_core" => (Krate::Core, rest),
            _ => return Target::Elsewhere,
        };
        let Some(first) = rest.first() else { return Target::Elsewhere };
        let room = krate.room(first);
        if self.rooms.contains(&room) {
            let inner = rest.get(1);
            let global = inner.is_some_and(|name| name == GLOBAL[1] || self.global.contains(name));
            return if room == GLOBAL[0] && global { Target::Global } else { Target::Room(room) };
        }
        let map = match krate {
            Krate::Core => &self.core,
            Krate::Root => &self.root,
        };
        match map.get(first) {
            Some(behind) if behind.first().is_some_and(|first| first == "crate" || first == "engine_vitals_core") => {
                self.target(krate, behind)
            }
            Some(behind) => self.target(krate, &[&["crate".to_owned()], &behind[..]].concat()),
            None => Target::Unknown(path.join("::")),
        }
    }
}

/// What a file makes public under another path, and what it defines itself (which leads to itself: no arrow).
fn re_exports(file: &syn::File) -> BTreeMap<String, Vec<String>> {
    let mut names = BTreeMap::new();
    for item in &file.items {
        if let syn::Item::Use(item) = item
            && !matches!(item.vis, Visibility::Inherited)
        {
            leaves(&item.tree, &mut Vec::new(), &mut |path, name| {
                names.insert(name.to_owned(), path.to_vec());
            });
        }
    }
    names
}

/// Calls `found` for each name that a `use` brings in, with its whole path.
fn leaves(tree: &UseTree, path: &mut Vec<String>, found: &mut impl FnMut(&[String], &str)) {
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            leaves(&inner.tree, path, found);
            path.pop();
        }
        UseTree::Name(name) => leaf(path, &name.ident.to_string(), &name.ident.to_string(), found),
        UseTree::Rename(name) => leaf(path, &name.ident.to_string(), &name.rename.to_string(), found),
        UseTree::Glob(_) => found(path, "*"),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, path, found)),
    }
}

fn leaf(path: &mut Vec<String>, name: &str, shown: &str, found: &mut impl FnMut(&[String], &str)) {
    path.push(name.to_owned());
    found(path, shown);
    path.pop();
}

/// Every path of a file that leads out of its module, made absolute, with its line.
fn paths(source: &Source<'_>) -> Vec<(usize, Vec<String>)> {
    let mut reader = Reader { module: source.module.clone(), found: Vec::new() };
    reader.visit_file(&source.parsed);
    reader.found
}

struct Reader {
    module: Vec<String>,
    found: Vec<(usize, Vec<String>)>,
}

impl Reader {
    fn note(&mut self, line: usize, path: &[String]) {
        let absolute = match path.first().map(String::as_str) {
            Some("crate" | "engine_vitals_core") => path.to_vec(),
            Some("super") => {
                let up = path.iter().take_while(|part| *part == "super").count();
                let base = self.module.len().saturating_sub(up);
                let kept = self.module[..base].iter().chain(&path[up..]).cloned();
                std::iter::once("crate".to_owned()).chain(kept).collect()
            }
            _ => return,
        };
        if absolute.len() > 1 {
            self.found.push((line, absolute));
        }
    }

    /// Paths inside macros are only tokens: `crate::room` and `$crate::room` are recognised.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if path.is_empty() => {
                    line = word.span().start().line;
                    path.push(word.to_string());
                }
                TokenTree::Ident(word) if path.last().is_some_and(|last| last == ":") => {
                    path.pop();
                    path.push(word.to_string());
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !path.is_empty() => {
                    if path.last().is_none_or(|last| last != ":") {
                        path.push(":".to_owned());
                    }
                }
                token => {
                    self.end(line, &mut path);
                    match token {
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Ident(word) => {
                            line = word.span().start().line;
                            path.push(word.to_string());
                        }
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.end(line, &mut path);
    }

    fn end(&mut self, line: usize, path: &mut Vec<String>) {
        path.retain(|part| part != ":");
        self.note(line, path);
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if for_tests(attributes(item)) {
            return;
        }
        let syn::Item::Mod(module) = item else { return visit::visit_item(self, item) };
        self.module.push(module.ident.to_string());
        visit::visit_item(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let line = item.span().start().line;
        let mut found = Vec::new();
        leaves(&item.tree, &mut Vec::new(), &mut |path, _| found.push(path.to_vec()));
        for path in found {
            self.note(line, &path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(path.span().start().line, &parts);
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(in crate::room)` is no use of the room.
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.tokens(invocation.tokens.clone());
        visit::visit_macro(self, invocation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Architecture
## Arrows
Words.

| room | may use |
|---|---|
| `core/contract` | |
| `core/probe` | `core/contract` |
| `core/registry` | `core/contract` |
| `gpu` | `core/probe`, `core/contract` |
## Next
| not | read |
";

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        let core = ("core/src/lib.rs", "pub mod contract; pub use probe::Probe; pub use registry::Registry;");
        let root = ("src/lib.rs", "pub mod gpu; pub use engine_vitals_core::{Probe, registry::Registry};");
        let rooms = [("core/src/contract/mod.rs", ""), ("core/src/probe/mod.rs", ""), ("src/gpu/mod.rs", "")];
        let registry = [
            ("core/src/registry/mod.rs", "mod global; pub use global::default_registry;"),
            ("core/src/registry/global.rs", "use super::Registry;"),
        ];
        let all =
            [core, root].into_iter().chain(rooms).chain(registry).filter(|(p, _)| !files.iter().any(|f| f.0 == *p));
        let files: Vec<_> = all
            .chain(files.iter().copied())
            .map(|(path, text)| File { path: path.into(), text: text.into() })
            .collect();
        check(&files, "PAGE", PAGE).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_of_the_table_are_free() {
        let probe = "use crate::contract::Row; use super::contract; fn f() { self::g(); std::mem::drop(1); }";
        let gpu =
            "use engine_vitals_core::{Probe, contract::Row}; fn f() { crate::gpu::g(); println!(\"{}\", a::b()); }";
        assert_eq!(faults(&[("core/src/probe/mod.rs", probe), ("src/gpu/timer.rs", gpu)]), [""; 0]);
    }

    #[test]
    fn a_planted_arrow_is_found_however_it_is_written() {
        let written = [
            "use crate::probe::Book;",
            "use crate::{contract, probe::Book};",
            "use crate::Probe;",
            "fn f() { crate::probe::g(); }",
            "fn f() { super::probe::g(); }",
            "mod inner { use super::super::probe::Book; }",
            "fn f(x: &crate::probe::Book) {}",
            "fn f() { println!(\"{}\", crate::probe::g()); }",
            "macro_rules! m { () => { $crate::probe::g() }; }",
        ];
        for text in written {
            let found = faults(&[("core/src/contract/mod.rs", text)]);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with("core/src/contract/mod.rs:1: `core/contract` uses `core/probe`"), "{found:?}");
        }
    }

    #[test]
    fn an_arrow_through_the_maps_of_both_crates_is_found() {
        let found = faults(&[("src/gpu/mod.rs", "\nuse crate::Registry;\nuse engine_vitals_core::Registry as R;")]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("src/gpu/mod.rs:2: `gpu` uses `core/registry`"), "{found:?}");
        assert!(found[1].starts_with("src/gpu/mod.rs:3: `gpu` uses `core/registry`"), "{found:?}");
    }

    #[test]
    fn the_process_wide_default_is_used_by_no_room() {
        for text in ["use crate::registry::global::x;", "fn f() { crate::registry::default_registry(); }"] {
            let found = faults(&[("core/src/probe/mod.rs", text)]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains("is the process-wide default"), "{found:?}");
        }
    }

    #[test]
    fn tests_are_free_and_new_rooms_and_hidden_names_are_not() {
        let test = "#[cfg(test)] mod tests { use crate::probe::Book; }";
        assert_eq!(faults(&[("core/src/contract/mod.rs", test)]), [""; 0]);
        let found = faults(&[("core/src/news/mod.rs", ""), ("core/src/probe/mod.rs", "use crate::Hidden;")]);
        assert_eq!(
            found,
            [
                "core/src/news/mod.rs:1: room `core/news` has no row in the arrows of PAGE",
                "core/src/probe/mod.rs:1: cannot tell the room of `crate::Hidden`: name it by its room, not through a glob",
            ]
        );
    }

    #[test]
    fn a_page_without_the_table_or_with_a_loose_end_is_an_error() {
        assert!(table("# Architecture\n## Arrows\nnone\n").is_err());
        let error = table("## Arrows\n| room | may use |\n|---|---|\n| a | b |\n").unwrap_err().to_string();
        assert!(error.contains("`b`"), "{error}");
    }
}

//! Names of functions as people read them.

/// A demangled name without what hides its path: `<&mut json::Reader<R> as core::Read>::next` is `json::Reader::next`.
///
/// Generic arguments are left out; of an implementation the type is named and not the trait. A name without a path, which is all that
/// debug information with line tables only has, gets the module that its source file is likely to be: `load` in `src/assets.rs` is
/// `assets::load`.
pub(super) fn readable(symbol: &str, file: Option<&str>) -> String {
    let name = short(symbol);
    if name.contains("::") {
        return name;
    }
    match file.and_then(module) {
        Some(module) => format!("{module}::{name}"),
        None => name,
    }
}

fn short(symbol: &str) -> String {
    let mut name = String::new();
    let mut rest = symbol;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        let Some(length) = bracketed(from) else { break };
        name.push_str(before);
        let inner = &from[1..length - 1];
        match implemented_for(inner) {
            // It stands where a path begins, and has all of its own.
            Some(subject) if name.is_empty() || name.ends_with("::") => name = of_type(subject),
            None if name.is_empty() => name = of_type(inner),
            _ => name.truncate(name.trim_end_matches("::").len()),
        }
        rest = &from[length..];
    }
    name.push_str(rest);
    name
}

/// `T` of `T as Trait`, of `impl Trait for T` and of `impl T`.
fn implemented_for(inner: &str) -> Option<&str> {
    match inner.strip_prefix("impl ") {
        Some(implementation) => Some(outside(implementation, " for ").map_or(implementation, |(_, subject)| subject)),
        None => outside(inner, " as ").map(|(subject, _)| subject),
    }
}

/// A type by its path; what has none (slices, tuples, functions) as it is.
fn of_type(subject: &str) -> String {
    let subject = subject.trim_start_matches(['&', '*']);
    let subject = ["mut ", "const ", "dyn "].iter().fold(subject, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
    if subject.starts_with(['[', '(']) { subject.to_owned() } else { short(subject) }
}

/// What stands before and behind a word that is in no brackets.
fn outside<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find(word)?;
        if depth(&text[..at]) == 0 {
            return Some((&text[..at], &text[at + word.len()..]));
        }
        from = at + word.len();
    }
}

fn depth(text: &str) -> i32 {
    steps(text).map(|(_, step)| step).sum()
}

/// The length of what begins with `<`, to its `>`.
fn bracketed(text: &str) -> Option<usize> {
    let mut depth = 0;
    steps(text).find_map(|(at, step)| {
        depth += step;
        (depth == 0).then_some(at + 1)
    })
}

/// Where angle brackets open and close. That of `->` does neither.
fn steps(text: &str) -> impl Iterator<Item = (usize, i32)> {
    let mut before = ' ';
    text.char_indices().filter_map(move |(at, c)| {
        let arrow = before == '-';
        before = c;
        match c {
            '<' => Some((at, 1)),
            '>' if !arrow => Some((at, -1)),
            _ => None,
        }
    })
}

/// `src/assets/mod.rs` and `src/assets.rs` are `assets`, `src/main.rs` is `main`, `json-1.0.2/src/de.rs` is `json::de`.
fn module(file: &str) -> Option<String> {
    let path = file.strip_suffix(".rs")?.replace('\\', "/");
    let (folder, inside) = path.rsplit_once("/src/").unwrap_or_else(|| {
        // Not of a package's library: the name of the file must do.
        let from = path.trim_end_matches("/mod").rfind('/').map_or(0, |at| at + 1);
        ("", &path[from..])
    });
    let krate = krate(folder);
    let mut modules: Vec<_> = krate.iter().map(String::as_str).chain(inside.split('/')).collect();
    if modules.len() > 1 && matches!(modules.last(), Some(&"mod" | &"lib" | &"main")) {
        modules.pop();
    }
    Some(modules.join("::"))
}

/// The crate of a package that has its version in the folder's name, as in cargo's registry, or that is the standard library's. Another
/// folder may be named as it likes.
fn krate(folder: &str) -> Option<String> {
    let (parents, name) = folder.rsplit_once('/')?;
    if parents.starts_with("/rustc/") || parents.ends_with("/rust/library") {
        return Some(name.to_owned());
    }
    let (name, version) = name.rsplit_once('-')?;
    let is_version = version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('.');
    is_version.then(|| name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_path() {
        for (symbol, expected) in [
            ("game::load", "game::load"),
            ("main", "main"),
            ("game::load::{{closure}}", "game::load::{{closure}}"),
            ("alloc::vec::Vec<T,A>::push", "alloc::vec::Vec::push"),
            ("json::map::Map<alloc::string::String,json::Value>::insert", "json::map::Map::insert"),
            ("<json::Value as core::clone::Clone>::clone", "json::Value::clone"),
            ("<&mut json::de::Reader<R> as serde::Reader>::next", "json::de::Reader::next"),
            (
                "<<json::Map<K,V> as serde::De>::de::Visitor as serde::Visitor>::visit_map",
                "json::Map::de::Visitor::visit_map",
            ),
            ("serde::impls::<impl serde::De for alloc::vec::Vec<T>>::de", "alloc::vec::Vec::de"),
            ("heap::_::<impl serde::De for heap::Asset>::de", "heap::Asset::de"),
            ("alloc::slice::<impl [T]>::to_vec", "[T]::to_vec"),
            ("<[T] as alloc::Owned>::to_owned", "[T]::to_owned"),
            ("<fn() -> core::Result<(), E> as core::FnOnce<()>>::call_once", "fn() -> core::Result::call_once"),
            ("core::iter::map_fold::<u8, fn(u8) -> u8>::{closure#0}", "core::iter::map_fold::{closure#0}"),
            ("do_call<closure, ()>", "do_call"),
            ("<dyn game::Node>::draw", "game::Node::draw"),
            ("broken<a", "broken<a"),
            ("->", "->"),
            ("", ""),
        ] {
            assert_eq!(short(symbol), expected, "{symbol}");
        }
    }

    #[test]
    fn a_name_without_a_path_gets_the_module_of_its_file() {
        for (symbol, file, expected) in [
            ("load", Some("/game/src/assets.rs"), "assets::load"),
            ("{closure#0}", Some("C:\\game\\src\\assets\\mod.rs"), "assets::{closure#0}"),
            ("load", Some("/game/assets/src/main.rs"), "main::load"),
            ("load", Some("/game/src/scene/load.rs"), "scene::load::load"),
            ("load", Some("/game/examples/small.rs"), "small::load"),
            ("load", Some("/game/examples/small/mod.rs"), "small::load"),
            ("push<game::Mesh>", Some("/rustc/1/library/alloc/src/vec/mod.rs"), "alloc::vec::push"),
            ("max", Some("/opt/lib/rustlib/src/rust/library/core/src/cmp.rs"), "core::cmp::max"),
            (
                "insert",
                Some("/x/registry/src/index.crates.io-1/serde-json-1.0.2/src/value/map.rs"),
                "serde_json::value::map::insert",
            ),
            ("open", Some("/x/registry/src/index.crates.io-1/zip-2.0.0/src/lib.rs"), "zip::open"),
            ("game::load", Some("/game/src/assets.rs"), "game::load"),
            ("start", Some("../csu/start.c"), "start"),
            ("start", Some("mod.rs"), "mod::start"),
            ("start", None, "start"),
        ] {
            assert_eq!(readable(symbol, file), expected, "{symbol}");
        }
    }
}

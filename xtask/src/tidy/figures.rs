//! The metrics that the code describes, read from the code: `series.gauge("vitals_…", Unit::Bytes, "…")` and its kin.
//!
//! A description is an argument list or a tuple that holds a metric's name and its meaning, as literals or constants of
//! the same file.

use super::File;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprMethodCall, ExprTuple, Lit, LitStr, Token};

/// The prefix of every metric of ours.
pub(crate) const PREFIX: &str = "vitals_";

/// One metric as the code describes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) kind: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) help: String,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) file: String,
}

/// What the code says about metrics.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// By name, those in a call that describes one.
    pub(crate) described: BTreeMap<String, Metric>,
    /// Every literal that is a metric's name, with file and line.
    pub(crate) mentioned: Vec<(String, String, usize)>,
}

/// Reads the sources of the libraries, tests left out.
///
/// # Errors
/// When a file is no Rust.
pub(crate) fn read(files: &[File]) -> Result<Figures> {
    let mut figures = Figures::default();
    for file in files.iter().filter(|file| is_library(&file.path)) {
        let parsed = syn::parse_file(&file.text).with_context(|| format!("cannot parse {}", file.path))?;
        let mut constants = Constants::default();
        constants.visit_file(&parsed);
        let mut functions = Functions { constants: &constants, labels: BTreeMap::new() };
        functions.visit_file(&parsed);
        let (functions, labels) = (&functions.labels, BTreeSet::new());
        Reader { file: &file.path, constants: &constants, functions, labels, figures: &mut figures }
            .visit_file(&parsed);
    }
    Ok(figures)
}

/// True for attributes that leave an item out of what is shipped.
pub(super) fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return attribute.path().is_ident("test") };
        let words = list.tokens.to_string();
        let has = |word: &str| words.split(|c: char| !c.is_alphanumeric() && c != '_').any(|one| one == word);
        attribute.path().is_ident("cfg") && (has("test") || has("loom")) && !has("not")
    })
}

fn is_library(path: &str) -> bool {
    let shipped = ["core/src/", "src/", "exporters/"].iter().any(|base| path.starts_with(base));
    shipped && path.ends_with(".rs") && !path.contains("/tests/") && !path.ends_with("/tests.rs")
}

/// The texts of a file that have a name, as a constant or by `let`.
#[derive(Default)]
struct Constants(BTreeMap<String, String>);

impl<'ast> Visit<'ast> for Constants {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.0.extend(literal(&item.expr).map(|text| (item.ident.to_string(), text)));
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(init)) = (&local.pat, &local.init) {
            self.0.extend(literal(&init.expr).map(|text| (name.ident.to_string(), text)));
        }
        visit::visit_local(self, local);
    }
}

impl Constants {
    /// The text that an expression stands for: a literal, a constant, or either inside a call such as `Cow::Borrowed`.
    fn text(&self, expression: &Expr) -> Option<String> {
        match expression {
            Expr::Path(path) => self.0.get(&path.path.segments.last()?.ident.to_string()).cloned(),
            Expr::Call(call) => call.args.iter().find_map(|argument| self.text(argument)),
            other => literal(other),
        }
    }

    /// The call below any `.label(name, value)` or `.and(name, value)`, with the names of these labels.
    fn labelled<'e>(&self, mut call: &'e ExprMethodCall) -> (&'e ExprMethodCall, BTreeSet<String>) {
        let mut labels = BTreeSet::new();
        while call.method == "label" || call.method == "and" {
            labels.extend(call.args.first().and_then(|name| self.text(name)));
            let Expr::MethodCall(receiver) = &*call.receiver else { break };
            call = receiver;
        }
        (call, labels)
    }
}

/// The labels that a function gives to all that it describes: by a field `labels: vec![(name, value), …]`, or by
/// `.label(name, value)` on a metric whose name is a variable, as in a loop over a table.
struct SharedLabels<'a> {
    constants: &'a Constants,
    labels: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for SharedLabels<'_> {
    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        let named = matches!(&field.member, syn::Member::Named(name) if name == "labels");
        if let (true, Expr::Macro(list)) = (named, &field.expr) {
            let pairs = list.mac.parse_body_with(Punctuated::<ExprTuple, Token![,]>::parse_terminated);
            let names = pairs.into_iter().flatten().filter_map(|pair| self.constants.text(pair.elems.first()?));
            self.labels.extend(names);
        }
        visit::visit_field_value(self, field);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let (described, labels) = self.constants.labelled(call);
        let name = described.args.first().and_then(|name| self.constants.text(name));
        if name.is_none_or(|name| !is_name(&name)) {
            self.labels.extend(labels);
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// The labels that each function of a file gives to all that it describes.
struct Functions<'a> {
    constants: &'a Constants,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let mut shared = SharedLabels { constants: self.constants, labels: BTreeSet::new() };
        shared.visit_block(&item.block);
        self.labels.insert(item.sig.ident.to_string(), shared.labels);
    }
}

struct Reader<'a> {
    file: &'a str,
    constants: &'a Constants,
    functions: &'a BTreeMap<String, BTreeSet<String>>,
    /// Labels of everything that the function at hand describes.
    labels: BTreeSet<String>,
    figures: &'a mut Figures,
}

impl Reader<'_> {
    /// Notes the metric if these are the arguments that describe one: its name and, as another text, its meaning.
    fn describe<'e>(&mut self, by: &str, arguments: impl Iterator<Item = &'e Expr>, labels: &BTreeSet<String>) {
        let (mut name, mut help, mut kind) = (None, None, kind_in(by));
        for argument in arguments {
            match self.constants.text(argument) {
                Some(text) if is_name(&text) => name = name.or(Some(text)),
                Some(text) if text.contains(' ') => help = help.or(Some(text)),
                Some(text) => kind = kind.or(kind_in(&text)),
                None => kind = kind.or_else(|| kind_in(&last_word(argument)?)),
            }
        }
        let (Some(name), Some(help)) = (name, help) else { return };
        let kind = kind.unwrap_or(if name.ends_with("_total") { "counter" } else { "gauge" });
        let file = self.file.to_owned();
        let metric = Metric { kind, unit: unit(&name), help, labels: BTreeSet::new(), file };
        let metric = self.figures.described.entry(name).or_insert(metric);
        let by_function = self.functions.get(by).into_iter().flatten();
        metric.labels.extend(labels.iter().chain(&self.labels).chain(by_function).cloned());
    }

    fn inside_function(&mut self, block: &syn::Block, visit: impl FnOnce(&mut Self)) {
        let mut fields = SharedLabels { constants: self.constants, labels: BTreeSet::new() };
        fields.visit_block(block);
        let outside = std::mem::replace(&mut self.labels, fields.labels);
        visit(self);
        self.labels = outside;
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.inside_function(&item.block, |reader| visit::visit_item_fn(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.inside_function(&item.block, |reader| visit::visit_impl_item_fn(reader, item));
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let (described, labels) = self.constants.labelled(call);
        self.describe(&described.method.to_string(), described.args.iter(), &labels);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let by = last_word(&call.func).unwrap_or_default();
        self.describe(&by, call.args.iter(), &BTreeSet::new());
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_tuple(&mut self, tuple: &'ast ExprTuple) {
        self.describe("", tuple.elems.iter(), &BTreeSet::new());
        visit::visit_expr_tuple(self, tuple);
    }

    fn visit_lit_str(&mut self, literal: &'ast LitStr) {
        let text = literal.value();
        if is_name(&text) {
            self.figures.mentioned.push((text, self.file.to_owned(), literal.span().start().line));
        }
    }
}

/// The kind that a word names.
fn kind_in(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    ["gauge", "counter", "histogram"].into_iter().find(|kind| word.contains(kind))
}

/// Prometheus has the unit at the end of the name.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    ["bytes", "seconds", "ratio"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or("count")
}

pub(super) fn attributes(item: &syn::Item) -> &[Attribute] {
    match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn literal(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

fn last_word(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

fn is_name(text: &str) -> bool {
    text.len() > PREFIX.len()
        && text.starts_with(PREFIX)
        && !text.ends_with('_')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(text: &str) -> Figures {
        read(&[File { path: "core/src/monitor/heap.rs".into(), text: text.into() }]).unwrap()
    }

    #[test]
    fn descriptions_are_read_with_their_labels_and_tests_are_not() {
        let figures = figures(
            r#"
            const LANE: &str = "lane";
            fn describe(series: &mut Series) {
                series.gauge("vitals_heap_bytes", Unit::Bytes, "Live bytes.");
                for lane in lanes {
                    series.counter("vitals_frames_total", Unit::Count, "All frames.").label(LANE, lane).label("b", "c");
                }
                series.histogram("vitals_frame_seconds", "Time of a frame.", &times);
                other("vitals_loose_bytes");
            }
            #[cfg(test)]
            mod tests { const N: &str = "vitals_planted_bytes"; }
            "#,
        );
        let names: Vec<_> = figures.described.iter().map(|(name, m)| (name.as_str(), m.kind, m.unit)).collect();
        let expected = [
            ("vitals_frame_seconds", "histogram", "seconds"),
            ("vitals_frames_total", "counter", "count"),
            ("vitals_heap_bytes", "gauge", "bytes"),
        ];
        assert_eq!(names, expected);
        assert_eq!(figures.described["vitals_frames_total"].labels, ["b", "lane"].map(String::from).into());
        assert_eq!(figures.described["vitals_heap_bytes"].help, "Live bytes.");
        assert!(figures.described["vitals_heap_bytes"].labels.is_empty());
        let mentioned: Vec<_> = figures.mentioned.iter().map(|(name, _, line)| (name.as_str(), *line)).collect();
        assert!(mentioned.contains(&("vitals_loose_bytes", 9)), "{mentioned:?}");
        assert!(!mentioned.iter().any(|(name, _)| *name == "vitals_planted_bytes"));
    }

    #[test]
    fn tables_and_constants_describe_too() {
        let figures = figures(
            r#"
            const OPEN: &str = "vitals_open";
            fn table(id: &str) {
                [("vitals_use_bytes", "Bytes in use.", Unit::Bytes, Gauge), ("vitals_runs_total", "Its runs.", Counter)]
                    .map(|(name, help)| Figure { name, labels: vec![(Cow::Borrowed("monitor"), id)] });
            }
            fn rows(series: &mut Series) {
                for (name, help) in [("vitals_used_bytes", "Bytes used.")] {
                    series.gauge(name, Unit::Bytes, help).label("monitor", self.id);
                }
            }
            fn page() {
                let help = "Refused requests.";
                plain(OPEN, "gauge", "Open connections.");
                by_reason("vitals_refused_total", help);
            }
            fn by_reason(name: &str, help: &str) { family(name, help, labels.and("reason", reason)); }
            "#,
        );
        let rows: Vec<_> =
            figures.described.iter().map(|(n, m)| (n.as_str(), m.kind, m.labels.iter().next().cloned())).collect();
        let monitor = Some("monitor".to_owned());
        assert_eq!(
            rows,
            [
                ("vitals_open", "gauge", None),
                ("vitals_refused_total", "counter", Some("reason".to_owned())),
                ("vitals_runs_total", "counter", monitor.clone()),
                ("vitals_use_bytes", "gauge", monitor.clone()),
                ("vitals_used_bytes", "gauge", monitor),
            ]
        );
    }
}

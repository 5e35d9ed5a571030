//! The metrics that the code describes, read from the code: `series.gauge("vitals_…", Unit::Bytes, "…")` and its kin.

use super::File;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprMethodCall, Lit, LitStr};

/// The prefix of every metric of ours.
pub(crate) const PREFIX: &str = "vitals_";

/// One metric as the code describes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) kind: &'static str,
    pub(crate) unit: String,
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
        Reader { file: &file.path, figures: &mut figures }.visit_file(&parsed);
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

struct Reader<'a> {
    file: &'a str,
    figures: &'a mut Figures,
}

impl Reader<'_> {
    /// Notes the metric if this call describes one; its labels are calls around it.
    fn describe(&mut self, call: &ExprMethodCall, labels: BTreeSet<String>) {
        let kind = match call.method.to_string().as_str() {
            "gauge" => "gauge",
            "counter" => "counter",
            "histogram" => "histogram",
            _ => return,
        };
        let mut arguments = call.args.iter();
        let Some(name) = arguments.next().and_then(literal).filter(|name| is_name(name)) else { return };
        let unit = match kind {
            "histogram" => "seconds".to_owned(),
            _ => arguments.next().and_then(last_word).unwrap_or_default().to_lowercase(),
        };
        let help = arguments.next().and_then(literal).unwrap_or_default();
        let file = self.file.to_owned();
        let metric =
            self.figures.described.entry(name).or_insert(Metric { kind, unit, help, labels: BTreeSet::new(), file });
        metric.labels.extend(labels);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let mut labels = BTreeSet::new();
        let mut inner = call;
        while inner.method == "label" {
            labels.extend(inner.args.first().and_then(literal));
            let Expr::MethodCall(receiver) = &*inner.receiver else { break };
            inner = receiver;
        }
        self.describe(inner, labels);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_lit_str(&mut self, literal: &'ast LitStr) {
        let text = literal.value();
        if is_name(&text) {
            self.figures.mentioned.push((text, self.file.to_owned(), literal.span().start().line));
        }
    }
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
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_read_with_their_labels_and_tests_are_not() -> Result<()> {
        let text = r#"
            fn describe(series: &mut Series) {
                series.gauge("vitals_heap_bytes", Unit::Bytes, "Live bytes.");
                for lane in lanes {
                    series.counter("vitals_frames_total", Unit::Count, "Frames.").label("lane", lane).label("b", "c");
                }
                series.histogram("vitals_frame_seconds", "Time.", &times);
                other("vitals_loose_bytes");
            }
            #[cfg(test)]
            mod tests { const N: &str = "vitals_planted_bytes"; }
        "#;
        let figures = read(&[File { path: "core/src/monitor/heap.rs".into(), text: text.into() }])?;
        let names: Vec<_> =
            figures.described.iter().map(|(name, m)| (name.as_str(), m.kind, m.unit.as_str())).collect();
        let expected = [
            ("vitals_frame_seconds", "histogram", "seconds"),
            ("vitals_frames_total", "counter", "count"),
            ("vitals_heap_bytes", "gauge", "bytes"),
        ];
        assert_eq!(names, expected);
        assert_eq!(figures.described["vitals_frames_total"].labels, ["b", "lane"].map(String::from).into());
        assert_eq!(figures.described["vitals_heap_bytes"].help, "Live bytes.");
        let mentioned: Vec<_> = figures.mentioned.iter().map(|(name, _, line)| (name.as_str(), *line)).collect();
        assert!(mentioned.contains(&("vitals_loose_bytes", 8)), "{mentioned:?}");
        assert!(!mentioned.iter().any(|(name, _)| *name == "vitals_planted_bytes"));
        Ok(())
    }
}

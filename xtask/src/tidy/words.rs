//! Words that have no place in the project: paths of one machine, leftovers of work in progress.

use super::{Fault, File};
use regex::Regex;

/// Pattern and what to do instead. Written in pieces, so that this file does not break its own rule.
const WORDS: &[(&str, &str)] = &[
    (concat!(r"/ho", r"me/\w"), "a path of one machine"),
    (concat!(r"/Us", r"ers/\w"), "a path of one machine"),
    (concat!(r"(^|[^\w])/ro", r"ot/\w"), "a path of one machine"),
    (concat!(r"(^|[^\w./-])/wo", r"rk/\w"), "a path of one machine"),
    (concat!(r"\bFIX", r"ME\b"), "finish it, or write down what is not done where users look"),
    (concat!(r"\bXX", r"X\b"), "finish it, or write down what is not done where users look"),
    (concat!(r"#\[igno", r"re"), "a test that never runs proves nothing: shorten it or skip it by name"),
];

pub(super) fn check(files: &[File]) -> Vec<Fault> {
    let patterns: Vec<_> = WORDS.iter().filter_map(|(word, why)| Some((Regex::new(word).ok()?, *why))).collect();
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for (number, line) in file.text.lines().enumerate() {
            for (pattern, why) in &patterns {
                if let Some(found) = pattern.find(line) {
                    faults.push(Fault::new(&file.path, number + 1, format!("`{}`: {why}", found.as_str().trim())));
                }
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_valid() {
        assert!(WORDS.iter().all(|(word, _)| Regex::new(word).is_ok()));
    }

    #[test]
    fn planted_words_are_found_with_their_line() {
        let text = ["fine", concat!("see /ho", "me/me/x"), concat!("// FIX", "ME later"), "a network/card"].join("\n");
        let faults = check(&[File { path: "a.rs".into(), text }]);
        let places: Vec<_> = faults.iter().map(|fault| (fault.file.as_str(), fault.line)).collect();
        assert_eq!(places, [("a.rs", 2), ("a.rs", 3)]);
    }
}

//! Environment variables that switch something on.

use std::ffi::OsStr;

/// A variable that asks for something with `1`. Nothing, the empty value and `0` do not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Toggle {
    pub(super) name: &'static str,
    /// What it asks for.
    pub(super) what: &'static str,
    /// The feature that it needs, if this build lacks it.
    pub(super) lacks: Option<&'static str>,
}

/// The event stream.
pub(super) const TRACE: Toggle = Toggle {
    name: "ENGINE_VITALS_TRACE",
    what: "the event stream on stderr",
    lacks: if cfg!(feature = "trace") { None } else { Some("trace") },
};

/// The startup report, and all windows at the end.
pub(super) const REPORT: Toggle =
    Toggle { name: "ENGINE_VITALS_REPORT", what: "the lifecycle report on stderr", lacks: None };

/// What is still there at the end.
pub(super) const LEAKS: Toggle =
    Toggle { name: "ENGINE_VITALS_LEAKS", what: "a report of leaks on stderr at the end", lacks: None };

impl Toggle {
    /// Whether the environment asks for it.
    pub(super) fn is_on(self, notices: &mut Vec<String>) -> bool {
        self.asks(std::env::var_os(self.name).as_deref(), notices)
    }

    /// Whether that value asks for it. What is neither 0 nor 1 is noticed, and asks for nothing; it is not repeated.
    fn asks(self, value: Option<&OsStr>, notices: &mut Vec<String>) -> bool {
        let Self { name, what, lacks } = self;
        match (value.map(OsStr::as_encoded_bytes), lacks) {
            (None | Some(b"" | b"0"), _) => false,
            (Some(b"1"), None) => true,
            (Some(b"1"), Some(feature)) => {
                notices
                    .push(format!("{name}=1 has no effect: engine-vitals was built without its feature `{feature}`"));
                false
            }
            (Some(_), _) => {
                notices.push(format!("{name} has no effect: use 1 for {what}, 0 or nothing for none"));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toggle_is_0_or_1_and_anything_else_is_noticed() {
        let missing = Toggle { name: "A", what: "b", lacks: Some("c") };
        for (toggle, works) in [(TRACE, cfg!(feature = "trace")), (REPORT, true), (LEAKS, true), (missing, false)] {
            let mut notices = Vec::new();
            for off in [None, Some(OsStr::new("0")), Some(OsStr::new(""))] {
                assert!(!toggle.asks(off, &mut notices));
            }
            assert_eq!(notices.len(), 0);
            assert_eq!(toggle.asks(Some(OsStr::new("1")), &mut notices), works);
            assert_eq!(notices.len(), usize::from(!works), "what cannot be had is said");
            notices.clear();
            for hostile in ["yes; rm", " 1", "11", "\u{1b}[2J", "true"] {
                assert!(!toggle.asks(Some(OsStr::new(hostile)), &mut notices));
            }
            assert_eq!(notices.len(), 5);
            assert!(notices.iter().all(|notice| notice.starts_with(toggle.name)));
            assert!(
                !notices.concat().contains("rm") && !notices.concat().contains('\u{1b}'),
                "a value is not repeated"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_noticed_too() {
        use std::os::unix::ffi::OsStrExt;
        let mut notices = Vec::new();
        assert!(!REPORT.asks(Some(OsStr::from_bytes(&[0xff, 0xfe, b'1'])), &mut notices));
        assert_eq!(notices.len(), 1);
    }
}

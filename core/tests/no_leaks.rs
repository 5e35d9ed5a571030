//! `assert_no_leaks!`, with and without telemetry.

#![cfg_attr(feature = "telemetry", expect(clippy::panic, reason = "helpers of tests fail as tests do"))]

use engine_vitals_core::assert_no_leaks;
use engine_vitals_core::probe::{New, Probe};
use engine_vitals_core::tracker::Tracker;

#[test]
fn the_block_s_value_comes_back() {
    let tracker = Tracker::new();
    let probe = tracker.probe();
    let before = probe.create(New::buffer(1).label("before"));
    let value = assert_no_leaks!(probe, {
        let _inner = probe.create(New::buffer(2));
        assert_no_leaks!(probe, {
            drop(before);
            "value".to_owned()
        })
    });
    assert_eq!(value, "value");
}

#[test]
fn blocks_can_be_left_early() {
    fn early(probe: Probe, number: &str) -> Result<u32, std::num::ParseIntError> {
        let number: u32 = assert_no_leaks!(probe, { number.parse()? });
        Ok(number + 1)
    }
    let tracker = Tracker::new();
    assert_eq!(early(tracker.probe(), "41"), Ok(42));
    assert!(early(tracker.probe(), "x").is_err());
}

#[cfg(feature = "telemetry")]
mod caught {
    use super::*;
    use engine_vitals_core::probe::{Context, Level, OwnerKind, Ticket};
    use std::cell::{Cell, RefCell};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// The message of the panic that `act` ends with.
    #[track_caller]
    fn message(act: impl FnOnce()) -> String {
        let Err(panic) = catch_unwind(AssertUnwindSafe(act)) else { panic!("nothing was found") };
        match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(panic) => panic.downcast_ref::<&str>().map_or_else(|| panic!("no message"), ToString::to_string),
        }
    }

    #[test]
    fn a_planted_leak_is_named_with_label_owner_and_site() {
        let tracker = Tracker::new();
        let probe = tracker.probe();
        let _old = probe.create(New::buffer(7).label("old"));
        let mut kept = Vec::new();
        let line = Cell::new(0);
        let text = message(|| {
            assert_no_leaks!(probe, {
                let owner = probe.owner_named(OwnerKind::ROOT_VISUAL, 5, "window");
                let _owned = Context::current().with_owner(owner).enter();
                let _fine = probe.create(New::texture(16).label("fine"));
                line.set(line!() + 1);
                kept.push(probe.create(New::buffer(1024).label("planted")));
                kept.push(probe.create(New::texture(4096)));
                kept[1].handle_dropped();
            });
        });
        assert!(text.starts_with("2 resources were created in this block and are not released:\n"), "{text}");
        let found = text.lines().find(|found| found.contains("\"planted\"")).expect("its label");
        let site = format!("tests/no_leaks.rs:{}:", line.get());
        for part in ["1.00 KiB", "buffer", "root_visual 5 \"window\"", &site, "live"] {
            assert!(found.contains(part), "no {part} in {found}");
        }
        assert!(text.contains("handle gone, still referenced"), "{text}");
        assert!(!text.contains("fine") && !text.contains("old"), "{text}");
    }

    #[test]
    fn what_the_block_returns_has_leaked_and_so_has_what_its_threads_made() {
        let tracker = Tracker::new();
        let probe = tracker.probe();
        assert!(
            message(|| drop(assert_no_leaks!(probe, { probe.create(New::buffer(1)) }))).starts_with("1 resource was")
        );
        let mut kept = None;
        let text = message(|| {
            assert_no_leaks!(probe, {
                std::thread::scope(|scope| {
                    scope.spawn(|| kept = Some(probe.create(New::buffer(1).label("of a thread"))));
                });
            });
        });
        assert!(text.contains("of a thread"), "{text}");
    }

    #[test]
    fn a_block_that_is_left_early_is_checked_and_one_that_panics_is_not() {
        fn early(probe: Probe, kept: &RefCell<Vec<Ticket>>) {
            assert_no_leaks!(probe, {
                kept.borrow_mut().push(probe.create(New::buffer(1).label("early")));
                if kept.borrow().len() == 1 {
                    return;
                }
            });
        }
        let tracker = Tracker::new();
        let probe = tracker.probe();
        let kept = RefCell::new(Vec::new());
        assert!(message(|| early(probe, &kept)).contains("early"));
        let own = catch_unwind(AssertUnwindSafe(|| {
            assert_no_leaks!(probe, {
                kept.borrow_mut().push(probe.create(New::buffer(1)));
                if kept.borrow().len() > 1 {
                    std::panic::panic_any("its own");
                }
            });
        }));
        assert_eq!(own.expect_err("the block's panic").downcast_ref(), Some(&"its own"));
    }

    #[test]
    fn polling_waits_for_what_is_released_later() {
        let tracker = Tracker::new();
        let probe = tracker.probe();
        let in_flight = RefCell::new(Vec::new());
        let polls = Cell::new(0);
        let poll = || {
            polls.set(polls.get() + 1);
            in_flight.borrow_mut().pop()
        };
        assert_no_leaks!(probe, poll = poll, {
            in_flight.borrow_mut().extend((0..3).map(|_| probe.create(New::buffer(1))));
        });
        assert_eq!(polls.get(), 3);
        let text = message(|| {
            assert_no_leaks!(probe, poll = || (), {
                in_flight.borrow_mut().push(probe.create(New::buffer(1).label("never")));
            });
        });
        assert!(text.contains("never"), "{text}");
    }

    #[test]
    fn where_no_leak_could_be_found_nothing_passes() {
        assert!(message(|| assert_no_leaks!(Probe::OFF, {})).contains("this one is off"));
        let tracker = Tracker::builder().level(Level::Off).build();
        assert!(message(|| assert_no_leaks!(tracker.probe(), {})).contains("this one is off"));
        let tracker = Tracker::builder().resource_capacity(0).build();
        let text = message(|| assert_no_leaks!(tracker.probe(), { drop(tracker.probe().create(New::buffer(1))) }));
        assert!(text.contains("resource_capacity"), "{text}");
        let tracker = Tracker::new();
        let text = message(|| assert_no_leaks!(tracker.probe(), { tracker.set_level(Level::Off) }));
        assert!(text.contains("this one is off"), "{text}");
    }
}

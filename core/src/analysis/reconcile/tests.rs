use super::*;
use proptest::prelude::*;

fn rows<'a>(rows: &[(&'a str, u64)]) -> Vec<Named<'a>> {
    rows.iter().map(|&(name, bytes)| Named { name, bytes }).collect()
}

#[test]
fn every_difference_has_its_class() {
    let live = rows(&[("mesh", 1_000), ("mesh", 3_000), ("albedo", 4_000)]);
    let pending = rows(&[("old", 500), ("import", 77)]);
    let allocated = rows(&[
        ("mesh", 3_072),
        ("mesh", 1_024),
        ("albedo", 4_096),
        ("old", 512),
        ("(wgpu internal) Staging", 65_536),
        ("ghost", 9_999),
        ("", 5),
    ]);
    let sources = Sources {
        live: &live,
        pending: &pending,
        allocated: Some(&allocated),
        reserved: Some(1 << 20),
        process: Some(3 << 20),
        device: Some(10 << 20),
    };
    let result = Reconciliation::of(&sources);
    let sum = 3_072 + 1_024 + 4_096 + 512 + 65_536 + 9_999 + 5;
    let expected = Reconciliation {
        live: 8_000,
        pending: 577,
        allocated: Some(sum),
        wgpu_internal: Some(65_536),
        telemetry: Some(0),
        alignment: Some(72 + 24 + 96 + 12),
        untracked: Some(10_004),
        untracked_names: vec![("ghost".into(), 9_999), (String::new(), 5)],
        elsewhere: Some(77),
        reserved: Some(1 << 20),
        block_slack: Some((1 << 20) - sum),
        process: Some(3 << 20),
        beyond_reserved: Some(2 << 20),
        other_processes: Some(7 << 20),
        ..Reconciliation::default()
    };
    assert_eq!(result, expected);
    let text = result.to_string();
    assert!(text.contains("ghost") && text.contains("(no name)") && text.contains("room in blocks"), "{text}");
}

#[test]
fn a_source_that_is_missing_leaves_its_differences_unknown() {
    let live = rows(&[("mesh", 1_000)]);
    let result = Reconciliation::of(&Sources { live: &live, process: Some(5), ..Sources::default() });
    assert_eq!(result, Reconciliation { live: 1_000, process: Some(5), ..Reconciliation::default() });
    let result = Reconciliation::of(&Sources { reserved: Some(9), process: Some(5), ..Sources::default() });
    assert_eq!((result.beyond_reserved, result.block_slack), (Some(-4), None));
}

#[test]
fn sizes_that_the_book_overestimates_are_negative_alignment() {
    let (live, allocated) = (rows(&[("atlas", 5_000)]), rows(&[("atlas", 4_000)]));
    let result = Reconciliation::of(&Sources { live: &live, allocated: Some(&allocated), ..Sources::default() });
    assert_eq!((result.alignment, result.untracked, result.elsewhere), (Some(-1_000), Some(0), Some(0)));
}

#[test]
fn a_label_that_looks_like_wgpus_own_is_the_books_where_the_book_has_it() {
    let named = rows(&[("(wgpu internal) mine", 64)]);
    let result = Reconciliation::of(&Sources { live: &named, allocated: Some(&named), ..Sources::default() });
    assert_eq!((result.wgpu_internal, result.alignment), (Some(0), Some(0)));
}

#[test]
fn what_lost_its_name_is_matched_by_its_size() {
    let live = rows(&[("", 1_000_000), ("mesh", 50_000), ("far", 10)]);
    let allocated = rows(&[("terrain", 1_000_448), ("", 50_176), ("ghost", 5_000_000)]);
    let result = Reconciliation::of(&Sources { live: &live, allocated: Some(&allocated), ..Sources::default() });
    assert_eq!((result.alignment, result.untracked, result.elsewhere), (Some(448 + 176), Some(5_000_000), Some(10)));
    assert_eq!(result.untracked_names, [("ghost".into(), 5_000_000)]);
}

proptest! {
    /// Each byte that the allocator has given out is wgpu's own, the book's, alignment or untracked, and is counted once.
    #[test]
    fn the_classes_add_up(
        book in proptest::collection::vec((0_usize..5, 0_u64..10_000), 0..40),
        given in proptest::collection::vec((0_usize..7, 0_u64..10_000), 0..40),
    ) {
        const NAMES: [&str; 7] = ["", "a", "b", "c", "d", "(wgpu internal) x", "engine-vitals passes"];
        let named = |list: &[(usize, u64)]| list.iter().map(|&(name, bytes)| Named { name: NAMES[name], bytes }).collect::<Vec<_>>();
        let (book, given) = (named(&book), named(&given));
        let (live, pending) = book.split_at(book.len() / 2);
        let result = Reconciliation::of(&Sources { live, pending, allocated: Some(&given), ..Sources::default() });
        let of_the_book = result.live + result.pending - result.elsewhere.unwrap();
        let others = [result.untracked, result.wgpu_internal, result.telemetry].map(Option::unwrap).iter().sum::<u64>();
        let sum = of_the_book as i64 + result.alignment.unwrap() + others as i64;
        prop_assert_eq!(sum, result.allocated.unwrap() as i64);
    }
}

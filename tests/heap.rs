//! `examples/heap` as a user runs it: what it prints, what it serves at the same moment, and the files it writes are one account.
#![cfg(all(unix, feature = "serve", feature = "trace"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use support::{Guarded, build_example};

#[test]
fn what_is_printed_is_what_is_served_and_tags_are_the_whole_heap() {
    let folder = tempfile::tempdir().unwrap();
    let end = folder.path().join("end.folded");
    let mut command = example(&["--hold", "--top", "0"]);
    command.env("ENGINE_VITALS_HEAP_PROFILE", &end);
    let mut child = Guarded::spawn(command.stdout(Stdio::piped())).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let printed: Vec<_> = lines.by_ref().take_while(|line| line != "at rest").collect();
    let url = printed.iter().find_map(|line| line.strip_prefix("metrics: ")).unwrap_or_else(|| panic!("{printed:#?}"));
    let served = get_at_rest(url);
    let figure = |series: &str| figure(&served, series);
    let tag = |name: &str| figure(&format!("vitals_heap_tag_bytes{{tag=\"{name}\"}}"));

    let near = |label: &str, printed: f64, served: f64, slack: f64| {
        assert!((printed - served).abs() <= slack, "{label}: {printed} printed, {served} served");
    };

    // Tags are the whole heap, in what is served and in what is printed.
    let heap = figure("vitals_heap_bytes");
    assert_eq!(labelled(&served, "vitals_heap_tag_bytes{").iter().sum::<f64>(), heap);
    let blocks = labelled(&served, "vitals_heap_tag_live_allocations{").iter().sum::<f64>();
    assert_eq!(blocks, figure("vitals_heap_live_allocations"));
    let tags = table(&printed, "heap by tag");
    let total = &tags["total"];
    let summed =
        |column: usize| tags.iter().filter(|(name, _)| *name != "total").map(|(_, row)| row[column]).sum::<f64>();
    // Live bytes, live blocks, bytes and blocks allocated; the share is no number.
    assert_eq!([0, 1, 2, 3].map(summed), total[..], "{tags:?}");

    // Both say the same to the byte. Only the telemetry itself works on.
    for name in ["text", "parse", "index", "query"] {
        let totals = ["allocated_bytes_total", "allocations_total"];
        let [allocated, allocations] = totals.map(|of| figure(&format!("vitals_heap_tag_{of}{{tag=\"{name}\"}}")));
        let live = figure(&format!("vitals_heap_tag_live_allocations{{tag=\"{name}\"}}"));
        assert_eq!(tags[name], [tag(name), live, allocated, allocations], "{name}");
    }
    assert_eq!(tag("text"), 0.0, "the text was dropped under no tag, and its bytes went back to its own");
    assert!(tag("parse") > 500_000.0 && tag("index") > 500_000.0, "{served}");
    let own = tag("engine-vitals");
    // Untagged is what printing needs.
    let rest = heap - own - tag("untagged");
    assert_eq!(total[0] - tags["engine-vitals"][0] - tags["untagged"][0], rest, "{tags:?}");
    near("untagged", tags["untagged"][0], tag("untagged"), 20_000.0);

    // The analysis, of an update before: by as much as the telemetry has, which is little.
    assert!(own < 1_000_000.0, "{own}");
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let line = |label: &str| printed.iter().find_map(|line| line.trim_start().strip_prefix(label)).unwrap();
    let numbers = |label: &str| numbers(line(label));
    let of_classes = |name: &str| ["small", "large"].map(|class| figure(&format!("{name}{{size_class=\"{class}\"}}")));
    let [small, large] = of_classes("vitals_heap_allocations_total");
    let allocated: f64 = of_classes("vitals_heap_allocated_bytes_total").iter().sum();
    let own_allocations = figure("vitals_heap_tag_allocations_total{tag=\"engine-vitals\"}");
    let own_mib = mib(figure("vitals_heap_tag_allocated_bytes_total{tag=\"engine-vitals\"}"));
    let analysis = numbers("Current:");
    near("current", analysis[0], mib(heap), mib(own) + 0.005);
    assert_eq!(analysis[1], rounded(mib(figure("vitals_heap_peak_bytes")), 2), "nothing came near the peak again");
    let analysis = numbers("Allocations:");
    near("allocations", analysis[0], small + large, own_allocations);
    near("deallocations", analysis[1], figure("vitals_heap_deallocations_total"), own_allocations);
    near("reallocations", analysis[2], figure("vitals_heap_reallocations_total"), own_allocations);
    assert_eq!(numbers("Large allocations (≥1 MiB):")[0], large);
    near("lifetime", numbers("Lifetime allocated:")[0], mib(allocated), own_mib + 0.005);
    let freed = mib(figure("vitals_heap_deallocated_bytes_total"));
    near("lifetime freed", numbers("Lifetime deallocated:")[0], freed, own_mib + 0.005);
    near("efficiency", numbers("Efficiency:")[0], heap / allocated * 100.0, 2.0);

    // What the phases have changed.
    let phases = table(&printed, "growth by phase");
    assert!(phases["parse"][1] > 0.0 && phases["index"][1] > 0.0 && phases["drop"][1] < 0.0, "{phases:?}");
    for (name, row) in &phases {
        assert_eq!(row[1], row[2] - row[3], "{name}: the change is what was allocated less what was freed");
    }

    let page = |path: &str| get(&url.replace("/metrics", path));
    assert!(page("/heap.txt").contains("examples/heap/workload.rs:"));
    assert!(!folded(page("/heap.folded").split("\r\n\r\n").nth(1).unwrap()).is_empty());
    assert!(child.terminate().unwrap().success());
    assert_eq!(lines.next(), None);
    assert!(!folded(&fs::read_to_string(end).unwrap()).is_empty(), "written at the end");
}

#[test]
fn the_profile_names_the_programs_lines_and_estimates_the_tags() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mut command = example(&["--top", "30"]);
    for name in ["heap.pb.gz", "heap.folded", "heap.txt"] {
        command.arg("--profile").arg(file(name));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed: Vec<_> = support::stdout(&output).lines().map(str::to_owned).collect();
    let tags = table(&printed, "heap by tag");

    assert!(fs::read(file("heap.pb.gz")).unwrap().starts_with(&[0x1f, 0x8b]));
    let text = fs::read_to_string(file("heap.folded")).unwrap();
    let stacks = folded(&text);
    for (stack, _) in &stacks {
        let innermost = stack.last().unwrap();
        let hidden = ["alloc::raw_vec", "hashbrown::", "engine_vitals_core::memory::sites", "__rust", "backtrace::"];
        assert!(stack.len() == 1 || !hidden.iter().any(|name| innermost.starts_with(name)), "{stack:?}");
    }
    let through = |begins: &[&str]| -> f64 {
        let of = |stack: &[&str]| stack.iter().any(|one| begins.iter().any(|begin| one.starts_with(begin)));
        stacks.iter().filter(|(stack, _)| of(stack)).map(|(_, bytes)| bytes).sum()
    };
    // Each tag is entered around one function; the stacks of a parser are too deep, and are cut off before it. Some 250 and 90 samples
    // are live: seven and five times their standard deviation.
    for (functions, tag) in
        [(&["serde_json::", "heap::workload::parse"][..], "parse"), (&["heap::workload::index"], "index")]
    {
        let (estimate, exact) = (through(functions), tags[tag][0]);
        assert!((estimate / exact - 1.0).abs() < 0.5, "{functions:?}: {estimate} estimated, {exact} counted");
    }
    let text = fs::read_to_string(file("heap.txt")).unwrap();
    assert!(text.starts_with("call sites by live bytes: ") && text.contains("examples/heap/workload.rs:"), "{text}");
    let row =
        printed.iter().find(|line| line.contains("workload::index") && line.contains("examples/heap/workload.rs:"));
    assert!(row.is_some(), "{printed:#?}");
}

/// The example on 4 MiB of text, on any free port.
fn example(arguments: &[&str]) -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_example("heap", &["--features", "call-sites"]));
    let mut command = Command::new(built);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["--megabytes", "4", "--listen", "127.0.0.1:0"]).args(arguments);
    command.env_remove("ENGINE_VITALS_HEAP_PROFILE");
    command
}

/// A scrape of an update beside which no thread of the telemetry worked, as the sums tell; after 50 the last one.
fn get_at_rest(url: &str) -> String {
    let is_whole = |served: &String| {
        let tags = labelled(served, "vitals_heap_tag_bytes{").iter().sum::<f64>();
        tags > 0.0 && tags == figure(served, "vitals_heap_bytes")
    };
    for _ in 0..50 {
        let served = get(url);
        if is_whole(&served) {
            return served;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    get(url)
}

fn get(url: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// As it is printed with so many decimals.
fn rounded(value: f64, decimals: usize) -> f64 {
    format!("{value:.decimals$}").parse().unwrap()
}

/// The value of a series of which there is one.
fn figure(served: &str, series: &str) -> f64 {
    let of_series = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    let values: Vec<f64> = served.lines().filter_map(of_series).collect();
    assert_eq!(values.len(), 1, "{series} in:\n{served}");
    values[0]
}

/// The values of all series that begin so.
fn labelled(served: &str, begin: &str) -> Vec<f64> {
    served
        .lines()
        .filter(|line| line.starts_with(begin))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect()
}

/// All numbers in a line.
fn numbers(line: &str) -> Vec<f64> {
    line.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|word| word.parse().ok()).collect()
}

/// The rows below a heading and the names of its columns: the first word of each, and its numbers.
fn table(printed: &[String], heading: &str) -> BTreeMap<String, Vec<f64>> {
    let from = printed.iter().position(|line| line.starts_with(heading)).unwrap() + 2;
    let rows = printed[from..].iter().take_while(|line| !line.is_empty());
    rows.map(|row| {
        let mut words = row.split_whitespace();
        (words.next().unwrap().to_owned(), words.filter_map(|word| word.parse().ok()).collect())
    })
    .collect()
}

fn folded(text: &str) -> Vec<(Vec<&str>, f64)> {
    let stack = |line| {
        let (stack, bytes): (&str, &str) = str::rsplit_once(line, ' ').unwrap();
        (stack.split(';').collect(), bytes.parse().unwrap())
    };
    text.lines().map(stack).collect()
}

//! The screen: what is known of the engine, laid out for the size there is. Pure: it draws into a frame and knows no terminal.

use std::collections::VecDeque;
use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, RenderDirection, Row, Sparkline, SparklineBar, Table};

use super::rates::Rates;
use super::sample::Figure;
use super::state::{Status, Watched};
use super::summary;
use super::units::{ago, bytes, seconds};

/// Below this there is no room for the curves.
const HEIGHT_WITH_CURVES: u16 = 22;
/// Below this everything stands in one column.
const WIDTH_OF_TWO_COLUMNS: u16 = 70;

/// Draws the whole screen.
pub(crate) fn draw(frame: &mut Frame<'_>, watched: &Watched, now: Instant) {
    let area = frame.area();
    let curves = if area.height < HEIGHT_WITH_CURVES { 0 } else { 5 };
    let rows = [Constraint::Length(2), Constraint::Length(curves), Constraint::Fill(1), Constraint::Length(1)];
    let [head, middle, body, foot] = area.layout(&Layout::vertical(rows));
    let status = watched.status(now);
    frame.render_widget(header(watched, &status), head);
    if curves > 0 {
        let [left, right] = middle.layout(&Layout::horizontal([Constraint::Fill(1); 2]));
        draw_curve(frame, left, watched.frame_times(), Scale::FromZero);
        draw_curve(frame, right, watched.heap(), Scale::FromLeast);
    }
    match watched.rates() {
        Some(rates) => draw_panels(frame, body, rates),
        None => frame.render_widget(Paragraph::new(advice(&status)).centered(), body),
    }
    if matches!(status, Status::Failing(..)) && watched.rates().is_some() {
        // Old figures look old.
        frame.buffer_mut().set_style(middle.union(body), Style::new().dark_gray());
    }
    frame.render_widget(footer(watched, &status), foot);
}

fn header<'a>(watched: &'a Watched, status: &Status<'a>) -> Paragraph<'a> {
    let state = if watched.is_paused() {
        Span::from("PAUSED").yellow().bold()
    } else {
        match status {
            Status::Waiting => Span::from("connecting").yellow(),
            Status::Live => Span::from("live").green().bold(),
            Status::Failing(..) => Span::from("NO FIGURES").red().bold(),
        }
    };
    let first = Line::from(vec!["engine-vitals ".bold(), state, Span::from(format!("  {}", watched.url()))]);
    let second = match status {
        Status::Failing(error, seen) => {
            let seen = seen.map_or("never seen".to_owned(), |age| format!("figures from {}", ago(age)));
            Line::from(format!("{seen}: {}", error.headline())).red()
        }
        Status::Waiting => Line::default(),
        Status::Live => Line::from(watched.rates().map(summary::identity).unwrap_or_default()),
    };
    Paragraph::new(vec![first, second])
}

fn advice(status: &Status<'_>) -> String {
    match status {
        Status::Failing(error, _) => format!("\n{error}\n\nTrying again."),
        Status::Waiting | Status::Live => String::new(),
    }
}

fn footer<'a>(watched: &Watched, status: &Status<'_>) -> Line<'a> {
    let pause = if watched.is_paused() { "continue" } else { "pause" };
    let keys = ["q".bold(), " quit  ".into(), "p".bold(), format!(" {pause}  ").into()];
    let every = format!("every {} s", watched.interval().as_secs_f64());
    let live = watched.rates().filter(|_| *status == Status::Live);
    let health = live.map(|rates| {
        let failing = rates.monitors.iter().any(|health| health.well == Some(false));
        let text = format!("  {} series{}  {}", rates.series, summary::losses(rates), summary::health(rates));
        let text = Span::from(text);
        if failing { text.red() } else { text }
    });
    Line::from(keys.into_iter().chain([every.into()]).chain(health).collect::<Vec<_>>())
}

/// A block of figures: its title, header (empty: none), the widths of all columns but the first, and its rows.
struct Panel {
    title: &'static str,
    header: &'static [&'static str],
    widths: &'static [u16],
    rows: Vec<Vec<String>>,
    /// As many rows are shown before others get more than theirs.
    least: u16,
}

impl Panel {
    /// Height with so many rows: two of border, one of header.
    fn height(&self, rows: usize) -> u16 {
        let fixed = 2 + u16::from(!self.header.is_empty());
        u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(fixed)
    }

    fn draw(self, frame: &mut Frame<'_>, area: Rect) {
        let room = usize::from(area.height.saturating_sub(self.height(0)));
        let total = self.rows.len();
        let title =
            if total > room { format!(" {}, {room} of {total} ", self.title) } else { format!(" {} ", self.title) };
        // Rows that cannot be seen are not laid out, however many a server sends.
        let rows = self.rows.into_iter().take(room).map(|cells| {
            let failing = cells.iter().any(|cell| cell == "FAILING");
            let row = Row::new(right_but_first(cells, self.widths));
            if failing { row.style(Style::new().fg(Color::Red)) } else { row }
        });
        let lengths = self.widths.iter().map(|width| Constraint::Length(*width));
        let mut table = Table::new(rows, [Constraint::Fill(1)].into_iter().chain(lengths))
            .block(Block::bordered().border_style(Style::new().dark_gray()).title(Line::from(title).bold()));
        if !self.header.is_empty() {
            table =
                table.header(Row::new(right_but_first(self.header.to_vec(), self.widths)).style(Style::new().italic()));
        }
        frame.render_widget(table, area);
    }
}

/// Cells as lines: the first as it is, the others at the right of columns of these widths. One that is too wide loses its end and says
/// so: without its beginning, as the table would cut it, it would be another number.
fn right_but_first<T: Into<String>>(cells: Vec<T>, widths: &[u16]) -> impl Iterator<Item = Line<'static>> {
    let widths = [usize::MAX].into_iter().chain(widths.iter().map(|width| usize::from(*width)));
    cells.into_iter().zip(widths).enumerate().map(|(index, (cell, width))| {
        let mut cell: String = cell.into();
        if cell.chars().count() > width {
            cell = cell.chars().take(width.saturating_sub(1)).chain(['…']).collect();
        }
        let line = Line::from(cell);
        if index == 0 { line } else { line.right_aligned() }
    })
}

fn draw_panels(frame: &mut Frame<'_>, area: Rect, rates: &Rates) {
    let timings = Panel {
        title: "times",
        header: &["", "/s", "mean", "~p50", "~p95"],
        widths: &[5, 8, 8, 8],
        rows: summary::timings(rates),
        least: 3,
    };
    let passes = (!rates.passes.is_empty()).then(|| Panel {
        title: "GPU passes",
        header: &["", "/s", "mean", "in 1 s"],
        widths: &[5, 8, 8],
        rows: summary::passes(rates),
        least: 2,
    });
    let hitches = (!rates.hitches.is_empty()).then(|| Panel {
        title: "hitches",
        header: &["", "in all", "new"],
        widths: &[7, 5],
        rows: summary::hitches(rates),
        least: 1,
    });
    let resources = Panel {
        title: "resources",
        header: &["", "live", "bytes", "new/s", "gone/s"],
        widths: &[7, 9, 6, 6],
        rows: summary::resources(rates),
        least: 2,
    };
    let tags = (!rates.tags.is_empty()).then(|| Panel {
        title: "heap by tag",
        header: &["", "bytes", "blocks", "new/s", "bytes/s"],
        widths: &[9, 8, 7, 9],
        rows: summary::tags(rates),
        least: 2,
    });
    let stores = store_panels(rates);
    let monitors = Panel {
        title: "monitors",
        header: &["", "state", "update", "/s", "failed", "usage"],
        widths: &[7, 8, 6, 6, 8],
        rows: summary::monitors(rates),
        least: 1,
    };
    let memory = Panel { title: "memory", header: &[], widths: &[9], rows: summary::memory(rates), least: 4 };
    let vram = Panel { title: "VRAM", header: &[], widths: &[9], rows: summary::vram(rates), least: 4 };
    let submissions =
        Panel { title: "submissions", header: &[], widths: &[8], rows: summary::submissions(rates), least: 2 };
    if area.width < WIDTH_OF_TWO_COLUMNS {
        draw_column(
            frame,
            area,
            [timings]
                .into_iter()
                .chain(hitches)
                .chain(passes)
                .chain([memory])
                .chain(tags)
                .chain([vram])
                .chain(stores)
                .chain([resources, submissions, monitors])
                .collect(),
        );
    } else {
        let [left, right] = area.layout(&Layout::horizontal([Constraint::Percentage(60), Constraint::Fill(1)]));
        draw_column(
            frame,
            left,
            [timings].into_iter().chain(tags).chain([resources, monitors]).chain(stores).chain(passes).collect(),
        );
        draw_column(frame, right, [memory, vram, submissions].into_iter().chain(hitches).collect());
    }
}

/// Rings and pools, where there are any.
fn store_panels(rates: &Rates) -> Vec<Panel> {
    let panels = [
        Panel {
            title: "staging rings",
            header: &["", "bytes", "in flight", "per s", "stalls"],
            widths: &[9, 9, 9, 6],
            rows: summary::rings(rates).into_iter().map(|row| columns(&row, &[0, 1, 2, 3, 5])).collect(),
            least: 1,
        },
        Panel {
            title: "memory pools",
            header: &["", "reserved", "alloc'd", "loss", "moved/s"],
            widths: &[9, 9, 7, 9],
            rows: summary::pools(rates).into_iter().map(|row| columns(&row, &[0, 1, 2, 3, 8])).collect(),
            least: 1,
        },
        Panel {
            title: "render target pools",
            header: &["", "in use", "kept", "reused/s", "made/s"],
            widths: &[9, 9, 8, 7],
            rows: summary::targets(rates),
            least: 1,
        },
    ];
    panels.into_iter().filter(|panel| !panel.rows.is_empty()).collect()
}

/// Those cells of a row.
fn columns(row: &[String], which: &[usize]) -> Vec<String> {
    which.iter().filter_map(|&column| row.get(column).cloned()).collect()
}

fn draw_column(frame: &mut Frame<'_>, area: Rect, panels: Vec<Panel>) {
    let sizes: Vec<_> = panels
        .iter()
        .map(|panel| (panel.height(panel.rows.len().min(usize::from(panel.least))), panel.height(panel.rows.len())))
        .collect();
    let mut rest = area;
    for (panel, height) in panels.into_iter().zip(heights(area.height, &sizes)) {
        let [place, below] = rest.layout(&Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]));
        rest = below;
        if height > 0 {
            panel.draw(frame, place);
        }
    }
}

/// Heights for panels with these least and wanted heights: the first ones have their least first, nothing if that does not fit; what is
/// left then goes to the first ones that want more.
fn heights(total: u16, sizes: &[(u16, u16)]) -> Vec<u16> {
    let mut left = total;
    let mut given: Vec<_> = sizes
        .iter()
        .map(|(least, _)| {
            let height = if *least <= left { *least } else { 0 };
            left -= height;
            height
        })
        .collect();
    for (height, (_, wanted)) in given.iter_mut().zip(sizes).filter(|(height, _)| **height > 0) {
        let more = wanted.saturating_sub(*height).min(left);
        *height += more;
        left -= more;
    }
    given
}

/// What the foot of a curve stands for.
#[derive(Clone, Copy)]
enum Scale {
    FromZero,
    /// The least value that is shown, so that small changes of a large figure can be seen.
    FromLeast,
}

fn draw_curve(frame: &mut Frame<'_>, area: Rect, history: &VecDeque<Figure>, scale: Scale) {
    let width = usize::from(area.width.saturating_sub(2));
    let shown: Vec<Figure> = history.iter().rev().take(width).copied().collect();
    let known = || shown.iter().flatten().copied();
    let (least, most) = (known().reduce(f64::min), known().reduce(f64::max));
    let title = match scale {
        Scale::FromZero => format!(" frame time, up to {} ", seconds(most)),
        Scale::FromLeast => format!(" heap, {} to {} ", bytes(least), bytes(most)),
    };
    let bars = shown.iter().map(|figure| match figure {
        Some(value) => SparklineBar::from(bar(*value, least.unwrap_or_default(), most.unwrap_or_default(), scale)),
        None => SparklineBar::from(None),
    });
    let curve = Sparkline::default()
        .data(bars)
        .max(BAR_STEPS)
        .direction(RenderDirection::RightToLeft)
        .absent_value_symbol(" ")
        .style(Style::new().fg(Color::Cyan))
        .block(Block::bordered().border_style(Style::new().dark_gray()).title(Line::from(title).bold()));
    frame.render_widget(curve, area);
}

/// Bars have heights of 0 to this.
const BAR_STEPS: u64 = 1000;

/// The height of a bar. From the least value on, the least itself has an eighth, so that it is not taken for nothing.
fn bar(value: f64, least: f64, most: f64, scale: Scale) -> u64 {
    let share = match scale {
        Scale::FromZero if most > 0.0 => value / most,
        Scale::FromZero => 0.0,
        // What the title rounds away is not drawn as a cliff.
        Scale::FromLeast if most > 0.0 => 0.125 + 0.875 * (value - least) / (most - least).max(0.01 * most),
        Scale::FromLeast => 0.125,
    };
    (share * BAR_STEPS as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::watch::fetch::FetchError;
    use crate::watch::sample::Sample;

    const FIRST: &str = include_str!("../../tests/scrapes/first.txt");
    const SECOND: &str = include_str!("../../tests/scrapes/second.txt");

    fn watched(start: Instant) -> Watched {
        let mut watched = Watched::new("http://127.0.0.1:9184/metrics".to_owned(), Duration::from_secs(1));
        watched.take(Ok(Sample::read(FIRST).unwrap()), start);
        watched.take(Ok(Sample::read(SECOND).unwrap()), start + Duration::from_secs(1));
        watched
    }

    fn screen(watched: &Watched, now: Instant, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, watched, now)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
    }

    /// The line that holds `name`, its blanks made one.
    fn line(screen: &str, name: &str) -> String {
        let line = screen.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("no {name} in\n{screen}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_common_terminal_shows_every_panel() {
        let start = Instant::now();
        let shown = screen(&watched(start), start + Duration::from_secs(1), 80, 24);
        for part in ["live", "demo 1.2.0", "times", "memory", "VRAM", "resources", "submissions", "monitors", "q quit"]
        {
            assert!(shown.contains(part), "no {part} in\n{shown}");
        }
        assert!(line(&shown, "frame main").contains("frame main 60.0 16.0 ms 16.2 ms 20.0 ms"), "{shown}");
        assert!(line(&shown, "heap live").contains("heap live 2.00 MiB"), "{shown}");
        assert!(shown.contains("GPU main pass"), "{shown}");
        assert!(line(&shown, "vram").contains("vram FAILING"), "what fails is not cut off:\n{shown}");
        assert!(line(&shown, "reserved").contains("reserved 64.0 MiB"), "{shown}");
        assert!(line(&shown, "pending").contains("pending -"), "absent, not 0:\n{shown}");
        assert!(line(&shown, "frame time").contains("frame time, up to 16.0 ms"), "{shown}");
        assert!(line(&shown, "heap, ").contains("heap, 1.00 MiB to 2.00 MiB"), "{shown}");
    }

    #[test]
    fn a_large_terminal_shows_every_row() {
        let start = Instant::now();
        let shown = screen(&watched(start), start + Duration::from_secs(1), 140, 50);
        assert!(!shown.contains(" of "), "{shown}");
        assert!(line(&shown, "texture").contains("texture 12 48.0 MiB 2.00 1.00"), "{shown}");
        assert!(line(&shown, "vram").contains("vram FAILING"), "{shown}");
        assert!(line(&shown, "used (driver)").contains("used (driver) 80.0 MiB"), "{shown}");
        assert!(line(&shown, "capacity (driver)").contains("capacity (driver) 8.00 GiB"), "{shown}");
        assert!(shown.contains("monitors failing or stale: vram"), "{shown}");
        assert!(line(&shown, "lighting").contains("lighting 60.0 15.0 ms 900 ms"), "{shown}");
        assert!(line(&shown, "pipelines").contains("pipelines 2 2"), "{shown}");
        assert!(line(&shown, "uploads").contains("uploads 3.00 MiB 1.00 MiB 2.00 MiB 2"), "{shown}");
        assert!(line(&shown, "meshes").contains("meshes 8.00 MiB 6.00 MiB 3.8 % 64.0 KiB"), "{shown}");
        assert!(line(&shown, "bloom").contains("bloom - - 60.0 -"), "{shown}");
    }

    #[test]
    fn an_engine_that_has_gone_is_said_to_be_gone() {
        let start = Instant::now();
        let mut watched = watched(start);
        let refused = "nothing listens at http://h:1/metrics\nIs the engine running?";
        watched.take(Err(FetchError::NoAnswer(refused.to_owned())), start + Duration::from_secs(2));
        let shown = screen(&watched, start + Duration::from_secs(13), 80, 24);
        assert!(shown.contains("NO FIGURES"), "{shown}");
        assert!(shown.contains("figures from 12 s ago: nothing listens at http://h:1/metrics"), "{shown}");
        assert!(line(&shown, "heap live").contains("2.00 MiB"), "{shown}");
        assert!(!shown.contains("monitors failing"), "of now nothing is known:\n{shown}");
    }

    #[test]
    fn without_any_figures_there_is_advice() {
        let start = Instant::now();
        let mut watched = Watched::new("u".to_owned(), Duration::from_secs(1));
        assert!(screen(&watched, start, 80, 24).contains("connecting"));
        watched.take(Err(FetchError::NoAnswer("nothing listens\nIs the engine running?".to_owned())), start);
        let shown = screen(&watched, start, 80, 24);
        assert!(shown.contains("never seen: nothing listens") && shown.contains("Is the engine running?"), "{shown}");
    }

    #[test]
    fn pausing_is_shown() {
        let start = Instant::now();
        let mut watched = watched(start);
        watched.toggle_pause();
        let shown = screen(&watched, start, 80, 24);
        assert!(shown.contains("PAUSED") && shown.contains("p continue"), "{shown}");
    }

    #[test]
    fn a_cell_that_is_too_wide_keeps_its_beginning() {
        let cells = vec!["a long name".to_owned(), "1234567".to_owned(), "123456".to_owned()];
        let shown: Vec<_> = right_but_first(cells, &[6, 6]).map(|line| line.to_string()).collect();
        assert_eq!(shown, ["a long name", "12345…", "123456"]);
    }

    #[test]
    fn any_size_will_do() {
        let start = Instant::now();
        let mut watched = watched(start);
        for failing in [false, true] {
            for (width, height) in (0..30).flat_map(|height| [0, 1, 2, 9, 40, 69, 70, 300].map(|width| (width, height)))
            {
                let shown = screen(&watched, start, width.max(1), height.max(1));
                assert_eq!(shown.lines().count(), usize::from(height.max(1)));
            }
            assert!(failing || watched.error().is_none());
            watched.take(Err(FetchError::NoAnswer("gone".to_owned())), start);
        }
    }

    #[test]
    fn room_goes_to_the_first_panels_first() {
        assert_eq!(heights(20, &[(4, 6), (4, 9), (4, 4)]), [6, 9, 4]);
        assert_eq!(heights(13, &[(4, 6), (4, 9), (4, 4)]), [5, 4, 4]);
        assert_eq!(heights(10, &[(4, 6), (4, 9), (4, 4)]), [6, 4, 0]);
        assert_eq!(heights(0, &[(4, 6)]), [0]);
    }

    #[test]
    fn bars_stand_on_their_scale() {
        assert_eq!(bar(5.0, 1.0, 10.0, Scale::FromZero), 500);
        assert_eq!(bar(0.0, 0.0, 0.0, Scale::FromZero), 0);
        assert_eq!([1.0, 9.0].map(|value| bar(value, 1.0, 9.0, Scale::FromLeast)), [125, 1000]);
        assert_eq!(bar(7.0, 7.0, 7.0, Scale::FromLeast), 125);
        assert_eq!(bar(1e6 + 1.0, 1e6, 1e6 + 1.0, Scale::FromLeast), 125, "one byte in a million");
        assert_eq!(bar(0.0, 0.0, 0.0, Scale::FromLeast), 125);
    }
}

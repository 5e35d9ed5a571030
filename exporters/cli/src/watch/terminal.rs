//! The live view on a real terminal: keys, the clock, and a thread that scrapes, so that a slow engine never makes keys slow.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::fetch::{FetchError, Fetcher};
use super::sample::Sample;
use super::state::Watched;
use super::view;
use crate::failure::Failure;

/// Keys, ended scrapes and signals are looked for this often.
const TICK: Duration = Duration::from_millis(50);
/// How long a signal leaves for an orderly end.
const GRACE: Duration = Duration::from_secs(1);

/// Draws until the user leaves.
///
/// # Errors
/// When the terminal cannot be used. It is as it was before then, as after a panic or a signal.
pub(crate) fn run(fetcher: Fetcher, watched: Watched) -> Result<(), Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let on_signal = Arc::clone(&stop);
    let handler = move || {
        on_signal.store(true, Ordering::Relaxed);
        thread::sleep(GRACE);
        // The terminal is gone, and reading its end has no end in crossterm.
        std::process::exit(1);
    };
    ctrlc::set_handler(handler).map_err(|error| Failure::Running(format!("cannot listen for signals: {error}")))?;
    let scraper = Scraper::start(fetcher)?;
    // Made first, so that a terminal that is half set up is put back too.
    let restore = Restore;
    let mut terminal = ratatui::try_init().map_err(Failure::Terminal)?;
    let left = watch(&mut terminal, &scraper, watched, &stop);
    drop(restore);
    left
}

/// Puts the terminal back when dropped. Panics are seen to by ratatui, before their message is printed; once more would put the cursor
/// back above it.
struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        if !thread::panicking() {
            ratatui::restore();
        }
    }
}

fn watch(
    terminal: &mut DefaultTerminal,
    scraper: &Scraper,
    mut watched: Watched,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut due = Instant::now();
    let mut under_way = false;
    let mut drawn = None;
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if !under_way && !watched.is_paused() && now >= due {
            due = now + watched.interval();
            under_way = scraper.ask();
        }
        let mut changed = false;
        if let Some((outcome, at)) = scraper.answer()? {
            watched.take(outcome, at);
            under_way = false;
            changed = true;
        }
        // Ages on the screen grow while nothing else changes.
        if changed || drawn.is_none_or(|drawn| now.duration_since(drawn) >= Duration::from_secs(1)) {
            terminal.draw(|frame| view::draw(frame, &watched, now)).map_err(Failure::Terminal)?;
            drawn = Some(now);
        }
        match next_action().map_err(Failure::Terminal)? {
            Action::None => {}
            Action::Redraw => drawn = None,
            Action::Pause => {
                watched.toggle_pause();
                drawn = None;
            }
            Action::Quit => break,
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    None,
    Redraw,
    Pause,
    Quit,
}

/// Waits for a key, no longer than a tick.
fn next_action() -> io::Result<Action> {
    if !event::poll(TICK)? {
        return Ok(Action::None);
    }
    Ok(match event::read()? {
        Event::Key(key) => action_of(key),
        Event::Resize(..) => Action::Redraw,
        Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => Action::None,
    })
}

fn action_of(key: KeyEvent) -> Action {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        _ if key.kind == KeyEventKind::Release => Action::None,
        // In raw mode it is a key like others.
        KeyCode::Char('c') if control => Action::Quit,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Action::Quit,
        KeyCode::Char('p' | 'P') if key.kind == KeyEventKind::Press => Action::Pause,
        _ => Action::None,
    }
}

type Outcome = (Result<Sample, FetchError>, Instant);

/// A thread that scrapes when asked. It ends after the scrape at hand when this is dropped, and is not waited for.
struct Scraper {
    ask: Sender<()>,
    answers: Receiver<Outcome>,
}

impl Scraper {
    fn start(fetcher: Fetcher) -> Result<Self, Failure> {
        let (ask, asked) = channel();
        let (answer, answers) = channel();
        let work = move || {
            while asked.recv().is_ok() {
                let outcome = super::scrape(&fetcher);
                if answer.send((outcome, Instant::now())).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("scraper".to_owned())
            .spawn(work)
            .map_err(|error| Failure::Running(format!("cannot start a thread: {error}")))?;
        Ok(Self { ask, answers })
    }

    /// Whether an answer will come.
    fn ask(&self) -> bool {
        self.ask.send(()).is_ok()
    }

    fn answer(&self) -> Result<Option<Outcome>, Failure> {
        match self.answers.try_recv() {
            Ok(outcome) => Ok(Some(outcome)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Failure::Running("the thread that scrapes has died".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_what_the_screen_says() {
        let press = |code, modifiers| action_of(KeyEvent::new(code, modifiers));
        for (code, action) in [
            (KeyCode::Char('q'), Action::Quit),
            (KeyCode::Esc, Action::Quit),
            (KeyCode::Char('p'), Action::Pause),
            (KeyCode::Char('c'), Action::None),
            (KeyCode::Enter, Action::None),
        ] {
            assert_eq!(press(code, KeyModifiers::NONE), action);
        }
        assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Action::Quit);
        let released = KeyEvent::new_with_kind(KeyCode::Char('q'), KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(action_of(released), Action::None);
    }
}

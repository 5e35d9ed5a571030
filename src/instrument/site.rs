//! The program's own line in a backtrace.

use std::backtrace::Backtrace;

/// Crates whose frames lie between the program and the capture.
const BETWEEN: [&str; 7] = ["std", "core", "alloc", "engine_vitals", "engine_vitals_core", "wgpu", "wgpu_core"];

/// Where the program (or a library that it renders with) called wgpu: `file:line:column`, or the function where the line is not known.
/// Looks the symbols up, which takes milliseconds at first.
pub(super) fn site(backtrace: &Backtrace) -> Option<String> {
    site_in(&backtrace.to_string())
}

/// The same of a backtrace that is written out: `  5: function`, then `             at file:line:column` where that is known.
fn site_in(text: &str) -> Option<String> {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(function) = function(line) else { continue };
        let place = lines.peek().and_then(|next| next.trim_start().strip_prefix("at "));
        let place = place.map(|place| place.strip_prefix("./").unwrap_or(place));
        if !is_between(function, place) {
            return Some(place.unwrap_or(function).to_owned());
        }
    }
    None
}

/// Whether a frame is none of the program's.
fn is_between(function: &str, place: Option<&str>) -> bool {
    if BETWEEN.contains(&krate(function)) {
        return true;
    }
    // What was inlined may have a name without a path: then only the place tells.
    let named = function.starts_with('<') || function.split('<').next().is_some_and(|name| name.contains("::"));
    let own = file!().trim_end_matches("site.rs");
    !named && place.is_none_or(|place| place.contains("rustc") || place.contains("/wgpu") || place.contains(own))
}

/// What follows the number of a frame.
fn function(line: &str) -> Option<&str> {
    let (number, function) = line.trim_start().split_once(": ")?;
    number.parse::<u32>().is_ok().then_some(function)
}

/// The crate of a function: `<wgpu::Device as Trait>::call` is wgpu's.
fn krate(function: &str) -> &str {
    let name = function.trim_start_matches(['<', '&', '*', '(', '[']);
    let name = ["dyn ", "mut ", "const "].iter().fold(name, |name, word| name.strip_prefix(word).unwrap_or(name));
    name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_beyond_the_libraries_counts() {
        let text = "   0: std::backtrace_rs::backtrace::trace\n             at /rustc/1/library/std/src/lib.rs:1:2\n\
                    \x20  1: <engine_vitals::instrument::device::Device as wgpu::dispatch::DeviceInterface>::create_texture\n\
                    \x20            at ./src/instrument/device.rs:3:4\n\
                    \x20  2: <dyn wgpu::dispatch::Device>::x\n\
                    \x20  3: wgpu::api::device::Device::create_texture\n\
                    \x20  4: {closure#0}\n             at ./src/instrument/adapter.rs:40:35\n\
                    \x20  4: do_call<core::ops::F>\n             at /rustc/1/library/std/src/panicking.rs:1:1\n\
                    \x20  4: unknown\n\
                    \x20  4: engine::renderer::Targets::new\n             at ./src/renderer.rs:55:9\n\
                    \x20  5: engine::main\n             at ./src/main.rs:1:1\n";
        assert_eq!(site_in(text).as_deref(), Some("src/renderer.rs:55:9"));
        let without_lines = "   0: core::ops::f\n   1: <&mut vello::Renderer as R>::render\n   2: main\n";
        assert_eq!(site_in(without_lines).as_deref(), Some("<&mut vello::Renderer as R>::render"));
        let inlined = "   0: wgpu::f\n   1: draw<engine::T>\n             at ./src/draw.rs:7:8\n";
        assert_eq!(site_in(inlined).as_deref(), Some("src/draw.rs:7:8"));
        for nothing in
            ["", "disabled backtrace", "   0: std::f\n   1: core::g\n             at x:1:2\n", "at x:1:2\n: \n"]
        {
            assert_eq!(site_in(nothing), None, "{nothing:?}");
        }
    }
}

//! The same bytes every time.

use crate::draws;
use crate::support::skipped_without_adapter;

fn plain() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env())
}

fn check(test: &str, draw: fn(wgpu::Instance) -> Vec<u8>) {
    if pollster::block_on(plain().request_adapter(&wgpu::RequestAdapterOptions::default())).is_err() {
        return skipped_without_adapter(test);
    }
    let bytes = draw(plain());
    assert!(bytes.iter().any(|byte| *byte != bytes[0]), "nothing was drawn");
    assert!(bytes == draw(plain()), "not deterministic");
}

#[test]
fn cubecl() {
    check("cubecl", draws::cubecl::draw);
}

#[test]
fn egui() {
    check("egui", draws::egui::draw);
}

#[test]
fn glyphon() {
    check("glyphon", draws::glyphon::draw);
}

#[test]
fn profiler() {
    check("profiler", draws::profiler::draw);
}

#[test]
fn vello() {
    check("vello", draws::vello::draw);
}

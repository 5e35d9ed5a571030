//! What the live panel shows: figures of the registry and the tracker.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use engine_vitals::{GpuMonitor, Vitals};

use crate::telemetry::{Figures, bytes};

/// Figures are read this often, so that they can be read by people too.
const INTERVAL: Duration = Duration::from_millis(250);
/// Frames in the graph.
const FRAMES: usize = 120;
/// In points, as egui counts.
const WIDTH: f32 = 260.0;
const GRAPH_HEIGHT: f32 = 36.0;
/// Owners that are shown, those of most bytes: the picture has room for no more.
const OWNERS: usize = 4;

/// The panel's state.
#[derive(Debug, Default)]
pub(crate) struct Panel {
    figures: Figures,
    read: Option<Instant>,
    /// Times of the last frames on the GPU.
    frames: VecDeque<Duration>,
}

impl Panel {
    /// Reads the figures when it is time, and the last frame's time always.
    pub(crate) fn read(&mut self, vitals: &Vitals) {
        if let Some(time) = vitals.gpu_monitor().get_gpu_report().and_then(|report| report.frame_total_duration()) {
            if self.frames.len() == FRAMES {
                self.frames.pop_front();
            }
            self.frames.push_back(time);
        }
        if self.read.is_none_or(|read| read.elapsed() >= INTERVAL) {
            self.figures = Figures::read(vitals);
            self.read = Some(Instant::now());
        }
    }

    /// The window with all of it.
    pub(crate) fn show(&self, context: &egui::Context) {
        let window = egui::Window::new("engine-vitals")
            .default_pos([12.0, 12.0])
            .default_width(WIDTH)
            .resizable(false)
            .fade_in(false)
            .frame(egui::Frame::window(&context.global_style()).multiply_with_opacity(0.92));
        window.show(context, |ui| {
            ui.set_width(WIDTH);
            let Figures {
                gpu_frame,
                cpu_preparation,
                cpu_encode,
                cpu_submission,
                cpu_present,
                heap_bytes,
                vram_bytes,
                resources,
                stores,
            } = &self.figures;
            row(ui, "frame on the GPU", duration(*gpu_frame));
            row(ui, "preparation on the CPU", duration(*cpu_preparation));
            row(ui, "encoding, part of it", duration(*cpu_encode));
            row(ui, "submission on the CPU", duration(*cpu_submission));
            row(ui, "presentation on the CPU", duration(*cpu_present));
            self.graph(ui);
            ui.separator();
            row(ui, "heap", known(*heap_bytes));
            row(ui, "VRAM used", known(*vram_bytes));
            row(ui, "live resources", known(resources.as_ref().map(|all| all.live_bytes)));
            row(ui, "pending resources", known(resources.as_ref().map(|all| all.pending_bytes)));
            ui.separator();
            match resources {
                None => drop(ui.label("Nothing is tracked: instrumentation is off.")),
                Some(resources) => owners(ui, &resources.owners),
            }
            if !stores.is_empty() {
                ui.separator();
                stores.iter().for_each(|(name, stands)| row(ui, name, stands.clone()));
            }
        });
    }

    /// The times of the last frames as bars.
    fn graph(&self, ui: &mut egui::Ui) {
        let (area, _) = ui.allocate_exact_size(egui::vec2(WIDTH, GRAPH_HEIGHT), egui::Sense::hover());
        let painter = ui.painter_at(area);
        painter.rect_filled(area, 2.0, egui::Color32::from_black_alpha(90));
        let longest = self.frames.iter().max().map_or(1.0, Duration::as_secs_f32).max(1e-6);
        let width = area.width() / FRAMES as f32;
        for (index, time) in self.frames.iter().rev().enumerate() {
            let right = area.right() - index as f32 * width;
            let top = area.bottom() - area.height() * time.as_secs_f32() / longest;
            let bar = egui::Rect::from_min_max(egui::pos2(right - width, top), egui::pos2(right, area.bottom()));
            painter.rect_filled(bar, 0.0, egui::Color32::from_rgb(96, 190, 180));
        }
    }
}

fn owners(ui: &mut egui::Ui, owners: &[(&str, u64, u64)]) {
    row(ui, "owner", format!("live {:>11}", "bytes"));
    for (owner, live, held) in owners.iter().take(OWNERS) {
        row(ui, owner, format!("{live} {:>11}", bytes(*held)));
    }
}

fn row(ui: &mut egui::Ui, name: &str, value: String) {
    let value = egui::RichText::new(value).monospace().strong();
    egui::Sides::new().show(ui, |ui| ui.label(name), |ui| ui.label(value));
}

/// A figure that is not known is a dash.
fn duration(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".to_owned(), |time| format!("{:.2} ms", time.as_secs_f64() * 1e3))
}

fn known(count: Option<u64>) -> String {
    count.map_or_else(|| "–".to_owned(), bytes)
}

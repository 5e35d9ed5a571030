//! The engine: a device, a renderer, and what `--churn` and `--leak` add to each frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine_vitals::{DeviceWatch, Vitals};

use crate::device::OpenDevice;
use crate::failure::Failure;
use crate::memory::Memory;
use crate::options::Options;
use crate::renderer::Renderer;
use crate::size::Size;
use crate::telemetry;
use crate::transients::Transients;
use crate::ui::Ui;

/// How long to wait for the GPU before it counts as hung.
const GPU_TIMEOUT: Duration = Duration::from_secs(60);
/// Frames that the CPU may be ahead of the GPU.
const FRAMES_AHEAD: u64 = 2;
/// The scene's clock advances by this much a frame, so that frame N looks the same on every machine.
const SECONDS_PER_FRAME: f32 = 1.0 / 60.0;

/// Renders frames, one call each.
pub(crate) struct Engine {
    open: OpenDevice,
    watch: DeviceWatch,
    renderer: Renderer,
    transients: Transients,
    memory: Memory,
    ui: Option<Ui>,
    frames: u64,
    finished: Arc<AtomicU64>,
    // Dropped last, so that the end of each resource is still seen.
    vitals: Vitals,
}

impl Engine {
    pub(crate) fn new(open: OpenDevice, options: &Options, vitals: Vitals) -> Result<Self, Failure> {
        let largest = open.device.limits().max_texture_dimension_2d;
        if options.size.width > largest || options.size.height > largest {
            let Size { width, height } = options.size;
            return Err(Failure::Running(format!("--size {width}x{height}: this adapter's limit is {largest}")));
        }
        let probe = vitals.probe();
        let mut memory = Memory::new(&open, probe);
        let renderer = Renderer::new(&open, probe, &mut memory, options.size, options.samples())?;
        let transients =
            Transients::new(open.device.clone(), probe, renderer.block_sizes(), options.churn, options.leak);
        let ui = (!options.no_ui).then(|| Ui::new(&open.device, probe));
        Ok(Self {
            watch: vitals.watch_device(&open.device, &open.queue),
            vitals,
            open,
            renderer,
            transients,
            memory,
            ui,
            frames: 0,
            finished: Arc::default(),
        })
    }

    /// What is released from here on belongs to the teardown.
    pub(crate) fn begin_shutdown(&self) {
        self.vitals.begin_shutdown();
    }

    /// Frames rendered so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    pub(crate) fn adapter(&self) -> &wgpu::Adapter {
        &self.open.adapter
    }

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.open.device
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
        &self.open.queue
    }

    pub(crate) fn renderer(&self) -> &Renderer {
        &self.renderer
    }

    /// The live panel's context, unless there is no panel.
    pub(crate) fn ui(&self) -> Option<&egui::Context> {
        self.ui.as_ref().map(Ui::context)
    }

    /// What is measured, in a few words, for a line on a terminal.
    pub(crate) fn status(&self) -> String {
        telemetry::status(&self.vitals)
    }

    /// Changes the picture's size; its targets are rebuilt.
    ///
    /// # Errors
    /// When there is no memory for one.
    pub(crate) fn resize(&mut self, size: Size) -> Result<(), Failure> {
        self.renderer.resize(&self.memory, size)
    }

    /// Renders one frame. `input` is for the live panel; `show` records what brings the picture to a window, `present`
    /// shows it. Returns what the panel asks of the window.
    ///
    /// # Errors
    /// When wgpu reported an error or the GPU hangs.
    pub(crate) fn render(
        &mut self,
        input: egui::RawInput,
        show: impl FnOnce(&mut wgpu::CommandEncoder, &wgpu::TextureView),
        present: Option<impl FnOnce(&wgpu::Queue)>,
    ) -> Result<Option<egui::PlatformOutput>, Failure> {
        self.wait_until_at_most(FRAMES_AHEAD - 1)?;
        let mut frame = self.watch.timer().begin();

        let label = Some("frame");
        let mut encoder = self.open.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
        self.transients.frame(&self.open.queue, &mut self.memory)?;
        self.renderer.prepare(&mut self.memory, self.frames as f32 * SECONDS_PER_FRAME)?;
        frame.start(&mut encoder);
        self.memory.record(&mut encoder);
        self.renderer.record(&mut encoder, frame.main_pass());
        let (picture, size) = (self.renderer.picture_view(), self.renderer.size());
        let asks = self.ui.as_mut().map(|ui| ui.draw(input, &self.vitals, &self.open, &mut encoder, picture, size));
        show(&mut encoder, picture);
        frame.end(&mut encoder);
        let submission = frame.submit(|| self.open.queue.submit([encoder.finish()]));
        self.memory.submitted(submission);
        if let Some(present) = present {
            frame.present(|| present(&self.open.queue));
        }
        drop(frame);

        self.frames += 1;
        let finished = Arc::clone(&self.finished);
        self.open.queue.on_submitted_work_done(move || {
            finished.fetch_add(1, Ordering::Relaxed);
        });
        self.vitals.frame();
        self.healthy().map(|()| asks)
    }

    /// What the last frames took, a line for each part.
    pub(crate) fn times(&self) -> String {
        self.vitals.gpu_monitor().window().to_string()
    }

    /// What became of the scene's memory.
    pub(crate) fn memory(&self) -> String {
        self.memory.summary(self.renderer.moves())
    }

    /// Waits until the GPU has rendered all frames.
    ///
    /// # Errors
    /// When the GPU hangs or the device is lost.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        self.wait_until_at_most(0)
    }

    /// Waits until no more than `frames` are in flight. In short sleeps: a software GPU needs this core too, and some
    /// drivers spin in a wait with a timeout.
    fn wait_until_at_most(&self, frames: u64) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            self.healthy()?;
            self.open
                .device
                .poll(wgpu::PollType::Poll)
                .map_err(|error| Failure::Running(format!("polling the device: {error}")))?;
            if self.frames - self.finished.load(Ordering::Relaxed) <= frames {
                return Ok(());
            }
            if start.elapsed() > GPU_TIMEOUT {
                let seconds = GPU_TIMEOUT.as_secs();
                return Err(Failure::Running(format!("the GPU did not finish a frame within {seconds} s")));
            }
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    fn healthy(&self) -> Result<(), Failure> {
        if self.open.failed.load(Ordering::Relaxed) {
            return Err(Failure::Running("the GPU reported an error; see above".to_owned()));
        }
        Ok(())
    }
}

//! The engine: a device, a renderer, and what `--churn` and `--leak` add to each frame.

use std::time::Duration;

use crate::device::OpenDevice;
use crate::failure::Failure;
use crate::options::{Options, Size};
use crate::renderer::Renderer;
use crate::tracked::Maker;
use crate::transients::Transients;

/// How long to wait for the GPU before it counts as hung.
const GPU_TIMEOUT: Duration = Duration::from_secs(20);
/// Frames that the CPU may be ahead of the GPU.
const FRAMES_AHEAD: usize = 2;
/// The scene's clock advances by this much a frame, so that frame N looks the same on every machine.
const SECONDS_PER_FRAME: f32 = 1.0 / 60.0;

/// Renders frames, one call each.
#[derive(Debug)]
pub(crate) struct Engine {
    open: OpenDevice,
    renderer: Renderer,
    transients: Transients,
    pending: std::collections::VecDeque<wgpu::SubmissionIndex>,
    frames: u64,
}

impl Engine {
    pub(crate) fn new(open: OpenDevice, options: &Options) -> Result<Self, Failure> {
        let largest = open.device.limits().max_texture_dimension_2d;
        if options.size.width > largest || options.size.height > largest {
            let Size { width, height } = options.size;
            return Err(Failure::Running(format!("--size {width}x{height}: this adapter's limit is {largest}")));
        }
        let maker = Maker::new(open.device.clone());
        let renderer = Renderer::new(maker.clone(), &open.adapter, &open.queue, options.size);
        let transients = Transients::new(maker, options.churn, options.leak);
        Ok(Self { open, renderer, transients, pending: std::collections::VecDeque::new(), frames: 0 })
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

    /// Changes the picture's size; its targets are rebuilt.
    pub(crate) fn resize(&mut self, size: Size) {
        self.renderer.resize(size);
    }

    /// Renders one frame; `present` records what brings the picture to a window.
    ///
    /// # Errors
    /// When wgpu reported an error or the GPU hangs.
    pub(crate) fn render(
        &mut self,
        present: impl FnOnce(&mut wgpu::CommandEncoder, &wgpu::TextureView),
    ) -> Result<(), Failure> {
        self.wait_for_frames_ahead()?;
        let seconds = self.frames as f32 * SECONDS_PER_FRAME;
        let label = Some("frame");
        let mut encoder = self.open.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
        self.transients.frame(&self.open.queue);
        self.renderer.prepare(&self.open.queue, seconds);
        self.renderer.record(&mut encoder, None);
        present(&mut encoder, self.renderer.picture_view());
        self.pending.push_back(self.open.queue.submit([encoder.finish()]));
        self.frames += 1;
        self.healthy()
    }

    /// Waits until the GPU has nothing left to do.
    ///
    /// # Errors
    /// When the GPU hangs or the device is lost.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(GPU_TIMEOUT) };
        self.open.device.poll(wait).map_err(|error| Failure::Running(format!("waiting for the GPU: {error}")))?;
        self.healthy()
    }

    fn wait_for_frames_ahead(&mut self) -> Result<(), Failure> {
        while self.pending.len() >= FRAMES_AHEAD {
            let wait = wgpu::PollType::Wait { submission_index: self.pending.pop_front(), timeout: Some(GPU_TIMEOUT) };
            self.open.device.poll(wait).map_err(|error| Failure::Running(format!("waiting for a frame: {error}")))?;
        }
        Ok(())
    }

    fn healthy(&self) -> Result<(), Failure> {
        if self.open.failed.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Failure::Running("the GPU reported an error; see above".to_owned()));
        }
        Ok(())
    }
}

//! The picture, read back and written as a PNG file.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use super::failure::Failure;

/// Writes `picture`, a texture of RGBA8 in sRGB, to `path`.
///
/// # Errors
/// When the picture cannot be read back or the file cannot be written.
pub(crate) fn write(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    picture: &wgpu::Texture,
    path: &Path,
) -> Result<(), Failure> {
    let pixels = read_back(device, queue, picture)?;
    let size = picture.size();
    let failed = |what: &dyn std::fmt::Display| Failure::Running(format!("--screenshot {}: {what}", path.display()));
    let file = File::create(path).map_err(|error| failed(&error))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), size.width, size.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().map_err(|error| failed(&error))?;
    writer.write_image_data(&pixels).map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))
}

/// The picture's texels, tightly packed.
fn read_back(device: &wgpu::Device, queue: &wgpu::Queue, picture: &wgpu::Texture) -> Result<Vec<u8>, Failure> {
    let size = picture.size();
    let row = size.width * 4;
    let padded = row.next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("screenshot"),
        size: u64::from(padded) * u64::from(size.height),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("screenshot") });
    encoder.copy_texture_to_buffer(
        picture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &buffer,
            layout: wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(padded), rows_per_image: None },
        },
        size,
    );
    queue.submit([encoder.finish()]);
    let (sender, receiver) = mpsc::channel();
    buffer.slice(..).map_async(wgpu::MapMode::Read, move |result| {
        // The receiver is gone only when the wait below has failed.
        let _ = sender.send(result);
    });
    let failed = |what: &dyn std::fmt::Display| Failure::Running(format!("reading the picture back: {what}"));
    let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(60)) };
    device.poll(wait).map_err(|error| failed(&error))?;
    receiver.try_recv().map_err(|_| failed(&"no answer from the GPU"))?.map_err(|error| failed(&error))?;
    let mapped = buffer.slice(..).get_mapped_range().map_err(|error| failed(&error))?;
    Ok(mapped.chunks_exact(padded as usize).flat_map(|line| &line[..row as usize]).copied().collect())
}

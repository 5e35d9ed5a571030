//! Writes that begin and end anywhere, also where a destination ends within a word.

use engine_vitals::resources::staging::{StagingError, StagingRing};

use crate::kit;

#[test]
fn each_byte_can_be_written_alone() {
    let Some(gpu) = kit::gpu("each_byte_can_be_written_alone", wgpu::Features::empty()) else { return };
    let mut ring = StagingRing::new(&gpu.device, 2, 1 << 10);
    let buffer = gpu.buffer(64);
    let mut expected = vec![0; 64];
    for offset in 0..16 {
        for bytes in 0..16 {
            let value = (offset * 16 + bytes) as u8;
            let data = vec![value; bytes];
            ring.write_buffer(&buffer, offset as u64, &data).unwrap();
            expected[offset..offset + bytes].copy_from_slice(&data);
        }
        let mut encoder = gpu.encoder();
        ring.flush(&mut encoder);
        ring.advance_ring(gpu.run(encoder));
        assert_eq!(gpu.read(&buffer), expected, "after offset {offset}");
    }
}

#[test]
fn single_bytes_in_a_row_are_one_copy() {
    let gpu = kit::noop();
    let mut ring = StagingRing::new(&gpu.device, 1, 1 << 10);
    let buffer = gpu.buffer(256);
    for offset in 3..203 {
        ring.write_buffer(&buffer, offset, &[offset as u8]).unwrap();
    }
    let mut encoder = gpu.encoder();
    assert_eq!(ring.flush(&mut encoder), 1);
    let stats = ring.stats();
    assert_eq!((stats.writes, stats.merged, stats.copies, stats.edges, stats.written_bytes), (200, 199, 1, 2, 200));
}

#[test]
fn a_buffer_may_end_within_a_word() {
    let Some(gpu) = kit::gpu("a_buffer_may_end_within_a_word", wgpu::Features::empty()) else { return };
    let mut ring = StagingRing::new(&gpu.device, 1, 1 << 10);
    for size in 5..13 {
        let buffer = gpu.buffer(size);
        ring.write_buffer(&buffer, 0, &vec![1; size as usize]).unwrap();
        ring.write_buffer(&buffer, size - 1, &[2]).unwrap();
        ring.write_buffer(&buffer, size - 3, &[3]).unwrap();
        assert_eq!(
            ring.write_buffer(&buffer, size - 3, &[4; 4]),
            Err(StagingError::OutOfBounds { offset: size - 3, bytes: 4, size })
        );
        let mut encoder = gpu.encoder();
        ring.flush(&mut encoder);
        // Its last bytes lie in no whole word: they are read through a texture.
        let texture = gpu.texture(wgpu::TextureFormat::R8Uint, [size as u32, 1, 1], 1);
        encoder.copy_buffer_to_texture(
            wgpu::TexelCopyBufferInfo { buffer: &buffer, layout: wgpu::TexelCopyBufferLayout::default() },
            texture.as_image_copy(),
            texture.size(),
        );
        ring.advance_ring(gpu.run(encoder));
        let mut expected = vec![1; size as usize];
        expected[size as usize - 1] = 2;
        expected[size as usize - 3] = 3;
        assert_eq!(gpu.read_texture(&texture, 0), expected);
    }
}

#[test]
fn what_was_never_written_stays_zero_beside_a_byte() {
    let Some(gpu) = kit::gpu("what_was_never_written_stays_zero_beside_a_byte", wgpu::Features::empty()) else {
        return;
    };
    // Many, so that memory that was used before would show.
    let mut ring = StagingRing::new(&gpu.device, 1, 4 << 10);
    for round in 0..20 {
        let buffer = gpu.buffer(4 << 10);
        ring.write_buffer(&buffer, 1001, &[7]).unwrap();
        let mut encoder = gpu.encoder();
        ring.flush(&mut encoder);
        ring.advance_ring(gpu.run(encoder));
        let mut expected = vec![0; 4 << 10];
        expected[1001] = 7;
        assert_eq!(gpu.read(&buffer), expected, "round {round}");
        ring.write_buffer(&buffer, 0, &[0xff; 4 << 10]).unwrap();
        let mut encoder = gpu.encoder();
        ring.flush(&mut encoder);
        ring.advance_ring(gpu.run(encoder));
    }
}

#[test]
fn where_a_word_cannot_be_kept_the_write_is_refused() {
    let gpu = kit::noop();
    let mut ring = StagingRing::new(&gpu.device, 1, 1 << 10);
    let blind = gpu.buffer_for(64, wgpu::BufferUsages::COPY_DST);
    assert_eq!(ring.write_buffer(&blind, 2, &[0; 4]), Err(StagingError::Misaligned { offset: 2, bytes: 4 }));
    assert_eq!(ring.write_buffer(&blind, 4, &[0; 5]), Err(StagingError::Misaligned { offset: 4, bytes: 5 }));
    assert_eq!(ring.write_buffer(&blind, 4, &[0; 8]), Ok(()));
    let slice = ring.reserve(6, 4).unwrap();
    assert_eq!(slice.copy_to_buffer(&gpu.buffer(64), 2), Err(StagingError::Misaligned { offset: 2, bytes: 6 }));
    assert_eq!(ring.stats().failures, 3);
}

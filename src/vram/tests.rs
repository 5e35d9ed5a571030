//! All sources of this machine, on a real device.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine_vitals_core::monitor::VramResourceMonitor;

use super::*;
#[cfg(feature = "vulkan")]
use crate::VramProvider as _;
use crate::gpu::testing;

fn source<'a>(detected: &'a Detected, name: &str) -> &'a VramSource {
    detected.sources().iter().find(|source| source.name == name).unwrap()
}

/// A file open on a device, as the driver amdgpu tells of it, and the card.
fn plant_amdgpu(root: &Path, address: &str) {
    let (links, infos) = (root.join("proc/self/fd"), root.join("proc/self/fdinfo"));
    let card = root.join("sys/class/drm/card0/device");
    for folder in [&links, &infos, &card] {
        fs::create_dir_all(folder).unwrap();
    }
    symlink("/dev/dri/renderD128", links.join("3")).unwrap();
    let info = format!(
        "drm-driver:\tamdgpu\ndrm-client-id:\t1\ndrm-pdev:\t{address}\ndrm-resident-vram:\t300 MiB\ndrm-engine-gfx:\t5 ns\n"
    );
    fs::write(infos.join("3"), info).unwrap();
    fs::write(card.join("uevent"), format!("PCI_SLOT_NAME={address}\n")).unwrap();
    fs::write(card.join("mem_info_vram_total"), "8589934592\n").unwrap();
    fs::write(card.join("mem_info_vram_used"), "1073741824\n").unwrap();
}

#[test]
fn every_source_is_there_or_says_why_not() {
    let Some(gpu) = testing::gpu("every_source_is_there_or_says_why_not") else { return };
    let detected = detect(&gpu.device, &DetectOptions::new());
    let names: Vec<_> = detected.sources().iter().map(|source| source.name).collect();
    for name in ["dxgi", "drm", "nvml", "vulkan", "metal", "wgpu", "wgpu-counters", "amdgpu"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let ranks: Vec<_> = detected.sources().iter().filter_map(|source| source.rank).collect();
    assert_eq!(ranks, (1..=detected.providers().len()).collect::<Vec<_>>());
    for (source, provider) in detected.sources().iter().zip(detected.providers()) {
        assert_eq!((source.name, source.knows), (provider.source(), VramKnowledge::of(&**provider)));
    }
    for source in detected.sources().iter().filter(|source| source.rank.is_none()) {
        assert!(source.note.as_ref().is_some_and(|note| note.len() > 10), "{source}");
    }
    let knowing: Vec<_> = detected.sources().iter().map(|source| source.knows.used).collect();
    assert!(knowing.is_sorted_by_key(|&used| !used), "{detected}");
    assert!(detected.best().is_none_or(|best| best.get_vram_usage_bytes().is_some()));
    assert_eq!(detected.to_string().lines().count(), detected.sources().len());
}

#[test]
fn an_allocation_of_known_size_moves_what_knows_the_usage() {
    let Some(gpu) = testing::gpu("an_allocation_of_known_size_moves_what_knows_the_usage") else { return };
    let detected = detect(&gpu.device, &DetectOptions::new());
    let used = || -> Vec<_> {
        detected.providers().iter().for_each(|provider| provider.refresh());
        detected.providers().iter().map(|provider| provider.get_vram_usage_bytes()).collect()
    };
    let before = used();
    // More than wgpu takes from a driver at once, so that it must take more.
    let size = 320 << 20;
    let descriptor = wgpu::BufferDescriptor {
        label: Some("320 MiB"),
        size: size / 2,
        usage: wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    };
    let buffers = [(); 2].map(|()| gpu.device.create_buffer(&descriptor));
    let with = used();
    drop(buffers);
    gpu.wait();
    let after = used();
    let mut moved = 0;
    for (((provider, before), with), after) in detected.providers().iter().zip(before).zip(with).zip(after) {
        let (Some(before), Some(with), Some(after)) = (before, with, after) else { continue };
        let name = provider.source();
        // What the driver has resident may lag behind; wgpu's own figures do not.
        if name.starts_with("wgpu") {
            assert!(with >= before + size, "{name}: {before}, {with}");
            assert!(after <= with - size, "{name}: {with}, {after}");
            moved += 1;
        }
        assert!(provider.get_vram_peak_bytes() >= Some(with.max(after)), "{name}");
    }
    assert!(moved > 0 || !gpu.has_allocator_report(), "{detected}");
}

#[test]
fn software_and_noop_adapters_have_no_drivers() {
    let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let detected = detect(&device, &DetectOptions::new());
    assert!(detected.providers().is_empty() && detected.best().is_none(), "{detected}");
    assert!(source(&detected, "drm").note.as_ref().unwrap().contains("software"));
    assert!(source(&detected, "wgpu").note.as_ref().unwrap().contains("Noop has no allocator report"));
    assert!(source(&detected, "wgpu-counters").note.as_ref().unwrap().contains("Noop"));
}

#[test]
fn a_tree_from_another_machine_is_replayed() {
    let root = tempfile::tempdir().unwrap();
    plant_amdgpu(root.path(), "0000:03:00.0");
    let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let options = DetectOptions::new().root(root.path()).device("03:00.0".parse().unwrap());
    let detected = detect(&device, &options);
    let found: Vec<_> = detected.providers().iter().map(|provider| provider.source()).collect();
    assert_eq!(found, ["drm", "amdgpu"], "{detected}");
    let drm = source(&detected, "drm").knows;
    assert_eq!((drm.used, drm.budget, drm.heaps, drm.engines), (true, false, 1, 1));
    assert_eq!(drm.to_string(), "used, heaps: 1, engines: 1");
    let amdgpu = source(&detected, "amdgpu").knows;
    assert_eq!((amdgpu.used, amdgpu.device_used, amdgpu.capacity), (false, true, true));
    assert_eq!(detected.best().unwrap().get_vram_usage_bytes(), Some(300 << 20));
    assert_eq!(detected.get("amdgpu").unwrap().get_vram_device_usage_bytes(), Some(1 << 30));

    let elsewhere = options.clone().device("04:00.0".parse().unwrap());
    let detected = detect(&device, &elsewhere);
    assert!(detected.providers().is_empty());
    assert!(source(&detected, "amdgpu").note.as_ref().unwrap().contains("none of 1 cards"), "{detected}");
    assert!(source(&detected, "drm").note.as_ref().unwrap().contains("0000:04:00.0"), "{detected}");

    fs::remove_dir_all(root.path().join("proc")).unwrap();
    fs::remove_dir_all(root.path().join("sys")).unwrap();
    let detected = detect(&device, &options);
    assert!(source(&detected, "drm").note.as_ref().unwrap().contains("there is no"), "{detected}");
    assert!(source(&detected, "amdgpu").note.as_ref().unwrap().contains("no card"), "{detected}");
}

#[test]
fn a_monitor_of_a_provider_that_was_dropped_is_silent() {
    let root = tempfile::tempdir().unwrap();
    plant_amdgpu(root.path(), "0000:03:00.0");
    let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let detected = detect(&device, &DetectOptions::new().root(root.path()).device("03:00.0".parse().unwrap()));
    let registry = crate::Registry::new();
    for provider in detected.providers() {
        let id = format!("vram-{}", provider.source());
        registry.register(Arc::new(VramResourceMonitor::new(Arc::downgrade(provider), id))).unwrap();
    }
    let drm = [("source", "drm")];
    let figures: [(&str, &[(&str, &str)]); 4] = [
        ("vitals_vram_used_bytes", &drm),
        ("vitals_vram_heap_used_bytes", &[("source", "drm"), ("heap", "vram")]),
        ("vitals_gpu_engine_busy_seconds_total", &[("source", "drm"), ("engine", "gfx")]),
        ("vitals_vram_device_used_bytes", &[("source", "amdgpu")]),
    ];
    let present = || {
        registry.update();
        let table = registry.snapshot();
        figures.map(|(name, labels)| table.value(name, labels).is_some())
    };
    let until = |wanted: bool| {
        let began = std::time::Instant::now();
        while present() != [wanted; 4] {
            assert!(began.elapsed() < Duration::from_secs(60), "{wanted}: {:?}", present());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until(true);
    drop(detected);
    until(false);
}

#[cfg(feature = "vulkan")]
#[test]
fn vulkan_knows_its_capacities_and_says_why_not_its_budget() {
    let Some(gpu) = testing::gpu("vulkan_knows_its_capacities_and_says_why_not_its_budget") else { return };
    let Some(provider) = VulkanBudgetProvider::new(&gpu.device) else {
        assert_ne!(gpu.adapter.get_info().backend, wgpu::Backend::Vulkan);
        return;
    };
    assert_eq!(provider.get_vram_capacity_bytes(), None, "nothing was read yet");
    provider.refresh();
    assert!(provider.get_vram_capacity_bytes().is_some_and(|bytes| bytes > 64 << 20));
    let known = provider.query().no_budget().is_none();
    assert_eq!((provider.get_vram_usage_bytes().is_some(), provider.get_vram_budget_bytes().is_some()), (known, known));
    for heap in provider.get_vram_heaps() {
        assert!(heap.capacity_bytes.is_some() && heap.used_bytes.is_some() == known, "{heap:?}");
        assert!(heap.budget_bytes <= heap.capacity_bytes);
    }
    let detected = detect(&gpu.device, &DetectOptions::new());
    let vulkan = source(&detected, "vulkan");
    assert_eq!(vulkan.note.is_none(), known, "{vulkan}");
    if !known {
        assert!(vulkan.to_string().contains("does not support VK_EXT_memory_budget"), "{vulkan}");
        testing::skipped("the budgets of Vulkan", "the driver does not support VK_EXT_memory_budget");
    }

    let tracker = crate::Tracker::new();
    let instrumentation = crate::instrument::Instrumentation::new(tracker.probe());
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adopted = instrumentation.adopt(instance, gpu.adapter.clone(), gpu.device.clone(), gpu.queue);
    let of_instrumented = VulkanBudgetProvider::new(&adopted.device).unwrap();
    of_instrumented.refresh();
    assert_eq!(of_instrumented.get_vram_capacity_bytes(), provider.get_vram_capacity_bytes());
}

#[cfg(feature = "vulkan")]
#[test]
fn a_device_of_another_backend_has_no_vulkan_budget() {
    let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    assert!(VulkanBudgetProvider::new(&device).is_none());
}

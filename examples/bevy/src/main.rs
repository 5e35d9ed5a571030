//! A lit scene in Bevy, drawn without a window twice: by Bevy as it is, and with every wgpu object of Bevy's tracked.
//!
//! Writes `plain.png` and `tracked.png` into the folder given, lists what Bevy holds by owner, and fails unless the pictures are
//! the same to the byte, everything has an owner, and nothing is left when the app is dropped.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use bevy::camera::RenderTarget;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::prelude::*;
use bevy::render::RenderPlugin;
use bevy::render::gpu_readback::{Readback, ReadbackComplete};
use bevy::render::render_resource::{TextureFormat, TextureUsages};
use bevy::render::renderer::{RenderAdapter, RenderInstance, RenderQueue, initialize_renderer};
use bevy::render::settings::{RenderCreation, RenderResources, WgpuSettings};
use bevy::window::ExitCondition;
use engine_vitals::tracker::ResourceRecord;
use engine_vitals::{OwnerKind, Vitals};

/// Shaded, the scene has some hundreds of colours; without light, three.
const COLOURS: usize = 64;
/// Pixels; a row's bytes are a multiple of 256, so that rows read back have no padding.
const SIZE: UVec2 = UVec2::new(320, 240);

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: engine-vitals-in-bevy FOLDER")?);
    std::fs::create_dir_all(&folder)?;

    let plain = picture(&mut app(RenderCreation::default()))?;
    write(&folder.join("plain.png"), &plain)?;

    let vitals = vitals();
    let mut app = app(tracked(&vitals)?);
    let tracked = picture(&mut app)?;
    write(&folder.join("tracked.png"), &tracked)?;
    if tracked != plain {
        return Err("the pictures differ: see plain.png and tracked.png".into());
    }
    println!("the pictures are the same: {} bytes", plain.len());

    let unowned = list(&vitals);
    drop(app);
    let left = vitals.tracker().totals().device();
    println!("after the app: {} of {} objects are left", left.live() + left.pending(), left.created);
    if unowned > 0 {
        return Err(format!("{unowned} objects have no owner").into());
    }
    if left.live() + left.pending() > 0 {
        list(&vitals);
        return Err("the app is gone, and objects of it are not".into());
    }
    Ok(())
}

/// Measures without a server. What has no label or another one is Bevy's; the image that the scene is drawn to is the game's.
fn vitals() -> Vitals {
    Vitals::builder()
        .without_server()
        .instrument(|instrument, probe| {
            let bevy = probe.owner_named(OwnerKind::EFFECT_PIPELINE, 1, "bevy");
            let game = probe.owner_named(OwnerKind::ROOT_VISUAL, 1, "game");
            instrument.owner_of_label("", bevy).owner_of_label("game", game)
        })
        .start()
}

/// Bevy's own choice of adapter, features and limits, with all four objects tracked from here on.
fn tracked(vitals: &Vitals) -> Result<RenderCreation, Box<dyn Error>> {
    let settings = WgpuSettings::default();
    let backends = settings.backends.ok_or("WGPU_BACKEND names no backend")?;
    let RenderResources(device, queue, info, adapter, instance) =
        bevy::tasks::block_on(initialize_renderer(backends, None, &settings));
    println!("drawn by {} ({})", info.name, info.backend);
    let made =
        vitals.adopt(instance.into_inner(), adapter.into_inner(), device.wgpu_device().clone(), queue.into_inner());
    Ok(RenderCreation::manual(
        made.device.into(),
        RenderQueue::new(made.queue),
        info,
        RenderAdapter::new(made.adapter),
        RenderInstance::new(made.instance),
    ))
}

/// Bevy without a window.
fn app(render_creation: RenderCreation) -> App {
    let render = RenderPlugin { render_creation, synchronous_pipeline_compilation: true, ..default() };
    let window = WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() };
    let mut app = App::new();
    app.add_plugins(DefaultPlugins.set(render).set(window));
    app.init_resource::<Picture>().add_systems(Startup, scene);
    app.finish();
    app.cleanup();
    app
}

/// The pixels that were read back last, and how often in a row they were these.
#[derive(Resource, Default)]
struct Picture {
    pixels: Vec<u8>,
    same: u32,
}

fn scene(
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
    mut images: ResMut<Assets<Image>>,
) {
    let mut target = Image::new_target_texture(SIZE.x, SIZE.y, TextureFormat::Rgba8UnormSrgb, None);
    target.texture_descriptor.label = Some("game picture");
    target.texture_descriptor.usage |= TextureUsages::COPY_SRC;
    let target = images.add(target);

    commands.spawn((
        Mesh3d(meshes.add(Circle::new(4.0))),
        MeshMaterial3d(materials.add(Color::WHITE)),
        Transform::from_rotation(Quat::from_rotation_x(-std::f32::consts::FRAC_PI_2)),
    ));
    commands.spawn((
        Mesh3d(meshes.add(Cuboid::from_length(2.0))),
        MeshMaterial3d(materials.add(Color::srgb_u8(124, 144, 255))),
        Transform::from_xyz(0.0, 1.0, 0.0),
    ));
    commands.spawn((PointLight { shadow_maps_enabled: true, ..default() }, Transform::from_xyz(4.0, 8.0, 4.0)));
    commands.spawn((
        Camera3d::default(),
        // The default one needs tables that come with another of Bevy's features.
        Tonemapping::Reinhard,
        RenderTarget::from(target.clone()),
        Transform::from_xyz(-2.5, 4.5, 9.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    commands.spawn(Readback::texture(target)).observe(|read: On<ReadbackComplete>, mut picture: ResMut<Picture>| {
        picture.same = if picture.pixels == read.data { picture.same + 1 } else { 0 };
        picture.pixels.clone_from(&read.data);
    });
}

/// Runs the app until its picture stands still and light falls on it. Assets and shaders come in over several frames.
fn picture(app: &mut App) -> Result<Vec<u8>, Box<dyn Error>> {
    for _ in 0..1000 {
        app.update();
        let picture = app.world().resource::<Picture>();
        if picture.same >= 30 && picture.pixels.chunks_exact(4).collect::<HashSet<_>>().len() >= COLOURS {
            return Ok(picture.pixels.clone());
        }
    }
    Err("no lit scene stands still after 1000 frames".into())
}

fn write(path: &Path, pixels: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut encoder = png::Encoder::new(File::create(path)?, SIZE.x, SIZE.y);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(())
}

/// Prints what lives, by owner and kind. Returns how many objects have no owner.
fn list(vitals: &Vitals) -> usize {
    let snapshot = vitals.tracker().snapshot();
    let name = |resource: &ResourceRecord| {
        let owner = resource.owner.and_then(|owner| vitals.tracker().owner(owner));
        owner.and_then(|owner| owner.name).unwrap_or("unowned")
    };
    let mut rows = BTreeMap::<_, (u64, u64)>::new();
    for resource in &snapshot.resources {
        let row = rows.entry((name(resource), resource.kind.name())).or_default();
        row.0 += 1;
        row.1 += resource.bytes;
    }
    println!("{:<9} {:<20} {:>7} {:>12}", "owner", "kind", "objects", "bytes");
    for ((owner, kind), (objects, bytes)) in rows {
        println!("{owner:<9} {kind:<20} {objects:>7} {bytes:>12}");
    }
    snapshot.resources.iter().filter(|resource| resource.owner.is_none()).count()
}

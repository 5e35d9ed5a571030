//! Acceleration structures.

use engine_vitals_core::probe::{New, ResourceKind};
use wgpu::custom::{BlasCompactCallback, BlasInterface};

use super::device::Device;
use super::handles::{Handle, Tracked};
use super::record::{Holds, Touched};
use super::state::DeviceState;

impl Device {
    pub(super) fn blas(
        &self,
        descriptor: &wgpu::CreateBlasDescriptor<'_>,
        sizes: wgpu::BlasGeometrySizeDescriptors,
    ) -> Tracked<wgpu::Blas> {
        let begun = self.begun();
        let real = self.real.create_blas(descriptor, sizes);
        let new = New::of(ResourceKind::BLAS, 0).label_opt(descriptor.label).begun(begun);
        self.state.tracked(real, new, Holds::default())
    }

    /// Its real one has no instances: they are in the public one, until it is built.
    pub(super) fn tlas(&self, descriptor: &wgpu::CreateTlasDescriptor<'_>) -> Tracked<wgpu::Tlas> {
        let begun = self.begun();
        let real = self.real.create_tlas(descriptor);
        let new = New::of(ResourceKind::TLAS, 0).label_opt(descriptor.label).begun(begun);
        self.state.tracked(real, new, Holds::default())
    }
}

impl BlasInterface for Tracked<wgpu::Blas> {
    fn prepare_compact_async(&self, callback: BlasCompactCallback) {
        // wgpu keeps the structure until its size is known.
        let held = self.record.record().cloned();
        self.real.prepare_compaction_async(move |result| {
            drop(held);
            callback(result);
        });
    }

    fn ready_for_compaction(&self) -> bool {
        self.real.ready_for_compaction()
    }
}

/// Marks structures as built that were built by other means.
pub(super) fn mark_built<'a>(
    device: &DeviceState,
    touched: &mut Touched,
    real: &wgpu::CommandEncoder,
    blas: &mut dyn Iterator<Item = &'a wgpu::Blas>,
    tlas: &mut dyn Iterator<Item = &'a wgpu::Tlas>,
) {
    const CALL: &str = "CommandEncoder::mark_acceleration_structures_built";
    let mut parts = Parts { device, touched, call: CALL };
    let Some(blas) = blas.map(|blas| parts.own(blas)).collect::<Option<Vec<_>>>() else { return };
    let Some(tlas) = tlas.map(|tlas| parts.own(tlas)).collect::<Option<Vec<_>>>() else { return };
    // SAFETY: the caller of the public method, which is unsafe too, vouches that they are built.
    unsafe { real.mark_acceleration_structures_built(blas, tlas) };
}

/// Builds structures.
pub(super) fn build<'a>(
    device: &DeviceState,
    touched: &mut Touched,
    real: &mut wgpu::CommandEncoder,
    blas: &mut dyn Iterator<Item = &'a wgpu::BlasBuildEntry<'a>>,
    tlas: &mut dyn Iterator<Item = &'a wgpu::Tlas>,
) {
    const CALL: &str = "CommandEncoder::build_acceleration_structures";
    let mut parts = Parts { device, touched, call: CALL };
    let Some(blas) = blas.map(|entry| parts.entry(entry)).collect::<Option<Vec<_>>>() else { return };
    let Some(tlas) = tlas.map(|tlas| parts.tlas(tlas)).collect::<Option<Vec<_>>>() else { return };
    real.build_acceleration_structures(&blas, &tlas);
}

/// Finds the real objects of a build, which are touched; `None` if one is not this instance's.
struct Parts<'d> {
    device: &'d DeviceState,
    touched: &'d mut Touched,
    call: &'static str,
}

impl Parts<'_> {
    fn own<'a, H: Handle<Real = H>>(&mut self, handle: &'a H) -> Option<&'a H> {
        let own = self.device.own(handle, self.call)?;
        self.touched.add(&own.record);
        Some(&own.real)
    }

    fn own_opt<'a>(&mut self, handle: Option<&'a wgpu::Buffer>) -> Option<Option<&'a wgpu::Buffer>> {
        match handle {
            Some(handle) => self.own(handle).map(Some),
            None => Some(None),
        }
    }

    /// A real structure with the instances that the public one has now.
    fn tlas(&mut self, tlas: &wgpu::Tlas) -> Option<wgpu::Tlas> {
        let own = self.device.own(tlas, self.call)?;
        self.touched.add(&own.record);
        let mut real = own.real.clone();
        let mut parts = Holds::default();
        // Those beyond have never been set.
        let modified = usize::try_from(tlas.lowest_unmodified()).unwrap_or(usize::MAX).min(tlas.get().len());
        for (slot, instance) in real.get_mut_slice(0..modified)?.iter_mut().zip(tlas.get()) {
            if let Some(instance) = instance {
                *slot = Some(self.instance(instance, &mut parts)?);
            }
        }
        self.touched.builds(&own.record, parts);
        Some(real)
    }

    fn instance(&mut self, instance: &wgpu::TlasInstance, parts: &mut Holds) -> Option<wgpu::TlasInstance> {
        match instance.blas_as_custom::<Tracked<wgpu::Blas>>() {
            Some(blas) if std::sync::Arc::ptr_eq(&blas.device.world, &self.device.world) => {
                self.touched.add(&blas.record);
                parts.add(&blas.record);
                let wgpu::TlasInstance { transform, custom_data, mask, .. } = *instance;
                Some(wgpu::TlasInstance::new(&blas.real, transform, custom_data, mask))
            }
            _ => {
                self.device.errors.foreign(wgpu::Blas::WHAT, self.call);
                None
            }
        }
    }

    fn entry<'a>(&mut self, entry: &wgpu::BlasBuildEntry<'a>) -> Option<wgpu::BlasBuildEntry<'a>> {
        let geometry = match &entry.geometry {
            wgpu::BlasGeometries::TriangleGeometries(triangles) => {
                let real = triangles.iter().map(|one| self.triangles(one)).collect::<Option<Vec<_>>>()?;
                wgpu::BlasGeometries::TriangleGeometries(real)
            }
            wgpu::BlasGeometries::AabbGeometries(boxes) => {
                let real = boxes.iter().map(|one| {
                    Some(wgpu::BlasAabbGeometry {
                        size: one.size,
                        stride: one.stride,
                        aabb_buffer: self.own(one.aabb_buffer)?,
                        primitive_offset: one.primitive_offset,
                    })
                });
                wgpu::BlasGeometries::AabbGeometries(real.collect::<Option<Vec<_>>>()?)
            }
        };
        Some(wgpu::BlasBuildEntry { blas: self.own(entry.blas)?, geometry })
    }

    fn triangles<'a>(&mut self, one: &wgpu::BlasTriangleGeometry<'a>) -> Option<wgpu::BlasTriangleGeometry<'a>> {
        Some(wgpu::BlasTriangleGeometry {
            size: one.size,
            vertex_buffer: self.own(one.vertex_buffer)?,
            first_vertex: one.first_vertex,
            vertex_stride: one.vertex_stride,
            index_buffer: self.own_opt(one.index_buffer)?,
            first_index: one.first_index,
            transform_buffer: self.own_opt(one.transform_buffer)?,
            transform_buffer_offset: one.transform_buffer_offset,
        })
    }
}

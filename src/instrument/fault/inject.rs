//! Where the plan meets the calls. Each hook is one statement at its call.

use std::fmt;
use std::sync::{Arc, Weak};

use engine_vitals_core::probe::New;
use parking_lot::Mutex;
use wgpu::custom::{BoxDeviceLostCallback, BoxSubmittedWorkDoneCallback, BufferMapCallback};

use super::gate::{BufferId, Ended, Gate};
use super::plan::FaultPlan;
use super::schedule::{Call, Fault};
use crate::instrument::errors::Added;
use crate::instrument::handles::Tracked;
use crate::instrument::invalid;
use crate::instrument::record::Holds;
use crate::instrument::state::{DeviceState, World};
use crate::instrument::surface::Acquired;

/// What a device with a plan has of it.
pub(in crate::instrument) struct DeviceFaults {
    plan: FaultPlan,
    gate: Arc<Gate>,
    /// Until the queue's handle is gone, so that no resource keeps it for longer.
    real: Mutex<Option<wgpu::Device>>,
    lost: Mutex<Weak<LostCallback>>,
    /// Textures of surfaces that may be neither presented nor dropped.
    acquired: Mutex<Vec<Weak<Acquired>>>,
}

/// The program's device-lost callback, until it is called.
type LostCallback = Mutex<Option<BoxDeviceLostCallback>>;

/// What becomes of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::instrument) enum Submitting {
    /// It runs and completes.
    Runs,
    /// It is an empty one: its commands were dropped.
    Refused,
    /// It runs and is not told to complete.
    Stalls,
    /// Its device was lost just before.
    Lost,
}

impl DeviceFaults {
    pub(in crate::instrument) fn new(plan: &FaultPlan, real: &wgpu::Device) -> Self {
        Self {
            plan: plan.clone(),
            gate: plan.new_gate(),
            real: Mutex::new(Some(real.clone())),
            lost: Mutex::default(),
            acquired: Mutex::default(),
        }
    }

    fn lose(&self, text: String) {
        // wgpu neither presents nor discards a texture of a device that is lost, and panics when its surface is dropped or
        // configured.
        let acquired = std::mem::take(&mut *self.acquired.lock());
        for acquired in acquired {
            let texture = acquired.upgrade().and_then(|acquired| acquired.lock().take());
            drop(texture);
        }
        if let Some(real) = &*self.real.lock() {
            real.destroy();
        }
        self.gate.close();
        let callback = self.lost.lock().upgrade().and_then(|callback| callback.lock().take());
        if let Some(callback) = callback {
            callback(wgpu::DeviceLostReason::Unknown, text);
        }
    }

    /// A poll, with `real` for what wgpu does: it does not wait for what is held longer than it may.
    pub(in crate::instrument) fn poll(
        &self,
        poll: &wgpu::wgt::PollType<u64>,
        real: impl FnOnce() -> Result<wgpu::PollStatus, wgpu::PollError>,
    ) -> Result<wgpu::PollStatus, wgpu::PollError> {
        self.plan.befalls(Call::Poll, None);
        let status = real()?;
        self.gate.tell();
        if let wgpu::wgt::PollType::Wait { submission_index, timeout } = *poll {
            let longest = self.plan.longest_wait();
            if !self.gate.wait(submission_index, timeout.map_or(longest, |timeout| timeout.min(longest))) {
                return Err(wgpu::PollError::Timeout);
            }
            self.gate.tell();
            if self.gate.holds(None) {
                return Ok(wgpu::PollStatus::WaitSucceeded);
            }
        } else if self.gate.holds(None) {
            return Ok(wgpu::PollStatus::Poll);
        }
        Ok(status)
    }
}

impl fmt::Debug for DeviceFaults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DeviceFaults").field("plan", &self.plan).field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl World {
    /// What befalls a call, with a marker among the events.
    pub(in crate::instrument) fn befalls(&self, call: Call, label: Option<&str>) -> Option<Injected> {
        let fault = self.faults.as_ref()?.befalls(call, label)?;
        // Without the label, since names of markers are kept for good.
        self.mark(&format!("injected {fault}: {call}"));
        Some(Injected { fault, call, label: label.map(str::to_owned) })
    }

    /// After all devices were polled: whether none has anything in flight.
    pub(in crate::instrument) fn polled_all(&self, empty: bool) -> bool {
        self.faults.as_ref().map_or(empty, |plan| {
            plan.tell();
            empty && !plan.holds()
        })
    }

    /// Fails a request for a device.
    pub(in crate::instrument) fn no_device(&self, label: Option<&str>) -> Option<wgpu::RequestDeviceError> {
        let injected = self.befalls(Call::RequestDevice, label)?;
        Some(wgpu::RequestDeviceError::from_message(injected.to_string()))
    }

    /// Fails the acquisition of a surface's texture. An error of validation is the configured device's.
    pub(in crate::instrument) fn no_surface_texture(
        &self,
        device: impl FnOnce() -> Option<Arc<DeviceState>>,
    ) -> Option<wgpu::SurfaceStatus> {
        let injected = self.befalls(Call::GetCurrentTexture, None)?;
        Some(match injected.fault {
            Fault::SurfaceLost => wgpu::SurfaceStatus::Lost,
            Fault::SurfaceOutdated => wgpu::SurfaceStatus::Outdated,
            Fault::SurfaceTimeout => wgpu::SurfaceStatus::Timeout,
            Fault::SurfaceOccluded => wgpu::SurfaceStatus::Occluded,
            Fault::OutOfMemory
            | Fault::Validation
            | Fault::DeviceLost
            | Fault::MapFailure
            | Fault::Stall
            | Fault::NoDevice
            | Fault::Slow(_) => {
                if let Some(device) = device() {
                    device.report(&injected);
                }
                wgpu::SurfaceStatus::Validation
            }
        })
    }
}

impl DeviceState {
    /// What a creation returns that fails: an object that wgpu knows to be invalid. Its error has been reported.
    pub(in crate::instrument) fn failed<T>(
        self: &Arc<Self>,
        call: Call,
        new: New<'_>,
        real: &wgpu::Device,
        invalid: impl FnOnce(&wgpu::Device) -> T,
    ) -> Option<Tracked<T>> {
        let injected = self.world.befalls(call, new.label)?;
        let failed = self.tracked(invalid(real), new, Holds::default());
        self.report(&injected);
        Some(failed)
    }

    /// The same for a view, whose texture does not know its device.
    pub(in crate::instrument) fn failed_view(
        self: &Arc<Self>,
        new: New<'_>,
        invalid: impl FnOnce(&wgpu::Device) -> wgpu::TextureView,
    ) -> Option<Tracked<wgpu::TextureView>> {
        let real = self.real()?;
        self.failed(Call::CreateView, new, &real, invalid)
    }

    /// Whether a write fails. Its error has been reported.
    pub(in crate::instrument) fn fails(&self, call: Call) -> bool {
        let injected = self.world.befalls(call, None);
        if let Some(injected) = &injected {
            self.report(injected);
        }
        injected.is_some()
    }

    /// Makes an encoder fail: when it is created, by an error now and another one when it is finished; or when it is
    /// finished.
    pub(in crate::instrument) fn spoil(&self, call: Call, label: Option<&str>, encoder: &mut wgpu::CommandEncoder) {
        let Some(real) = self.real() else { return };
        if let Some(injected) = self.world.befalls(call, label) {
            // wgpu tells of the misuse of an invalid object when the encoder is finished.
            encoder.clear_buffer(&invalid::buffer(&real, &INJECTED), 0, None);
            if injected.fault == Fault::OutOfMemory {
                self.report(&injected);
            }
        }
    }

    /// Decides what becomes of a submission, and takes its commands if it fails.
    pub(in crate::instrument) fn submitting(&self, commands: &mut Vec<wgpu::CommandBuffer>) -> Submitting {
        let Some(faults) = &self.faults else { return Submitting::Runs };
        let Some(injected) = self.world.befalls(Call::Submit, None) else { return Submitting::Runs };
        match injected.fault {
            Fault::Stall => Submitting::Stalls,
            Fault::DeviceLost => {
                faults.lose(injected.to_string());
                Submitting::Lost
            }
            Fault::OutOfMemory
            | Fault::Validation
            | Fault::MapFailure
            | Fault::SurfaceLost
            | Fault::SurfaceOutdated
            | Fault::SurfaceTimeout
            | Fault::SurfaceOccluded
            | Fault::NoDevice
            | Fault::Slow(_) => {
                commands.clear();
                self.report(&injected);
                Submitting::Refused
            }
        }
    }

    /// Holds a submission that stalls. To be called before it is made.
    pub(in crate::instrument) fn hold(&self, number: u64, submitting: Submitting) {
        if let (Some(faults), Submitting::Stalls) = (&self.faults, submitting) {
            faults.gate.hold(number);
        }
    }

    /// A callback for wgpu, which passes the end of that submission on when it may be told.
    pub(in crate::instrument) fn gated(
        &self,
        number: u64,
        tell: impl super::gate::Tell,
    ) -> impl FnOnce() + wgpu::WasmNotSend + 'static {
        let gate = self.faults.as_ref().map(|faults| Arc::clone(&faults.gate));
        move || match gate {
            Some(gate) => gate.ended(number, None, Box::new(tell)),
            None => tell(Ended::Done),
        }
    }

    /// The program's callback for the end of all that was submitted so far.
    pub(in crate::instrument) fn gated_callback(
        &self,
        callback: BoxSubmittedWorkDoneCallback,
    ) -> BoxSubmittedWorkDoneCallback {
        match &self.faults {
            Some(_) => Box::new(self.gated(self.submitted.lock().last(), move |_| callback())),
            None => callback,
        }
    }

    /// Ends may have come that can be told.
    pub(in crate::instrument) fn tell(&self) {
        if let Some(faults) = &self.faults {
            faults.gate.tell();
        }
    }

    /// The callback of a mapping, which passes its end on when it may be told; `None` if the mapping fails, which has been told.
    pub(in crate::instrument) fn mapping(
        &self,
        buffer: &wgpu::Buffer,
        callback: BufferMapCallback,
    ) -> Option<BufferMapCallback> {
        let Some(faults) = &self.faults else { return Some(callback) };
        if self.world.befalls(Call::MapAsync, None).is_some() {
            callback(Err(wgpu::BufferAsyncError));
            return None;
        }
        let (gate, after) = (Arc::clone(&faults.gate), self.submitted.lock().last());
        if !gate.holds(Some(after)) {
            return Some(callback);
        }
        let buffer = BufferId::of(buffer);
        Some(Box::new(move |result| match result {
            Ok(()) => {
                let tell = move |ended| match ended {
                    Ended::Done => callback(Ok(())),
                    Ended::Lost => callback(Err(wgpu::BufferAsyncError)),
                };
                gate.ended(after, Some(buffer), Box::new(tell));
            }
            // Errors are told at once, by wgpu too.
            Err(_) => callback(result),
        }))
    }

    /// The program unmaps or destroys the buffer.
    pub(in crate::instrument) fn unmapped(&self, buffer: &wgpu::Buffer) {
        if let Some(faults) = &self.faults {
            faults.gate.call_off(BufferId::of(buffer));
        }
    }

    /// Keeps the program's device-lost callback at hand.
    pub(in crate::instrument) fn set_lost_callback(&self, callback: &Arc<LostCallback>) {
        if let Some(faults) = &self.faults {
            *faults.lost.lock() = Arc::downgrade(callback);
        }
    }

    /// A texture of a surface is acquired.
    pub(in crate::instrument) fn acquired(&self, acquired: &Arc<Acquired>) {
        if let Some(faults) = &self.faults {
            let mut all = faults.acquired.lock();
            all.retain(|acquired| acquired.strong_count() > 0);
            all.push(Arc::downgrade(acquired));
        }
    }

    /// The queue's handle is gone: what is held is lost.
    pub(in crate::instrument) fn end_faults(&self) {
        if let Some(faults) = &self.faults {
            faults.gate.close();
            faults.gate.tell();
            let real = faults.real.lock().take();
            drop(real);
        }
    }

    fn real(&self) -> Option<wgpu::Device> {
        self.faults.as_ref().and_then(|faults| faults.real.lock().clone())
    }

    #[cold]
    fn report(&self, injected: &Injected) {
        let text = injected.to_string();
        match injected.fault {
            Fault::OutOfMemory => self.errors.report(wgpu::Error::OutOfMemory { source: Box::new(Added(text)) }),
            _ => self.errors.validation(text),
        }
    }
}

/// A call that fails.
#[derive(Debug)]
pub(in crate::instrument) struct Injected {
    fault: Fault,
    call: Call,
    label: Option<String>,
}

impl fmt::Display for Injected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "engine-vitals: injected fault: {} in `{}`", self.fault, self.call)?;
        self.label.as_ref().map_or(Ok(()), |label| write!(out, ", label {label:?}"))
    }
}

/// Names the reason in wgpu's error.
const INJECTED: wgpu::BufferDescriptor<'static> = wgpu::BufferDescriptor {
    label: Some("engine-vitals: injected fault"),
    size: 4,
    usage: wgpu::BufferUsages::COPY_DST,
    mapped_at_creation: false,
};

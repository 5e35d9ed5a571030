//! The registry itself.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use web_time::Instant;

use super::config::{DuplicateMonitor, RegistryBuilder, UpdateSummary};
use super::entry::{Entry, Outcome, Shared, guarded};
use super::sampler::Sampler;
use super::table::{Health, MonitorKey, MonitorSnapshot, Output, RegistryStats, Snapshot};
use crate::contract::{GpuMonitor, LifecycleMonitor, MemoryMonitor, MonitorRef, ResourceMonitor, Value, VramMonitor};
use crate::memory::HeapTag;

/// Holds the monitors, updates them and keeps their figures in one table.
///
/// A handle: clones are the same registry. All methods may be called from any thread.
///
/// ```
/// use std::sync::Arc;
/// use engine_vitals_core::monitor::MemoryResourceMonitor;
/// use engine_vitals_core::registry::Registry;
///
/// let registry = Registry::new();
/// registry.register(Arc::new(MemoryResourceMonitor::new("SystemRAM")))?;
/// registry.update(); // once a frame
/// assert!(registry.memory("SystemRAM").is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    /// Replaced as a whole, so that an update holds no lock while monitors run.
    entries: RwLock<Arc<[Arc<Entry>]>>,
    sampler: Sampler,
    next_key: AtomicU64,
    updating: Mutex<()>,
    /// Where the next update begins, so that a spent budget does not always starve the same monitors.
    first: AtomicUsize,
    updates: AtomicU64,
    updates_skipped: AtomicU64,
    runs_deferred: AtomicU64,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// A registry with default budgets.
    #[must_use]
    pub fn new() -> Self {
        RegistryBuilder::default().build()
    }

    /// Sets up a registry with other budgets, caps and thresholds.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    pub(super) fn with(config: RegistryBuilder) -> Self {
        Self {
            inner: Arc::new(Inner {
                shared: Arc::new(Shared { config, ..Shared::default() }),
                entries: RwLock::new(Arc::new([])),
                sampler: Sampler::default(),
                next_key: AtomicU64::new(0),
                updating: Mutex::new(()),
                first: AtomicUsize::new(0),
                updates: AtomicU64::new(0),
                updates_skipped: AtomicU64::new(0),
                runs_deferred: AtomicU64::new(0),
            }),
        }
    }

    /// Adds a monitor, asks it for its figures and runs it once, here, so that the table has its values when this returns; a monitor
    /// with a cadence of its own runs for the first time on the sampler thread, soon. One that takes far longer here than the budget of
    /// a monitor goes to the sampler thread at once.
    ///
    /// Ids are labels: take them from a small fixed set. A recorder never forgets a series, so that a program which registers under ever
    /// new ids makes each scrape longer.
    ///
    /// # Errors
    /// [`DuplicateMonitor`] when a monitor with that id is registered; it hands the monitor back.
    pub fn register<M: ResourceMonitor>(&self, monitor: Arc<M>) -> Result<(), DuplicateMonitor<Arc<M>>> {
        let as_monitor: Arc<dyn ResourceMonitor> = monitor.clone();
        self.register_dyn(as_monitor).map_err(|duplicate| DuplicateMonitor { monitor, id: duplicate.id })
    }

    /// [`register`](Self::register) for a monitor whose type is not known.
    ///
    /// # Errors
    /// [`DuplicateMonitor`] when a monitor with that id is registered; it hands the monitor back.
    pub fn register_dyn(
        &self,
        monitor: Arc<dyn ResourceMonitor>,
    ) -> Result<(), DuplicateMonitor<Arc<dyn ResourceMonitor>>> {
        let tag = HeapTag::current();
        let _own = HeapTag::OWN.enter();
        let key = MonitorKey(self.inner.next_key.fetch_add(1, Ordering::Relaxed));
        let id = guarded(|| monitor.monitor_id()).unwrap_or_else(|_| format!("unnamed-{}", key.0).into());
        if self.find(&id).is_some() {
            return Err(DuplicateMonitor { monitor, id: id.into_owned() });
        }
        let entry = Arc::new(Entry::new(id, key, monitor, tag, Arc::clone(&self.inner.shared)));
        {
            let mut entries = self.inner.entries.write();
            // Another thread may have been quicker.
            if entries.iter().any(|other| other.id == entry.id) {
                drop(entries);
                entry.retire();
                return Err(DuplicateMonitor { monitor: Arc::clone(&entry.monitor), id: entry.id.to_string() });
            }
            *entries = entries.iter().cloned().chain([Arc::clone(&entry)]).collect();
        }
        let mut now = Instant::now();
        if !entry.is_sampled() {
            (_, now) = entry.run(now);
            now += if entry.is_sampled() { entry.interval() } else { std::time::Duration::ZERO };
        }
        if entry.is_sampled() {
            self.inner.sampler.schedule(&entry, now);
        }
        Ok(())
    }

    /// Removes the monitor with this id and hands it back. Its series are withdrawn from the outputs.
    ///
    /// It is not waited for: a run under way on another thread ends by itself, and no other begins.
    pub fn unregister(&self, id: &str) -> Option<Arc<dyn ResourceMonitor>> {
        let _own = HeapTag::OWN.enter();
        let mut entries = self.inner.entries.write();
        let entry = entries.iter().find(|entry| entry.id == id).cloned()?;
        *entries = entries.iter().filter(|other| other.key != entry.key).cloned().collect();
        drop(entries);
        entry.retire();
        self.inner.sampler.forget(&entry);
        Some(Arc::clone(&entry.monitor))
    }

    /// The monitor with this id, if its type is `M`.
    #[must_use]
    pub fn get<M: ResourceMonitor>(&self, id: &str) -> Option<Arc<M>> {
        let monitor = Arc::clone(&self.find(id)?.monitor);
        let monitor: Arc<dyn Any + Send + Sync> = monitor;
        monitor.downcast().ok()
    }

    /// The monitor with this id as a [`MemoryMonitor`], if it is one.
    #[must_use]
    pub fn memory(&self, id: &str) -> Option<Arc<dyn MemoryMonitor>> {
        match self.find(id)?.view.clone()? {
            MonitorRef::Memory(monitor) => Some(monitor),
            MonitorRef::Gpu(_) | MonitorRef::Vram(_) | MonitorRef::Lifecycle(_) => None,
        }
    }

    /// The monitor with this id as a [`GpuMonitor`], if it is one.
    #[must_use]
    pub fn gpu(&self, id: &str) -> Option<Arc<dyn GpuMonitor>> {
        match self.find(id)?.view.clone()? {
            MonitorRef::Gpu(monitor) => Some(monitor),
            MonitorRef::Memory(_) | MonitorRef::Vram(_) | MonitorRef::Lifecycle(_) => None,
        }
    }

    /// The monitor with this id as a [`VramMonitor`], if it is one.
    #[must_use]
    pub fn vram(&self, id: &str) -> Option<Arc<dyn VramMonitor>> {
        match self.find(id)?.view.clone()? {
            MonitorRef::Vram(monitor) => Some(monitor),
            MonitorRef::Memory(_) | MonitorRef::Gpu(_) | MonitorRef::Lifecycle(_) => None,
        }
    }

    /// The monitor with this id as a [`LifecycleMonitor`], if it is one.
    #[must_use]
    pub fn lifecycle(&self, id: &str) -> Option<Arc<dyn LifecycleMonitor>> {
        match self.find(id)?.view.clone()? {
            MonitorRef::Lifecycle(monitor) => Some(monitor),
            MonitorRef::Memory(_) | MonitorRef::Gpu(_) | MonitorRef::Vram(_) => None,
        }
    }

    /// All monitors in the order of their registration.
    #[must_use]
    pub fn monitors(&self) -> Vec<Arc<dyn ResourceMonitor>> {
        self.entries().iter().map(|entry| Arc::clone(&entry.monitor)).collect()
    }

    /// Runs the monitors that run in each update and takes their figures into the table; call it once a frame.
    ///
    /// No lock is held while a monitor runs and nothing is allocated in steady state. When the budget is spent, the remaining monitors
    /// are left to the next update, which begins with them. What a monitor allocates is charged to the
    /// [`HeapTag`] that was current when it was registered, what the registry allocates to [`HeapTag::OWN`]. What cannot be had is a monitor stopped in its tracks: one that begins to
    /// stall after its registration holds up that update, and is then moved to the sampler thread.
    pub fn update(&self) -> UpdateSummary {
        let inner = &*self.inner;
        let Some(_updating) = inner.updating.try_lock() else {
            inner.updates_skipped.fetch_add(1, Ordering::Relaxed);
            return UpdateSummary { skipped: true, ..UpdateSummary::default() };
        };
        // Monitors of others are charged to whoever registered them: `Entry::run`.
        let _own = HeapTag::OWN.enter();
        let entries = self.entries();
        let started = Instant::now();
        let mut summary = UpdateSummary::default();
        let mut now = started;
        let first = inner.first.load(Ordering::Relaxed) % entries.len().max(1);
        let (wait, begin) = entries.split_at(first);
        let mut turn = begin.iter().chain(wait).enumerate().filter(|(_, entry)| !entry.is_sampled());
        for (index, entry) in turn.by_ref() {
            if now.saturating_duration_since(started) > inner.shared.config.update_budget {
                inner.first.store(first + index, Ordering::Relaxed);
                summary.deferred = 1;
                break;
            }
            let (outcome, ended) = entry.run(now);
            now = ended;
            summary.ran += usize::from(outcome != Outcome::Busy);
            summary.failed += usize::from(outcome == Outcome::Failed);
            if entry.is_sampled() {
                inner.sampler.schedule(entry, now + entry.interval());
            }
        }
        summary.deferred += turn.count();
        inner.updates.fetch_add(1, Ordering::Relaxed);
        inner.runs_deferred.fetch_add(summary.deferred as u64, Ordering::Relaxed);
        inner.sampler.attend(now);
        summary.took = now.duration_since(started);
        summary
    }

    /// Hands the table to an output, monitor by monitor. Values are copied out first, so that a slow output holds up no monitor.
    pub fn read(&self, output: &mut dyn Output) {
        let now = Instant::now();
        self.inner.sampler.attend(now);
        let mut values: Vec<Option<Value>> = Vec::new();
        for entry in &*self.entries() {
            entry.read(now, &mut values, |part, _| output.part(part));
        }
        output.finish();
    }

    /// A copy of the whole table.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let mut values = Vec::new();
        let monitors = self
            .entries()
            .iter()
            .map(|entry| {
                let resource_type = guarded(|| entry.monitor.resource_type());
                let resource_type = resource_type.unwrap_or(crate::contract::MonitoredResourceType::Other("unknown"));
                entry.read(now, &mut values, |part, usage| MonitorSnapshot::new(part, resource_type, usage))
            })
            .collect();
        Snapshot { monitors }
    }

    /// What is wrong with monitors, and which of them watch something that is nearly used up. Empty when all is well.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        let now = Instant::now();
        let mut report = Vec::new();
        for entry in &*self.entries() {
            entry.health(now, &mut report);
        }
        report
    }

    /// What the registry counts of itself.
    #[must_use]
    pub fn stats(&self) -> RegistryStats {
        let inner = &*self.inner;
        RegistryStats {
            monitors: self.entries().len(),
            updates: inner.updates.load(Ordering::Relaxed),
            updates_skipped: inner.updates_skipped.load(Ordering::Relaxed),
            runs_deferred: inner.runs_deferred.load(Ordering::Relaxed),
            figures_refused: inner.shared.figures_refused.load(Ordering::Relaxed),
            demotions: inner.shared.demotions.load(Ordering::Relaxed),
            panics: inner.shared.panics.load(Ordering::Relaxed),
        }
    }

    /// A handle that does not keep the registry; for a monitor that reports on its own registry.
    #[must_use]
    pub fn downgrade(&self) -> WeakRegistry {
        WeakRegistry { inner: Arc::downgrade(&self.inner) }
    }

    fn entries(&self) -> Arc<[Arc<Entry>]> {
        Arc::clone(&self.inner.entries.read())
    }

    fn find(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries().iter().find(|entry| entry.id == id).cloned()
    }
}

/// A [`Registry`] that is not kept by this handle.
#[derive(Debug, Clone)]
pub struct WeakRegistry {
    inner: std::sync::Weak<Inner>,
}

impl WeakRegistry {
    /// The registry, while somebody else keeps it.
    #[must_use]
    pub fn upgrade(&self) -> Option<Registry> {
        self.inner.upgrade().map(|inner| Registry { inner })
    }
}

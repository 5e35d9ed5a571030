//! Whether the instance is instrumented, and who is told of frames.

#[cfg(feature = "instrument")]
pub(crate) use instrumented::{Frames, Subject};
#[cfg(not(feature = "instrument"))]
pub(crate) use plain::{Frames, Subject};

#[cfg(not(feature = "instrument"))]
mod plain {
    /// Nothing but wgpu.
    #[derive(Debug, clap::Args)]
    pub(crate) struct Subject {}

    impl Subject {
        pub(crate) fn wrap(&self, instance: wgpu::Instance) -> (wgpu::Instance, Frames) {
            (instance, Frames)
        }
    }

    /// Nobody is told.
    #[derive(Debug)]
    pub(crate) struct Frames;

    impl Frames {
        pub(crate) fn next(&mut self) {}

        #[cfg(feature = "timed")]
        pub(crate) fn time_passes(&self, _: bool) {}
    }
}

#[cfg(feature = "instrument")]
mod instrumented {
    use std::sync::Arc;

    use clap::ValueEnum;
    use engine_vitals::instrument::Instrumentation;
    use engine_vitals::monitor::PassTimeMonitor;
    use engine_vitals::probe::{Lane, Level, Packet, PacketResult};
    use engine_vitals::tracker::Tracker;

    /// How much is recorded.
    #[derive(Debug, clap::Args)]
    pub(crate) struct Subject {
        #[arg(long)]
        level: Recording,
        #[arg(long)]
        touch_lists: bool,
    }

    #[derive(Debug, Clone, Copy, ValueEnum)]
    enum Recording {
        Off,
        Counters,
        Events,
    }

    impl Subject {
        pub(crate) fn wrap(&self, instance: wgpu::Instance) -> (wgpu::Instance, Frames) {
            let level = match self.level {
                Recording::Off => Level::Off,
                Recording::Counters => Level::Counters,
                Recording::Events => Level::Events,
            };
            let tracker = Tracker::builder().level(level).build();
            tracker.set_touch_lists(self.touch_lists);
            let passes = Arc::new(PassTimeMonitor::new("passes"));
            let builder = Instrumentation::builder(tracker.probe()).pass_sink(passes);
            // Switched on for the cases that ask for it.
            let instrumentation = builder.pass_times(false).build();
            let instance = instrumentation.wrap(instance);
            let lane = tracker.probe().lane("main");
            (instance, Frames { tracker, lane, open: None, instrumentation })
        }
    }

    /// Frames are packets, as `Vitals::frame` reports them.
    #[derive(Debug)]
    pub(crate) struct Frames {
        tracker: Tracker,
        lane: Lane,
        open: Option<Packet>,
        instrumentation: Instrumentation,
    }

    impl Frames {
        /// Ends the frame under way and begins the next one.
        pub(crate) fn next(&mut self) {
            if let Some(open) = self.open.take() {
                open.finish(PacketResult::Presented);
            }
            self.tracker.probe().frame_ended();
            let next = self.tracker.probe().packet(self.lane);
            next.context().make_current();
            self.open = Some(next);
        }

        /// Automatic timing of passes, from now on or no more.
        pub(crate) fn time_passes(&self, yes: bool) {
            self.instrumentation.set_pass_times(yes);
        }
    }
}

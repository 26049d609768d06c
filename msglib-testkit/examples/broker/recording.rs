//! A recording of all that the broker is told, for `--example replay_recording`.

use super::settings::Settings;
use msglib_broker::ConnectionManager;
use msglib_broker::record::{RecordLog, Recorder};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A recording under way, if there is one; `dump` is where a ring is written to.
#[derive(Clone, Default)]
pub(crate) struct Recording {
    log: Option<RecordLog>,
    dump: Option<PathBuf>,
}

impl Recording {
    /// Records what comes through `manager`, if that is wanted.
    pub(crate) fn begin(
        settings: &Settings,
        manager: impl ConnectionManager + 'static,
    ) -> io::Result<(Box<dyn ConnectionManager>, Recording)> {
        let Some(path) = settings.record.clone() else { return Ok((Box::new(manager), Recording::default())) };
        let recorder = match settings.record_ring {
            None => Recorder::to_stream(manager, File::create(&path)?),
            Some(bytes) => Recorder::in_ring(manager, bytes).dump_on_panic({
                let path = path.clone();
                move || File::create(&path)
            }),
        };
        let recorder = recorder.about(std::env::args().collect::<Vec<_>>().join(" "));
        let recording = Recording { log: Some(recorder.log()), dump: settings.record_ring.map(|_| path) };
        Ok((Box::new(recorder), recording))
    }

    /// Whether it is a ring, which can be written out at any time.
    pub(crate) fn is_ring(&self) -> bool {
        self.dump.is_some()
    }

    /// Writes out what a ring holds.
    pub(crate) fn write(&self) {
        let (Some(log), Some(path)) = (&self.log, &self.dump) else { return };
        match File::create(path).and_then(|file| log.write_to(file)) {
            Ok(()) => tracing::info!(path = %path.display(), "recording written"),
            Err(error) => tracing::error!(path = %path.display(), %error, "recording not written"),
        }
    }

    /// What the program is about to do beside its steps.
    pub(crate) fn note(&self, text: &str) {
        self.log.iter().for_each(|log| log.note(text));
    }

    pub(crate) fn shutting_down(&self, within: Duration) {
        self.log.iter().for_each(|log| log.shutting_down(within));
    }

    /// Why it is not whole, if it is not.
    pub(crate) fn error(&self) -> Option<io::Error> {
        self.log.as_ref().and_then(RecordLog::error)
    }
}

//! The callback that is told of each statement, how long it took and whether it failed.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use sea_orm::Statement;
use sea_orm::metric::Info;

use crate::call::Call;

type Callback = Arc<dyn Fn(&Info<'_>) + Send + Sync>;

/// Whom to tell, if anybody.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Option<Callback>);

impl Metrics {
    pub(crate) fn new(callback: impl Fn(&Info<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(callback)))
    }

    pub(crate) fn tell(&self, info: &Info<'_>) {
        if let Some(callback) = &self.0 {
            callback(info);
        }
    }

    /// Begins to measure `call`. Of a text without values nobody is told: sea-orm does not, either.
    pub(crate) fn start(&self, call: &Call) -> Option<Measurement> {
        match (&self.0, call) {
            (Some(callback), Call::Statement(statement)) => Some(Measurement {
                callback: Arc::clone(callback),
                statement: statement.clone(),
                start: Instant::now(),
            }),
            _ => None,
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.is_some()).finish()
    }
}

/// A statement that runs.
pub(crate) struct Measurement {
    callback: Callback,
    statement: Statement,
    start: Instant,
}

impl Measurement {
    pub(crate) fn end(self, failed: bool) {
        let elapsed = self.start.elapsed();
        (self.callback)(&Info { elapsed, statement: &self.statement, failed });
    }

    pub(crate) fn of_stream(self) -> StreamMeasurement {
        StreamMeasurement(Some(self))
    }
}

/// Rows that are read one by one: done when they are dropped.
pub(crate) struct StreamMeasurement(Option<Measurement>);

impl Drop for StreamMeasurement {
    fn drop(&mut self) {
        if let Some(measurement) = self.0.take() {
            measurement.end(false);
        }
    }
}

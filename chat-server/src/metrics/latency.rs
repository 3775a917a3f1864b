//! How long something takes, as a histogram that counts without a lock: prometheus-client's own takes one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The upper ends of the buckets, in nanoseconds: 50 us to 5 s, as 1, 2, 5. What took longer is in a last one.
const BOUNDS: [u64; 16] = {
    const US: u64 = 1000;
    const MS: u64 = 1000 * US;
    [
        50 * US,
        100 * US,
        200 * US,
        500 * US,
        MS,
        2 * MS,
        5 * MS,
        10 * MS,
        20 * MS,
        50 * MS,
        100 * MS,
        200 * MS,
        500 * MS,
        1000 * MS,
        2000 * MS,
        5000 * MS,
    ]
};

/// A histogram of durations; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    buckets: [AtomicU64; BOUNDS.len()],
    longer: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Latency {
    /// Counts one duration.
    pub(crate) fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().zip(&self.0.buckets).find(|(bound, _)| nanoseconds <= **bound);
        // Relaxed: a scrape that sees one of the two only is a scrape of a moment in between.
        bucket.map_or(&self.0.longer, |(_, bucket)| bucket).fetch_add(1, Ordering::Relaxed);
        self.0.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latency {
    #[expect(clippy::cast_precision_loss, reason = "exact up to a hundred days, and near enough after that")]
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        let counts = self.0.buckets.iter().chain([&self.0.longer]).map(load);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(seconds(load(&self.0.nanoseconds)), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

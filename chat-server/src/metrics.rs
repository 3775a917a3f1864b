//! What the server counts about itself, and the text in which Prometheus reads it.
//!
//! Counting is done where things happen and costs an addition: a message is counted once, however many receive it. What is
//! there at one moment (connections, queues, accounts) is looked at only when somebody asks. How long things take is in
//! `metrics/latency.rs`, why things end in `metrics/reasons.rs`; `metrics/endpoint.rs` serves the text over HTTP, as
//! `metrics/request.rs` says. The control socket gives the same text.
//!
//! Invariant: nothing here has a label that a client could choose: no names, no addresses.

mod endpoint;
mod latency;
mod reasons;
mod request;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub(crate) use endpoint::Endpoint;
pub(crate) use latency::Latency;
pub(crate) use reasons::{Closed, Dropped, LoginResult, Refused, RegistrationResult, Reloaded};
use reasons::{Reason, from_zero};

/// Labels and their values.
pub(crate) type Labels<const N: usize> = [(&'static str, &'static str); N];

/// How long the operations of the accounts' database take.
pub(crate) type StoreLatencies = Family<Labels<1>, Latency>;

/// Everything that is counted.
pub(crate) struct Metrics {
    /// Connections that were taken.
    pub(crate) accepted: Counter,
    /// Messages that clients sent and everyone is to receive.
    pub(crate) messages: Counter,
    /// The same, once for each connection that is there: those that are leaving or do not understand it are counted too.
    pub(crate) deliveries: Counter,
    /// Times that a client which sent too fast began to be read more slowly.
    pub(crate) slowed: Counter,
    /// How long rounds of the event loop took.
    pub(crate) rounds: Latency,
    refused: Family<Labels<1>, Counter>,
    closed: Family<Labels<1>, Counter>,
    dropped: Family<Labels<1>, Counter>,
    logins: Family<Labels<1>, Counter>,
    registrations: Family<Labels<1>, Counter>,
    reloads: Family<Labels<1>, Counter>,
    store: StoreLatencies,
    /// By the clock on the wall.
    process_started: Duration,
}

/// What is there at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Connections by their encryption.
    pub(crate) connections: Encryptions,
    /// Clients that have joined the room.
    pub(crate) joined: usize,
    /// Clients that are logged in.
    pub(crate) logged_in: usize,
    /// What waits for slow readers.
    pub(crate) queues: Queues,
    /// How many accounts there are; nothing if the database cannot be read.
    pub(crate) users: Option<u64>,
    /// How long the server has been serving.
    pub(crate) uptime: Duration,
}

/// Open connections by their encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encryptions {
    /// None.
    pub(crate) plain: usize,
    /// The original's of October 2025.
    pub(crate) october: usize,
    /// That of its January 2026 revision.
    pub(crate) january: usize,
    /// Ours.
    pub(crate) noise: usize,
}

/// What waits until sockets take more, in bytes, with what keeping it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Queues {
    /// How many connections it waits for.
    pub(crate) count: usize,
    /// For all of them together.
    pub(crate) total_bytes: usize,
    /// For the one with most.
    pub(crate) fullest_bytes: usize,
}

impl Metrics {
    /// Makes metrics that say zero; `store` is measured elsewhere.
    pub(crate) fn new(store: StoreLatencies) -> Self {
        Self {
            accepted: Counter::default(),
            messages: Counter::default(),
            deliveries: Counter::default(),
            slowed: Counter::default(),
            rounds: Latency::default(),
            refused: from_zero::<Refused>(),
            closed: from_zero::<Closed>(),
            dropped: from_zero::<Dropped>(),
            logins: from_zero::<LoginResult>(),
            registrations: from_zero::<RegistrationResult>(),
            reloads: from_zero::<Reloaded>(),
            store,
            process_started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// Counts a connection that was not taken.
    pub(crate) fn count_refused(&self, reason: Refused) {
        self.refused.get_or_create(&reason.labels()).inc();
    }

    /// Counts a connection that has ended.
    pub(crate) fn count_closed(&self, reason: Closed) {
        self.closed.get_or_create(&reason.labels()).inc();
    }

    /// Counts a packet that nothing was done about.
    pub(crate) fn count_dropped(&self, reason: Dropped) {
        self.dropped.get_or_create(&reason.labels()).inc();
    }

    /// Counts a login that was answered.
    pub(crate) fn count_login(&self, result: LoginResult) {
        self.logins.get_or_create(&result.labels()).inc();
    }

    /// Counts a registration that was answered.
    pub(crate) fn count_registration(&self, result: RegistrationResult) {
        self.registrations.get_or_create(&result.labels()).inc();
    }

    /// Counts settings that were read again.
    pub(crate) fn count_reload(&self, result: Reloaded) {
        self.reloads.get_or_create(&result.labels()).inc();
    }

    /// Writes everything, with what is there at this moment, in the text format of OpenMetrics.
    pub(crate) fn text(&self, moment: &Moment) -> String {
        let mut all = Registry::default();
        let started = ConstGauge::new(self.process_started.as_secs_f64());
        let help = "When the process started, since 1970";
        all.register_with_unit("process_start_time", help, Unit::Seconds, started);
        let chat = all.sub_registry_with_prefix("chat");
        chat.register("build", "What runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        self.name_counters(chat);
        self.name_latencies(chat);
        moment.name_gauges(chat);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &all);
        text
    }

    fn name_counters(&self, chat: &mut Registry) {
        let Self { accepted, messages, deliveries, slowed, refused, closed, dropped, .. } = self;
        chat.register("connections_accepted", "Connections taken", accepted.clone());
        chat.register("connections_refused", "Connections not taken", refused.clone());
        chat.register("connections_closed", "Connections that have ended", closed.clone());
        chat.register("messages", "Messages taken from clients", messages.clone());
        chat.register(
            "deliveries",
            "Messages handed over, once for each connection, at most",
            deliveries.clone(),
        );
        chat.register("packets_dropped", "Packets that nothing was done about", dropped.clone());
        chat.register("slowed", "Times a client was slowed down for sending too fast", slowed.clone());
        chat.register("logins", "Logins by what they were answered", self.logins.clone());
        chat.register(
            "registrations",
            "Registrations by what they were answered",
            self.registrations.clone(),
        );
        chat.register("reloads", "Times the settings were read again", self.reloads.clone());
    }

    fn name_latencies(&self, chat: &mut Registry) {
        let help = "Rounds of the event loop, from hearing of something to having written what came of it";
        chat.register_with_unit("round", help, Unit::Seconds, self.rounds.clone());
        let help = "Operations of the accounts' database";
        chat.register_with_unit("store", help, Unit::Seconds, self.store.clone());
    }
}

impl Moment {
    fn name_gauges(&self, chat: &mut Registry) {
        let Self { connections, joined, logged_in, queues, users, uptime } = *self;
        let help = "How long the server has been serving";
        chat.register_with_unit("uptime", help, Unit::Seconds, gauge(uptime.as_secs()));
        chat.register("connections", "Open connections", connections.family());
        chat.register("clients_joined", "Clients that have joined the room", gauge(joined));
        chat.register("clients_logged_in", "Clients that are logged in", gauge(logged_in));
        if let Some(users) = users {
            chat.register("users", "Accounts", gauge(users));
        }
        let Queues { count, total_bytes, fullest_bytes } = queues;
        chat.register("queues", "Connections that read more slowly than they are sent", gauge(count));
        chat.register_with_unit("queued", "What waits for them, in all", Unit::Bytes, gauge(total_bytes));
        let help = "What waits for the one with most";
        chat.register_with_unit("queued_most", help, Unit::Bytes, gauge(fullest_bytes));
    }
}

impl Encryptions {
    fn family(&self) -> Family<Labels<2>, Gauge> {
        let Self { plain, october, january, noise } = *self;
        let family = Family::<Labels<2>, Gauge>::default();
        for (encryption, dialect, count) in [
            ("none", "october-2025", plain),
            ("classic", "october-2025", october),
            ("classic", "january-2026", january),
            ("noise", "october-2025", noise),
        ] {
            let labels = [("encryption", encryption), ("dialect", dialect)];
            family.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        family
    }
}

fn gauge(value: impl TryInto<u64>) -> ConstGauge<u64> {
    ConstGauge::new(value.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;

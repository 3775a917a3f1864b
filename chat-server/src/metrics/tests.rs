//! The whole text, word for word: names and labels are what others' dashboards and alerts are made of.

use super::*;

fn lines(text: &str, beginning: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with(beginning)).map(str::to_owned).collect()
}

#[test]
fn everything_is_there_from_the_beginning_and_says_zero() {
    let text = Metrics::new(StoreLatencies::default()).text(&Moment { users: Some(0), ..Moment::default() });
    assert!(text.ends_with("# EOF\n"), "{text}");
    let expected = "\
process_start_time_seconds gauge
chat_build info
chat_connections_accepted counter
chat_connections_refused counter
chat_connections_closed counter
chat_messages counter
chat_deliveries counter
chat_packets_dropped counter
chat_slowed counter
chat_logins counter
chat_registrations counter
chat_reloads counter
chat_round_seconds histogram
chat_uptime_seconds gauge
chat_connections gauge
chat_clients_joined gauge
chat_clients_logged_in gauge
chat_users gauge
chat_queues gauge
chat_queued_bytes gauge
chat_queued_most_bytes gauge";
    let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(types, expected.lines().collect::<Vec<_>>());
    let samples = text.lines().filter(|line| line.starts_with("chat_") && !line.starts_with("chat_build"));
    assert!(samples.clone().all(|line| line.ends_with(" 0") || line.ends_with(" 0.0")), "{text}");
    assert_eq!(lines(&text, "chat_connections_closed_total{").len(), Closed::ALL.len());
    assert_eq!(lines(&text, "# TYPE chat_store"), Vec::<String>::new(), "nothing has been measured");
}

#[test]
fn what_is_counted_and_what_is_there_can_be_read() {
    let metrics = Metrics::new(StoreLatencies::default());
    metrics.accepted.inc_by(7);
    metrics.deliveries.inc_by(500);
    metrics.count_closed(Closed::Kicked);
    metrics.count_refused(Refused::AddressFull);
    metrics.count_dropped(Dropped::Cipher);
    metrics.count_login(LoginResult::InUse);
    metrics.count_registration(RegistrationResult::RateLimited);
    let text = metrics.text(&Moment {
        connections: Encryptions { plain: 1, october: 2, january: 3, noise: 4 },
        queues: Queues { count: 2, total_bytes: 30, fullest_bytes: 20 },
        users: None,
        uptime: Duration::from_millis(61_500),
        ..Moment::default()
    });
    for line in [
        concat!("chat_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "chat_connections_accepted_total 7",
        "chat_deliveries_total 500",
        "chat_connections_closed_total{reason=\"kicked\"} 1",
        "chat_connections_refused_total{reason=\"address_full\"} 1",
        "chat_packets_dropped_total{reason=\"cipher\"} 1",
        "chat_logins_total{result=\"in_use\"} 1",
        "chat_registrations_total{result=\"rate_limited\"} 1",
        "chat_connections{encryption=\"none\",dialect=\"october-2025\"} 1",
        "chat_connections{encryption=\"classic\",dialect=\"january-2026\"} 3",
        "chat_queues 2",
        "chat_queued_bytes 30",
        "chat_queued_most_bytes 20",
        "chat_uptime_seconds 61",
    ] {
        assert!(text.lines().any(|its| its == line), "{line} is not in:\n{text}");
    }
    assert!(!text.contains("chat_users"), "nobody knows how many");
}

#[test]
fn durations_are_counted_in_the_buckets_that_hold_them() {
    let store = StoreLatencies::default();
    for (operation, milliseconds) in [("add", 3), ("add", 4), ("add", 9000), ("find", 0)] {
        store.get_or_create(&[("operation", operation)]).observe(Duration::from_millis(milliseconds));
    }
    let text = Metrics::new(store).text(&Moment::default());
    for line in [
        "chat_store_seconds_sum{operation=\"add\"} 9.007",
        "chat_store_seconds_count{operation=\"add\"} 3",
        "chat_store_seconds_bucket{le=\"0.002\",operation=\"add\"} 0",
        "chat_store_seconds_bucket{le=\"0.005\",operation=\"add\"} 2",
        "chat_store_seconds_bucket{le=\"5.0\",operation=\"add\"} 2",
        "chat_store_seconds_bucket{le=\"+Inf\",operation=\"add\"} 3",
        "chat_store_seconds_bucket{le=\"0.00005\",operation=\"find\"} 1",
    ] {
        assert!(text.lines().any(|its| its == line), "{line} is not in:\n{text}");
    }
    assert_eq!(lines(&text, "# TYPE chat_store_seconds").len(), 1);
}

//! Tests of the accounts as the server uses them.

use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::Instant;

use super::*;

const ALICE: &str = "alice";

fn peer() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

fn name(text: &str) -> Username {
    Username::parse(text).unwrap()
}

/// As cheap as argon2 can be.
fn settings() -> AccountSettings {
    AccountSettings { memory_kib: 8, iterations: 1, ..AccountSettings::default() }
}

fn open(directory: &tempfile::TempDir, settings: &AccountSettings) -> Accounts {
    Accounts::open(&directory.path().join("accounts.redb"), settings).unwrap()
}

impl Accounts {
    async fn try_register(&self, name_text: &str, password: &str) -> RegisterOutcome {
        self.register(peer(), false, name(name_text), Secret::new(password)).await.unwrap()
    }

    async fn try_login(&self, name_text: &str, password: &str) -> LoginOutcome {
        self.verify(peer(), false, &name(name_text), Secret::new(password)).await.unwrap()
    }
}

#[tokio::test]
async fn who_registered_can_log_in_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &settings());
    assert_eq!(accounts.try_register(ALICE, "s3cr:et").await, RegisterOutcome::Registered);
    assert_eq!(accounts.try_register(ALICE, "other").await, RegisterOutcome::Taken);
    assert_eq!(accounts.try_login(ALICE, "s3cr:et").await, LoginOutcome::Accepted);
    accounts.close().await.unwrap();

    let accounts = open(&directory, &settings());
    assert_eq!(accounts.try_login(ALICE, "s3cr:et").await, LoginOutcome::Accepted);
    assert_eq!(accounts.try_login(ALICE, "other").await, LoginOutcome::Refused);
    assert_eq!(accounts.try_login("Alice", "s3cr:et").await, LoginOutcome::Refused);
    assert_eq!(accounts.try_login("nobody", "s3cr:et").await, LoginOutcome::Refused);
}

#[tokio::test]
async fn passwords_have_1_to_1024_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &settings());
    let check = async |name: &str, password: &str, registered, logged_in| {
        assert_eq!(accounts.try_register(name, password).await, registered, "{name}");
        assert_eq!(accounts.try_login(name, password).await, logged_in, "{name}");
    };
    check("one", "x", RegisterOutcome::Registered, LoginOutcome::Accepted).await;
    check("many", &"x".repeat(1024), RegisterOutcome::Registered, LoginOutcome::Accepted).await;
    check("none", "", RegisterOutcome::BadPassword, LoginOutcome::Refused).await;
    check("more", &"x".repeat(1025), RegisterOutcome::BadPassword, LoginOutcome::Refused).await;
}

#[tokio::test]
async fn of_many_who_register_one_name_at_once_exactly_one_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &AccountSettings { parallel_hashes: 8, ..settings() });
    let attempts = (0..32).map(|number| {
        let accounts = accounts.clone();
        tokio::spawn(async move {
            let password = Secret::new(format!("password {number}"));
            (number, accounts.register(peer(), true, name(ALICE), password).await.unwrap())
        })
    });
    let mut winners = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            (number, RegisterOutcome::Registered) => winners.push(number),
            (_, outcome) => assert_eq!(outcome, RegisterOutcome::Taken),
        }
    }
    let [winner] = winners[..] else { panic!("winners: {winners:?}") };
    assert_eq!(accounts.try_login(ALICE, &format!("password {winner}")).await, LoginOutcome::Accepted);
}

#[tokio::test]
async fn a_full_store_and_a_hasty_address_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let accounts =
        open(&directory, &AccountSettings { max_users: 3, registrations_per_hour: 2, ..settings() });
    assert_eq!(accounts.try_register("a", "x").await, RegisterOutcome::Registered);
    assert_eq!(accounts.try_register("b", "x").await, RegisterOutcome::Registered);
    let refused = accounts.try_register("c", "x").await;
    assert!(matches!(refused, RegisterOutcome::RateLimited { retry_after } if retry_after > Duration::ZERO));
    let exempt =
        async |text: &str| accounts.register(peer(), true, name(text), Secret::new("x")).await.unwrap();
    assert_eq!(exempt("c").await, RegisterOutcome::Registered);
    assert_eq!(exempt("d").await, RegisterOutcome::Full);
    assert_eq!(accounts.count().unwrap(), 3);
}

#[tokio::test]
async fn asking_whether_names_are_taken_is_limited_like_taking_them() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &AccountSettings { registrations_per_hour: 3, ..settings() });
    accounts.register(peer(), true, name(ALICE), Secret::new("x")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(accounts.try_register(ALICE, "x").await, RegisterOutcome::Taken);
    }
    for name in [ALICE, "bob"] {
        let refused = accounts.try_register(name, "x").await;
        assert!(matches!(refused, RegisterOutcome::RateLimited { .. }), "{name}: {refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_logins_delay_their_name_and_lock_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &settings());
    accounts.try_register(ALICE, "right").await;
    accounts.try_register("bob", "right").await;
    let timed = async |name: &str, password: &str| {
        let start = tokio::time::Instant::now();
        (accounts.try_login(name, password).await, start.elapsed().as_millis())
    };
    for _ in 0..10 {
        assert_eq!(timed(ALICE, "wrong").await, (LoginOutcome::Refused, 0));
    }
    for delay in [500, 1000, 2000, 4000, 8000, 15_000, 15_000] {
        let (outcome, waited) = timed(ALICE, "wrong").await;
        assert_eq!(outcome, LoginOutcome::Refused);
        assert!((delay..delay + 5).contains(&waited), "{waited} instead of {delay}");
    }
    assert_eq!(timed("bob", "right").await, (LoginOutcome::Accepted, 0));
    let (outcome, waited) = timed(ALICE, "right").await;
    assert!(outcome == LoginOutcome::Accepted && waited < 15_010, "{outcome:?} after {waited}");
    assert_eq!(timed(ALICE, "right").await, (LoginOutcome::Accepted, 0));
}

#[tokio::test(start_paused = true)]
async fn guesses_made_at_once_from_many_addresses_take_as_long_as_guesses_made_in_turn() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &settings());
    accounts.try_register(ALICE, "right").await;
    let start = tokio::time::Instant::now();
    let checked = Arc::new(AtomicUsize::new(0));
    let guesses = (0..50).map(|number| {
        let (accounts, checked) = (accounts.clone(), Arc::clone(&checked));
        tokio::spawn(async move {
            let peer = IpAddr::from([198, 51, 100, number]);
            for _ in 0..4 {
                match accounts.verify(peer, true, &name(ALICE), Secret::new("wrong")).await.unwrap() {
                    LoginOutcome::Refused => _ = checked.fetch_add(1, Ordering::Relaxed),
                    LoginOutcome::Busy => tokio::time::sleep(Duration::from_secs(1)).await,
                    LoginOutcome::Accepted => panic!("a wrong password was accepted"),
                }
            }
        })
    });
    let guesses: Vec<_> = guesses.collect();
    tokio::time::sleep(Duration::from_secs(20)).await;
    // Ten are free; the others start after 0.5, 1.5, 3.5, 7.5 and 15.5 seconds.
    assert_eq!(checked.load(Ordering::Relaxed), 15);
    let owner = accounts.verify(peer(), false, &name(ALICE), Secret::new("right")).await.unwrap();
    assert_eq!(owner, LoginOutcome::Accepted);
    assert!(start.elapsed() < Duration::from_secs(31), "{:?}", start.elapsed());
    for guess in guesses {
        guess.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn guesses_at_one_name_keep_nobody_at_the_same_address_from_another() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &settings());
    accounts.try_register("bob", "right").await;
    let guesses = (0..40).map(|_| {
        let accounts = accounts.clone();
        tokio::spawn(async move { accounts.try_login(ALICE, "wrong").await })
    });
    let guesses: Vec<_> = guesses.collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = tokio::time::Instant::now();
    assert_eq!(accounts.try_login("bob", "right").await, LoginOutcome::Accepted);
    assert_eq!(start.elapsed().as_secs(), 0, "eight guesses at alice wait for up to fifteen seconds each");
    // They would take minutes.
    guesses.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_nobody_waits_for_any_more_gives_its_place_up() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &settings());
    accounts.try_register(ALICE, "right").await;
    for _ in 0..10 {
        accounts.try_login(ALICE, "wrong").await;
    }
    for _ in 0..100 {
        let login = accounts.try_login(ALICE, "wrong");
        assert!(tokio::time::timeout(Duration::from_millis(1), login).await.is_err());
    }
    assert_eq!(accounts.try_login(ALICE, "right").await, LoginOutcome::Accepted);
}

/// A store whose disk is full.
struct FullStore;

impl UserStore for FullStore {
    fn find(&self, _: &str) -> Result<Option<User>, AccountsError> {
        Ok(None)
    }
    fn add(&self, _: &str, _: &User, _: u64) -> Result<Added, AccountsError> {
        Err(AccountsError::Io { path: "/data".into(), source: std::io::ErrorKind::StorageFull.into() })
    }
    fn list(&self, _: &str, _: usize) -> Result<Vec<(String, User)>, AccountsError> {
        Ok(Vec::new())
    }
    fn replace(&self, _: &str, _: &User) -> Result<bool, AccountsError> {
        Ok(false)
    }
    fn remove(&self, _: &str) -> Result<bool, AccountsError> {
        Ok(false)
    }
    fn count(&self) -> Result<u64, AccountsError> {
        Ok(0)
    }
    fn close(&self) -> Result<(), AccountsError> {
        Ok(())
    }
}

/// A store that holds everybody up who looks for a name.
#[derive(Clone, Default)]
struct HeldStore {
    held: Arc<Mutex<()>>,
    looked_for: Arc<Mutex<Vec<String>>>,
}

impl UserStore for HeldStore {
    fn find(&self, name: &str) -> Result<Option<User>, AccountsError> {
        self.looked_for.lock().unwrap().push(name.to_owned());
        drop(self.held.lock().unwrap());
        Ok(None)
    }
    fn add(&self, _: &str, _: &User, _: u64) -> Result<Added, AccountsError> {
        Ok(Added::Full)
    }
    fn list(&self, _: &str, _: usize) -> Result<Vec<(String, User)>, AccountsError> {
        Ok(Vec::new())
    }
    fn replace(&self, _: &str, _: &User) -> Result<bool, AccountsError> {
        Ok(false)
    }
    fn remove(&self, _: &str) -> Result<bool, AccountsError> {
        Ok(false)
    }
    fn count(&self) -> Result<u64, AccountsError> {
        Ok(0)
    }
    fn close(&self) -> Result<(), AccountsError> {
        Ok(())
    }
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "the lock is taken by threads that are meant to wait")]
async fn a_flood_from_one_address_makes_no_other_wait_and_those_gone_cost_nothing() {
    let settings = AccountSettings { parallel_hashes: 1, hash_queue: 3, ..settings() };
    let store = HeldStore::default();
    let accounts = Accounts::with_store(Box::new(store.clone()), &settings, Clock::system()).unwrap();
    let held = store.held.lock().unwrap();
    let log_in = |name_text: String, from: u8| {
        let (accounts, peer) = (accounts.clone(), IpAddr::from([192, 0, 2, from]));
        tokio::spawn(async move {
            accounts.verify(peer, true, &name(&name_text), Secret::new("x")).await.unwrap()
        })
    };
    let mut flood: Vec<_> = (0..20).map(|number| log_in(format!("flood {number}"), 1)).collect();
    for login in flood.drain(4..) {
        assert_eq!(login.await.unwrap(), LoginOutcome::Busy);
    }
    let patient = log_in("patient".to_owned(), 2);
    for gone in flood.drain(2..) {
        gone.abort();
        assert!(gone.await.is_err());
    }
    drop(held);
    assert_eq!(patient.await.unwrap(), LoginOutcome::Refused);
    for login in flood {
        assert_eq!(login.await.unwrap(), LoginOutcome::Refused);
    }
    assert_eq!(*store.looked_for.lock().unwrap(), ["flood 0", "patient", "flood 1"]);
}

#[tokio::test]
async fn what_is_not_on_disk_is_not_acknowledged_and_not_tried_without_end() {
    let settings = AccountSettings { registrations_per_hour: 3, ..settings() };
    let accounts = Accounts::with_store(Box::new(FullStore), &settings, Clock::system()).unwrap();
    for _ in 0..3 {
        let error = accounts.register(peer(), false, name(ALICE), Secret::new("x")).await.unwrap_err();
        assert!(matches!(error, AccountsError::Io { .. }), "{error:?}");
    }
    // Each has cost a hash and a write; an address that goes on is limited as ever.
    let refused = accounts.register(peer(), false, name(ALICE), Secret::new("x")).await.unwrap();
    assert!(matches!(refused, RegisterOutcome::RateLimited { .. }), "{refused:?}");
}

#[tokio::test]
async fn closed_accounts_answer_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &settings());
    accounts.try_register(ALICE, "x").await;
    accounts.clone().close().await.unwrap();
    assert_eq!(accounts.try_login(ALICE, "x").await, LoginOutcome::Busy);
    assert!(matches!(accounts.count(), Err(AccountsError::Closed)));
    // The database is free for the next one, though a handle is still there.
    assert_eq!(open(&directory, &settings()).count().unwrap(), 1);
}

/// Names that exist take as long as names that do not, within what a busy machine allows.
#[tokio::test]
async fn the_time_taken_does_not_tell_whether_a_name_exists() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = open(&directory, &AccountSettings { memory_kib: 4096, free_failures: 100, ..settings() });
    accounts.try_register(ALICE, "right").await;
    let mut best = [Duration::MAX; 2];
    for round in 0..20 {
        let start = Instant::now();
        accounts.try_login([ALICE, "nobody"][round % 2], "wrong").await;
        best[round % 2] = best[round % 2].min(start.elapsed());
    }
    let [known, unknown] = best.map(|time| time.as_secs_f64());
    assert!((0.5..2.0).contains(&(known / unknown)), "known {known} s, unknown {unknown} s");
}

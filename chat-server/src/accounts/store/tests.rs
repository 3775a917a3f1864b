//! Tests of the store: what is on disk, what damage and a full disk do.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;

fn user(password: &str) -> User {
    User { password: password.to_owned(), registered: Some("2025-10-12T23:06:01Z".to_owned()) }
}

fn path_in(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("accounts.redb")
}

#[test]
fn users_are_found_again_after_reopening_and_the_file_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.add("alice", &user("a"), 10).unwrap(), Added::Yes);
    assert_eq!(store.add("alice", &user("b"), 10).unwrap(), Added::Taken);
    store.close().unwrap();
    assert!(matches!(store.find("alice"), Err(AccountsError::Closed)));

    let store = RedbStore::open(&path).unwrap();
    assert!(store.find("alice").unwrap() == Some(user("a")));
    assert!(store.find("Alice").unwrap().is_none());
    assert_eq!(store.count().unwrap(), 1);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn there_are_no_more_users_than_there_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(&path_in(&directory)).unwrap();
    assert_eq!(store.add("alice", &user("a"), 1).unwrap(), Added::Yes);
    assert_eq!(store.add("bob", &user("b"), 1).unwrap(), Added::Full);
    assert_eq!(store.add("alice", &user("b"), 1).unwrap(), Added::Taken);
    assert_eq!(store.count().unwrap(), 1);
}

#[test]
fn a_database_belongs_to_one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let _open = RedbStore::open(&path_in(&directory)).unwrap();
    let error = RedbStore::open(&path_in(&directory)).err().unwrap();
    assert!(matches!(error, AccountsError::InUse { .. }), "{error:?}");
}

#[test]
fn a_database_of_a_later_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::create(path_in(&directory)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(ABOUT).unwrap().insert("schema", 2).unwrap();
    transaction.commit().unwrap();
    database.close().unwrap();
    let error = RedbStore::open(&path_in(&directory)).err().unwrap().to_string();
    assert!(error.ends_with("are damaged: they have form 2, which this version does not know"), "{error}");
}

#[test]
fn what_is_no_database_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    fs::write(&path, "alice:s3cret\n".repeat(1000)).unwrap();
    let error = RedbStore::open(&path).err().unwrap();
    assert!(matches!(error, AccountsError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains(&path.display().to_string()));
    assert!(error.hint().unwrap().contains("backup"));
    fs::write(&path, "").unwrap();
    let error = RedbStore::open(&path).err().unwrap();
    assert!(matches!(error, AccountsError::Damaged { .. }), "an emptied file is not a new one: {error:?}");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(RedbStore::open(&path).is_err());
}

#[test]
fn what_an_interrupted_first_start_left_behind_is_no_obstacle() {
    let directory = tempfile::tempdir().unwrap();
    let draft = directory.path().join("accounts.redb.new");
    fs::write(&draft, [0; 4096]).unwrap();
    assert_eq!(RedbStore::open(&path_in(&directory)).unwrap().count().unwrap(), 0);
    assert!(!draft.exists());
}

#[test]
fn damage_is_an_error_or_nothing_but_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (path_in(&directory), directory.path().join("copy.redb"));
    let store = RedbStore::open(&path).unwrap();
    for number in 0..50 {
        store.add(&format!("user{number}"), &user(&"x".repeat(90)), 100).unwrap();
    }
    store.close().unwrap();
    let whole = fs::read(&path).unwrap();
    let try_with = |bytes: &[u8]| {
        fs::write(&copy, bytes).unwrap();
        if let Ok(store) = RedbStore::open(&copy) {
            let _ = (store.find("user7"), store.count(), store.add("new", &user("y"), 100));
        }
    };
    for length in (1..40).map(|step| whole.len() * step / 40) {
        try_with(&whole[..length]);
    }
    // Headers and the first pages, where everything hangs together.
    for at in (0..64).chain((64..40_000).step_by(977)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        try_with(&bytes);
    }
}

/// A disk that can become full.
#[derive(Debug)]
struct SmallDisk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl SmallDisk {
    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for SmallDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // What lies on the disk already can be written over, as the header is.
        if offset > 0 {
            self.room()?;
        }
        self.file.write(offset, data)
    }
}

#[test]
fn a_full_disk_refuses_new_users_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let path = path_in(&directory);
    RedbStore::open(&path).unwrap().close().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let disk_full = Arc::clone(&full);
    let open_file: OpenFile = Box::new(move |builder, path| {
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        builder.create_with_backend(SmallDisk { file: FileBackend::new(file)?, full: Arc::clone(&disk_full) })
    });
    let store = RedbStore::open_with(&path, open_file).unwrap();
    store.add("alice", &user("a"), 10).unwrap();

    full.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        let error = store.add("bob", &user("b"), 10).unwrap_err();
        assert!(error.hint().unwrap().contains("free some disk space"), "{error:?}");
    }
    full.store(false, Ordering::Relaxed);
    assert_eq!(store.add("bob", &user("b"), 10).unwrap(), Added::Yes);
    assert!(store.find("alice").unwrap() == Some(user("a")));
    assert_eq!(store.count().unwrap(), 2);
}

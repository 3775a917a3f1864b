//! Tests of the import: files made by Python in every protocol, hostile ones, and damaged ones.

use proptest::prelude::*;

use super::*;
use crate::config::AccountSettings;

/// The vector `users_pickle_sample`: written by the original server itself.
const SAMPLE: &str = "80049587000000000000007d94288c05616c696365947d94288c0870617373776f7264948c07733363723a6574948c0f\
                      726567697374726174696f6e5f6474948c086461746574696d65948c086461746574696d65949394430a07e90a0c1706\
                      0101e2409485945294758c03626f62947d942868038c0270779468056808430a07e90a0c17060101e2409485945294\
                      75752e";

/// The same dictionary, by `pickle.dumps(users, protocol=N)` of Python 3.11.
const PROTOCOLS: [&[u8]; 6] = [
    include_bytes!("../../tests/fixtures/users-protocol-0.pickle"),
    include_bytes!("../../tests/fixtures/users-protocol-1.pickle"),
    include_bytes!("../../tests/fixtures/users-protocol-2.pickle"),
    include_bytes!("../../tests/fixtures/users-protocol-3.pickle"),
    include_bytes!("../../tests/fixtures/users-protocol-4.pickle"),
    include_bytes!("../../tests/fixtures/users-protocol-5.pickle"),
];

fn sample() -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    SAMPLE.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn brief(users: &[OriginalUser]) -> Vec<(&str, &str, &str)> {
    users
        .iter()
        .map(|user| {
            let password = user.password.as_ref().map_or("?", Secret::expose);
            (user.name.as_str(), password, user.registered.as_deref().unwrap_or("?"))
        })
        .collect()
}

fn error(bytes: &[u8]) -> String {
    users(bytes).unwrap_err().to_string()
}

#[test]
fn the_originals_own_file_is_read() {
    let users = users(&sample()).unwrap();
    assert_eq!(
        brief(&users),
        [("alice", "s3cr:et", "2025-10-12T23:06:01.123456"), ("bob", "pw", "2025-10-12T23:06:01.123456")]
    );
}

#[test]
fn every_protocol_gives_the_same_users() {
    for (protocol, bytes) in PROTOCOLS.into_iter().enumerate() {
        let users = users(bytes).unwrap_or_else(|error| panic!("protocol {protocol}: {error}"));
        assert_eq!(users.len(), 12, "protocol {protocol}");
        assert_eq!(
            brief(&users)[..4],
            [
                ("alice", "s3cr:et", "2025-10-12T23:06:01.123456"),
                ("bob", "pw", "2024-02-29T01:02:03"),
                ("zoë", "pässwörd 🔑\\ \n end", "2025-10-12T23:06:01.123456"),
                ("名前", "pw", "2025-10-12T23:06:01.123456"),
            ],
            "protocol {protocol}"
        );
    }
    assert!(users(include_bytes!("../../tests/fixtures/empty.pickle")).unwrap().is_empty());
}

#[test]
fn passwords_do_not_show_in_debug_output() {
    let users = users(&sample()).unwrap();
    assert!(!format!("{users:?}").contains("s3cr"), "{users:?}");
}

#[test]
fn nothing_is_ever_run() {
    let check = |bytes: &[u8], expected: &str| assert_eq!(error(bytes), expected, "{bytes:?}");
    let asks = |opcode: &str, offset: usize, name: &str| {
        format!("instruction {opcode} at byte {offset} asks for {name:?}, which is not run here")
    };
    check(b"cos\nsystem\n(S'id'\ntR.", &asks("GLOBAL", 0, "os.system"));
    check(b"cposix\nsystem\n(Vid\ntR.", &asks("GLOBAL", 0, "posix.system"));
    check(b"c__builtin__\neval\n(V1\ntR.", &asks("GLOBAL", 0, "__builtin__.eval"));
    check(b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.", &asks("STACK_GLOBAL", 14, "os.system"));
    check(b"cdatetime\ntimezone\n.", &asks("GLOBAL", 0, "datetime.timezone"));
    // STACK_GLOBAL takes dotted names: what hangs below datetime is not datetime.
    check(
        b"\x8c\x08datetime\x8c\x11datetime.__init__\x93.",
        &asks("STACK_GLOBAL", 29, "datetime.datetime.__init__"),
    );
    let taken = |name: &str, offset: usize| {
        format!("instruction {name} at byte {offset} is not taken from a users.pickle")
    };
    check(b"(ios\nsystem\n.", &taken("INST", 1));
    check(b"(cdatetime\ndatetime\no.", &taken("OBJ", 20));
    check(b"cdatetime\ndatetime\n)\x81.", &taken("NEWOBJ", 20));
    check(b"}}b.", &taken("BUILD", 2));
    check(b"\x82\x01.", &taken("EXT1", 0));
    check(b"Pid\n.", &taken("PERSID", 0));
    check(b"\xff.", &taken("0xff", 0));
}

#[test]
fn known_callables_make_nothing_but_dates() {
    let prefix = b"cdatetime\ndatetime\n";
    let with = |rest: &[u8]| error(&[prefix, rest].concat());
    assert!(with(b"C\x0a\x07\xe9\x0d\x0c\x17\x06\x01\x01\xe2\x40\x85R.").contains("there is no such date"));
    assert!(with(b"C\x01x\x85R.").contains("there is no such date"));
    assert!(with(b"Vtext\n\x85R.").contains("something unexpected"));
    assert!(with(b")R.").contains("something unexpected"));
    assert!(with(b"NR.").contains("nothing known"));
    assert!(error(b"c_codecs\nencode\n(V\\u0100\nVlatin1\ntR.").contains("no such bytes"));
    assert!(error(b"c_codecs\nencode\n(Va\nVrot13\ntR.").contains("something unexpected"));
}

#[test]
fn whatever_is_not_a_dictionary_of_users_is_refused() {
    for bytes in [b"N.".as_slice(), b"Vx\n.", b"}Vx\nNs.", b"}N}s.", b"cdatetime\ndatetime\n."] {
        assert_eq!(users(bytes).unwrap_err(), PickleError::NoUsers, "{bytes:?}");
    }
    let user = &users(b"}Vx\n}s.").unwrap()[0];
    assert!(user.password.is_none() && user.registered.is_none());
}

#[test]
fn instructions_out_of_place_are_errors() {
    let check = |bytes: &[u8], expected: &str| assert!(error(bytes).contains(expected), "{}", error(bytes));
    check(b".", "STOP at byte 0: the value it works on is missing");
    check(b"(.", "STOP at byte 1: the value");
    check(b"}t.", "TUPLE at byte 1: the values it works on have no beginning");
    check(b"}(Nu.", "SETITEMS at byte 3: a key has no value");
    check(b"NNNs.", "SETITEM at byte 3: there is no dictionary");
    check(b"p0\n.", "PUT at byte 0: there is nothing to remember");
    check(b"g0\n.", "GET at byte 0: it refers to nothing");
    check(b"}q\x00h\x00s.", "BINGET at byte 3: a dictionary is used twice");
    check(b"))\x85.", "TUPLE1 at byte 2: there is a container in a tuple");
    check(b"}Na}Nb}Ncs", "APPEND at byte 2");
    check(b"}N}N}N}sss.", "SETITEM at byte 8: dictionaries are nested too deeply");
    check(b"V\\uD800\n.", "UNICODE at byte 0: the escapes");
    check(b"X\x01\x00\x00\x00\xff.", "BINUNICODE at byte 0: its text is not UTF-8");
    check(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc", "it ends in the middle, after 12 bytes");
    check(b"Nr\xff\xff\xff\xff0", "POP at byte 6");
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    for bytes in PROTOCOLS.into_iter().chain([sample().as_slice()]) {
        for length in 0..bytes.len() {
            let error = users(&bytes[..length]).map(|users| users.len()).unwrap_err();
            assert_eq!(error, PickleError::Truncated { length }, "{length} of {}", bytes.len());
        }
    }
}

#[test]
fn deep_and_long_programs_are_read_without_recursion() {
    let users_of = |unit: &[u8], end: &[u8]| users(&[unit.repeat(200_000).as_slice(), end].concat());
    assert!(users_of(b"}", b".").unwrap().is_empty());
    assert!(users_of(b"(", b".").is_err());
    assert!(users_of(b"}N", b"s.").is_err());
    assert!(users_of(b"N\x85", b".").is_err());
}

#[test]
fn a_short_program_cannot_take_much_memory() {
    let check = |start: &[u8], unit: &[u8], times: usize, expected: &str| {
        let message = error(&[start, unit.repeat(times).as_slice(), b"."].concat());
        assert!(message.contains(expected), "{message}");
    };
    let too_much = "more than any users take";
    for unit in [b"N".as_slice(), b"(", b"V\n"] {
        check(b"", unit, 3_000_001, too_much);
    }
    check(b"}", b"(NNu", 1_000_001, too_much);
    check(b"}", b"\x94", 3_000_001, too_much);
    // A long text that many users share would be copied for each of them.
    let long_text = [b"}V".as_slice(), &[b'x'; 1 << 20], b"\np0\n}s"].concat();
    check(&long_text, b"h\0}s", 200, too_much);
    let bytes = [b"c_codecs\nencode\nV".as_slice(), &[b'x'; 65], b"\nVlatin1\n\x86R"].concat();
    check(&bytes, b"", 0, "REDUCE at byte 92: there are too many bytes for a date");
}

#[test]
fn a_hundred_thousand_users_are_read_even_in_the_oldest_protocol() {
    // As `pickle.dumps(users, protocol=0)` writes them, which takes most instructions.
    let mut program = String::from(
        "(dp0\nVuser\np1\n(dp2\nVpassword\np3\nVpw\np4\nsVregistration_dt\np5\ncdatetime\ndatetime\np6\n\
         (c_codecs\nencode\np7\n(V\x07\u{e9}\\u000a\x0c\x17\x06\x01\x01\u{e2}@\np8\nVlatin1\np9\n\
         tp10\nRp11\ntp12\nRp13\nss",
    );
    for number in 0..100_000 {
        program += &format!(
            "Vuser {number}\np20\n(dp21\ng3\nVpw\np22\nsg5\ng6\n(g7\n(V\x07\u{e9}\\u000a\x0c\x17\x06\x01\x01\u{e2}@\np23\n\
             g9\ntp24\nRp25\ntp26\nRp27\nss"
        );
    }
    let latin1: Vec<u8> = (program + ".").chars().map(|c| u8::try_from(c).unwrap()).collect();
    assert_eq!(users(&latin1).unwrap().len(), 100_001);
}

#[test]
fn users_are_stored_kept_or_refused_each_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let settings = AccountSettings { memory_kib: 8, iterations: 1, ..AccountSettings::default() };
    let accounts = Accounts::open(&directory.path().join("accounts.redb"), &settings).unwrap();
    let alice = Username::parse("alice").unwrap();
    accounts.import(&alice, &Secret::new("other"), None).unwrap();
    let path = directory.path().join("users.pickle");
    std::fs::write(&path, PROTOCOLS[4]).unwrap();

    let users = read(&path).unwrap();
    let report = store(&users, &accounts).unwrap();
    assert_eq!(report.added, ["bob", "zoë", "名前", "alice2"]);
    assert_eq!(
        report.to_string(),
        "kept \"alice\": the name has an account here, which was left as it was\n\
         refused \"a:b\": a name cannot contain ':'\n\
         refused \"\": a name cannot be empty\n\
         refused \"Server\": the name is reserved for lines of the programs' own\n\
         refused \"Client-7\": the name is reserved for lines of the programs' own\n\
         refused \"eve\\n\": a name cannot contain control, invisible or direction-changing characters\n\
         refused \"carol\": a password has 1 to 1024 bytes, this one 0\n\
         refused \"dave\": a password has 1 to 1024 bytes, this one 1025\n\
         4 added, 1 kept, 7 refused\n"
    );
    assert_eq!(accounts.count().unwrap(), 5);
    assert_eq!(store(&users, &accounts).unwrap().kept.len(), 5, "importing again changes nothing");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = read(Path::new("/nowhere/users.pickle")).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere/users.pickle");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("users.pickle");
    std::fs::write(&path, "cos\nsystem\n").unwrap();
    let error = read(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is not a users.pickle of the original server", path.display()));
}

/// Single instructions with plausible arguments, which random bytes seldom make.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let fixed: &[&[u8]] = &[
        b"(",
        b"}",
        b"d",
        b"s",
        b"u",
        b"t",
        b")",
        b"N",
        b"R",
        b"\x85",
        b"\x86",
        b"\x87",
        b"\x93",
        b"\x94",
        b".",
        b"Va\n",
        b"p1\n",
        b"g1\n",
        b"q\x01",
        b"h\x01",
        b"j\x01\0\0\0",
        b"r\x01\0\0\0",
        b"cdatetime\ndatetime\n",
        b"\x8c\x08datetime",
        b"c_codecs\nencode\n",
        b"Vlatin1\n",
        b"C\x0a\x07\xe9\x0a\x0c\x17\x06\x01\x01\xe2\x40",
    ];
    prop_oneof![
        proptest::sample::select(fixed).prop_map(<[u8]>::to_vec),
        proptest::collection::vec(any::<u8>(), 1..4)
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        _ = users(&bytes);
    }

    #[test]
    fn no_program_makes_it_panic(program in proptest::collection::vec(instruction(), 0..60)) {
        _ = users(&program.concat());
    }

    #[test]
    fn no_change_of_a_good_file_makes_it_panic(at in 0_usize..1396, byte: u8, protocol in 0_usize..6) {
        let mut bytes = PROTOCOLS[protocol].to_vec();
        bytes[at] = byte;
        _ = users(&bytes);
    }
}

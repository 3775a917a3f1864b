//! A users.pickle from anywhere: it is refused with a reason, or is a list of users no larger than its file allows.

#![no_main]

use chat_server::import;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match import::users(bytes) {
        // An entry takes two bytes at the least: that of its name, remembered before, and of its value.
        Ok(users) => assert!(users.len() <= bytes.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

//! Key generation, beside `openssl genrsa` in the same run.
//!
//! `genrsa` makes one key of the size given, as ours do here. It is a process of its own, which has to be started
//! and prints its key, and that counts; `openssl version`, which does next to nothing, shows how much of the time that
//! is. Its work differs, too: see docs/performance.md. The time of one key is a matter of luck, so compare medians
//! of many.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing better to do than to stop")]
#![expect(clippy::print_stderr, reason = "that is where it says why it cannot run")]

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Duration;

use chat_core::rsa::{BigUint, KeyPair, KeySpec, primes};
use criterion::{Criterion, SamplingMode};
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

fn main() {
    if let Err(why) = openssl(&["version"]) {
        eprintln!("keygen: cannot run `openssl version`, and without openssl there is no comparison: {why}");
        eprintln!("hint: install the package `openssl`");
        std::process::exit(1);
    }
    let mut criterion = Criterion::default().configure_from_args();
    classic(&mut criterion);
    for bits in [512, 1024, 2048] {
        one_modulus(&mut criterion, bits);
    }
    primality(&mut criterion);
    criterion.final_summary();
}

/// The keys that the chat itself uses.
fn classic(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keygen/classic");
    for (pairs, bits) in [(16, 32), (64, 32)] {
        let spec = KeySpec::bits(pairs, bits).unwrap();
        group.bench_function(format!("{pairs} pairs of {bits} bits"), |bencher| {
            bencher.iter(|| KeyPair::generate(black_box(&spec)).unwrap());
        });
    }
    group.finish();
}

fn one_modulus(criterion: &mut Criterion, bits: u64) {
    let mut group = criterion.benchmark_group(format!("keygen/one modulus of {bits} bits"));
    group.sampling_mode(SamplingMode::Flat).sample_size(100).measurement_time(Duration::from_secs(20));
    let spec = KeySpec::bits(1, bits).unwrap();
    group.bench_function("ours", |bencher| bencher.iter(|| KeyPair::generate(black_box(&spec)).unwrap()));
    let size = bits.to_string();
    group.bench_function("openssl genrsa, with process", |bencher| {
        bencher.iter(|| openssl(&["genrsa", &size]).unwrap());
    });
    group.bench_function("openssl version, the process alone", |bencher| {
        bencher.iter(|| openssl(&["version"]).unwrap());
    });
    group.finish();
}

/// A full test of a number that somebody else chose: 64 rounds, the number that OpenSSL also gives its new primes.
fn primality(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keygen/is_prime");
    let mut rng = StdRng::try_from_rng(&mut SysRng).unwrap();
    for bits in [256, 512, 1024] {
        let prime: BigUint = primes::random(bits, &mut rng).unwrap();
        group.sample_size(20).bench_function(format!("prime of {bits} bits, 64 rounds"), |bencher| {
            bencher.iter(|| assert!(primes::is_prime(black_box(&prime), &mut rng)));
        });
    }
    group.finish();
}

/// Runs `openssl` to its end, throwing its output away.
fn openssl(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`openssl {}`: {status}", arguments.join(" "))),
        Err(error) => Err(error.to_string()),
    }
}

//! RSA as the chat needs it: primes, key pairs, key texts, and the original's classic cipher.
//!
//! A key here is an ordered list of small textbook-RSA keys ("pairs"), because that is what the original
//! program speaks: byte `i` of a packet goes through pair `i mod pairs`. The arithmetic is sound at any size
//! up to 4096-bit primes; the *cipher* made from it is not, which is why it stands in [`hazmat`] behind a
//! warning. Real protection between this project's own programs is the job of `noise`.
//!
//! Everything is pure: randomness arrives as an argument, except in [`KeyPair::generate`], the one convenience
//! that asks the operating system. Reading and writing key files on disk is left to the callers.
//!
//! Big integers are `num-bigint`'s, which can neither wipe its memory nor run in constant time. A private key of
//! this module therefore leaves copies behind in freed memory; only texts made from it are wiped.

mod generate;
pub mod hazmat;
mod key;
mod limits;
mod modular;
pub mod primes;
mod text;

pub use generate::{GenerateError, KeySpec};
pub use key::{KeyPair, MismatchError, PrivateKey, PrivatePair, PublicKey, PublicPair};
pub use limits::KeyLimits;
/// The integers of this module's interface.
pub use num_bigint::BigUint;
pub use text::{KeyTextError, Place};

//! The cipher of a channel, ChaCha20-Poly1305, from two sources that make the same bytes: `graviola` where the processor has
//! what that asks for, else RustCrypto by way of `snow`.
//!
//! The first is faster, above all for short records; the second runs everywhere. All else that a handshake needs is `snow`'s
//! own.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

/// Finds what a handshake is made of.
pub(super) struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        DefaultResolver.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if *choice == CipherChoice::ChaChaPoly && fast::is_supported() {
            return Some(Box::<fast::ChaChaPoly>::default());
        }
        DefaultResolver.resolve_cipher(choice)
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod fast {
    use graviola::aead::ChaCha20Poly1305;
    use snow::Error;
    use snow::types::Cipher;

    use super::super::{KEY_BYTES, TAG_BYTES};

    /// `graviola`'s, which wipes its key when it is dropped.
    pub(super) struct ChaChaPoly(ChaCha20Poly1305);

    /// Tells whether the processor has what `graviola` asks for: without it, it panics. The list is that of its
    /// `is_cpu_supported` and its README.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn is_supported() -> bool {
        is_x86_feature_detected!("adx")
            && is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("avx")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("ssse3")
    }

    /// As for the other architecture.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn is_supported() -> bool {
        use std::arch::is_aarch64_feature_detected;
        is_aarch64_feature_detected!("aes")
            && is_aarch64_feature_detected!("neon")
            && is_aarch64_feature_detected!("pmull")
            && is_aarch64_feature_detected!("sha2")
    }

    impl Default for ChaChaPoly {
        fn default() -> Self {
            Self(ChaCha20Poly1305::new([0; KEY_BYTES]))
        }
    }

    impl Cipher for ChaChaPoly {
        fn name(&self) -> &'static str {
            "ChaChaPoly"
        }

        fn set(&mut self, key: &[u8; KEY_BYTES]) {
            self.0 = ChaCha20Poly1305::new(*key);
        }

        fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
            // `snow` has seen to it that there is room for both.
            let Some((body, rest)) = out.split_at_mut_checked(plaintext.len()) else { return 0 };
            let Some(tag) = rest.first_chunk_mut::<TAG_BYTES>() else { return 0 };
            body.copy_from_slice(plaintext);
            self.0.encrypt(&nonce_bytes(nonce), authtext, body, tag);
            plaintext.len() + TAG_BYTES
        }

        fn decrypt(
            &self,
            nonce: u64,
            authtext: &[u8],
            ciphertext: &[u8],
            out: &mut [u8],
        ) -> Result<usize, Error> {
            let (sealed, tag) = ciphertext.split_last_chunk::<TAG_BYTES>().ok_or(Error::Decrypt)?;
            let body = out.get_mut(..sealed.len()).ok_or(Error::Decrypt)?;
            body.copy_from_slice(sealed);
            self.0.decrypt(&nonce_bytes(nonce), authtext, body, tag).map_err(|_| Error::Decrypt)?;
            Ok(sealed.len())
        }
    }

    /// Encodes a nonce.
    ///
    /// # Source
    ///
    /// The Noise Protocol Framework, revision 34, section 12.3: 32 bits of zeros and the counter, little-endian.
    fn nonce_bytes(nonce: u64) -> [u8; 12] {
        (u128::from(nonce) << 32).to_le_bytes().first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::TAG_BYTES;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The one that everyone has, and the one in use; on an old processor that is the same.
    fn ciphers(key: &[u8; 32]) -> [Box<dyn Cipher>; 2] {
        [
            DefaultResolver.resolve_cipher(&CipherChoice::ChaChaPoly),
            Resolver.resolve_cipher(&CipherChoice::ChaChaPoly),
        ]
        .map(|cipher| {
            let mut cipher = cipher.unwrap();
            cipher.set(key);
            cipher
        })
    }

    fn seal(cipher: &dyn Cipher, nonce: u64, ad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut out = vec![0xa5; plain.len() + TAG_BYTES];
        assert_eq!(cipher.encrypt(nonce, ad, plain, &mut out), out.len());
        out
    }

    fn open(cipher: &dyn Cipher, nonce: u64, ad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, snow::Error> {
        let mut out = vec![0xa5; sealed.len().saturating_sub(TAG_BYTES)];
        let len = cipher.decrypt(nonce, ad, sealed, &mut out)?;
        assert_eq!(len, out.len());
        Ok(out)
    }

    /// What either seals is the same, and the other opens it.
    fn check(key: &[u8; 32], nonce: u64, ad: &[u8], plain: &[u8]) {
        let ciphers = ciphers(key);
        let [theirs, ours] = ciphers.each_ref().map(|cipher| seal(&**cipher, nonce, ad, plain));
        assert_eq!(ours, theirs, "{} bytes with {} beside them", plain.len(), ad.len());
        for cipher in &ciphers {
            assert_eq!(open(&**cipher, nonce, ad, &ours).unwrap(), plain);
        }
    }

    #[test]
    fn all_lengths_around_the_blocks_of_both_are_the_same() {
        let (key, text) = (std::array::from_fn(|place| place as u8 * 7), [0x5a; 1100]);
        for len in 0..text.len() {
            check(&key, len as u64, &text[..len % 40], &text[..len]);
        }
    }

    #[test]
    fn the_longest_record_is_the_same() {
        let text: Vec<u8> =
            (0..super::super::MAX_SECURE_BYTES - TAG_BYTES).map(|place| place as u8).collect();
        check(&[9; 32], u64::MAX - 1, b"", &text);
    }

    #[test]
    fn both_make_what_openssl_makes() {
        // The vectors of RFC 8439 have nonces that are not of Noise's form; this one is OpenSSL's.
        for cipher in ciphers(&std::array::from_fn(|place| place as u8)) {
            let sealed = seal(&*cipher, 1, b"", b"hello");
            let shown: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(shown, "f7329f33dab0251d6127d1579180948721a20624aa");
        }
    }

    proptest! {
        #[test]
        fn any_record_is_the_same(
            key: [u8; 32],
            nonce in 0..u64::MAX,
            ad in vec(any::<u8>(), 0..70),
            plain in vec(any::<u8>(), 0..5000),
        ) {
            check(&key, nonce, &ad, &plain);
        }

        #[test]
        fn neither_opens_what_was_altered(plain in vec(any::<u8>(), 1..300), place: proptest::sample::Index, bit in 0..8) {
            for cipher in ciphers(&[3; 32]) {
                let mut sealed = seal(&*cipher, 7, b"beside", &plain);
                prop_assert!(open(&*cipher, 8, b"beside", &sealed).is_err());
                prop_assert!(open(&*cipher, 7, b"besides", &sealed).is_err());
                // What is shorter than a tag, `snow` refuses before it comes to the cipher.
                prop_assert!(open(&*cipher, 7, b"beside", &sealed[1..]).is_err());
                sealed[place.index(plain.len() + TAG_BYTES)] ^= 1u8 << bit;
                prop_assert!(open(&*cipher, 7, b"beside", &sealed).is_err());
            }
        }
    }
}

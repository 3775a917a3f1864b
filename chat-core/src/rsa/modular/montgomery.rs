//! Montgomery multiplication for odd moduli of any size, on slices of 64-bit digits, least significant first.
//!
//! `num-bigint` has the same inside but gives no access to it: each of its operations enters the form, leaves it
//! and allocates. Here a whole exponentiation, or a whole primality test, stays in the form.

use std::cell::Cell;
use std::cmp::Ordering;

use num_bigint::BigUint;

use super::{Ring, write_digits};

/// Numbers modulo an odd `n` above 1, each kept as `value * R mod n` with `R = 2^(64 * digits)`.
#[derive(Debug, Clone)]
pub(in crate::rsa) struct Montgomery {
    n: Vec<u64>,
    /// The inverse of `-n` modulo 2^64.
    negative_inverse: u64,
    /// `R mod n`, which is the form of 1.
    one: Vec<u64>,
}

impl Montgomery {
    /// Returns the ring modulo `n`, or `None` when `n` is even or 1.
    pub(in crate::rsa) fn new(n: &BigUint) -> Option<Self> {
        if !n.bit(0) || n.bits() < 2 {
            return None;
        }
        let digits = n.to_u64_digits();
        let low = digits.first().copied()?;
        let r = BigUint::from(1u8) << (64 * digits.len());
        let one = padded(&(r % n), digits.len());
        Some(Self { n: digits, negative_inverse: inverse(low).wrapping_neg(), one })
    }

    /// Returns the form of 1.
    pub(in crate::rsa) fn one(&self) -> &[u64] {
        &self.one
    }

    /// Returns the form of `n - 1`.
    pub(in crate::rsa) fn minus_one(&self) -> Vec<u64> {
        let mut result = self.n.clone();
        subtract(&mut result, &self.one);
        result
    }

    /// Brings a number into the form.
    pub(in crate::rsa) fn enter(&self, value: &BigUint) -> Vec<u64> {
        let n = from_digits(&self.n);
        padded(&((value << (64 * self.n.len())) % n), self.n.len())
    }

    /// Takes a number out of the form.
    pub(in crate::rsa) fn leave(&self, value: &[u64]) -> BigUint {
        from_digits(&self.leave_digits(value))
    }

    fn leave_digits(&self, value: &[u64]) -> Vec<u64> {
        let mut one = vec![0; self.n.len()];
        if let Some(low) = one.first_mut() {
            *low = 1;
        }
        let mut result = one.clone();
        self.multiply_into(value, &one, &mut result);
        result
    }

    /// Replaces `value` with its square; `scratch` has the same length.
    pub(in crate::rsa) fn square(&self, value: &mut Vec<u64>, scratch: &mut Vec<u64>) {
        self.multiply_into(value, value, scratch);
        std::mem::swap(value, scratch);
    }

    /// Writes `a * b / R mod n` to `out`. All have as many digits as the modulus.
    fn multiply_into(&self, a: &[u64], b: &[u64], out: &mut [u64]) {
        out.fill(0);
        let mut top = 0;
        for &digit in a {
            top = self.step(digit, b, out, top);
        }
        if top != 0 || compare(out, &self.n) != Ordering::Less {
            subtract(out, &self.n);
        }
    }

    /// Adds `digit * b` and as many moduli as make the sum divisible by 2^64, then divides by 2^64: one row of the
    /// schoolbook product with its reduction. `top` is the digit above `out`, before and after.
    fn step(&self, digit: u64, b: &[u64], out: &mut [u64], top: u64) -> u64 {
        let out = Cell::from_mut(out).as_slice_of_cells();
        let (mut targets, mut sources) = (out.iter(), out.iter());
        let (mut b, mut n) = (b.iter(), self.n.iter());
        let (Some(low), Some(&b0), Some(&n0)) = (sources.next(), b.next(), n.next()) else { return 0 };

        let (sum, mut carry_b) = multiply_add(digit, b0, low.get(), 0);
        let factor = sum.wrapping_mul(self.negative_inverse);
        let (_, mut carry_n) = multiply_add(factor, n0, sum, 0);
        for (((source, target), &b), &n) in sources.zip(&mut targets).zip(b).zip(n) {
            let (sum, high) = multiply_add(digit, b, source.get(), carry_b);
            carry_b = high;
            let (sum, high) = multiply_add(factor, n, sum, carry_n);
            carry_n = high;
            target.set(sum);
        }
        let sum = u128::from(top) + u128::from(carry_b) + u128::from(carry_n);
        if let Some(last) = out.last() {
            last.set(sum as u64);
        }
        (sum >> 64) as u64
    }

    fn power_binary(&self, base: &[u64], exponent: &[u64]) -> Vec<u64> {
        let (mut result, mut scratch) = (self.one.clone(), self.one.clone());
        for bit in bits(exponent) {
            self.square(&mut result, &mut scratch);
            if bit {
                self.multiply_into(&result, base, &mut scratch);
                std::mem::swap(&mut result, &mut scratch);
            }
        }
        result
    }

    fn power_windowed(&self, base: &[u64], exponent: &[u64]) -> Vec<u64> {
        let mut powers = vec![self.one.clone()];
        for _ in 1..16 {
            let mut next = vec![0; self.n.len()];
            self.multiply_into(powers.last().unwrap_or(&self.one), base, &mut next);
            powers.push(next);
        }
        let (mut result, mut scratch) = (self.one.clone(), self.one.clone());
        let nibbles =
            exponent.iter().rev().flat_map(|digit| (0..16).rev().map(move |i| digit >> (4 * i) & 15));
        for nibble in nibbles.skip_while(|&nibble| nibble == 0) {
            for _ in 0..4 {
                self.square(&mut result, &mut scratch);
            }
            if let Some(power) = powers.get(nibble as usize) {
                self.multiply_into(&result, power, &mut scratch);
                std::mem::swap(&mut result, &mut scratch);
            }
        }
        result
    }
}

impl Ring for Montgomery {
    type Value = Vec<u64>;

    fn small(&self, value: u8) -> Vec<u64> {
        self.enter(&BigUint::from(value))
    }

    fn multiply(&self, a: &Vec<u64>, b: &Vec<u64>) -> Vec<u64> {
        let mut result = vec![0; self.n.len()];
        self.multiply_into(a, b, &mut result);
        result
    }

    fn power(&self, base: &Vec<u64>, exponent: &[u64]) -> Vec<u64> {
        // A table of 16 powers pays from about fifty bits of exponent on.
        match exponent {
            [] => self.one.clone(),
            [low] if low.leading_zeros() > 16 => self.power_binary(base, exponent),
            _ => self.power_windowed(base, exponent),
        }
    }

    fn write(&self, value: &Vec<u64>, size: usize, out: &mut Vec<u8>) {
        write_digits(self.leave_digits(value).into_iter(), size, out);
    }
}

/// Returns `a * b + c + d` as its low and its high digit; it cannot overflow.
fn multiply_add(a: u64, b: u64, c: u64, d: u64) -> (u64, u64) {
    let sum = u128::from(a) * u128::from(b) + u128::from(c) + u128::from(d);
    (sum as u64, (sum >> 64) as u64)
}

fn compare(a: &[u64], b: &[u64]) -> Ordering {
    a.iter().rev().cmp(b.iter().rev())
}

/// Subtracts `b` from `a`, dropping a final borrow.
fn subtract(a: &mut [u64], b: &[u64]) {
    let mut borrow = false;
    for (a, b) in a.iter_mut().zip(b) {
        let (difference, first) = a.overflowing_sub(*b);
        let (difference, second) = difference.overflowing_sub(u64::from(borrow));
        *a = difference;
        borrow = first | second;
    }
}

/// Returns the bits of a number from its highest set one down.
fn bits(digits: &[u64]) -> impl Iterator<Item = bool> {
    let all = digits.iter().rev().flat_map(|digit| (0..64).rev().map(move |bit| digit >> bit & 1 == 1));
    all.skip_while(|bit| !bit)
}

/// Returns the inverse of an odd number modulo 2^64, by Newton's iteration.
fn inverse(odd: u64) -> u64 {
    // Right for the lowest three bits of any odd number, and each round doubles how many are right.
    let mut inverse = odd;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
    }
    inverse
}

fn padded(value: &BigUint, digits: usize) -> Vec<u64> {
    let mut result = value.to_u64_digits();
    result.resize(digits, 0);
    result
}

fn from_digits(digits: &[u64]) -> BigUint {
    super::from_digits(digits)
}

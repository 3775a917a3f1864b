//! Montgomery multiplication for odd moduli of any size, on slices of 64-bit digits, least significant first.
//!
//! `num-bigint` has the same inside but gives no access to it: each of its operations enters the form, leaves it
//! and allocates. Here a whole exponentiation, or a whole primality test, stays in the form and in two buffers.

use std::cmp::Ordering;

use num_bigint::BigUint;

use super::{Ring, from_digits, write_digits};

/// Numbers modulo an odd `n` above 1, each kept as `value * R mod n` with `R = 2^(64 * digits)`.
#[derive(Debug, Clone)]
pub(in crate::rsa) struct Montgomery {
    modulus: BigUint,
    /// The modulus once more, as digits.
    n: Vec<u64>,
    /// The inverse of `-n` modulo 2^64.
    negative_inverse: u64,
    /// `R mod n`, the form of 1.
    one: Vec<u64>,
    /// `R * R mod n`: multiplying by it brings a number into the form.
    r_squared: Vec<u64>,
}

impl Montgomery {
    /// Returns the ring modulo `n`, or `None` when `n` is even or 1.
    pub(in crate::rsa) fn new(n: &BigUint) -> Option<Self> {
        if !n.bit(0) || n.bits() < 2 {
            return None;
        }
        let digits = n.to_u64_digits();
        let low = digits.first().copied()?;
        let r = (BigUint::from(1u8) << (64 * digits.len())) % n;
        let [one, r_squared] = [padded(&r, digits.len()), padded(&(&r * &r % n), digits.len())];
        Some(Self {
            modulus: n.clone(),
            n: digits,
            negative_inverse: inverse(low).wrapping_neg(),
            one,
            r_squared,
        })
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
        let mut result = padded(&(value % &self.modulus), self.n.len());
        self.multiply_by(&mut result, &self.r_squared, &mut self.buffer());
        result
    }

    /// Takes a number out of the form.
    pub(in crate::rsa) fn leave(&self, value: &[u64]) -> BigUint {
        from_digits(&self.leave_digits(value))
    }

    fn leave_digits(&self, value: &[u64]) -> Vec<u64> {
        let mut result = value.to_vec();
        let mut product = self.buffer();
        copy(&mut product, value);
        self.reduce(&mut product, &mut result);
        result
    }

    /// Returns the room that a product takes before its reduction.
    pub(in crate::rsa) fn buffer(&self) -> Vec<u64> {
        vec![0; 2 * self.n.len()]
    }

    /// Replaces `value` with its square.
    pub(in crate::rsa) fn square(&self, value: &mut [u64], product: &mut [u64]) {
        square_wide(value, product);
        self.reduce(product, value);
    }

    /// Replaces `value` with its product with `factor`.
    fn multiply_by(&self, value: &mut [u64], factor: &[u64], product: &mut [u64]) {
        product.fill(0);
        for (shift, &digit) in value.iter().enumerate() {
            add_multiple(product, shift, factor, digit);
        }
        self.reduce(product, value);
    }

    /// Writes `product / R mod n` to `out`: adds the multiple of `n` that clears the lower half, and takes the upper.
    fn reduce(&self, product: &mut [u64], out: &mut [u64]) {
        let mut overflow = false;
        for shift in 0..self.n.len() {
            let digit = product.get(shift).copied().unwrap_or(0);
            overflow |= add_multiple(product, shift, &self.n, digit.wrapping_mul(self.negative_inverse));
        }
        copy(out, product.get(self.n.len()..).unwrap_or(&[]));
        if overflow || compare(out, &self.n) != Ordering::Less {
            subtract(out, &self.n);
        }
    }

    fn power_binary(&self, base: &[u64], exponent: &[u64]) -> Vec<u64> {
        let (mut result, mut product) = (self.one.clone(), self.buffer());
        let bits =
            exponent.iter().rev().flat_map(|digit| (0..64).rev().map(move |bit| digit >> bit & 1 == 1));
        for (position, bit) in bits.skip_while(|bit| !bit).enumerate() {
            match position {
                0 => result.copy_from_slice(base),
                _ => self.square(&mut result, &mut product),
            }
            if bit && position > 0 {
                self.multiply_by(&mut result, base, &mut product);
            }
        }
        result
    }

    fn power_windowed(&self, base: &[u64], exponent: &[u64]) -> Vec<u64> {
        let (mut result, mut product) = (self.one.clone(), self.buffer());
        let mut powers = vec![self.one.clone()];
        for _ in 1..16 {
            self.multiply_by(&mut result, base, &mut product);
            powers.push(result.clone());
        }
        let nibbles =
            exponent.iter().rev().flat_map(|digit| (0..16).rev().map(move |i| digit >> (4 * i) & 15));
        result.copy_from_slice(&self.one);
        for nibble in nibbles.skip_while(|&nibble| nibble == 0) {
            for _ in 0..4 {
                self.square(&mut result, &mut product);
            }
            if let Some(power) = powers.get(nibble as usize) {
                self.multiply_by(&mut result, power, &mut product);
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
        let mut result = a.clone();
        self.multiply_by(&mut result, b, &mut self.buffer());
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

/// Adds `digit * factor`, moved up by `shift` digits, to `sum`; returns whether that ran over its end.
fn add_multiple(sum: &mut [u64], shift: usize, factor: &[u64], digit: u64) -> bool {
    let Some((low, high)) = sum.get_mut(shift..).and_then(|sum| sum.split_at_mut_checked(factor.len()))
    else {
        return false;
    };
    let mut carry = 0;
    for (sum, &factor) in low.iter_mut().zip(factor) {
        (*sum, carry) = multiply_add(digit, factor, *sum, carry);
    }
    for sum in high {
        let (result, overflow) = sum.overflowing_add(carry);
        *sum = result;
        if !overflow {
            return false;
        }
        carry = 1;
    }
    carry > 0
}

/// Writes the square of `value` to `square`, which is twice as long: every product of two different digits once,
/// doubled, and the squares of the digits. That spares nearly half the multiplications.
fn square_wide(value: &[u64], square: &mut [u64]) {
    square.fill(0);
    for (position, &digit) in value.iter().enumerate() {
        let rest = value.get(position + 1..).unwrap_or(&[]);
        add_multiple(square, 2 * position + 1, rest, digit);
    }
    let (mut shifted_out, mut carry) = (0, 0);
    for (&digit, [low, high]) in value.iter().zip(square.as_chunks_mut().0) {
        let doubled = [*low << 1 | shifted_out, *high << 1 | *low >> 63];
        shifted_out = *high >> 63;
        let (sum, digit_high) = multiply_add(digit, digit, doubled[0], carry);
        *low = sum;
        let (sum, overflow) = doubled[1].overflowing_add(digit_high);
        *high = sum;
        carry = u64::from(overflow);
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

/// Copies what there is of `from` to the start of `to`.
fn copy(to: &mut [u64], from: &[u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Returns the inverse of an odd number modulo 2^64, by Newton's iteration.
fn inverse(odd: u64) -> u64 {
    // An odd number is its own inverse in the lowest three bits, and each round doubles how many are right.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn even_moduli_and_one_are_left_to_others() {
        for n in [0u32, 1, 2, 256, 1 << 20] {
            assert!(Montgomery::new(&BigUint::from(n)).is_none(), "{n}");
        }
    }

    fn biguint(digits: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = BigUint> {
        // Digits of all ones and of all zeros are where carries go wrong.
        let digit = prop_oneof![any::<u32>(), Just(u32::MAX), Just(0)];
        prop::collection::vec(digit, digits).prop_map(BigUint::new)
    }

    proptest! {
        #[test]
        fn agrees_with_num_bigint(a in biguint(0..40), b in biguint(0..40), exponent in biguint(0..6),
                n in biguint(1..40)) {
            let n = n | BigUint::from(3u8);
            let ring = Montgomery::new(&n).unwrap();
            let (in_a, in_b) = (ring.enter(&a), ring.enter(&b));
            prop_assert_eq!(ring.leave(&in_a), &a % &n);
            prop_assert_eq!(ring.leave(&ring.multiply(&in_a, &in_b)), &a * &b % &n);
            prop_assert_eq!(ring.leave(&ring.power(&in_a, &exponent.to_u64_digits())), a.modpow(&exponent, &n));
            let mut square = in_a.clone();
            ring.square(&mut square, &mut ring.buffer());
            prop_assert_eq!(ring.leave(&square), &a * &a % &n);
            prop_assert_eq!(ring.leave(&ring.minus_one()), &n - 1u32);
            prop_assert_eq!(ring.leave(ring.one()), BigUint::from(1u8));
        }
    }
}

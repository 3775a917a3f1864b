//! PING: an opaque body that the other side sends back, to time the round trip or to see that somebody is there.

/// Most bytes of a PING body.
pub const MAX_PING_BYTES: usize = 64;

const REQUEST: u8 = 0x00;
const REPLY: u8 = 0x01;

/// Tells whether a body is a request or a reply of allowed length.
#[must_use]
pub fn is_valid(body: &[u8]) -> bool {
    body.len() <= MAX_PING_BYTES && matches!(body.first(), Some(&(REQUEST | REPLY)))
}

/// Makes a request that carries `token`.
#[must_use]
pub fn request(token: u64) -> [u8; 9] {
    let mut body = [REQUEST; 9];
    for (to, from) in body.iter_mut().skip(1).zip(token.to_be_bytes()) {
        *to = from;
    }
    body
}

/// Makes the reply to a request; `None` if `body` is not a request.
#[must_use]
pub fn reply_to(body: &[u8]) -> Option<Vec<u8>> {
    if !is_valid(body) || body.first() != Some(&REQUEST) {
        return None;
    }
    let mut reply = body.to_vec();
    *reply.first_mut()? = REPLY;
    Some(reply)
}

/// Reads the token of a reply to one of our requests; `None` for anything else.
#[must_use]
pub fn replied_token(body: &[u8]) -> Option<u64> {
    let (&REPLY, token) = body.split_first()? else { return None };
    Some(u64::from_be_bytes(token.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_carries_the_token_and_is_not_answered() {
        let reply = reply_to(&request(0x0102_0304)).unwrap();
        assert_eq!(replied_token(&reply), Some(0x0102_0304));
        assert_eq!(reply_to(&reply), None);
    }

    #[test]
    fn strange_bodies_are_refused() {
        for body in [&b""[..], &[2, 0], &[0; 65]] {
            assert!(!is_valid(body) && reply_to(body).is_none());
        }
        assert_eq!(reply_to(&[0]), Some(vec![1]));
        assert_eq!(replied_token(&[1, 2]), None);
    }
}

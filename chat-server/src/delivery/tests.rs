//! What waits for readers that do not read, over real sockets.

use std::net::{Ipv4Addr, TcpListener, TcpStream as Blocking};

use chat_core::rsa::hazmat::{Decryptor, Encryptor};
use chat_core::rsa::{BigUint, KeyPair, KeySpec, PublicKey, PublicPair};
use socket2::SockRef;

use super::*;

const BOUNDS: Bounds = Bounds { each: 1024 * 1024, together: 4 * 1024 * 1024 };

/// Most that may wait for one reader, who is given up for it.
const MOST: usize = BOUNDS.each + 2 * BATCH_BYTES + 4096;

/// A connection that is sent to, and the socket that is not read.
struct Reader {
    key: PeerKey,
    _socket: Blocking,
}

fn readers(delivery: &mut Delivery, count: u64) -> Vec<Reader> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut connect = |number| {
        let socket = Blocking::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        // Much less than a batch.
        SockRef::from(&accepted).set_send_buffer_size(4096).unwrap();
        SockRef::from(&socket).set_recv_buffer_size(4096).unwrap();
        accepted.set_nonblocking(true).unwrap();
        let key = delivery.add(ClientId(number), Rc::new(TcpStream::from_std(accepted)));
        delivery.hear(key);
        Reader { key, _socket: socket }
    };
    (1..=count).map(&mut connect).collect()
}

/// The cipher that makes most of a byte.
fn dearest_cipher() -> Cipher {
    let modulus = (BigUint::from(1_u8) << 511_u32) + 1_u8;
    let public = PublicKey::new(vec![PublicPair::new(modulus, BigUint::from(3_u8)).unwrap()]).unwrap();
    let ours = KeyPair::generate(&KeySpec::bits(1, 32).unwrap()).unwrap();
    let (encryptor, decryptor) = (Encryptor::new(&public), Rc::new(Decryptor::new(&ours)));
    Cipher::Classic(Box::new(Classic { encryptor, decryptor }))
}

/// Says `count` messages of ten kilobytes to everyone.
fn say(delivery: &mut Delivery, count: usize) {
    for _ in 0..count {
        delivery.broadcast(PacketType::MESSAGE, &[b'x'; 10_000]).unwrap();
    }
}

fn waiting(delivery: &mut Delivery, reader: &Reader) -> usize {
    delivery.peer(reader.key).unwrap().waiting_bytes()
}

#[test]
fn a_batch_that_encryption_makes_a_hundred_times_as_long_is_not_kept() {
    let mut delivery = Delivery::new(BOUNDS, None);
    let readers = readers(&mut delivery, 8);
    for reader in &readers {
        delivery.set_cipher(reader.key, dearest_cipher());
    }
    say(&mut delivery, 20);
    delivery.flush();
    for reader in &readers {
        assert_eq!(delivery.why_cut_off(reader.key), Some(Closed::QueueFull));
        assert!(waiting(&mut delivery, reader) <= BOUNDS.each);
    }
}

#[test]
fn what_is_made_ready_for_many_is_bounded_as_well() {
    let mut delivery = Delivery::new(BOUNDS, None);
    let readers = readers(&mut delivery, 8);
    for reader in &readers {
        delivery.set_cipher(reader.key, dearest_cipher());
    }
    say(&mut delivery, 20);
    for reader in &readers {
        // An answer comes behind the batch so far, which is encrypted before it.
        delivery.reply(reader.key, PacketType::TIME, b"noon").unwrap();
        let ready: usize =
            readers.iter().map(|reader| delivery.peer(reader.key).unwrap().ready_bytes()).sum();
        assert!(ready <= READY_BYTES, "{ready}");
    }
}

#[test]
fn all_together_keep_no_more_than_they_may_at_any_moment() {
    let mut delivery = Delivery::new(BOUNDS, None);
    let readers = readers(&mut delivery, 24);
    // Answers come before the batch, so everybody's bytes are copies of its own.
    for _ in 0..6 {
        for reader in &readers {
            delivery.reply(reader.key, PacketType::DATE, &[b'd'; 60_000]).unwrap();
            let now = delivery.waiting.get();
            assert!(now <= BOUNDS.together, "{now}");
        }
        say(&mut delivery, 3);
        delivery.flush();
        let now = delivery.waiting.get();
        assert!(now <= BOUNDS.together, "{now}");
        for reader in &readers {
            assert!(waiting(&mut delivery, reader) <= MOST);
        }
    }
    let reasons: Vec<_> = readers.iter().filter_map(|reader| delivery.why_cut_off(reader.key)).collect();
    assert!(reasons.contains(&Closed::AllQueuesFull) && reasons.len() < readers.len(), "{reasons:?}");
}

#[test]
fn a_list_is_judged_without_the_one_that_it_replaces() {
    let mut delivery = Delivery::new(BOUNDS, None);
    let reader = readers(&mut delivery, 1).pop().unwrap();
    // With one list there is room left, with two it would be beyond all bounds.
    while waiting(&mut delivery, &reader) < BOUNDS.each / 100 * 42 {
        say(&mut delivery, 1);
        delivery.flush();
    }
    let list = "x".repeat(BOUNDS.each / 100 * 55);
    for _ in 0..3 {
        delivery.broadcast_list(|| &list, "", HashSet::from([ClientId(2)])).unwrap();
        delivery.flush();
    }
    assert_eq!(delivery.why_cut_off(reader.key), None);
    assert!(waiting(&mut delivery, &reader) <= BOUNDS.each);
}

#[test]
fn whoever_is_given_up_is_left_at_the_end_of_a_packet() {
    let packets = {
        let mut packets = Vec::new();
        for body in [&b"one"[..], b"", b"three"] {
            frame::write_frame(&mut packets, PacketType::MESSAGE, body).unwrap();
        }
        packets
    };
    let ends: Vec<usize> = (0..=packets.len()).map(|place| peer::end_of_packet(&packets, place)).collect();
    let expected = |place| [0, 8, 13, 23].into_iter().find(|end| *end >= place).unwrap();
    assert_eq!(ends, (0..=packets.len()).map(expected).collect::<Vec<_>>());
}

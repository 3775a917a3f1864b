//! A stream as a stranger sends it: cutting it into packets, in whatever pieces it comes, and reading every packet's
//! request and every text that our client takes apart.

#![no_main]

use chat_core::frame::{FrameBuffer, split_frame, write_frame};
use chat_core::hello::Hello;
use chat_core::notice::{self, Notice, NoticeCode};
use chat_core::packet::Request;
use chat_core::{ping, text};
use libfuzzer_sys::fuzz_target;

/// A limit that small inputs can exceed.
const MAX_PACKET_LEN: usize = 2048;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, stream) = input;
    let mut rest = stream;
    let mut written = Vec::new();
    let mut kinds = Vec::new();
    let ended = loop {
        match split_frame(rest, MAX_PACKET_LEN) {
            Ok(Some(frame)) => {
                write_frame(&mut written, frame.kind, frame.body).expect("what was read can be written");
                kinds.push(frame.kind);
                read_body(frame.kind, frame.body);
                rest = &rest[frame.wire_len()..];
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(written, stream[..stream.len() - rest.len()], "what was read is what is written");

    let mut buffer = FrameBuffer::default();
    let mut seen = kinds.iter();
    for piece in stream.chunks(usize::from(step).max(1)) {
        buffer.extend(piece);
        loop {
            match buffer.next_frame(MAX_PACKET_LEN) {
                Ok(Some(frame)) => assert_eq!(Some(&frame.kind), seen.next()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(Err(error), ended);
                    assert!(seen.next().is_none());
                    return;
                }
            }
        }
    }
    assert!(ended.is_ok() && seen.next().is_none(), "the pieces make the same packets");
});

fn read_body(kind: chat_core::packet::PacketType, body: &[u8]) {
    match Request::decode(kind, body) {
        Ok(Request::Hello(hello)) => assert_eq!(Hello::parse(&hello.encode()), Some(hello)),
        Ok(Request::Ping(body)) => assert!(ping::reply_to(body).is_none_or(|reply| ping::is_valid(&reply))),
        Ok(request) => _ = format!("{request:?}"),
        Err(error) => _ = error.to_string(),
    }
    let Ok(body) = std::str::from_utf8(body) else { return };
    if let Some((shown, key)) = text::split_encryption_on(body) {
        assert!(shown.len() + key.len() < body.len());
    }
    let mut names: Vec<&str> = text::split_user_list(body).collect();
    names.sort_unstable();
    assert_eq!(text::split_user_list(&text::user_list(names.iter().copied())).collect::<Vec<_>>(), names);
    if let Some(notice) = Notice::parse(body) {
        let code = NoticeCode::from_word(&notice.code).unwrap_or(NoticeCode::Idle);
        let again = Notice::parse(&notice::encode(code, &notice.text)).expect("what was written can be read");
        assert_eq!(again.text, notice.text);
    }
}

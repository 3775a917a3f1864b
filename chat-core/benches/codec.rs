//! Cutting a stream into packets and writing packets: how many bytes a second the framing passes on.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing better to do than to stop")]

use std::hint::black_box;

use chat_core::frame::{FrameBuffer, MAX_PACKET_LEN, split_frame, write_frame};
use chat_core::packet::{PacketType, Request};
use criterion::{Criterion, Throughput};

/// Packets in one stream.
const PACKETS: usize = 1000;

/// Body lengths: a line of chat, and a page of text.
const BODY_LENS: [usize; 2] = [64, 4096];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for body_len in BODY_LENS {
        codec(&mut criterion, body_len);
    }
    criterion.final_summary();
}

fn codec(criterion: &mut Criterion, body_len: usize) {
    let body = vec![b'x'; body_len];
    let mut stream = Vec::new();
    for _ in 0..PACKETS {
        write_frame(&mut stream, PacketType::MESSAGE, &body).unwrap();
    }

    let mut group = criterion.benchmark_group(format!("codec/{body_len}-byte bodies"));
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("write_frame", |bencher| {
        let mut out = Vec::with_capacity(stream.len());
        bencher.iter(|| {
            out.clear();
            for _ in 0..PACKETS {
                write_frame(&mut out, PacketType::MESSAGE, black_box(&body)).unwrap();
            }
            out.len()
        });
    });
    group.bench_function("split_frame", |bencher| {
        bencher.iter(|| {
            let (mut rest, mut bytes) = (black_box(&stream[..]), 0);
            while let Some(frame) = split_frame(rest, MAX_PACKET_LEN).unwrap() {
                bytes += frame.body.len();
                rest = rest.get(frame.wire_len()..).unwrap_or_default();
            }
            bytes
        });
    });
    // As a server receives it: in pieces that end anywhere, each packet read down to its meaning.
    group.bench_function("FrameBuffer and Request", |bencher| {
        bencher.iter(|| {
            let (mut buffer, mut bytes) = (FrameBuffer::default(), 0);
            for piece in black_box(&stream).chunks(16 * 1024) {
                buffer.extend(piece);
                while let Some(frame) = buffer.next_frame(MAX_PACKET_LEN).unwrap() {
                    if let Request::Message(text) = Request::decode(frame.kind, frame.body).unwrap() {
                        bytes += text.len();
                    }
                }
            }
            bytes
        });
    });
    group.finish();
}

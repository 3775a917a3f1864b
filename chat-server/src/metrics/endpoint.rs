//! Serves the metrics over HTTP, on an address of their own: few at a time, one answer each, little time for it.
//!
//! It runs beside the reactor of the chat's connections and shares nothing with it but the counters.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::request::{self, Asked, MAX_HEAD_BYTES};

/// How long a connection may take, from its beginning to its end.
const DEADLINE: Duration = Duration::from_secs(5);

/// Connections served at a time; further ones wait.
const AT_A_TIME: usize = 4;

/// Connections that may wait.
const BACKLOG: i32 = 16;

/// How long accepting pauses when there are no descriptors or no memory for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Most bytes that are read of what follows a request, so that the answer is not lost to a reset.
const MOST_BEHIND: u64 = 64 * 1024;

/// A socket that listens for those who read metrics.
#[derive(Debug)]
pub(crate) struct Endpoint(std::net::TcpListener);

impl Endpoint {
    /// Listens on an address; nobody is answered yet.
    ///
    /// # Errors
    ///
    /// The system's error, such as `AddrInUse`.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self(socket.into()))
    }

    /// Returns the address that is listened on.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers for ever, each time with what `text` gives.
    pub(crate) async fn serve_forever(self, text: impl AsyncFn() -> String + 'static) {
        let listener = match TcpListener::from_std(self.0) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, "the metrics cannot be served");
                return std::future::pending().await;
            }
        };
        let (text, turns) = (Rc::new(text), Arc::new(Semaphore::new(AT_A_TIME)));
        while let Ok(turn) = Arc::clone(&turns).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let text = Rc::clone(&text);
                    tokio::task::spawn_local(async move {
                        let _turn = turn;
                        match tokio::time::timeout(DEADLINE, exchange(stream, &*text)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::debug!(%peer, %error, "a reader of metrics was lost"),
                            Err(_) => tracing::debug!(%peer, "a reader of metrics took too long"),
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept readers of metrics; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Reads one request and answers it.
async fn exchange(mut stream: TcpStream, text: &impl AsyncFn() -> String) -> io::Result<()> {
    let Some(asked) = read_head(&mut stream).await? else { return Ok(()) };
    let answer = match asked {
        Asked::Metrics => request::metrics(&text().await),
        refused => request::refusal(refused),
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // A socket that is closed with something unread is reset, and the answer with it.
    tokio::io::copy(&mut stream.take(MOST_BEHIND), &mut tokio::io::sink()).await.map(drop)
}

/// Reads until it is clear what is asked; `None` if the reader is gone before that.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<Asked>> {
    let (mut head, mut stream) = (Vec::new(), stream.take(MAX_HEAD_BYTES as u64));
    while stream.read_buf(&mut head).await? > 0 {
        if let Some(asked) = request::asked(&head) {
            return Ok(Some(asked));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves "counted" on some port of this machine.
    fn serve() -> SocketAddr {
        let endpoint = Endpoint::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = endpoint.local_addr().unwrap();
        tokio::task::spawn_local(endpoint.serve_forever(async || "counted\n".to_owned()));
        address
    }

    /// Sends some bytes and returns everything that comes back.
    async fn send(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    const GET: &[u8] = b"GET /metrics HTTP/1.1\r\n\r\n";

    #[tokio::test(flavor = "local")]
    async fn one_request_gets_one_answer_and_the_end_of_the_connection() {
        let address = serve();
        let answer = send(address, GET).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\ncounted\n"),
            "{answer}"
        );
        assert_eq!(send(address, &GET.repeat(2)).await, answer);
        let post =
            [b"POST /metrics HTTP/1.1\r\nContent-Length: 30000\r\n\r\n".as_slice(), &[b'x'; 30_000]].concat();
        assert!(send(address, &post).await.starts_with("HTTP/1.1 405 "));
        assert!(send(address, &[b'A'; MAX_HEAD_BYTES]).await.starts_with("HTTP/1.1 400 "));
        let endless = [b"GET /metrics HTTP/1.1\r\nA: ".as_slice(), &[b'x'; MAX_HEAD_BYTES]].concat();
        assert!(send(address, &endless).await.starts_with("HTTP/1.1 400 "));
    }

    #[tokio::test(start_paused = true, flavor = "local")]
    async fn those_who_say_nothing_are_cut_off_and_others_wait_no_longer_than_that() {
        let address = serve();
        let mut silent = Vec::new();
        for _ in 0..AT_A_TIME {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let started = tokio::time::Instant::now();
        assert!(send(address, GET).await.starts_with("HTTP/1.1 200 "));
        assert!(started.elapsed() >= DEADLINE, "{:?}", started.elapsed());
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        }
    }
}

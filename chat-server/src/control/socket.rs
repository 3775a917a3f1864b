//! The server's end of the control socket: a few connections at a time, one short request each, little time for it.
//!
//! Nobody but the server's own user, and root, can connect. The limits keep a script that went wrong from costing the chat
//! anything.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::{Reply, Request, path_in};

/// The longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 4096;

/// How long a connection may take, from its beginning to its end.
const DEADLINE: Duration = Duration::from_secs(5);

/// Connections served at a time; further ones wait.
const AT_A_TIME: usize = 4;

/// Connections that may wait.
const BACKLOG: i32 = 16;

/// How long accepting pauses when there are no descriptors or no memory for a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A control socket that listens. Its file goes with it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: std::os::unix::net::UnixListener,
    file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // What stays behind is replaced at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

impl ControlSocket {
    /// Listens in a data directory, whose lock the caller holds: a socket that is there already is then nobody's, left
    /// behind by a server that was killed.
    ///
    /// # Errors
    ///
    /// What the system says; `InvalidInput` if the path is too long for a socket's.
    pub(crate) fn bind(data: &Path) -> io::Result<Self> {
        let path = path_in(data);
        let address = SockAddr::unix(&path)?;
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address)?;
        let file = SocketFile(path);
        // Nobody can connect before it listens.
        fs::set_permissions(&file.0, fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        Ok(Self { listener: socket.into(), file })
    }

    /// Answers requests for ever.
    pub(crate) async fn serve_forever(self, answer: impl AsyncFn(Request) -> Reply + 'static) {
        let Self { listener, file: _file } = self;
        let listener = match UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, "the control socket cannot be used");
                return std::future::pending().await;
            }
        };
        let (answer, turns) = (Rc::new(answer), Arc::new(Semaphore::new(AT_A_TIME)));
        while let Ok(turn) = Arc::clone(&turns).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let answer = Rc::clone(&answer);
                    tokio::task::spawn_local(async move {
                        let _turn = turn;
                        match tokio::time::timeout(DEADLINE, exchange(stream, &*answer)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::debug!(%error, "a control connection was lost"),
                            Err(_) => tracing::debug!("a control connection took too long"),
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept control connections; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Reads one request and answers it.
async fn exchange(mut stream: UnixStream, answer: &impl AsyncFn(Request) -> Reply) -> io::Result<()> {
    let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
    let mut line = Vec::new();
    BufReader::new((&mut stream).take(MAX_REQUEST_BYTES)).read_until(b'\n', &mut line).await?;
    let reply = if line.ends_with(b"\n") {
        match serde_json::from_slice(&line) {
            Ok(request) => answer_and_log(request, uid, answer).await,
            Err(error) => Reply::Error(format!("the request is not understood: {error}")),
        }
    } else {
        Reply::Error(format!("the request is no line of at most {MAX_REQUEST_BYTES} bytes"))
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

/// Answers, and logs what was asked, by whom and with what success; at a level at which it is usually seen if it was to
/// change something.
async fn answer_and_log(
    request: Request,
    uid: Option<u32>,
    answer: &impl AsyncFn(Request) -> Reply,
) -> Reply {
    let asked = format!("{request:?}");
    let only_looks = matches!(
        request,
        Request::Status {} | Request::Metrics {} | Request::Users { .. } | Request::User { .. }
    );
    let reply = answer(request).await;
    let outcome = match &reply {
        Reply::Refused(why) | Reply::Error(why) => why,
        _ => "done",
    };
    if only_looks {
        tracing::debug!(request = asked, uid, outcome, "control request");
    } else {
        tracing::info!(request = asked, uid, outcome, "control request");
    }
    reply
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    /// Runs a control socket whose every answer is an error with these words.
    fn serve(data: &Path, words: &'static str) -> tokio::task::JoinHandle<()> {
        let socket = ControlSocket::bind(data).unwrap();
        tokio::task::spawn_local(socket.serve_forever(async move |_| Reply::Error(words.to_owned())))
    }

    /// Sends some bytes and returns everything that comes back.
    async fn send(data: &Path, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(path_in(data)).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test(flavor = "local")]
    async fn one_request_gets_one_reply_and_the_end_of_the_connection() {
        let data = tempfile::tempdir().unwrap();
        let serving = serve(data.path(), "seen");
        assert_eq!(fs::metadata(path_in(data.path())).unwrap().mode() & 0o7777, 0o600);
        let asked = b"{\"command\":\"status\"}\n".as_slice();
        assert_eq!(send(data.path(), asked).await, "{\"error\":\"seen\"}\n");
        assert_eq!(send(data.path(), &asked.repeat(2)).await, "{\"error\":\"seen\"}\n");
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert!(!path_in(data.path()).exists());
    }

    #[tokio::test(flavor = "local")]
    async fn what_is_no_request_is_told_so() {
        let data = tempfile::tempdir().unwrap();
        serve(data.path(), "seen");
        let deep = ["[".repeat(4000), "\n".to_owned()].concat();
        let unknown = b"{\"command\":\"reboot\"}\n".as_slice();
        let surplus = b"{\"command\":\"status\",\"of\":\"you\"}\n".as_slice();
        for request in [b"\n".as_slice(), b"status\n", b"\xff\xfe\n", unknown, surplus, deep.as_bytes()] {
            let reply = send(data.path(), request).await;
            assert!(reply.starts_with("{\"error\":\"the request is not understood: "), "{reply}");
        }
        let endless = [b' '; MAX_REQUEST_BYTES as usize];
        let reply = send(data.path(), &endless).await;
        assert_eq!(reply, "{\"error\":\"the request is no line of at most 4096 bytes\"}\n");
    }

    #[tokio::test(start_paused = true, flavor = "local")]
    async fn those_who_say_nothing_are_cut_off_and_others_wait_no_longer_than_that() {
        let data = tempfile::tempdir().unwrap();
        serve(data.path(), "seen");
        let mut silent = Vec::new();
        for _ in 0..AT_A_TIME {
            silent.push(UnixStream::connect(path_in(data.path())).await.unwrap());
        }
        let started = tokio::time::Instant::now();
        assert_eq!(send(data.path(), b"{\"command\":\"status\"}\n").await, "{\"error\":\"seen\"}\n");
        assert!(started.elapsed() >= DEADLINE, "{:?}", started.elapsed());
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        }
    }

    #[test]
    fn what_a_killed_server_left_behind_is_replaced() {
        let data = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(path_in(data.path())).unwrap());
        ControlSocket::bind(data.path()).unwrap();
        fs::write(path_in(data.path()), "no socket").unwrap();
        ControlSocket::bind(data.path()).unwrap();
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_an_error() {
        let data = tempfile::tempdir().unwrap();
        let deep = data.path().join("x".repeat(120));
        fs::create_dir(&deep).unwrap();
        assert_eq!(ControlSocket::bind(&deep).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

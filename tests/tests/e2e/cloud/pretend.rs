//! The pretend cloud itself: started once for all tests of this program, and gone with it.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// The first start on a machine makes the root directory of the pretend machines, over the network.
const START_WITHIN: Duration = Duration::from_secs(600);
/// A command may run something in a machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);
/// The regions that have one of the default types, one for each test.
const REGIONS: [&str; 22] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-central-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-south-1",
    "sa-east-1",
    "ca-central-1",
    "ap-northeast-3",
    "eu-north-1",
    "eu-south-1",
    "eu-central-2",
    "ap-east-1",
    "af-south-1",
    "me-south-1",
];

/// The pretend cloud, which runs for as long as this program does.
pub(crate) struct PretendCloud {
    api: SocketAddr,
    regions_taken: AtomicUsize,
    /// It ends when its standard input does.
    _process: Child,
}

/// Returns the cloud, and starts it if it does not run yet.
pub(crate) fn cloud() -> &'static PretendCloud {
    static CLOUD: LazyLock<PretendCloud> = LazyLock::new(PretendCloud::start);
    &CLOUD
}

impl PretendCloud {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("cloud/start");
        let mut process = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = process.stdout.take().unwrap();
        let (first_line, wait) = mpsc::channel();
        thread::spawn(move || first_line.send(BufReader::new(output).lines().next()));
        let line = wait.recv_timeout(START_WITHIN).expect("the pretend cloud starts in time");
        let line = line.expect("the pretend cloud starts; it wrote above why it does not").unwrap();
        let api = line.trim_start_matches("http://").parse().unwrap();
        Self { api, regions_taken: AtomicUsize::new(0), _process: process }
    }

    /// Returns where EC2 answers.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.api)
    }

    /// Returns a region that no other test has.
    pub(crate) fn take_region(&self) -> &'static str {
        let taken = self.regions_taken.fetch_add(1, Ordering::Relaxed);
        REGIONS.get(taken).expect("there are as many regions as tests")
    }

    /// Asks the cloud for something that no real one does: a function of `tests/cloud/cloud.py`, which must succeed.
    pub(crate) fn ask(&self, function: &str, arguments: &Value) -> Value {
        self.try_ask(function, arguments).unwrap_or_else(|error| panic!("{function} {arguments}: {error}"))
    }

    /// As [`Self::ask`], and it may fail.
    pub(crate) fn try_ask(&self, function: &str, arguments: &Value) -> Result<Value, Box<dyn Error>> {
        let body = arguments.to_string();
        let mut connection = TcpStream::connect(self.api)?;
        connection.set_read_timeout(Some(ANSWER_WITHIN))?;
        // The older version ends the connection with the answer.
        write!(
            connection,
            "POST /test/{function} HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
            self.api,
            body.len()
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        match serde_json::from_str(body)? {
            value if head.lines().next().is_some_and(|status| status.contains(" 200 ")) => Ok(value),
            Value::String(trace) => Err(trace.into()),
            value => Err(value.to_string().into()),
        }
    }
}

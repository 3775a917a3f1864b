//! The adapter over an HTTP client that answers from a script: what is sent, what is made of answers, what is tried again.

mod connect;
mod failures;
mod permissions;
mod requests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_ec2::config::http::HttpRequest;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{BehaviorVersion, Builder, Config, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::*;
use crate::cloud::UserData;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const MAX_ATTEMPTS: u32 = 3;

/// What becomes of a request.
#[derive(Clone, Debug)]
enum Reply {
    /// It is answered.
    Answer(u16, String),
    /// It arrives, and the answer is lost.
    Lost,
    /// It is never answered.
    Silence,
}

/// An EC2 that gives these replies one after the other, and then the last one for ever.
#[derive(Clone, Debug)]
struct Script(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    replies: VecDeque<Reply>,
    requests: Vec<Request>,
}

/// A request as EC2 reads it: the fields of a form.
type Request = BTreeMap<String, String>;

impl Script {
    fn of(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = replies.into_iter().collect();
        Self(Arc::new(Mutex::new(State { replies, requests: Vec::new() })))
    }

    fn ec2(&self) -> Ec2 {
        self.ec2_with(|config| config)
    }

    /// Builds the adapter as it is in use, but for pauses and time limits, which are short.
    fn ec2_with(&self, change: impl FnOnce(Builder) -> Builder) -> Ec2 {
        self.ec2_until(&Interrupt::default(), change)
    }

    /// The same, for a run that may be asked to stop.
    fn ec2_until(&self, interrupt: &Interrupt, change: impl FnOnce(Builder) -> Builder) -> Ec2 {
        let pause = Duration::from_millis(1);
        let retries = RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("AKIDEXAMPLE", SECRET, None, None, "test"))
            .retry_config(retries.with_initial_backoff(pause).with_max_backoff(pause))
            .timeout_config(
                TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5)).build(),
            )
            .http_client(self.clone());
        Ec2::over(change(config), "us-east-1".to_owned(), Driver::start().unwrap(), interrupt.clone())
    }

    fn requests(&self) -> Vec<Request> {
        self.0.lock().unwrap().requests.clone()
    }

    /// The only request there was.
    fn request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests[0].clone()
    }
}

impl HttpClient for Script {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.0.lock().unwrap();
        state.requests.push(read_form(request.body().bytes().unwrap()));
        let last = state.replies.len() == 1;
        let reply = if last { state.replies.front().cloned() } else { state.replies.pop_front() };
        match reply.unwrap() {
            Reply::Answer(status, body) => {
                let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
                response.headers_mut().insert("x-amzn-requestid", "ea966190-f9aa-478e-9ede-example");
                HttpConnectorFuture::ready(Ok(response))
            }
            Reply::Lost => {
                let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                HttpConnectorFuture::ready(Err(ConnectorError::io(reset.into())))
            }
            Reply::Silence => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

/// Reads a form (`application/x-www-form-urlencoded`).
fn read_form(body: &[u8]) -> Request {
    let text = std::str::from_utf8(body).unwrap();
    let pair = |pair: &str| pair.split_once('=').map(|(key, value)| (unescape(key), unescape(value)));
    text.split('&').map(|text| pair(text).unwrap()).collect()
}

fn unescape(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().replace('+', " ").into_bytes();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(part[2..].replace('+', " ").as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

/// An answer to a call, as EC2 puts it.
fn answer(action: Action, content: &str) -> Reply {
    let text = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
        <{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
            <requestId>59dbff89-35bd-4eac-99ed-be587EXAMPLE</requestId>
            {content}
        </{action}Response>"#
    );
    Reply::Answer(200, text)
}

/// An error, as EC2 puts it.
fn refusal(status: u16, code: &str, message: &str) -> Reply {
    let text = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
        <Response>
            <Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>
            <RequestID>ea966190-f9aa-478e-9ede-example</RequestID>
        </Response>"#
    );
    Reply::Answer(status, text)
}

/// A machine in an answer, with what EC2 sends of one that is being made.
fn instance_xml(id: &str, more: &str) -> String {
    format!(
        "<item>
            <instanceId>{id}</instanceId>
            <imageId>ami-0abcdef1234567890</imageId>
            <instanceState><code>0</code><name>pending</name></instanceState>
            <instanceType>t2.micro</instanceType>
            <launchTime>2026-11-22T14:00:01.000Z</launchTime>
            {more}
        </item>"
    )
}

fn tags_for_tests() -> Tags {
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Tags::from([tag("Name", "my server"), tag("chat-deploy:managed", "true")])
}

fn launch_for_tests() -> Launch {
    Launch {
        client_token: "7f8e3c".to_owned(),
        image: crate::cloud::ImageId::new("ami-0abcdef1234567890"),
        kind: InstanceType::new("t3.micro"),
        standard_credits: true,
        key_name: "chat-deploy-myserver-0a1b2c3d".to_owned(),
        group: GroupId::new("sg-0123456789abcdef0"),
        subnet: SubnetId::new("subnet-0123456789abcdef0"),
        root_device: "/dev/xvda".to_owned(),
        root_gib: 8,
        user_data: UserData::new("#cloud-config\nssh_deletekeys: true\n".to_owned()),
        tags: tags_for_tests(),
    }
}

//! Our own address as AWS sees it, for a rule that lets in nobody else.

use std::error::Error;
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;

use super::driver::Driver;
use crate::cloud::AddressError;

/// AWS's service for this. It answers with the address and a line feed.
const URL: &str = "https://checkip.amazonaws.com/";
const TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an answer is read. An address has 15 bytes at most.
const MAX_ANSWER_BYTES: usize = 64;

/// Asks AWS which IPv4 address we are seen at from outside. Takes 5 s at most.
///
/// # Errors
///
/// [`AddressError`]: no answer, or one that is no IPv4 address. Never a guess.
pub fn public_address() -> Result<Ipv4Addr, AddressError> {
    address_from(URL, TIMEOUT)
}

pub(super) fn address_from(url: &str, timeout: Duration) -> Result<Ipv4Addr, AddressError> {
    let unreachable = |source| AddressError::Unreachable { url: url.to_owned(), source };
    let driver = Driver::start().map_err(|error| unreachable(error.into()))?;
    let answer = driver.wait(async { tokio::time::timeout(timeout, ask(url)).await });
    let (status, answer) = answer.map_err(|error| unreachable(error.into()))?.map_err(unreachable)?;
    let text = String::from_utf8_lossy(&answer);
    let address = text.trim_end().parse().ok().filter(|_| status == 200);
    address.ok_or_else(|| AddressError::NoAddress {
        url: url.to_owned(),
        status,
        answer: text.trim_end().chars().filter(|c| !c.is_control()).collect(),
    })
}

async fn ask(url: &str) -> Result<(u16, Vec<u8>), Box<dyn Error + Send + Sync>> {
    let connector = Connector::builder()
        .proxy_config(ProxyConfig::from_env())
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .build();
    let response = connector.call(HttpRequest::get(url)?).await?;
    let status = response.status().as_u16();
    let mut body = ByteStream::new(response.into_body());
    let mut answer = Vec::new();
    while answer.len() < MAX_ANSWER_BYTES {
        let Some(chunk) = body.try_next().await? else { break };
        answer.extend_from_slice(&chunk);
    }
    answer.truncate(MAX_ANSWER_BYTES);
    Ok((status, answer))
}

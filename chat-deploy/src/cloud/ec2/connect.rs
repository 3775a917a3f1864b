//! Finding region and credentials, and setting time limits. What AWS's own tools honour is honoured here:
//! profiles, SSO, `aws login`, roles, `AWS_ENDPOINT_URL`, proxies.

use std::env;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds::client::error::ImdsError;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig, imds};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_ec2::config::{self, IdentityCache};

use super::driver::Driver;
use super::{Ec2, retry};
use crate::cloud::{ConnectError, Ec2Settings};
use crate::interrupt::Interrupt;

/// How long one attempt may take. RunInstances takes a few seconds on a bad day.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a call may take with all its attempts.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// How long credentials may take: a program that fetches them may ask its user for something.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(60);
/// How long EC2's metadata service may take to be there. Where there is none, nothing answers at all.
const METADATA_TIMEOUT: Duration = Duration::from_millis(500);

const DISABLE_METADATA: &str = "AWS_EC2_METADATA_DISABLED";

impl Ec2 {
    /// Looks for region and credentials. No call is made to EC2 yet; to others only if the credentials are had from them.
    /// Neither this nor any later call outlasts an interrupt by more than a moment.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], within a few seconds also where there is nothing to be found.
    pub fn connect(settings: &Ec2Settings, interrupt: &Interrupt) -> Result<Self, ConnectError> {
        let retries = retry::settings(variable)?;
        let driver = Driver::start().map_err(ConnectError::Setup)?;
        let loaded = driver.wait_unless(interrupt, load(settings, retries));
        let config = loaded.unwrap_or(Err(ConnectError::Interrupted))?;
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Ok(Self::over(config::Builder::from(&config), region, driver, interrupt.clone()))
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

async fn load(settings: &Ec2Settings, retries: RetryConfig) -> Result<SdkConfig, ConnectError> {
    let version = BehaviorVersion::v2026_01_12();
    let provider = ProviderConfig::default().with_behavior_version(Some(version));
    let metadata = imds::Client::builder()
        .configure(&provider)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .operation_timeout(4 * METADATA_TIMEOUT)
        .max_attempts(2)
        .build();
    let region = find_region(settings, &provider, &metadata).await?;
    let provider = provider.with_region(Some(region.clone()));
    let credentials = find_credentials(settings, &region, provider, metadata).await?;

    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(version)
        .region(region)
        .credentials_provider(credentials)
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).build())
        .retry_config(retries)
        .timeout_config(timeouts);
    if let Ok(name) = AppName::new("chat-deploy") {
        loader = loader.app_name(name);
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    Ok(loader.load().await)
}

async fn find_region(
    settings: &Ec2Settings,
    provider: &ProviderConfig,
    metadata: &imds::Client,
) -> Result<Region, ConnectError> {
    let mut profile = ProfileFileRegionProvider::builder().configure(provider);
    if let Some(name) = &settings.profile {
        profile = profile.profile_name(name);
    }
    let metadata = imds::region::Builder::default().configure(provider).imds_client(metadata.clone());
    let chain = RegionProviderChain::first_try(settings.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(metadata.build());
    chain.region().await.ok_or_else(|| ConnectError::NoRegion {
        looked_at: format!("--region, AWS_REGION, {}", looked_at(settings)),
    })
}

/// Finds where credentials come from, and takes them once to see whether they do.
async fn find_credentials(
    settings: &Ec2Settings,
    region: &Region,
    provider: ProviderConfig,
    metadata: imds::Client,
) -> Result<Prefetched, ConnectError> {
    let chain = match &settings.profile {
        // Who names a profile means that one, whatever the environment has.
        Some(name) => {
            let profile = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(name);
            SharedCredentialsProvider::new(profile.build())
        }
        None => {
            let chain = DefaultCredentialsChain::builder().region(region.clone()).configure(provider);
            SharedCredentialsProvider::new(chain.imds_client(metadata).build().await)
        }
    };
    let first = tokio::time::timeout(CREDENTIALS_TIMEOUT, chain.provide_credentials()).await;
    match first.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(CREDENTIALS_TIMEOUT))) {
        Ok(first) => Ok(Prefetched { first: Mutex::new(Some(first)), chain }),
        Err(error) if is_nowhere(&error) => Err(ConnectError::NoCredentials {
            looked_at: match &settings.profile {
                Some(name) => format!("profile {name} in ~/.aws"),
                None => format!("AWS_ACCESS_KEY_ID, {}", looked_at(settings)),
            },
        }),
        Err(error) => Err(ConnectError::BadCredentials { whose: whose(settings), source: Box::new(error) }),
    }
}

/// Tells whether nothing was found anywhere, as opposed to something that does not work. The metadata service is asked
/// last, so what it says, if it is there at all, is said when there was nothing before.
fn is_nowhere(error: &CredentialsError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<ImdsError>() {
            return true;
        }
        cause = error.source();
    }
    matches!(error, CredentialsError::CredentialsNotLoaded(_))
}

/// Says which files and services were looked at, after the flags and variables.
fn looked_at(settings: &Ec2Settings) -> String {
    let is_off = variable(DISABLE_METADATA).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let metadata =
        if is_off { format!("but {DISABLE_METADATA} is set") } else { "which has none".to_owned() };
    format!("{} in ~/.aws, the metadata service of EC2 ({metadata})", whose(settings))
}

fn whose(settings: &Ec2Settings) -> String {
    let named = settings.profile.clone().or_else(|| variable("AWS_PROFILE"));
    format!("profile {}", named.as_deref().unwrap_or("default"))
}

/// Credentials that were fetched already: handed out once, and then fetched anew each time the SDK finds them expired.
#[derive(Debug)]
struct Prefetched {
    first: Mutex<Option<Credentials>>,
    chain: SharedCredentialsProvider,
}

impl ProvideCredentials for Prefetched {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        match first {
            Some(first) => future::ProvideCredentials::ready(Ok(first)),
            None => self.chain.provide_credentials(),
        }
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.chain.fallback_on_interrupt()
    }
}

//! From a place to a configuration of the SDK: region, profile, credentials, role, endpoint.

use std::sync::{Mutex, PoisonError};

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_kms::config::SharedHttpClient;
use aws_smithy_http_client::Builder as HttpClientBuilder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::options::Place;

/// The name under which a role is taken on, as the service's logs show it.
const SESSION: &str = "kmskit";

/// Reads the environment and the profile files. Credentials are fetched when they are first needed.
pub(crate) async fn load(place: &Place) -> aws_sdk_kms::Config {
    let base = loader(place).load().await;
    let shared = match &place.role_arn {
        None => base,
        Some(role) => {
            let role = AssumeRoleProvider::builder(role).session_name(SESSION).configure(&base).build().await;
            loader(place).credentials_provider(role).load().await
        }
    };
    let mut config = aws_sdk_kms::config::Builder::from(&shared);
    if let Some(endpoint) = &place.endpoint_url {
        config = config.endpoint_url(endpoint);
    }
    config.build()
}

/// The region that the environment or the profile says. The metadata of a virtual machine are not asked.
pub(crate) async fn region(place: &Place) -> Option<String> {
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &place.profile {
        profile = profile.profile_name(name);
    }
    // As the AWS CLI has it: variables before files, unless a profile is named.
    let chain = match place.profile {
        Some(_) => RegionProviderChain::first_try(profile.build()).or_else(EnvironmentVariableRegionProvider::new()),
        None => RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new()).or_else(profile.build()),
    };
    chain.region().await.map(|region| region.as_ref().to_owned())
}

fn loader(place: &Place) -> ConfigLoader {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client());
    if let Some(region) = &place.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let files = place.credentials_file.as_ref().map(|path| {
        let builder = EnvConfigFiles::builder().include_default_config_file(true);
        builder.with_file(EnvConfigFileKind::Credentials, path).build()
    });
    if let Some(profile) = &place.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(files) = &files {
        loader = loader.profile_files(files.clone());
    }
    // Who names a profile or a file means it: variables that happen to be set do not count.
    if place.profile.is_some() || files.is_some() {
        let region = place.region.clone().map(Region::new);
        let config = ProviderConfig::without_region().with_region(region).with_http_client(http_client());
        let config = config.with_behavior_version(Some(BehaviorVersion::latest()));
        let mut provider = ProfileFileCredentialsProvider::builder().configure(&config);
        if let Some(profile) = &place.profile {
            provider = provider.profile_name(profile);
        }
        if let Some(files) = files {
            provider = provider.profile_files(files);
        }
        loader = loader.credentials_provider(provider.build());
    }
    loader
}

/// One for the whole process, so that connections and the system's root certificates are shared. A process after a fork
/// has its own: connections belong to the runtime that opened them.
fn http_client() -> SharedHttpClient {
    static SHARED: Mutex<Option<(u32, SharedHttpClient)>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    match &*shared {
        Some((owner, client)) if *owner == process => client.clone(),
        _ => {
            let client = HttpClientBuilder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
            *shared = Some((process, client.clone()));
            client
        }
    }
}

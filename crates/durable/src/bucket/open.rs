//! Which object store an address is of. Credentials come from the environment, as the stores' own tools read it.

use std::sync::Arc;
use std::time::Duration;

use dataflow::{Error, Result, SqlState};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore, RetryConfig};

use super::Bucket;

/// How long a request that a store refuses for now is repeated.
const REPEATED: Duration = Duration::from_secs(10);
/// How long one may take, unless the environment says otherwise.
const TIMEOUT: &str = "15s";

/// How addresses begin.
const KNOWN: [&str; 7] = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss"];
/// The stores, by how their addresses begin.
const SCHEMES: &str = "s3://, gs:// and az://";

impl Bucket {
    /// The bucket of an address, and the path in it.
    ///
    /// # Errors
    /// `22023` for an address of something else, or one with what does not belong there; `08001` when the environment does not
    /// say how to speak to it.
    pub(crate) fn open(address: &str) -> Result<(Arc<Self>, Path)> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() || host.contains(['@', '?', '#', ':']) || path.contains(['?', '#']) {
            return Err(no_address());
        }
        let scheme = scheme.to_ascii_lowercase();
        let name = format!("{scheme}://{host}");
        let store = store(&scheme, &name)?;
        let path = Path::parse(path.trim_end_matches('/')).map_err(|error| {
            let message = format!("{address} is no address of an object: {error}");
            Error::new(SqlState::INVALID_PARAMETER, message)
        })?;
        Ok((Arc::new(Self::new(&name, store)?), path))
    }

    /// Refuses a path that was meant as an address.
    pub(crate) fn refuse_path(path: &str) -> Result<()> {
        let scheme = path
            .split_once(":/")
            .map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme {
            Some(scheme) if KNOWN.contains(&scheme.as_str()) => Err(no_address()),
            _ => Ok(()),
        }
    }

    /// One of a test.
    #[cfg(test)]
    pub(super) fn of(store: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self::new("memory://test", store).expect("threads start"))
    }
}

fn no_address() -> Error {
    Error::new(SqlState::INVALID_PARAMETER, "an address of an object store is s3://BUCKET/PATH")
        .hint("credentials and options are in the environment: AWS_ACCESS_KEY_ID, AWS_ENDPOINT, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME, …")
}

fn store(scheme: &str, name: &str) -> Result<Arc<dyn ObjectStore>> {
    let retry = RetryConfig {
        retry_timeout: REPEATED,
        ..RetryConfig::default()
    };
    let timeout = |variable: &str| std::env::var(variable).unwrap_or_else(|_| TIMEOUT.to_owned());
    let key = ClientConfigKey::Timeout;
    let built: Result<Arc<dyn ObjectStore>, object_store::Error> = match scheme {
        "s3" | "s3a" => AmazonS3Builder::from_env()
            .with_url(name)
            .with_retry(retry)
            .with_config(AmazonS3ConfigKey::Client(key), timeout("AWS_TIMEOUT"))
            .build()
            .map(|store| Arc::new(store) as _),
        "gs" => GoogleCloudStorageBuilder::from_env()
            .with_url(name)
            .with_retry(retry)
            .with_config(GoogleConfigKey::Client(key), timeout("GOOGLE_TIMEOUT"))
            .build()
            .map(|store| Arc::new(store) as _),
        "az" | "azure" | "abfs" | "abfss" => MicrosoftAzureBuilder::from_env()
            .with_url(name)
            .with_retry(retry)
            .with_config(AzureConfigKey::Client(key), timeout("AZURE_TIMEOUT"))
            .build()
            .map(|store| Arc::new(store) as _),
        _ => {
            let what = format!("state in {scheme}://");
            return Err(
                Error::unsupported(what).hint(format!("a folder, or an address with {SCHEMES}"))
            );
        }
    };
    built.map_err(|error| {
        let message = format!("cannot use {name}: {error}");
        Error::new(SqlState("08001"), message).hint(
            "the environment says where the store is and who asks: AWS_…, GOOGLE_… or AZURE_…",
        )
    })
}

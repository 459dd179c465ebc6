//! The connector `http`: rows of a sink as JSON in the bodies of POST requests.

mod writer;

use std::sync::Arc;
use std::time::Duration;

use dataflow::connector::Connector;
use dataflow::options::Options;
use dataflow::sink::{Delivery, SinkDeclaration, SinkFactory, SinkFormat, SinkRequest, SinkWriter};
use dataflow::{Error, Location, Result, SqlState};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::number;
use writer::HttpWriter;

/// Most records of a request, unless option `batch` says otherwise.
const BATCH: u64 = 100;
/// Longest time that a request takes, unless option `timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What `timeout` may be at most.
const MOST_TIMEOUT: Duration = Duration::from_secs(300);

/// Begins the names of options that are headers.
const PREFIX: &str = "header.";
/// Headers that clickmill sets.
const OWN: &[&str] = &[
    "clickmill-sink",
    "clickmill-version",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
];

/// Posts rows: `WITH (connector = 'http', url = 'https://…')`.
pub(crate) struct HttpConnector;

impl Connector for HttpConnector {
    fn name(&self) -> &'static str {
        "http"
    }

    fn sink_encodings(&self) -> &'static [&'static str] {
        &["JSON"]
    }

    fn sink(
        &self,
        options: &mut Options,
        declared: &SinkDeclaration,
    ) -> Result<Arc<dyn SinkFactory>> {
        if declared.format == SinkFormat::Upsert {
            return Err(Error::unsupported("FORMAT UPSERT with connector \"http\"")
                .hint("use FORMAT PLAIN: each record is an event"));
        }
        if declared.updating {
            return Err(Error::unsupported(
                "connector \"http\" for a sink of rows that are taken back",
            )
            .hint("a view whose rows are final has none, such as one of closed windows"));
        }
        let batch = number::take(options, "batch", &[], 1..=100_000)?.unwrap_or(BATCH);
        let address = address(options)?;
        Ok(Arc::new(HttpSink {
            address,
            headers: headers(options)?,
            batch: usize::try_from(batch).unwrap_or(usize::MAX),
            timeout: time_limit(options)?,
        }))
    }
}

/// Where the requests go.
#[derive(Clone)]
struct Address {
    url: String,
    /// Without the part behind `?`, which may be a secret.
    shown: String,
}

fn address(options: &mut Options) -> Result<Address> {
    let place = options.entries().find(|entry| entry.name == "url");
    let place = place.and_then(|entry| entry.location);
    let url = options.require("url", &[])?.trim().to_owned();
    let bad = |what: &str| bad(&format!("option \"url\" {what}"), place);
    let Ok(uri) = url.parse::<Uri>() else {
        return Err(bad("is not a URL").hint("write url = 'https://host/path'"));
    };
    let scheme = uri.scheme_str().filter(|s| ["http", "https"].contains(s));
    let host = uri.authority().filter(|a| !a.host().is_empty());
    let (Some(scheme), Some(host)) = (scheme, host) else {
        return Err(bad("does not begin with http:// or https:// and a host"));
    };
    if host.as_str().contains('@') {
        return Err(bad("has a user in it")
            .hint("write \"header.authorization\" = 'Basic …' for a user and a password"));
    }
    Ok(Address {
        shown: format!("{scheme}://{host}{}", uri.path()),
        url,
    })
}

fn bad(message: &str, place: Option<Location>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER, message).at(place)
}

/// The headers of the options, whose values are secrets.
fn headers(options: &mut Options) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in options.take_prefixed(PREFIX) {
        let place = options.entries().find(|entry| {
            let rest = entry.name.strip_prefix(PREFIX);
            rest == Some(name.as_str())
        });
        let place = place.and_then(|entry| entry.location);
        let bad = |what: &str| bad(&format!("option \"{PREFIX}{name}\" {what}"), place);
        let Ok(header) = HeaderName::try_from(name.as_str()) else {
            return Err(bad("does not name a header"));
        };
        if OWN.contains(&header.as_str()) {
            return Err(bad("is a header that clickmill sets itself"));
        }
        let Ok(mut value) = HeaderValue::try_from(value) else {
            return Err(bad("has a value that a header cannot have")
                .hint("a header is one line of visible characters"));
        };
        value.set_sensitive(true);
        if headers.insert(header, value).is_some() {
            return Err(bad("is given twice"));
        }
    }
    Ok(headers)
}

fn time_limit(options: &mut Options) -> Result<Duration> {
    let limit = options.take_duration("timeout", &[])?.unwrap_or(TIMEOUT);
    if limit.is_zero() || limit > MOST_TIMEOUT {
        let most = MOST_TIMEOUT.as_secs();
        let message = format!("option \"timeout\" is not from 1 ms to {most} s");
        return Err(bad(&message, None));
    }
    Ok(limit)
}

struct HttpSink {
    address: Address,
    headers: HeaderMap,
    batch: usize,
    timeout: Duration,
}

impl std::fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http {}", self.address.shown)
    }
}

impl SinkFactory for HttpSink {
    fn target(&self) -> String {
        self.address.shown.clone()
    }

    fn delivery(&self) -> Delivery {
        Delivery::AtLeastOnce
    }

    fn open(&self, request: SinkRequest) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(HttpWriter::new(self, request)))
    }
}

#[cfg(test)]
mod tests;

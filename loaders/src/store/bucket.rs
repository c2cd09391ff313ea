//! Clients of object stores: one a place and a run of [`resolve`](crate::resolve), shared by the files in it.

use super::fault::Fault;
use super::options::{StoreOptions, unknown};
use super::runtime::wait;
use super::settings::is_known;
use super::url::{Scheme, Url};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use slackwater_dataflow::{Error, Result};
use std::future::Future;
use std::panic::RefUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// First and longest pause before another attempt.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A wait for a byte is given up and tried again so many times within the deadline.
pub(super) const WAITS: u32 = 3;
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A bucket, a container or a web server.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Its URL, with no path.
    root: Url,
    scheme: Scheme,
    pub(super) deadline: Duration,
    pub(super) retries: usize,
}

/// As files are. A client changes on the thread of requests alone, where a panic ends a request and nothing else.
impl RefUnwindSafe for Bucket {}

impl Bucket {
    fn open(url: &Url, options: &StoreOptions) -> Result<Bucket> {
        let root = url.with_path("");
        let (scheme, settings) = (url.served_by()?, options.clone());
        if let Some(name) = options.settings.keys().find(|name| !is_known(name)) {
            return Err(unknown(name));
        }
        if url.authority.is_empty() {
            return Err(Error::input(format!("`{}` names no bucket or server", url.shown()), ""));
        }
        if scheme == Scheme::Web && url.authority.contains('@') {
            let hint =
                "a name and a password in a URL are not used; a signed URL has all it needs in its query";
            return Err(Error::input(format!("`{}` was given with a password", url.shown()), hint));
        }
        // Clients are made where the runtime is known.
        let build = {
            let root = root.clone();
            async move { client(&root, scheme, &settings) }
        };
        let store = wait(options.deadline, build)
            .map_err(Fault::from)
            .and_then(|made| made.map_err(|e| Fault::of(&e, options.deadline)))
            .map_err(|fault| fault.into_error(&root.shown(), "open"))?;
        Ok(Bucket { store, root, scheme, deadline: options.deadline, retries: options.retries })
    }
    /// The URL of a key, for messages.
    pub(super) fn shown(&self, key: &str) -> String {
        self.root.with_path(key).shown()
    }
    /// True if it can be asked what it has.
    pub(super) fn can_list(&self) -> bool {
        self.scheme != Scheme::Web
    }
    /// The key that the path of a URL stands for.
    pub(super) fn key(&self, path: &str) -> Result<Path> {
        let key = match self.scheme {
            Scheme::Web => Path::from_url_path(path),
            _ => Path::parse(path),
        };
        key.map_err(|e| Error::input(format!("`{}` cannot be named: {e}", self.shown(path)), ""))
    }
    /// The longest that a request takes that makes no progress, with all that the library does about it.
    pub(super) fn patience(&self) -> Duration {
        self.deadline * 3 + CONNECT_MAX
    }
}

/// The places of one run.
#[derive(Default)]
pub(crate) struct Buckets(Vec<Arc<Bucket>>);

impl Buckets {
    /// The place of a URL.
    ///
    /// # Errors
    /// Input, for a URL or settings that cannot be used.
    pub(crate) fn of(&mut self, url: &Url, options: &StoreOptions) -> Result<Arc<Bucket>> {
        let root = url.with_path("");
        if let Some(known) = self.0.iter().find(|b| b.root == root) {
            return Ok(known.clone());
        }
        let bucket = Arc::new(Bucket::open(url, options)?);
        self.0.push(bucket.clone());
        Ok(bucket)
    }
}

fn client(root: &Url, scheme: Scheme, options: &StoreOptions) -> object_store::Result<Arc<dyn ObjectStore>> {
    let wait = options.deadline / WAITS;
    let client = ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(wait.min(CONNECT_MAX))
        .with_read_timeout(wait)
        .with_allow_http(root.scheme == "http");
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: PAUSE, max_backoff: PAUSE_MAX, base: 2.0 },
        max_retries: options.retries,
        retry_timeout: options.deadline,
    };
    let place = format!("{}://{}/", root.scheme, root.authority);
    macro_rules! build {
        ($builder:expr) => {{
            let builder = $builder.with_client_options(client).with_retry(retry);
            // Settings of other stores are not known to this one.
            let known = options.settings.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value)));
            known.fold(builder, |builder, (name, value)| builder.with_config(name, value))
        }};
    }
    Ok(match scheme {
        Scheme::S3 => Arc::new(build!(AmazonS3Builder::new().with_url(place)).build()?),
        Scheme::Google => Arc::new(build!(GoogleCloudStorageBuilder::new().with_url(place)).build()?),
        Scheme::Azure => Arc::new(build!(MicrosoftAzureBuilder::new().with_url(place)).build()?),
        Scheme::Web | Scheme::File => {
            let connector = Queried(root.query.clone());
            Arc::new(build!(HttpBuilder::new().with_url(place).with_http_connector(connector)).build()?)
        }
    })
}

/// Clients that end every URL with a query, which the library knows nothing of.
struct Queried(Option<String>);

/// Requests with a query, which may be a secret.
struct QueriedClient {
    client: HttpClient,
    query: Option<String>,
}

impl std::fmt::Debug for Queried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queried")
    }
}

impl std::fmt::Debug for QueriedClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QueriedClient")
    }
}

impl HttpConnector for Queried {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(QueriedClient { client, query: self.0.clone() }))
    }
}

impl HttpService for QueriedClient {
    // As `async_trait` writes it.
    fn call<'a, 'b>(
        &'a self,
        mut request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            if let Some(query) = &self.query {
                let url = format!("{}?{query}", request.uri());
                *request.uri_mut() = url.parse().map_err(|e| HttpError::new(HttpErrorKind::Unknown, e))?;
            }
            self.client.execute(request).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str, settings: &[(&str, &str)]) -> Result<String> {
        let mut options = StoreOptions::default();
        settings.iter().try_for_each(|(name, value)| options.set(name, value))?;
        let bucket = Buckets::default().of(&Url::parse(url).unwrap(), &options)?;
        Ok(format!("{:?}", bucket.store))
    }

    #[test]
    fn every_provider_has_a_client() {
        let account: &[(&str, &str)] =
            &[("azure_storage_account_name", "me"), ("azure_storage_account_key", "c2VjcmV0")];
        for (url, settings, kind) in [
            ("s3://b/k", &[("region", "eu-north-1")][..], "AmazonS3"),
            ("s3a://b/k", &[], "AmazonS3"),
            ("gs://b/k", &[("google_skip_signature", "true")], "GoogleCloudStorage"),
            ("az://b/k", account, "MicrosoftAzure"),
            ("abfss://box@me.dfs.core.windows.net/k", account, "MicrosoftAzure"),
            ("https://host/k?sig=x", account, "HttpStore"),
        ] {
            let client = open(url, settings).unwrap();
            assert!(client.contains(kind), "{url}: {client}");
        }
        let e = open("az://b/k", &[]).unwrap_err();
        assert!(e.to_string().contains("Account must be specified"), "{e}");
        let e = open("s3://b/k", &[("allow_http", "maybe")]).unwrap_err();
        assert!(e.to_string().contains("cannot open s3://b/: failed to parse \"maybe\""), "{e}");
        assert_eq!(open("s3:///k", &[]).unwrap_err().exit_code(), 3);
    }

    #[test]
    fn settings_that_no_store_has_are_refused() {
        let mut options = StoreOptions::default();
        options.settings.insert("aws_regoin".into(), "x".into());
        let e = Buckets::default().of(&Url::parse("s3://b/k").unwrap(), &options).unwrap_err();
        assert!(e.to_string().contains("no object store has a setting `aws_regoin`"), "{e}");
    }
}

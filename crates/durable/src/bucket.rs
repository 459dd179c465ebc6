//! An object store, asked from threads that may wait.

mod open;
#[cfg(test)]
pub(crate) mod testing;
mod upload;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dataflow::{Error, Result, SqlState};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, GetResult, ObjectStore, ObjectStoreExt as _, PutMode,
    PutOptions, PutPayload, PutResult, UpdateVersion,
};
use tokio::runtime::Runtime;

use crate::place::Found;
pub(crate) use upload::Upload;

/// Objects that are asked for at once.
pub(crate) const AT_ONCE: usize = 32;
/// Bytes of a larger object that are asked for at once.
const RANGE: u64 = 16 << 20;
/// Such requests at once.
const RANGES: usize = 4;
/// What a store that refuses wants to know.
const WHO: &str = "the environment says who asks: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_… or AZURE_…";
/// How long to wait for an answer by somebody who can ask again.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A bucket or container, with threads of its own that speak to it.
pub(crate) struct Bucket {
    /// How it is called in messages: the address without the path.
    name: String,
    store: Arc<dyn ObjectStore>,
    /// There until the last drop.
    runtime: Option<Runtime>,
}

/// What an object held, and which of its versions that was.
pub(crate) type Versioned = (Bytes, UpdateVersion);

/// An object that is being made.
#[derive(Debug)]
pub(crate) struct Creating {
    key: Path,
    bytes: Bytes,
    answer: Receiver<Result<PutResult, StoreError>>,
}

impl Creating {
    /// Whether it is this one.
    pub(crate) fn is(&self, key: &Path, bytes: &[u8]) -> bool {
        self.key == *key && self.bytes == bytes
    }
}

impl Bucket {
    fn new(name: &str, store: Arc<dyn ObjectStore>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("objects")
            .enable_all()
            .build();
        let fails = |e| Error::internal(format!("the object store's thread did not start: {e}"));
        Ok(Self {
            name: name.to_owned(),
            store,
            runtime: Some(runtime.map_err(fails)?),
        })
    }

    /// What an object holds; `None` when there is none.
    pub(crate) fn get(&self, key: &Path) -> Result<Option<Bytes>> {
        let read = found(self.run(get_version(Arc::clone(&self.store), key.clone())));
        let read = read.map_err(|error| self.fails("read", key, &error))?;
        Ok(read.map(|(bytes, _)| bytes))
    }

    /// What a small object holds, and its version; does not wait for long.
    pub(crate) fn get_soon(&self, key: &Path) -> Result<Option<Versioned>> {
        let read = self.begin(get_version(Arc::clone(&self.store), key.clone()));
        let read = self.soon(&read, "read", key)?;
        found(read).map_err(|error| self.fails("read", key, &error))
    }

    /// An answer, if it comes soon. Whoever asks again later finds what was done, or has it done.
    fn soon<T>(&self, answer: &Receiver<T>, doing: &str, key: &Path) -> Result<T> {
        answer.recv_timeout(PATIENCE).map_err(|_| {
            let message = format!(
                "cannot {doing} {}: no answer in {PATIENCE:?}",
                self.url(key)
            );
            Error::new(SqlState::CONNECTION_FAILURE, message)
        })
    }

    /// What objects hold, in their order; asks for some at once.
    pub(crate) fn get_all(&self, keys: &[Path]) -> Result<Vec<Option<Bytes>>> {
        let store = Arc::clone(&self.store);
        let all = keys.to_vec();
        let read = async move {
            let each = all.into_iter().map(|key| {
                let read = get_version(Arc::clone(&store), key);
                async move { found(read.await).map(|read| read.map(|(bytes, _)| bytes)) }
            });
            let all = futures::stream::iter(each).buffered(AT_ONCE);
            all.try_collect().await
        };
        let first = keys.first().cloned().unwrap_or_default();
        self.run(read)
            .map_err(|error| self.fails("read", &first, &error))
    }

    /// Whether there is an object.
    pub(crate) fn exists(&self, key: &Path) -> Result<bool> {
        let (store, path) = (Arc::clone(&self.store), key.clone());
        let head = self.begin(async move { store.head(&path).await });
        let head = found(self.soon(&head, "look for", key)?);
        let head = head.map_err(|error| self.fails("look for", key, &error))?;
        Ok(head.is_some())
    }

    /// Writes an object, whether there is one or not.
    pub(crate) fn put(&self, key: &Path, bytes: Bytes) -> Result<()> {
        answer(&self.put_later(key, bytes, PutMode::Overwrite))
            .map(drop)
            .map_err(|error| self.fails("write", key, &error))
    }

    /// Begins to make an object with bytes that nobody else writes.
    pub(crate) fn begin_create(&self, key: &Path, bytes: &Bytes) -> Creating {
        Creating {
            key: key.clone(),
            bytes: bytes.clone(),
            answer: self.put_later(key, bytes.clone(), PutMode::Create),
        }
    }

    /// Waits for a while until it is made; `false` when there is another of that name. An object with these bytes is the one that
    /// was made when an answer was lost. Gives back what is still on its way.
    pub(crate) fn created(&self, creating: Creating) -> Result<bool, (Error, Option<Creating>)> {
        let key = &creating.key;
        let put = match self.soon(&creating.answer, "write", key) {
            Ok(put) => put,
            Err(error) => return Err((error, Some(creating))),
        };
        let fails = |error| (error, None);
        match put {
            Ok(_) => Ok(true),
            Err(
                ref error @ (StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }),
            ) => match self.get_soon(key).map_err(fails)? {
                Some((found, _)) => Ok(found == creating.bytes),
                // Two requests at a time: neither has been carried out yet.
                None => Err(fails(self.fails("write", key, error))),
            },
            Err(error) => Err(fails(self.fails("write", key, &error))),
        }
    }

    /// Changes an object, if it still has the version, or makes it, if there is to be none. `None` when it is not so, which a lost
    /// answer to this very request also looks like.
    pub(crate) fn update(
        &self,
        key: &Path,
        bytes: Bytes,
        version: Option<UpdateVersion>,
    ) -> Result<Option<UpdateVersion>> {
        let mode = version.map_or(PutMode::Create, PutMode::Update);
        let put = self.put_later(key, bytes, mode);
        match self.soon(&put, "write", key)? {
            Ok(put) => Ok(Some(version_of_put(put))),
            Err(
                StoreError::AlreadyExists { .. }
                | StoreError::Precondition { .. }
                | StoreError::NotFound { .. },
            ) => Ok(None),
            Err(error) => Err(self.fails("write", key, &error)),
        }
    }

    fn put_later(
        &self,
        key: &Path,
        bytes: Bytes,
        mode: PutMode,
    ) -> Receiver<Result<PutResult, StoreError>> {
        let (store, key) = (Arc::clone(&self.store), key.clone());
        let options = PutOptions::from(mode);
        self.begin(async move {
            let payload = PutPayload::from_bytes(bytes);
            store.put_opts(&key, payload, options).await
        })
    }

    /// Removes an object; one that is not there is no error.
    pub(crate) fn delete(&self, key: &Path) -> Result<()> {
        let (store, path) = (Arc::clone(&self.store), key.clone());
        found(self.run(async move { store.delete(&path).await }))
            .map(drop)
            .map_err(|error| self.fails("remove", key, &error))
    }

    /// Makes an object of what another one holds, unless there is one of that name: then `false`.
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> Result<bool> {
        let (store, key, path) = (Arc::clone(&self.store), from.clone(), to.clone());
        let copy = async move {
            if found(store.head(&path).await)?.is_some() {
                return Ok(false);
            }
            store.copy(&key, &path).await.map(|()| true)
        };
        self.run(copy)
            .map_err(|error| self.fails("write", to, &error))
    }

    /// What is directly below a name, as in a folder.
    pub(crate) fn list(&self, folder: &Path) -> Result<Vec<Found>> {
        let (store, path) = (Arc::clone(&self.store), folder.clone());
        let listed = self.run(async move { store.list_with_delimiter(Some(&path)).await });
        let listed = listed.map_err(|error| self.fails("list", folder, &error))?;
        let folders = listed.common_prefixes.iter().filter_map(|path| {
            Some(Found {
                name: path.filename()?.to_owned(),
                bytes: 0,
                modified: None,
            })
        });
        let objects = listed.objects.iter().filter_map(|meta| {
            Some(Found {
                name: meta.location.filename()?.to_owned(),
                bytes: meta.size,
                modified: Some(SystemTime::from(meta.last_modified)),
            })
        });
        Ok(folders.chain(objects).collect())
    }

    /// Begins an object that is written bit by bit.
    pub(crate) fn upload(self: &Arc<Self>, key: &Path) -> Upload {
        Upload::new(Arc::clone(self), key.clone())
    }

    /// How an object is called in messages.
    pub(crate) fn url(&self, key: &Path) -> String {
        format!("{}/{key}", self.name)
    }

    /// What went wrong with an object. The store may answer again later.
    fn fails(&self, doing: &str, key: &Path, error: &StoreError) -> Error {
        let said = error.to_string();
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let hint = match error {
            _ if said.contains("NoSuchBucket") => "there is no such bucket",
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => WHO,
            // Where clouds tell their machines who they are.
            _ if said.contains("169.254.169.254") => WHO,
            _ => "the store is away, or is somewhere else: see AWS_ENDPOINT and its like",
        };
        let message = format!("cannot {doing} {}: {said}", self.url(key));
        Error::new(SqlState::CONNECTION_FAILURE, message).hint(hint)
    }

    /// Does something on the bucket's threads, and waits for it on this one.
    fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        answer(&self.begin(work))
    }

    /// Does something on the bucket's threads.
    fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Receiver<T> {
        let (done, wait) = sync_channel(1);
        let runtime = self.runtime.as_ref();
        let runtime = runtime.expect("the threads are there until the last drop");
        runtime.spawn(async move {
            // Whoever asked may not wait any more.
            let _ = done.send(work.await);
        });
        wait
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Also where nobody may wait.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn answer<T>(wait: &Receiver<T>) -> T {
    wait.recv().expect("the bucket's threads do not panic")
}

/// A large object is asked for in ranges: a request has a time limit.
async fn get_version(store: Arc<dyn ObjectStore>, key: Path) -> Result<Versioned, StoreError> {
    let got = store.get(&key).await?;
    let (version, size) = (version_of(&got), got.meta.size);
    if size <= RANGE {
        return Ok((got.bytes().await?, version));
    }
    drop(got);
    let begins = (0..size).step_by(usize::try_from(RANGE).unwrap_or(usize::MAX));
    let ranges = begins.map(|at| {
        let options = GetOptions {
            range: Some((at..size.min(at + RANGE)).into()),
            if_match: version.e_tag.clone(),
            ..GetOptions::default()
        };
        let (store, key) = (Arc::clone(&store), key.clone());
        async move { store.get_opts(&key, options).await?.bytes().await }
    });
    let parts: Vec<Bytes> = futures::stream::iter(ranges)
        .buffered(RANGES)
        .try_collect()
        .await?;
    Ok((parts.concat().into(), version))
}

fn version_of(got: &GetResult) -> UpdateVersion {
    UpdateVersion {
        e_tag: got.meta.e_tag.clone(),
        version: got.meta.version.clone(),
    }
}

fn version_of_put(put: PutResult) -> UpdateVersion {
    UpdateVersion {
        e_tag: put.e_tag,
        version: put.version,
    }
}

/// `None` for what is not there.
fn found<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

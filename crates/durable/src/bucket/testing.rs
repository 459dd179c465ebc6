//! An object store in memory that does not answer now and then, whether it has done what it was asked or not.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt;
use std::sync::Arc;

use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

use super::Bucket;
use crate::place::{Place, StorePlace};

/// How an object store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Always.
    Steady,
    /// It does what it is asked, and says nothing.
    Mute,
    /// It does nothing.
    Away,
    /// One of the three, by chance.
    Chance,
}

/// The store. Its clones are the same one, each with a manner of its own.
#[derive(Clone, Debug)]
pub(crate) struct Unsteady {
    inner: Arc<InMemory>,
    manner: Arc<Mutex<(Manner, u64)>>,
}

impl Unsteady {
    /// An empty one, steady until it is told otherwise.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            inner: Arc::new(InMemory::new()),
            manner: Arc::new(Mutex::new((Manner::Steady, seed))),
        }
    }

    /// The same store as another process sees it.
    pub(crate) fn other(&self) -> Self {
        let (_, seed) = *self.manner.lock();
        Self {
            inner: Arc::clone(&self.inner),
            manner: Arc::new(Mutex::new((Manner::Steady, seed ^ 0x9e37_79b9))),
        }
    }

    pub(crate) fn set(&self, manner: Manner) {
        self.manner.lock().0 = manner;
    }

    /// A folder in it.
    pub(crate) fn folder(&self) -> StorePlace {
        StorePlace {
            bucket: Bucket::of(Arc::new(self.clone())),
            key: Path::from("some/state"),
        }
    }

    /// As [`Unsteady::folder`].
    pub(crate) fn place(&self) -> Place {
        Place::Store(self.folder())
    }

    /// What happens with the next request.
    fn next(&self) -> Manner {
        let mut manner = self.manner.lock();
        if manner.0 != Manner::Chance {
            return manner.0;
        }
        // The constants of Knuth's MMIX.
        manner.1 = manner
            .1
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        match (manner.1 >> 33) % 8 {
            0 => Manner::Mute,
            1 => Manner::Away,
            _ => Manner::Steady,
        }
    }

    fn away<T>() -> Result<T> {
        Err(Error::Generic {
            store: "test",
            source: "no answer".into(),
        })
    }
}

impl fmt::Display for Unsteady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unsteady")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Unsteady {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        let manner = self.next();
        if manner == Manner::Away {
            return Self::away();
        }
        let put = self.inner.put_opts(at, bytes, how).await;
        if manner == Manner::Mute {
            return Self::away();
        }
        put
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        match self.next() {
            Manner::Steady => self.inner.put_multipart_opts(at, how).await,
            _ => Self::away(),
        }
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        match self.next() {
            Manner::Steady => self.inner.get_opts(at, how).await,
            _ => Self::away(),
        }
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(all)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        match self.next() {
            Manner::Steady => self.inner.list_with_delimiter(prefix).await,
            _ => Self::away(),
        }
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        match self.next() {
            Manner::Steady => self.inner.copy_opts(from, to, how).await,
            _ => Self::away(),
        }
    }
}

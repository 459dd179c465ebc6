//! An object that is written bit by bit, and is there whole or not at all.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use dataflow::Result;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};

use super::Bucket;

/// Bytes that are sent at once. Stores want at least 5 MiB, and take at most 10,000 of them.
const CHUNK: usize = 16 << 20;

/// An object that is being written. One that is not finished is none.
pub(crate) struct Upload {
    bucket: Arc<Bucket>,
    key: Path,
    buffer: BytesMut,
    /// Once there is more than fits into one request.
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    pub(super) fn new(bucket: Arc<Bucket>, key: Path) -> Self {
        Self {
            bucket,
            key,
            buffer: BytesMut::new(),
            parts: None,
        }
    }

    /// Takes bytes, and sends what is enough for a request.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() > CHUNK {
            let chunk = self.buffer.split_to(CHUNK).freeze();
            self.send(chunk)?;
        }
        Ok(())
    }

    /// Makes the object if `check` lets it.
    pub(crate) fn finish(mut self, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let rest = std::mem::take(&mut self.buffer).freeze();
        if self.parts.is_none() {
            check()?;
            return self.bucket.put(&self.key, rest);
        }
        self.send(rest)?;
        check()?;
        let Some(mut parts) = self.parts.take() else {
            return Ok(());
        };
        let completed = self.bucket.run(async move { parts.complete().await });
        completed
            .map(drop)
            .map_err(|error| self.bucket.fails("write", &self.key, &error))
    }

    fn send(&mut self, chunk: Bytes) -> Result<()> {
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => {
                let (store, key) = (Arc::clone(&self.bucket.store), self.key.clone());
                let begun = self
                    .bucket
                    .run(async move { store.put_multipart(&key).await });
                begun.map_err(|error| self.bucket.fails("write", &self.key, &error))?
            }
        };
        let (parts, sent) = self.bucket.run(async move {
            let sent = parts.put_part(PutPayload::from_bytes(chunk)).await;
            (parts, sent)
        });
        self.parts = Some(parts);
        sent.map_err(|error| self.bucket.fails("write", &self.key, &error))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            // What stays is removed by the store's own rules for uploads that do not end.
            let _ = self.bucket.run(async move { parts.abort().await });
        }
    }
}

//! The one place that calls librdkafka directly: a partition's queue, drained by callback, without a call or an object
//! per message on our side.
#![expect(
    unsafe_code,
    reason = "the calls that drain a queue in batches exist only in librdkafka's C interface"
)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use dataflow::wake::Waker;
use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::context::LinkContext;
use crate::drain::{Drain, Entry};
use crate::headers::Header;

/// A consumer whose events go to a [`LinkContext`].
pub(crate) type Consumer = BaseConsumer<LinkContext>;

const PARTITION_EOF: i32 = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF as i32;
const OUT_OF_RANGE: i32 = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET as i32;

/// The queue of one partition, apart from the consumer's own.
pub(crate) struct PartitionQueue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// Boxed, because librdkafka keeps its address.
    waker: Box<Waker>,
    /// Keeps the client alive: librdkafka wants its queues destroyed before it.
    consumer: Arc<Consumer>,
}

// SAFETY: librdkafka's queues may be used from any thread; `Waker` and the consumer are `Send` and `Sync` themselves.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// Splits the partition's queue off and has `waker` woken whenever it stops being empty. To be called before the
    /// partition is assigned, so that no record goes to the consumer's own queue. `None` when librdkafka refuses.
    pub(crate) fn split(
        consumer: &Arc<Consumer>,
        topic: &str,
        partition: i32,
        waker: Waker,
    ) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`; the name is a C string that librdkafka copies.
        let queue = unsafe { sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        let split = Self {
            queue: NonNull::new(queue)?,
            waker: Box::new(waker),
            consumer: Arc::clone(consumer),
        };
        let opaque = ptr::from_ref::<Waker>(&split.waker)
            .cast_mut()
            .cast::<c_void>();
        // SAFETY: the queue is ours to forward (to nowhere); the waker stays at its address until `drop` has taken the
        // callback away.
        unsafe {
            sys::rd_kafka_queue_forward(split.queue.as_ptr(), ptr::null_mut());
            sys::rd_kafka_queue_cb_event_enable(split.queue.as_ptr(), Some(on_filled), opaque);
        }
        Some(split)
    }

    /// Hands what is in the queue to `drain` until it is full or the queue is empty. Never waits.
    pub(crate) fn drain(&self, drain: &mut Drain<'_>) {
        let mut call = Call {
            drain,
            client: self.consumer.client().native_ptr(),
        };
        let opaque = (&raw mut call).cast::<c_void>();
        // SAFETY: the callback is called on this thread and only within this call, while `call` is alive and not used
        // otherwise.
        unsafe {
            sys::rd_kafka_consume_callback_queue(self.queue.as_ptr(), 0, Some(on_message), opaque);
        }
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: taking the callback away waits for one that is running (both hold the queue's lock), so the waker is
        // not used after this; then our reference to the queue goes, before the consumer.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// The ids of topics, by name: another id under a known name means that the topic was made anew. Waits for the brokers,
/// at most `limit`; empty when they do not answer or have no ids to tell.
pub(crate) fn topic_ids(
    consumer: &Consumer,
    names: &[&str],
    limit: Duration,
) -> BTreeMap<String, TopicId> {
    let limit = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    let texts: Vec<CString> = names.iter().filter_map(|n| CString::new(*n).ok()).collect();
    let mut pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    let client = consumer.client().native_ptr();
    let mut ids = BTreeMap::new();
    // SAFETY: the client outlives the call; what is made here is destroyed here, and nothing of the event is used after
    // its destruction. Names are C strings that librdkafka copies.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let options = sys::rd_kafka_AdminOptions_new(
            client,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        let (mut error, size) = ([0; 256], 256);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, limit, error.as_mut_ptr(), size);
        let topics =
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, limit);
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if !result.is_null() {
            let mut count = 0;
            let found = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            for at in 0..count {
                ids.extend(topic_id(*found.add(at)));
            }
        }
        sys::rd_kafka_event_destroy(event);
        sys::rd_kafka_TopicCollection_destroy(topics);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_queue_destroy(queue);
    }
    ids
}

/// Name and id of a described topic, if it has an id.
///
/// # Safety
/// `topic` is a valid description.
unsafe fn topic_id(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<(String, TopicId)> {
    // SAFETY: promised by the caller; id and name live as long as the description.
    unsafe {
        let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return None;
        }
        let id = TopicId(
            sys::rd_kafka_Uuid_most_significant_bits(id),
            sys::rd_kafka_Uuid_least_significant_bits(id),
        );
        (id != TopicId(0, 0)).then(|| (name.to_string_lossy().into_owned(), id))
    }
}

/// What the brokers know a topic by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicId(i64, i64);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}

struct Call<'a, 'b> {
    drain: &'a mut Drain<'b>,
    client: *mut sys::rd_kafka_t,
}

/// A queue stopped being empty; called by librdkafka's threads.
unsafe extern "C" fn on_filled(_client: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is the address of the queue's waker, which outlives the callback (see `split`).
    let waker = unsafe { &*opaque.cast::<Waker>() };
    waker.wake();
}

/// One entry of a queue; the message is librdkafka's and gone after the call.
unsafe extern "C" fn on_message(message: *mut sys::rd_kafka_message_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is the `Call` of the `drain` that is running; librdkafka passes a valid message. The error code
    // is read as the integer that it is in C, because a broker may send codes that the Rust enum does not have.
    unsafe {
        let call = &mut *opaque.cast::<Call<'_, '_>>();
        let code = (&raw const (*message).err).cast::<i32>().read();
        if code == 0 {
            let entry = Entry {
                value: bytes((*message).payload, (*message).len),
                key: bytes((*message).key, (*message).key_len),
                offset: (*message).offset,
                timestamp_ms: sys::rd_kafka_message_timestamp(message, ptr::null_mut()),
            };
            if call.drain.wants.headers {
                call.drain.record(&entry, &headers(message));
            } else {
                call.drain.record(&entry, &[]);
            }
        } else if code == PARTITION_EOF {
            call.drain.end((*message).offset);
        } else if code == OUT_OF_RANGE {
            let text = bytes((*message).payload, (*message).len);
            call.drain.out_of_range(text.and_then(ends_at));
        } else {
            let text = bytes((*message).payload, (*message).len);
            call.drain.error(match text {
                Some(text) => String::from_utf8_lossy(text).into_owned(),
                None => format!("error {code} of the broker"),
            });
        }
        if call.drain.full() {
            sys::rd_kafka_yield(call.client);
        }
    }
}

/// Where a partition ends by librdkafka's words for one whose leader has fewer records than were read.
fn ends_at(text: &[u8]) -> Option<i64> {
    let (_, rest) = std::str::from_utf8(text)
        .ok()?
        .split_once("broker end offset is ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The bytes at `start`, or `None` for a null pointer.
///
/// # Safety
/// `start` is null or points to `len` bytes that stay valid and unchanged for `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    Some(unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

/// The headers of a message; none when it has none or they cannot be parsed.
///
/// # Safety
/// `message` is a valid message, and the result is not used after it is gone.
unsafe fn headers<'a>(message: *const sys::rd_kafka_message_t) -> Vec<Header<'a>> {
    let mut list = ptr::null_mut();
    let mut found = Vec::new();
    // SAFETY: the message is valid (promised by the caller); names are C strings, values have the length given beside
    // them, and both live as long as the message.
    unsafe {
        if sys::rd_kafka_message_headers(message, &raw mut list)
            != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return found;
        }
        let (mut name, mut value, mut size): (*const c_char, *const c_void, usize) =
            (ptr::null(), ptr::null(), 0);
        while sys::rd_kafka_header_get_all(
            list,
            found.len(),
            &raw mut name,
            &raw mut value,
            &raw mut size,
        ) == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            found.push((CStr::from_ptr(name).to_bytes(), bytes(value, size)));
        }
    }
    found
}

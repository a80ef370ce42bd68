// SPDX-License-Identifier: GPL-2.0

//! The masters behind an instance, and which of them see the same: those are in one group.

use kernel::{
    device::Device,
    prelude::*,
    sync::{
        aref::ARef,
        new_mutex,
        Arc,
        Mutex, //
    },
};

use crate::{
    context::{
        Contexts,
        Room, //
    },
    features::Features,
};

/// The masters behind one instance.
#[pin_data]
pub(crate) struct Masters {
    features: &'static Features,
    contexts: Arc<Contexts>,
    #[pin]
    entries: Mutex<KVec<Entry>>,
}

/// One of them.
struct Entry {
    dev: ARef<Device>,
    /// Its micro-TLBs, a bit each.
    utlbs: u64,
    /// The context of its group, which it has in common with those that share a micro-TLB.
    room: Arc<Room>,
}

impl Masters {
    /// None so far; `contexts` are those that they go through.
    pub(crate) fn new(features: &'static Features, contexts: Arc<Contexts>) -> impl PinInit<Self> {
        pin_init!(Self {
            features,
            contexts,
            entries <- new_mutex!(KVec::new()),
        })
    }

    /// Takes note that `dev` is behind this instance, with the micro-TLBs in `utlbs`. Returns the
    /// context that its group has room for. May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` when the root has no context left for one more group, `EEXIST` when `dev` would make
    /// one group of several that exist, `ENOMEM`.
    pub(crate) fn add(&self, dev: &Device, utlbs: u64) -> Result<Arc<Room>> {
        let mut masters = self.entries.lock();

        let mut sharers = masters.iter().filter(|m| self.share(m.utlbs, utlbs));
        let room = match sharers.next() {
            Some(first) if sharers.any(|m| !Arc::ptr_eq(&m.room, &first.room)) => {
                return Err(EEXIST);
            }
            Some(first) => first.room.clone(),
            None => Arc::new(self.contexts.promise().ok_or(EBUSY)?, GFP_KERNEL)?,
        };
        let entry = Entry {
            dev: dev.into(),
            utlbs,
            room: room.clone(),
        };
        masters.push(entry, GFP_KERNEL)?;
        Ok(room)
    }

    /// Forgets `dev`. May sleep.
    pub(crate) fn remove(&self, dev: &Device) {
        self.entries
            .lock()
            .retain(|entry| !core::ptr::eq(&*entry.dev, dev));
    }

    /// Whether masters with micro-TLBs `a` and `b` must see the same: they share one of them, or
    /// there is but one context for all.
    fn share(&self, a: u64, b: u64) -> bool {
        a & b != 0 || self.features.usable_contexts().count() == 1
    }

    /// Calls `f` with another master behind this instance that must see the same as `dev`, if there
    /// is any. It stays behind the instance during the call. May sleep.
    pub(crate) fn with_alias<R>(&self, dev: &Device, f: impl FnOnce(&Device) -> R) -> Option<R> {
        let masters = self.entries.lock();
        let is_dev = |m: &&Entry| core::ptr::eq(&*m.dev, dev);
        let own = masters.iter().find(is_dev)?;

        masters
            .iter()
            .find(|other| !is_dev(other) && self.share(other.utlbs, own.utlbs))
            .map(|other| f(&other.dev))
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Where bus masters sit: which of them use a context, from behind which caches.

use kernel::{
    device::Device,
    fmt,
    prelude::*,
    sync::{
        aref::ARef,
        new_mutex,
        Arc,
        Mutex, //
    },
};

use crate::{
    context::Room,
    domain::Domain,
    features::UtlbId,
    ipmmu::Ipmmu, //
};

/// A bus master's place behind its IPMMU, and what translates for it.
#[pin_data]
pub(crate) struct Seat {
    pub(crate) dev: ARef<Device>,
    pub(crate) ipmmu: Arc<Ipmmu>,
    /// Its micro-TLBs, a bit each.
    pub(crate) utlbs: u64,
    /// The same for all masters of a group.
    pub(crate) room: Arc<Room>,
    /// `None` while addresses pass through. Changed under the root's attach lock.
    #[pin]
    domain: Mutex<Option<Arc<Domain>>>,
}

impl Seat {
    /// A seat in which addresses pass through.
    pub(crate) fn new(
        dev: &Device,
        ipmmu: Arc<Ipmmu>,
        utlbs: u64,
        room: Arc<Room>,
    ) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                dev: dev.into(),
                ipmmu,
                utlbs,
                room,
                domain <- new_mutex!(None),
            }),
            GFP_KERNEL,
        )
    }

    /// The master's micro-TLBs.
    pub(crate) fn utlbs(&self) -> impl Iterator<Item = UtlbId> {
        self.ipmmu.features().utlbs_in(self.utlbs)
    }

    /// What translates for the master. May sleep.
    pub(crate) fn domain(&self) -> Option<Arc<Domain>> {
        self.domain.lock().clone()
    }

    /// Takes note of what translates for the master from now on. May sleep.
    pub(crate) fn set_domain(&self, domain: Option<Arc<Domain>>) {
        let old = core::mem::replace(&mut *self.domain.lock(), domain);

        drop(old);
    }
}

/// Who uses a context.
pub(crate) struct Users(KVec<Arc<Seat>>);

impl Users {
    /// None, with room for `count`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn with_capacity(count: usize) -> Result<Self> {
        Ok(Self(KVec::with_capacity(count, GFP_KERNEL)?))
    }

    /// Where they sit.
    pub(crate) fn seats(&self) -> &[Arc<Seat>] {
        &self.0
    }

    /// Whether any of them is behind `ipmmu`.
    pub(crate) fn are_behind(&self, ipmmu: &Arc<Ipmmu>) -> bool {
        self.0.iter().any(|s| Arc::ptr_eq(&s.ipmmu, ipmmu))
    }

    /// Whether `seat` is all there is.
    pub(crate) fn are_only(&self, seat: &Arc<Seat>) -> bool {
        self.0.iter().all(|s| Arc::ptr_eq(s, seat))
    }

    /// Adds `seat`, if there is room.
    pub(crate) fn add(&mut self, seat: &Arc<Seat>) {
        let _ = self.0.push_within_capacity(seat.clone());
    }

    /// Removes `seat`.
    pub(crate) fn remove(&mut self, seat: &Arc<Seat>) {
        self.0.retain(|s| !Arc::ptr_eq(s, seat));
    }

    /// Calls `f` with each IPMMU beside the root that the context must be flushed in: those that
    /// the seats are behind.
    pub(crate) fn for_each_cache(&self, mut f: impl FnMut(&Ipmmu)) {
        let mut rest = self.seats();

        while let [seat, others @ ..] = rest {
            let is_same = |s: &Arc<Seat>| Arc::ptr_eq(&s.ipmmu, &seat.ipmmu);

            // For the last one who is behind it.
            if !seat.ipmmu.is_root() && !others.iter().any(is_same) {
                f(&seat.ipmmu);
            }
            rest = others;
        }
    }
}

/// Writes the names of bus masters, separated by commas.
pub(crate) fn write_names(seats: &[Arc<Seat>], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, seat) in seats.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        // At once; as a `CStr` it would be written, and looked at, character by character.
        f.write_str(seat.dev.name().to_str().unwrap_or("?"))?;
    }
    Ok(())
}

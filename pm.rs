// SPDX-License-Identifier: GPL-2.0

//! Suspend and resume: what is saved, when, and how it comes back.
//!
//! PSCI SYSTEM_SUSPEND powers the SoC down, and every register of every IPMMU is lost. So is what
//! an IPMMU in a power area of its own holds when its masters have been idle for a while. Page
//! tables and cached translations are not the matter here: the tables stay in RAM, and an empty TLB
//! fills itself. What must come back is which table each context walks, and which context each
//! micro-TLB uses.
//!
//! # Order
//!
//! Masters sleep first, then the caches that they are behind, then the root; they wake up the
//! other way round. Device links make it so: cache to root at probe, master to cache when the IOMMU
//! core adds the master. When the system sleeps, all of it is in the noirq phase, after the
//! masters' own suspend callbacks and before their resume callbacks.
//!
//! Within an instance, contexts come back before micro-TLBs, and in a context IMCTR comes last, so
//! that no micro-TLB is ever pointed to a context that is only half there.
//!
//! # Meanwhile
//!
//! While the system sleeps nothing happens. While the power domain of an instance alone is off,
//! because all masters behind it sleep (device links make its runtime PM follow theirs), domains
//! are mapped, unmapped, attached and detached as ever. Nothing wakes it for that: there is nothing
//! to flush in an instance without power, and what attaching and detaching change is changed in
//! what will be restored ([`Target`](crate::ipmmu::Target)).

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_mutex,
        Arc,
        Mutex, //
    },
};

use crate::{
    abstractions::{
        power_domain::PowerOps,
        rcu, //
    },
    backup::Backup,
    fault::{
        FaultHandler,
        When, //
    },
    ipmmu::Ipmmu,
};

/// What those are doing who map, unmap, attach and detach while an instance falls asleep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// Whatever they like.
    GoOn,
    /// Nothing: user space is frozen, and the drivers of all masters have suspended their devices,
    /// which includes being done with what they had mapped, and waiting for their interrupts. But
    /// the timer of a flush queue may still flush what was unmapped before.
    AreFrozen,
}

/// One instance, as far as it sleeps.
#[pin_data]
pub(crate) struct Sleeper {
    ipmmu: Arc<Ipmmu>,
    /// Of a root.
    faults: Option<Arc<FaultHandler>>,
    /// Keeps the power from being cut during a shutdown. When the system falls asleep it is not
    /// cut before the instance's own callback has returned.
    #[pin]
    transition: Mutex<()>,
    /// Between the instance's own suspend and resume callbacks, and from shutdown on.
    system_sleeps: Atomic<bool>,
    /// It fell asleep for a hibernation image, and may wake up in it.
    is_frozen: Atomic<bool>,
}

impl Sleeper {
    /// `ipmmu`, which is awake; `faults` are those of a root. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(ipmmu: Arc<Ipmmu>, faults: Option<Arc<FaultHandler>>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                ipmmu,
                faults,
                transition <- new_mutex!(()),
                system_sleeps: Atomic::new(false),
                is_frozen: Atomic::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// The instance.
    pub(crate) fn ipmmu(&self) -> &Arc<Ipmmu> {
        &self.ipmmu
    }

    /// The system falls asleep. Does not sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the instance was unbound.
    pub(crate) fn system_sleeps(&self) -> Result {
        self.fall_asleep(Others::AreFrozen)?;
        self.system_sleeps.store(true, Relaxed);
        Ok(())
    }

    /// The system makes an image of itself. Does not sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the instance was unbound.
    pub(crate) fn system_freezes(&self) -> Result {
        self.is_frozen.store(true, Relaxed);
        self.system_sleeps()
    }

    /// The system is awake again, and so is the power domain of each device that it resumes; what
    /// needs no power loses it again later. Does not sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` when the instance was unbound, `EIO` when a register did not come back.
    pub(crate) fn system_wakes_up(&self) -> Result {
        self.system_sleeps.store(false, Relaxed);
        if self.is_frozen.xchg(false, Relaxed) {
            // Now or when it loaded the image, another kernel may have used the instance.
            if let Some(regs) = self.ipmmu.hardware() {
                self.ipmmu.reset(regs);
            }
        }
        self.wake_up()
    }

    /// Switches off all contexts, for good: the next kernel must not have devices translated by
    /// tables that are no more. May sleep.
    ///
    /// Micro-TLBs stay pointed to them, which keeps masters that nobody brought to rest from
    /// memory. If they were off, DMA would go wherever an IOVA happens to point.
    pub(crate) fn shut_down(&self) {
        let _transition = self.transition.lock();

        // When its area gets power again, for whatever else is in it, it stays off.
        self.system_sleeps.store(true, Relaxed);
        // Without power it is off.
        if self.ipmmu.is_asleep() {
            return;
        }

        // Whatever anyone still wants of it changes what is never restored.
        if self.fall_asleep(Others::GoOn).is_err() {
            return;
        }
        if let Some(regs) = self.ipmmu.hardware() {
            self.ipmmu.reset_contexts(regs);
        }
    }

    /// Saves the registers of all contexts and micro-TLBs that are in use, and has them not be
    /// touched any more. Nothing to do if the instance sleeps already.
    ///
    /// Allocates nothing. May sleep if others go on. The masters must be quiet.
    fn fall_asleep(&self, others: Others) -> Result {
        let ipmmu = &self.ipmmu;
        if ipmmu.is_asleep() {
            return Ok(());
        }
        ipmmu.hardware().ok_or(ENODEV)?;

        // The status is not among what is saved: whoever is to hear of a fault hears of it now.
        if let Some(faults) = &self.faults {
            faults.look(When::Awake);
        }

        // Who flushes without a lock does so no more; who has begun to is waited for, now or before
        // there is no power.
        ipmmu.set_asleep(true);
        ipmmu.contexts().with_settled(|_| ());
        if others == Others::GoOn {
            self.wait_for_flushes();
        }

        // Nobody sleeps from here on.
        let backup = ipmmu.backup().ok_or(ENODEV)?;
        // Who works under a lock and has not seen it yet is waited for; who has goes by the backup,
        // and waits there.
        ipmmu.contexts().with_settled(|leased| {
            ipmmu.with_used(leased, |used| {
                let mut backup = backup.lock();
                if let Some(slots) = backup.take_slots() {
                    backup.put(Backup::Asleep(slots.fill(used)));
                }
            });
        });
        ipmmu.sleeps().saved();
        Ok(())
    }

    /// Waits for who flushes without a lock, and has begun to before nobody did so any more. Their
    /// writes change nothing that is saved, but need power. May sleep.
    fn wait_for_flushes(&self) {
        if self.ipmmu.was_exposed() {
            rcu::synchronize();
        }
    }

    /// Writes back what was saved, if anything was. Then reads all of it again, and reports what
    /// the hardware did not take.
    ///
    /// Allocates nothing and does not sleep. The masters are still quiet.
    fn wake_up(&self) -> Result {
        let ipmmu = &self.ipmmu;
        let regs = ipmmu.hardware().ok_or(ENODEV)?;
        let backup = ipmmu.backup().ok_or(ENODEV)?;
        let mut backup = backup.lock();
        let Some(saved) = backup.take_saved() else {
            return Ok(());
        };

        let restored = saved.put_back(|id| ipmmu.wait_flushed_in(regs, id));
        let mut result = Ok(());
        let slots = restored.verify(|lost| {
            dev_err!(
                ipmmu.dev(),
                "{}: {} is 0x{:08x} after resume, 0x{:08x} expected\n",
                lost.part,
                lost.register,
                lost.found,
                lost.expected
            );
            ipmmu.sleeps().lost();
            result = Err(EIO);
        });
        backup.put(Backup::Awake(slots));
        ipmmu.set_asleep(false);
        drop(backup);

        ipmmu.sleeps().restored();
        if let Some(faults) = &self.faults {
            faults.look(When::Asleep);
        }
        result
    }
}

/// The instance's power domain, while the system is awake. While it sleeps the order is that of the
/// callbacks, root before caches, not that of power domains.
impl PowerOps for Sleeper {
    fn before_off(&self) {
        let _transition = self.transition.lock();
        let _ = self.fall_asleep(Others::GoOn);
        // When the system falls asleep, that was before; nobody waited, as most instances keep
        // their power until no CPU runs any more.
        self.wait_for_flushes();
    }

    fn after_on(&self) {
        let _transition = self.transition.lock();

        if !self.system_sleeps.load(Relaxed) {
            // What was lost was reported.
            let _ = self.wake_up();
        }
    }
}

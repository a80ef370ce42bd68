// SPDX-License-Identifier: GPL-2.0

//! Suspend and resume: what is saved, when, and how it is restored.
//!
//! PSCI SYSTEM_SUSPEND powers the SoC down, and every IPMMU loses its registers. An IPMMU in a
//! power area of its own also loses them when its clients have been idle for a while. Page tables
//! and cached translations do not matter here: the tables stay in RAM, and an empty TLB refills
//! itself. What must come back is which table each context walks, and which context each micro-TLB
//! points to.
//!
//! One pair of functions, [`Power::suspend`] and [`Power::resume`], serves system sleep and runtime
//! PM; probe is a resume with nothing saved. Clients sleep first, then their caches, then the root;
//! they wake up in the reverse order. Device links ensure this: from cache to root since probe,
//! from client to cache since the core added the client.
//!
//! Attach, release and flush wake no instance. They act on those that are awake.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

use crate::{
    fault::*,
    hardware::*,
    ipmmu::Ipmmu,
    policy,
    regs::Registers,
    saved::*, //
};

/// What the registers may hold on waking.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// What the firmware or another kernel left.
    Probe,
    /// What suspend left, or nothing.
    Sleep,
    /// As for sleep, or what the kernel that loaded the image left.
    Freeze,
}

/// The power state of one instance. The instance is switched off when this is dropped.
pub(crate) struct Power {
    pub(crate) ipmmu: Arc<Ipmmu>,
    is_frozen: Atomic<bool>,
}

impl Power {
    /// Starts `ipmmu`, in whatever state it was left. Fails with `EIO` when a register does not
    /// hold what was written.
    pub(crate) fn new(ipmmu: Arc<Ipmmu>) -> Result<Self> {
        let power = Self {
            ipmmu,
            is_frozen: Atomic::new(false),
        };

        power.wake(Before::Probe)?;
        Ok(power)
    }

    /// Saves the registers of all contexts and micro-TLBs in use, and lets nothing through them.
    /// Touches nothing if the instance sleeps. Allocates nothing. May sleep. Fails with `ENODEV`
    /// when the device was unbound.
    pub(crate) fn suspend(&self) -> Result {
        let ipmmu = &self.ipmmu;
        // Excludes attach and release.
        let _serialised = ipmmu.root().reservations.lock();
        if !ipmmu.parking.state.lock().is_awake {
            return Ok(());
        }

        // The handler must not run while it cannot read the registers that raise the interrupt.
        if let Some(irq) = ipmmu.irq.as_ref() {
            irq.disable();
        }
        if ipmmu.parking.state.lock().tells_faults {
            report(ipmmu, ipmmu.parking.take_parking_fault(), When::Suspending);
        }
        ipmmu.parking.state.lock().is_awake = false;
        let regs = ipmmu.regs.access().ok_or(ENODEV)?;
        let wrong = ipmmu.with_save_area(|area| {
            for context in &ipmmu.root().contexts {
                if ipmmu.is_root() {
                    report(ipmmu, context.suspend_in_root(area), When::Suspending);
                } else {
                    context.suspend_in_cache(&ipmmu.regs, area);
                }
            }
            if ipmmu.is_root() {
                ipmmu.parking.quiet_parking(&regs, true);
            }
            // Those saved before serve if nothing is in use, or if what is read cannot be trusted.
            if area.wrong.is_empty() && !area.is_empty() {
                area.control = self.read_control(&regs);
            }
        })?;

        wrong.log(ipmmu.dev(), "at suspend");
        Ok(())
    }

    /// Restores what was saved, and reports what does not come back. Touches nothing if the
    /// instance is awake. Allocates nothing. May sleep.
    ///
    /// Fails with `EIO` when a register did not come back. Unless it is a control register, what
    /// depends on it lets nothing through. `ENODEV` when the device was unbound.
    pub(crate) fn resume(&self) -> Result {
        let before = if self.is_frozen.xchg(false, Relaxed) {
            Before::Freeze
        } else {
            Before::Sleep
        };

        self.wake(before)
    }

    /// Suspends the instance, which is awake, and leaves no context on: for an image, for another
    /// kernel, and for good. May sleep. Fails with `ENODEV` when the device was unbound.
    pub(crate) fn end(&self) -> Result {
        let ipmmu = &self.ipmmu;
        if !ipmmu.parking.state.lock().is_awake {
            return Ok(());
        }

        self.suspend()?;
        let regs = ipmmu.regs.access().ok_or(ENODEV)?;
        // On Gen2 suspend leaves them on.
        for context in &ipmmu.contexts {
            reset(ipmmu.features, context.id, &regs);
        }
        ipmmu.parking.quiet_parking(&regs, false);
        if ipmmu.is_root() && ipmmu.features.stage_2 {
            // Upstream's driver, which may come next, does not touch IMSAUXCTLR.
            let wrong = ipmmu.with_save_area(|area| {
                let restored = area.control.clone().with_s2pte(false).restore(&regs);
                restored.verify(&regs, &mut area.wrong);
            })?;
            wrong.log(ipmmu.dev(), "at suspend");
        }
        Ok(())
    }

    /// Calls [`Self::end`] for an image of the system. [`Self::resume`] follows, in this kernel or
    /// in the image. May sleep. Fails with `ENODEV` when the device was unbound.
    pub(crate) fn freeze(&self) -> Result {
        self.is_frozen.store(true, Relaxed);
        self.end()
    }

    fn wake(&self, before: Before) -> Result {
        let ipmmu = &self.ipmmu;
        // Excludes attach and release.
        let _serialised = ipmmu.root().reservations.lock();
        if ipmmu.parking.state.lock().is_awake {
            return Ok(());
        }
        let required = (before == Before::Probe).then(|| policy::required_imsctlr(ipmmu.is_root()));
        let regs = ipmmu.regs.access().ok_or(ENODEV)?;
        let wrong = ipmmu.with_save_area(|area| {
            if let Some(required) = required {
                // Includes what the firmware found necessary.
                area.control = self.read_control(&regs).with_required(required);
            }
            if before != Before::Sleep && ipmmu.is_root() {
                // What is left on may walk tables of another stage.
                for id in ipmmu.features.contexts() {
                    reset(ipmmu.features, id, &regs);
                }
            }
            let control = area.control.clone().restore(&regs);
            control.verify(&regs, &mut area.wrong);
            if ipmmu.is_root() {
                self.wake_root(&regs, area, before);
            } else {
                self.wake_cache(&regs, area, before);
            }
        })?;
        if let Some(irq) = ipmmu.irq.as_ref() {
            irq.enable();
        }
        wrong.log(ipmmu.dev(), "after resume");
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(EIO)
        }
    }

    /// Returns the control registers as others left them, in a root with the stage of its tables.
    fn read_control(&self, regs: &impl Registers) -> Saved {
        let features = self.ipmmu.features;
        let control = Saved::control(features).read(regs);

        if self.ipmmu.is_root() {
            control.with_s2pte(features.stage_2)
        } else {
            control
        }
    }

    fn wake_root(&self, regs: &impl Registers, area: &mut SaveArea, before: Before) {
        let ipmmu = &self.ipmmu;
        let stayed_on = ipmmu.parking.start_parking(regs, &mut area.wrong);

        for id in ipmmu.features.reserved_contexts() {
            reset(ipmmu.features, id, regs);
        }
        ipmmu.parking.state.lock().is_awake = true;
        if stayed_on {
            report(ipmmu, ipmmu.parking.take_parking_fault(), When::Asleep);
        }
        for context in &ipmmu.contexts {
            let fault = context.resume_in_root(area, !stayed_on);
            report(ipmmu, fault, When::Asleep);
        }
        if ipmmu.has_clients() {
            // On Gen2 the micro-TLBs are here. Those found on walk what the context walks.
            let found = if self.may_find_on(before) {
                ipmmu.parking.find_on(regs)
            } else {
                0
            };
            let contexts = ipmmu.contexts.iter();
            let grouped = contexts.fold(0, |grouped, context| grouped | context.lock().own);
            self.wake_strays(regs, before, found);
            let clients = ipmmu.client_utlbs();
            ipmmu
                .parking
                .switch_off_owed(regs, found, (clients, grouped));
        }
    }

    /// Returns whether micro-TLBs may be on that this driver did not switch on.
    fn may_find_on(&self, before: Before) -> bool {
        before != Before::Sleep || self.ipmmu.parking.state.lock().was_used
    }

    /// Parks the micro-TLBs without a client. At probe these are the ones in `found`.
    fn wake_strays(&self, regs: &impl Registers, before: Before, found: u64) {
        if before == Before::Probe {
            self.ipmmu.parking.set_strays(found);
        }
        self.ipmmu.parking.resume_own(regs);
    }

    fn wake_cache(&self, regs: &impl Registers, area: &mut SaveArea, before: Before) {
        let ipmmu = &self.ipmmu;
        let found = if self.may_find_on(before) {
            ipmmu.parking.park_all(regs)
        } else {
            0
        };
        let mut grouped = 0;

        ipmmu.parking.park_again(regs);
        self.wake_strays(regs, before, found);
        ipmmu.parking.state.lock().is_awake = true;
        for context in &ipmmu.root().contexts {
            grouped |= context.resume_in_cache(&ipmmu.regs, area);
        }
        // Not needed for most caches, in which nothing was found on.
        let clients = if found == 0 { 0 } else { ipmmu.client_utlbs() };
        ipmmu
            .parking
            .switch_off_owed(regs, found, (clients, grouped));
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        // The instance is awake: probe failed, or it was woken up to be unbound. Without registers
        // there is nothing to switch off.
        let _ = self.end();
    }
}

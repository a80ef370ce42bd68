// SPDX-License-Identifier: GPL-2.0

//! Faults: the interrupt, the fault handlers of domains, and the messages.

use kernel::{
    fmt::{
        self,
        Write, //
    },
    irq::{
        Handler,
        IrqReturn, //
    },
    prelude::*,
    str::NullTerminatedFormatter,
    sync::Arc, //
};

use crate::{
    hardware::Fault,
    ipmmu::Ipmmu,
    regs::IMSTR,
    wants::Member, //
};

/// When a fault happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In normal operation.
    Awake,
    /// While the root was falling asleep. The clients sleep: their handlers are not called.
    Suspending,
    /// While the root slept.
    Asleep,
}

/// Handles all pending faults; returns whether there were any. Without a fault, 1 read for each
/// context that is on, and for parking. Any context.
fn look(root: &Ipmmu) -> bool {
    let mut found = false;

    for context in &root.contexts {
        // Reported without a lock: a fault handler may unmap.
        let fault = context.with(|state| context.take_fault(state));
        found |= report(root, fault, When::Awake);
    }
    found | report(root, root.parking.take_parking_fault(), When::Awake)
}

/// Reports `fault`, if there is one; returns whether there is. Any context, but not while an
/// IPMMU's context is locked.
pub(crate) fn report(root: &Ipmmu, fault: Option<Fault>, when: When) -> bool {
    let Some(fault) = fault else {
        return false;
    };
    let status = fault.status;
    let may_be_handled = when == When::Awake && (status.tf() || status.pf());
    let is_handled = match (&fault.space, &fault.dev) {
        (Some(space), Some(dev)) if may_be_handled => space.report_fault(dev, fault.iova),
        _ => false,
    };

    if !is_handled {
        log(root, &fault, when);
    }
    true
}

fn log(root: &Ipmmu, fault: &Fault, when: When) {
    let Some(suppressed) = root.limit.lock().allow() else {
        return;
    };
    if suppressed > 0 {
        dev_err!(root.dev(), "{} faults suppressed\n", suppressed);
    }
    let (index, iova, status) = (fault.id.index(), fault.iova, u32::from(fault.status));
    let what = match when {
        When::Awake | When::Suspending => "Unhandled fault",
        When::Asleep => "Fault during sleep",
    };
    let (why, names) = (Why(fault.status), Names { root, fault, when });
    // The kernel formats a message twice, with interrupts off, where no lock may be taken. So
    // the text is formatted here; what does not fit is left out.
    let mut text = [0; 384];
    if let Some(mut line) = NullTerminatedFormatter::new(&mut text) {
        let _ = line.write_fmt(fmt!(
            "{what}: context {index}, iova 0x{iova:x}, status 0x{status:08x} ({why}), clients: {names}"
        ));
    }
    let text = CStr::from_bytes_until_nul(&text).unwrap_or_default();
    dev_err!(root.dev(), "{}\n", text.to_str().unwrap_or_default());
}

/// The devices that may have caused a fault. For a fault of parking these are the blocked ones, and
/// if the root slept all others, too.
struct Names<'a> {
    root: &'a Ipmmu,
    fault: &'a Fault,
    when: When,
}

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.root.context(self.fault.id).map(core::slice::from_ref);
        let mut separator = "";

        for context in own.unwrap_or(&self.root.contexts) {
            let state = context.lock();
            let is_of = |member: &&Member| {
                own.is_some() || member.is_blocked() || self.when == When::Asleep
            };
            for member in state.members.list.iter().filter(is_of) {
                let name = member.dev.name();
                f.write_fmt(fmt!("{separator}{name}"))?;
                separator = ", ";
            }
        }
        if separator.is_empty() {
            f.write_str("none (parked uTLB)")?;
        }
        Ok(())
    }
}

/// The meaning of a status, in words.
struct Why(IMSTR);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, level) = (self.0.errcode().get(), self.0.errlvl().get());

        f.write_str(if self.0.mhit() {
            "multiple TLB hits"
        } else if self.0.abort() {
            "table walk aborted"
        } else if self.0.pf() && code != SECURE_ACCESS {
            "no permission"
        } else {
            "not mapped"
        })?;
        if code != 0 {
            f.write_fmt(fmt!(", code {code} at level {level}"))?;
        }
        Ok(())
    }
}

/// The reason of a PF at an entry without NS. All entries that this driver writes in stage 1 have
/// NS, empty ones do not.
const SECURE_ACCESS: u32 = 5;

/// The handler of a root's fault interrupt.
pub(crate) struct FaultIrq(pub(crate) Arc<Ipmmu>);

impl Handler for FaultIrq {
    fn handle(&self) -> IrqReturn {
        if look(&self.0) {
            IrqReturn::Handled
        } else {
            IrqReturn::None
        }
    }
}

#[kunit_tests(ipmmu_fault)]
mod tests {
    use kernel::str::CString;

    use super::*;

    #[test]
    fn what_is_empty_is_told_as_not_mapped() -> Result {
        for (status, words) in [
            (0x0001, "not mapped"),
            (0x0101, "not mapped, code 1 at level 0"),
            (0x1502, "not mapped, code 5 at level 1"),
            (0x2402, "no permission, code 4 at level 2"),
            (0x0002, "no permission"),
            (0x0004, "table walk aborted"),
            (0x0012, "multiple TLB hits"),
        ] {
            let why = CString::try_from_fmt(fmt!("{}", Why(IMSTR::from(status))))?;
            assert_eq!(why.to_str(), Ok(words));
        }
        Ok(())
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Faults: the interrupt, the fault handler of a domain, the message.

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
    sync::{
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

use crate::{
    context::Fault,
    ipmmu::Ipmmu,
    regs::IMSTR, //
};

/// Keeps a storm of faults from flooding the log: ten messages in five seconds, like the kernel's
/// own rate limit.
struct RateLimit {
    since: Option<Instant<Monotonic>>,
    printed: u32,
    suppressed: u32,
}

impl RateLimit {
    const INTERVAL: Delta = Delta::from_secs(5);
    const BURST: u32 = 10;

    const fn new() -> Self {
        Self {
            since: None,
            printed: 0,
            suppressed: 0,
        }
    }

    /// Returns how many messages were not printed before this one, if it may be.
    fn allow(&mut self) -> Option<u32> {
        if self.since.is_none_or(|t| t.elapsed() > Self::INTERVAL) {
            self.since = Some(Instant::now());
            self.printed = 0;
        }
        if self.printed >= Self::BURST {
            self.suppressed += 1;
            return None;
        }

        self.printed += 1;
        Some(core::mem::take(&mut self.suppressed))
    }
}

/// When a fault happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In normal operation.
    Awake,
    /// While the root slept.
    Asleep,
}

/// The faults of a root.
#[pin_data]
pub(crate) struct Faults {
    root: Arc<Ipmmu>,
    #[pin]
    limit: SpinLockIrq<RateLimit>,
}

impl Faults {
    /// Makes those of the contexts of `root`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(root: Arc<Ipmmu>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                root,
                limit <- new_spinlock_irq!(RateLimit::new()),
            }),
            GFP_KERNEL,
        )
    }

    /// Deals with the faults that are there; returns whether there were any. 1 read for each
    /// context that is on, and for parking. Any context.
    fn look(&self) -> bool {
        let mut found = false;

        for context in self.root.contexts() {
            // No lock is held when it is told: a fault handler may unmap.
            let fault = context.take_fault(&mut context.lock());
            found |= self.report(fault, When::Awake);
        }
        found | self.report(self.root.parking().take_parking_fault(), When::Awake)
    }

    /// Tells of `fault`, if there is one; returns whether there is. Any context, no lock held.
    pub(crate) fn report(&self, fault: Option<Fault>, when: When) -> bool {
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
            self.log(&fault, when);
        }
        true
    }

    fn log(&self, fault: &Fault, when: When) {
        let Some(suppressed) = self.limit.lock().allow() else {
            return;
        };
        let dev = self.root.dev();

        if suppressed > 0 {
            dev_err!(dev, "{} more faults were not shown\n", suppressed);
        }
        let (index, iova, status) = (fault.id.index(), fault.iova, u32::from(fault.status));
        let words = in_words(fault.status);
        let what = match when {
            When::Awake => "Unhandled fault",
            When::Asleep => "Fault during sleep",
        };
        let mut line = Line::new();
        // What does not fit is left out.
        let _ = line.write_fmt(fmt!(
            "{what}: context {index}, iova 0x{iova:x}, status 0x{status:08x} ({words}), of "
        ));
        let _ = self.write_names(fault, when, &mut line);
        dev_err!(dev, "{}\n", line.as_str());
    }

    /// Writes the names of the devices that `fault` may be of. A fault of parking may be of all
    /// that are blocked, and, while the root sleeps, of all others.
    fn write_names(&self, fault: &Fault, when: When, line: &mut Line) -> fmt::Result {
        let mut separator = "";

        for context in self.root.contexts() {
            let state = context.lock();
            let of_parking = fault.id != context.id && fault.space.is_none();
            for member in state.members.iter() {
                let is_parked = member.is_blocked() || when == When::Asleep;
                if fault.id == context.id || (of_parking && is_parked) {
                    let name = member.dev.name();
                    line.write_fmt(fmt!("{separator}{name}"))?;
                    separator = ", ";
                }
            }
        }
        if separator.is_empty() {
            line.write_str("a parked uTLB")?;
        }
        Ok(())
    }
}

/// A line of a message. The kernel formats each message twice, and this is done with locks.
struct Line {
    text: [u8; Self::MAX],
    len: usize,
}

impl Line {
    const MAX: usize = 384;

    fn new() -> Self {
        Self {
            text: [0; Self::MAX],
            len: 0,
        }
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.text[..self.len]).unwrap_or("?")
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();

        self.text
            .get_mut(self.len..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Returns the most telling of the status bits in words.
fn in_words(status: IMSTR) -> &'static str {
    if status.mhit() {
        "multiple TLB hits"
    } else if status.abort() {
        "table walk aborted"
    } else if status.pf() {
        "no permission"
    } else {
        "not mapped"
    }
}

/// The handler of a root's fault interrupt.
pub(crate) struct FaultIrq(pub(crate) Arc<Faults>);

impl Handler for FaultIrq {
    fn handle(&self) -> IrqReturn {
        if self.0.look() {
            IrqReturn::Handled
        } else {
            IrqReturn::None
        }
    }
}

// SPDX-License-Identifier: GPL-2.0

//! The interrupt: translation faults.

use kernel::{
    fmt,
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
    context::Tenant,
    features::ContextId,
    ipmmu::Ipmmu,
    mmio::Registers,
    regs::{
        IMELAR,
        IMEUAR,
        IMSTR, //
    },
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

    /// Whether one more message may be printed; if so, how many were not, before it.
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

/// When the faults that are found happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In normal operation.
    Awake,
    /// While the root went to sleep, slept, or woke up: nobody's fault who works now.
    Asleep,
}

/// The handler of a root's fault interrupt.
#[pin_data]
pub(crate) struct FaultHandler {
    root: Arc<Ipmmu>,
    #[pin]
    limit: SpinLockIrq<RateLimit>,
}

impl FaultHandler {
    /// For the contexts of `root`.
    pub(crate) fn new(root: Arc<Ipmmu>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                root,
                limit <- new_spinlock_irq!(RateLimit::new()),
            }),
            GFP_KERNEL,
        )
    }

    /// Deals with the faults that are there: 1 read per leased context, 2 reads and a write more
    /// for each fault. Returns whether there were any; none are found while the root is asleep. Any
    /// context.
    pub(crate) fn look(&self, when: When) -> bool {
        let mut found = false;

        self.root.contexts().for_each_leased(|id, tenant| {
            if let Some(regs) = self.root.registers() {
                found |= self.handle_context(regs, id, tenant, when);
            }
        });
        found
    }

    /// Reads and clears the fault of context `id`, and tells of it: 1 read without, 3 reads and a
    /// write with a fault.
    fn handle_context(
        &self,
        regs: &impl Registers,
        id: ContextId,
        tenant: &dyn Tenant,
        when: When,
    ) -> bool {
        let features = self.root.features();
        let status: IMSTR = regs.read(features.context(id));
        if !(status.tf() || status.pf() || status.abort() || status.mhit()) {
            return false;
        }

        // The address is gone once the status is cleared, which is done by writing 0.
        let low: u32 = regs.read::<IMELAR>(features.context(id)).into();
        let high: u32 = if features.split {
            regs.read::<IMEUAR>(features.context(id)).into()
        } else {
            0
        };
        let iova = u64::from(high) << 32 | u64::from(low);
        regs.write(features.context(id), IMSTR::from(0));
        self.root.contexts().count_fault(id);

        let may_be_handled = when == When::Awake && (status.tf() || status.pf());
        if !(may_be_handled && tenant.report_fault(iova)) {
            self.log(id, iova, status, tenant, when);
        }
        true
    }

    fn log(&self, id: ContextId, iova: u64, status: IMSTR, tenant: &dyn Tenant, when: When) {
        let Some(suppressed) = self.limit.lock().allow() else {
            return;
        };
        let dev = self.root.dev();

        if suppressed > 0 {
            dev_err!(dev, "{} more faults were not shown\n", suppressed);
        }
        let (index, status, words) = (id.index(), u32::from(status), in_words(status));
        let names = Devices(tenant);
        let what = match when {
            When::Awake => "Unhandled fault",
            When::Asleep => "Fault during sleep",
        };
        let mut line = Line::new();
        line.say(fmt!(
            "{what}: context {index}, iova 0x{iova:x}, status 0x{status:08x} ({words}), of {names}"
        ));
        dev_err!(dev, "{}\n", line.as_str());
    }
}

/// The names of the devices that a context translates for.
struct Devices<'a>(&'a dyn Tenant);

impl fmt::Display for Devices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.name_devices(f)
    }
}

/// A line of a message.
///
/// The kernel formats each message twice, the first time to see how long it is. Made here, it is
/// copied twice instead; and nobody prints while names are locked.
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

    /// Adds what fits in.
    fn say(&mut self, text: fmt::Arguments<'_>) {
        let _ = fmt::Write::write_fmt(self, text);
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.text[..self.len]).unwrap_or("?")
    }
}

impl fmt::Write for Line {
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

/// The most telling of the status bits.
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

/// The interrupt's hold on the handler.
pub(crate) struct FaultIrq(pub(crate) Arc<FaultHandler>);

impl Handler for FaultIrq {
    fn handle(&self) -> IrqReturn {
        if self.0.look(When::Awake) {
            IrqReturn::Handled
        } else {
            IrqReturn::None
        }
    }
}

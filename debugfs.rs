// SPDX-License-Identifier: GPL-2.0

//! What a person can look at: `ipmmu/<instance>/` in debugfs.
//!
//! `contexts`, of a root: who has which context. `utlbs`: which micro-TLB uses which context.
//! `registers`: what the hardware holds of both, by name. `saved`: what was saved of it when the
//! instance slept, the last time.

use kernel::{
    debugfs::{
        Dir,
        Scope, //
    },
    fmt,
    io::register::Register,
    prelude::*,
    sync::Arc, //
};

use crate::{
    instances,
    ipmmu::Ipmmu,
    kept::Part,
    regs::{
        IMCTR,
        IMMAIR0,
        IMSTR,
        IMTTBCR,
        IMTTLBR0,
        IMTTUBR0,
        IMUASID,
        IMUCTR, //
    },
};

/// The files of one instance, which go away with it.
#[pin_data]
pub(crate) struct Files {
    dir: Dir,
    #[pin]
    scope: Scope<Arc<Ipmmu>>,
}

impl Files {
    /// Makes the files of `ipmmu`. May sleep.
    pub(crate) fn new(ipmmu: &Arc<Ipmmu>) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            dir: instances::debugfs_dir()?,
            scope <- dir.scope(
                Ok::<_, Error>(ipmmu.clone()),
                ipmmu.dev().name(),
                |ipmmu: &Arc<Ipmmu>, dir| {
                    if ipmmu.is_root() {
                        dir.read_callback_file(c"contexts", ipmmu, &write_contexts);
                    }
                    if ipmmu.has_masters() {
                        dir.read_callback_file(c"utlbs", ipmmu, &write_utlbs);
                    }
                    dir.read_callback_file(c"registers", ipmmu, &write_registers);
                    dir.read_callback_file(c"saved", ipmmu, &write_saved);
                },
            ),
        }? Error)
    }
}

/// A line per leased context, and one per device that it translates for.
fn write_contexts(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let contexts = ipmmu.contexts();
    let mut result = Ok(());

    contexts.for_each_leased(|id, tenant| {
        result = result.and_then(|()| {
            let (index, faults) = (id.index(), contexts.faults(id));
            f.write_fmt(fmt!("context {index}: {faults} faults, "))?;
            tenant.describe(f)?;
            f.write_str("\n")
        });
    });
    result
}

/// A line per micro-TLB in use.
fn write_utlbs(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut result = Ok(());

    ipmmu.for_each_active_utlb(|utlb, context| {
        let (utlb, context) = (utlb.index(), context.index());
        result = result.and_then(|()| f.write_fmt(fmt!("uTLB {utlb}: context {context}\n")));
    });
    result
}

/// A register to be shown: where it is, from its context's or micro-TLB's first, and how.
struct Shown(usize, fn(u32, &mut fmt::Formatter<'_>) -> fmt::Result);

impl Shown {
    const fn new<R: Register + From<u32> + fmt::Debug>() -> Self {
        Self(R::OFFSET, |raw, f| R::from(raw).fmt(f))
    }
}

const UTLB: [Shown; 2] = [Shown::new::<IMUCTR>(), Shown::new::<IMUASID>()];

/// What a cache has comes first.
const CONTEXT: [Shown; 6] = [
    Shown::new::<IMCTR>(),
    Shown::new::<IMTTBCR>(),
    Shown::new::<IMTTLBR0>(),
    Shown::new::<IMTTUBR0>(),
    Shown::new::<IMMAIR0>(),
    Shown::new::<IMSTR>(),
];

/// What the hardware holds of the contexts and micro-TLBs in use: all fields by name.
fn write_registers(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if ipmmu.registers().is_none() {
        return f.write_str("asleep\n");
    }
    let features = ipmmu.features();
    let mut leased = 0;
    if ipmmu.is_root() {
        ipmmu.contexts().for_each_leased(|id, _| leased |= id.bit());
    }
    let used = ipmmu.with_used(leased, |used| used);
    let of_context = if ipmmu.is_root() {
        &CONTEXT[..]
    } else {
        &CONTEXT[..1]
    };

    for id in features.utlbs_in(used.utlbs) {
        let first = features.micro_tlb::<IMUCTR>(id).offset();
        write_part(ipmmu, Part::Utlb(id), first, &UTLB, f)?;
    }
    for id in features.contexts_in(used.contexts) {
        let first = features.context::<IMCTR>(id).offset();
        write_part(ipmmu, Part::Context(id), first, of_context, f)?;
    }
    Ok(())
}

/// A line per register of `part`, unless the instance fell asleep.
#[inline(never)]
fn write_part(
    ipmmu: &Ipmmu,
    part: Part,
    first: usize,
    shown: &[Shown],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for Shown(offset, show) in shown {
        let Some(raw) = ipmmu.peek(first + offset) else {
            break;
        };
        f.write_fmt(fmt!("{part}: "))?;
        show(raw, f)?;
        f.write_str("\n")?;
    }
    Ok(())
}

/// How often the instance slept, and what was saved the last time.
fn write_saved(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (sleeps, state) = (
        ipmmu.sleeps(),
        if ipmmu.is_asleep() { "asleep" } else { "awake" },
    );
    let mut result = f.write_fmt(fmt!("{state}, {sleeps}\n"));

    let Some(backup) = ipmmu.backup() else {
        return result;
    };
    if let Some(slots) = backup.lock().slots() {
        slots.for_each(|part, register, value| {
            result = result.and_then(|()| write_slot(part, register, value, f));
        });
    }
    result
}

#[inline(never)]
fn write_slot(
    part: Part,
    register: &'static str,
    value: u32,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_fmt(fmt!("{part}: {register} 0x{value:08x}\n"))
}

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
    prelude::*,
    sync::Arc, //
};

use crate::{
    features::ContextId,
    instances,
    ipmmu::Ipmmu,
    mmio::Registers,
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

/// What the hardware holds of the contexts and micro-TLBs in use: all fields by name.
fn write_registers(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(regs) = ipmmu.registers() else {
        return f.write_str("asleep\n");
    };
    let features = ipmmu.features();
    let mut result = Ok(());
    let mut used = 0;

    ipmmu.for_each_active_utlb(|id, context| {
        used |= context.bit();
        let imuctr: IMUCTR = regs.read(features.micro_tlb(id));
        let imuasid: IMUASID = regs.read(features.micro_tlb(id));
        let id = id.index();
        result = result.and_then(|()| f.write_fmt(fmt!("uTLB {id}: {imuctr:?}, {imuasid:?}\n")));
    });
    if ipmmu.is_root() {
        ipmmu.contexts().for_each_leased(|id, _| used |= id.bit());
    }
    for id in features.contexts().filter(|id| used & id.bit() != 0) {
        result = result.and_then(|()| write_context(regs, ipmmu, id, f));
    }
    result
}

fn write_context(
    regs: &impl Registers,
    ipmmu: &Ipmmu,
    id: ContextId,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let features = ipmmu.features();
    let index = id.index();
    let imctr: IMCTR = regs.read(features.context(id));

    f.write_fmt(fmt!("context {index}: {imctr:?}\n"))?;
    if !ipmmu.is_root() {
        return Ok(());
    }
    let imttbcr: IMTTBCR = regs.read(features.context(id));
    let imttlbr0: IMTTLBR0 = regs.read(features.context(id));
    let imttubr0: IMTTUBR0 = regs.read(features.context(id));
    let immair0: IMMAIR0 = regs.read(features.context(id));
    let imstr: IMSTR = regs.read(features.context(id));
    f.write_fmt(fmt!("context {index}: {imttbcr:?}\n"))?;
    f.write_fmt(fmt!("context {index}: {imttlbr0:?}, {imttubr0:?}\n"))?;
    f.write_fmt(fmt!("context {index}: {immair0:?}\n"))?;
    f.write_fmt(fmt!("context {index}: {imstr:?}\n"))
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
            result = result.and_then(|()| f.write_fmt(fmt!("{part}: {register} 0x{value:08x}\n")));
        });
    }
    result
}

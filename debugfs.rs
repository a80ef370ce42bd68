// SPDX-License-Identifier: GPL-2.0

//! The files of an instance in debugfs: `ipmmu/<instance>/`.
//!
//! `contexts`, in a root: the use of each context. `utlbs`: the context of each micro-TLB that is
//! on. `registers`: what the hardware holds of both, by field name.

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
    context::*,
    features::*,
    ipmmu::Ipmmu,
    mismatch::Part,
    regs::*,
    wants::Member, //
};

/// The files of one instance. Dropping this removes them.
#[pin_data]
pub(crate) struct Files {
    parent: Dir,
    #[pin]
    scope: Scope<Arc<Ipmmu>>,
}

impl Files {
    /// Creates the files of `ipmmu` in a directory of `parent`. May sleep.
    pub(crate) fn new(ipmmu: &Arc<Ipmmu>, parent: Dir) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            parent,
            scope <- parent.scope(
                Ok::<_, Error>(ipmmu.clone()),
                ipmmu.dev().name(),
                |ipmmu: &Arc<Ipmmu>, dir| {
                    if ipmmu.is_root() {
                        dir.read_callback_file(c"contexts", ipmmu, &write_contexts);
                    }
                    if ipmmu.has_clients() {
                        dir.read_callback_file(c"utlbs", ipmmu, &write_utlbs);
                    }
                    dir.read_callback_file(c"registers", ipmmu, &write_registers);
                },
            ),
        }? Error)
    }
}

/// Writes a line per reserved context and one per client of its group, then one for parking.
fn write_contexts(root: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for context in &root.contexts {
        let state = context.lock();
        if !state.members.list.is_empty() {
            write_context(root, context, &state, f)?;
        }
    }
    if let Some(id) = root.features.parking() {
        let (id, faults) = (id.index(), root.parking.state.lock().faults);
        f.write_fmt(fmt!("context {id}: {faults} faults, parking\n"))?;
    }
    Ok(())
}

fn write_context(
    root: &Arc<Ipmmu>,
    context: &Context,
    state: &State,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let (id, faults, flushes) = (context.id.index(), state.faults, state.flushes);

    f.write_fmt(fmt!("context {id}: {faults} faults, "))?;
    match state.members.wanted().space {
        Some(space) => {
            let base = space.hardware().base;
            f.write_fmt(fmt!("table 0x{base:x}, {flushes} flushes"))?;
        }
        None if state.members.list.iter().any(Member::is_identity) => f.write_str("identity")?,
        None => f.write_str("blocked")?,
    }
    if state.is_lost {
        f.write_str(", lost")?;
    }
    f.write_str("\n")?;

    let ipmmu = state
        .cache
        .as_ref()
        .map_or(root.dev(), |cache| &*cache.regs.dev);
    for member in &state.members.list {
        let (dev, ipmmu) = (member.dev.name(), ipmmu.name());
        f.write_fmt(fmt!("  {dev}: {ipmmu}"))?;
        for utlb in root.features.utlbs_in(member.utlbs).map(UtlbId::index) {
            f.write_fmt(fmt!(" {utlb}"))?;
        }
        f.write_str("\n")?;
    }
    Ok(())
}

/// Writes a line per micro-TLB that is on.
fn write_utlbs(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let features = ipmmu.features;
    let parking = features.parking();
    let mut pointing = [None; MAX_UTLBS];
    let mut note = |utlbs, context| {
        for utlb in features.utlbs_in(utlbs) {
            pointing[utlb.index()] = context;
        }
    };

    note(ipmmu.parking.state.lock().strays, parking);
    for context in &ipmmu.root().contexts {
        let state = context.lock();
        if state.is_behind(&ipmmu.regs) {
            let is_elsewhere = state.is_lost || (features.split && state.cache().is_none());
            let own = Some(context.id);
            note(state.own, if is_elsewhere { parking.or(own) } else { own });
            note(state.parked, parking);
        }
    }
    for (utlb, context) in pointing.iter().enumerate() {
        if let Some(context) = context.map(|context| context.index()) {
            f.write_fmt(fmt!("uTLB {utlb}: context {context}\n"))?;
        }
    }
    Ok(())
}

/// Writes the registers of the contexts and micro-TLBs in use, all fields by name.
fn write_registers(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let features = ipmmu.features;

    if !ipmmu.parking.state.lock().is_awake {
        return f.write_str("asleep\n");
    }
    for context in &ipmmu.root().contexts {
        let (id, state) = (context.id, context.lock());
        let side = if ipmmu.is_root() {
            state.root.access()
        } else {
            state.cache().filter(|_| state.is_behind(&ipmmu.regs))
        };
        let Some(regs) = side else {
            continue;
        };

        if ipmmu.has_clients() {
            for utlb in features.utlbs_in(state.own | state.parked) {
                let part = Part::Utlb(utlb);
                show(part, regs.read::<IMUCTR>(features.micro_tlb(utlb)), f)?;
                show(part, regs.read::<IMUASID>(features.micro_tlb(utlb)), f)?;
            }
        }
        if state.is_on() {
            let part = Part::Context(id);
            show(part, regs.read::<IMCTR>(features.context(id)), f)?;
            // A cache has no others.
            if ipmmu.is_root() {
                show(part, regs.read::<IMTTBCR>(features.context(id)), f)?;
                show(part, regs.read::<IMTTLBR0>(features.context(id)), f)?;
                show(part, regs.read::<IMTTUBR0>(features.context(id)), f)?;
                show(part, regs.read::<IMMAIR0>(features.context(id)), f)?;
                show(part, regs.read::<IMSTR>(features.context(id)), f)?;
            }
        }
    }
    Ok(())
}

/// Writes a line for one register of `part`.
fn show(part: Part, register: impl fmt::Debug, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_fmt(fmt!("{part}: {register:?}\n"))
}

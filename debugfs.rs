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
    io::register::Register,
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
        let (id, faults) = (id.index(), root.parking.parking_faults());
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

    note(ipmmu.parking.strays(), parking);
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

/// A register to be shown: its offset in the context or micro-TLB, and its formatter.
struct Shown(usize, fn(u32, &mut fmt::Formatter<'_>) -> fmt::Result);

impl Shown {
    const fn new<R: Register + From<u32> + fmt::Debug>() -> Self {
        Self(R::OFFSET, |raw, f| R::from(raw).fmt(f))
    }
}

const UTLB: [Shown; 2] = [Shown::new::<IMUCTR>(), Shown::new::<IMUASID>()];

/// The registers of a context. A cache has only the first.
const CONTEXT: [Shown; 6] = [
    Shown::new::<IMCTR>(),
    Shown::new::<IMTTBCR>(),
    Shown::new::<IMTTLBR0>(),
    Shown::new::<IMTTUBR0>(),
    Shown::new::<IMMAIR0>(),
    Shown::new::<IMSTR>(),
];

/// What an instance holds of one context and its micro-TLBs. It is read under the lock, and written
/// as text without it.
struct Seen {
    utlbs: u64,
    of_utlbs: [[u32; UTLB.len()]; MAX_UTLBS],
    of_context: Option<[u32; CONTEXT.len()]>,
}

impl Seen {
    /// Reads what `ipmmu` holds of `context`, if it holds anything and can be accessed.
    #[inline(never)]
    fn read(ipmmu: &Arc<Ipmmu>, context: &Context) -> Option<Self> {
        let features = ipmmu.features;
        let state = context.lock();
        let regs = if ipmmu.is_root() {
            state.root()
        } else {
            state.cache().filter(|_| state.is_behind(&ipmmu.regs))
        }?;
        let mut seen = Self {
            utlbs: 0,
            of_utlbs: [[0; UTLB.len()]; MAX_UTLBS],
            of_context: None,
        };

        if ipmmu.has_clients() {
            seen.utlbs = state.own | state.parked;
            for utlb in features.utlbs_in(seen.utlbs) {
                let first = features.micro_tlb::<IMUCTR>(utlb).offset();
                let raw = &mut seen.of_utlbs[utlb.index()];
                *raw = UTLB.each_ref().map(|shown| regs.read_at(first + shown.0));
            }
        }
        if state.is_on() {
            let first = features.context::<IMCTR>(context.id).offset();
            let mut raw = [0; CONTEXT.len()];
            for (raw, shown) in raw.iter_mut().zip(shown_of_context(ipmmu)) {
                *raw = regs.read_at(first + shown.0);
            }
            seen.of_context = Some(raw);
        }
        Some(seen)
    }

    fn write(&self, ipmmu: &Arc<Ipmmu>, id: ContextId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for utlb in ipmmu.features.utlbs_in(self.utlbs) {
            write_part(Part::Utlb(utlb), &self.of_utlbs[utlb.index()], &UTLB, f)?;
        }
        match &self.of_context {
            Some(raw) => write_part(Part::Context(id), raw, shown_of_context(ipmmu), f),
            None => Ok(()),
        }
    }
}

/// Returns the registers of a context that `ipmmu` has.
fn shown_of_context(ipmmu: &Arc<Ipmmu>) -> &'static [Shown] {
    if ipmmu.is_root() {
        &CONTEXT
    } else {
        &CONTEXT[..1]
    }
}

/// Writes the registers of the contexts and micro-TLBs in use, all fields by name.
fn write_registers(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !ipmmu.parking.is_awake() {
        return f.write_str("asleep\n");
    }
    for context in &ipmmu.root().contexts {
        if let Some(seen) = Seen::read(ipmmu, context) {
            seen.write(ipmmu, context.id, f)?;
        }
    }
    Ok(())
}

/// Writes a line per register of `part`.
fn write_part(part: Part, raw: &[u32], shown: &[Shown], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (raw, Shown(_, show)) in raw.iter().zip(shown) {
        f.write_fmt(fmt!("{part}: "))?;
        show(*raw, f)?;
        f.write_str("\n")?;
    }
    Ok(())
}

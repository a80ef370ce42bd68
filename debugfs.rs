// SPDX-License-Identifier: GPL-2.0

//! What a person can look at: `ipmmu/<instance>/` in debugfs.
//!
//! `contexts`, of a root: what each context in use is for. `utlbs`: which context each micro-TLB
//! points to that is on. `registers`: what the hardware holds of both, by name.

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
    context::{
        Context,
        State, //
    },
    features::UtlbId,
    ipmmu::Ipmmu,
    module_lock,
    regs::*,
    saved::Part,
    wants::Member, //
};

module_lock! {
    /// `ipmmu/`
    static DIR: Option<Dir> = None; lock DirLock
}

/// `ipmmu/`, which goes away with this.
pub(crate) struct Root(());

impl Root {
    /// Makes it. May sleep.
    // Inlined into the module's `init()`, whose text is freed when it is done.
    #[inline(always)]
    pub(crate) fn new() -> Result<Self> {
        DIR.start();
        *DIR.lock()? = Some(Dir::new(c"ipmmu"));
        Ok(Self(()))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let dir = DIR.lock().map(|mut dir| dir.take());

        drop(dir);
    }
}

/// The files of one instance, which go away with this.
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
            dir: DIR.lock()?.clone().ok_or(ENODEV)?,
            scope <- dir.scope(
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

/// Writes a line per reserved context and one per client of its group; then parking.
fn write_contexts(root: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for context in root.contexts() {
        let state = context.lock();
        if !state.members.is_empty() {
            write_context(root, context, &state, f)?;
        }
    }
    if let Some(id) = root.features().parking() {
        let (id, faults) = (id.index(), root.parking().parking_faults());
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
        None if state.members.iter().any(Member::is_identity) => f.write_str("identity")?,
        None => f.write_str("blocked")?,
    }
    if state.is_lost {
        f.write_str(", lost")?;
    }
    f.write_str("\n")?;

    let ipmmu = state
        .cache
        .as_ref()
        .map_or(root.dev(), |cache| cache.regs.dev());
    for member in state.members.iter() {
        let (dev, ipmmu) = (member.dev.name(), ipmmu.name());
        f.write_fmt(fmt!("  {dev}: {ipmmu}"))?;
        for utlb in root.features().utlbs_in(member.utlbs).map(UtlbId::index) {
            f.write_fmt(fmt!(" {utlb}"))?;
        }
        f.write_str("\n")?;
    }
    Ok(())
}

/// Calls `f` for each context with micro-TLBs in `ipmmu`, with the lock held.
fn for_each_here(
    ipmmu: &Arc<Ipmmu>,
    mut f: impl FnMut(&Context, &State) -> fmt::Result,
) -> fmt::Result {
    for context in ipmmu.root().contexts() {
        let state = context.lock();
        if ipmmu.is_root() || state.is_behind(ipmmu.regs()) {
            f(context, &state)?;
        }
    }
    Ok(())
}

/// Writes a line per micro-TLB that is on.
fn write_utlbs(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let features = ipmmu.features();
    let parking = features.parking();
    let mut pointing = [None; crate::features::MAX_UTLBS];
    let mut note = |utlbs, context| {
        for utlb in features.utlbs_in(utlbs) {
            pointing[utlb.index()] = context;
        }
    };

    note(ipmmu.parking().strays(), parking);
    for_each_here(ipmmu, |context, state| {
        let is_elsewhere = state.is_lost || (features.split && state.cache().is_none());
        let own = Some(context.id);
        note(state.own, if is_elsewhere { parking.or(own) } else { own });
        note(state.parked, parking);
        Ok(())
    })?;
    for (utlb, context) in pointing.iter().enumerate() {
        if let Some(context) = context.map(|context| context.index()) {
            f.write_fmt(fmt!("uTLB {utlb}: context {context}\n"))?;
        }
    }
    Ok(())
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

/// Writes what the hardware holds of the contexts and micro-TLBs in use: all fields by name.
fn write_registers(ipmmu: &Arc<Ipmmu>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !ipmmu.parking().is_awake() {
        return f.write_str("asleep\n");
    }
    let features = ipmmu.features();
    let of_context = if ipmmu.is_root() {
        &CONTEXT[..]
    } else {
        &CONTEXT[..1]
    };

    for_each_here(ipmmu, |context, state| {
        let regs = if ipmmu.is_root() {
            state.root()
        } else {
            state.cache()
        };
        let Some(regs) = regs else {
            return Ok(());
        };
        if ipmmu.has_clients() {
            for utlb in features.utlbs_in(state.own | state.parked) {
                let first = features.micro_tlb::<IMUCTR>(utlb).offset();
                write_part(&regs, Part::Utlb(utlb), first, &UTLB, f)?;
            }
        }
        if state.is_on() {
            let first = features.context::<IMCTR>(context.id).offset();
            write_part(&regs, Part::Context(context.id), first, of_context, f)?;
        }
        Ok(())
    })
}

/// Writes a line per register of `part`.
#[inline(never)]
fn write_part(
    regs: &impl Registers,
    part: Part,
    first: usize,
    shown: &[Shown],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for Shown(offset, show) in shown {
        f.write_fmt(fmt!("{part}: "))?;
        show(regs.read_at(first + offset), f)?;
        f.write_str("\n")?;
    }
    Ok(())
}

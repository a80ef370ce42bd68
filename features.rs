// SPDX-License-Identifier: GPL-2.0

//! The differences between SoC generations, as data, and the register offsets that follow.

use kernel::{
    io::register::{
        Register,
        WithBase, //
    },
    prelude::*, //
};

use crate::regs::*;

/// Maximum number of contexts of any generation.
pub(crate) const MAX_CONTEXTS: usize = 16;
/// Maximum number of micro-TLBs of any generation.
pub(crate) const MAX_UTLBS: usize = 64;

/// The number of a context of a root, checked to exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ContextId(u8);

impl ContextId {
    /// Returns the number as an index, below [`MAX_CONTEXTS`].
    pub(crate) fn index(self) -> usize {
        self.0.into()
    }
}

/// The number of a micro-TLB of an instance, checked to exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UtlbId(u8);

impl UtlbId {
    /// Returns the number as an index, below [`MAX_UTLBS`].
    pub(crate) fn index(self) -> usize {
        self.0.into()
    }

    /// Returns the number as a bit of a mask.
    pub(crate) fn bit(self) -> u64 {
        1 << self.0
    }
}

/// Properties of one generation. Sources: the feature tables of Linux' and Xen's drivers.
pub(crate) struct Features {
    /// Number of contexts.
    contexts: u8,
    /// Number of contexts, from 0 up, that must stay off.
    reserved_contexts: u8,
    /// Number of micro-TLBs.
    utlbs: u8,
    /// Whether contexts are in a root, and micro-TLBs in caches that refer to it. Otherwise each
    /// instance has both.
    pub(crate) split: bool,
    /// Whether contexts walk tables of stage 2, as with Xen's driver.
    pub(crate) stage_2: bool,
    /// Offset of the non-secure registers from the start of the instance's registers.
    alias: usize,
    /// Offset of the registers of context 0.
    context_base: usize,
    /// Distance from one context to the next.
    context_stride: usize,
    /// Offset of the registers of micro-TLB 0.
    utlb_base: usize,
    /// Offset of the registers of the instance as a whole; only where [`Self::split`].
    pub(crate) control_base: usize,
}

/// Returns the numbers below `end` whose bits are set in `mask`, in ascending order.
fn numbers_in(mut mask: u64, end: u8) -> impl Iterator<Item = u8> {
    core::iter::from_fn(move || {
        let number = mask.trailing_zeros() as u8;

        mask &= mask.wrapping_sub(1);
        (number < end).then_some(number)
    })
}

/// R-Car Gen2: independent instances. More than one context was never tried.
pub(crate) const GEN2: Features = Features {
    contexts: 1,
    reserved_contexts: 0,
    utlbs: 32,
    split: false,
    stage_2: false,
    alias: 0x800,
    context_base: 0,
    context_stride: 0x40,
    utlb_base: 0x300,
    control_base: 0,
};

/// R-Car Gen3 and RZ/G2.
pub(crate) const GEN3: Features = Features {
    contexts: 8,
    reserved_contexts: 1,
    utlbs: 48,
    split: true,
    stage_2: false,
    alias: 0,
    context_base: 0,
    context_stride: 0x40,
    utlb_base: 0x300,
    control_base: 0,
};

/// R-Car Gen4 and V3U.
pub(crate) const GEN4: Features = Features {
    contexts: 16,
    reserved_contexts: 1,
    utlbs: 64,
    split: true,
    stage_2: false,
    alias: 0,
    context_base: 0x10000,
    context_stride: 0x1040,
    utlb_base: 0x3300,
    control_base: 0x1000,
};

/// Gen3 with tables of stage 2.
const GEN3_STAGE_2: Features = Features {
    stage_2: true,
    ..GEN3
};

/// Gen4 with tables of stage 2.
const GEN4_STAGE_2: Features = Features {
    stage_2: true,
    ..GEN4
};

impl Features {
    /// Returns the same generation with tables of stage 2, if it can walk them.
    pub(crate) fn with_stage_2(&self) -> Option<&'static Self> {
        match (self.split, self.contexts) {
            (false, _) => None,
            (true, 8) => Some(&GEN3_STAGE_2),
            (true, _) => Some(&GEN4_STAGE_2),
        }
    }

    /// Returns the number of bits of an IOVA.
    pub(crate) fn ias(&self) -> u32 {
        if self.stage_2 {
            40
        } else {
            32
        }
    }

    /// Returns `imctr` as the root needs it.
    #[inline]
    pub(crate) fn imctr_in_root(&self, imctr: IMCTR) -> IMCTR {
        imctr.with_va64(imctr.mmuen() && self.stage_2)
    }

    /// Returns the number of micro-TLBs.
    pub(crate) fn utlb_count(&self) -> usize {
        self.utlbs.into()
    }

    /// Returns all contexts that exist.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = ContextId> {
        (0..self.contexts).map(ContextId)
    }

    /// Returns the contexts that must stay off.
    pub(crate) fn reserved_contexts(&self) -> impl Iterator<Item = ContextId> {
        (0..self.reserved_contexts).map(ContextId)
    }

    /// Returns the contexts that groups may reserve.
    pub(crate) fn group_contexts(&self) -> impl Iterator<Item = ContextId> {
        (self.reserved_contexts..self.contexts - u8::from(self.split)).map(ContextId)
    }

    /// Returns the parking context, for micro-TLBs that must not get through: the last one, unless
    /// there is only one.
    pub(crate) fn parking(&self) -> Option<ContextId> {
        self.split.then_some(ContextId(self.contexts - 1))
    }

    /// Returns all micro-TLBs that exist.
    pub(crate) fn utlbs(&self) -> impl Iterator<Item = UtlbId> {
        (0..self.utlbs).map(UtlbId)
    }

    /// Returns the contexts that exist and have their bit set in `mask`.
    #[inline]
    pub(crate) fn contexts_in(&self, mask: u32) -> impl Iterator<Item = ContextId> {
        numbers_in(mask.into(), self.contexts).map(ContextId)
    }

    /// Returns the micro-TLBs that exist and have their bit set in `mask`.
    pub(crate) fn utlbs_in(&self, mask: u64) -> impl Iterator<Item = UtlbId> {
        numbers_in(mask, self.utlbs).map(UtlbId)
    }

    /// Returns micro-TLB `number`, if it exists.
    pub(crate) fn utlb(&self, number: u32) -> Option<UtlbId> {
        let number = u8::try_from(number).ok()?;

        (number < self.utlbs).then_some(UtlbId(number))
    }

    /// Returns the place of register `R` of context `id`.
    pub(crate) fn context<R>(&self, id: ContextId) -> At<R>
    where
        R: Register + WithBase<BaseFamily = ContextBase>,
    {
        At::new(self.first_of_context(id) + R::OFFSET)
    }

    /// Returns the offset of the first register of context `id`.
    pub(crate) fn first_of_context(&self, id: ContextId) -> usize {
        // Besides the stride, there is a gap between contexts 7 and 8.
        let gap = if id.index() < 8 { 0 } else { 0x600 };

        self.alias + self.context_base + id.index() * self.context_stride + gap
    }

    /// Returns the place of register `R` of micro-TLB `id`.
    pub(crate) fn micro_tlb<R>(&self, id: UtlbId) -> At<R>
    where
        R: Register + WithBase<BaseFamily = UtlbBase>,
    {
        At::new(self.first_of_utlb(id) + R::OFFSET)
    }

    /// Returns the offset of the first register of micro-TLB `id`.
    pub(crate) fn first_of_utlb(&self, id: UtlbId) -> usize {
        // There is a gap between micro-TLBs 31 and 32.
        let gap = if id.index() < 32 { 0 } else { 0x100 };

        self.alias + self.utlb_base + id.index() * 16 + gap
    }

    /// Returns the size in bytes of the registers that the driver may access.
    pub(crate) fn register_bytes(&self) -> usize {
        let last_context = ContextId(self.contexts - 1);
        let last_utlb = UtlbId(self.utlbs - 1);
        let context = self.context::<crate::regs::IMEUAR>(last_context).offset();
        let utlb = self.micro_tlb::<crate::regs::IMUASID>(last_utlb).offset();

        context.max(utlb) + size_of::<u32>()
    }

    /// Returns IMTTBCR for tables of long descriptors, walked from level 1.
    pub(crate) fn ttbcr(&self) -> IMTTBCR {
        let ttbcr = IMTTBCR::from(0).with_eae(true);

        if self.stage_2 {
            // TSZ0 is 64 less the bits of an IOVA. Level 1 has another number than in stage 1.
            ttbcr
                .with_pmb(true)
                .with_const_sl0::<1>()
                .with_const_tsz0::<24>()
        } else if !self.split {
            // Walks are inner shareable, write-back and write-allocate.
            ttbcr
                .with_sl0_gen2(true)
                .with_const_sh0::<3>()
                .with_const_orgn0::<1>()
                .with_const_irgn0::<1>()
        } else {
            ttbcr.with_const_sl0::<2>()
        }
    }
}

#[kunit_tests(ipmmu_features)]
mod tests {
    use super::*;
    use crate::regs::{
        IMCTR,
        IMMAIR0,
        IMTTLBR0,
        IMUASID,
        IMUCTR, //
    };

    fn context_of(features: &Features, id: u8) -> usize {
        features.context::<IMCTR>(ContextId(id)).offset()
    }

    fn imuctr_of(features: &Features, id: u8) -> usize {
        features.micro_tlb::<IMUCTR>(UtlbId(id)).offset()
    }

    #[test]
    fn a_mask_gives_what_exists_of_it_in_order() {
        let of = |mask| {
            let mut utlbs = GEN3.utlbs_in(mask).map(UtlbId::index);
            [utlbs.next(), utlbs.next(), utlbs.next()]
        };

        assert_eq!(of(0), [None; 3]);
        assert_eq!(of(1 << 63 | 1 << 48), [None; 3]);
        assert_eq!(of(1 << 47 | 1 << 3 | 1), [Some(0), Some(3), Some(47)]);
    }

    #[test]
    fn gen2_registers_are_at_the_alias() {
        assert_eq!(context_of(&GEN2, 0), 0x800);
        assert_eq!(GEN2.context::<IMTTLBR0>(ContextId(0)).offset(), 0x810);
        assert_eq!(imuctr_of(&GEN2, 0), 0xb00);
        assert_eq!(imuctr_of(&GEN2, 31), 0xcf0);
        assert_eq!(GEN2.register_bytes(), 0xcfc);
    }

    #[test]
    fn gen3_registers() {
        assert_eq!(context_of(&GEN3, 0), 0);
        assert_eq!(context_of(&GEN3, 7), 0x1c0);
        assert_eq!(GEN3.context::<IMMAIR0>(ContextId(3)).offset(), 0xe8);
        assert_eq!(imuctr_of(&GEN3, 31), 0x4f0);
        assert_eq!(imuctr_of(&GEN3, 32), 0x600);
        assert_eq!(imuctr_of(&GEN3, 47), 0x6f0);
        assert_eq!(GEN3.micro_tlb::<IMUASID>(UtlbId(47)).offset(), 0x6f8);
        assert_eq!(GEN3.register_bytes(), 0x6fc);
    }

    #[test]
    fn gen4_registers_jump_at_context_8() {
        assert_eq!(context_of(&GEN4, 0), 0x10000);
        assert_eq!(context_of(&GEN4, 7), 0x171c0);
        assert_eq!(context_of(&GEN4, 8), 0x18800);
        assert_eq!(context_of(&GEN4, 15), 0x1f9c0);
        assert_eq!(imuctr_of(&GEN4, 0), 0x3300);
        assert_eq!(imuctr_of(&GEN4, 63), 0x37f0);
        assert_eq!(GEN4.register_bytes(), 0x1f9c0 + 0x38);
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert!(GEN2.utlb(31).is_some() && GEN2.utlb(32).is_none());
        assert!(GEN3.utlb(47).is_some() && GEN3.utlb(48).is_none());
        assert!(GEN4.utlb(63).is_some() && GEN4.utlb(64).is_none());
        assert!(GEN4.utlb(u32::MAX).is_none() && GEN4.utlb(256).is_none());
    }

    #[test]
    fn context_0_is_reserved_where_it_is() {
        assert_eq!(GEN2.group_contexts().next(), Some(ContextId(0)));
        assert_eq!(GEN3.group_contexts().next(), Some(ContextId(1)));
        assert_eq!(GEN3.group_contexts().count(), 6);
        assert_eq!(GEN4.group_contexts().count(), 14);
    }

    #[test]
    fn the_last_context_is_for_parking() {
        assert_eq!(GEN2.parking(), None);
        assert_eq!(GEN3.parking(), Some(ContextId(7)));
        assert_eq!(GEN4.parking(), Some(ContextId(15)));
    }

    #[test]
    fn ttbcr_of_each_generation() {
        assert_eq!(u32::from(GEN2.ttbcr()), 0x8000_3510);
        assert_eq!(u32::from(GEN3.ttbcr()), 0x8000_0080);
        assert_eq!(u32::from(GEN4.ttbcr()), 0x8000_0080);
        for features in [&GEN3, &GEN4] {
            let stage_2 = features.with_stage_2();
            assert_eq!(stage_2.map(|f| f.ttbcr().into()), Some(0xc000_0058_u32));
        }
        assert!(GEN2.with_stage_2().is_none());
    }
}

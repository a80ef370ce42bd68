// SPDX-License-Identifier: GPL-2.0
//! Unkind IPMMUs: the words of the model.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};

/// The model's word for all ways of being unkind at once.
pub const ALL: &str = "all";
/// The model's word for contexts that let everything through while they are off.
pub const OFF_PASSES: &str = "off-passes";
/// The model's words, one for each way.
pub const WORDS: [&str; 12] = [
    "posted",
    "slow-flush",
    "fetch",
    "negative",
    "latched-base",
    "utlb0",
    "reset",
    "firmware",
    "codes",
    OFF_PASSES,
    "incoherent",
    "strict-registers",
];

/// Whether `make check-full` is in its second round.
static UNKIND: AtomicBool = AtomicBool::new(false);

/// Makes boards unkind from now on, unless their setup says otherwise; their names show it.
pub fn make_boards_unkind() {
    UNKIND.store(true, Ordering::Relaxed);
}

/// Returns the name of a board, which shows whether it is unkind.
pub fn called(name: &str) -> String {
    match UNKIND.load(Ordering::Relaxed) {
        true => format!("unkind-{name}"),
        false => name.into(),
    }
}

/// Returns how unkind a board is by default: with `IPMMU_UNKIND=posted make check`, all rows run on
/// a model that is unkind in that way.
pub(super) fn boards() -> Option<String> {
    match UNKIND.load(Ordering::Relaxed) {
        true => Some(ALL.into()),
        false => env::var("IPMMU_UNKIND").ok().filter(|w| !w.is_empty()),
    }
}

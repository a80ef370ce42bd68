// SPDX-License-Identifier: GPL-2.0
//! Unkind IPMMUs: the model's keywords for them.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};

/// The model's keyword for all ways of being unkind at once.
pub const ALL: &str = "all";
/// The model's keyword for contexts that let everything through while they are off.
pub const OFF_PASSES: &str = "off-passes";
/// The model's keywords, one for each way of being unkind.
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

/// Makes boards unkind from now on, unless their setup says otherwise. Their names show it.
pub fn make_boards_unkind() {
    UNKIND.store(true, Ordering::Relaxed);
}

/// Returns the name of a board, with a prefix if boards are unkind.
pub fn called(name: &str) -> String {
    match UNKIND.load(Ordering::Relaxed) {
        true => format!("unkind-{name}"),
        false => name.into(),
    }
}

/// Returns the keywords for boards by default. With `IPMMU_UNKIND=posted make check`, all rows run
/// on a model that is unkind in that way.
pub(super) fn boards() -> Option<String> {
    match UNKIND.load(Ordering::Relaxed) {
        true => Some(ALL.into()),
        false => env::var("IPMMU_UNKIND").ok().filter(|w| !w.is_empty()),
    }
}

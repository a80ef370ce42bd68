// SPDX-License-Identifier: GPL-2.0
//! Plants races in the driver, to check that they are found.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::mutants::work::Work;
use crate::provision::Provision;

/// A change that adds a race to the driver.
struct Plant {
    name: &'static str,
    file: &'static str,
    /// Texts that are in the file once, and their replacements.
    changes: &'static [(&'static str, &'static str)],
}

/// The body of `Context::flush()`.
const FLUSH: &str = "        self.with(|state| {
            if state.is_on() {
                state.flushes += 1;
                self.hardware(state).flush(state.own);
            }
        });
";

const PLANTS: [Plant; 5] = [
    Plant {
        name: "flush-without-lock",
        file: "context.rs",
        changes: &[(
            FLUSH,
            "        let (root, cache, own) = {
            let state = self.lock();
            if !state.is_on() {
                return;
            }
            let side = |side: &Side| side.is_awake.then(|| side.regs.clone());
            (side(&state.root), state.cache.as_ref().and_then(side), state.own)
        };
        let reachable = (
            root.as_ref().and_then(|regs| regs.access()),
            cache.as_ref().and_then(|regs| regs.access()),
        );
        Hardware::new(self.features, self.id, reachable, &Cell::new(false)).flush(own);
",
        )],
    },
    Plant {
        name: "flush-elided",
        file: "context.rs",
        changes: &[
            (
                "        self.with(|state| {
            if state.is_on() {
                state.flushes += 1;
",
                "        if BUSY.xchg(true, Full) {
            return;
        }
        self.with(|state| {
            if state.is_on() {
                state.flushes += 1;
",
            ),
            (
                ".flush(state.own);
            }
        });
    }

    /// Reads and clears the fault",
                ".flush(state.own);
            }
        });
        BUSY.store(false, Release);
    }

    /// Reads and clears the fault",
            ),
            (
                "impl Side {
",
                "use kernel::sync::atomic::{Atomic, Full, Release};
static BUSY: Atomic<bool> = Atomic::new(false);

impl Side {
",
            ),
        ],
    },
    Plant {
        name: "awake-read-before-lock",
        file: "context.rs",
        changes: &[(
            FLUSH,
            "        let was_awake = self
            .lock()
            .cache
            .as_ref()
            .is_some_and(|cache| cache.is_awake);
        self.with(|state| {
            if state.is_on() {
                state.flushes += 1;
                let is_awake = state.cache.as_ref().is_some_and(|cache| cache.is_awake);
                state.cache_sleeps(!was_awake);
                self.hardware(state).flush(state.own);
                state.cache_sleeps(!is_awake);
            }
        });
",
        )],
    },
    Plant {
        name: "announced-after-pointing",
        file: "context.rs",
        changes: &[
            (
                "        new.set_walked(self.id, true);
        // A fault",
                "        // A fault",
            ),
            (
                "        hw.arrived();
        let owed_off",
                "        hw.arrived();
        if let Some(new) = &wanted.space {
            new.set_walked(self.id, true);
        }
        let owed_off",
            ),
        ],
    },
    Plant {
        name: "handler-outlives-attach",
        file: "group.rs",
        changes: &[(
            "        if let Some(irq) = root.irq.as_ref() {
            irq.synchronize();
        }
",
            "",
        )],
    },
];

/// Builds the driver with the fault `name`. Returns an initramfs with it.
pub fn plant(provision: &Provision, name: &str) -> Result<PathBuf> {
    let paths = &provision.paths;
    let names = || PLANTS.map(|plant| plant.name).join(", ");
    let plant = PLANTS.iter().find(|plant| plant.name == name);
    let plant = plant.with_context(|| format!("PLANT={name} is none of {}", names()))?;
    let work = Work::new(paths, "races")?;
    let mut source = work.read(plant.file)?;
    for (from, to) in plant.changes {
        let times = source.matches(from).count();
        ensure!(times == 1, "{}: {times} times: {from}", plant.file);
        source = source.replace(from, to);
    }
    work.write(plant.file, &source)?;
    work.initramfs(provision)
}

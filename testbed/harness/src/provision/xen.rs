// SPDX-License-Identifier: GPL-2.0
//! Xen's hypervisor, without tools, from Debian's source or the user's.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::apt::Store;
use super::artifact::{Key, keyed};
use super::build::jobs;
use super::root::Root;
use super::source;
use crate::exec::Log;
use crate::paths::Paths;
use crate::ui::Step;

/// Options that are added to Xen's defconfig for arm64. Trees that lack an option ignore it.
const WANTED: &str = "\
CONFIG_EXPERT=y
CONFIG_UNSUPPORTED=y
CONFIG_IPMMU_VMSA=y
CONFIG_SBSA_VUART_CONSOLE=y
CONFIG_SYSTEM_SUSPEND=y
";

/// The directories of the source and of the results, inside the system with the compilers.
const SOURCE: &str = "/source";
const OUT: &str = "/out";

/// A built Xen.
pub struct Xen {
    /// The image that QEMU boots.
    pub binary: PathBuf,
    /// Whether suspend of the host is configured.
    pub suspends: bool,
}

impl Xen {
    /// Builds the tree `given`; without one, builds Debian's, unless the cache has it.
    pub fn prepare(store: &mut Store, given: Option<&Path>) -> Result<Self> {
        let paths = store.paths;
        let root = Root::compilers(store)?;
        let out = match given {
            Some(tree) => {
                let tree = fs::canonicalize(tree)
                    .with_context(|| format!("XEN_SRC={} does not exist", tree.display()))?;
                ensure!(
                    tree.join("xen/Kconfig").is_file(),
                    "XEN_SRC={} is no source tree of Xen: xen/Kconfig is missing",
                    tree.display()
                );
                // Each tree has its own build directory, as make compares only the age of files.
                let key = Key::new("xen tree 1").text("path", &tree.to_string_lossy());
                let out = paths.build().join(format!("xen-{}", key.finish()));
                build(paths, &root, &tree, &out)?;
                out
            }
            None => {
                let key = Key::new("xen 1")
                    .text("source", &source::version(&store.choose(source::XEN)?))
                    .text("compilers", &root.key())
                    .text("wanted", WANTED);
                keyed(&paths.cache, "xen", key, |dir| {
                    build(paths, &root, &source::xen(store)?, dir)
                })?
            }
        };
        let config = fs::read_to_string(out.join(".config"))?;
        let has = |symbol: &str| config.lines().any(|l| l == format!("CONFIG_{symbol}=y"));
        ensure!(has("IPMMU_VMSA"), "this Xen has no driver of IPMMUs");
        Ok(Self {
            suspends: has("SYSTEM_SUSPEND"),
            binary: out.join("xen"),
        })
    }
}

/// Builds `tree` in `out`. A later build there rebuilds only what has changed.
fn build(paths: &Paths, root: &Root, tree: &Path, out: &Path) -> Result<()> {
    let step = Step::new("Building Xen (about a minute on two cores)");
    let mut log = Log::create(paths, "xen")?;
    fs::create_dir_all(out)?;
    let mut make = |target: &str| {
        let mut make = root.command(&[(tree, SOURCE), (out, OUT)], "make");
        make.args(["-C", &format!("{SOURCE}/xen"), &format!("O={OUT}"), &jobs()]);
        make.args([
            "XEN_TARGET_ARCH=arm64",
            "CROSS_COMPILE=aarch64-linux-gnu-",
            "CC=aarch64-linux-gnu-gcc-14",
            "HOSTCC=gcc-14",
            // The compiler is newer than the source, and gives more warnings.
            "EXTRA_CFLAGS_XEN_CORE=-Wno-error",
        ]);
        log.run(&step, "building Xen", make.arg(target))
    };
    let config = out.join(".config");
    if !config.exists() {
        make("defconfig")?;
        let mut config = OpenOptions::new().append(true).open(config)?;
        config.write_all(WANTED.as_bytes())?;
        make("olddefconfig")?;
    }
    make("build")?;
    step.done();
    Ok(())
}

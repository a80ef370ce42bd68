// SPDX-License-Identifier: GPL-2.0
//! Programs of the guest that are compiled: `userdma`, which is ours, and the
//! kernel's own tests of VFIO. They are linked statically, against the headers
//! of the kernel that they run on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::{Apt, Wanted};
use super::arch::Arch;
use super::artifact::{Key, keyed};
use super::kernel::Kernel;
use super::source;
use super::toolchain::Toolchain;
use crate::exec::Log;
use crate::paths::Paths;
use crate::ui::Step;

/// What an arm64 program is linked with.
const LIBRARIES: [Wanted<'_>; 4] = [
    Wanted::Package("libc6-dev:arm64"),
    Wanted::Package("libc6:arm64"),
    Wanted::Package("libgcc-14-dev:arm64"),
    Wanted::Package("uuid-dev:arm64"),
];

const CLANG_TARGET: &str = "aarch64-linux-gnu";
const RUST_TARGET: &str = "aarch64-unknown-linux-gnu";

/// The kernel's tests of VFIO that make sense on our board.
pub const SELFTESTS: [&str; 3] = [
    "vfio_iommufd_setup_test",
    "vfio_dma_mapping_test",
    "vfio_pci_device_test",
];
const SELFTESTS_SOURCE: &str = "tools/testing/selftests/vfio";

/// The kernel's interface as Rust, among the programs: `userdma` includes it.
pub const UAPI: &str = "uapi.rs";

/// Builds the programs for `kernel`; returns the directory that they are in.
pub fn programs(paths: &Paths, apt: &mut Apt, kernel: &Kernel) -> Result<PathBuf> {
    let toolchain = Toolchain::prepare(paths)?;
    let source = paths.testbed().join("guest/userdma");
    let tree = kernel.tree();
    let mut key = Key::new("programs 1")
        .text("tools", &toolchain.versions()?)
        .tree(&source.join("src"))?
        .file(&source.join("Cargo.toml"))?
        .file(&source.join("uapi.h"))?
        .tree(&tree.join(SELFTESTS_SOURCE))?;
    for header in ["iommufd.h", "vfio.h"] {
        key = key.file(&tree.join("include/uapi/linux").join(header))?;
    }
    for library in LIBRARIES {
        key = key.text("library", &source::version(&apt.choose(library)?));
    }
    keyed(&paths.cache, "programs", key, |dir| {
        let sysroot = sysroot(paths, apt)?;
        let step = Step::new("Building the guest's programs");
        let mut build = Build {
            paths,
            toolchain: &toolchain,
            sysroot: &sysroot,
            headers: dir.join("headers"),
            log: Log::create(paths, "programs")?,
            step: &step,
        };
        build.install_headers(kernel)?;
        build.userdma(&source, dir)?;
        build.selftests(&tree, dir)?;
        fs::remove_dir_all(&build.headers)?;
        step.done();
        Ok(())
    })
}

/// Builds the kernel's own measure of mapping for DMA; returns the program.
pub fn dma_map_benchmark(paths: &Paths, apt: &mut Apt, kernel: &Kernel) -> Result<PathBuf> {
    let toolchain = Toolchain::prepare(paths)?;
    let source = kernel.tree().join("tools/dma/dma_map_benchmark.c");
    let mut key = Key::new("dma_map_benchmark 1")
        .text("tools", &toolchain.versions()?)
        .file(&source)?;
    for library in LIBRARIES {
        key = key.text("library", &source::version(&apt.choose(library)?));
    }
    let dir = keyed(&paths.cache, "dma-map-benchmark", key, |dir| {
        let sysroot = sysroot(paths, apt)?;
        let step = Step::new("Building dma_map_benchmark");
        let mut build = Build {
            paths,
            toolchain: &toolchain,
            sysroot: &sysroot,
            headers: dir.join("headers"),
            log: Log::create(paths, "dma-map-benchmark")?,
            step: &step,
        };
        build.install_headers(kernel)?;
        let mut compile = Command::new("clang");
        compile
            .args(build.clang_arguments())
            .args([
                "-O2",
                "-static",
                "-fuse-ld=lld",
                "-Wl,--strip-all",
                "-isystem",
            ])
            .arg(build.headers.join("include"))
            .arg("-o")
            .arg(dir.join("dma_map_benchmark"))
            .arg(&source);
        toolchain.apply(&mut compile);
        build.log.run(&step, "compiling it", &mut compile)?;
        fs::remove_dir_all(&build.headers)?;
        step.done();
        Ok(())
    })?;
    Ok(dir.join("dma_map_benchmark"))
}

/// Unpacks the libraries.
fn sysroot(paths: &Paths, apt: &mut Apt) -> Result<PathBuf> {
    let mut key = Key::new("sysroot 1");
    for library in LIBRARIES {
        key = key.text("library", &source::version(&apt.choose(library)?));
    }
    keyed(&paths.cache, "sysroot", key, |dir| {
        let mut packages = Vec::new();
        for library in LIBRARIES {
            packages.extend(apt.fetch(library)?);
        }
        let step = Step::new("Unpacking the guest's libraries");
        let mut log = Log::create(paths, "sysroot")?;
        for package in packages {
            let mut extract = Command::new("dpkg-deb");
            extract.arg("-x").arg(package).arg(dir);
            log.run(&step, "unpacking a library", &mut extract)?;
        }
        step.done();
        Ok(())
    })
}

/// What the programs are built with.
struct Build<'a> {
    paths: &'a Paths,
    toolchain: &'a Toolchain,
    sysroot: &'a Path,
    headers: PathBuf,
    log: Log,
    step: &'a Step,
}

impl Build<'_> {
    fn install_headers(&mut self, kernel: &Kernel) -> Result<()> {
        let mut make = kernel.make();
        make.arg("headers_install");
        make.arg(format!("INSTALL_HDR_PATH={}", self.headers.display()));
        self.log
            .run(self.step, "installing the kernel's headers", &mut make)
    }

    /// What clang needs to be told to compile for the guest.
    fn clang_arguments(&self) -> [String; 2] {
        [
            format!("--target={CLANG_TARGET}"),
            format!("--sysroot={}", self.sysroot.display()),
        ]
    }

    /// Our program, along with the standard library for its target, which
    /// Debian has for the machine that one sits at only.
    fn userdma(&mut self, source: &Path, dir: &Path) -> Result<()> {
        let uapi = dir.join(UAPI);
        let mut bindgen = Command::new("bindgen");
        bindgen
            .arg(source.join("uapi.h"))
            .arg("-o")
            .arg(&uapi)
            .args(["--no-doc-comments", "--no-layout-tests"])
            .args(["--with-derive-default", "--no-prepend-enum-name"])
            .args(["--default-enum-style", "consts"])
            .args(["--allowlist-file", r".*/(uapi|iommufd|vfio)\.h"])
            .args(["--allowlist-var", "PCI_COMMAND.*", "--"])
            .args(self.clang_arguments())
            .arg("-I")
            .arg(self.headers.join("include"));
        self.toolchain.apply(&mut bindgen);
        self.log.run(self.step, "bindgen", &mut bindgen)?;

        let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
        let linking = self.clang_arguments().into_iter();
        flags.extend(
            linking
                .chain(["-fuse-ld=lld".into()])
                .map(|argument| format!("-Clink-arg={argument}")),
        );
        let target = self.paths.cache.join("userdma");
        let mut cargo = Command::new("/usr/bin/cargo");
        cargo
            .current_dir(source)
            .args(["build", "--release", "--target", RUST_TARGET])
            .args(["-Z", "build-std=std,panic_abort"]);
        self.toolchain.apply(&mut cargo);
        cargo
            .env_remove("RUSTUP_TOOLCHAIN")
            .env("RUSTC", "/usr/bin/rustc")
            // Building the standard library is not for everybody yet.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "clang")
            .env("USERDMA_UAPI", &uapi);
        self.log
            .run(self.step, "building userdma", &mut cargo)
            .context("userdma could not be built (is there a network?)")?;
        let built = target.join(RUST_TARGET).join("release/userdma");
        fs::copy(built, dir.join("userdma"))?;
        Ok(())
    }

    fn selftests(&mut self, tree: &Path, dir: &Path) -> Result<()> {
        let out = tempfile::tempdir_in(&self.paths.cache)?;
        let mut make = Command::new("make");
        make.arg("-C")
            .arg(tree.join(SELFTESTS_SOURCE))
            .args(Toolchain::make_variables(Arch::Arm64))
            .arg(format!("OUTPUT={}", out.path().display()))
            .arg(format!("CC=clang {}", self.clang_arguments().join(" ")))
            .arg(format!(
                "KHDR_INCLUDES=-isystem {}",
                self.headers.join("include").display()
            ));
        make.args(SELFTESTS.map(|test| out.path().join(test)));
        self.toolchain.apply(&mut make);
        make.env("LDFLAGS", "-static -fuse-ld=lld -Wl,--strip-all");
        self.log
            .run(self.step, "building the kernel's tests of VFIO", &mut make)?;
        for test in SELFTESTS {
            fs::copy(out.path().join(test), dir.join(test))?;
        }
        Ok(())
    }
}

// SPDX-License-Identifier: GPL-2.0
//! Programs of the guest that are compiled: ours, and the kernel's own tests of
//! VFIO and measure of mapping for DMA. They are linked statically, against the headers
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

/// Our programs, all of one crate.
pub const OURS: [&str; 3] = ["userdma", "kexec", "scattered"];

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
    let maker = Maker::new(paths, kernel)?;
    let source = paths.testbed().join("guest/userdma");
    let tree = kernel.tree();
    let mut key = maker
        .key("programs 2", apt)?
        .tree(&source.join("src"))?
        .file(&source.join("Cargo.toml"))?
        .file(&source.join("uapi.h"))?
        .tree(&tree.join(SELFTESTS_SOURCE))?;
    for header in ["iommufd.h", "vfio.h"] {
        key = key.file(&tree.join("include/uapi/linux").join(header))?;
    }
    maker.make(apt, "programs", key, |build, dir| {
        build.ours(&source, dir)?;
        build.selftests(&tree, dir)
    })
}

/// Builds the kernel's own measure of mapping for DMA; returns the program.
pub fn dma_map_benchmark(paths: &Paths, apt: &mut Apt, kernel: &Kernel) -> Result<PathBuf> {
    let maker = Maker::new(paths, kernel)?;
    let source = kernel.tree().join("tools/dma/dma_map_benchmark.c");
    let key = maker.key("dma_map_benchmark 2", apt)?.file(&source)?;
    let dir = maker.make(apt, "dma-map-benchmark", key, |build, dir| {
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
        build.toolchain.apply(&mut compile);
        build.log.run(build.step, "compiling it", &mut compile)
    })?;
    Ok(dir.join("dma_map_benchmark"))
}

/// What is the same for all programs.
struct Maker<'a> {
    paths: &'a Paths,
    kernel: &'a Kernel,
    toolchain: Toolchain,
}

impl<'a> Maker<'a> {
    fn new(paths: &'a Paths, kernel: &'a Kernel) -> Result<Self> {
        Ok(Self {
            paths,
            kernel,
            toolchain: Toolchain::prepare(paths)?,
        })
    }

    fn key(&self, recipe: &str, apt: &mut Apt) -> Result<Key> {
        let key = Key::new(recipe).text("tools", &self.toolchain.versions()?);
        source::packages_in(key, apt, &LIBRARIES)
    }

    /// Makes programs by `work`, unless the cache has them.
    fn make(
        &self,
        apt: &mut Apt,
        name: &str,
        key: Key,
        work: impl FnOnce(&mut Build<'_>, &Path) -> Result<()>,
    ) -> Result<PathBuf> {
        keyed(&self.paths.cache, name, key, |dir| {
            let what = "the guest's libraries";
            let sysroot = source::packages(self.paths, apt, "sysroot", what, &LIBRARIES)?;
            let step = Step::new(format!("Building the guest's {name}"));
            let mut build = Build {
                paths: self.paths,
                toolchain: &self.toolchain,
                sysroot: &sysroot,
                headers: dir.join("headers"),
                log: Log::create(self.paths, name)?,
                step: &step,
            };
            build.install_headers(self.kernel)?;
            work(&mut build, dir)?;
            fs::remove_dir_all(&build.headers)?;
            step.done();
            Ok(())
        })
    }
}

/// What programs are built with.
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

    /// Our programs, along with the standard library for their target, which
    /// Debian has for the machine that one sits at only.
    fn ours(&mut self, source: &Path, dir: &Path) -> Result<()> {
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
            .run(self.step, "building our programs", &mut cargo)
            .context("our programs could not be built (is there a network?)")?;
        let built = target.join(RUST_TARGET).join("release");
        for program in OURS {
            fs::copy(built.join(program), dir.join(program))?;
        }
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

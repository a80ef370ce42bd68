// SPDX-License-Identifier: GPL-2.0
//! Compiled programs for the guest: the testbed's own, the kernel's tests of VFIO, and the kernel's
//! benchmark of mapping for DMA. They are static, and use the headers of the kernel they run on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::{Store, Wanted};
use super::arch::Arch;
use super::artifact::{Key, keyed};
use super::kernel::Kernel;
use super::source;
use super::toolchain::Toolchain;
use crate::exec::Log;
use crate::paths::Paths;
use crate::ui::Step;

/// The packages with the libraries for arm64 programs.
const LIBRARIES: [Wanted<'_>; 4] = [
    Wanted::Package("libc6-dev:arm64"),
    Wanted::Package("libc6:arm64"),
    Wanted::Package("libgcc-14-dev:arm64"),
    Wanted::Package("uuid-dev:arm64"),
];

const CLANG_TARGET: &str = "aarch64-linux-gnu";
/// The target of the testbed's programs.
pub const RUST_TARGET: &str = "aarch64-unknown-linux-gnu";
/// Arguments with which cargo also builds the standard library. They need `RUSTC_BOOTSTRAP=1`.
pub const BUILD_STD: [&str; 2] = ["-Z", "build-std=std,panic_abort"];

/// The testbed's programs, which are one crate.
pub const OURS: [&str; 4] = ["userdma", "kexec", "scattered", "shortage"];

/// The kernel's tests of VFIO that can run on the emulated board.
pub const SELFTESTS: [&str; 3] = [
    "vfio_iommufd_setup_test",
    "vfio_dma_mapping_test",
    "vfio_pci_device_test",
];
const SELFTESTS_SOURCE: &str = "tools/testing/selftests/vfio";

/// Rust bindings of the kernel's interface, which `userdma` includes.
pub const UAPI: &str = "uapi.rs";

/// Builds the programs for `kernel`, unless the cache has them. Returns their directory.
pub fn programs(store: &mut Store, kernel: &Kernel) -> Result<PathBuf> {
    let maker = Maker::new(store, kernel)?;
    let source = store.paths.testbed().join("guest/userdma");
    let tree = kernel.tree();
    let mut key = maker
        .key("programs 2", store)?
        .tree(&source.join("src"))?
        .file(&source.join("Cargo.toml"))?
        .file(&source.join("uapi.h"))?
        .tree(&tree.join(SELFTESTS_SOURCE))?;
    for header in ["iommufd.h", "vfio.h"] {
        key = key.file(&tree.join("include/uapi/linux").join(header))?;
    }
    maker.make(store, "programs", key, |build, dir| {
        build.ours(&source, dir)?;
        build.selftests(&tree, dir)
    })
}

/// Builds the kernel's benchmark of mapping for DMA, unless the cache has it. Returns its path.
pub fn dma_map_benchmark(store: &mut Store, kernel: &Kernel) -> Result<PathBuf> {
    let maker = Maker::new(store, kernel)?;
    let source = kernel.tree().join("tools/dma/dma_map_benchmark.c");
    let key = maker.key("dma_map_benchmark 2", store)?.file(&source)?;
    let dir = maker.make(store, "dma-map-benchmark", key, |build, dir| {
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

/// The inputs that all programs share.
struct Maker<'a> {
    kernel: &'a Kernel,
    toolchain: Toolchain,
}

impl<'a> Maker<'a> {
    fn new(store: &Store, kernel: &'a Kernel) -> Result<Self> {
        Ok(Self {
            kernel,
            toolchain: Toolchain::prepare(store.paths)?,
        })
    }

    fn key(&self, recipe: &str, store: &mut Store) -> Result<Key> {
        let key = Key::new(recipe).text("tools", &self.toolchain.versions()?);
        source::packages_in(key, store, &LIBRARIES)
    }

    /// Calls `work` to build programs, unless the cache has them. Returns their directory.
    fn make(
        &self,
        store: &mut Store,
        name: &str,
        key: Key,
        work: impl FnOnce(&mut Build<'_>, &Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let paths = store.paths;
        keyed(&paths.cache, name, key, |dir| {
            let what = "the guest's libraries";
            let sysroot = source::packages(store, "sysroot", what, &LIBRARIES)?;
            let step = Step::new(format!("Building the guest's {name}"));
            let mut build = Build {
                paths,
                toolchain: &self.toolchain,
                sysroot: &sysroot,
                headers: dir.join("headers"),
                log: Log::create(paths, name)?,
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

/// The tools and libraries to build a program with.
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

    /// Returns the arguments with which clang compiles for the guest.
    fn clang_arguments(&self) -> [String; 2] {
        [
            format!("--target={CLANG_TARGET}"),
            format!("--sysroot={}", self.sysroot.display()),
        ]
    }

    /// Builds the testbed's programs, along with the standard library for their target, which
    /// Debian provides for the host only.
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
            .args(BUILD_STD);
        self.toolchain.apply(&mut cargo);
        cargo
            .env_remove("RUSTUP_TOOLCHAIN")
            .env("RUSTC", "/usr/bin/rustc")
            // A build of the standard library needs unstable options.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "clang")
            .env("USERDMA_UAPI", &uapi);
        self.log
            .run(self.step, "building the testbed's programs", &mut cargo)
            .context("the testbed's programs could not be built (is there a network?)")?;
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
